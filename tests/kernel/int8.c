/* SPDX-License-Identifier: MIT */
/* The kernels on quantised activations, of every table: against the definition, against the numbers
 * that codes stand for, and the same bits whatever is computed together. */
#include "each.h"
#include "kernel/float_bits.h"

#define N_VEC_MAX 71

struct tiles {
    struct quant_shape s;
    int                n_vec;
    uint8_t           *tiles;
    struct quant_x     x[N_VEC_MAX];
    float             *y[N_VEC_MAX], *z[N_VEC_MAX];
};

static size_t x_bytes(int n_in)
{
    return quant_x_size(n_in);
}

static void take_outputs(float **y, int n_vec, int n_out)
{
    float *p = guard_take((size_t)n_vec * (size_t)n_out * sizeof *p, 0);
    for (int m = 0; m < n_vec; m++)
        y[m] = p + (size_t)m * (size_t)n_out;
}

/* Random codes and activations; `far`: the largest of both, whose sums must not saturate. */
static void make_tiles(struct tiles *t, struct quant_shape s, int n_vec, bool is_far)
{
    guard_reset(guard_is_at_end);
    t->s = s;
    t->n_vec = n_vec;
    t->tiles = guard_take(quant_size(s), 0);
    float *w = malloc((size_t)s.n_out * (size_t)s.n_in * sizeof *w), row[2400];
    for (int i = 0; i < s.n_out * s.n_in; i++)
        w[i] = is_far ? (i % s.group ? 1 : -0.001f) : next();
    quant_pack_f32(t->tiles, s, w, 0, s.n_out);
    free(w);
    size_t   size = x_bytes(s.n_in);
    uint8_t *memory = guard_take(size * (size_t)n_vec, 0);
    for (int m = 0; m < n_vec; m++) {
        for (int i = 0; i < s.n_in; i++)
            row[i] = is_far ? (m % 2 ? -1 : 1) : next() * (float)(1 << i % 64 / 8);
        quant_x_init(&t->x[m], memory + (size_t)(n_vec - 1 - m) * size, s.n_in);
        isa_c.quantise_x(&t->x[m], row, s.n_in, s.bits);
    }
    take_outputs(t->y, n_vec, s.n_out);
    take_outputs(t->z, n_vec, s.n_out);
}

static void run(const struct kern *k, const struct tiles *t, float *const *y, int m0, int m1,
                int row0, int row1)
{
    if (t->s.bits == 8)
        k->linear_q8t_i8(y + m0, t->x + m0, m1 - m0, t->tiles, t->s, row0, row1);
    else
        k->linear_q4t_i8(y + m0, t->x + m0, m1 - m0, t->tiles, t->s, row0, row1);
}

/* Column i of vector m as the kernels see it. */
static float activation(const struct tiles *t, int m, int i)
{
    int place = t->s.bits == 8 ? i : (i & ~7) + (i % 8 >> 1) + (i & 1) * 4;
    return t->x[m].scale[i / 64] * (float)t->x[m].q[place];
}

static void compare(const struct kern *k, const struct tiles *t, int row0, int row1)
{
    static float row[2400];
    for (int r = 0; r < t->s.n_out; r++) {
        quant_row(row, t->s, t->tiles, r);
        for (int m = 0; m < t->n_vec; m++) {
            if (r < row0 || r >= row1) {
                if (!is_untouched(&t->z[m][r], 4))
                    say("linear_q?t_i8", k->name, "row outside", 0, t->z[m][r]);
                continue;
            }
            double sum = 0, size = 0;
            for (int i = 0; i < t->s.n_in; i++) {
                sum += (double)row[i] * activation(t, m, i);
                size += fabs((double)row[i] * activation(t, m, i)) + fabs(activation(t, m, i));
            }
            near("linear_q?t_i8", k, "row", (float)sum, t->z[m][r], (float)(32 * EPS * size));
            near("linear_q?t_i8", k, "definition", t->y[m][r], t->z[m][r], (float)(8 * EPS * size));
        }
    }
}

static struct quant_shape shape_of(int i)
{
    static const int   n_outs[] = { 1, 16, 17, 41, 80, 150 }, cols[] = { 64, 128, 320, 32, 160 };
    struct quant_shape s = { n_outs[i / 4 % 6], cols[i / 24], i % 2 ? 8 : 4, i / 2 % 2 ? 32 : 64 };
    if (s.n_in % s.group)
        s.group = 32;
    return s;
}
#define N_SHAPE (4 * 6 * 5)

TEST(quantized_vectors_are_the_definitions_to_the_bit)
{
    EACH_TABLE(k)
    EACH_LENGTH(n)
    for (int form = 0; form < 6; form++) {
        guard_reset(guard_is_at_end);
        int            bits = form % 2 ? 4 : 8;
        float         *x = floats(n);
        size_t         size = x_bytes(n);
        struct quant_x want, got;
        quant_x_init(&want, guard_take(size, 0), n);
        quant_x_init(&got, guard_take(size, 0), n);
        for (int i = 0; i < n; i++)
            x[i] *= form < 2 ? 1 : form < 4 ? 1e-33f * (float)(i % 3) : 1e30f * (float)(i % 65);
        isa_c.quantise_x(&want, x, n, bits);
        k->quantise_x(&got, x, n, bits);
        int n_tile = (n + 63) / 64;
        CHECK(memcmp(want.q, got.q, (size_t)n_tile * 64) == 0);
        CHECK(memcmp(want.scale, got.scale, (size_t)n_tile * 4) == 0);
        CHECK(memcmp(want.sum, got.sum, (size_t)n_tile * 8) == 0);
        for (int i = bits == 8 ? n : (n + 7) / 8 * 8; i < n_tile * 64; i++)
            CHECK_INT(got.q[i], 0);
    }
}

TEST(quantized_vectors_are_near_what_they_stand_for)
{
    EACH_TABLE(k)
    for (int bits = 4; bits <= 8; bits += 4) {
        guard_reset(guard_is_at_end);
        int            n = 250;
        float         *x = floats(n), sum = 0;
        struct quant_x q;
        quant_x_init(&q, guard_take(x_bytes(n), 0), n);
        k->quantise_x(&q, x, n, bits);
        struct tiles t = { .s = { 1, n, bits, 32 }, .x = { q } };
        for (int i = 0; i < n; i++) {
            CHECK(fabsf(activation(&t, 0, i) - x[i]) <= q.scale[i / 64] * 0.5001f);
            sum += activation(&t, 0, i);
            if (i % 32 == 31 || i == n - 1) {
                CHECK(fabsf(sum - q.sum[i / 32]) <= 1e-4f);
                sum = 0;
            }
        }
    }
}

TEST(a_number_that_is_not_finite_reaches_every_row)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    EACH_TABLE(k)
    for (int i = 0; i < 3; i++)
        for (int bits = 4; bits <= 8; bits += 4) {
            struct tiles t;
            float        row[160];
            make_tiles(&t, (struct quant_shape){ 20, 160, bits, 32 }, 2, false);
            for (int c = 0; c < 160; c++)
                row[c] = c == 70 ? bad[i] : 1;
            k->quantise_x(&t.x[0], row, 160, bits);
            run(k, &t, t.z, 0, 2, 0, 20);
            for (int r = 0; r < 20; r++)
                CHECK(isnan(t.z[0][r]) && isfinite(t.z[1][r]));
        }
}

TEST(integer_tiles_are_the_matrix)
{
    EACH_TABLE(k)
    for (int i = 0; i < N_SHAPE; i++)
        for (int n_vec = 1; n_vec <= 40; n_vec += n_vec < 9 ? 1 : 11) {
            struct quant_shape s = shape_of(i);
            struct tiles       t;
            int                row0 = s.n_out > 32 ? 16 : 0, row1 = s.n_out - (s.n_out > 20);
            make_tiles(&t, s, n_vec, false);
            run(&isa_c, &t, t.y, 0, n_vec, row0, row1);
            run(k, &t, t.z, 0, n_vec, row0, row1);
            compare(k, &t, row0, row1);
        }
}

TEST(sums_of_the_largest_products_do_not_saturate)
{
    EACH_TABLE(k)
    for (int i = 0; i < 4; i++)
        for (int n_vec = 1; n_vec <= 18; n_vec += n_vec < 6 ? 1 : 6) {
            struct quant_shape s = { 48, 1024, i % 2 ? 8 : 4, i / 2 ? 32 : 64 };
            struct tiles       t;
            make_tiles(&t, s, n_vec, true);
            run(&isa_c, &t, t.y, 0, n_vec, 0, 48);
            run(k, &t, t.z, 0, n_vec, 0, 48);
            compare(k, &t, 0, 48);
        }
}

TEST(integer_tiles_give_the_same_bits_however_they_are_split)
{
    EACH_TABLE(k)
    for (int i = 0; i < N_SHAPE; i++) {
        struct quant_shape s = shape_of(i);
        struct tiles       t;
        make_tiles(&t, s, 37, false);
        run(k, &t, t.y, 0, 37, 0, s.n_out);
        for (int m = 0, m1; m < 37; m = m1) {
            m1 = m + 1 + next_int(i % 3 ? 4 : 20);
            m1 = m1 < 37 ? m1 : 37;
            for (int r = 0, r1; r < s.n_out; r = r1) {
                r1 = r + 16 * (1 + next_int(6));
                r1 = r1 < s.n_out ? r1 : s.n_out;
                run(k, &t, t.z, m, m1, r, r1);
            }
        }
        for (int m = 0; m < 37; m++)
            CHECK(memcmp(t.y[m], t.z[m], (size_t)s.n_out * 4) == 0);
    }
}

/* About what tiles of registers have: rows for vectors, groups of them, a panel. */
static const int companies[] = { 1, 2, 8, 9, 15, 16, 17, 20, 31, 32, 33, 64, N_VEC_MAX };
#define N_COMPANY ((int)(sizeof companies / sizeof *companies))

/* Each vector alone into y, all of them at once into z; the same bits, and no other rows. */
static void compare_company(const struct kern *k, const struct tiles *t, int row0, int row1)
{
    for (int m = 0; m < t->n_vec; m++)
        run(k, t, t->y, m, m + 1, row0, row1);
    run(k, t, t->z, 0, t->n_vec, row0, row1);
    for (int m = 0; m < t->n_vec; m++)
        if (memcmp(t->y[m], t->z[m], (size_t)t->s.n_out * 4) != 0)
            say("linear_q?t_i8", k->name, "vector in company", m, t->n_vec);
}

TEST(integer_tiles_give_a_vector_the_same_bits_in_any_company)
{
    EACH_TABLE(k)
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < N_COMPANY; c++) {
            struct quant_shape s = { 75, 160 + 32 * (c % 2), i % 2 ? 8 : 4, i / 2 ? 64 : 32 };
            struct tiles       t;
            s.n_in -= s.n_in % s.group;
            make_tiles(&t, s, companies[c], false);
            compare_company(k, &t, 16, 75 - c);
        }
}

/* Longer than what a kernel has at hand of its vectors at a time. */
TEST(long_integer_tiles_give_a_vector_the_same_bits_in_any_company)
{
    EACH_TABLE(k)
    for (int i = 0; i < 4; i++) {
        struct quant_shape s = { 39, i / 2 ? 2368 : 1312, i % 2 ? 8 : 4, i / 2 ? 64 : 32 };
        struct tiles       t;
        make_tiles(&t, s, N_VEC_MAX, false);
        compare_company(k, &t, 0, 39);
    }
}

TEST(integer_tiles_take_vectors_from_anywhere)
{
    EACH_TABLE(k)
    for (int i = 0; i < 4; i++)
        for (int n_vec = 9; n_vec <= 33; n_vec += 12) {
            struct quant_shape s = { 40, 320, i % 2 ? 8 : 4, i / 2 ? 64 : 32 };
            struct tiles       t;
            make_tiles(&t, s, n_vec, false);
            struct quant_x last = t.x[n_vec - 1];
            t.x[n_vec - 1] = t.x[3];
            t.x[3] = last;
            compare_company(k, &t, 0, 40);
        }
}

/* Products of bf16 by bf16. */
struct pairs {
    int             n_row, n_in, n_vec;
    const uint16_t *w, *x[N_VEC_MAX];
    void           *packed;
    float          *y[N_VEC_MAX], *z[N_VEC_MAX];
};

static uint16_t *bf16s(int n, size_t odd)
{
    uint8_t *p = guard_take((size_t)n * 2, odd);
    for (int i = 0; i < n; i++) {
        uint16_t h = bf16_of_float(next());
        memcpy(p + 2 * i, &h, 2);
    }
    return (uint16_t *)(void *)p;
}

static void make_pairs(struct pairs *p, int n_row, int n_in, int n_vec)
{
    guard_reset(guard_is_at_end);
    *p = (struct pairs){ .n_row = n_row, .n_in = n_in, .n_vec = n_vec };
    p->w = bf16s(n_row * n_in, (size_t)next_int(4));
    uint16_t *x = bf16s(n_in * n_vec, 0);
    for (int m = 0; m < n_vec; m++)
        p->x[m] = x + (size_t)(n_vec - 1 - m) * (size_t)n_in;
    p->packed = guard_take(kern_pairs_size(n_vec, n_in), 0);
    take_outputs(p->y, n_vec, n_row);
    take_outputs(p->z, n_vec, n_row);
}

/* As threads do: packed in two parts. */
static void pack(const struct kern *k, const struct pairs *p)
{
    int n = kern_pairs_tiles(p->n_in), part = (n + 1) / 3;
    if (!k->pack_pairs)
        return;
    k->pack_pairs(p->packed, p->x, p->n_vec, p->n_in, part, n);
    k->pack_pairs(p->packed, p->x, p->n_vec, p->n_in, 0, part);
}

/* Vectors m0 .. m1 of those that are packed. */
static void run_pairs(const struct kern *k, const struct pairs *p, float *const *y, int m0, int m1,
                      int row0, int row1)
{
    struct kern_bf16 x = { p->x + m0, p->packed, m0, p->n_vec };
    k->linear_bf16_bf16(y + m0, x, m1 - m0, p->w, p->n_in, row0, row1);
}

static const int pair_ins[] = { 1, 2, 7, 16, 17, 31, 32, 33, 62, 64, 65, 96, 127, 300 };

TEST(products_of_bf16_are_near)
{
    EACH_TABLE(k)
    for (int i = 0; i < 14; i++)
        for (int n_row = 1; n_row <= 37; n_row += 4)
            for (int n_vec = 1; n_vec <= 35; n_vec += n_vec < 5 ? 1 : 10) {
                struct pairs p;
                int          row0 = n_row / 5, row1 = n_row - n_row / 9;
                make_pairs(&p, n_row, pair_ins[i], n_vec);
                pack(k, &p);
                run_pairs(&isa_c, &p, p.y, 0, n_vec, row0, row1);
                run_pairs(k, &p, p.z, 0, n_vec, row0, row1);
                for (int m = 0; m < n_vec; m++)
                    for (int r = 0; r < n_row; r++)
                        if (r >= row0 && r < row1)
                            near("linear_bf16_bf16", k, "row", p.y[m][r], p.z[m][r],
                                 16 * EPS * (float)(8 + p.n_in / 2));
                        else if (!is_untouched(&p.z[m][r], 4))
                            say("linear_bf16_bf16", k->name, "row outside", 0, p.z[m][r]);
            }
}

TEST(products_of_bf16_give_the_same_bits_however_they_are_split)
{
    EACH_TABLE(k)
    for (int i = 0; i < 14; i++) {
        struct pairs p;
        make_pairs(&p, 70, pair_ins[i], 37);
        pack(k, &p);
        run_pairs(k, &p, p.y, 0, 37, 0, 70);
        for (int m = 0, m1; m < 37; m = m1) {
            m1 = m + 1 + next_int(20);
            m1 = m1 < 37 ? m1 : 37;
            for (int r = 0, r1; r < 70; r = r1) {
                r1 = r + 1 + next_int(40);
                r1 = r1 < 70 ? r1 : 70;
                run_pairs(k, &p, p.z, m, m1, r, r1);
            }
        }
        for (int m = 0; m < 37; m++)
            CHECK(memcmp(p.y[m], p.z[m], 70 * 4) == 0);
    }
}

/* Each vector packed and multiplied alone into y, all of them at once into z. */
static void compare_pairs_company(const struct kern *k, struct pairs *p, int row0, int row1)
{
    for (int m = 0; m < p->n_vec; m++) {
        struct pairs alone = *p;
        alone.n_vec = 1;
        alone.x[0] = p->x[m];
        pack(k, &alone);
        run_pairs(k, &alone, p->y + m, 0, 1, row0, row1);
    }
    pack(k, p);
    run_pairs(k, p, p->z, 0, p->n_vec, row0, row1);
    for (int m = 0; m < p->n_vec; m++)
        if (memcmp(p->y[m], p->z[m], (size_t)p->n_row * 4) != 0)
            say("linear_bf16_bf16", k->name, "vector in company", m, p->n_vec);
}

TEST(products_of_bf16_give_a_vector_the_same_bits_in_any_company)
{
    static const int ins[] = { 31, 32, 65, 224 };
    EACH_TABLE(k)
    for (int c = 0; c < N_COMPANY; c++)
        for (int i = 0; i < 4; i++) {
            struct pairs p;
            make_pairs(&p, 75, ins[i], companies[c]);
            const uint16_t *first = p.x[0];
            p.x[0] = p.x[companies[c] / 2]; /* from anywhere */
            p.x[companies[c] / 2] = first;
            compare_pairs_company(k, &p, c % 3, 75 - c);
        }
}
