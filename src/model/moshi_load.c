/* SPDX-License-Identifier: MIT */
/* Every tensor of a model file to its place, as PyTorch, Candle and MLX name it. */
#include <stdio.h>
#include <string.h>

#include "backend/weight.h"
#include "model/moshi_impl.h"
#include "model/weights.h"

/* How the depth transformer lies in the file. */
enum naming { PYTORCH, CANDLE, MLX };
/* What projections are called: in_projs.{set}.weight, in_proj_weight, in_proj.weight. */
enum projection { SPLIT, JOINED, PLAIN };

/* Found once by what the file has, so that a missing tensor is called by its name there. */
struct loader {
    struct moshi   *m;
    struct weights *w;
    enum naming     naming;
    enum projection projection;
    bool            is_mlx; /* audio_embs for emb, norm1.weight for norm1.alpha */
};

#define PREFIX_CAP 160

/* Pieces. */

static void load_norm(const struct loader *l, struct norm *out, enum moshi_norm kind, int n,
                      const char *prefix)
{
    struct weights *w = l->w;
    bool            is_weight = l->is_mlx;
    bool            is_layer = kind == MOSHI_NORM_LAYER || kind == MOSHI_NORM_LAYER_F32;
    bool            is_f32 = kind == MOSHI_NORM_LAYER_F32 || kind == MOSHI_NORM_RMS_F32;

    *out = (struct norm){ .kind = is_layer ? NORM_LAYER : NORM_RMS,
                          .eps = is_f32 ? 1e-8f : 1e-5f,
                          .n = n };
    if (is_layer || (weights_has(w, "%s.weight", prefix) && !weights_has(w, "%s.alpha", prefix)))
        is_weight = true;
    out->w = weights_vector(w, n, "%s.%s", prefix, is_weight ? "weight" : "alpha");
    if (is_layer)
        out->b = weights_vector(w, n, "%s.bias", prefix);
}

static void projection_name(char *out, size_t cap, enum projection p, const char *prefix,
                            const char *kind, int set)
{
    if (p == SPLIT)
        snprintf(out, cap, "%s.%ss.%d.weight", prefix, kind, set);
    else
        snprintf(out, cap, "%s.%s%sweight", prefix, kind,
                 p == JOINED && strcmp(kind, "in_proj") == 0 ? "_" : ".");
}

/* A projection of an attention: a tensor for each set, or one for all. */
static void load_projection(const struct loader *l, struct weight *out, int set, int n_set,
                            int n_out, int n_in, const char *prefix, const char *kind)
{
    enum projection p = l->projection;
    char            name[PREFIX_CAP + 64];

    projection_name(name, sizeof name, p, prefix, kind, set);
    for (int k = 0; k < 3 && !weights_has(l->w, "%s", name); k++) {
        projection_name(name, sizeof name, (enum projection)k, prefix, kind, set);
        p = (enum projection)k;
    }
    if (!weights_has(l->w, "%s", name)) { /* to be missed by its likely name */
        p = l->projection;
        projection_name(name, sizeof name, p, prefix, kind, set);
    }
    if (p == SPLIT)
        weights_matrix(l->w, out, n_out, n_in, "%s", name);
    else
        weights_matrix_rows(l->w, out, set * n_out, n_out, n_set * n_out, n_in, "%s", name);
}

static void load_cross(struct loader *l, struct moshi_layer *y, const char *prefix)
{
    struct weights *w = l->w;
    int             d = l->m->c.main.dim;
    char            name[PREFIX_CAP + 48];
    const char     *kinds[] = { "in_projs.0.weight", "in_proj_weight", "in_proj.weight" };

    int at = l->projection;
    for (int i = 0; i < 3 && !weights_has(w, "%s.cross_attention.%s", prefix, kinds[at]); i++)
        at = weights_has(w, "%s.cross_attention.%s", prefix, kinds[i]) ? i : at;
    snprintf(name, sizeof name, "%s.cross_attention.%s", prefix, kinds[at]);
    weights_matrix_cut(w, &y->cross_q, 0, d, 3 * d, d, "%s", name);
    weights_matrix_cut(w, &y->cross_kv, d, 2 * d, 3 * d, d, "%s", name);
    snprintf(name, sizeof name, "%s.cross_attention", prefix);
    load_projection(l, &y->cross_out, 0, 1, d, d, name, "out_proj");
    snprintf(name, sizeof name, "%s.norm_cross", prefix);
    load_norm(l, &y->norm_cross, MOSHI_NORM_LAYER, d, name);
}

/* infix: "" or "{set}." where the feed-forward has a module for each set. */
static void load_feed_forward(struct weights *w, struct moshi_layer *y, const struct moshi_stack *s,
                              int hidden, const char *prefix, const char *infix)
{
    if (s->is_gated) {
        weights_matrix(w, &y->ff_in, 2 * hidden, s->dim, "%s.gating.%slinear_in.weight", prefix,
                       infix);
        weights_matrix(w, &y->ff_out, s->dim, hidden, "%s.gating.%slinear_out.weight", prefix,
                       infix);
    } else {
        weights_matrix(w, &y->ff_in, hidden, s->dim, "%s.linear1.weight", prefix);
        weights_matrix(w, &y->ff_out, s->dim, hidden, "%s.linear2.weight", prefix);
    }
}

/* A block whose attention is set `set` of n_set in the file. */
static void load_block(struct loader *l, struct moshi_layer *y, const struct moshi_stack *s,
                       int set, int n_set, int hidden, const char *prefix, const char *infix)
{
    struct weights *w = l->w;
    char            name[PREFIX_CAP + 16];
    int             d_head = s->dim / s->n_head;

    snprintf(name, sizeof name, "%s.self_attn", prefix);
    load_projection(l, &y->in_proj, set, n_set, s->dim + 2 * s->n_kv_head * d_head, s->dim, name,
                    "in_proj");
    load_projection(l, &y->out_proj, set, n_set, s->dim, s->dim, name, "out_proj");
    load_feed_forward(w, y, s, hidden, prefix, infix);
    snprintf(name, sizeof name, "%s.norm1", prefix);
    load_norm(l, &y->norm1, l->m->c.norm, s->dim, name);
    snprintf(name, sizeof name, "%s.norm2", prefix);
    load_norm(l, &y->norm2, l->m->c.norm, s->dim, name);
    if (s->has_layer_scale) {
        y->scale1 = weights_vector(w, s->dim, "%s.layer_scale_1.scale", prefix);
        y->scale2 = weights_vector(w, s->dim, "%s.layer_scale_2.scale", prefix);
    }
}

/* The norm of an embedding is part of the table: each row is normalised once. */
static void normalise_table(struct loader *l, struct weight *table, const char *prefix)
{
    struct weights *w = l->w;
    const float    *gain = weights_vector(w, table->n_in, "%s.norm.weight", prefix);
    const float    *bias = weights_vector(w, table->n_in, "%s.norm.bias", prefix);
    size_t n_in = (size_t)table->n_in, size = mem_size((size_t)table->n_out, n_in * sizeof(float));

    if (weights_err(w) || weights_is_rehearsal(w))
        return;
    float *y = arena_take(l->m->arena, size);
    if (!y) {
        weights_fail(w, err_set(ERR_NOMEM, "out of memory for the embeddings"));
        return;
    }
    for (int i = 0; i < table->n_out; i++) {
        float *row = y + (size_t)i * n_in;
        weight_row(row, table, i);
        kern.layer_norm_f32(row, row, gain, bias, table->n_in, 1e-5f);
    }
    *table = (struct weight){
        .dtype = DT_F32, .n_out = table->n_out, .n_in = table->n_in, .data = y
    };
}

static void load_table(struct loader *l, struct moshi_table *t, int n_row, int dim, int low_rank,
                       bool is_demux, const char *prefix)
{
    struct weights *w = l->w;
    int             width = low_rank ? low_rank : dim;

    t->card = n_row;
    bool is_leaf = !low_rank && !is_demux && !l->m->c.has_norm_emb;
    weights_table(w, &t->table, n_row, width, is_leaf, "%s.weight", prefix);
    if (l->m->c.has_norm_emb)
        normalise_table(l, &t->table, prefix);
    if (is_demux) {
        struct weight dead;
        weights_matrix(w, &t->out1, dim, width, "%s.out1.weight", prefix);
        weights_matrix(w, &t->out2, dim, width, "%s.out2.weight", prefix);
        if (weights_has(w, "%s.low_rank.weight", prefix)) /* in the files, used by nobody */
            weights_matrix(w, &dead, dim, width, "%s.low_rank.weight", prefix);
    } else if (low_rank) {
        weights_matrix(w, &t->low_rank, dim, low_rank, "%s.low_rank.weight", prefix);
    }
}

static void load_output(struct loader *l, struct weight *out, int n_out, int n_in,
                        const char *prefix)
{
    weights_matrix(l->w, out, n_out, n_in, "%s.weight", prefix);
    if (l->m->c.has_bias)
        out->bias = weights_vector(l->w, n_out, "%s.bias", prefix);
}

/* Temporal transformer. */

static void load_main(struct loader *l)
{
    struct moshi              *m = l->m;
    const struct moshi_config *c = &m->c;
    const char                *emb = l->is_mlx ? "audio_embs" : "emb";
    char                       prefix[PREFIX_CAP];

    load_table(l, &m->text_emb, c->info.text_card + 1, c->main.dim, 0, c->is_demux, "text_emb");
    for (int k = 0; k < c->info.n_q; k++) {
        snprintf(prefix, sizeof prefix, "%s.%d", emb, k);
        load_table(l, &m->emb[k], c->info.card + 1, c->main.dim, 0, false, prefix);
    }
    for (int i = 0; i < c->main.n_layer; i++) {
        struct moshi_layer *y = &m->layer[i];
        snprintf(prefix, sizeof prefix, "transformer.layers.%d", i);
        load_block(l, y, &c->main, 0, 1, c->main.n_hidden[0], prefix, "");
        if (c->has_cross)
            load_cross(l, y, prefix);
        if (c->has_cross && c->main.has_layer_scale)
            y->scale_cross = weights_vector(l->w, c->main.dim, "%s.layer_scale_cross.scale",
                                            prefix);
    }
    load_norm(l, &m->out_norm, c->norm, c->main.dim, "out_norm");
    load_output(l, &m->text_linear, c->info.text_card_out, c->main.dim, "text_linear");
    for (int i = 0; i < c->info.n_extra_head; i++)
        weights_matrix(l->w, &m->head[i], c->info.extra_head_dim, c->main.dim,
                       "extra_heads.%d.weight", i);
}

/* Depth transformer. */

/* PyTorch: sets are shared by the schedule, embeddings and outputs are per step. */
static void load_depth_sets(struct loader *l)
{
    struct moshi              *m = l->m;
    const struct moshi_config *c = &m->c;
    const struct moshi_stack  *s = &c->depth;
    char                       prefix[PREFIX_CAP], infix[16] = "";

    for (int i = 0; i < c->n_in; i++)
        weights_matrix(l->w, &m->depth_in[i], s->dim, c->main.dim, "depformer_in.%d.weight", i);
    for (int set = 0; set < s->n_set; set++) {
        for (int i = 0; i < s->n_layer; i++) {
            snprintf(prefix, sizeof prefix, "depformer.layers.%d", i);
            if (c->is_per_step)
                snprintf(infix, sizeof infix, "%d.", set);
            load_block(l, &m->depth_layer[set * s->n_layer + i], s, set, s->n_set, s->n_hidden[set],
                       prefix, infix);
        }
    }
    for (int k = 0; k < c->n_depth; k++) {
        snprintf(prefix, sizeof prefix, "linears.%d", k);
        load_output(l, &m->linear[k], c->info.card, s->dim, prefix);
    }
    load_table(l, &m->depth_text_emb, c->info.text_card + 1, s->dim, c->low_rank, c->is_demux,
               "depformer_text_emb");
    for (int k = 0; k < c->n_depth - 1; k++) {
        snprintf(prefix, sizeof prefix, "depformer_emb.%d", k);
        load_table(l, &m->depth_emb[k], c->info.card + 1, s->dim, c->low_rank, false, prefix);
    }
}

/* Candle and MLX: a module for each step; shared sets are repeated, and each step reads its own. */
static void load_depth_slices(struct loader *l)
{
    struct moshi              *m = l->m;
    const struct moshi_config *c = &m->c;
    const struct moshi_stack  *s = &c->depth;
    const char                *root = l->naming == MLX ? "depformer.slices" : "depformer";
    char                       prefix[PREFIX_CAP];

    for (int k = 0; k < c->n_depth; k++) {
        weights_matrix(l->w, &m->depth_in[k], s->dim, c->main.dim, "%s.%d.linear_in.weight", root,
                       k);
        snprintf(prefix, sizeof prefix, "%s.%d.linear_out", root, k);
        load_output(l, &m->linear[k], c->info.card, s->dim, prefix);
        snprintf(prefix, sizeof prefix, "%s.%d.emb", root, k);
        if (k == 0)
            load_table(l, &m->depth_text_emb, c->info.text_card + 1, s->dim, c->low_rank,
                       c->is_demux, prefix);
        else
            load_table(l, &m->depth_emb[k - 1], c->info.card + 1, s->dim, c->low_rank, false,
                       prefix);
        for (int i = 0; i < s->n_layer; i++) {
            snprintf(prefix, sizeof prefix, "%s.%d.transformer.layers.%d", root, k, i);
            load_block(l, &m->depth_layer[k * s->n_layer + i], s, 0, 1, s->n_hidden[c->set[k]],
                       prefix, "");
        }
    }
}

static void load_depth(struct loader *l)
{
    const struct moshi_config *c = &l->m->c;
    char                       prefix[PREFIX_CAP];

    /* The reference makes one depformer_in even for a model without depth steps. */
    if (c->unused_depth_dim && weights_has(l->w, "depformer_in.0.weight")) {
        struct weight dead;
        weights_matrix(l->w, &dead, c->unused_depth_dim, c->main.dim, "depformer_in.0.weight");
    }
    if (c->n_depth == 0)
        return;
    if (l->naming == PYTORCH)
        load_depth_sets(l);
    else
        load_depth_slices(l);
    for (int k = 0; k < c->n_depth && c->depth_norm != MOSHI_NORM_NONE; k++) {
        snprintf(prefix, sizeof prefix, "depformer_norms.%d", k);
        load_norm(l, &l->m->depth_norm[k], c->depth_norm, c->depth.dim, prefix);
    }
}

/* Conditioners. */

static void load_conditions(struct loader *l)
{
    const struct moshi_config *c = &l->m->c;
    char                       prefix[PREFIX_CAP];

    for (int i = 0; i < c->n_cond; i++) {
        const struct moshi_condition   *d = &c->cond[i];
        struct moshi_condition_weights *y = &l->m->cond[i];
        snprintf(prefix, sizeof prefix, "condition_provider.conditioners.%s", d->name);
        if (d->is_lut)
            weights_table(l->w, &y->embed, d->n_bin + 1, d->dim, true, "%s.embed.weight", prefix);
        if (d->has_projection)
            weights_matrix(l->w, &y->projection, c->main.dim, d->dim, "%s.output_proj.weight",
                           prefix);
        if (d->has_padding)
            y->padding = weights_vector(l->w, c->main.dim, "%s.learnt_padding", prefix);
    }
}

/* All. */

static enum naming find_naming(const struct weights *w)
{
    char prefix[32];

    if (weights_has_prefix(w, "depformer.slices."))
        return MLX;
    for (int k = 0; k < 10; k++) {
        snprintf(prefix, sizeof prefix, "depformer.%d", k);
        if (weights_has_prefix(w, prefix))
            return CANDLE;
    }
    return PYTORCH;
}

static enum projection find_projection(const struct weights *w, int n_layer)
{
    static const char *const names[] = { "in_projs.0.weight", "in_proj_weight", "in_proj.weight" };

    for (int i = 0; i < n_layer; i++)
        for (int k = 0; k < 3; k++)
            if (weights_has(w, "transformer.layers.%d.self_attn.%s", i, names[k]))
                return (enum projection)k;
    return JOINED;
}

/* Where each step has weights of its own, step k is set k. */
static enum err make_room(struct moshi *m, enum naming naming)
{
    struct moshi_config *c = &m->c;
    int                  n_set = naming == PYTORCH ? c->depth.n_set : c->n_depth;
    int                  n_in = naming == PYTORCH ? c->n_in : c->n_depth;

    m->emb = arena_take(m->arena, (size_t)c->info.n_q * sizeof *m->emb);
    m->layer = arena_take(m->arena, (size_t)c->main.n_layer * sizeof *m->layer);
    m->depth_emb = arena_take(m->arena, (size_t)c->n_depth * sizeof *m->depth_emb);
    m->depth_layer = arena_take(m->arena,
                                (size_t)n_set * (size_t)c->depth.n_layer * sizeof *m->depth_layer);
    m->depth_in = arena_take(m->arena, (size_t)n_in * sizeof *m->depth_in);
    m->linear = arena_take(m->arena, (size_t)c->n_depth * sizeof *m->linear);
    m->depth_norm = arena_take(m->arena, (size_t)c->n_depth * sizeof *m->depth_norm);
    if (!m->emb || !m->layer || !m->depth_emb || !m->depth_layer || !m->depth_in || !m->linear ||
        !m->depth_norm)
        return err_set(ERR_NOMEM, "out of memory for the list of weights");
    return OK;
}

static void load_everything(struct loader *l)
{
    load_main(l);
    load_depth(l);
    load_conditions(l);
}

enum err moshi_load(struct moshi *m, const struct model_files *f, const struct model_options *o)
{
    struct weights_options wo = { .arena = m->arena,
                                  .be = o->be,
                                  .quant = o->quant,
                                  .lora_path = m->c.has_lora ? f->lora_path : NULL,
                                  .lora_scaling = m->c.lora_scaling,
                                  .lora_rank = m->c.lora_rank,
                                  .is_exact = be_is_exact(o->be),
                                  .load = o->load,
                                  .is_noise = f->is_noise };
    struct loader          l = { .m = m };

    enum err err = weights_open(&m->w, f->lm_path, &wo);
    if (err)
        return err;
    l.w = m->w;
    l.naming = find_naming(m->w);
    l.projection = find_projection(m->w, m->c.main.n_layer);
    l.is_mlx = weights_has_prefix(m->w, "audio_embs.");
    err = make_room(m, l.naming);
    if (err)
        return err;
    weights_rehearse(m->w);
    load_everything(&l);
    err = weights_perform(m->w);
    if (err)
        return err;
    load_everything(&l);
    for (int k = 0; k < m->c.n_depth && l.naming != PYTORCH; k++)
        m->c.set[k] = m->c.in_set[k] = k;
    return weights_finish(m->w);
}
