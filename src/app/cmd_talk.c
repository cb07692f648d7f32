/* SPDX-License-Identifier: MIT */
#include "app/app.h"
#include "app/talk_file.h"
#include "app/talk_live.h"

/* What has no effect beside a microphone is refused, not dropped. */
static enum err check_live(const struct app *app)
{
    static const struct {
        enum option o;
        const char *name;
    } of_files[] = { { OPT_OUT, "--out" },           { OPT_TEXT, "--text" },
                     { OPT_FORMAT, "--format" },     { OPT_FAST, "--fast" },
                     { OPT_REALTIME, "--realtime" }, { OPT_JSON, "--json" } };

    for (size_t i = 0; i < sizeof of_files / sizeof *of_files; i++)
        if (app_is_set(app, of_files[i].o))
            return err_set(ERR_USAGE, "%s goes with --in", of_files[i].name);
    return OK;
}

static enum err run(struct app *app)
{
    if (app_flag(app, OPT_LIST_DEVICES))
        return talk_live_list(app);
    if (app_str(app, OPT_IN))
        return talk_file_run(app);
    enum err err = check_live(app);
    return err ? err : talk_live_run(app);
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
