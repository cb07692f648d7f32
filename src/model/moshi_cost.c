/* SPDX-License-Identifier: MIT */
#include "model/moshi_cost.h"

#include "model/moshi_impl.h"

static void add(struct moshi_cost *c, const struct weight *w, int n_new, int n_use)
{
    struct quant_shape s = { w->n_out, w->n_in, w->dtype == DT_Q4T ? 4 : 8, w->group };
    size_t             n = (size_t)w->n_out * (size_t)w->n_in;
    size_t             size = w->dtype == DT_Q4T || w->dtype == DT_Q8T ? quant_size(s)
                                                                       : n * dtype_size(w->dtype);

    c->weight_bytes += (int64_t)size * n_new;
    c->flop += 2.0 * (double)n * n_use;
}

static void add_layers(struct moshi_cost *c, const struct moshi_layer *l, int n, int n_new,
                       int n_use)
{
    for (int i = 0; i < n; i++) {
        const struct weight *const all[] = { &l[i].in_proj, &l[i].out_proj, &l[i].ff_in,
                                             &l[i].ff_out,  &l[i].cross_q,  &l[i].cross_out };
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            if (all[k]->n_out > 0)
                add(c, all[k], n_new, n_use);
    }
}

/* Steps that share a set read it once from memory, if caches are as large as it is. */
static void add_depth(struct moshi_cost *c, const struct moshi *m, int n_lane)
{
    int n_layer = m->c.depth.n_layer;

    for (int k = 0; k < m->c.info.dep_q; k++) {
        bool is_new_set = true, is_new_in = true;
        for (int j = 0; j < k; j++) {
            is_new_set &= m->c.set[j] != m->c.set[k];
            is_new_in &= m->c.in_set[j] != m->c.in_set[k];
        }
        add(c, &m->depth_in[m->c.in_set[k]], is_new_in, n_lane);
        add_layers(c, m->depth_layer + (size_t)m->c.set[k] * (size_t)n_layer, n_layer, is_new_set,
                   n_lane);
        add(c, &m->linear[k], 1, n_lane);
    }
}

static void add_keys(struct moshi_cost *c, const struct kv *kv, int lane, int n_head)
{
    int64_t n = kv->n_seen[lane] < kv->n_slot ? kv->n_seen[lane] : kv->n_slot;
    size_t  factor = kv->dtype == DT_I8 ? sizeof(float) : 0;
    size_t  row = (size_t)kv->d_head * dtype_size(kv->dtype) + factor;

    c->kv_bytes += 2 * n * kv->n_head * (int64_t)row;
    c->flop += 4.0 * (double)n * n_head * kv->d_head;
}

void moshi_cost(struct moshi_cost *out, const struct moshi *m, const struct step *s)
{
    *out = (struct moshi_cost){ 0 };
    add_layers(out, m->layer, m->c.main.n_layer, 1, s->n_lane);
    add(out, &m->text_linear, 1, s->n_lane);
    for (int i = 0; i < m->c.info.n_extra_head; i++)
        add(out, &m->head[i], 1, s->n_lane);
    add_depth(out, m, s->n_lane);
    for (int i = 0; i < m->c.main.n_layer; i++)
        for (int a = 0; a < s->n_lane; a++)
            add_keys(out, &m->kv[i], s->lane[a], m->c.main.n_head);
}

void moshi_age(struct moshi *m, int lane, int64_t n)
{
    for (int i = 0; i < m->c.main.n_layer; i++)
        kv_age(&m->kv[i], lane, n);
    m->n_step[lane] = n;
}
