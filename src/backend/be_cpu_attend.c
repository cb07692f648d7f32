/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "backend/be_cpu.h"
#include "base/mem.h"

#define ROPE_AS_REFERENCE 65536 /* positions; no published context is longer */

/* Cosines and sines of the step's rows, the same in every layer of a model: made once a step and
 * kept until it ends. Positions and angles are f32 products, as the reference computes them: at
 * position 3000 the rounding of the angle is larger than that of the cosine. */
struct angles {
    struct angles *next; /* of this step, for other ropes or rows */
    struct rope    rope;
    int            n_row, n_pair;
    int64_t       *at;        /* [n_row] positions */
    float         *freq;      /* [n_pair] */
    float         *cos, *sin; /* [n_row, n_pair] */
};

static int64_t position(const struct be *be, const struct kv *kv, int row, int n_each)
{
    return kv->n_seen[be->step.lane[row / n_each]] + row % n_each;
}

static bool is_for(const struct angles *g, const struct be *be, const struct kv *kv,
                   const struct rope *r, int n_row)
{
    if (g->n_row != n_row || g->n_pair != kv->d_head / 2 || g->rope.max_period != r->max_period ||
        g->rope.time_scale != r->time_scale)
        return false;
    for (int i = 0; i < n_row; i++)
        if (g->at[i] != position(be, kv, i, be_rows_each(be, n_row)))
            return false;
    return true;
}

static void angle_rows(void *arg, int i, int n)
{
    const struct angles *g = arg;
    int                  from, to;
    be_cpu_slice(&from, &to, g->n_row * g->n_pair, i, n);
    for (; from < to; from++) {
        int64_t at = g->at[from / g->n_pair];
        float   freq = g->freq[from % g->n_pair];
        float   angle = freq * ((float)at * g->rope.time_scale);
        /* As the reference rounds it; days into a talk that would turn neighbours apart. */
        if (at > ROPE_AS_REFERENCE)
            angle = (float)fmod((double)freq * (double)at * g->rope.time_scale, 2 * M_PI);
        g->cos[from] = cosf(angle);
        g->sin[from] = sinf(angle);
    }
}

/* NULL when there is no rope, or no memory (then the step has failed). */
static const struct angles *angles_of(struct be *be, const struct kv *kv, const struct rope *r,
                                      int n_row)
{
    int n_pair = kv->d_head / 2, n_each = be_rows_each(be, n_row);
    if (r->kind == ROPE_NONE)
        return NULL;
    for (const struct angles *g = be->angles; g; g = g->next)
        if (is_for(g, be, kv, r, n_row))
            return g;
    struct angles *g = be_lasting(be, sizeof *g);
    int64_t       *at = be_lasting(be, (size_t)n_row * sizeof *at);
    float *freq = be_lasting(be, mem_size((size_t)(2 * n_row + 1) * (size_t)n_pair, sizeof *freq));
    if (be->err)
        return NULL;
    *g = (struct angles){ be->angles, *r, n_row, n_pair, at, freq, NULL, NULL };
    g->cos = g->freq + n_pair;
    g->sin = g->cos + (size_t)n_row * (size_t)n_pair;
    float step = (float)(-log((double)r->max_period) * 2 / kv->d_head);
    for (int p = 0; p < n_pair; p++)
        g->freq[p] = expf((float)p * step);
    for (int i = 0; i < n_row; i++)
        g->at[i] = position(be, kv, i, n_each);
    be_cpu_run(be, (int64_t)n_row * n_pair * 100, angle_rows, g);
    be->angles = g;
    return g;
}

/* Attention of a step: a head of a lane is one piece of work, from its keys' turning to its
 * queries' output, so that nothing has to wait in between. */
struct attention {
    float               *y; /* [n_row, n_head * d] */
    const struct tensor *qkv;
    struct kv           *kv;
    const struct attend *a;
    const struct step   *step;
    const struct angles *angles;
    int                  n_each;
    float               *score; /* [n_thread, n_score] */
    size_t               n_score;
    int16_t             *code;   /* [n_thread, d]: a query against int8 keys */
    atomic_int           n_more; /* heads of lanes, after one each, for whoever is free */
};

static float *row_of(const struct attention *j, int row)
{
    return j->qkv->p + (size_t)row * (size_t)j->qkv->n_col;
}

static void rotate(const struct attention *j, float *x, int row)
{
    const struct angles *g = j->angles;
    if (g)
        kern.rope_f32(x, g->cos + (size_t)row * (size_t)g->n_pair,
                      g->sin + (size_t)row * (size_t)g->n_pair, g->n_pair,
                      j->a->rope.kind == ROPE_INTERLEAVED);
}

/* All keys and values of the step, before any query looks. */
static void append(const struct attention *j, int a, int head)
{
    int    lane = j->step->lane[a];
    size_t d = (size_t)j->kv->d_head, n_kv = (size_t)j->kv->n_head * d;
    for (int t = 0; t < j->n_each; t++) {
        int    row = a * j->n_each + t;
        float *k = row_of(j, row) + ((size_t)j->a->n_head + (size_t)head) * d;
        rotate(j, k, row);
        kv_write(j->kv, lane, head, j->kv->n_seen[lane] + t, k, k + n_kv);
    }
}

/* A head of keys, and what its thread does next: -1 or another. */
struct head {
    int lane, head, next_lane, next_head;
};

/* While `rows`, the at-th of n and those that follow, are read, as many of a head's rows in another
 * ring are asked for: a part of each quarter of them, since memory serves several streams best. */
static void ask_for(struct kern_rows *rows, const struct kv *kv, const uint8_t *ring, int lane,
                    int head, int at, int n)
{
    const uint8_t *first = kv_rows(kv, ring, lane, head, 0).p;
    size_t         n_block = ((size_t)n + KV_BLOCK - 1) / KV_BLOCK, line = 64;
    rows->ahead = first + (size_t)(at / KV_BLOCK) * kv->block_size / 4 / line * line;
    rows->apart = n_block * kv->block_size / 4 / line * line;
}

/* One query against the keys at [first, end); i: the thread. Memory is asked for values while keys
 * are scored and for the next head's keys while values are mixed: so neither waits for it. */
static void attend_one(const struct attention *j, float *y, const float *q, struct head h,
                       int64_t first, int64_t end, int i)
{
    int              n = (int)(end - first), d = j->kv->d_head, n_run;
    bool             is_i8 = j->kv->dtype == DT_I8;
    float           *score = j->score + (size_t)i * j->n_score, scale = j->a->scale;
    int16_t         *code = j->code + (size_t)i * (size_t)d;
    int              n_slot = j->kv->n_slot, first_slot = (int)(first % n_slot);
    struct kern_rows k, v;
    if (is_i8)
        scale *= kern.quantise_query(code, q, d);
    for (int at = 0, slot = first_slot; at < n; at += n_run, slot += n_run) {
        slot = slot < n_slot ? slot : 0;
        n_run = kv_run(j->kv, h.lane, h.head, slot, n - at, &k, &v);
        ask_for(&k, j->kv, j->kv->v, h.lane, h.head, at, n);
        if (is_i8)
            kern.attend_score_i8(score + at, code, k, n_run, d, scale);
        else
            kern.attend_score(score + at, q, k, n_run, d, scale);
    }
    kern.softmax_f32(score, n);
    memset(y, 0, (size_t)d * sizeof *y);
    for (int at = 0, slot = first_slot; at < n; at += n_run, slot += n_run) {
        slot = slot < n_slot ? slot : 0;
        n_run = kv_run(j->kv, h.lane, h.head, slot, n - at, &k, &v);
        if (h.next_head >= 0)
            ask_for(&v, j->kv, j->kv->k, h.next_lane, h.next_head, at, n);
        (is_i8 ? kern.attend_mix_i8 : kern.attend_mix)(y, score + at, v, n_run, d);
    }
}

/* The queries that share a head of keys. */
static void attend_head(const struct attention *j, int a, int kv_head, int next, int thread)
{
    const struct kv *kv = j->kv;
    int              lane = j->step->lane[a], n_group = j->a->n_head / kv->n_head;
    size_t           d = (size_t)kv->d_head;
    struct head      h = { lane, kv_head, -1, -1 };
    append(j, a, kv_head);
    for (int i = 0; i < j->n_each * n_group; i++) {
        int     t = i / n_group, row = a * j->n_each + t;
        size_t  head = (size_t)kv_head * (size_t)n_group + (size_t)(i % n_group);
        int64_t q = kv->n_seen[lane] + t;
        int64_t end = j->a->frame_rule ? kv->n_seen[lane] + j->n_each - 1 : q;
        int64_t first = end - j->a->context + 1 > 0 ? end - j->a->context + 1 : 0;
        if (end - kv->n_slot + 1 > first) /* a ring shorter than the context */
            first = end - kv->n_slot + 1;
        rotate(j, row_of(j, row) + head * d, row);
        if (next >= 0 && i == j->n_each * n_group - 1) {
            h.next_lane = j->step->lane[next / kv->n_head];
            h.next_head = next % kv->n_head;
        }
        attend_one(j, j->y + ((size_t)row * (size_t)j->a->n_head + head) * d,
                   row_of(j, row) + head * d, h, first, q + 1, thread);
    }
}

static void attend_slice(void *arg, int i, int n)
{
    struct attention *j = arg;
    int               n_head = j->kv->n_head, n_all = j->step->n_lane * n_head;
    for (int k = i, next; k < n_all; k = next) {
        next = n + atomic_fetch_add_explicit(&j->n_more, 1, memory_order_relaxed);
        attend_head(j, k / n_head, k % n_head, next < n_all ? next : -1, i);
    }
}

/* Where the threads begin to read: the keys of a head each. */
static struct ahead ahead_of(const struct kv *kv, int lane, int n_key)
{
    int64_t n_seen = kv->n_seen[lane], first = n_seen >= n_key ? n_seen + 1 - n_key : 0;
    size_t  size = (size_t)((n_seen < n_key ? n_seen : n_key) / KV_BLOCK) * kv->block_size;
    return (struct ahead){ .job = kv->k,
                           .p = kv_rows(kv, kv->k, lane, 0, (int)(first % kv->n_slot)).p,
                           .each = kv->head_size,
                           .size = size < AHEAD_SIZE ? size : AHEAD_SIZE,
                           .n_stream = 1 };
}

void be_cpu_attend(struct be *be, struct tensor *y, struct tensor *qkv, struct kv *kv,
                   const struct attend *a)
{
    int              n_score = a->context < kv->n_slot ? a->context : kv->n_slot;
    struct attention j = { .y = y->p,
                           .qkv = qkv,
                           .kv = kv,
                           .a = a,
                           .step = &be->step,
                           .angles = angles_of(be, kv, &a->rope, qkv->n_row),
                           .n_each = be_rows_each(be, y->n_row) };
    j.n_score = ((size_t)n_score + 15) / 16 * 16; /* for the largest step, so that none allocates */
    j.score = be_scratch_bytes(be, mem_size((size_t)be->n_thread, j.n_score * sizeof *j.score));
    j.code = be_scratch_bytes(be, (size_t)be->n_thread * (size_t)kv->d_head * sizeof *j.code);
    if (be->err)
        return;
    int64_t n_key = 0;
    for (int l = 0; l < be->step.n_lane; l++) {
        int64_t n = kv->n_seen[be->step.lane[l]] + j.n_each;
        n_key += n < n_score ? n : n_score;
    }
    struct ahead own = ahead_of(kv, be->step.lane[0], n_score);
    int64_t      n_flop = n_key * j.n_each * a->n_head * kv->d_head * 4;
    if (own.size > 0)
        be_cpu_run_ahead(be, n_flop, attend_slice, &j, &own);
    else /* few keys: what the job before it asks for is the matrix behind it, as that one knows */
        be_cpu_run(be, n_flop, attend_slice, &j);
    for (int l = 0; l < be->step.n_lane; l++)
        kv->n_seen[be->step.lane[l]] += j.n_each;
}

struct cross {
    float               *y;
    const struct tensor *q;
    const float *const *k, *const *v;
    const int *n_src;
    int        n_head, n_each;
    float      scale;
    float     *score;
    size_t     n_score;
};

static void cross_slice(void *arg, int i, int n)
{
    const struct cross *j = arg;
    int                 d = j->q->n_col / j->n_head, from, to;
    be_cpu_slice(&from, &to, j->q->n_row * j->n_head, i, n);
    for (; from < to; from++) {
        int    a = from / j->n_head / j->n_each;
        size_t head = (size_t)(from % j->n_head) * (size_t)d, at = (size_t)from * (size_t)d;
        kern.attend_f32(j->y + at, j->score + (size_t)i * j->n_score, j->q->p + at, j->k[a] + head,
                        j->v[a] + head, j->n_src[a], 0, j->n_src[a], d, j->q->n_col, j->scale);
    }
}

void be_cpu_attend_cross(struct be *be, struct tensor *y, const struct tensor *q,
                         const float *const *k, const float *const *v, const int *n_src, int n_head,
                         float scale)
{
    int n_max = 0, n_lane = be->step.n_lane, n_each = be_rows_each(be, q->n_row);
    for (int a = 0; a < n_lane; a++)
        n_max = n_src[a] > n_max ? n_src[a] : n_max;
    struct cross j = { .y = y->p,
                       .q = q,
                       .k = k,
                       .v = v,
                       .n_src = n_src,
                       .n_head = n_head,
                       .n_each = n_each,
                       .scale = scale };
    j.n_score = ((size_t)n_max + 15) / 16 * 16;
    j.score = be_scratch_bytes(be, mem_size((size_t)be->n_thread, j.n_score * sizeof *j.score));
    if (!be->err)
        be_cpu_run(be, (int64_t)q->n_row * q->n_col * n_max * 4, cross_slice, &j);
}
