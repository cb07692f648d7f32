/* SPDX-License-Identifier: MIT */
/* Every kernel of every table against the definition, on odd lengths and alignments between
 * guard pages. Sums may differ by rounding: the bound is a share of the sum of magnitudes. */
#include "kernel/kern.h"

#include "each.h"
#include "kernel/float_bits.h"

TEST(tables_are_there)
{
    tables_open();
    CHECK(n_table >= 1 && strcmp(tables[0].name, "c") == 0);
    for (int i = 0; i < n_table; i++)
        printf("# %s\n", tables[i].name);
    if (!&isa_avx512_simde)
        SKIP("avx512 is not compared: SIMDe is not there");
}

TEST(dot_is_near)
{
    EACH_TABLE(k)
    EACH_LENGTH(n)
    {
        float *a = floats(n), *b = floats(n), sum = 0;
        for (int i = 0; i < n; i++)
            sum += fabsf(a[i] * b[i]);
        near("dot_f32", k, "sum", isa_c.dot_f32(a, b, n), k->dot_f32(a, b, n), 8 * EPS * sum);
        CHECK(k->dot_f32(a, b, 0) == 0);
    }
}

TEST(axpy_add_and_mul_add_are_near)
{
    EACH_TABLE(k)
    EACH_LENGTH(n)
    {
        float *x = floats(n), *s = floats(n), *y = floats(n), *z = guard_take(4 * (size_t)n, 0);
        memcpy(z, y, 4 * (size_t)n);
        isa_c.axpy_f32(y, 0.7f, x, n);
        k->axpy_f32(z, 0.7f, x, n);
        for (int i = 0; i < n; i++)
            near("axpy_f32", k, "element", y[i], z[i], 8 * EPS);
        memcpy(z, y, 4 * (size_t)n);
        isa_c.mul_add_f32(y, s, x, n);
        k->mul_add_f32(z, s, x, n);
        for (int i = 0; i < n; i++)
            near("mul_add_f32", k, "element", y[i], z[i], 16 * EPS);
        memcpy(z, y, 4 * (size_t)n);
        isa_c.add_f32(y, x, n);
        k->add_f32(z, x, n);
        CHECK(memcmp(y, z, 4 * (size_t)n) == 0);
    }
}

/* A linear kernel of a row-major matrix: rows [row0, row1) of n_row, with weights at any byte. */
struct linear {
    enum dtype   dtype;
    int          n_row, n_in, row0, row1, n_vec;
    const void  *w;
    const float *x[128];
    float       *y[128], *z[128];
    size_t       stride; /* of y */
};

static void run_linear(const struct kern *k, const struct linear *j, float *const *y, int m0,
                       int m1, int row0, int row1)
{
    const float *const *x = j->x + m0;
    if (j->dtype == DT_F32)
        k->linear_f32(y + m0, x, m1 - m0, j->w, j->n_in, row0, row1);
    else if (j->dtype == DT_BF16)
        k->linear_bf16(y + m0, x, m1 - m0, j->w, j->n_in, row0, row1);
    else
        k->linear_f16(y + m0, x, m1 - m0, j->w, j->n_in, row0, row1);
}

/* Random weights, inputs that end at a guard page, and two outputs. */
static void make_linear(struct linear *j)
{
    size_t   n = (size_t)j->n_row * (size_t)j->n_in, size = dtype_size(j->dtype);
    uint8_t *w = guard_take(n * size, (size_t)next_int(4));
    for (size_t i = 0; i < n; i++) {
        float    f = next();
        uint16_t h = j->dtype == DT_BF16 ? bf16_of_float(f) : (uint16_t)(0x3000 + next_int(0xe00));
        memcpy(w + i * size, j->dtype == DT_F32 ? (void *)&f : (void *)&h, size);
    }
    float *x = floats(j->n_vec * j->n_in);
    j->stride = (size_t)j->n_row;
    float *y = guard_take((size_t)j->n_vec * j->stride * 4, 0);
    float *z = guard_take((size_t)j->n_vec * j->stride * 4, 0);
    for (int m = 0; m < j->n_vec; m++) {
        j->x[m] = x + (size_t)(j->n_vec - 1 - m) * (size_t)j->n_in; /* scattered: backwards */
        j->y[m] = y + (size_t)m * j->stride;
        j->z[m] = z + (size_t)m * j->stride;
    }
    j->w = w;
}

static void compare_linear(const struct kern *k, const struct linear *j)
{
    static const char *const names[] = { [DT_F32] = "linear_f32",
                                         [DT_BF16] = "linear_bf16",
                                         [DT_F16] = "linear_f16",
                                         [DT_Q8T] = "linear_q8t",
                                         [DT_Q4T] = "linear_q4t" };
    float                    bound = 4 * EPS * sqrtf((float)j->n_in) * (float)(8 + j->n_in / 8) * 4;
    for (int m = 0; m < j->n_vec; m++)
        for (int r = 0; r < j->n_row; r++)
            if (r >= j->row0 && r < j->row1)
                near(names[j->dtype], k, "row", j->y[m][r], j->z[m][r], bound);
            else if (!is_untouched(&j->z[m][r], 4))
                say(names[j->dtype], k->name, "row outside", 0, j->z[m][r]);
}

static const int n_ins[] = { 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100, 257 };

static void test_linear(enum dtype dtype)
{
    static const int rows[][3] = { { 1, 0, 1 },   { 3, 0, 3 },   { 4, 0, 4 }, { 5, 1, 5 },
                                   { 17, 3, 16 }, { 21, 0, 21 }, { 9, 8, 9 }, { 6, 2, 2 } };
    EACH_TABLE(k)
    for (int i = 0; i < 15; i++)
        for (int r = 0; r < 8; r++)
            for (int n_vec = 1; n_vec <= 9; n_vec++) {
                guard_reset(guard_is_at_end);
                struct linear j = { .dtype = dtype,
                                    .n_row = rows[r][0],
                                    .row0 = rows[r][1],
                                    .row1 = rows[r][2],
                                    .n_in = n_ins[i],
                                    .n_vec = n_vec };
                make_linear(&j);
                run_linear(&isa_c, &j, j.y, 0, n_vec, j.row0, j.row1);
                run_linear(k, &j, j.z, 0, n_vec, j.row0, j.row1);
                compare_linear(k, &j);
            }
}

TEST(linear_f32_is_near)
{
    test_linear(DT_F32);
}

TEST(linear_bf16_is_near)
{
    test_linear(DT_BF16);
}

TEST(linear_f16_is_near)
{
    test_linear(DT_F16);
}

TEST(linear_reads_weights_at_odd_bytes)
{
    tables_open();
    for (int t = 0; t < n_table; t++)
        for (int odd = 0; odd < 4; odd++) {
            float        x[19], y[3], z[3];
            uint8_t      w[3 * 19 * 4 + 4], *at = w + odd;
            float       *yp = y, *zp = z;
            const float *xp = x;
            seed = 5;
            for (int i = 0; i < 19; i++)
                x[i] = next();
            for (int i = 0; i < 3 * 19; i++) {
                float f = next();
                memcpy(at + 4 * i, &f, 4);
            }
            isa_c.linear_f32(&yp, &xp, 1, (const float *)(const void *)at, 19, 0, 3);
            tables[t].linear_f32(&zp, &xp, 1, (const float *)(const void *)at, 19, 0, 3);
            for (int r = 0; r < 3; r++)
                near("linear_f32", &tables[t], "row", y[r], z[r], 200 * EPS);
        }
}

/* The same bits whatever vectors are computed together and wherever rows are split. */
static void split_linear(const struct kern *k, struct linear *j)
{
    run_linear(k, j, j->y, 0, j->n_vec, 0, j->n_row);
    for (int m = 0; m < j->n_vec;) {
        int m1 = m + 1 + next_int(5);
        m1 = m1 < j->n_vec ? m1 : j->n_vec;
        for (int r = 0; r < j->n_row;) {
            int r1 = r + 1 + next_int(11);
            r1 = r1 < j->n_row ? r1 : j->n_row;
            run_linear(k, j, j->z, m, m1, r, r1);
            r = r1;
        }
        m = m1;
    }
    for (int m = 0; m < j->n_vec; m++)
        CHECK(memcmp(j->y[m], j->z[m], (size_t)j->n_row * 4) == 0);
}

TEST(linear_gives_the_same_bits_however_it_is_split)
{
    static const enum dtype dtypes[] = { DT_F32, DT_BF16, DT_F16 };
    EACH_TABLE(k)
    for (int d = 0; d < 3; d++)
        for (int i = 0; i < 15; i++) {
            guard_reset(guard_is_at_end);
            struct linear j = { .dtype = dtypes[d], .n_row = 37, .n_in = n_ins[i], .n_vec = 101 };
            make_linear(&j);
            split_linear(k, &j);
        }
}

/* Tiles of a random matrix, with inputs that end at a guard page. */
static void make_tiles(struct linear *j, struct quant_shape s)
{
    static float w[64 * 320];
    int          n = s.n_out * s.n_in;
    must(n <= 64 * 320);
    for (int i = 0; i < n; i++)
        w[i] = next();
    void *tiles = guard_take(quant_size(s), (size_t)next_int(2));
    quant_pack_f32(tiles, s, w, 0, s.n_out);
    j->dtype = s.bits == 8 ? DT_Q8T : DT_Q4T;
    j->n_row = s.n_out;
    j->n_in = s.n_in;
    j->w = tiles;
    float *x = floats(j->n_vec * s.n_in);
    float *y = guard_take((size_t)j->n_vec * (size_t)s.n_out * 4, 0);
    float *z = guard_take((size_t)j->n_vec * (size_t)s.n_out * 4, 0);
    for (int m = 0; m < j->n_vec; m++) {
        j->x[m] = x + (size_t)m * (size_t)s.n_in;
        j->y[m] = y + (size_t)m * (size_t)s.n_out;
        j->z[m] = z + (size_t)m * (size_t)s.n_out;
    }
}

static void run_tiles(const struct kern *k, const struct linear *j, struct quant_shape s,
                      float *const *y, int m0, int m1, int row0, int row1)
{
    if (s.bits == 8)
        k->linear_q8t(y + m0, j->x + m0, m1 - m0, j->w, s, row0, row1);
    else
        k->linear_q4t(y + m0, j->x + m0, m1 - m0, j->w, s, row0, row1);
}

#define EACH_TILES(s)                          \
    for (int i_ = 0; i_ < 2 * 2 * 4 * 5; i_++) \
        for (struct quant_shape s = tiles_shape(i_); s.n_out; s.n_out = 0)
static struct quant_shape tiles_shape(int i)
{
    static const int   n_outs[] = { 1, 16, 17, 41 }, cols[] = { 64, 128, 320, 32, 160 };
    struct quant_shape s = { n_outs[i / 4 % 4], cols[i / 16], i % 2 ? 8 : 4, i / 2 % 2 ? 32 : 64 };
    if (s.n_in % s.group)
        s.group = 32;
    return s;
}

TEST(linear_tiles_are_near)
{
    EACH_TABLE(k)
    EACH_TILES(s)
    for (int n_vec = 1; n_vec <= 9; n_vec++) {
        guard_reset(guard_is_at_end);
        struct linear j = { .n_vec = n_vec };
        make_tiles(&j, s);
        j.row0 = s.n_out > 16 ? 16 : 0;
        j.row1 = s.n_out;
        run_tiles(&isa_c, &j, s, j.y, 0, n_vec, j.row0, j.row1);
        run_tiles(k, &j, s, j.z, 0, n_vec, j.row0, j.row1);
        compare_linear(k, &j);
    }
}

TEST(linear_tiles_write_only_the_rows_asked_for)
{
    EACH_TABLE(k)
    {
        struct quant_shape s = { 40, 96, 4, 32 };
        for (int row1 = 17; row1 <= 32; row1++) {
            guard_reset(guard_is_at_end);
            struct linear j = { .n_vec = 3, .row0 = 16, .row1 = row1 };
            make_tiles(&j, s);
            run_tiles(&isa_c, &j, s, j.y, 0, 3, 16, row1);
            run_tiles(k, &j, s, j.z, 0, 3, 16, row1);
            compare_linear(k, &j);
        }
    }
}

TEST(linear_tiles_give_the_same_bits_however_they_are_split)
{
    EACH_TABLE(k)
    EACH_TILES(s)
    {
        guard_reset(guard_is_at_end);
        struct linear j = { .n_vec = 13 };
        make_tiles(&j, s);
        run_tiles(k, &j, s, j.y, 0, 13, 0, s.n_out);
        for (int m = 0, m1; m < 13; m = m1) {
            m1 = m + 1 + next_int(4);
            m1 = m1 < 13 ? m1 : 13;
            for (int r = 0; r < s.n_out; r += 16)
                run_tiles(k, &j, s, j.z, m, m1, r, r + 16 < s.n_out ? r + 16 : s.n_out);
        }
        for (int m = 0; m < 13; m++)
            CHECK(memcmp(j.y[m], j.z[m], (size_t)s.n_out * 4) == 0);
    }
}

/* Not only like the definition, but right: against the dequantised matrix in double. */
TEST(linear_tiles_are_the_matrix)
{
    EACH_TABLE(k)
    EACH_TILES(s)
    {
        guard_reset(guard_is_at_end);
        struct linear j = { .n_vec = 2 };
        float         row[320];
        make_tiles(&j, s);
        run_tiles(k, &j, s, j.z, 0, 2, 0, s.n_out);
        for (int r = 0; r < s.n_out; r++) {
            quant_row(row, s, j.w, r);
            for (int m = 0; m < 2; m++) {
                double sum = 0, size = 0;
                for (int i = 0; i < s.n_in; i++) {
                    sum += (double)row[i] * j.x[m][i];
                    size += fabs((double)row[i] * j.x[m][i]) + fabsf(j.x[m][i]);
                }
                near("linear_q?t", k, "row", (float)sum, j.z[m][r], (float)(32 * EPS * size));
            }
        }
    }
}

TEST(norms_are_near)
{
    EACH_TABLE(k)
    EACH_LENGTH(n)
    {
        float *x = floats(n), *w = floats(n), *b = floats(n);
        float *y = guard_take(4 * (size_t)n, 0), *z = guard_take(4 * (size_t)n, 0);
        for (int form = 0; form < 5; form++) {
            const float *ww = form & 1 ? w : NULL, *bb = form & 2 ? b : NULL;
            if (form == 4) {
                isa_c.rms_norm_f32(y, x, w, n, 1e-8f);
                k->rms_norm_f32(z, x, w, n, 1e-8f);
            } else {
                isa_c.layer_norm_f32(y, x, ww, bb, n, 1e-5f);
                k->layer_norm_f32(z, x, ww, bb, n, 1e-5f);
            }
            for (int i = 0; i < n; i++)
                near(form == 4 ? "rms_norm_f32" : "layer_norm_f32", k, "element", y[i], z[i],
                     n < 4 ? 1e-3f : 2e-6f * (2 + fabsf(y[i])));
        }
        memcpy(z, x, 4 * (size_t)n); /* in place */
        isa_c.rms_norm_f32(y, x, w, n, 1e-8f);
        k->rms_norm_f32(z, z, w, n, 1e-8f);
        for (int i = 0; i < n; i++)
            near("rms_norm_f32", k, "in place", y[i], z[i], 2e-6f * (1 + fabsf(y[i])));
    }
}

TEST(softmax_is_near_and_sums_to_one)
{
    EACH_TABLE(k)
    EACH_LENGTH(n)
    for (int scale = 1; scale <= 60; scale *= 4) {
        guard_reset(guard_is_at_end);
        float *x = floats(n), *y = guard_take(4 * (size_t)n, 0), sum = 0;
        for (int i = 0; i < n; i++)
            x[i] *= (float)scale;
        if (n > 8)
            x[n - 3] = -INFINITY;
        memcpy(y, x, 4 * (size_t)n);
        isa_c.softmax_f32(x, n);
        k->softmax_f32(y, n);
        for (int i = 0; i < n; i++) {
            near("softmax_f32", k, "element", x[i], y[i], 1e-6f * x[i] + 1e-37f);
            sum += y[i];
        }
        near("softmax_f32", k, "sum", 1, sum, 1e-5f);
    }
}

static double act_exact(double x, enum act act)
{
    switch (act) {
    case ACT_SILU: return x / (1 + exp(-x));
    case ACT_GELU: return 0.5 * x * erfc(-x * 0.70710678118654752);
    case ACT_RELU: return x < 0 ? 0 : x;
    case ACT_SIGMOID: return 1 / (1 + exp(-x));
    case ACT_TANH: return tanh(x);
    case ACT_ELU: return x > 0 ? x : expm1(x);
    case ACT_LEAKY_RELU: return x > 0 ? x : 0.01 * x;
    case ACT_MISH: return x * tanh(log1p(exp(x)));
    case ACT_SOFTSIGN: return x / (1 + fabs(x));
    case ACT_NONE:
    case ACT_COUNT: break;
    }
    return x;
}

/* Relative to the value; gelu, whose tail is tiny against its input, to the input. */
TEST(activations_are_exact_to_a_few_ulp)
{
    EACH_TABLE(k)
    for (int act = 0; act < ACT_COUNT; act++) {
        double worst = 0, worst_at = 0;
        for (int i = -30000; i <= 30000; i++) {
            float x = (float)(i / 1000.0 * fabs(i / 30000.0)), y;
            k->act_f32(&y, &x, 1, (enum act)act);
            double want = act_exact(x, (enum act)act);
            double size = act == ACT_GELU ? fabs((double)x) : fabs(want);
            double off = fabs(y - want) / (size + 1e-30);
            if (off > worst) {
                worst = off;
                worst_at = x;
            }
        }
        if (worst > 4e-7)
            printf("# act %d of %s: %g at %g\n", act, k->name, worst, worst_at);
        CHECK(worst <= 4e-7);
    }
}

TEST(activations_survive_extremes)
{
    static const float xs[] = { 0,     -0.0f,  88,     89,       -88,       -89,
                                1e30f, -1e30f, 1e-30f, INFINITY, -INFINITY, NAN };
    EACH_TABLE(k)
    for (int act = 0; act < ACT_COUNT; act++)
        for (int i = 0; i < 12; i++) {
            float want, got;
            isa_c.act_f32(&want, &xs[i], 1, (enum act)act);
            k->act_f32(&got, &xs[i], 1, (enum act)act);
            bool is_inf_times_0 = isinf(xs[i]) && (!isfinite(want) || want == 0);
            if (isnan(xs[i]))
                CHECK(isnan(got));
            else if (!is_inf_times_0)
                near("act_f32", k, "extreme", want, got, 1e-6f * fabsf(want) + 1e-30f);
        }
}

TEST(act_and_glu_agree_in_place_too)
{
    EACH_TABLE(k)
    EACH_LENGTH(n)
    for (int act = 0; act < ACT_COUNT; act++) {
        guard_reset(guard_is_at_end);
        float *a = floats(n), *b = floats(n);
        float *y = guard_take(4 * (size_t)n, 0), *z = guard_take(4 * (size_t)n, 0);
        isa_c.glu_f32(y, a, b, n, (enum act)act);
        k->glu_f32(z, a, b, n, (enum act)act);
        for (int i = 0; i < n; i++)
            near("glu_f32", k, "element", y[i], z[i], 2e-6f * fabsf(y[i]) + 1e-7f);
        isa_c.act_f32(y, a, n, (enum act)act);
        k->act_f32(z, a, n, (enum act)act);
        k->act_f32(a, a, n, (enum act)act);
        for (int i = 0; i < n; i++)
            near("act_f32", k, "element", y[i], z[i], 2e-6f * fabsf(y[i]) + 1e-7f);
        CHECK(memcmp(a, z, 4 * (size_t)n) == 0);
    }
}

TEST(rope_rotates_both_forms)
{
    EACH_TABLE(k)
    EACH_LENGTH(n)
    for (int form = 0; form < 2; form++) {
        guard_reset(guard_is_at_end);
        float *x = floats(2 * n), *c = floats(n), *s = floats(n);
        float *y = guard_take(8 * (size_t)n, 0);
        memcpy(y, x, 8 * (size_t)n);
        k->rope_f32(y, c, s, n, form);
        for (int i = 0; i < n; i++) {
            int re = form ? 2 * i : i, im = form ? 2 * i + 1 : i + n;
            near("rope_f32", k, "re", x[re] * c[i] - x[im] * s[i], y[re], 16 * EPS);
            near("rope_f32", k, "im", x[re] * s[i] + x[im] * c[i], y[im], 16 * EPS);
        }
    }
}

TEST(attend_goes_around_the_ring)
{
    static const int ds[] = { 1, 5, 8, 16, 24, 33, 64, 100 };
    EACH_TABLE(k)
    for (int i = 0; i < 8; i++)
        for (int n = 1; n <= 35; n++) {
            guard_reset(guard_is_at_end);
            int    d = ds[i], n_slot = n + next_int(3) * next_int(9), first = next_int(n_slot);
            int    stride = d + next_int(2) * 3, n_ring = (n_slot - 1) * stride + d;
            float *q = floats(d), *key = floats(n_ring), *v = floats(n_ring);
            float *score = guard_take(4 * (size_t)n, 0);
            float *y = guard_take(4 * (size_t)d, 0), *z = guard_take(4 * (size_t)d, 0);
            isa_c.attend_f32(y, score, q, key, v, n, first, n_slot, d, stride, 0.3f);
            k->attend_f32(z, score, q, key, v, n, first, n_slot, d, stride, 0.3f);
            for (int j = 0; j < d; j++)
                near("attend_f32", k, "element", y[j], z[j], 1e-5f);
        }
}

TEST(attend_does_not_care_where_the_ring_begins)
{
    EACH_TABLE(k)
    {
        float q[24], key[13 * 24], turned[13 * 24], score[13], y[24], z[24];
        for (int i = 0; i < 24; i++)
            q[i] = next();
        for (int i = 0; i < 13 * 24; i++)
            key[i] = next();
        k->attend_f32(y, score, q, key, key, 13, 0, 13, 24, 24, 0.5f);
        for (int first = 1; first < 13; first++) {
            for (int i = 0; i < 13; i++)
                memcpy(turned + (i + first) % 13 * 24, key + i * 24, sizeof q);
            k->attend_f32(z, score, q, turned, turned, 13, first, 13, 24, 24, 0.5f);
            CHECK(memcmp(y, z, sizeof y) == 0);
        }
    }
}

/* n rows of d numbers in memory that ends where they do. */
static struct kern_rows rows_of(enum dtype dtype, int n, int d)
{
    struct kern_rows r = { .dtype = dtype };
    float           *x = floats(n * d);
    if (dtype == DT_F32)
        r.p = x;
    if (dtype == DT_BF16) {
        uint16_t *h = guard_take(2 * (size_t)(n * d), 0);
        isa_c.f32_to_bf16(h, x, n * d);
        r.p = h;
    }
    if (dtype == DT_I8) {
        int8_t *q = guard_take((size_t)(n * d), 0);
        for (int i = 0; i < n * d; i++)
            q[i] = (int8_t)(next_int(255) - 127);
        r.p = q;
        r.scale = floats(n);
    }
    return r;
}

TEST(keys_are_scored_and_values_mixed_in_every_dtype)
{
    static const int        ds[] = { 1, 5, 8, 16, 24, 33, 64, 100, 128 };
    static const enum dtype dtypes[] = { DT_F32, DT_BF16 };
    EACH_TABLE(k)
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < 9; i++)
            for (int n = 1; n <= 35; n++) {
                guard_reset(guard_is_at_end);
                int              d = ds[i];
                struct kern_rows r = rows_of(dtypes[t], n, d);
                float           *q = floats(d);
                float *want = guard_take(4 * (size_t)n, 0), *got = guard_take(4 * (size_t)n, 0);
                float *y = floats(d), *z = guard_take(4 * (size_t)d, 0);
                memcpy(z, y, 4 * (size_t)d);
                isa_c.attend_score(want, q, r, n, d, 0.3f);
                k->attend_score(got, q, r, n, d, 0.3f);
                for (int j = 0; j < n; j++)
                    near("attend_score", k, "key", want[j], got[j], 1e-5f);
                isa_c.attend_mix(y, want, r, n, d);
                k->attend_mix(z, want, r, n, d);
                for (int j = 0; j < d; j++)
                    near("attend_mix", k, "element", y[j], z[j], 1e-4f);
            }
}

/* Whole numbers and one rounding after the other: tables agree in every bit, and with sums of f32
 * but for the codes' rounding. */
TEST(int8_keys_are_scored_and_values_mixed_the_same_everywhere)
{
    static const int ds[] = { 1, 5, 16, 24, 32, 33, 64, 80, 96, 100, 128 };
    EACH_TABLE(k)
    for (int i = 0; i < 11; i++)
        for (int n = 1; n <= 71; n += n < 35 ? 1 : 6) {
            guard_reset(guard_is_at_end);
            int              d = ds[i];
            struct kern_rows r = rows_of(DT_I8, n, d);
            const int8_t    *code = r.p;
            float           *x = floats(d), *y = floats(d), most = 0;
            int16_t         *q = guard_take(2 * (size_t)d, 0), *p = guard_take(2 * (size_t)d, 0);
            float *want = guard_take(4 * (size_t)n, 0), *got = guard_take(4 * (size_t)n, 0);
            float *z = guard_take(4 * (size_t)d, 0);
            memcpy(z, y, 4 * (size_t)d);
            float scale = isa_c.quantise_query(q, x, d);
            CHECK(scale > 0 && k->quantise_query(p, x, d) == scale);
            CHECK(memcmp(p, q, 2 * (size_t)d) == 0);
            isa_c.attend_score_i8(want, q, r, n, d, 0.3f * scale);
            k->attend_score_i8(got, q, r, n, d, 0.3f * scale);
            CHECK(memcmp(want, got, 4 * (size_t)n) == 0);
            for (int j = 0; j < n; j++) {
                double sum = 0, size = 0;
                for (int c = 0; c < d; c++) {
                    sum += (double)x[c] * code[j * d + c];
                    size += abs(code[j * d + c]);
                }
                CHECK(fabs(want[j] - 0.3 * sum * r.scale[j]) <=
                      0.31 * scale * size * fabsf(r.scale[j]));
                most = fmaxf(most, fabsf(want[j] * r.scale[j]));
            }
            memcpy(x, y, 4 * (size_t)d);
            isa_c.attend_mix_i8(x, want, r, n, d);
            for (int c = 0; c < d; c++) {
                double sum = y[c];
                for (int j = 0; j < n; j++)
                    sum += (double)want[j] * r.scale[j] * code[j * d + c];
                CHECK(fabs(x[c] - sum) <= (double)most / KERN_MIX_MAX * 127 * n + 1e-6 * fabs(sum));
            }
            k->attend_mix_i8(z, want, r, n, d);
            CHECK(memcmp(x, z, 4 * (size_t)d) == 0);
        }
}

TEST(int8_attention_says_when_a_number_is_not_finite)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY };
    int8_t             code[4 * 64];
    float              ones[4] = { 1, 1, 1, 1 };
    struct kern_rows   r = { .dtype = DT_I8, .p = code, .scale = ones };
    memset(code, 7, sizeof code);
    EACH_TABLE(k)
    for (int i = 0; i < 3; i++) {
        float   x[64] = { 1, odd[i] }, score[4] = { 0.5f, odd[i], 0, 0 }, none[4] = { 0 };
        float   y[64] = { 3 };
        int16_t q[64];
        CHECK(isnan(k->quantise_query(q, x, 64)));
        k->attend_mix_i8(y, none, r, 4, 64);
        CHECK(y[0] == 3 && y[63] == 0);
        k->attend_mix_i8(y, score, r, 4, 64);
        CHECK(isnan(y[0]) && isnan(y[63]));
    }
}

/* A ring may be cut into runs anywhere. */
TEST(attention_does_not_feel_where_a_run_ends)
{
    EACH_TABLE(k)
    for (int cut = 0; cut <= 21; cut++) {
        float            key[21 * 24], q[24], whole[21], parts[21], y[24] = { 0 }, z[24] = { 0 };
        struct kern_rows r = { .dtype = DT_F32, .p = key },
                         rest = { .dtype = DT_F32, .p = key + cut * 24 };
        for (int i = 0; i < 21 * 24; i++)
            key[i] = next();
        for (int i = 0; i < 24; i++)
            q[i] = next();
        k->attend_score(whole, q, r, 21, 24, 0.5f);
        k->attend_score(parts, q, r, cut, 24, 0.5f);
        k->attend_score(parts + cut, q, rest, 21 - cut, 24, 0.5f);
        CHECK(memcmp(whole, parts, sizeof whole) == 0);
        k->attend_mix(y, whole, r, 21, 24);
        k->attend_mix(z, whole, r, cut, 24);
        k->attend_mix(z, whole + cut, rest, 21 - cut, 24);
        CHECK(memcmp(y, z, sizeof y) == 0);
    }
}

TEST(argmax_finds_the_first_maximum)
{
    EACH_TABLE(k)
    EACH_LENGTH(n)
    {
        float *x = floats(n);
        CHECK_INT(k->argmax_f32(x, n), isa_c.argmax_f32(x, n));
        for (int at = 0; at < n; at += 1 + n / 9) {
            for (int i = 0; i < n; i++)
                x[i] = i >= at && (i - at) % 3 == 0 ? 7 : (float)(i % 5);
            CHECK_INT(k->argmax_f32(x, n), at);
            x[at] = NAN;
            CHECK_INT(k->argmax_f32(x, n), isa_c.argmax_f32(x, n));
        }
        for (int i = 0; i < n; i++)
            x[i] = -INFINITY;
        CHECK_INT(k->argmax_f32(x, n), 0);
        x[n - 1] = -1e30f;
        CHECK_INT(k->argmax_f32(x, n), n - 1);
    }
}

TEST(nearest_finds_the_first_of_the_nearest)
{
    static const int ds[] = { 1, 3, 8, 13, 16, 32, 40 };
    EACH_TABLE(k)
    for (int i = 0; i < 7; i++)
        for (int n = 1; n <= 41; n += 3) {
            guard_reset(guard_is_at_end);
            int    d = ds[i], at = next_int(n), again = at + next_int(n - at);
            float *table = floats(n * d), *x = floats(d);
            double best = 1e30;
            for (int r = 0; r < n; r++) {
                double sum = 0;
                for (int j = 0; j < d; j++)
                    sum += pow((double)x[j] - table[r * d + j], 2);
                best = sum < best ? sum : best;
            }
            int    found = k->nearest_f32(x, table, n, d);
            double sum = 0;
            for (int j = 0; j < d; j++)
                sum += pow((double)x[j] - table[found * d + j], 2);
            CHECK(sum <= best * (1 + 1e-6));
            memcpy(table + at * d, x, 4 * (size_t)d);
            memcpy(table + again * d, x, 4 * (size_t)d);
            CHECK_INT(k->nearest_f32(x, table, n, d), at);
        }
}

TEST(conversions_are_right_for_every_number)
{
    EACH_TABLE(k)
    {
        static uint16_t h[65536], back[65536];
        static float    want[65536], got[65536];
        for (int i = 0; i < 65536; i++)
            h[i] = (uint16_t)i;
        isa_c.bf16_to_f32(want, h, 65536);
        k->bf16_to_f32(got, h, 65536);
        CHECK(memcmp(want, got, sizeof want) == 0);
        k->f32_to_bf16(back, got, 65536);
        for (int i = 0; i < 65536; i++)
            CHECK(back[i] == h[i] || (isnan(want[i]) && back[i] == (h[i] | 0x40)));
        isa_c.f16_to_f32(want, h, 65536);
        k->f16_to_f32(got, h, 65536);
        CHECK(memcmp(want, got, sizeof want) == 0);
        CHECK(want[0x3c00] == 1 && want[0x7bff] == 65504 && want[1] == 0x1p-24f &&
              want[0xfc00] == -INFINITY && want[0xc000] == -2);
    }
}

TEST(bf16_is_rounded_to_nearest_even)
{
    EACH_TABLE(k)
    EACH_LENGTH(n)
    {
        float    *x = guard_take(4 * (size_t)n, 0);
        uint16_t *y = guard_take(2 * (size_t)n, 0), *z = guard_take(2 * (size_t)n, 0);
        for (int i = 0; i < n; i++) {
            next();
            x[i] = float_of_bits(i % 3 ? seed : (seed & 0xffff0000u) | 0x8000u); /* ties */
        }
        isa_c.f32_to_bf16(y, x, n);
        k->f32_to_bf16(z, x, n);
        CHECK(memcmp(y, z, 2 * (size_t)n) == 0);
    }
    CHECK_INT(bf16_of_float(float_of_bits(0x3f808000)), 0x3f80);
    CHECK_INT(bf16_of_float(float_of_bits(0x3f818000)), 0x3f82);
    CHECK_INT(bf16_of_float(float_of_bits(0x3f808001)), 0x3f81);
    CHECK_INT(bf16_of_float(float_of_bits(0x7f7fffff)), 0x7f80);
}

TEST(short_conversions_stay_inside)
{
    EACH_TABLE(k)
    EACH_LENGTH(n)
    {
        uint16_t *h = guard_take(2 * (size_t)n, (size_t)next_int(2) * 2);
        float    *y = guard_take(4 * (size_t)n, 0), *z = guard_take(4 * (size_t)n, 0);
        for (int i = 0; i < n; i++)
            h[i] = (uint16_t)(0x3000 + next_int(0xe00));
        isa_c.bf16_to_f32(y, h, n);
        k->bf16_to_f32(z, h, n);
        CHECK(memcmp(y, z, 4 * (size_t)n) == 0);
        isa_c.f16_to_f32(y, h, n);
        k->f16_to_f32(z, h, n);
        CHECK(memcmp(y, z, 4 * (size_t)n) == 0);
    }
}

/* Kept tiles must not depend on the machine that made them: equal to the bit. */
TEST(quantise_gives_the_bits_of_the_definition)
{
    static const float odd[] = { 0, -0.0f, 1e-9f, 65504, NAN, INFINITY, -INFINITY, -3 };
    EACH_TABLE(k)
    for (int i = 0; i < 200; i++) {
        guard_reset(guard_is_at_end);
        int      group = i % 2 ? 64 : 32, n_group = 1 + next_int(19), n = n_group * group;
        int      code_max = i / 2 % 2 ? 255 : 15;
        float   *w = floats(n);
        uint8_t *p = guard_take((size_t)n, 0), *q = guard_take((size_t)n, 0);
        float   *scale = guard_take((size_t)n_group * 4, 0),
              *bias = guard_take((size_t)n_group * 4, 0);
        float *scale2 = guard_take((size_t)n_group * 4, 0),
              *bias2 = guard_take((size_t)n_group * 4, 0);
        for (int j = 0; j < n && i % 3; j++)
            w[j] = i % 3 == 1 ? bf16_float(bf16_of_float(w[j])) : w[j - j % group];
        for (int j = 0; j < i / 8; j++)
            w[next_int(n)] = odd[j % (i < 100 ? 4 : 8)];
        isa_c.quantise_f32(p, scale, bias, w, n_group, group, code_max);
        k->quantise_f32(q, scale2, bias2, w, n_group, group, code_max);
        CHECK(memcmp(p, q, (size_t)n) == 0);
        for (int g = 0; g < n_group; g++) {
            CHECK(memcmp(&scale[g], &scale2[g], 4) == 0 || (isnan(scale[g]) && isnan(scale2[g])));
            CHECK(memcmp(&bias[g], &bias2[g], 4) == 0);
        }
    }
}
