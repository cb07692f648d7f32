/* SPDX-License-Identifier: MIT */
/* Convolutions in channels-last form (docs/performance.md, "How it computes"). A window of a conv
 * without dilation is contiguous, so the kernels read it where it lies; only the windows that reach
 * back into the state are joined. Streaming and one long call give the same bits: each output is
 * the same sum. */
#include <string.h>

#include "backend/be_cpu.h"

#define CHUNK     96 /* windows that a block of the matrix meets while they are in the cache */
#define VECS_EACH 24 /* with as many windows a thread, sharing the matrix beats splitting it */

struct job {
    const struct conv     *c;
    panel_fn               kernel;
    const struct conv_out *out;
    struct conv_state     *s;
    const struct step     *step;
    const struct tensor   *x;
    int                    n_tap, stride; /* of the windows: conv_n_tap(), conv_step() */
    int                    n_state;       /* rows that a lane remembers */
    int                    n_each;        /* input rows of a lane */
    int                    n_win;         /* windows of a lane */
    float                 *front; /* [n_lane, n_front, n_in]: state, then first rows of the input */
    int                    n_front;
    float                 *gather; /* dilated: [n_lane * n_win, kernel * n_in] */
};

static float *state_of(const struct job *j, int a)
{
    return j->s->p + (size_t)j->step->lane[a] * (size_t)j->n_state * (size_t)j->s->n_col;
}

static const float *input_row(const struct job *j, int a, int t)
{
    return j->x->p + ((size_t)a * (size_t)j->n_each + (size_t)t) * (size_t)j->c->n_in;
}

/* Row t of the joined input: rows of the state come before row 0 of the step. */
static const float *joined_row(const struct job *j, int a, int t)
{
    return t < j->n_front ? j->front + ((size_t)a * (size_t)j->n_front + (size_t)t) * j->c->n_in
                          : input_row(j, a, t - j->n_state);
}

/* The first input row of a stream stands in for those before it. */
static void replicate_first(const struct job *j, int a)
{
    size_t n_in = (size_t)j->c->n_in;
    bool  *is_first = &j->s->is_first[j->step->lane[a]];
    if (*is_first && j->c->pad == CONV_PAD_REPLICATE && !j->c->is_transposed)
        for (int t = 0; t < j->n_state; t++)
            memcpy(state_of(j, a) + (size_t)t * n_in, input_row(j, a, 0), n_in * sizeof(float));
    *is_first = false;
}

/* Joins state and input at the front of a lane, then keeps the last rows as the state. */
static void roll_lane(const struct job *j, int a)
{
    size_t n_in = (size_t)j->c->n_in, row = n_in * sizeof(float);
    int    n_state = j->n_state;
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

/* Window m of all lanes. One that begins in the state ends inside the front. */
static const float *window(const struct job *j, int m)
{
    int t = m % j->n_win * j->stride;
    if (!j->gather)
        return t < j->n_state ? joined_row(j, m / j->n_win, t)
                              : input_row(j, m / j->n_win, t - j->n_state);
    size_t n_in = (size_t)j->c->n_in, n_tap = (size_t)j->n_tap;
    float *at = j->gather + (size_t)m * n_tap * n_in;
    for (size_t k = 0; k < n_tap; k++) {
        memcpy(at + k * n_in, joined_row(j, m / j->n_win, t + (int)k * j->c->dilation),
               n_in * sizeof *at);
    }
    return at;
}

static bool is_by_vec(const struct job *j, int n_thread)
{
    return j->step->n_lane * j->n_win >= VECS_EACH * n_thread ||
           panel_count(j->c->w.n_out) < n_thread || j->gather;
}

/* Where the threads begin to read: their blocks, or all of them the whole matrix. */
static struct ahead ahead_of(const struct job *j, int n_thread)
{
    const struct panels *w = &j->c->w;
    size_t               block = panel_size(w->dtype, w->n_in);
    size_t               n_each = (size_t)(panel_count(w->n_out) / n_thread);
    size_t               each = is_by_vec(j, n_thread) ? 0 : n_each * block;
    size_t               size = each ? each : (size_t)panel_count(w->n_out) * block;
    return (struct ahead){ .job = w->data,
                           .p = w->data,
                           .each = each,
                           .size = size < AHEAD_SIZE ? size : AHEAD_SIZE,
                           .n_stream = 1 };
}

/* Outside exact mode signals are rounded where that is faster. */
static panel_fn kernel_of(const struct be *be, const struct conv *c)
{
    if (c->w.dtype == DT_F32)
        return kern.panel_f32;
    return kern.has_bf16 && !be->is_exact && !c->is_fine ? kern.panel_bf16_bf16 : kern.panel_bf16;
}

static void dense_slice(void *arg, int i, int n)
{
    const struct job  *j = arg;
    const struct conv *c = j->c;
    int                n_vec = j->step->n_lane * j->n_win, n_block = panel_count(c->w.n_out);
    bool               by_vec = is_by_vec(j, n);
    int                m0 = 0, m1 = n_vec, b0 = 0, b1 = n_block;
    const float       *x[CHUNK];

    if (by_vec)
        be_cpu_slice(&m0, &m1, n_vec, i, n);
    else
        be_cpu_slice(&b0, &b1, n_block, i, n);
    for (; m0 < m1 && b0 < b1; m0 += CHUNK) {
        size_t           at = (size_t)m0 * (size_t)c->w.n_out;
        int              n_x = m1 - m0 < CHUNK ? m1 - m0 : CHUNK;
        struct panel_job p = { .x = x,
                               .n_vec = n_x,
                               .w = c->w,
                               .bias = c->bias,
                               .scale = c->scale,
                               .add = j->out->add ? j->out->add->p + at : NULL,
                               .y = j->out->y ? j->out->y->p + at : NULL,
                               .z = j->out->z ? j->out->z->p + at : NULL,
                               .act = j->out->act };
        for (int m = 0; m < n_x; m++)
            x[m] = window(j, m0 + m);
        j->kernel(&p, b0, b1);
    }
}

/* Row m of all lanes of a depthwise conv, transposed or not. */
static void depthwise_row(const struct job *j, int m)
{
    const struct conv *c = j->c;
    int                n_phase = c->is_transposed ? c->stride : 1, n_row = j->n_win * n_phase;
    int                a = m / n_row, phase = m % n_row % n_phase;
    int                t = m % n_row / n_phase * j->stride;
    float             *y = j->out->y->p + (size_t)m * (size_t)c->n_out;

    memset(y, 0, (size_t)c->n_out * sizeof *y);
    for (int k = 0; k < j->n_tap; k++) {
        int tap = c->is_transposed ? phase + (j->n_tap - 1 - k) * n_phase : k;
        if (tap < c->kernel)
            kern.mul_add_f32(y, c->taps + (size_t)tap * (size_t)c->n_out,
                             joined_row(j, a, t + k * c->dilation), c->n_out);
    }
    if (c->bias)
        kern.add_f32(y, c->bias, c->n_out);
}

static void depthwise_slice(void *arg, int i, int n)
{
    const struct job *j = arg;
    int               from, to;
    be_cpu_slice(&from, &to, j->out->y->n_row, i, n);
    for (; from < to; from++)
        depthwise_row(j, from);
}

void be_cpu_conv(struct be *be, const struct conv_out *out, const struct tensor *x,
                 const struct conv *c, struct conv_state *s)
{
    struct job j = { .c = c,
                     .kernel = kernel_of(be, c),
                     .out = out,
                     .s = s,
                     .step = &be->step,
                     .x = x,
                     .n_tap = conv_n_tap(c),
                     .stride = conv_step(c),
                     .n_state = conv_n_state(c),
                     .n_each = be_rows_each(be, x->n_row) };
    int        n_lane = be->step.n_lane, reach = (j.n_tap - 1) * c->dilation;

    j.n_win = j.n_each / j.stride;
    if (j.n_state > 0) {
        j.n_front = j.n_state + (j.n_each < reach ? j.n_each : reach);
        j.front = be_scratch(be, n_lane * j.n_front, c->n_in)->p;
    }
    if (c->groups == 1 && c->dilation > 1 && j.n_tap > 1)
        j.gather = be_scratch(be, n_lane * j.n_win, j.n_tap * c->n_in)->p;
    if (be->err)
        return;
    for (int a = 0; a < n_lane && j.n_state > 0; a++)
        roll_lane(&j, a);
    if (c->groups > 1) {
        be_cpu_run(be, 2 * (int64_t)out->y->n_row * j.n_tap * c->n_out, depthwise_slice, &j);
        return;
    }
    struct ahead own = ahead_of(&j, be->n_thread);
    be_cpu_run_ahead(be, 2 * (int64_t)n_lane * j.n_win * c->w.n_out * c->w.n_in, dense_slice, &j,
                     &own);
}
