/* SPDX-License-Identifier: MIT */
#include "model/moshi.h"

#include <string.h>

#include "model/moshi_impl.h"

/* Open, close. */

static enum err open_states(struct kv **out, const struct moshi_stack *s, struct arena *a,
                            int n_lane, enum dtype dtype)
{
    struct kv *kv = arena_take(a, (size_t)s->n_layer * sizeof *kv);
    enum err   err = kv ? OK : err_set(ERR_NOMEM, "out of memory for keys and values");

    *out = kv;
    for (int i = 0; i < s->n_layer && !err; i++)
        err = kv_open(&kv[i], n_lane, s->n_kv_head, s->dim / s->n_head, s->context, dtype);
    return err;
}

static void close_states(struct kv *kv, int n)
{
    for (int i = 0; kv && i < n; i++)
        kv_close(&kv[i]);
}

static void *room(struct moshi *m, size_t n, size_t size, enum err *err)
{
    void *p = arena_take(m->arena, mem_size(n, size));

    if (!p && !*err)
        *err = err_set(ERR_NOMEM, "out of memory for a model step");
    return p;
}

static enum err make_room(struct moshi *m)
{
    const struct moshi_config *c = &m->c;
    size_t                     n = (size_t)m->n_lane;
    enum err                   err = OK;

    m->n_step = room(m, n, sizeof *m->n_step, &err);
    m->h = room(m, n * (size_t)c->main.dim, sizeof *m->h, &err);
    m->heads = room(m, n * (size_t)(c->info.n_extra_head * c->info.extra_head_dim),
                    sizeof *m->heads, &err);
    m->ids = room(m, n * (size_t)(c->info.n_q + 3), sizeof *m->ids, &err);
    m->at = room(m, n, sizeof *m->at, &err);
    m->cross_k = room(m, n, sizeof *m->cross_k, &err);
    m->cross_v = room(m, n, sizeof *m->cross_v, &err);
    m->cross_n = room(m, n, sizeof *m->cross_n, &err);
    m->sin_period = sine_period(m->arena, c->main.dim, c->main.max_period);
    if (c->n_depth)
        m->depth_sin_period = sine_period(m->arena, c->depth.dim, c->depth.max_period);
    if (!err && (!m->sin_period || (c->n_depth && !m->depth_sin_period)))
        err = err_set(ERR_NOMEM, "out of memory for positions");
    return err;
}

enum err moshi_open(struct moshi **out, const struct model_files *f, const struct model_options *o)
{
    struct moshi *m = mem_zalloc(sizeof *m);
    enum err      err;

    if (!m)
        return err_set(ERR_NOMEM, "out of memory");
    m->be = o->be;
    m->n_lane = o->n_lane;
    err = moshi_config_read(&m->c, f);
    if (!err)
        err = arena_open(&m->arena, 1 << 20);
    if (!err)
        err = moshi_load(m, f, o);
    /* States come last: a file that does not fit its config never pays for a context. */
    if (!err)
        err = make_room(m);
    if (!err)
        err = open_states(&m->kv, &m->c.main, m->arena, m->n_lane, be_kv_dtype(m->be));
    if (!err) /* a dozen positions: nothing to save */
        err = open_states(&m->depth_kv, &m->c.depth, m->arena, m->n_lane, DT_F32);
    if (!err)
        err = moshi_condition_open(m);
    if (err) {
        moshi_close(&m);
        return err;
    }
    for (int i = 0; i < m->n_lane; i++)
        moshi_reset(m, i);
    moshi_config_warn_unknown(f);
    *out = m;
    return OK;
}

enum err moshi_read_info(struct moshi_info *out, const struct model_files *f)
{
    struct moshi_config *c = mem_zalloc(sizeof *c);
    if (!c)
        return err_set(ERR_NOMEM, "out of memory");
    enum err err = moshi_config_read(c, f);

    if (!err)
        *out = c->info;
    mem_free(c);
    return err;
}

void moshi_close(struct moshi **mp)
{
    struct moshi *m = *mp;

    if (!m)
        return;
    moshi_condition_close(m);
    close_states(m->kv, m->c.main.n_layer);
    close_states(m->depth_kv, m->c.depth.n_layer);
    weights_close(&m->w);
    arena_close(&m->arena);
    mem_free(m);
    *mp = NULL;
}

const struct moshi_info *moshi_info(const struct moshi *m)
{
    return &m->c.info;
}

struct be *moshi_be(const struct moshi *m)
{
    return m->be;
}

void moshi_reset(struct moshi *m, int lane)
{
    must(lane >= 0 && lane < m->n_lane);
    for (int i = 0; i < m->c.main.n_layer; i++)
        kv_reset(&m->kv[i], lane);
    m->n_step[lane] = 0;
    moshi_condition_reset(m, lane);
}

void moshi_warm(struct moshi *m, int lane)
{
    for (int i = 0; i < m->c.main.n_layer; i++)
        kv_warm(&m->kv[i], lane, KV_BLOCK);
}

void moshi_set_brief(struct moshi *m, bool is_brief)
{
    m->is_brief = is_brief;
}

int moshi_n_layer(const struct moshi *m, const struct moshi_stack *s)
{
    return m->is_brief && s->n_layer > 0 ? 1 : s->n_layer;
}

/* A step. */

static enum err check_tokens(const struct moshi *m, const struct step *s,
                             const int32_t *const *tokens)
{
    const struct moshi_info *info = &m->c.info;

    for (int a = 0; a < s->n_lane; a++) {
        for (int k = 0; k <= info->n_q; k++) {
            int32_t max = k == 0 ? info->text_max : info->card;
            if (tokens[a][k] < -1 || tokens[a][k] > max)
                return err_set(ERR_USAGE, "token %d of stream %d is outside -1 .. %d", tokens[a][k],
                               k, max);
        }
    }
    return OK;
}

/* Hibiki may end too early: its end of stream reads back as padding. */
static int32_t patch_text(const struct moshi *m, int32_t id)
{
    int32_t card = m->c.info.text_card + 1, pad = 3, eos = 2;

    if (!m->c.is_eos_pad || id < 0)
        return id;
    if (!m->c.is_demux)
        return id == eos ? pad : id;
    int32_t first = id % card, second = id / card - 1;
    return ((second == eos ? pad : second) + 1) * card + (first == eos ? pad : first);
}

/* The sum of all streams: audio in order, then text, then the condition. */
static struct tensor *embed(struct moshi *m, const struct step *s, const int32_t *const *tokens)
{
    int            n = s->n_lane, dim = m->c.main.dim, n_q = m->c.info.n_q;
    struct tensor *x = be_scratch(m->be, n, dim);
    int32_t       *spare = m->ids + (size_t)(n_q + 1) * (size_t)m->n_lane;

    memset(x->p, 0, (size_t)x->n_row * (size_t)x->n_col * sizeof *x->p);
    for (int k = 1; k <= n_q + 1; k++) {
        int      stream = k <= n_q ? k : 0;
        int32_t *ids = m->ids + (size_t)stream * (size_t)m->n_lane;
        for (int a = 0; a < n; a++)
            ids[a] = stream ? tokens[a][stream] : patch_text(m, tokens[a][0]);
        moshi_embed_add(m->be, x, stream ? &m->emb[stream - 1] : &m->text_emb, ids, spare);
    }
    if (m->c.n_sum) {
        struct tensor *c = be_like(m->be, x);
        for (int a = 0; a < n; a++)
            moshi_set_rows(c, a, m->lane[s->lane[a]].sum, 1);
        op_add(m->be, x, c);
    }
    if (m->c.main.has_sin) {
        for (int a = 0; a < n; a++)
            m->at[a] = m->n_step[s->lane[a]];
        moshi_sin_add(x, m->at, m->sin_period, m->c.main.sin_scale);
    }
    return x;
}

static void run_layers(struct moshi *m, const struct step *s, struct tensor *x)
{
    const struct moshi_cross_view cross = { m->cross_k, m->cross_v, m->cross_n };
    size_t                        dim = (size_t)m->c.main.dim;
    int                           n_layer = moshi_n_layer(m, &m->c.main);

    for (int i = 0; i < n_layer; i++) {
        for (int a = 0; m->c.has_cross && a < s->n_lane; a++) {
            const struct moshi_cross *c = &m->lane[s->lane[a]].cross;
            m->cross_n[a] = c->n_src;
            m->cross_k[a] = c->kv + (size_t)(2 * i) * (size_t)c->n_src * dim;
            m->cross_v[a] = m->cross_k[a] + (size_t)c->n_src * dim;
        }
        moshi_block(m->be, x, &m->layer[i], &m->c.main, &m->kv[i], m->c.has_cross ? &cross : NULL);
    }
}

/* Softmax of each head; rows lie lane by lane. */
static void keep_heads(struct moshi *m, int n_lane, struct tensor *const *head)
{
    size_t n_head = (size_t)m->c.info.n_extra_head, dim = (size_t)m->c.info.extra_head_dim;

    for (size_t a = 0; a < (size_t)n_lane; a++) {
        for (size_t i = 0; i < n_head; i++) {
            float *y = m->heads + (a * n_head + i) * dim;
            memcpy(y, head[i]->p + a * dim, dim * sizeof *y);
            kern.softmax_f32(y, (int)dim);
        }
    }
}

enum err moshi_step(struct moshi *m, const struct step *s, const int32_t *const *tokens,
                    const float **text_logits)
{
    const struct moshi_info *info = &m->c.info;
    struct tensor           *head[MOSHI_MAX_HEAD];
    enum err                 err = check_tokens(m, s, tokens);

    if (err)
        return err;
    be_begin(m->be, s);
    struct tensor *x = embed(m, s, tokens);
    run_layers(m, s, x);
    struct tensor *h = be_like(m->be, x);
    struct tensor *logits = be_scratch(m->be, s->n_lane, info->text_card_out);
    op_norm(m->be, h, x, &m->out_norm);
    op_linear(m->be, logits, h, &m->text_linear);
    for (int i = 0; i < info->n_extra_head; i++) {
        head[i] = be_scratch(m->be, s->n_lane, info->extra_head_dim);
        op_linear(m->be, head[i], h, &m->head[i]);
    }
    err = be_end(m->be);
    if (err)
        return err;
    memcpy(m->h, h->p, (size_t)s->n_lane * (size_t)info->dim * sizeof *m->h);
    keep_heads(m, s->n_lane, head);
    for (int a = 0; a < s->n_lane; a++) {
        text_logits[a] = logits->p + (size_t)a * (size_t)info->text_card_out;
        m->n_step[s->lane[a]]++;
    }
    return OK;
}

const float *moshi_extra_heads(struct moshi *m, int a)
{
    return m->heads + (size_t)a * (size_t)(m->c.info.n_extra_head * m->c.info.extra_head_dim);
}
