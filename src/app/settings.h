/* SPDX-License-Identifier: MIT */
/* settings: the values in force, and where each came from, as text or JSON. */
#ifndef APP_SETTINGS_H
#define APP_SETTINGS_H

#include "app/app.h"

/* Appends "name = value  (origin)" lines, or one JSON object. */
void settings_write(const struct app *app, struct buf *out, bool with_origin, bool as_json);

#endif
