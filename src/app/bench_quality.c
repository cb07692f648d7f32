/* SPDX-License-Identifier: MIT */
#include "app/bench_quality.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "media/audio_file.h"
#include "model/lm_gen.h"
#include "model/mimi.h"
#include "model/model_shape.h"
#include "model/sampler.h"

enum { FAST, SAME, STORED, N_MODEL };

/* One way of computing. */
struct way {
    struct model_files *files;
    struct be          *be;
    struct moshi       *lm;    /* NULL: a codec alone */
    struct mimi        *codec; /* FAST, SAME */
    const float        *logits;
};

struct quality {
    const struct bench_setup *setup;
    struct bench_quality     *out;
    struct way                way[N_MODEL];
    int                       n_way;
    struct lm_gen_options     gen;
    float                    *pcm; /* the sound, at least one frame */
    int64_t                   n_smp;
    float                    *frame, *said, *said_exact; /* [frame_size] */
    int32_t                   code[MOSHI_MAX_STREAM], other[MOSHI_MAX_STREAM];
    int32_t                  *heard; /* [n_step + 1, n_q]: codes of the other side, as they came */
    int32_t                   now[MOSHI_MAX_STREAM]; /* text and own codes of the last step */
    float                    *room;                  /* the sampler's */
};

/* Opening. */

static enum err open_way(struct way *w, const struct bench_setup *s, int which)
{
    bool                 is_exact = which != FAST;
    struct be_options    bo = { .device = s->be.device,
                                .n_thread = s->be.n_thread,
                                .is_exact = is_exact,
                                .is_pinned = s->be.is_pinned,
                                .kv = is_exact ? NULL : s->be.kv };
    struct model_options mo = { .n_lane = 1,
                                .quant = which == STORED ? WEIGHTS_QUANT_NONE : s->quant };

    enum err err = s->shape ? model_shape_open(&w->files, s->shape)
                            : model_files_open(&w->files, s->model_dir);
    if (!err)
        err = be_open(&w->be, &bo);
    mo.be = w->be;
    if (!err && !w->files->is_codec_only)
        err = moshi_open(&w->lm, w->files, &mo);
    if (!err && which != STORED)
        err = mimi_open(&w->codec, w->files, &mo, MIMI_BOTH);
    return err;
}

static enum err open_sound(struct quality *q, const char *path)
{
    const struct mimi_info *codec = mimi_info(q->way[SAME].codec);
    uint32_t                seed = 1;

    if (path)
        return audio_file_read(&q->pcm, &q->n_smp, path, codec->rate_hz);
    q->n_smp = codec->rate_hz;
    q->pcm = mem_zalloc(mem_size((size_t)q->n_smp, sizeof *q->pcm));
    for (int64_t i = 0; q->pcm && i < q->n_smp; i++) {
        seed = seed * 1664525u + 1013904223u;
        q->pcm[i] = (float)(int32_t)seed * 0x1p-34f;
    }
    return q->pcm ? OK : ERR_NOMEM;
}

static enum err open_quality(struct quality *q, const char *sound)
{
    /* Weights that nobody quantises are as they are stored; noise is never stored. */
    q->n_way = q->setup->quant == WEIGHTS_QUANT_NONE || q->setup->shape ? STORED : N_MODEL;
    enum err err = OK;
    for (int i = 0; !err && i < q->n_way; i++)
        err = open_way(&q->way[i], q->setup, i);
    if (!err)
        err = open_sound(q, sound);
    if (err)
        return err;
    size_t n = (size_t)mimi_info(q->way[SAME].codec)->frame_size, n_heard = 0, n_vocab = 0;
    const struct moshi_info *info = q->way[SAME].lm ? moshi_info(q->way[SAME].lm) : NULL;
    if (info) {
        q->gen = lm_gen_defaults(q->way[SAME].lm);
        n_heard = mem_size((size_t)q->setup->n_step + 1, (size_t)info->n_q);
        n_vocab = (size_t)(info->card > info->text_card_out ? info->card : info->text_card_out);
    }
    q->frame = mem_zalloc(mem_size(3 * n, sizeof *q->frame));
    q->heard = mem_zalloc(mem_size(n_heard + 1, sizeof *q->heard));
    q->room = mem_zalloc(mem_size(n_vocab + 1, sizeof *q->room));
    if (!q->frame || !q->heard || !q->room)
        return ERR_NOMEM;
    q->said = q->frame + n;
    q->said_exact = q->said + n;
    return OK;
}

static void close_quality(struct quality *q)
{
    for (int i = 0; i < N_MODEL; i++) {
        moshi_close(&q->way[i].lm);
        mimi_close(&q->way[i].codec);
        be_close(&q->way[i].be);
        model_files_close(&q->way[i].files);
    }
    mem_free(q->pcm);
    mem_free(q->frame);
    mem_free(q->heard);
    mem_free(q->room);
}

/* Distributions. */

/* log of the sum of exp. */
static double log_sum(const float *x, int n, float max)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] - (double)max);
    return (double)max + log(sum);
}

static void add_gap(struct bench_gap *g, const float *exact, const float *fast, int n)
{
    int    best = kern.argmax_f32(exact, n), other = kern.argmax_f32(fast, n);
    double of_exact = log_sum(exact, n, exact[best]), of_fast = log_sum(fast, n, fast[other]);
    double kl = 0;

    for (int i = 0; i < n; i++) {
        double p = (double)exact[i] - of_exact;
        kl += exp(p) * (p - ((double)fast[i] - of_fast));
    }
    kl = kl > 0 ? kl : 0; /* rounding */
    g->n++;
    g->n_same += best == other;
    g->kl_sum += kl;
    g->kl_max = kl > g->kl_max ? kl : g->kl_max;
}

static void compare(struct quality *q, struct bench_gap *gaps, int n)
{
    for (int i = SAME; i < q->n_way; i++)
        add_gap(&gaps[i - SAME], q->way[i].logits, q->way[FAST].logits, n);
}

/* Frames. */

static void next_sound(struct quality *q, int64_t frame)
{
    int n = mimi_info(q->way[SAME].codec)->frame_size;

    for (int i = 0; i < n; i++)
        q->frame[i] = q->pcm[(frame * n + i) % q->n_smp];
}

static enum err compare_codec(struct quality *q)
{
    const float            *in = q->frame;
    const struct mimi_info *info = mimi_info(q->way[SAME].codec);
    int32_t                *codes[] = { q->code, q->other };
    float                  *said[] = { q->said_exact, q->said };
    struct mimi            *codec[] = { q->way[SAME].codec, q->way[FAST].codec };
    enum err                err = OK;

    for (int i = 0; !err && i < 2; i++)
        err = mimi_encode_step(codec[i], &be_one_lane, &in, &codes[i], NULL);
    for (int i = 0; !err && i < 2; i++)
        err = mimi_decode_step(codec[i], &be_one_lane, (const int32_t *const *)codes,
                               info->n_codebook, &said[i]);
    for (int i = 0; !err && i < info->n_codebook; i++)
        q->out->n_same_code += q->code[i] == q->other[i];
    q->out->n_code += info->n_codebook;
    for (int i = 0; !err && i < info->frame_size; i++) {
        double gap = (double)q->said[i] - (double)q->said_exact[i];
        q->out->sound_power += (double)q->said_exact[i] * (double)q->said_exact[i];
        q->out->gap_power += gap * gap;
    }
    return err;
}

/* What the models see at step s: what came before, where the delays put it (model/lm_gen.c). */
static void gather(struct quality *q, int64_t s, int32_t *in)
{
    const struct moshi_info *info = moshi_info(q->way[SAME].lm);

    for (int k = 0; k < info->n_q - info->dep_q; k++)
        q->heard[s * info->n_q + k] = q->code[k];
    for (int k = 0; k <= info->n_q; k++) {
        int64_t from = s - info->delays[k];
        if (from <= 0)
            in[k] = k ? info->card : info->text_card;
        else if (k <= info->dep_q)
            in[k] = q->now[k];
        else
            in[k] = q->heard[from * info->n_q + k - 1 - info->dep_q];
    }
}

static int32_t draw(struct quality *q, int64_t s, int stream, int n)
{
    return sampler_draw(q->way[q->n_way - 1].logits, n, stream ? q->gen.temp : q->gen.temp_text,
                        stream ? q->gen.top_k : q->gen.top_k_text, q->gen.seed,
                        (uint64_t)s * MOSHI_MAX_STREAM + (uint64_t)stream, q->room);
}

static enum err compare_lm(struct quality *q, int64_t s)
{
    const struct moshi_info *info = moshi_info(q->way[SAME].lm);
    int32_t                  in[MOSHI_MAX_STREAM];
    const int32_t           *tokens = in;
    enum err                 err = OK;

    gather(q, s, in);
    for (int i = 0; !err && i < q->n_way; i++) {
        moshi_warm(q->way[i].lm, 0);
        err = moshi_step(q->way[i].lm, &be_one_lane, &tokens, &q->way[i].logits);
    }
    if (err)
        return err;
    compare(q, q->out->text, info->text_card_out);
    q->now[0] = draw(q, s, 0, moshi_word_count(info));
    for (int k = 0; k < info->dep_q; k++) {
        for (int i = 0; !err && i < q->n_way; i++)
            err = moshi_depth_step(q->way[i].lm, &be_one_lane, k, &q->now[k], &q->way[i].logits);
        if (err)
            return err;
        compare(q, q->out->audio, info->card);
        q->now[1 + k] = draw(q, s, 1 + k, info->card);
    }
    return OK;
}

enum err bench_quality_run(struct bench_quality *out, const struct bench_setup *s,
                           const char *sound)
{
    struct quality q = { .setup = s, .out = out };

    memset(out, 0, sizeof *out);
    enum err err = open_quality(&q, sound);
    for (int64_t i = 0; !err && i < s->n_step && !app_stop_signal(); i++) {
        next_sound(&q, i);
        err = compare_codec(&q);
        if (!err && q.way[SAME].lm)
            err = compare_lm(&q, i);
        out->n_frame++;
        app_progress("quality", i + 1, s->n_step);
    }
    close_quality(&q);
    return err;
}

/* Report. */

static void add_row(struct buf *out, const char *what, const char *than, const struct bench_gap *g,
                    bool as_json)
{
    double n = g->n ? (double)g->n : 1, same = (double)g->n_same / n, mean = g->kl_sum / n;

    if (g->n == 0)
        return;
    if (as_json)
        buf_add_fmt(out,
                    ", \"%s_%s\": {\"mean_kl\": %.6g, \"max_kl\": %.6g, \"same_argmax\": %.5f}",
                    what, than, mean, g->kl_max, same);
    else
        buf_add_fmt(out, "%-6s %-16s %12.2e %12.2e %10.2f %%\n", what, than, mean, g->kl_max,
                    100 * same);
}

void bench_quality_report(struct buf *out, const struct bench_quality *q, bool as_json)
{
    static const char *const than[] = { "same_weights", "stored_weights" };
    double                   same = q->n_code ? (double)q->n_same_code / (double)q->n_code : 0;
    double snr_db = q->gap_power > 0 ? 10 * log10(q->sound_power / q->gap_power) : INFINITY;

    if (!as_json && q->text[0].n > 0)
        buf_add_fmt(out, "%-6s %-16s %12s %12s %12s\n", "", "exact, of", "mean KL", "max KL",
                    "same argmax");
    for (int i = 0; i < BENCH_EXACT_COUNT; i++) {
        add_row(out, "text", than[i], &q->text[i], as_json);
        add_row(out, "audio", than[i], &q->audio[i], as_json);
    }
    if (as_json)
        buf_add_fmt(out, ", \"codec\": {\"same_codes\": %.5f, \"snr_db\": %.2f}", same,
                    isfinite(snr_db) ? snr_db : 999);
    else
        buf_add_fmt(out,
                    "codec: %.2f %% of the codes are the same; sound from the same codes "
                    "differs by %.1f dB\n",
                    100 * same, -snr_db);
}
