/* SPDX-License-Identifier: MIT */
/* settings: the values in force, and where each came from, as text or JSON. */
#ifndef APP_SETTINGS_H
#define APP_SETTINGS_H

#include "app/app.h"

/* Append lines "name = value  (origin)", or one JSON object that is a config file again (without
 * origins). */
void settings_write_text(const struct app *app, struct buf *out, bool has_origin);
void settings_write_json(const struct app *app, struct buf *out, bool has_origin);

#endif
