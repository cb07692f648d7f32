/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "backend/be_cpu.h"
#include "base/mem.h"

/* Cosines and sines of the step's rows: cos [n_row, n_pair], then sin [n_row, n_pair]. Positions
 * and angles are f32 products, as the reference computes them: at position 3000 the rounding of
 * the angle is larger than that of the cosine. */
struct angles {
    const struct kv   *kv;
    const struct step *step;
    const struct rope *rope;
    int                n_row, n_each;
    float             *freq; /* [n_pair] */
    float             *cos, *sin;
};

static void angle_rows(void *arg, int i, int n)
{
    const struct angles *j = arg;
    int                  from, to, n_pair = j->kv->d_head / 2;
    be_cpu_slice(&from, &to, j->n_row, i, n);
    for (int r = from; r < to; r++) {
        int64_t at = j->kv->n_seen[j->step->lane[r / j->n_each]] + r % j->n_each;
        float   pos = (float)at * j->rope->time_scale;
        for (int p = 0; p < n_pair; p++) {
            j->cos[(size_t)r * (size_t)n_pair + (size_t)p] = cosf(j->freq[p] * pos);
            j->sin[(size_t)r * (size_t)n_pair + (size_t)p] = sinf(j->freq[p] * pos);
        }
    }
}

static bool make_angles(struct be *be, struct angles *j)
{
    int            n_pair = j->kv->d_head / 2;
    struct tensor *t = be_scratch(be, 2 * j->n_row + 1, n_pair);
    if (be->err)
        return false;
    j->freq = t->p;
    j->cos = j->freq + n_pair;
    j->sin = j->cos + (size_t)j->n_row * (size_t)n_pair;
    float step = (float)(-log((double)j->rope->max_period) * 2 / j->kv->d_head);
    for (int p = 0; p < n_pair; p++)
        j->freq[p] = expf((float)p * step);
    be_cpu_run(be, (int64_t)j->n_row * n_pair * 100, angle_rows, j);
    return true;
}

struct rotate {
    struct tensor       *qkv;
    const struct angles *angles;
    int                  n_head; /* queries and keys */
    bool                 is_interleaved;
};

static void rotate_slice(void *arg, int i, int n)
{
    const struct rotate *j = arg;
    int                  d = j->angles->kv->d_head, from, to;
    be_cpu_slice(&from, &to, j->qkv->n_row * j->n_head, i, n);
    for (; from < to; from++) {
        size_t row = (size_t)(from / j->n_head), at = row * (size_t)(d / 2);
        float *x = j->qkv->p + row * (size_t)j->qkv->n_col + (size_t)(from % j->n_head) * (size_t)d;
        kern.rope_f32(x, j->angles->cos + at, j->angles->sin + at, d / 2, j->is_interleaved);
    }
}

void be_cpu_rope(struct be *be, struct tensor *qkv, const struct kv *kv, int n_head,
                 const struct rope *r)
{
    struct angles angles = { .kv = kv,
                             .step = &be->step,
                             .rope = r,
                             .n_row = qkv->n_row,
                             .n_each = be_rows_each(be, qkv->n_row) };
    if (!make_angles(be, &angles))
        return;
    struct rotate j = { qkv, &angles, n_head + kv->n_head, r->kind == ROPE_INTERLEAVED };
    be_cpu_run(be, (int64_t)qkv->n_row * j.n_head * kv->d_head * 3, rotate_slice, &j);
}

struct attention {
    float               *y; /* [n_row, n_head * d] */
    const struct tensor *qkv;
    struct kv           *kv;
    const struct attend *a;
    const struct step   *step;
    int                  n_each;
    float               *score; /* [n_thread, n_score] */
    size_t               n_score;
};

static float *ring_row(const struct kv *kv, float *ring, int lane, int head, int64_t pos)
{
    size_t at = ((size_t)lane * (size_t)kv->n_head + (size_t)head) * (size_t)kv->n_slot +
                (size_t)(pos % kv->n_slot);
    return ring + at * (size_t)kv->d_head;
}

/* All keys and values of the step, before any query looks. */
static void append(const struct attention *j)
{
    struct kv *kv = j->kv;
    size_t     d = (size_t)kv->d_head;
    for (int r = 0; r < j->qkv->n_row; r++) {
        int          lane = j->step->lane[r / j->n_each];
        int64_t      pos = kv->n_seen[lane] + r % j->n_each;
        const float *k = j->qkv->p + (size_t)r * (size_t)j->qkv->n_col + (size_t)j->a->n_head * d;
        for (int h = 0; h < kv->n_head; h++) {
            memcpy(ring_row(kv, kv->k, lane, h, pos), k + (size_t)h * d, d * sizeof *k);
            memcpy(ring_row(kv, kv->v, lane, h, pos), k + (size_t)(kv->n_head + h) * d,
                   d * sizeof *k);
        }
    }
}

static void attend_slice(void *arg, int i, int n)
{
    const struct attention *j = arg;
    const struct kv        *kv = j->kv;
    int                     n_head = j->a->n_head, d = kv->d_head, from, to;
    be_cpu_slice(&from, &to, j->qkv->n_row * n_head, i, n);
    for (; from < to; from++) {
        int     row = from / n_head, head = from % n_head;
        int     lane = j->step->lane[row / j->n_each];
        int     kv_head = head / (n_head / kv->n_head);
        int64_t q = kv->n_seen[lane] + row % j->n_each;
        int64_t end = j->a->frame_rule ? kv->n_seen[lane] + j->n_each - 1 : q;
        int64_t first = end - j->a->context + 1 > 0 ? end - j->a->context + 1 : 0;
        if (end - kv->n_slot + 1 > first) /* a ring shorter than the context */
            first = end - kv->n_slot + 1;
        kern.attend_f32(j->y + ((size_t)row * (size_t)n_head + (size_t)head) * (size_t)d,
                        j->score + (size_t)i * j->n_score,
                        j->qkv->p + (size_t)row * (size_t)j->qkv->n_col + (size_t)head * (size_t)d,
                        ring_row(kv, kv->k, lane, kv_head, 0),
                        ring_row(kv, kv->v, lane, kv_head, 0), (int)(q - first + 1),
                        (int)(first % kv->n_slot), kv->n_slot, d, d, j->a->scale);
    }
}

void be_cpu_attend(struct be *be, struct tensor *y, const struct tensor *qkv, struct kv *kv,
                   const struct attend *a)
{
    int              n_score = a->context < kv->n_slot ? a->context : kv->n_slot;
    struct attention j = { .y = y->p,
                           .qkv = qkv,
                           .kv = kv,
                           .a = a,
                           .step = &be->step,
                           .n_each = be_rows_each(be, y->n_row) };
    j.n_score = ((size_t)n_score + 15) / 16 * 16; /* for the largest step, so that none allocates */
    j.score = be_scratch_bytes(be, mem_size((size_t)be->n_thread, j.n_score * sizeof *j.score));
    if (be->err)
        return;
    append(&j);
    int64_t n_key = 0;
    for (int l = 0; l < be->step.n_lane; l++) {
        int64_t n = kv->n_seen[be->step.lane[l]] + j.n_each;
        n_key += n < n_score ? n : n_score;
    }
    be_cpu_run(be, n_key * j.n_each * a->n_head * kv->d_head * 4, attend_slice, &j);
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
