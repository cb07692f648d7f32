/* SPDX-License-Identifier: MIT */
/* Products with panels: every table against sums in double, between guard pages, and the same bits
 * however vectors and blocks are shared out. */
#include "kernel/panel.h"

#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "guard.h"
#include "kernel/float_bits.h"
#include "tables.h"

#define MAX_VEC 35
#define MAX_IN  600
#define MAX_OUT 70
#define ROW_CAP 44000 /* numbers of a matrix */
#define OUT_CAP 1600  /* of what it makes */

static uint32_t seed;

static float next(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed * 0x1p-31f;
}

static float *floats(int n)
{
    float *p = guard_take((size_t)n * sizeof *p, 0);
    for (int i = 0; i < n; i++)
        p[i] = next();
    return p;
}

/* The kernels: what they read, and by what. */
enum form { F32, BF16, BF16_BF16, N_FORM };

/* A product with everything that may follow it. */
struct scene {
    enum form        form;
    int              n_vec, n_in, n_out;
    float            rows[ROW_CAP];
    const float     *x[MAX_VEC];
    struct panel_job j;
};

/* The numbers that the kernel is to see. */
static void round_rows(struct scene *s)
{
    for (int i = 0; i < s->n_out * s->n_in; i++)
        s->rows[i] = s->form == F32 ? next() : bf16_float(bf16_of_float(next()));
}

static void open_scene(struct scene *s, enum form form, int n_vec, int n_in, int n_out)
{
    enum dtype dtype = form == F32 ? DT_F32 : DT_BF16;
    *s = (struct scene){ .form = form, .n_vec = n_vec, .n_in = n_in, .n_out = n_out };
    round_rows(s);
    size_t   size = panel_size(dtype, n_in);
    uint8_t *data = guard_take(size * (size_t)panel_count(n_out), 0);
    for (int b = 0; b < panel_count(n_out); b++) {
        int n_row = n_out - b * PANEL_ROWS < PANEL_ROWS ? n_out - b * PANEL_ROWS : PANEL_ROWS;
        panel_pack(data + (size_t)b * size, dtype, n_in, s->rows + b * PANEL_ROWS * n_in, n_row, 0,
                   n_in);
    }
    /* Windows overlap as those of a convolution do; the last one ends at the guard. */
    int    step = n_in > 2 ? n_in / 2 : 1;
    float *x = floats((n_vec - 1) * step + n_in);
    for (int m = 0; m < n_vec; m++)
        s->x[m] = x + m * step;
    s->j = (struct panel_job){ .x = s->x,
                               .n_vec = n_vec,
                               .w = { dtype, n_out, n_in, data },
                               .bias = floats(n_out),
                               .scale = floats(n_out),
                               .add = floats(n_vec * n_out),
                               .y = guard_take(sizeof(float) * (size_t)(n_vec * n_out), 0),
                               .z = guard_take(sizeof(float) * (size_t)(n_vec * n_out), 0),
                               .act = ACT_ELU };
}

static void run(const struct scene *s, const struct kern *k, const struct panel_job *j, int block0,
                int block1)
{
    switch (s->form) {
    case F32: k->panel_f32(j, block0, block1); break;
    case BF16: k->panel_bf16(j, block0, block1); break;
    default: k->panel_bf16_bf16(j, block0, block1); break;
    }
}

static double sum_of(const struct scene *s, int m, int row, double *sum_abs)
{
    double sum = 0;
    *sum_abs = 1;
    for (int k = 0; k < s->n_in; k++) {
        float  x = s->form == BF16_BF16 ? bf16_float(bf16_of_float(s->x[m][k])) : s->x[m][k];
        double p = (double)s->rows[row * s->n_in + k] * x;
        sum += p;
        *sum_abs += fabs(p);
    }
    return sum;
}

static void compare(const struct scene *s, const struct kern *k)
{
    for (int m = 0; m < s->n_vec; m++)
        for (int r = 0; r < s->n_out; r++) {
            double sum_abs, want = sum_of(s, m, r, &sum_abs);
            int    at = m * s->n_out + r;
            want = (want + s->j.bias[r]) * s->j.scale[r] + s->j.add[at];
            double act = want > 0 ? want : expm1(want), bound = sum_abs * 2e-6;
            if (!(fabs(s->j.y[at] - want) < bound) || !(fabs(s->j.z[at] - act) < bound)) {
                printf("# %s form %d: %d x %d -> %d, vector %d row %d: %g not %g\n", k->name,
                       s->form, s->n_vec, s->n_in, s->n_out, m, r, (double)s->j.y[at], want);
                CHECK(false);
                return;
            }
        }
}

/* Vectors in two parts and blocks one by one give the same bits as all at once. */
static void share_out(const struct scene *s, const struct kern *k)
{
    static float     y[OUT_CAP];
    struct panel_job part = s->j;
    part.z = NULL;
    for (int from = 0, n = s->n_vec / 3 + 1; from < s->n_vec; from += n, n = s->n_vec - from) {
        part.x = s->x + from;
        part.n_vec = n < s->n_vec - from ? n : s->n_vec - from;
        part.add = s->j.add + from * s->n_out;
        part.y = y + from * s->n_out;
        for (int b = 0; b < panel_count(s->n_out); b++)
            run(s, k, &part, b, b + 1);
    }
    CHECK(memcmp(y, s->j.y, sizeof *y * (size_t)(s->n_vec * s->n_out)) == 0);
}

static const int ins[] = { 1, 2, 3, 7, 16, 31, 255, 256, 257, MAX_IN };
static const int outs[] = { 1, 5, 8, 9, 16, 17, 24, 25, 33, 40, MAX_OUT };

static void try_one(enum form form, const struct kern *k, int n_vec, int n_in, int n_out)
{
    static struct scene s;
    open_scene(&s, form, n_vec, n_in, n_out);
    run(&s, k, &s.j, 0, panel_count(n_out));
    compare(&s, k);
    share_out(&s, k);
}

static void try(enum form form, const struct kern *k, int n_vec)
{
    for (size_t i = 0; i < sizeof ins / sizeof *ins; i++)
        for (size_t o = 0; o < sizeof outs / sizeof *outs; o++) {
            guard_reset((i + o) % 2 == 0);
            try_one(form, k, n_vec, ins[i], outs[o]);
        }
}

TEST(a_product_with_panels_is_the_product)
{
    tables_open();
    for (int t = 0; t < n_table; t++)
        for (int n_vec = 1; n_vec <= 20; n_vec += n_vec < 9 ? 1 : 11) {
            seed = 1;
            for (enum form form = F32; form < N_FORM; form++)
                try(form, &tables[t], n_vec);
        }
}

/* Longer and taller than what a kernel keeps in its cache at a time. */
TEST(a_large_panel_is_made_in_parts)
{
    tables_open();
    for (int t = 0; t < n_table; t++)
        for (enum form form = F32; form < N_FORM; form++) {
            guard_reset(true);
            try_one(form, &tables[t], MAX_VEC, 1100, 40);
            guard_reset(false);
            try_one(form, &tables[t], 3, 39, 530);
        }
}

TEST(what_is_not_there_is_left_out)
{
    static struct scene s;
    tables_open();
    for (int t = 0; t < n_table; t++) {
        guard_reset(true);
        seed = 1;
        open_scene(&s, F32, 7, 9, 21);
        s.j.bias = s.j.scale = s.j.add = NULL;
        float *z = s.j.z;
        memset(z, GUARD_FILL, sizeof *z);
        s.j.z = NULL;
        run(&s, &tables[t], &s.j, 0, 2);
        float first = s.j.y[0], filled;
        memset(&filled, GUARD_FILL, sizeof filled);
        double sum_abs, want = sum_of(&s, 0, 0, &sum_abs);
        CHECK(fabs(first - want) < 1e-5 && z[0] == filled);
        s.j.z = z;
        s.j.y = NULL;
        s.j.act = ACT_NONE;
        run(&s, &tables[t], &s.j, 0, 2);
        CHECK(z[0] == first);
    }
}
