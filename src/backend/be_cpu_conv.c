/* SPDX-License-Identifier: MIT */
/* Convolutions in channels-last form (spec/performance.md 6.6). A window of a conv without
 * dilation is contiguous, so the linear kernels read it where it lies; only the windows that
 * reach back into the state are joined. Streaming and one long call give the same bits: each
 * output is the same sum. */
#include <string.h>

#include "backend/be_cpu.h"

struct job {
    const struct conv   *c;
    struct conv_state   *s;
    const struct step   *step;
    const struct tensor *x;
    float               *y;
    int                  n_each; /* input rows of a lane */
    int                  n_out;  /* output rows of a lane */
    int                  reach;  /* rows that a window spans */
    float               *front;  /* [n_lane, n_front, n_in]: state, then first rows of the input */
    int                  n_front;
    float               *gather; /* dilated windows: [n_lane * n_out, kernel * n_in] */
    float               *taps;   /* depthwise: [kernel, n_out]; */
    const float         *bias;
    float               *products; /* transposed: [n_row, kernel * n_out] */
    float               *rest;     /* transposed: [n_lane, n_state, n_out]: the state to be */
};

static float *state_of(const struct job *j, int a)
{
    return j->s->p + (size_t)j->step->lane[a] * (size_t)j->s->n_row * (size_t)j->s->n_col;
}

static const float *input_row(const struct job *j, int a, int t)
{
    return j->x->p + ((size_t)a * (size_t)j->n_each + (size_t)t) * (size_t)j->c->n_in;
}

/* Row t of the joined input: rows of the state come before row 0 of the step. */
static const float *joined_row(const struct job *j, int a, int t)
{
    int n_state = j->s->n_row;
    return t < j->n_front ? j->front + ((size_t)a * (size_t)j->n_front + (size_t)t) * j->c->n_in
                          : input_row(j, a, t - n_state);
}

/* The first input row of a stream stands in for those before it. */
static void replicate_first(const struct job *j, int a)
{
    size_t n_in = (size_t)j->c->n_in;
    bool  *is_first = &j->s->is_first[j->step->lane[a]];
    if (*is_first && j->c->pad == CONV_PAD_REPLICATE)
        for (int t = 0; t < j->s->n_row; t++)
            memcpy(state_of(j, a) + (size_t)t * n_in, input_row(j, a, 0), n_in * sizeof(float));
    *is_first = false;
}

/* Joins state and input at the front of a lane, then keeps the last rows as the state. */
static void roll_lane(const struct job *j, int a)
{
    size_t n_in = (size_t)j->c->n_in, row = n_in * sizeof(float);
    int    n_state = j->s->n_row;
    float *state = state_of(j, a), *front = j->front + (size_t)a * (size_t)j->n_front * n_in;
    replicate_first(j, a);
    memcpy(front, state, (size_t)n_state * row);
    memcpy(front + (size_t)n_state * n_in, input_row(j, a, 0),
           (size_t)(j->n_front - n_state) * row);
    int n_keep = n_state > j->n_each ? n_state - j->n_each : 0;
    memmove(state, state + (size_t)(n_state - n_keep) * n_in, (size_t)n_keep * row);
    memcpy(state + (size_t)n_keep * n_in, input_row(j, a, j->n_each - (n_state - n_keep)),
           (size_t)(n_state - n_keep) * row);
}

static void gather_slice(void *arg, int i, int n)
{
    const struct job *j = arg;
    size_t            n_in = (size_t)j->c->n_in;
    int               from, to, kernel = j->c->kernel;
    be_cpu_slice(&from, &to, j->step->n_lane * j->n_out, i, n);
    for (; from < to; from++)
        for (int k = 0; k < kernel; k++) {
            int t = from % j->n_out * j->c->stride + k * j->c->dilation;
            memcpy(j->gather + ((size_t)from * (size_t)kernel + (size_t)k) * n_in,
                   joined_row(j, from / j->n_out, t), n_in * sizeof(float));
        }
}

/* A conv over all channels: windows are vectors of one linear op. */
static void conv_dense(struct be *be, struct job *j)
{
    const struct conv *c = j->c;
    int                n_vec = j->step->n_lane * j->n_out;
    const float      **xp = be_scratch_bytes(be, (size_t)n_vec * sizeof *xp);
    float            **yp = be_scratch_bytes(be, (size_t)n_vec * sizeof *yp);
    if (c->dilation > 1 && c->kernel > 1)
        j->gather = be_scratch(be, n_vec, c->kernel * c->n_in)->p;
    if (be->err)
        return;
    if (j->gather)
        be_cpu_run(be, (int64_t)n_vec * c->kernel * c->n_in, gather_slice, j);
    for (int m = 0; m < n_vec; m++) {
        yp[m] = j->y + (size_t)m * (size_t)c->n_out;
        /* A window that begins in the state ends inside the front. */
        int t = m % j->n_out * c->stride;
        xp[m] = j->gather         ? j->gather + (size_t)m * (size_t)c->kernel * (size_t)c->n_in
                : t < j->s->n_row ? joined_row(j, m / j->n_out, t)
                                  : input_row(j, m / j->n_out, t - j->s->n_row);
    }
    be_cpu_linear_vecs(be, yp, xp, n_vec, &c->w, j->bias, false);
}

/* Depthwise taps as f32 [kernel, n_out]. */
static void widen_taps(struct be *be, struct job *j)
{
    const struct conv *c = j->c;
    int                n = c->kernel * c->n_out;
    struct tensor     *t = be_scratch(be, 2, n);
    if (be->err)
        return;
    j->taps = t->p;
    be_cpu_widen(c->is_transposed ? t->p : t->p + n, &c->w, 0, n);
    if (!c->is_transposed) /* stored [n_out, kernel] */
        for (int k = 0; k < c->kernel; k++)
            for (int o = 0; o < c->n_out; o++)
                t->p[k * c->n_out + o] = t->p[n + o * c->kernel + k];
}

static void depthwise_slice(void *arg, int i, int n)
{
    const struct job *j = arg;
    int               from, to, n_out = j->c->n_out;
    be_cpu_slice(&from, &to, j->step->n_lane * j->n_out, i, n);
    for (; from < to; from++) {
        float *y = j->y + (size_t)from * (size_t)n_out;
        memset(y, 0, (size_t)n_out * sizeof *y);
        for (int k = 0; k < j->c->kernel; k++) {
            int t = from % j->n_out * j->c->stride + k * j->c->dilation;
            kern.mul_add_f32(y, j->taps + (size_t)k * (size_t)n_out,
                             joined_row(j, from / j->n_out, t), n_out);
        }
        if (j->bias)
            kern.add_f32(y, j->bias, n_out);
    }
}

static void conv_forward(struct be *be, struct job *j)
{
    const struct conv *c = j->c;
    j->reach = (c->kernel - 1) * c->dilation + 1;
    j->n_out = j->n_each / c->stride;
    j->n_front = j->s->n_row + (j->n_each < j->reach - 1 ? j->n_each : j->reach - 1);
    if (j->s->n_row == 0)
        j->n_front = 0;
    else {
        j->front = be_scratch(be, j->step->n_lane * j->n_front, c->n_in)->p;
        if (be->err)
            return;
        for (int a = 0; a < j->step->n_lane; a++)
            roll_lane(j, a);
    }
    if (c->groups == 1) {
        conv_dense(be, j);
        return;
    }
    widen_taps(be, j);
    if (!be->err)
        be_cpu_run(be, 2 * (int64_t)j->step->n_lane * j->n_out * c->kernel * c->n_out,
                   depthwise_slice, j);
}

/* One output row of a transposed conv, state rows to be included: what earlier steps left, then the
 * inputs in their order, each with the tap that lands here. */
static void overlap_row(const struct job *j, float *out, int a, int r)
{
    const struct conv *c = j->c;
    size_t             n_out = (size_t)c->n_out;
    if (r < j->s->n_row)
        memcpy(out, state_of(j, a) + (size_t)r * n_out, n_out * sizeof *out);
    else
        memset(out, 0, n_out * sizeof *out);
    int t0 = r < c->kernel ? 0 : (r - c->kernel) / c->stride + 1;
    for (int t = t0; t < j->n_each && t * c->stride <= r; t++) {
        size_t tap = (size_t)(r - t * c->stride), row = (size_t)a * (size_t)j->n_each + (size_t)t;
        if (j->taps)
            kern.mul_add_f32(out, j->taps + tap * n_out, input_row(j, a, t), c->n_out);
        else
            kern.add_f32(out, j->products + (row * (size_t)c->kernel + tap) * n_out, c->n_out);
    }
}

static void overlap_slice(void *arg, int i, int n)
{
    const struct job *j = arg;
    int               n_state = j->s->n_row, n_all = j->n_out + n_state, from, to;
    size_t            n_col = (size_t)j->c->n_out;
    be_cpu_slice(&from, &to, j->step->n_lane * n_all, i, n);
    for (; from < to; from++) {
        size_t a = (size_t)(from / n_all);
        int    r = from % n_all;
        if (r >= j->n_out) {
            overlap_row(j, j->rest + (a * (size_t)n_state + (size_t)(r - j->n_out)) * n_col, (int)a,
                        r);
            continue;
        }
        float *y = j->y + (a * (size_t)j->n_out + (size_t)r) * n_col;
        overlap_row(j, y, (int)a, r);
        if (j->bias)
            kern.add_f32(y, j->bias, j->c->n_out);
    }
}

static void conv_transposed(struct be *be, struct job *j)
{
    const struct conv *c = j->c;
    int                n_lane = j->step->n_lane, n_state = j->s->n_row;
    j->n_out = j->n_each * c->stride;
    if (n_state)
        j->rest = be_scratch(be, n_lane * n_state, c->n_out)->p;
    if (c->groups > 1) {
        widen_taps(be, j);
    } else {
        struct tensor *t = be_scratch(be, j->x->n_row, c->kernel * c->n_out);
        struct weight  w = c->w;
        w.bias = NULL;
        op_linear(be, t, j->x, &w);
        j->products = t->p;
    }
    if (be->err)
        return;
    be_cpu_run(be, 2 * (int64_t)j->x->n_row * c->kernel * c->n_out, overlap_slice, j);
    for (int a = 0; a < n_lane; a++) {
        size_t n = (size_t)n_state * (size_t)c->n_out;
        if (n)
            memcpy(state_of(j, a), j->rest + (size_t)a * n, n * sizeof *j->rest);
        j->s->is_first[j->step->lane[a]] = false;
    }
}

void be_cpu_conv(struct be *be, struct tensor *y, const struct tensor *x, const struct conv *c,
                 struct conv_state *s)
{
    struct job j = { .c = c,
                     .s = s,
                     .step = &be->step,
                     .x = x,
                     .y = y->p,
                     .n_each = be_rows_each(be, x->n_row),
                     .bias = c->bias ? c->bias : c->w.bias };
    if (c->is_transposed)
        conv_transposed(be, &j);
    else
        conv_forward(be, &j);
}
