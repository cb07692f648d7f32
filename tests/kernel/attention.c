/* SPDX-License-Identifier: MIT */
/* Attention of every table against the definition, between guard pages: over rings and runs, in
 * every dtype of keys and values. */
#include "each.h"

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
