/* SPDX-License-Identifier: MIT */
/* Convolutions: against plain loops in double over the whole stream, and streaming in pieces of
 * any size against one long call, bit for bit. */
#include "backend/ops.h"
#include "scene.h"

#define LANES    3
#define MAX_ROWS 80

struct conv_case {
    struct conv c;
    int         n_total; /* input rows of a lane */
};

struct stream {
    float x[MAX_ROWS * 32], y[MAX_ROWS * 8 * 32];
};

/* Plain weights, rows (out, tap, in) or, transposed, (tap, out, in); depthwise without the `in`. */
static float *plain_weights(const struct conv *c)
{
    return scene_floats((size_t)c->kernel * (size_t)c->n_out *
                        (size_t)(c->groups > 1 ? 1 : c->n_in));
}

/* Row `row` of the product: see struct conv. */
static void product_row(float *out, const struct conv *c, const float *w, int row)
{
    int o = row % c->n_out, phase = row / c->n_out, n_tap = conv_n_tap(c);
    for (int b = 0; b < n_tap; b++) {
        int tap = c->is_transposed ? phase + (n_tap - 1 - b) * c->stride : b;
        int at = c->is_transposed ? tap * c->n_out + o : o * c->kernel + tap;
        for (int i = 0; i < c->n_in; i++)
            out[b * c->n_in + i] = tap < c->kernel ? w[at * c->n_in + i] : 0;
    }
}

static void *panels_of(const struct conv *c, const float *w)
{
    size_t   size = panel_size(c->w.dtype, c->w.n_in);
    uint8_t *all = aligned_alloc(64, ((size_t)panel_count(c->w.n_out) * size + 63) / 64 * 64);
    float   *rows = malloc(PANEL_ROWS * (size_t)c->w.n_in * sizeof *rows);
    for (int r = 0; r < c->w.n_out; r++) {
        product_row(rows + r % PANEL_ROWS * c->w.n_in, c, w, r);
        if (r % PANEL_ROWS == PANEL_ROWS - 1 || r == c->w.n_out - 1)
            panel_pack(all + (size_t)(r / PANEL_ROWS) * size, c->w.dtype, c->w.n_in, rows,
                       r % PANEL_ROWS + 1, 0, c->w.n_in);
    }
    free(rows);
    return all;
}

/* What the conv reads out of plain weights and a bias, which free_conv() frees. */
static void fill_conv(struct conv *c, const float *w, const float *bias)
{
    int    n_phase = c->is_transposed ? c->stride : 1, n = c->n_out;
    float *all = malloc((size_t)(n_phase * n) * sizeof *all);
    for (int i = 0; i < n_phase * n; i++)
        all[i] = bias[i % n];
    c->bias = all;
    if (c->groups > 1) {
        float *taps = malloc((size_t)(c->kernel * n) * sizeof *taps);
        for (int i = 0; i < c->kernel * n; i++)
            taps[i] = c->is_transposed ? w[i] : w[i % n * c->kernel + i / n];
        c->taps = taps;
        return;
    }
    c->w.n_out = n_phase * n;
    c->w.n_in = conv_n_tap(c) * c->n_in;
    c->w.data = panels_of(c, w);
}

static void free_conv(struct conv *c)
{
    free((void *)(uintptr_t)c->w.data);
    free((void *)(uintptr_t)c->taps);
    free((void *)(uintptr_t)c->bias);
}

/* Input row t of a lane, as the conv pads it on the left. */
static float padded(const struct conv *c, const float *x, int t, int i)
{
    if (t < 0)
        return c->pad == CONV_PAD_REPLICATE ? x[i] : 0;
    return x[t * c->n_in + i];
}

static double conv_exact(const struct conv *c, const float *w, const float *x, int t, int o)
{
    double sum = c->bias[o];
    int    n_state = (c->kernel - 1) * c->dilation + 1 - c->stride;
    for (int k = 0; k < c->kernel; k++) {
        int at = t * c->stride + k * c->dilation - n_state;
        if (c->groups > 1)
            sum += (double)w[o * c->kernel + k] * padded(c, x, at, o);
        else
            for (int i = 0; i < c->n_in; i++)
                sum += (double)w[(o * c->kernel + k) * c->n_in + i] * padded(c, x, at, i);
    }
    return sum;
}

static double transposed_exact(const struct conv *c, const float *w, const float *x, int r, int o)
{
    double sum = c->bias[o];
    for (int t = 0; t * c->stride <= r; t++) {
        int k = r - t * c->stride;
        if (k >= c->kernel)
            continue;
        if (c->groups > 1)
            sum += (double)w[k * c->n_out + o] * x[t * c->n_in + o];
        else
            for (int i = 0; i < c->n_in; i++)
                sum += (double)w[(k * c->n_out + o) * c->n_in + i] * x[t * c->n_in + i];
    }
    return sum;
}

static int rows_out(const struct conv *c, int n_in)
{
    return c->is_transposed ? n_in * c->stride : n_in / c->stride;
}

/* Steps `n_each` rows of the lanes in `set` from their places in their streams. */
static void step_lanes(struct be *be, const struct conv *c, struct conv_state *s,
                       struct stream *streams, int *at, int set, int n_each)
{
    int lanes[LANES], n_lane = 0, n_out = rows_out(c, n_each);
    for (int l = 0; l < LANES; l++)
        if (set >> l & 1)
            lanes[n_lane++] = l;
    be_begin(be, &(struct step){ n_lane, lanes });
    struct tensor *x = be_scratch(be, n_lane * n_each, c->n_in);
    struct tensor *y = be_scratch(be, n_lane * n_out, c->n_out);
    for (int a = 0; a < n_lane; a++)
        memcpy(x->p + a * n_each * c->n_in, streams[lanes[a]].x + at[lanes[a]] * c->n_in,
               (size_t)(n_each * c->n_in) * sizeof(float));
    op_conv(be, &(struct conv_out){ .y = y }, x, c, s);
    for (int a = 0; a < n_lane; a++) {
        memcpy(streams[lanes[a]].y + rows_out(c, at[lanes[a]]) * c->n_out,
               y->p + a * n_out * c->n_out, (size_t)(n_out * c->n_out) * sizeof(float));
        at[lanes[a]] += n_each;
    }
    CHECK(be_end(be) == OK);
}

/* One long call of lane 0 alone, then lanes of the same sound in pieces and in changing company. */
static void conv_scene(struct be *be, float *out, size_t *n, const void *arg)
{
    const struct conv_case *t = arg;
    static struct stream    whole, streams[LANES];
    struct conv             c = t->c;
    struct conv_state       s;
    float                  *w = plain_weights(&c), *bias = scene_floats((size_t)c.n_out);
    int                     at[LANES] = { 0 }, n_out = rows_out(&c, t->n_total);
    fill_conv(&c, w, bias);
    /* Of bf16 weights, and of what they meet where that is rounded too, eight bits are kept. */
    double bound = c.groups > 1 || c.w.dtype == DT_F32 ? 1e-5 : 0.01 * sqrt(c.w.n_in);
    scene_fill(whole.x, (size_t)(t->n_total * c.n_in));
    CHECK(conv_state_open(&s, &c, LANES) == OK);
    step_lanes(be, &c, &s, &whole, at, 1, t->n_total);
    for (int r = 0; r < n_out; r++)
        for (int o = 0; o < c.n_out; o++) {
            double want = c.is_transposed ? transposed_exact(&c, w, whole.x, r, o)
                                          : conv_exact(&c, w, whole.x, r, o);
            CHECK(fabs(whole.y[r * c.n_out + o] - want) < bound);
        }
    conv_state_reset(&s, 0);
    memset(at, 0, sizeof at);
    for (int l = 0; l < LANES; l++)
        memcpy(streams[l].x, whole.x, sizeof whole.x);
    for (int i = 0; at[0] < t->n_total || at[1] < t->n_total || at[2] < t->n_total; i++) {
        int n_each = c.is_transposed ? 1 + i % 3 : c.stride * (1 + i % 3), set = 1 + i * 5 % 7;
        for (int l = 0; l < LANES; l++)
            if (at[l] + n_each > t->n_total)
                set &= ~(1 << l);
        if (set)
            step_lanes(be, &c, &s, streams, at, set, n_each);
    }
    for (int l = 0; l < LANES; l++)
        CHECK(memcmp(streams[l].y, whole.y, (size_t)(n_out * c.n_out) * sizeof(float)) == 0);
    memcpy(out, whole.y, (size_t)(n_out * c.n_out) * sizeof *out);
    *n = (size_t)(n_out * c.n_out);
    conv_state_close(&s);
    free_conv(&c);
    free(w);
    free(bias);
}

static void run_cases(const struct conv_case *cases, size_t n_case, enum dtype dtype)
{
    for (size_t i = 0; i < n_case; i++) {
        struct conv_case one = cases[i];
        size_t           n = 0;
        one.c.w.dtype = dtype;
        scene_run(conv_scene, &one, &n);
    }
}

/*              n_in n_out kernel stride dilation groups */
#define CONV(...)                                                         \
    {                                                                     \
        __VA_ARGS__, CONV_PAD_ZERO, false, { 0 }, NULL, NULL, NULL, false \
    }
#define CONV_REPLICATE(...)                                                    \
    {                                                                          \
        __VA_ARGS__, CONV_PAD_REPLICATE, false, { 0 }, NULL, NULL, NULL, false \
    }
#define CONV_BACK(...)                                                   \
    {                                                                    \
        __VA_ARGS__, CONV_PAD_ZERO, true, { 0 }, NULL, NULL, NULL, false \
    }

static const struct conv_case forward[] = {
    { CONV(1, 20, 7, 1, 1, 1), 40 },  { CONV(5, 9, 3, 1, 1, 1), 30 },
    { CONV(8, 6, 1, 1, 1, 1), 20 },   { CONV(4, 6, 8, 4, 1, 1), 60 },
    { CONV(4, 6, 5, 5, 1, 1), 60 },   { CONV(3, 17, 3, 1, 4, 1), 40 },
    { CONV(3, 5, 4, 3, 2, 1), 48 },   { CONV(31, 1, 16, 2, 1, 1), 40 },
    { CONV(20, 33, 13, 1, 1, 1), 24 } /* state longer than a step */
};
static const struct conv_case back[] = {
    { CONV_BACK(5, 7, 8, 4, 1, 1), 20 },   { CONV_BACK(3, 17, 4, 2, 1, 1), 30 },
    { CONV_BACK(5, 4, 3, 3, 1, 1), 20 },   { CONV_BACK(6, 5, 11, 3, 1, 1), 20 },
    { CONV_BACK(16, 1, 16, 8, 1, 1), 12 }, { CONV_BACK(12, 12, 4, 2, 1, 12), 40 },
    { CONV_BACK(9, 9, 7, 2, 1, 9), 40 },   { CONV_BACK(2, 2, 5, 1, 1, 1), 40 },
};
#define N_FORWARD (sizeof forward / sizeof *forward)
#define N_BACK    (sizeof back / sizeof *back)

TEST(a_conv_in_pieces_is_the_conv)
{
    run_cases(forward, N_FORWARD, DT_F32);
}

/* Outside exact mode, where processors with products of bf16 round the signal. */
TEST(a_conv_of_bf16_in_pieces_is_about_the_conv)
{
    scene_is_fast = true;
    run_cases(forward, N_FORWARD, DT_BF16);
    run_cases(back, N_BACK, DT_BF16);
    scene_is_fast = false;
}

TEST(the_first_row_stands_for_those_before_it)
{
    static const struct conv_case cases[] = { { CONV_REPLICATE(6, 6, 4, 2, 1, 1), 40 },
                                              { CONV_REPLICATE(6, 5, 10, 5, 1, 1), 60 },
                                              { CONV_REPLICATE(7, 7, 4, 2, 1, 7), 40 } };
    run_cases(cases, sizeof cases / sizeof *cases, DT_F32);
}

TEST(a_depthwise_conv_is_one_too)
{
    static const struct conv_case cases[] = { { CONV(19, 19, 4, 2, 1, 19), 40 },
                                              { CONV(8, 8, 3, 1, 2, 8), 40 } };
    run_cases(cases, sizeof cases / sizeof *cases, DT_F32);
}

TEST(a_transposed_conv_in_pieces_is_the_conv)
{
    run_cases(back, N_BACK, DT_F32);
}

TEST(a_lane_that_is_reset_begins_anew)
{
    struct be           *be = scene_open(2);
    struct conv          c = CONV_REPLICATE(4, 3, 4, 2, 1, 1);
    struct conv_state    s;
    static struct stream streams[LANES];
    float               *w = plain_weights(&c), *bias = scene_floats(3), first[8 * 3];
    fill_conv(&c, w, bias);
    for (int l = 0; l < LANES; l++)
        scene_fill(streams[l].x, 16 * 4);
    memcpy(streams[2].x, streams[0].x, 16 * 4 * sizeof(float));
    CHECK(conv_state_open(&s, &c, LANES) == OK);
    for (int turn = 0; turn < 2; turn++) {
        int at[LANES] = { 0 };
        step_lanes(be, &c, &s, streams, at, 5, 16);
        CHECK(turn || memcmp(streams[0].y, streams[2].y, sizeof first) == 0);
        if (turn)
            CHECK(memcmp(streams[0].y, first, sizeof first) == 0);
        memcpy(first, streams[0].y, sizeof first);
        conv_state_reset(&s, 0);
    }
    CHECK(memcmp(streams[0].y, streams[2].y, sizeof first) != 0); /* lane 2 went on */
    conv_state_close(&s);
    free_conv(&c);
    free(w);
    free(bias);
    be_close(&be);
}

/* A conv with what may follow it: y = conv(x) + add and z = act(y), or z alone; y may be add. */
static void conv_out_scene(struct be *be, float *out, size_t *n, const void *arg)
{
    struct conv       c = *(const struct conv *)arg;
    struct conv_state s;
    int               lane[2] = { 0, 2 }, n_row = 2 * rows_out(&c, 12);
    float            *w = plain_weights(&c), *bias = scene_floats((size_t)c.n_out);
    fill_conv(&c, w, bias);
    float *scale = scene_floats((size_t)c.w.n_out);
    CHECK(conv_state_open(&s, &c, LANES) == OK);
    be_begin(be, &(struct step){ 2, lane });
    struct tensor *x = scene_tensor(be, 24, c.n_in), *add = scene_tensor(be, n_row, c.n_out);
    struct tensor *y = be_like(be, add), *sum = be_like(be, add), *z = be_like(be, add);
    op_conv(be, &(struct conv_out){ .y = y }, x, &c, &s);
    for (int i = 0; i < n_row * c.n_out; i++)
        y->p[i] = y->p[i] * scale[i % c.w.n_out] + add->p[i];
    c.scale = scale;
    conv_state_reset(&s, 0);
    conv_state_reset(&s, 2);
    op_conv(be, &(struct conv_out){ sum, z, add, ACT_ELU }, x, &c, &s);
    scene_put(out, n, sum);
    scene_put(out, n, z);
    for (int i = 0; i < n_row * c.n_out; i++) {
        float v = sum->p[i];
        CHECK(fabsf(v - y->p[i]) < 1e-6f);
        CHECK(fabsf(z->p[i] - (v > 0 ? v : expm1f(v))) < 1e-6f);
    }
    conv_state_reset(&s, 0);
    conv_state_reset(&s, 2);
    op_conv(be, &(struct conv_out){ add, y, add, ACT_ELU }, x, &c, &s);
    CHECK(memcmp(add->p, sum->p, sizeof(float) * (size_t)(n_row * c.n_out)) == 0);
    CHECK(memcmp(y->p, z->p, sizeof(float) * (size_t)(n_row * c.n_out)) == 0);
    CHECK(be_end(be) == OK);
    conv_state_close(&s);
    free_conv(&c);
    free(scale);
    free(w);
    free(bias);
}

TEST(what_follows_a_conv_is_done_with_it)
{
    static const struct conv convs[] = { CONV(5, 37, 3, 1, 1, 1), CONV(8, 20, 1, 1, 1, 1),
                                         CONV(4, 6, 4, 2, 2, 1), CONV_BACK(6, 9, 8, 4, 1, 1) };
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
        size_t n = 0;
        scene_run(conv_out_scene, &convs[i], &n);
    }
}

/* A linear layer is a conv of one tap and needs no state. */
static void linear_scene(struct be *be, float *out, size_t *n, const void *arg)
{
    struct conv c = CONV(21, 40, 1, 1, 1, 1);
    float      *w = plain_weights(&c), *bias = scene_floats(40);
    int         lane[3] = { 0, 1, 2 };
    fill_conv(&c, w, bias);
    be_begin(be, &(struct step){ 3, lane });
    struct tensor *x = scene_tensor(be, 6, 21), *y = be_scratch(be, 6, 40), *z = be_like(be, y);
    struct weight  m = { .n_out = 40, .n_in = 21, .data = w, .bias = bias };
    op_conv(be, &(struct conv_out){ .y = y }, x, &c, NULL);
    op_linear(be, z, x, &m);
    for (int i = 0; i < 6 * 40; i++)
        CHECK(fabsf(y->p[i] - z->p[i]) < 1e-6f);
    scene_put(out, n, y);
    CHECK(be_end(be) == OK);
    free_conv(&c);
    free(w);
    free(bias);
}

TEST(a_conv_of_one_tap_is_a_linear_layer)
{
    size_t n = 0;
    scene_run(linear_scene, NULL, &n);
}

/* bf16 weights are the numbers that they are. */
TEST(weights_may_be_bf16)
{
    struct be           *be = scene_open(1);
    struct conv          c = CONV_BACK(6, 7, 4, 2, 1, 1);
    struct conv_state    s;
    float               *w = plain_weights(&c), *bias = scene_floats(7), want[8 * 7];
    uint16_t             h[4 * 7 * 6];
    static struct stream streams[LANES];
    kern.f32_to_bf16(h, w, 4 * 7 * 6);
    kern.bf16_to_f32(w, h, 4 * 7 * 6);
    scene_fill(streams[0].x, 4 * 6);
    for (int turn = 0; turn < 2; turn++) {
        int at[LANES] = { 0 };
        c.w.dtype = turn ? DT_BF16 : DT_F32;
        fill_conv(&c, w, bias);
        CHECK(conv_state_open(&s, &c, LANES) == OK);
        step_lanes(be, &c, &s, streams, at, 1, 4);
        CHECK(!turn || memcmp(want, streams[0].y, sizeof want) == 0);
        memcpy(want, streams[0].y, sizeof want);
        conv_state_close(&s);
        free_conv(&c);
    }
    free(w);
    free(bias);
    be_close(&be);
}
