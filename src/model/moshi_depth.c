/* SPDX-License-Identifier: MIT */
/* The depth transformer: one codebook after the other, within a frame; docs/models/moshi.md. */
#include "model/moshi_impl.h"

static enum err check_tokens(const struct moshi *m, const struct step *s, int k,
                             const int32_t *token)
{
    int32_t max = k == 0 ? m->c.info.text_max : m->c.info.card;

    for (int a = 0; a < s->n_lane; a++)
        if (token[a] < -1 || token[a] > max)
            return err_set(ERR_USAGE, "token %d before codebook %d is outside -1 .. %d", token[a],
                           k, max);
    return OK;
}

/* What the temporal transformer says, as seen by this step, and the token before it. */
static struct tensor *embed(struct moshi *m, const struct step *s, int k, const int32_t *token)
{
    struct tensor *h = be_scratch(m->be, s->n_lane, m->c.main.dim);
    struct tensor *x = be_scratch(m->be, s->n_lane, m->c.depth.dim);

    moshi_set_rows(h, 0, m->h, s->n_lane);
    op_linear(m->be, x, h, &m->depth_in[m->c.in_set[k]]);
    moshi_embed_add(m->be, x, k == 0 ? &m->depth_text_emb : &m->depth_emb[k - 1], token, m->ids);
    if (m->c.depth.has_sin) {
        for (int a = 0; a < s->n_lane; a++)
            m->at[a] = k;
        moshi_sin_add(x, m->at, m->depth_sin_period, m->c.depth.sin_scale);
    }
    return x;
}

enum err moshi_depth_step(struct moshi *m, const struct step *s, int k, const int32_t *token,
                          const float **logits)
{
    const struct moshi_stack *stack = &m->c.depth;
    enum err                  err = check_tokens(m, s, k, token);

    must(k >= 0 && k < m->c.n_depth);
    if (err)
        return err;
    for (int i = 0; k == 0 && i < stack->n_layer; i++)
        for (int a = 0; a < s->n_lane; a++)
            kv_reset(&m->depth_kv[i], s->lane[a]);

    be_begin(m->be, s);
    struct tensor            *x = embed(m, s, k, token);
    const struct moshi_layer *layer = m->depth_layer + (size_t)m->c.set[k] * (size_t)stack->n_layer;
    for (int i = 0; i < moshi_n_layer(m, stack); i++)
        moshi_block(m->be, x, &layer[i], stack, &m->depth_kv[i], NULL);
    struct tensor *out = be_scratch(m->be, s->n_lane, m->c.info.card);
    op_norm_linear(m->be, out, x, &m->depth_norm[k], &m->linear[k]);
    err = be_end(m->be);
    for (int a = 0; a < s->n_lane && !err; a++)
        logits[a] = out->p + (size_t)a * (size_t)m->c.info.card;
    return err;
}
