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
#define OUT_CAP   128
#define PANEL_IN  19 /* columns of the panels: 2 blocks of up to 20 */

struct input {
    float    a[N_ROW * N_IN], b[N_VEC][N_IN];
    uint16_t bf16[N_ROW * N_IN], f16[N_ROW * N_IN];
    uint8_t  q8[TILES_CAP], q4[TILES_CAP];       /* groups of 32 */
    uint8_t  wide8[TILES_CAP], wide4[TILES_CAP]; /* of 64 */
    uint8_t  panel_f32[2 * 16 * 4 * PANEL_IN], panel_bf16[2 * 16 * 2 * (PANEL_IN + 1)];
};

static const struct quant_shape shape8 = { N_ROW, N_IN, 8, 32 };
static const struct quant_shape shape4 = { N_ROW, N_IN, 4, 32 };
static const struct quant_shape wide8 = { N_ROW, 64, 8, 64 };
static const struct quant_shape wide4 = { N_ROW, 64, 4, 64 };

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
}
CASE(linear_bf16)
{
    struct vecs v = vecs_of(in, out);
    k->linear_bf16(v.y, v.x, N_VEC, in->bf16, N, 1, N_ROW);
}
CASE(linear_f16)
{
    struct vecs v = vecs_of(in, out);
    k->linear_f16(v.y, v.x, N_VEC, in->f16, N, 1, N_ROW);
}
CASE(linear_q8t)
{
    struct vecs v = vecs_of(in, out);
    k->linear_q8t(v.y, v.x, N_VEC, in->q8, shape8, 0, N_ROW);
}
CASE(linear_q4t)
{
    struct vecs v = vecs_of(in, out);
    k->linear_q4t(v.y, v.x, N_VEC, in->q4, shape4, 0, N_ROW);
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
CASE(linear_q8t_i8)
{
    run_i8(k, in, out, shape8, in->q8);
    run_i8(k, in, out + 2 * N_ROW, wide8, in->wide8);
}
CASE(linear_q4t_i8)
{
    run_i8(k, in, out, shape4, in->q4);
    run_i8(k, in, out + 2 * N_ROW, wide4, in->wide4);
}
CASE(linear_bf16_bf16)
{
    struct vecs     v = vecs_of(in, out);
    const uint16_t *x[N_VEC] = { in->bf16, in->bf16 + N, in->bf16 + 2 * N };
    k->linear_bf16_bf16(v.y, x, N_VEC, in->bf16, N, 1, N_ROW);
}
CASE(quantise_x)
{
    struct quant_x       x;
    _Alignas(64) uint8_t memory[X_CAP];
    quant_x_init(&x, memory, N);
    k->quantise_x(&x, in->a, N, 4);
    for (int i = 0; i < N; i++)
        out[i] = x.q[i];
    for (int i = 0; i < N_IN / 32; i++)
        out[N + i] = 100 * x.sum[i] + x.scale[i / 2];
}
/* The second block is a narrow one; the activation's branch too. */
static void run_panel(const struct input *in, float *out, enum dtype dtype,
                      void (*fn)(const struct panel_job *j, int block0, int block1))
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
CASE(panel_f32)
{
    run_panel(in, out, DT_F32, k->panel_f32);
}
CASE(panel_bf16)
{
    run_panel(in, out, DT_BF16, k->panel_bf16);
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
CASE(attend_score_i8)
{
    struct kern_rows keys = { .dtype = DT_I8, .p = in->q8, .scale = in->b[1] };
    int16_t          q[21];
    for (int i = 0; i < 21; i++)
        q[i] = (int16_t)(in->b[0][i] * KERN_QUERY_MAX);
    k->attend_score_i8(out, q, keys, 11, 21, 1e-5f);
}
CASE(attend_mix_i8)
{
    struct kern_rows values = { .dtype = DT_I8, .p = in->q8, .scale = in->b[1] };
    k->attend_mix_i8(out, in->b[0], values, 11, 99);
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
    for (int b = 0; b < 2; b++) {
        const float *rows = in->a + 16 * b * PANEL_IN;
        int          n_row = b ? N_ROW - 16 : 16;
        size_t       at = (size_t)b;
        panel_pack(in->panel_f32 + at * panel_size(DT_F32, PANEL_IN), DT_F32, PANEL_IN, rows, n_row,
                   0, PANEL_IN);
        panel_pack(in->panel_bf16 + at * panel_size(DT_BF16, PANEL_IN), DT_BF16, PANEL_IN, rows,
                   n_row, 0, PANEL_IN);
    }
    quant_pack_f32(in->q8, shape8, in->a, 0, N_ROW);
    quant_pack_f32(in->q4, shape4, in->a, 0, N_ROW);
    quant_pack_f32(in->wide8, wide8, in->a, 0, N_ROW);
    quant_pack_f32(in->wide4, wide4, in->a, 0, N_ROW);
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
