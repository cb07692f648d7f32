/* SPDX-License-Identifier: MIT */
/* talk_live: `parley talk` through the sound card, with the engine that serve uses. */
#ifndef APP_TALK_LIVE_H
#define APP_TALK_LIVE_H

#include "app/app.h"

enum err talk_live_run(struct app *app) MUST_CHECK;
enum err talk_live_list(struct app *app) MUST_CHECK;

#endif
