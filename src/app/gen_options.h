/* SPDX-License-Identifier: MIT */
/* gen_options: --seed, --temperature and the others over what the model's config says. */
#ifndef APP_GEN_OPTIONS_H
#define APP_GEN_OPTIONS_H

#include "app/app.h"
#include "model/lm_gen.h"

void gen_options_apply(const struct app *app, struct lm_gen_options *o);
/* For the server: app is a struct app; the seed is left alone unless it was set. */
void gen_options_tune(struct lm_gen_options *o, const void *app);

#endif
