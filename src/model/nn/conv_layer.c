/* SPDX-License-Identifier: MIT */
#include "model/nn/conv_layer.h"

#include <math.h>
#include <string.h>

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

/* [out, in, tap] to [out, tap, in], as windows of channels-last rows lie; row by row in place. */
static void turn_taps(float *p, struct stored s, float *row)
{
    size_t n = (size_t)s.n1 * (size_t)s.kernel;

    for (int o = 0; o < s.n0; o++, p += n) {
        memcpy(row, p, n * sizeof *row);
        for (int k = 0; k < s.kernel; k++)
            for (int i = 0; i < s.n1; i++)
                p[(size_t)k * (size_t)s.n1 + (size_t)i] =
                    row[(size_t)i * (size_t)s.kernel + (size_t)k];
    }
}

/* [in, out, tap] to [tap, out, in]: each tap of each output is one row over the inputs. Sixteen
 * inputs at a time: whole cache lines are written. */
static void turn_transposed(float *p, const float *from, struct stored s)
{
    size_t n_in = (size_t)s.n0, n_out = (size_t)s.n1, kernel = (size_t)s.kernel;

    for (size_t i0 = 0; i0 < n_in; i0 += 16) {
        size_t i1 = i0 + 16 < n_in ? i0 + 16 : n_in;
        for (size_t o = 0; o < n_out; o++)
            for (size_t k = 0; k < kernel; k++)
                for (size_t i = i0; i < i1; i++)
                    p[(k * n_out + o) * n_in + i] = from[(i * n_out + o) * kernel + k];
    }
}

/* [channel, 1, tap] to [tap, channel]. */
static void turn_depthwise(float *p, const float *from, struct stored s)
{
    for (int i = 0; i < s.n0; i++)
        for (int k = 0; k < s.kernel; k++)
            p[(size_t)k * (size_t)s.n0 + (size_t)i] = *from++;
}

static enum err turn(float *p, const struct conv *c)
{
    struct stored s = stored_shape(c);
    size_t        n_row = (size_t)s.n1 * (size_t)s.kernel;
    size_t        n_copy = c->is_transposed ? n_row * (size_t)s.n0 : n_row;

    if (!c->is_transposed && (s.n1 == 1 || s.kernel == 1))
        return OK;
    float *copy = mem_alloc(mem_size(n_copy, sizeof *copy));
    if (!copy)
        return err_set(ERR_NOMEM, "out of memory for a convolution");
    if (!c->is_transposed) {
        turn_taps(p, s, copy);
    } else {
        memcpy(copy, p, n_copy * sizeof *copy);
        if (c->groups > 1)
            turn_depthwise(p, copy, s);
        else
            turn_transposed(p, copy, s);
    }
    mem_free(copy);
    return OK;
}

void conv_layer_load(struct conv_layer *l, struct weights *w, struct arena *arena,
                     const struct conv *c, bool has_bias, const char *name)
{
    struct stored s = stored_shape(c);
    float        *p = load_stored(w, s, name);

    l->conv = *c;
    if (p)
        weights_fail(w, turn(p, c));
    l->conv.w = (struct weight){ .dtype = DT_F32, .data = p };
    l->conv.w.n_out = c->is_transposed ? c->kernel * c->n_out : c->n_out;
    l->conv.w.n_in = c->is_transposed ? c->n_in / c->groups : c->kernel * (c->n_in / c->groups);
    l->conv.bias = has_bias ? weights_vector(w, c->n_out, "%s.bias", name) : NULL;
    l->conv.w.bias = NULL;
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

struct tensor *conv_layer_run(struct be *be, struct conv_layer *l, const struct tensor *x)
{
    const struct conv *c = &l->conv;
    int                n_row = c->is_transposed ? x->n_row * c->stride : x->n_row / c->stride;
    struct tensor     *y = be_scratch(be, n_row, c->n_out);

    op_conv(be, y, x, c, &l->state);
    return y;
}
