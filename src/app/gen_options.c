/* SPDX-License-Identifier: MIT */
#include "app/gen_options.h"

void gen_options_tune(struct lm_gen_options *o, const void *arg)
{
    const struct app *app = arg;

    if (app_is_set(app, OPT_SEED))
        o->seed = (uint64_t)app_int(app, OPT_SEED);
    if (app_is_set(app, OPT_TEMPERATURE))
        o->temp = o->temp_text = (float)app_num(app, OPT_TEMPERATURE);
    if (app_is_set(app, OPT_TEXT_TEMPERATURE))
        o->temp_text = (float)app_num(app, OPT_TEXT_TEMPERATURE);
    if (app_is_set(app, OPT_TOP_K))
        o->top_k = (int)app_int(app, OPT_TOP_K);
    if (app_is_set(app, OPT_TEXT_TOP_K))
        o->top_k_text = (int)app_int(app, OPT_TEXT_TOP_K);
}

void gen_options_apply(const struct app *app, struct lm_gen_options *o)
{
    o->seed = (uint64_t)app_int(app, OPT_SEED);
    gen_options_tune(o, app);
}
