/* SPDX-License-Identifier: MIT */
/* The kernels of every table that work on vectors, against the definition, on odd lengths and
 * alignments between guard pages. Sums may differ by rounding: the bound is a share of the sum of
 * magnitudes. */
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
