/* SPDX-License-Identifier: MIT */
#include "model/nn/conv_layer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backend/weight.h"
#include "base/mem.h"

/* Stored [n0, n1, kernel]: a convolution has n0 = n_out, n1 = n_in / groups; a transposed one
 * n0 = n_in, n1 = n_out / groups. */
struct stored {
    int n0, n1, kernel;
};

static struct stored stored_shape(const struct conv *c)
{
    if (c->is_transposed)
        return (struct stored){ c->n_in, c->n_out / c->groups, c->kernel };
    return (struct stored){ c->n_out, c->n_in / c->groups, c->kernel };
}

/* g * v / |v|, the norm over all dimensions but the first. In double: 20,000 squares are added. */
static void fold_norm(float *v, const float *g, struct stored s)
{
    size_t n = (size_t)s.n1 * (size_t)s.kernel;

    for (int i = 0; i < s.n0; i++) {
        float *row = v + (size_t)i * n;
        double sum = 0;
        for (size_t j = 0; j < n; j++)
            sum += (double)row[j] * row[j];
        float scale = (float)(g[i] / sqrt(sum));
        for (size_t j = 0; j < n; j++)
            row[j] *= scale;
    }
}

static float *load_stored(struct weights *w, struct stored s, const char *name)
{
    bool        is_split = weights_has(w, "%s.weight_g", name);
    bool        is_parametrised = weights_has(w, "%s.parametrizations.weight.original0", name);
    const char *g_name = is_split ? "weight_g" : "parametrizations.weight.original0";
    const char *v_name = is_split ? "weight_v" : "parametrizations.weight.original1";

    if (!is_split && !is_parametrised)
        return weights_floats(w, s.n0, s.n1, s.kernel, "%s.weight", name);
    const float *g = weights_floats(w, s.n0, 1, 1, "%s.%s", name, g_name);
    float       *v = weights_floats(w, s.n0, s.n1, s.kernel, "%s.%s", name, v_name);
    if (g && v)
        fold_norm(v, g, s);
    return v;
}

/* Packing: rows of the product out of the numbers as stored, [out, in, tap] or, transposed,
 * [in, out, tap]. */
struct pack {
    const struct conv *c;
    const float       *from;
    uint8_t           *to;
    int                n_unit, n_each; /* blocks u, u + n_unit, ... have their inputs in common */
};

enum { PACK_COLS = 64, KEY_CAP = 256 };

/* One row of the product over the inputs i0 .. i0+n-1 of its tap b. */
static void pack_row(float *out, const struct pack *p, int row, int b, int i0, int n)
{
    const struct conv *c = p->c;
    int                o = row % c->n_out, tap = b;
    size_t             step = (size_t)c->kernel, at = (size_t)o * (size_t)c->n_in * step;

    if (c->is_transposed) {
        tap = row / c->n_out + (conv_n_tap(c) - 1 - b) * c->stride;
        at = (size_t)o * step;
        step *= (size_t)c->n_out;
    }
    const float *from = p->from + at + (size_t)i0 * step + (size_t)tap;
    for (int i = 0; i < n; i++)
        out[i] = tap < c->kernel ? from[(size_t)i * step] : 0;
}

static void pack_block(const struct pack *p, int block, int i0, int n)
{
    const struct panels *w = &p->c->w;
    float                rows[PANEL_ROWS * PACK_COLS];
    int                  row0 = block * PANEL_ROWS, n_row = w->n_out - row0;

    n_row = n_row < PANEL_ROWS ? n_row : PANEL_ROWS;
    for (int b = 0; b < conv_n_tap(p->c); b++) {
        for (int r = 0; r < n_row; r++)
            pack_row(rows + r * n, p, row0 + r, b, i0, n);
        panel_pack(p->to + (size_t)block * panel_size(w->dtype, w->n_in), w->dtype, w->n_in, rows,
                   n_row, b * p->c->n_in + i0, n);
    }
}

static void pack_unit(void *arg, int u)
{
    const struct pack *p = arg;
    int                n_in = p->c->n_in;

    for (int i0 = 0; i0 < n_in; i0 += PACK_COLS)
        for (int e = 0; e < p->n_each; e++)
            pack_block(p, u + e * p->n_unit, i0, i0 + PACK_COLS < n_in ? PACK_COLS : n_in - i0);
}

/* The phases of a transposed conv read the same bytes: they are packed together. */
static void pack(struct be *be, struct conv *c, void *to, const float *from)
{
    struct pack p = { c, from, to, panel_count(c->w.n_out), 1 };

    if (c->is_transposed && c->n_out % PANEL_ROWS == 0) {
        p.n_unit = c->n_out / PANEL_ROWS;
        p.n_each = c->stride;
    }
    c->w.data = to;
    be_parallel(be, pack_unit, &p, p.n_unit);
}

/* [channel, 1, tap] to [tap, channel]. */
static void turn_depthwise(float *p, const float *from, struct stored s)
{
    for (int i = 0; i < s.n0; i++)
        for (int k = 0; k < s.kernel; k++)
            p[(size_t)k * (size_t)s.n0 + (size_t)i] = *from++;
}

static enum dtype pick_dtype(const struct be *be)
{
    return be_is_exact(be) ? DT_F32 : DT_BF16;
}

/* Room for panels that an earlier start may have made; NULL: nothing is to be packed. */
static void *panels_room(struct weight *kept, char key[KEY_CAP], struct weights *w,
                         struct panels *out, const char *name)
{
    size_t n_block = (size_t)panel_count(out->n_out);

    *kept = (struct weight){ .dtype = out->dtype, .n_out = out->n_out, .n_in = out->n_in };
    snprintf(key, KEY_CAP, "%s/panels%d", name, PANEL_ROWS);
    void *to = weights_room(w, kept, mem_size(n_block, panel_size(out->dtype, out->n_in)), key);
    out->data = to ? to : kept->data;
    return to;
}

static void load_dense(struct conv *c, const struct source *from, const char *name)
{
    struct weights *w = from->w;
    struct weight   kept;
    char            key[KEY_CAP];

    c->w.n_out = (c->is_transposed ? c->stride : 1) * c->n_out;
    c->w.n_in = conv_n_tap(c) * c->n_in;
    c->w.dtype = pick_dtype(from->be);
    void *to = panels_room(&kept, key, w, &c->w, name);
    if (!to && !weights_is_rehearsal(w))
        return;
    weights_scratch(w, true);
    const float *p = load_stored(w, stored_shape(c), name);
    if (p) {
        pack(from->be, c, to, p);
        weights_made(w, &kept, to, key);
    }
    weights_scratch(w, false);
}

static void load_taps(struct conv *c, const struct source *from, const char *name)
{
    struct stored s = stored_shape(c);
    const float  *p = load_stored(from->w, s, name);
    size_t        n = mem_size((size_t)c->kernel, (size_t)c->n_out);
    float        *taps = p ? source_take(from, n, sizeof *taps) : NULL;

    if (taps)
        turn_depthwise(taps, p, s);
    c->taps = taps;
}

/* One for each phase of a transposed conv. */
static const float *load_bias(const struct conv *c, const struct source *from, const char *name)
{
    const float *bias = weights_vector(from->w, c->n_out, "%s.bias", name);
    size_t       n = (size_t)c->n_out, n_copy = c->is_transposed ? (size_t)c->stride : 1;

    if (!bias || n_copy == 1)
        return bias;
    float *all = source_take(from, n_copy, n * sizeof *all);
    for (size_t i = 0; i < n_copy && all; i++)
        memcpy(all + i * n, bias, n * sizeof *all);
    return all;
}

/* A matrix as stored, its rows one after the other. */
struct matrix {
    const struct weight *from;
    struct panels        w;
    uint8_t             *to;
};

static void pack_matrix(void *arg, int block)
{
    const struct matrix *m = arg;
    float                rows[PANEL_ROWS * PACK_COLS];
    int                  row0 = block * PANEL_ROWS, n_row = m->w.n_out - row0;

    n_row = n_row < PANEL_ROWS ? n_row : PANEL_ROWS;
    for (int k0 = 0; k0 < m->w.n_in; k0 += PACK_COLS) {
        int n = k0 + PACK_COLS < m->w.n_in ? PACK_COLS : m->w.n_in - k0;
        for (int r = 0; r < n_row; r++)
            weight_floats(rows + r * n, m->from,
                          (size_t)(row0 + r) * (size_t)m->w.n_in + (size_t)k0, n);
        panel_pack(m->to + (size_t)block * panel_size(m->w.dtype, m->w.n_in), m->w.dtype, m->w.n_in,
                   rows, n_row, k0, n);
    }
}

void conv_layer_of_matrix(struct conv *c, const struct source *from, const struct weight *m,
                          const char *name)
{
    struct weights *w = from->w;
    struct matrix   job = { .from = m, .w = { .n_out = m->n_out, .n_in = m->n_in } };
    struct weight   kept;
    char            key[KEY_CAP];

    must(m->dtype == DT_F32 || m->dtype == DT_BF16 || m->dtype == DT_F16);
    job.w.dtype = m->dtype == DT_BF16 ? DT_BF16 : pick_dtype(from->be);
    job.to = panels_room(&kept, key, w, &job.w, name);
    *c = (struct conv){ .n_in = m->n_in,
                        .n_out = m->n_out,
                        .kernel = 1,
                        .stride = 1,
                        .dilation = 1,
                        .groups = 1,
                        .w = job.w,
                        .is_fine = true };
    if (job.to) {
        be_parallel(from->be, pack_matrix, &job, panel_count(m->n_out));
        weights_made(w, &kept, job.to, key);
    }
    weights_leave(w, m, job.to != NULL);
}

void conv_layer_linear(struct conv *c, const struct source *from, int n_out, int n_in,
                       const char *prefix, const char *name)
{
    struct weight m;
    char          own[192];

    snprintf(own, sizeof own, "%s.%s", prefix, name);
    weights_matrix(from->w, &m, n_out, n_in, "%s.weight", own);
    conv_layer_of_matrix(c, from, &m, own);
}

void conv_layer_load(struct conv_layer *l, const struct source *from, const struct conv *c,
                     bool has_bias, const char *name)
{
    l->conv = *c;
    if (c->groups > 1)
        load_taps(&l->conv, from, name);
    else
        load_dense(&l->conv, from, name);
    l->conv.bias = has_bias ? load_bias(c, from, name) : NULL;
}

enum err conv_layer_open(struct conv_layer *l, int n_lane)
{
    return conv_state_open(&l->state, &l->conv, n_lane);
}

void conv_layer_close(struct conv_layer *l)
{
    conv_state_close(&l->state);
}

void conv_layer_reset(struct conv_layer *l, int lane)
{
    conv_state_reset(&l->state, lane);
}

struct conv_io conv_layer_run(struct be *be, struct conv_layer *l, const struct tensor *x,
                              const struct tensor *add, int want, enum act act)
{
    const struct conv *c = &l->conv;
    int                n_row = c->is_transposed ? x->n_row * c->stride : x->n_row / c->stride;
    struct conv_io     io = { want & CONV_SUM ? be_scratch(be, n_row, c->n_out) : NULL,
                          want & CONV_ACT ? be_scratch(be, n_row, c->n_out) : NULL };

    op_conv(be, &(struct conv_out){ io.sum, io.act, add, act }, x, c, &l->state);
    return io;
}
