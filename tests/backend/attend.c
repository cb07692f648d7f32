/* SPDX-License-Identifier: MIT */
/* Rope and attention, as streams: rings that wrap, lanes that come and go, the codec's frame rule,
 * keys and values in fewer bits. */
#include "backend/ops.h"
#include "kernel/isas.h"
#include "scene.h"

#define LANES   3
#define HISTORY 64

struct attend_case {
    int        n_head, n_kv_head, d, context, n_slot, n_each, n_step;
    bool       frame_rule;
    enum dtype dtype;
};

/* All keys and values of a lane since its reset, for the plain loop. */
struct history {
    int   n;
    float k[HISTORY][64], v[HISTORY][64];
};

static void attend_exact(double *out, const struct attend_case *c, const struct history *h,
                         const float *q, int head, int at, int end)
{
    double score[HISTORY], sum = 0;
    int    kv_head = head / (c->n_head / c->n_kv_head);
    for (int p = 0; p <= at; p++) {
        score[p] = 0;
        if (at - p >= c->context || (c->frame_rule && p <= end - c->context))
            continue;
        for (int i = 0; i < c->d; i++)
            score[p] += (double)q[i] * h->k[p][kv_head * c->d + i];
        sum += score[p] = exp(0.7 * score[p]);
    }
    for (int i = 0; i < c->d; i++) {
        out[i] = 0;
        for (int p = 0; p <= at; p++)
            out[i] += score[p] / sum * h->v[p][kv_head * c->d + i];
    }
}

/* What is left of a row of a head in fewer bits. */
static void keep_row(float *out, const float *x, int n, enum dtype dtype)
{
    float max = 0;
    for (int i = 0; i < n; i++)
        max = fmaxf(max, fabsf(x[i]));
    for (int i = 0; i < n; i++) {
        uint16_t h;
        out[i] = x[i];
        if (dtype == DT_BF16) {
            isa_c.f32_to_bf16(&h, x + i, 1);
            isa_c.bf16_to_f32(out + i, &h, 1);
        }
        if (dtype == DT_I8)
            out[i] = rintf(x[i] * (127 / max)) * (max / 127);
    }
}

static void check_lane(const struct attend_case *c, struct history *h, const float *qkv,
                       const float *y)
{
    int    n_kv = c->n_kv_head * c->d, n_q = c->n_head * c->d, first = h->n;
    double tolerance = c->dtype == DT_I8 ? 5e-4 : 1e-5; /* the query and the weights are codes */
    for (int t = 0; t < c->n_each; t++, h->n++) {
        must(h->n < HISTORY);
        const float *k = qkv + t * (n_q + 2 * n_kv) + n_q;
        for (int at = 0; at < n_kv; at += c->d) {
            keep_row(h->k[h->n] + at, k + at, c->d, c->dtype);
            keep_row(h->v[h->n] + at, k + n_kv + at, c->d, c->dtype);
        }
    }
    for (int t = 0; t < c->n_each; t++)
        for (int head = 0; head < c->n_head; head++) {
            double want[64];
            attend_exact(want, c, h, qkv + t * (n_q + 2 * n_kv) + head * c->d, head, first + t,
                         h->n - 1);
            for (int i = 0; i < c->d; i++)
                CHECK(fabs(y[t * n_q + head * c->d + i] - want[i]) < tolerance);
        }
}

/* Lanes 0, 1 and 2, of which a different set is active in each step; lane 1 begins anew once. */
static void attend_scene(struct be *be, float *out, size_t *n, const void *arg)
{
    const struct attend_case *c = arg;
    static struct history     history[LANES];
    struct attend             a = { c->n_head, c->context, c->frame_rule, 0.7f, { 0 } };
    struct kv                 kv;
    CHECK(kv_open(&kv, LANES, c->n_kv_head, c->d, c->n_slot, c->dtype) == OK);
    memset(history, 0, sizeof history);
    for (int s = 0; s < c->n_step; s++) {
        int lanes[LANES], n_lane = 0, set = 1 + s * 5 % 7;
        for (int l = 0; l < LANES; l++)
            if (set >> l & 1)
                lanes[n_lane++] = l;
        if (s == c->n_step / 2) {
            kv_reset(&kv, 1);
            history[1].n = 0;
        }
        be_begin(be, &(struct step){ n_lane, lanes });
        int            n_row = n_lane * c->n_each, n_col = (c->n_head + 2 * c->n_kv_head) * c->d;
        struct tensor *qkv = scene_tensor(be, n_row, n_col);
        struct tensor *y = be_scratch(be, n_row, c->n_head * c->d);
        op_attend(be, y, qkv, &kv, &a);
        for (int i = 0; i < n_lane; i++)
            check_lane(c, &history[lanes[i]], qkv->p + (size_t)i * (size_t)(c->n_each * n_col),
                       y->p + (size_t)i * (size_t)(c->n_each * y->n_col));
        for (int i = 0; i < n_lane; i++)
            CHECK_INT(kv.n_seen[lanes[i]], history[lanes[i]].n);
        scene_put(out, n, y);
        CHECK(be_end(be) == OK);
    }
    kv_close(&kv);
}

TEST(attention_sees_its_window_and_nothing_else)
{
    static const struct attend_case cases[] = {
        { 2, 2, 8, 6, 6, 1, 30, false, DT_F32 },  /* the ring is the context */
        { 2, 2, 8, 6, 11, 1, 30, false, DT_F32 }, /* a longer ring */
        { 4, 2, 5, 7, 9, 3, 15, false, DT_F32 },  /* heads repeat; context + T - 1 slots */
        { 4, 1, 16, 7, 30, 3, 15, false, DT_F32 },
        { 2, 2, 8, 6, 6, 2, 24, true, DT_F32 }, /* the codec: keys before queries, ring = context */
        { 3, 3, 4, 10, 10, 5, 9, true, DT_F32 },
        { 2, 1, 32, 4, 4, 4, 9, true, DT_F32 },     /* a step as long as the context */
        { 2, 2, 8, 100, 60, 2, 20, false, DT_F32 }, /* a context longer than the talk */
        { 2, 2, 8, 40, 40, 1, 60, false, DT_F32 },  /* blocks end inside the ring */
        { 2, 1, 16, 45, 50, 2, 30, true, DT_F32 },
        { 4, 2, 5, 40, 41, 2, 30, false, DT_BF16 },
        { 2, 2, 16, 45, 45, 1, 60, false, DT_BF16 },
        { 4, 2, 5, 40, 41, 2, 30, false, DT_I8 },
        { 2, 1, 16, 45, 45, 3, 20, true, DT_I8 }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t             n = 0;
        struct attend_case c = cases[i];
        if (c.context > c.n_slot)
            c.context = c.n_slot - c.n_each + 1;
        scene_run(attend_scene, &c, &n);
    }
}

/* What a lane hears does not depend on who else talks, nor on its number. */
TEST(a_lane_does_not_feel_the_lanes_beside_it)
{
    struct be    *be = scene_open(3);
    struct attend a = { 2, 6, false, 0.4f, { ROPE_INTERLEAVED, 10000, 1 } };
    struct kv     alone, among;
    float         mine[20][48], heard[20][16];
    int           all[] = { 0, 1, 2 };
    CHECK(kv_open(&alone, 1, 2, 8, 6, DT_F32) == OK && kv_open(&among, 3, 2, 8, 6, DT_F32) == OK);
    scene_fill(mine[0], 20 * 48);
    for (int s = 0; s < 20; s++) {
        be_begin(be, &be_one_lane);
        struct tensor *x = be_scratch(be, 1, 48), *y = be_scratch(be, 1, 16);
        memcpy(x->p, mine[s], sizeof mine[s]);
        op_attend(be, y, x, &alone, &a);
        memcpy(heard[s], y->p, sizeof heard[s]);
        CHECK(be_end(be) == OK);
    }
    for (int s = 0; s < 20; s++) {
        bool has_others = s % 3 != 1;
        be_begin(be, &(struct step){ has_others ? 3 : 1, has_others ? all : &all[1] });
        struct tensor *x = scene_tensor(be, has_others ? 3 : 1, 48);
        struct tensor *y = be_scratch(be, x->n_row, 16);
        int            row = has_others ? 1 : 0;
        memcpy(x->p + row * 48, mine[s], sizeof mine[s]);
        op_attend(be, y, x, &among, &a);
        CHECK(memcmp(heard[s], y->p + row * 16, sizeof heard[s]) == 0);
        CHECK(be_end(be) == OK);
    }
    kv_close(&alone);
    kv_close(&among);
    be_close(&be);
}

/* Step by step and all at once are the same talk, bit for bit. */
TEST(steps_of_one_and_of_many_are_the_same_bits)
{
    struct be    *be = scene_open(2);
    struct attend a = { 2, 9, false, 0.4f, { ROPE_HALVES, 500, 1 } };
    struct kv     one, many;
    float         x[24][48], y[24][16];
    CHECK(kv_open(&one, 1, 2, 8, 12, DT_F32) == OK && kv_open(&many, 1, 2, 8, 12, DT_F32) == OK);
    scene_fill(x[0], 24 * 48);
    for (int s = 0; s < 24; s++) {
        be_begin(be, &be_one_lane);
        struct tensor *in = be_scratch(be, 1, 48), *out = be_scratch(be, 1, 16);
        memcpy(in->p, x[s], sizeof x[s]);
        op_attend(be, out, in, &one, &a);
        memcpy(y[s], out->p, sizeof y[s]);
        CHECK(be_end(be) == OK);
    }
    for (int s = 0; s < 24; s += 4) {
        be_begin(be, &be_one_lane);
        struct tensor *in = be_scratch(be, 4, 48), *out = be_scratch(be, 4, 16);
        memcpy(in->p, x[s], 4 * sizeof x[s]);
        op_attend(be, out, in, &many, &a);
        CHECK(memcmp(out->p, y[s], 4 * sizeof y[s]) == 0);
        CHECK(be_end(be) == OK);
    }
    kv_close(&one);
    kv_close(&many);
    be_close(&be);
}

static void rope_scene(struct be *be, float *out, size_t *n, const void *arg)
{
    const struct rope *r = arg;
    struct kv          kv;
    int                lanes[] = { 0, 2 };
    CHECK(kv_open(&kv, 3, 2, 10, 8, DT_F32) == OK);
    kv.n_seen[0] = 5;
    kv.n_seen[2] = 3000;
    be_begin(be, &(struct step){ 2, lanes });
    struct tensor *x = scene_tensor(be, 4, (4 + 2 * 2) * 10), *x0 = be_like(be, x);
    memcpy(x0->p, x->p, 4 * 80 * sizeof(float));
    op_attend(be, be_scratch(be, 4, 40), x, &kv, &(struct attend){ 4, 8, true, 1, *r });
    for (int row = 0; row < 4; row++)
        for (int i = 0; i < 80; i++) {
            int    d = i % 10, half = r->kind == ROPE_HALVES;
            int    pair = half ? d % 5 : d / 2, is_im = half ? d >= 5 : d % 2;
            int    mate = half ? (is_im ? i - 5 : i + 5) : i ^ 1;
            double pos = ((row < 2 ? 5 : 3000) + row % 2) * (double)r->time_scale;
            double angle = pos * exp(-log(r->max_period) * 2 * pair / 10);
            double a = x0->p[row * 80 + i], b = x0->p[row * 80 + mate];
            double want = is_im ? b * sin(angle) + a * cos(angle) : a * cos(angle) - b * sin(angle);
            if (i >= 60) /* values are not rotated */
                CHECK(x->p[row * 80 + i] == x0->p[row * 80 + i]);
            else
                CHECK(fabs(x->p[row * 80 + i] - want) < 1e-6 + 2e-7 * pos);
        }
    scene_put(out, n, x);
    CHECK(be_end(be) == OK);
    kv_close(&kv);
}

TEST(rope_goes_on_from_each_lane)
{
    static const struct rope ropes[] = { { ROPE_INTERLEAVED, 10000, 1 },
                                         { ROPE_HALVES, 10000, 1 },
                                         { ROPE_INTERLEAVED, 500, 0.5f } };
    for (int i = 0; i < 3; i++) {
        size_t n = 0;
        scene_run(rope_scene, &ropes[i], &n);
    }
}

TEST(rope_of_no_kind_changes_nothing)
{
    struct be    *be = scene_open(1);
    struct kv     kv;
    struct attend a = { .n_head = 1, .context = 2, .scale = 1 };
    CHECK(kv_open(&kv, 1, 1, 7, 2, DT_F32) == OK);
    be_begin(be, &be_one_lane);
    struct tensor *x = scene_tensor(be, 1, 21), *y = be_like(be, x);
    memcpy(y->p, x->p, 21 * sizeof(float));
    op_attend(be, be_scratch(be, 1, 7), x, &kv, &a);
    CHECK(memcmp(y->p, x->p, 21 * sizeof(float)) == 0);
    CHECK(be_end(be) == OK);
    kv_close(&kv);
    be_close(&be);
}

/* Warming changes nothing that is there, and stops at the ring's end. */
/* What is no number must not become one by rounding. */
TEST(a_row_of_int8_keys_that_is_no_number_says_so)
{
    const float bad[] = { NAN, INFINITY, -INFINITY };
    struct kv   kv;

    CHECK(kv_open(&kv, 1, 1, 3, 4, DT_I8) == OK);
    for (int i = 0; i < 3; i++) {
        float k[3] = { 1, bad[i], -2 }, v[3] = { 1, 2, 3 };
        kv_write(&kv, 0, 0, i, k, v);
        struct kern_rows keys = kv_rows(&kv, kv.k, 0, 0, i), values = kv_rows(&kv, kv.v, 0, 0, i);
        CHECK(isnan(keys.scale[0]) && values.scale[0] == 3.0f / 127);
        CHECK(((const int8_t *)values.p)[2] == 127 && ((const int8_t *)keys.p)[0] == 0);
    }
    kv_close(&kv);
}

TEST(warming_a_ring_keeps_what_it_holds)
{
    struct kv        kv;
    struct kern_rows k, v;
    float            x[3] = { 1, -2, 3 };
    CHECK(kv_open(&kv, 2, 1, 3, 70, DT_F32) == OK);
    kv_warm(&kv, 1, 1);
    CHECK_INT(kv.n_warm[1], 1);
    for (int i = 0; i < 100; i++) {
        kv_write(&kv, 1, 0, i, x, x);
        kv.n_seen[1] = i + 1;
        kv_warm(&kv, 1, 5);
        CHECK_INT(kv_run(&kv, 1, 0, i % 70, 1, &k, &v), 1);
        CHECK(memcmp(k.p, x, sizeof x) == 0 && memcmp(v.p, x, sizeof x) == 0);
    }
    CHECK_INT(kv.n_warm[0], 0);
    CHECK_INT(kv.n_warm[1], 3);
    kv_reset(&kv, 1);
    kv_warm(&kv, 1, 1);
    CHECK_INT(kv.n_warm[1], 3);
    kv_close(&kv);
}

static void cross_scene(struct be *be, float *out, size_t *n, const void *arg)
{
    float       *k[2] = { scene_floats(19 * 24), scene_floats(7 * 24) };
    float       *v[2] = { scene_floats(19 * 24), scene_floats(7 * 24) };
    int          n_src[2] = { 19, 7 }, lanes[2] = { 1, 4 };
    const float *kp[2] = { k[0], k[1] }, *vp[2] = { v[0], v[1] };
    be_begin(be, &(struct step){ 2, lanes });
    struct tensor *q = scene_tensor(be, 4, 24), *y = be_like(be, q);
    op_attend_cross(be, y, q, kp, vp, n_src, 3, 0.6f);
    for (int row = 0; row < 4; row++)
        for (int c = 0; c < 24; c++) {
            double sum = 0, want = 0;
            for (int s = 0; s < n_src[row / 2]; s++) {
                double score = 0;
                for (int i = 0; i < 8; i++)
                    score += (double)q->p[row * 24 + c / 8 * 8 + i] *
                             k[row / 2][s * 24 + c / 8 * 8 + i];
                sum += score = exp(0.6 * score);
                want += score * v[row / 2][s * 24 + c];
            }
            CHECK(fabs(y->p[row * 24 + c] - want / sum) < 1e-5);
        }
    scene_put(out, n, y);
    CHECK(be_end(be) == OK);
    for (int i = 0; i < 2; i++) {
        free(k[i]);
        free(v[i]);
    }
}

TEST(cross_attention_sees_all_of_its_own_source)
{
    size_t n = 0;
    scene_run(cross_scene, NULL, &n);
}
