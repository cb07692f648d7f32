/* SPDX-License-Identifier: MIT */
/* The products of matrices by vectors of every table against the definition, between guard pages:
 * row-major and in tiles, however they are split. */
#include "each.h"
#include "kernel/float_bits.h"

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
