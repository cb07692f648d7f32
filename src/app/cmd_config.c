/* SPDX-License-Identifier: MIT */
#include "app/app.h"
#include "app/settings.h"

static enum err run(struct app *app)
{
    struct buf out;

    enum err err = settings_check(app);
    if (err)
        return err;
    buf_init(&out, 1 << 20);
    (app_flag(app, OPT_JSON) ? settings_write_json
                             : settings_write_text)(app, &out, app_flag(app, OPT_ORIGIN));
    err = buf_err(&out);
    if (!err)
        err = app_go_on();
    if (!err)
        err = app_print(buf_view(&out));
    buf_fini(&out);
    return err;
}

/* Every setting, so that a command line can be tried out. */
static const enum option options[] = {
    OPT_MODEL,      OPT_THREADS,      OPT_DEVICE,       OPT_QUANT,         OPT_TILE_CACHE,
    OPT_KV,         OPT_PIN,          OPT_SEED,         OPT_TEMPERATURE,   OPT_TEXT_TEMPERATURE,
    OPT_TOP_K,      OPT_TEXT_TOP_K,   OPT_LISTEN,       OPT_MAX_TALKS,     OPT_KEY_FILE,
    OPT_ALLOW_HOST, OPT_ALLOW_ORIGIN, OPT_INPUT_DEVICE, OPT_OUTPUT_DEVICE, OPT_ORIGIN,
    OPT_JSON,       OPTION_COUNT
};

const struct command cmd_config = {
    .name = "config",
    .summary = "print the settings and where each comes from",
    .operands = "",
    .text =
        "Prints every setting with its value: a flag wins over the environment, the environment "
        "over the config file, the file over the default. With --origin each line says where its "
        "value comes from. What --json prints alone is a config file again: null is not set.",
    .example = "parley config --origin",
    .run = run,
    .options = options,
};
