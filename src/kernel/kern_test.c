/* SPDX-License-Identifier: MIT */
#include "kernel/kern_test.h"

#include <math.h>
#include <string.h>

#include "kernel/isas.h"

#define N         83 /* odd, over one tile */
#define N_IN      96 /* of the tiles: a whole one and half of one */
#define N_ROW     19 /* a block of 16 and a rest */
#define N_VEC     3
#define N_I8      17
#define TILES_CAP 4608 /* 2 x 2 tiles of 8 bits, group 32 */
#define X_CAP     192  /* of one quantised vector */
#define OUT_CAP   320
#define PAIRS_CAP 6720 /* of WIDE_VEC vectors of N columns */
#define PANEL_IN  19   /* columns of the panels: 2 blocks of up to 20 */

/* A tall matrix, for one vector alone: 8, 4 and 2 streams of blocks, and a rest. */
#define TALL           227
#define TALL_IN        64
#define TALL_TILES_CAP 17280
#define FOLD           64 /* its results go into so many sums */

/* Panels of several blocks and more than a segment of columns, with more vectors than two tiles of
 * AMX have rows; of the same numbers. */
#define WIDE     50
#define WIDE_IN  290
#define WIDE_VEC 35

struct input {
    float    a[N_ROW * N_IN], b[N_VEC][N_IN];
    uint16_t bf16[N_ROW * N_IN], f16[N_ROW * N_IN];
    uint8_t  q8[TILES_CAP], q4[TILES_CAP];       /* groups of 32 */
    uint8_t  wide8[TILES_CAP], wide4[TILES_CAP]; /* of 64 */
    uint8_t  panel_f32[2 * 16 * 4 * PANEL_IN], panel_bf16[2 * 16 * 2 * (PANEL_IN + 1)];
    float    tall[TALL * TALL_IN];
    uint16_t tall_bf16[TALL * TALL_IN], tall_f16[TALL * TALL_IN];
    uint8_t  tall_tiles[4][TALL_TILES_CAP]; /* of tall_shape */
    uint8_t  wide_f32[4 * 16 * 4 * WIDE_IN], wide_bf16[4 * 16 * 2 * WIDE_IN];
};

static const struct quant_shape shape8 = { N_ROW, N_IN, 8, 32 };
static const struct quant_shape shape4 = { N_ROW, N_IN, 4, 32 };
static const struct quant_shape wide8 = { N_ROW, 64, 8, 64 };
static const struct quant_shape wide4 = { N_ROW, 64, 4, 64 };

static const struct quant_shape tall_shape[4] = { { TALL, TALL_IN, 8, 32 },
                                                  { TALL, TALL_IN, 8, 64 },
                                                  { TALL, TALL_IN, 4, 32 },
                                                  { TALL, TALL_IN, 4, 64 } };

struct vecs {
    float       *y[N_VEC];
    const float *x[N_VEC];
};

static struct vecs vecs_of(const struct input *in, float *out)
{
    struct vecs v;
    for (int m = 0; m < N_VEC; m++) {
        v.y[m] = out + m * N_ROW;
        v.x[m] = in->b[m];
    }
    return v;
}

/* Each result with a weight of its own among those of its sum. */
static void fold(float *out, const float *y)
{
    for (int r = 0; r < TALL; r++)
        out[r % FOLD] += (float)(1 + r / FOLD) * y[r];
}

/* One vector and the tall matrix, at out + 2 FOLD. */
#define RUN_TALL(name, matrix)                         \
    do {                                               \
        float        y[TALL], *yp = y;                 \
        const float *x = in->b[0];                     \
        k->name(&yp, &x, 1, matrix, TALL_IN, 0, TALL); \
        fold(out + 2 * FOLD, y);                       \
    } while (0)

#define CASE(name) static void run_##name(const struct kern *k, const struct input *in, float *out)

CASE(dot_f32)
{
    out[0] = k->dot_f32(in->a, in->b[0], N);
}
CASE(axpy_f32)
{
    k->axpy_f32(out, 0.7f, in->a, N);
}
CASE(add_f32)
{
    k->add_f32(out, in->a, N);
}
CASE(mul_add_f32)
{
    k->mul_add_f32(out, in->a, in->b[0], N);
}
CASE(linear_f32)
{
    struct vecs v = vecs_of(in, out);
    k->linear_f32(v.y, v.x, N_VEC, in->a, N, 1, N_ROW);
    RUN_TALL(linear_f32, in->tall);
}
CASE(linear_bf16)
{
    struct vecs v = vecs_of(in, out);
    k->linear_bf16(v.y, v.x, N_VEC, in->bf16, N, 1, N_ROW);
    RUN_TALL(linear_bf16, in->tall_bf16);
}
CASE(linear_f16)
{
    struct vecs v = vecs_of(in, out);
    k->linear_f16(v.y, v.x, N_VEC, in->f16, N, 1, N_ROW);
    RUN_TALL(linear_f16, in->tall_f16);
}
/* Two of tall_shape from `first` on, at out + 2 FOLD. */
static void run_tall_tiles(const struct kern *k, const struct input *in, float *out, int first)
{
    for (int i = first; i < first + 2; i++) {
        float        y[TALL], *yp = y;
        const float *x = in->b[0];
        (first ? k->linear_q4t : k->linear_q8t)(&yp, &x, 1, in->tall_tiles[i], tall_shape[i], 0,
                                                TALL);
        fold(out + (2 + i - first) * FOLD, y);
    }
}
CASE(linear_q8t)
{
    struct vecs v = vecs_of(in, out);
    k->linear_q8t(v.y, v.x, N_VEC, in->q8, shape8, 0, N_ROW);
    run_tall_tiles(k, in, out, 0);
}
CASE(linear_q4t)
{
    struct vecs v = vecs_of(in, out);
    k->linear_q4t(v.y, v.x, N_VEC, in->q4, shape4, 0, N_ROW);
    run_tall_tiles(k, in, out, 2);
}
/* More vectors than a tile of AMX has rows, each with a weight of its own in the sums of out. */
static void run_i8(const struct kern *k, const struct input *in, float *out, struct quant_shape s,
                   const void *tiles)
{
    _Alignas(64) uint8_t memory[N_I8][X_CAP];
    struct quant_x       x[N_I8];
    float                y[N_I8][N_ROW], *yp[N_I8];
    for (int m = 0; m < N_I8; m++) {
        yp[m] = y[m];
        quant_x_init(&x[m], memory[m], s.n_in);
        isa_c.quantise_x(&x[m], in->b[0] + m, s.n_in, s.bits);
    }
    (s.bits == 8 ? k->linear_q8t_i8 : k->linear_q4t_i8)(yp, x, N_I8, tiles, s, 0, N_ROW);
    for (int m = 0; m < N_I8; m++)
        for (int r = 0; r < N_ROW; r++)
            out[m % 2 * N_ROW + r] += (float)(m + 1) * y[m][r];
}
/* As run_tall_tiles(). */
static void run_tall_i8(const struct kern *k, const struct input *in, float *out, int first)
{
    for (int i = first; i < first + 2; i++) {
        _Alignas(64) uint8_t memory[X_CAP];
        struct quant_x       x;
        float                y[TALL], *yp = y;
        quant_x_init(&x, memory, TALL_IN);
        isa_c.quantise_x(&x, in->b[0], TALL_IN, tall_shape[i].bits);
        (first ? k->linear_q4t_i8 : k->linear_q8t_i8)(&yp, &x, 1, in->tall_tiles[i], tall_shape[i],
                                                      0, TALL);
        fold(out + (2 + i - first) * FOLD, y);
    }
}
CASE(linear_q8t_i8)
{
    run_i8(k, in, out, shape8, in->q8);
    run_i8(k, in, out + 2 * N_ROW, wide8, in->wide8);
    run_tall_i8(k, in, out, 0);
}
CASE(linear_q4t_i8)
{
    run_i8(k, in, out, shape4, in->q4);
    run_i8(k, in, out + 2 * N_ROW, wide4, in->wide4);
    run_tall_i8(k, in, out, 2);
}
static struct kern_bf16 packed(const struct kern *k, uint8_t *pairs, const uint16_t *const *x,
                               int n_vec, int n_in)
{
    must(kern_pairs_size(n_vec, n_in) <= PAIRS_CAP);
    if (k->pack_pairs)
        k->pack_pairs(pairs, x, n_vec, n_in, 0, kern_pairs_tiles(n_in));
    return (struct kern_bf16){ x, pairs, 0, n_vec };
}
/* More vectors than two tiles have columns, each with a weight of its own in the sums of out. */
static void run_many_pairs(const struct kern *k, const struct input *in, float *out)
{
    _Alignas(64) uint8_t pairs[PAIRS_CAP];
    const uint16_t      *x[WIDE_VEC];
    float                y[WIDE_VEC][N_ROW], *yp[WIDE_VEC];
    for (int m = 0; m < WIDE_VEC; m++) {
        yp[m] = y[m];
        x[m] = in->bf16 + m;
    }
    k->linear_bf16_bf16(yp, packed(k, pairs, x, WIDE_VEC, N), WIDE_VEC, in->bf16, N, 0, N_ROW);
    for (int m = 0; m < WIDE_VEC; m++)
        for (int r = 0; r < N_ROW; r++)
            out[r] += (float)(m + 1) / WIDE_VEC * y[m][r];
}
CASE(linear_bf16_bf16)
{
    _Alignas(64) uint8_t pairs[PAIRS_CAP];
    struct vecs          v = vecs_of(in, out);
    const uint16_t      *x[N_VEC] = { in->bf16, in->bf16 + N, in->bf16 + 2 * N };
    k->linear_bf16_bf16(v.y, packed(k, pairs, x, N_VEC, N), N_VEC, in->bf16, N, 1, N_ROW);
    float y[TALL], *yp = y;
    k->linear_bf16_bf16(&yp, packed(k, pairs, x, 1, TALL_IN), 1, in->tall_bf16, TALL_IN, 0, TALL);
    fold(out + 2 * FOLD, y);
    run_many_pairs(k, in, out + 3 * FOLD);
}
CASE(quantise_x)
{
    for (int bits = 4; bits <= 8; bits += 4, out += OUT_CAP / 2) {
        struct quant_x       x;
        _Alignas(64) uint8_t memory[X_CAP];
        quant_x_init(&x, memory, N);
        k->quantise_x(&x, in->a, N, bits);
        for (int i = 0; i < N; i++)
            out[i] = x.q[i];
        for (int i = 0; i < N_IN / 32; i++)
            out[N + i] = 100 * x.sum[i] + x.scale[i / 2];
    }
}
/* The second block is a narrow one; the activation's branch too. */
static void run_panel(const struct input *in, float *out, enum dtype dtype, panel_fn fn)
{
    const float           *x[N_VEC] = { in->b[0], in->b[1], in->b[2] };
    const struct panel_job j = { .x = x,
                                 .n_vec = N_VEC,
                                 .w = { dtype, N_ROW, PANEL_IN,
                                        dtype == DT_F32 ? in->panel_f32 : in->panel_bf16 },
                                 .bias = in->b[0] + 1,
                                 .scale = in->b[1] + 1,
                                 .add = in->a,
                                 .y = out,
                                 .z = out + N_VEC * N_ROW,
                                 .act = ACT_ELU };
    fn(&j, 0, panel_count(N_ROW));
}
/* Each vector with a weight of its own among the sums at out + 2 FOLD. */
static void run_wide_panel(const struct input *in, float *out, enum dtype dtype, panel_fn fn)
{
    float            y[WIDE_VEC][WIDE];
    const float     *x[WIDE_VEC];
    const void      *data = dtype == DT_F32 ? in->wide_f32 : in->wide_bf16;
    struct panel_job j = { x, WIDE_VEC, { dtype, WIDE, WIDE_IN, data }, .y = y[0] };
    for (int m = 0; m < WIDE_VEC; m++)
        x[m] = in->tall + m;
    fn(&j, 0, panel_count(WIDE));
    for (int m = 0; m < WIDE_VEC; m++)
        for (int r = 0; r < WIDE; r++)
            out[2 * FOLD + r] += (float)(m + 1) * y[m][r];
}
CASE(panel_f32)
{
    run_panel(in, out, DT_F32, k->panel_f32);
    run_wide_panel(in, out, DT_F32, k->panel_f32);
}
CASE(panel_bf16)
{
    run_panel(in, out, DT_BF16, k->panel_bf16);
    run_wide_panel(in, out, DT_BF16, k->panel_bf16);
}
CASE(panel_bf16_bf16)
{
    run_panel(in, out, DT_BF16, k->panel_bf16_bf16);
    run_wide_panel(in, out, DT_BF16, k->panel_bf16_bf16);
}
CASE(rms_norm_f32)
{
    k->rms_norm_f32(out, in->a, in->b[0], N, 1e-5f);
}
CASE(layer_norm_f32)
{
    k->layer_norm_f32(out, in->a, in->b[0], in->b[1], N, 1e-5f);
}
CASE(softmax_f32)
{
    memcpy(out, in->a, N * sizeof *out);
    k->softmax_f32(out, N);
}
CASE(act_f32)
{
    for (int act = 0; act < ACT_COUNT; act++) /* 11 each: a whole register and a rest */
        k->act_f32(out + 11 * act, in->a + 11 * act, 11, (enum act)act);
}
CASE(glu_f32)
{
    k->glu_f32(out, in->a, in->b[0], N, ACT_SILU);
}
CASE(rope_f32)
{
    memcpy(out, in->a, N * sizeof *out);
    k->rope_f32(out, in->b[0], in->b[1], 19, true);
    k->rope_f32(out + 40, in->b[0], in->b[1], 19, false);
}
CASE(attend_f32)
{
    float score[N_ROW];
    k->attend_f32(out, score, in->b[0], in->a, in->a + 13, 15, 9, N_ROW - 1, 13, 27, 0.3f);
}
CASE(attend_score)
{
    struct kern_rows f32 = { .dtype = DT_F32, .p = in->a },
                     bf16 = { .dtype = DT_BF16, .p = in->bf16 };
    k->attend_score(out, in->b[0], f32, 11, 13, 0.3f);
    k->attend_score(out + 11, in->b[0], bf16, 11, 13, 0.3f);
}
CASE(attend_mix)
{
    struct kern_rows f32 = { .dtype = DT_F32, .p = in->a },
                     bf16 = { .dtype = DT_BF16, .p = in->bf16 };
    k->attend_mix(out, in->b[0], f32, 11, 29);
    k->attend_mix(out + 29, in->b[0], bf16, 11, 29);
}
CASE(quantise_query)
{
    int16_t q[77];
    out[0] = k->quantise_query(q, in->a, 77);
    for (int i = 0; i < 77; i++)
        out[1 + i] = q[i];
}
/* Heads of an odd width and of the usual ones. */
CASE(attend_score_i8)
{
    static const int d[] = { 21, 64, 128 };
    struct kern_rows keys = { .dtype = DT_I8, .p = in->q8, .scale = in->b[1] };
    int16_t          q[128];
    for (int i = 0; i < 128; i++)
        q[i] = (int16_t)(in->a[i] * KERN_QUERY_MAX);
    for (int i = 0; i < 3; i++)
        k->attend_score_i8(out + 11 * i, q, keys, 11, d[i], 1e-5f);
}
CASE(attend_mix_i8)
{
    static const int d[] = { 99, 64, 128 };
    struct kern_rows values = { .dtype = DT_I8, .p = in->q8, .scale = in->b[1] };
    for (int i = 0; i < 3; out += d[i++])
        k->attend_mix_i8(out, in->b[0], values, 11, d[i]);
}
CASE(argmax_f32)
{
    out[0] = (float)k->argmax_f32(in->a, N);
}
CASE(nearest_f32)
{
    out[0] = (float)k->nearest_f32(in->b[0], in->a, 40, 37);
}
CASE(bf16_to_f32)
{
    k->bf16_to_f32(out, in->bf16, N);
}
CASE(f16_to_f32)
{
    k->f16_to_f32(out, in->f16, N);
}
CASE(f32_to_bf16)
{
    uint16_t h[N];
    k->f32_to_bf16(h, in->a, N);
    for (int i = 0; i < N; i++)
        out[i] = h[i];
}
CASE(quantise_f32)
{
    uint8_t codes[64];
    k->quantise_f32(codes, out, out + 2, in->a + 1, 2, 32, 15);
    for (int i = 0; i < 64; i++)
        out[4 + i] = codes[i];
}

static const struct {
    const char *name;
    void (*run)(const struct kern *k, const struct input *in, float *out);
} cases[] = {
#define K(type, name, args) { #name, run_##name },
    KERN_LIST(K)
#undef K
};

static float next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(int32_t)*seed * 0x1p-30f;
}

static void pack_panels(uint8_t *f32, uint8_t *bf16, const float *rows, int n_row, int n_in)
{
    for (int r = 0; r < n_row; r += PANEL_ROWS) {
        int n = n_row - r < PANEL_ROWS ? n_row - r : PANEL_ROWS;
        panel_pack(f32, DT_F32, n_in, rows + r * n_in, n, 0, n_in);
        panel_pack(bf16, DT_BF16, n_in, rows + r * n_in, n, 0, n_in);
        f32 += panel_size(DT_F32, n_in);
        bf16 += panel_size(DT_BF16, n_in);
    }
}

static void fill(struct input *in)
{
    uint32_t seed = 1;
    memset(in, 0, sizeof *in);
    for (int i = 0; i < N_ROW * N_IN; i++)
        in->a[i] = next(&seed);
    for (int i = 0; i < N_VEC * N_IN; i++)
        in->b[i / N_IN][i % N_IN] = next(&seed);
    isa_c.f32_to_bf16(in->bf16, in->a, N_ROW * N_IN);
    for (int i = 0; i < N_ROW * N_IN; i++) /* from 0.125 to 1.99, both signs */
        in->f16[i] = (uint16_t)(0x3000 + i * 37 % 0xfff + (i & 1) * 0x8000);
    pack_panels(in->panel_f32, in->panel_bf16, in->a, N_ROW, PANEL_IN);
    quant_pack_f32(in->q8, shape8, in->a, 0, N_ROW);
    quant_pack_f32(in->q4, shape4, in->a, 0, N_ROW);
    quant_pack_f32(in->wide8, wide8, in->a, 0, N_ROW);
    quant_pack_f32(in->wide4, wide4, in->a, 0, N_ROW);
    for (int i = 0; i < TALL * TALL_IN; i++) {
        in->tall[i] = next(&seed);
        in->tall_f16[i] = in->f16[i % (N_ROW * N_IN)];
    }
    isa_c.f32_to_bf16(in->tall_bf16, in->tall, TALL * TALL_IN);
    pack_panels(in->wide_f32, in->wide_bf16, in->tall, WIDE, WIDE_IN);
    for (int i = 0; i < 4; i++)
        quant_pack_f32(in->tall_tiles[i], tall_shape[i], in->tall, 0, TALL);
}

/* Equal up to the rounding of sums of about a hundred products. */
static bool is_near(const float *want, const float *got)
{
    float max = 0;
    for (int i = 0; i < OUT_CAP; i++)
        max = fmaxf(max, fabsf(want[i]));
    for (int i = 0; i < OUT_CAP; i++)
        if (!(fabsf(want[i] - got[i]) <= 2e-5f * max))
            return false;
    return true;
}

const char *kern_test(const struct kern *k)
{
    struct input in;
    fill(&in);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float want[OUT_CAP] = { 0 }, got[OUT_CAP] = { 0 };
        cases[i].run(&isa_c, &in, want);
        cases[i].run(k, &in, got);
        if (!is_near(want, got))
            return cases[i].name;
    }
    return NULL;
}
