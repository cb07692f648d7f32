/* SPDX-License-Identifier: MIT */
#include "app/app.h"
#include "app/options.h"
#include "app/talk_file.h"
#include "app/talk_live.h"

static bool is_given(const struct app *app, enum option o)
{
    return app->value[o].from == FROM_FLAG;
}

/* What has no effect is refused, not dropped: beside a list of devices, a microphone, a file. */
static enum err check_options(const struct app *app)
{
    static const struct {
        enum option o;
        const char *name;
    } of_files[] = { { OPT_JSON, "--json" }, { OPT_OUT, "--out" },
                     { OPT_TEXT, "--text" }, { OPT_FORMAT, "--format" },
                     { OPT_FAST, "--fast" }, { OPT_REALTIME, "--realtime" },
                     { OPT_IN, "--in" },     { OPT_TRACE, "--trace" } };
    bool   is_list = app_flag(app, OPT_LIST_DEVICES), is_live = !app_str(app, OPT_IN);
    size_t n = is_list ? 8 : is_live ? 6 : 0;

    for (size_t i = is_list; i < n; i++) /* a list may be JSON, the first of them */
        if (is_given(app, of_files[i].o))
            return err_set(ERR_USAGE,
                           is_list ? "%s does not go with --list-devices" : "%s goes with --in",
                           of_files[i].name);
    if (!is_live && (is_given(app, OPT_INPUT_DEVICE) || is_given(app, OPT_OUTPUT_DEVICE)))
        return err_set(ERR_USAGE, "%s does not go with --in",
                       is_given(app, OPT_INPUT_DEVICE) ? "--input-device" : "--output-device");
    if (!is_live && is_given(app, OPT_FORMAT) && !is_given(app, OPT_OUT))
        return err_set(ERR_USAGE, "--format goes with --out");
    return OK;
}

static enum err run(struct app *app)
{
    enum err err = check_options(app);

    if (err)
        return err;
    if (app_flag(app, OPT_LIST_DEVICES))
        return talk_live_list(app);
    return app_str(app, OPT_IN) ? talk_file_run(app) : talk_live_run(app);
}

static const enum option options[] = {
    OPT_MODEL, OPT_THREADS,      OPT_DEVICE,       OPT_QUANT,         OPT_TILE_CACHE,
    OPT_KV,    OPT_PIN,          OPT_SEED,         OPT_TEMPERATURE,   OPT_TEXT_TEMPERATURE,
    OPT_TOP_K, OPT_TEXT_TOP_K,   OPT_INPUT_DEVICE, OPT_OUTPUT_DEVICE, OPT_IN,
    OPT_OUT,   OPT_TEXT,         OPT_FORMAT,       OPT_REALTIME,      OPT_FAST,
    OPT_TRACE, OPT_LIST_DEVICES, OPT_JSON,         OPTION_COUNT
};

const struct command cmd_talk = {
    .name = "talk",
    .summary = "hold a spoken conversation, by microphone or from a file",
    .operands = "",
    .text = "Speaks through microphone and loudspeaker until Ctrl-C, printing the model's words as "
            "they come and [LAG] when it is late. Use headphones: nothing cancels the echo.\n"
            "With --in it reads a sound file instead, in exact mode unless --fast, and writes the "
            "answer to --out. Only whole frames of the first channel are read; the first frame is "
            "stepped twice.",
    .example = "parley talk --in question.wav --out answer.wav --text words.jsonl",
    .run = run,
    .options = options,
};
