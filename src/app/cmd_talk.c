/* SPDX-License-Identifier: MIT */
#include "app/app.h"
#include "app/talk_file.h"
#include "app/talk_live.h"

static enum err run(struct app *app)
{
    if (app_flag(app, OPT_LIST_DEVICES))
        return talk_live_list(app);
    if (app_str(app, OPT_IN))
        return talk_file_run(app);
    if (app_str(app, OPT_OUT) || app_str(app, OPT_TEXT) || app_flag(app, OPT_REALTIME))
        return err_set(ERR_USAGE, "--out, --text and --realtime go with --in");
    return talk_live_run(app);
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
    .summary = "a spoken conversation, by microphone or from a file",
    .operands = "",
    .text =
        "Speaks through microphone and loudspeaker until Ctrl-C, printing the model's words as "
        "they come and [LAG] when it is late. Use headphones: nothing cancels the echo. With --in "
        "the sound of a file is heard instead and the answer written to --out: whole frames, first "
        "channel, the first frame stepped twice, in exact mode unless --fast.",
    .example = "parley talk --in question.wav --out answer.wav --text words.jsonl",
    .run = run,
    .options = options,
};
