/* SPDX-License-Identifier: MIT */
/* settings: the values in force, and where each came from, as text or JSON; their form. */
#ifndef APP_SETTINGS_H
#define APP_SETTINGS_H

#include "app/app.h"

/* Append lines "name = value  (origin)", or one JSON object that is a config file again (without
 * origins). */
void settings_write_text(const struct app *app, struct buf *out, bool has_origin);
void settings_write_json(const struct app *app, struct buf *out, bool has_origin);
/* Addresses, hosts and origins that no server could use: ERR_USAGE, naming what gave them. */
enum err settings_check(const struct app *app) MUST_CHECK;

#endif
