/* SPDX-License-Identifier: MIT */
/* talk_file: `parley talk --in`: the reference's run_inference on a sound file. */
#ifndef APP_TALK_FILE_H
#define APP_TALK_FILE_H

#include "app/app.h"

enum err talk_file_run(struct app *app) MUST_CHECK;

#endif
