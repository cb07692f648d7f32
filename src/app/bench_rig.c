/* SPDX-License-Identifier: MIT */
#include "app/bench_rig.h"

#include <string.h>

#include "app/bench_read.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/ring.h"
#include "base/trace.h"
#include "model/model_shape.h"
#include "talk/duplex.h"

#define N_WARM_UP  8
#define BESIDE_MIN (256LL << 20) /* bytes of weights that memory's pace decides about */

const char *const bench_stage_names[BENCH_STAGE_COUNT] = {
    "capture", "encode", "temporal", "depformer", "lm", "decode", "play", "frame",
};

struct rig {
    const struct bench_setup *setup;
    struct bench_result      *result;
    enum bench_what           what;
    struct step               s;
    /* BENCH_TALK */
    struct duplex       *duplex;
    struct duplex_frame *frame; /* [n_lane] */
    /* else */
    struct model_files  *files;
    struct be           *be;
    struct moshi        *lm;
    struct lm_gen       *gen;
    struct mimi         *codec;
    struct lm_gen_frame *said; /* [n_lane] */
    int32_t            **code; /* [n_lane] of [n_code] */
    int                  n_code, n_spoken;
    /* sound: a frame of noise, then one in and one out for each lane */
    struct ring *mic, *speaker;
    float       *pcm, **in, **out;
    int         *lane;
    size_t       n_smp;
    uint8_t     *cold; /* [n_cold] */
    size_t       n_cold;
    uint32_t     seed;
    int64_t      n_frame, start_ns;
    /* frames beside reads */
    struct bench_reader *reader;
    double               gb_s; /* of the last read */
};

/* Opening. */

static enum err open_duplex(struct rig *r)
{
    struct duplex_options o = { .model_dir = r->setup->model_dir,
                                .shape = r->setup->shape,
                                .be = r->setup->be,
                                .quant = r->setup->quant,
                                .load = r->setup->load,
                                .n_lane = r->setup->n_lane };

    enum err err = duplex_open(&r->duplex, &o);
    if (err)
        return err;
    r->lm = duplex_model(r->duplex);
    r->be = moshi_be(r->lm);
    r->n_smp = (size_t)duplex_codec(r->duplex)->frame_size;
    r->result->frame_ms = 1e3 / duplex_codec(r->duplex)->frame_rate_hz;
    return OK;
}

static enum err open_lm(struct rig *r, const struct model_options *mo)
{
    enum err err = r->files->is_codec_only
                       ? err_set(ERR_USAGE, "%s: a codec alone has no language model",
                                 r->files->dir)
                       : moshi_open(&r->lm, r->files, mo);
    if (!err)
        err = lm_gen_open(&r->gen, r->lm, mo->n_lane);
    if (!err)
        r->n_code = moshi_info(r->lm)->n_q - moshi_info(r->lm)->dep_q;
    return err;
}

static enum err open_codec(struct rig *r, const struct model_options *mo)
{
    enum err err = mimi_open(&r->codec, r->files, mo, MIMI_BOTH);

    if (err)
        return err;
    /* Without a language model that says how many: as many as Moshi speaks. */
    r->n_code = mimi_info(r->codec)->n_codebook;
    r->n_spoken = r->files->is_codec_only && r->n_code > 8 ? 8 : r->n_code;
    r->n_smp = (size_t)mimi_info(r->codec)->frame_size;
    r->result->frame_ms = 1e3 / mimi_info(r->codec)->frame_rate_hz;
    return OK;
}

static enum err open_part(struct rig *r)
{
    const struct bench_setup *s = r->setup;
    struct model_options      mo = { .n_lane = s->n_lane, .quant = s->quant, .load = s->load };

    enum err err = s->shape ? model_shape_open(&r->files, s->shape)
                            : model_files_open(&r->files, s->model_dir);
    if (!err)
        err = be_open(&r->be, &s->be);
    mo.be = r->be;
    if (!err)
        err = r->what == BENCH_LM ? open_lm(r, &mo) : open_codec(r, &mo);
    return err;
}

static enum err open_room(struct rig *r)
{
    size_t n = (size_t)r->setup->n_lane, n_code = (size_t)r->n_code + 1;

    r->frame = mem_zalloc(mem_size(n, sizeof *r->frame));
    r->said = mem_zalloc(mem_size(n, sizeof *r->said));
    r->lane = mem_zalloc(mem_size(n, sizeof *r->lane));
    r->code = mem_zalloc(mem_size(n, sizeof *r->code + n_code * sizeof **r->code));
    r->in = mem_zalloc(mem_size(n, 2 * sizeof *r->in));
    r->pcm = mem_zalloc(mem_size(2 * n + 1, (r->n_smp + 1) * sizeof *r->pcm));
    r->n_cold = bench_beyond_caches();
    r->cold = r->setup->is_cold ? mem_zalloc(r->n_cold) : NULL;
    if (!r->frame || !r->said || !r->lane || !r->code || !r->in || !r->pcm ||
        (r->setup->is_cold && !r->cold))
        return err_set(ERR_NOMEM, "out of memory for %d lanes", r->setup->n_lane);
    r->out = r->in + n;
    int32_t *codes = (int32_t *)(void *)(r->code + n);
    for (size_t a = 0; a < n; a++) {
        r->lane[a] = (int)a;
        r->code[a] = codes + a * n_code;
        r->in[a] = r->pcm + (2 * a + 1) * r->n_smp;
        r->out[a] = r->in[a] + r->n_smp;
    }
    r->s = (struct step){ r->setup->n_lane, r->lane };
    if (r->n_smp == 0)
        return OK;
    enum err err = ring_open(&r->mic, 2, r->n_smp * sizeof *r->pcm);
    return err ? err : ring_open(&r->speaker, 2, r->n_smp * sizeof *r->pcm);
}

static enum err open_rig(struct rig *r)
{
    enum err err = r->what == BENCH_TALK ? open_duplex(r) : open_part(r);

    if (!err)
        err = open_room(r);
    if (err)
        return err;
    r->result->n_thread = be_thread_count(r->be);
    if (!r->lm)
        return OK;
    r->result->context = r->setup->context < moshi_info(r->lm)->context
                             ? r->setup->context
                             : moshi_info(r->lm)->context;
    for (int a = 0; r->setup->context > 0 && a < r->setup->n_lane; a++)
        moshi_age(r->lm, a, r->setup->context);
    return OK;
}

static void close_rig(struct rig *r)
{
    duplex_close(&r->duplex);
    lm_gen_close(&r->gen);
    if (r->what != BENCH_TALK) {
        moshi_close(&r->lm);
        mimi_close(&r->codec);
        be_close(&r->be);
    }
    model_files_close(&r->files);
    ring_close(&r->mic);
    ring_close(&r->speaker);
    mem_free(r->frame);
    mem_free(r->said);
    mem_free(r->lane);
    mem_free(r->code);
    mem_free(r->in);
    mem_free(r->pcm);
    mem_free(r->cold);
    bench_reader_close(&r->reader);
}

/* Frames. */

/* From a linear congruence: what is encoded does not change the time. */
static void fill_noise(struct rig *r)
{
    for (size_t i = 0; i < r->n_smp; i++) {
        r->seed = r->seed * 1664525u + 1013904223u;
        r->pcm[i] = (float)(int32_t)r->seed / 2147483648.0f * 0.1f;
    }
}

/* What all caches hold is something else now. */
static void chill(void *arg, int i)
{
    struct rig *r = arg;
    size_t      size = r->n_cold / (size_t)r->result->n_thread;

    for (uint8_t *p = r->cold + (size_t)i * size, *end = p + size; p < end; p += 64)
        *p = (uint8_t)(*p + 1);
}

static enum err empty_caches(struct rig *r)
{
    be_begin(r->be, &r->s);
    be_parallel(r->be, chill, r, r->result->n_thread);
    return be_end(r->be);
}

struct stages {
    int64_t ns[BENCH_STAGE_COUNT];
};

/* The stage that began at t0_ns and took ns; the duplex traces its own. */
static void note(struct rig *r, struct stages *t, enum bench_stage stage, int64_t t0_ns, int64_t ns)
{
    enum trace_track track = stage == BENCH_CAPTURE || stage == BENCH_PLAY ? TRACE_IO
                                                                           : TRACE_ENGINE;
    const char      *name = stage == BENCH_TEMPORAL ? "step" : bench_stage_names[stage];

    t->ns[stage] = ns;
    if (ns > 0 && (!r->duplex || track == TRACE_IO))
        trace_span(track, name, 0, r->n_frame, t0_ns, t0_ns + ns);
}

static enum err step_lm(struct rig *r, struct stages *t)
{
    int64_t t0_ns = os_now_ns();

    for (int a = 0; a < r->s.n_lane; a++)
        moshi_warm(r->lm, a);
    enum err err = lm_gen_step(r->gen, &r->s, (const int32_t *const *)r->code, r->n_code, NULL,
                               r->said);
    struct lm_gen_times lm = lm_gen_last_times(r->gen);
    t->ns[BENCH_LM_FRAME] = os_now_ns() - t0_ns;
    note(r, t, BENCH_TEMPORAL, t0_ns, t->ns[BENCH_LM_FRAME] - lm.depth_ns);
    note(r, t, BENCH_DEPFORMER, t0_ns + t->ns[BENCH_TEMPORAL], lm.depth_ns);
    return err;
}

static enum err step_codec(struct rig *r, struct stages *t)
{
    int64_t  t0_ns = os_now_ns();
    enum err err = mimi_encode_step(r->codec, &r->s, (const float *const *)r->in, r->code, NULL);

    note(r, t, BENCH_ENCODE, t0_ns, os_now_ns() - t0_ns);
    if (!err && r->cold)
        err = empty_caches(r);
    t0_ns = os_now_ns();
    if (!err)
        err = mimi_decode_step(r->codec, &r->s, (const int32_t *const *)r->code, r->n_spoken,
                               r->out);
    note(r, t, BENCH_DECODE, t0_ns, os_now_ns() - t0_ns);
    return err;
}

static enum err step_talk(struct rig *r, struct stages *t)
{
    for (int a = 0; a < r->s.n_lane; a++) {
        duplex_warm(r->duplex, a);
        r->frame[a] = (struct duplex_frame){ .mic = r->in[a],
                                             .speaker = r->out[a],
                                             .forced_text = -1 };
    }
    enum err            err = duplex_step(r->duplex, &r->s, r->frame);
    struct duplex_times d = duplex_last_times(r->duplex);
    t->ns[BENCH_ENCODE] = d.encode_ns;
    t->ns[BENCH_TEMPORAL] = d.temporal_ns;
    t->ns[BENCH_DEPFORMER] = d.depth_ns;
    t->ns[BENCH_LM_FRAME] = d.temporal_ns + d.depth_ns;
    t->ns[BENCH_DECODE] = d.decode_ns;
    return err;
}

/* From one thread's side of a ring to the other's, as between io and engine. */
static void pass(struct ring *ring, float *to, const float *from)
{
    must(ring_push(ring, from, 1) == 1 && ring_pop(ring, to, 1) == 1);
}

static enum err run_frame(struct rig *r, struct stages *t)
{
    enum err err = OK;
    int64_t  t0_ns = os_now_ns();

    for (int a = 0; r->mic && a < r->s.n_lane; a++)
        pass(r->mic, r->in[a], r->pcm);
    note(r, t, BENCH_CAPTURE, t0_ns, r->mic ? os_now_ns() - t0_ns : 0);
    switch (r->what) {
    case BENCH_LM: err = step_lm(r, t); break;
    case BENCH_CODEC: err = step_codec(r, t); break;
    case BENCH_TALK: err = step_talk(r, t); break;
    }
    int64_t t1_ns = os_now_ns();
    for (int a = 0; r->speaker && a < r->s.n_lane; a++)
        pass(r->speaker, r->pcm, r->out[a]);
    note(r, t, BENCH_PLAY, t1_ns, r->speaker ? os_now_ns() - t1_ns : 0);
    for (int i = 0; i < BENCH_FRAME; i++)
        t->ns[BENCH_FRAME] += i == BENCH_LM_FRAME ? 0 : t->ns[i];
    return err;
}

static bool is_measured(const struct rig *r, enum bench_stage stage)
{
    bool is_lm = stage == BENCH_TEMPORAL || stage == BENCH_DEPFORMER || stage == BENCH_LM_FRAME;

    return r->what == BENCH_TALK ||
           (r->what == BENCH_LM
                ? is_lm
                : stage == BENCH_ENCODE || stage == BENCH_DECODE || stage == BENCH_FRAME);
}

/* As the engine waits for a frame of its microphone. */
static void pace(struct rig *r)
{
    double  frame_ms = r->result->frame_ms > 0 ? r->result->frame_ms : 80;
    int64_t due_ns = r->start_ns + (int64_t)((double)r->n_frame * frame_ms * 1e6);

    if (os_now_ns() > due_ns)
        return;
    os_sleep_until_ns(due_ns - BE_ROUSE_NS);
    be_rouse(r->be);
    os_sleep_until_ns(due_ns);
}

static enum err start_beside(struct rig *r)
{
    moshi_cost(&r->result->cost, r->lm, &r->s);
    if (r->setup->is_paced || r->result->cost.weight_bytes < BESIDE_MIN)
        return OK;
    enum err err = bench_reader_open(&r->reader, r->be);
    if (!err)
        r->gb_s = bench_reader_once(r->reader, r->be);
    return err;
}

/* A frame has run: how long it took beside a read of its bytes. */
static enum err note_beside(struct rig *r, const struct stages *t)
{
    double before = r->gb_s;

    if (!r->reader)
        return OK;
    moshi_cost(&r->result->cost, r->lm, &r->s);
    r->gb_s = bench_reader_once(r->reader, r->be);
    double bytes = (double)(r->result->cost.weight_bytes + r->result->cost.kv_bytes);
    double floor_ns = bytes / ((before + r->gb_s) / 2);
    return step_times_add(&r->result->beside,
                          (int64_t)((double)t->ns[BENCH_LM_FRAME] / floor_ns * 1e6));
}

static enum err run_frames(struct rig *r)
{
    int      n = r->setup->n_step;
    enum err err = OK;

    os_flush_denormals();
    r->start_ns = os_now_ns();
    for (int i = -N_WARM_UP; !err && i < n && !app_stop_signal(); i++) {
        struct stages t = { 0 };
        fill_noise(r);
        if (r->cold)
            err = empty_caches(r);
        if (r->setup->is_paced)
            pace(r);
        if (!err)
            err = run_frame(r, &t);
        for (int k = 0; !err && i >= 0 && k < BENCH_STAGE_COUNT; k++)
            if (is_measured(r, k))
                err = step_times_add(&r->result->times[k], t.ns[k]);
        if (!err && i >= 0)
            err = note_beside(r, &t);
        else if (!err && i == -1 && r->lm)
            err = start_beside(r);
        r->n_frame++;
        app_progress("bench", i + N_WARM_UP + 1, n + N_WARM_UP);
    }
    if (!err && r->lm)
        moshi_cost(&r->result->cost, r->lm, &r->s);
    return err;
}

enum err bench_rig_run(struct bench_result *out, const struct bench_setup *s, enum bench_what what)
{
    struct rig r = { .setup = s, .result = out, .what = what, .seed = 1 };

    memset(out, 0, sizeof *out);
    enum err err = open_rig(&r);
    if (!err)
        err = run_frames(&r);
    close_rig(&r);
    return err;
}

void bench_rig_fini(struct bench_result *r)
{
    for (int i = 0; i < BENCH_STAGE_COUNT; i++)
        step_times_fini(&r->times[i]);
    step_times_fini(&r->beside);
}
