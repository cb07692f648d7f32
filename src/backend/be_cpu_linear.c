/* SPDX-License-Identifier: MIT */
#include "backend/be_cpu.h"

#define BLOCK \
    QUANT_ROWS       /* rows are dealt out in blocks: a block of tiles, whole cache lines of y */
#define VECS_EACH 16 /* with as many vectors a thread, sharing the weights beats splitting them */

struct linear {
    float *const        *y;
    const float *const  *x;
    float *const        *sum; /* where the kernel writes: y, or scratch when it is added */
    int                  n_vec;
    const struct weight *w;
    const float         *bias;
};

static void run_kernel(const struct linear *j, int m0, int m1, int row0, int row1)
{
    const struct weight *w = j->w;
    float *const        *y = j->sum + m0;
    const float *const  *x = j->x + m0;
    struct quant_shape   s = { w->n_out, w->n_in, w->dtype == DT_Q8T ? 8 : 4, w->group };
    switch (w->dtype) {
    case DT_F32: kern.linear_f32(y, x, m1 - m0, w->data, w->n_in, row0, row1); break;
    case DT_BF16: kern.linear_bf16(y, x, m1 - m0, w->data, w->n_in, row0, row1); break;
    case DT_F16: kern.linear_f16(y, x, m1 - m0, w->data, w->n_in, row0, row1); break;
    case DT_Q8T: kern.linear_q8t(y, x, m1 - m0, w->data, s, row0, row1); break;
    case DT_Q4T: kern.linear_q4t(y, x, m1 - m0, w->data, s, row0, row1); break;
    default: must(!"a matrix of this dtype");
    }
}

/* y = sum * row_scale + bias, or y += that. */
static void finish(const struct linear *j, int m0, int m1, int row0, int row1)
{
    const float *scale = j->w->row_scale;
    for (int m = m0; m < m1; m++) {
        float *sum = j->sum[m], *y = j->y[m];
        if (scale)
            for (int r = row0; r < row1; r++)
                sum[r] *= scale[r];
        if (j->bias)
            kern.add_f32(sum + row0, j->bias + row0, row1 - row0);
        if (sum != y)
            kern.add_f32(y + row0, sum + row0, row1 - row0);
    }
}

/* Blocks of rows are dealt out, or vectors where there are plenty, or both. Every result is one
 * sum, so none of this shows in it. */
static void linear_slice(void *arg, int i, int n)
{
    const struct linear *j = arg;
    int                  n_block = (j->w->n_out + BLOCK - 1) / BLOCK;
    int n_part = j->n_vec >= VECS_EACH * n ? n : n_block >= n ? 1 : j->n_vec < n ? j->n_vec : n;
    int n_row_part = n / n_part; /* threads that share one part of the vectors */
    if (i >= n_part * n_row_part)
        return;
    int m0, m1, row0, row1;
    be_cpu_slice(&m0, &m1, j->n_vec, i / n_row_part, n_part);
    be_cpu_slice(&row0, &row1, n_block, i % n_row_part, n_row_part);
    row0 *= BLOCK;
    row1 = row1 * BLOCK < j->w->n_out ? row1 * BLOCK : j->w->n_out;
    if (m0 >= m1 || row0 >= row1)
        return;
    run_kernel(j, m0, m1, row0, row1);
    if (j->w->row_scale || j->bias || j->sum != j->y)
        finish(j, m0, m1, row0, row1);
}

/* n_vec pointers to rows of n_col floats. */
static float **rows_at(struct be *be, float *p, int n_vec, int n_col)
{
    float **rows = be_scratch_bytes(be, (size_t)n_vec * sizeof *rows);
    if (be->err)
        return NULL;
    for (int m = 0; m < n_vec; m++)
        rows[m] = p + (size_t)m * (size_t)n_col;
    return rows;
}

void be_cpu_linear_vecs(struct be *be, float *const *y, const float *const *x, int n_vec,
                        const struct weight *w, const float *bias, bool add)
{
    struct linear j = { .y = y, .x = x, .sum = y, .n_vec = n_vec, .w = w, .bias = bias };
    if (add) {
        struct tensor *t = be_scratch(be, n_vec, w->n_out);
        j.sum = rows_at(be, t->p, n_vec, w->n_out);
    }
    if (!be->err)
        be_cpu_run(be, 2 * (int64_t)n_vec * w->n_out * w->n_in, linear_slice, &j);
}

static void linear(struct be *be, struct tensor *y, const struct tensor *x, const struct weight *w,
                   bool add)
{
    float **yp = rows_at(be, y->p, y->n_row, y->n_col);
    float **xp = rows_at(be, x->p, x->n_row, x->n_col);
    if (be->err)
        return;
    be_cpu_linear_vecs(be, yp, (const float *const *)xp, x->n_row, w, w->bias, add);
}

void be_cpu_linear(struct be *be, struct tensor *y, const struct tensor *x, const struct weight *w)
{
    linear(be, y, x, w, false);
}

void be_cpu_linear_add(struct be *be, struct tensor *y, const struct tensor *x,
                       const struct weight *w)
{
    linear(be, y, x, w, true);
}
