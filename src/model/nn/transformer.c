/* SPDX-License-Identifier: MIT */
#include "model/nn/transformer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/nn/sine.h"

/* Names of one layer's tensors in the two namings. %s is the layer's prefix. */
struct names {
    const char *layers, *norm1, *norm2, *scale1, *scale2, *up, *down;
};

static const struct names own_names = { "transformer.layers", "norm1",   "norm2",  "layer_scale_1",
                                        "layer_scale_2",      "linear1", "linear2" };
static const struct names hf_names = { "layers",
                                       "input_layernorm",
                                       "post_attention_layernorm",
                                       "self_attn_layer_scale",
                                       "mlp_layer_scale",
                                       "mlp.fc1",
                                       "mlp.fc2" };

static void load_norm(struct norm *n, struct weights *w, const struct transformer_shape *s,
                      const char *prefix, const char *name)
{
    *n = (struct norm){ .kind = s->norm, .eps = s->norm_eps, .n = s->d_model };
    if (s->norm == NORM_RMS) {
        n->w = weights_vector(w, s->d_model, "%s.%s.alpha", prefix, name);
        return;
    }
    n->w = weights_vector(w, s->d_model, "%s.%s.weight", prefix, name);
    n->b = weights_vector(w, s->d_model, "%s.%s.bias", prefix, name);
}

/* Three matrices of a transformers file, copied under each other as the one that ops read. */
static void join_qkv(struct weight *out, const struct source *from,
                     const struct transformer_shape *s, const char *prefix)
{
    static const char *const part[] = { "q", "k", "v" };
    struct weights          *w = from->w;
    const float             *rows[3];
    int                      n_kv = s->d_model / s->n_head * s->n_kv_head;
    const int                n_out[3] = { s->d_model, n_kv, n_kv };
    float                   *p = NULL;

    for (int i = 0; i < 3; i++)
        rows[i] = weights_floats(w, n_out[i], s->d_model, 0, "%s.self_attn.%s_proj.weight", prefix,
                                 part[i]);
    *out = (struct weight){ .dtype = DT_F32, .n_out = s->d_model + 2 * n_kv, .n_in = s->d_model };
    if (weights_err(w) || weights_is_rehearsal(w))
        return;
    p = source_take(from, (size_t)out->n_out, (size_t)s->d_model * sizeof *p);
    out->data = p;
    for (int i = 0; i < 3 && p; i++) {
        size_t n = (size_t)n_out[i] * (size_t)s->d_model;
        memcpy(p, rows[i], n * sizeof *p);
        p += n;
    }
}

static void load_attention(struct transformer_layer *l, const struct source *from,
                           const struct transformer_shape *s, const char *prefix)
{
    struct weights *w = from->w;
    struct weight   m;
    char            name[192];
    int             d = s->d_model, n_qkv = d + 2 * (d / s->n_head * s->n_kv_head);
    const char *in = weights_has(w, "%s.self_attn.in_projs.0.weight", prefix) ? "in_projs.0.weight"
                     : weights_has(w, "%s.self_attn.in_proj.weight", prefix)  ? "in_proj.weight"
                                                                              : "in_proj_weight";
    const char *out = from->is_hf ? "self_attn.o_proj"
                      : weights_has(w, "%s.self_attn.out_projs.0.weight", prefix)
                          ? "self_attn.out_projs.0"
                          : "self_attn.out_proj";

    if (from->is_hf)
        join_qkv(&m, from, s, prefix);
    else
        weights_matrix(w, &m, n_qkv, d, "%s.self_attn.%s", prefix, in);
    snprintf(name, sizeof name, "%s.self_attn.in_proj", prefix);
    conv_layer_of_matrix(&l->qkv, from, &m, name);
    conv_layer_linear(&l->out, from, d, d, prefix, out);
}

static void load_layer(struct transformer_layer *l, const struct source *from,
                       const struct transformer_shape *s, const char *prefix)
{
    const struct names *n = from->is_hf ? &hf_names : &own_names;
    const char         *up = s->is_gated ? "gating.linear_in" : n->up;
    const char         *down = s->is_gated ? "gating.linear_out" : n->down;
    int                 d = s->d_model;

    load_norm(&l->norm1, from->w, s, prefix, n->norm1);
    load_norm(&l->norm2, from->w, s, prefix, n->norm2);
    load_attention(l, from, s, prefix);
    conv_layer_linear(&l->up, from, s->is_gated ? 2 * s->d_hidden : s->d_hidden, d, prefix, up);
    conv_layer_linear(&l->down, from, d, s->d_hidden, prefix, down);
    if (s->has_layer_scale) {
        l->out.scale = weights_vector(from->w, d, "%s.%s.scale", prefix, n->scale1);
        l->down.scale = weights_vector(from->w, d, "%s.%s.scale", prefix, n->scale2);
    }
}

void transformer_load(struct transformer *t, const struct source *from,
                      const struct transformer_shape *s, const char *name)
{
    char prefix[96];

    t->shape = *s;
    if (from->is_hf && s->rope == ROPE_INTERLEAVED)
        t->shape.rope = ROPE_HALVES; /* its rows of queries and keys are permuted to match */
    if (!t->layer)
        t->layer = source_take(from, (size_t)s->n_layer, sizeof *t->layer);
    if (s->has_sin && !t->sin_period)
        t->sin_period = sine_period(from->arena, s->d_model, s->max_period);
    if (s->has_sin && !t->sin_period)
        weights_fail(from->w, err_set(ERR_NOMEM, "%s: out of memory", weights_path(from->w)));
    if (!t->layer)
        return;
    if (s->d_io != s->d_model) {
        conv_layer_linear(&t->proj_in, from, s->d_model, s->d_io, name, "input_proj");
        conv_layer_linear(&t->proj_out, from, s->d_io, s->d_model, name, "output_projs.0");
    }
    for (int i = 0; i < s->n_layer; i++) {
        snprintf(prefix, sizeof prefix, "%s.%s.%d", name,
                 (from->is_hf ? &hf_names : &own_names)->layers, i);
        load_layer(&t->layer[i], from, s, prefix);
    }
}

enum err transformer_open(struct transformer *t, int n_lane, enum dtype kv_dtype)
{
    const struct transformer_shape *s = &t->shape;
    enum err                        err = OK;

    for (int i = 0; i < s->n_layer && !err; i++)
        err = kv_open(&t->layer[i].kv, n_lane, s->n_kv_head, s->d_model / s->n_head, s->context,
                      kv_dtype);
    return err;
}

void transformer_close(struct transformer *t)
{
    for (int i = 0; t->layer && i < t->shape.n_layer; i++)
        kv_close(&t->layer[i].kv);
}

void transformer_reset(struct transformer *t, int lane)
{
    for (int i = 0; i < t->shape.n_layer; i++)
        kv_reset(&t->layer[i].kv, lane);
}

void transformer_warm(struct transformer *t, int lane)
{
    for (int i = 0; i < t->shape.n_layer; i++)
        kv_warm(&t->layer[i].kv, lane, KV_BLOCK);
}

static void add_sin(struct be *be, const struct transformer *t, struct tensor *x)
{
    const struct step *s = be_step(be);
    int                n_step = x->n_row / s->n_lane;

    for (int r = 0; r < x->n_row; r++)
        sine_add(x->p + (size_t)r * (size_t)x->n_col, x->n_col, t->sin_period,
                 t->layer[0].kv.n_seen[s->lane[r / n_step]] + r % n_step, t->shape.sin_scale);
}

static void linear(struct be *be, struct tensor *y, const struct tensor *x, const struct conv *c)
{
    op_conv(be, &(struct conv_out){ .y = y }, x, c, NULL);
}

static void linear_add(struct be *be, struct tensor *y, const struct tensor *x,
                       const struct conv *c)
{
    op_conv(be, &(struct conv_out){ .y = y, .add = y }, x, c, NULL);
}

/* act(up(x)), gated: act(a) * b with [a, b] = up(x) */
static struct tensor *feed(struct be *be, const struct transformer_shape *s,
                           const struct transformer_layer *l, const struct tensor *x)
{
    struct tensor *u = be_scratch(be, x->n_row, s->d_hidden);

    if (s->is_gated) {
        struct tensor *ab = be_scratch(be, x->n_row, 2 * s->d_hidden);
        linear(be, ab, x, &l->up);
        op_glu(be, u, ab, s->act);
    } else {
        op_conv(be, &(struct conv_out){ .z = u, .act = s->act }, x, &l->up, NULL);
    }
    return u;
}

static void run_layer(struct be *be, const struct transformer_shape *s, struct transformer_layer *l,
                      struct tensor *x)
{
    const struct attend attend = { .n_head = s->n_head,
                                   .context = s->context,
                                   .frame_rule = true,
                                   .scale = 1 / sqrtf((float)(s->d_model / s->n_head)),
                                   .rope = { s->rope, s->max_period, 1 } };
    struct tensor      *h = be_like(be, x);
    struct tensor      *qkv = be_scratch(be, x->n_row, l->qkv.n_out);

    op_norm(be, h, x, &l->norm1);
    linear(be, qkv, h, &l->qkv);
    op_attend(be, h, qkv, &l->kv, &attend);
    linear_add(be, x, h, &l->out);

    op_norm(be, h, x, &l->norm2);
    linear_add(be, x, feed(be, s, l, h), &l->down);
}

struct tensor *transformer_run(struct be *be, struct transformer *t, struct tensor *x)
{
    const struct transformer_shape *s = &t->shape;
    struct tensor                  *outside = x;

    if (t->proj_in.n_out) {
        x = be_scratch(be, outside->n_row, s->d_model);
        linear(be, x, outside, &t->proj_in);
    }
    if (s->has_sin)
        add_sin(be, t, x);
    for (int i = 0; i < s->n_layer; i++) {
        struct be_arena_mark mark = be_mark(be);
        run_layer(be, s, &t->layer[i], x);
        be_back(be, mark);
    }
    if (t->proj_out.n_out)
        linear(be, outside, x, &t->proj_out);
    return outside;
}
