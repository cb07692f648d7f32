/* SPDX-License-Identifier: MIT */
#include "app/talk_file.h"

#include <string.h>

#include "app/gen_options.h"
#include "app/step_times.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/trace.h"
#include "media/audio_file.h"
#include "media/wav_out.h"
#include "talk/duplex.h"

#define EOS_TOKEN 2     /* Hibiki says it when the translation is over */
#define EXTRA_MS  30000 /* and gets this long for it */
#define WORDS_CAP (64 << 20)

struct run {
    struct app                 *app;
    struct duplex              *duplex;
    float                      *pcm;     /* whole input */
    int64_t                     n_frame; /* of it */
    struct wav_out             *wav;     /* NULL: not asked for */
    struct os_out              *text;    /* NULL: not asked for */
    float                      *speaker; /* one frame */
    float                      *silence;
    struct buf                  words;    /* for stdout */
    bool                        is_quiet; /* stdout is one of the files */
    enum wav_kind               kind;
    struct sentencepiece_stream stream;
    struct step_times           times;
    int64_t                     n_out, n_late;
};

static enum err write_line(struct run *r, int64_t frame, int32_t token)
{
    struct bytes piece = sentencepiece_piece(duplex_tokenizer(r->duplex), token);
    struct buf   text, line;

    buf_init(&text, 4096);
    buf_init(&line, 32768);
    for (size_t i = 0; i < piece.len; i++) {
        bool is_blank = i + 2 < piece.len && memcmp(piece.p + i, "\xe2\x96\x81", 3) == 0;
        buf_add_byte(&text, is_blank ? ' ' : piece.p[i]);
        i += is_blank ? 2 : 0;
    }
    buf_add_fmt(&line, "{\"frame\": %lld, \"token\": %d, \"text\": ", (long long)frame, token);
    buf_add_json(&line, text.len ? (const char *)text.p : "", text.len);
    buf_add_str(&line, "}\n");
    enum err err = buf_err(&text) ? buf_err(&text) : buf_err(&line);
    if (!err)
        err = os_out_write(r->text, line.p, line.len);
    buf_fini(&text);
    buf_fini(&line);
    return err;
}

static enum err take_output(struct run *r, const struct duplex_frame *f)
{
    enum err err = OK;

    if (!f->is_ready)
        return OK;
    if (duplex_is_word(f->text)) {
        char   words[SENTENCEPIECE_STREAM_MAX];
        size_t len = sentencepiece_stream_step(&r->stream, f->text, words);
        buf_add(&r->words, words, len);
        if (r->text)
            err = write_line(r, r->n_out, f->text);
    }
    if (!err && r->wav && f->has_sound) {
        int64_t t0_ns = os_now_ns();
        err = wav_out_write(r->wav, f->speaker, duplex_codec(r->duplex)->frame_size);
        trace_span(TRACE_IO, "play", 1, r->n_out, t0_ns, os_now_ns());
    }
    r->n_out++;
    return err ? err : buf_err(&r->words);
}

/* One step on frame i of the input; past its end the end-of-input code, then silence. */
static enum err step(struct run *r, int64_t i, struct duplex_frame *f)
{
    int64_t t0_ns = os_now_ns();

    *f = (struct duplex_frame){
        .mic = i < r->n_frame    ? r->pcm + i * duplex_codec(r->duplex)->frame_size
               : i == r->n_frame ? NULL
                                 : r->silence,
        .forced_text = -1,
        .is_heard_twice = i == 0,
        .speaker = r->speaker,
    };
    enum err err = duplex_step(r->duplex, &be_one_lane, f);
    if (!err)
        err = step_times_add(&r->times, os_now_ns() - t0_ns);
    return err ? err : take_output(r, f);
}

static void note_late(struct run *r, int64_t i)
{
    r->n_late++;
    trace_instant(TRACE_IO, "lag", 1, i);
}

/* Waits until frame i would have come from a microphone; a signal ends the wait. */
static void pace(struct run *r, int64_t start_ns, int64_t i)
{
    const struct mimi_info *codec = duplex_codec(r->duplex);
    int64_t due_ns = start_ns + (int64_t)((double)(i + 1) * 1e9 / codec->frame_rate_hz);

    if (os_now_ns() > due_ns + (int64_t)(1e9 / codec->frame_rate_hz))
        note_late(r, i);
    while (!app_stop_signal() && os_now_ns() < due_ns) {
        int64_t nap_ns = os_now_ns() + 20000000;
        os_sleep_until_ns(nap_ns < due_ns ? nap_ns : due_ns);
    }
}

static enum err run_frames(struct run *r)
{
    bool    is_paced = app_flag(r->app, OPT_REALTIME);
    bool    has_end = strcmp(duplex_model_type(r->duplex), "hibiki") == 0;
    int64_t n_extra = (int64_t)(EXTRA_MS * duplex_codec(r->duplex)->frame_rate_hz / 1000.0);
    int64_t n = has_end ? 2 * r->n_frame + n_extra : r->n_frame;
    int64_t start_ns = os_now_ns();
    struct duplex_frame f;

    for (int64_t i = 0; i < n && !app_stop_signal(); i++) {
        int64_t t0_ns = os_now_ns();
        if (is_paced)
            pace(r, start_ns, i);
        if (app_stop_signal())
            break;
        trace_span(TRACE_IO, "capture", 1, i, t0_ns, os_now_ns());
        enum err err = step(r, i, &f);
        if (err)
            return err;
        if (i >= r->n_frame && f.is_ready && f.text == EOS_TOKEN)
            break;
        app_progress("talk", i + 1, n);
    }
    return OK;
}

static enum err open_duplex(struct run *r)
{
    char                  dir[MODEL_PATH_CAP];
    struct duplex_options o = {
        .model_dir = dir, .n_lane = 1, .quant = app_quant(r->app), .load = app_load(r->app)
    };

    enum err err = app_be_options(r->app, &o.be, !app_flag(r->app, OPT_FAST));
    if (!err)
        err = app_model_dir(r->app, dir, sizeof dir);
    if (!err)
        err = duplex_open(&r->duplex, &o);
    if (err)
        return err;
    struct lm_gen_options gen = duplex_defaults(r->duplex);
    gen_options_apply(r->app, &gen);
    duplex_reset(r->duplex, 0, &gen);
    sentencepiece_stream_init(&r->stream, duplex_tokenizer(r->duplex));
    return OK;
}

static void read_options(struct run *r)
{
    static const enum option files[] = { OPT_OUT, OPT_TEXT, OPT_TRACE };

    r->kind = strcmp(app_str(r->app, OPT_FORMAT), "s16") == 0 ? WAV_S16 : WAV_F32;
    for (int i = 0; i < 3; i++) {
        const char *path = app_str(r->app, files[i]);
        r->is_quiet = r->is_quiet || (path && os_is_same_file(path, "/dev/stdout"));
    }
}

static enum err open_files(struct run *r)
{
    const struct mimi_info *codec = duplex_codec(r->duplex);
    const char             *in = app_str(r->app, OPT_IN), *out = app_str(r->app, OPT_OUT);
    const char             *text = app_str(r->app, OPT_TEXT);
    size_t                  frame = (size_t)codec->frame_size;
    int64_t                 n_smp = 0;

    enum err err = audio_file_read(&r->pcm, &n_smp, in, codec->rate_hz);
    r->n_frame = n_smp / codec->frame_size;
    if (!err && r->n_frame == 0)
        err = err_set(ERR_FORMAT, "%s: shorter than one frame of %d samples", in,
                      codec->frame_size);
    r->speaker = mem_zalloc(mem_size(frame, sizeof *r->speaker));
    r->silence = mem_zalloc(mem_size(frame, sizeof *r->silence));
    if (!err && (!r->speaker || !r->silence))
        err = ERR_NOMEM;
    if (!err && out)
        err = wav_out_open(&r->wav, out, codec->rate_hz, r->kind);
    if (!err && text)
        err = os_out_open(&r->text, text);
    return err;
}

static enum err print_result(struct run *r)
{
    struct buf out;

    buf_init(&out, 2 * WORDS_CAP);
    if (app_flag(r->app, OPT_JSON)) {
        buf_add_fmt(&out, "{\"frames\": %lld, \"step_p50_ms\": %.3f, \"step_p95_ms\": %.3f, ",
                    (long long)r->n_out, step_times_ms(&r->times, 0.5),
                    step_times_ms(&r->times, 0.95));
        buf_add_fmt(&out, "\"late\": %lld, \"text\": ", (long long)r->n_late);
        buf_add_json(&out, r->words.len ? (const char *)r->words.p : "", r->words.len);
        buf_add_str(&out, "}\n");
    } else if (r->words.len) {
        buf_add(&out, r->words.p, r->words.len);
        buf_add_str(&out, "\n");
    }
    enum err err = buf_err(&out);
    if (!err)
        err = app_print(buf_view(&out));
    buf_fini(&out);
    return err;
}

static bool is_fine(enum err err)
{
    return !err || err == ERR_INTERRUPTED;
}

/* Who interrupts still gets what there is; a pipe that nobody reads holds up only its own part. The
 * trace is first: when it fails, nothing has been printed. */
static enum err finish(struct run *r)
{
    enum err err = trace_close();

    if (is_fine(err) && r->wav)
        err = wav_out_commit(&r->wav);
    if (is_fine(err) && r->text)
        err = os_out_commit(&r->text);
    if (is_fine(err) && !r->is_quiet)
        err = print_result(r);
    if (is_fine(err))
        app_say("%lld frames, step p50 %.1f ms, p95 %.1f ms, %lld late", (long long)r->n_out,
                step_times_ms(&r->times, 0.5), step_times_ms(&r->times, 0.95),
                (long long)r->n_late);
    return err;
}

enum err talk_file_run(struct app *app)
{
    struct run r = { .app = app };

    buf_init(&r.words, WORDS_CAP);
    read_options(&r);
    enum err err = audio_file_check(app_str(app, OPT_IN));
    if (!err)
        err = open_duplex(&r);
    if (!err)
        err = open_files(&r);
    if (!err)
        err = run_frames(&r);
    if (is_fine(err))
        err = finish(&r);
    if (!err)
        err = app_go_on();
    wav_out_cancel(&r.wav);
    os_out_cancel(&r.text);
    duplex_close(&r.duplex);
    step_times_fini(&r.times);
    buf_fini(&r.words);
    mem_free(r.pcm);
    mem_free(r.speaker);
    mem_free(r.silence);
    return err;
}
