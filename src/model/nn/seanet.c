/* SPDX-License-Identifier: MIT */
#include "model/nn/seanet.h"

#include <stdio.h>

/* The layers of one end, numbered as the file numbers them: activations count, without weights. */
struct loader {
    struct weights            *w;
    struct arena              *arena;
    const struct seanet_shape *shape;
    const char                *part; /* "encoder", "decoder" */
    bool                       is_hf;
    int                        index;
};

static void load_conv(struct loader *ld, struct conv_layer *l, struct conv c, const char *inner)
{
    char        name[128];
    const char *kind = ld->is_hf ? "conv" : c.is_transposed ? "convtr.convtr" : "conv.conv";

    snprintf(name, sizeof name, "%s.%s.%d.%s%s", ld->part, ld->is_hf ? "layers" : "model",
             ld->index, inner, kind);
    c.groups = 1;
    c.dilation = c.dilation ? c.dilation : 1;
    c.stride = c.stride ? c.stride : 1;
    c.pad = ld->shape->pad;
    conv_layer_load(l, ld->w, ld->arena, &c, true, name);
}

static void load_blocks(struct loader *ld, struct seanet_stage *stage, int n)
{
    const struct seanet_shape *s = ld->shape;
    int                        n_hidden = n / s->compress, dilation = 1;

    for (int j = 0; j < s->n_block; j++, ld->index++, dilation *= s->dilation_base) {
        struct seanet_block *b = &stage->block[j];
        load_conv(
            ld, &b->narrow,
            (struct conv){
                .n_in = n, .n_out = n_hidden, .kernel = s->residual_kernel, .dilation = dilation },
            "block.1.");
        load_conv(ld, &b->wide, (struct conv){ .n_in = n_hidden, .n_out = n, .kernel = 1 },
                  "block.3.");
        if (s->has_skip_conv)
            load_conv(ld, &b->skip, (struct conv){ .n_in = n, .n_out = n, .kernel = 1 },
                      "shortcut.");
    }
}

static bool take_stages(struct seanet *net, struct loader *ld)
{
    size_t size = (size_t)ld->shape->n_ratio * sizeof *net->stage;

    net->shape = *ld->shape;
    if (!net->stage)
        net->stage = arena_take(ld->arena, size);
    if (!net->stage)
        weights_fail(ld->w, err_set(ERR_NOMEM, "%s: out of memory", weights_path(ld->w)));
    return net->stage != NULL;
}

void seanet_load_encoder(struct seanet *net, struct weights *w, struct arena *arena,
                         const struct seanet_shape *s, bool is_hf)
{
    struct loader ld = { w, arena, s, "encoder", is_hf, 0 };
    int           n = s->n_filter;

    if (!take_stages(net, &ld))
        return;
    load_conv(&ld, &net->first, (struct conv){ .n_in = 1, .n_out = n, .kernel = s->kernel }, "");
    ld.index++;
    for (int i = 0; i < s->n_ratio; i++, n *= 2) {
        int ratio = s->ratio[s->n_ratio - 1 - i];
        load_blocks(&ld, &net->stage[i], n);
        ld.index++; /* the activation */
        load_conv(&ld, &net->stage[i].resample,
                  (struct conv){ .n_in = n, .n_out = 2 * n, .kernel = 2 * ratio, .stride = ratio },
                  "");
        ld.index++;
    }
    ld.index++;
    load_conv(&ld, &net->last,
              (struct conv){ .n_in = n, .n_out = s->d_latent, .kernel = s->last_kernel }, "");
}

void seanet_load_decoder(struct seanet *net, struct weights *w, struct arena *arena,
                         const struct seanet_shape *s, bool is_hf)
{
    struct loader ld = { w, arena, s, "decoder", is_hf, 0 };
    int           n = s->n_filter << s->n_ratio;

    if (!take_stages(net, &ld))
        return;
    load_conv(&ld, &net->first,
              (struct conv){ .n_in = s->d_latent, .n_out = n, .kernel = s->kernel }, "");
    ld.index++;
    for (int i = 0; i < s->n_ratio; i++, n /= 2) {
        int ratio = s->ratio[i];
        ld.index++; /* the activation */
        load_conv(&ld, &net->stage[i].resample,
                  (struct conv){ .n_in = n,
                                 .n_out = n / 2,
                                 .kernel = 2 * ratio,
                                 .stride = ratio,
                                 .is_transposed = true },
                  "");
        ld.index++;
        load_blocks(&ld, &net->stage[i], n / 2);
    }
    ld.index++;
    load_conv(&ld, &net->last, (struct conv){ .n_in = n, .n_out = 1, .kernel = s->last_kernel },
              "");
}

/* Calls fn on every layer until it fails. */
static enum err each_layer(struct seanet *net, enum err (*fn)(struct conv_layer *l, int lane),
                           int            lane)
{
    enum err err = fn(&net->first, lane);

    for (int i = 0; i < net->shape.n_ratio && !err; i++) {
        struct seanet_stage *st = &net->stage[i];
        err = fn(&st->resample, lane);
        for (int j = 0; j < net->shape.n_block && !err; j++) {
            err = fn(&st->block[j].narrow, lane);
            if (!err)
                err = fn(&st->block[j].wide, lane);
            if (!err && net->shape.has_skip_conv)
                err = fn(&st->block[j].skip, lane);
        }
    }
    return err ? err : fn(&net->last, lane);
}

static enum err close_layer(struct conv_layer *l, int lane)
{
    conv_layer_close(l);
    return OK;
}

static enum err reset_layer(struct conv_layer *l, int lane)
{
    conv_layer_reset(l, lane);
    return OK;
}

enum err seanet_open(struct seanet *net, int n_lane)
{
    return each_layer(net, conv_layer_open, n_lane);
}

void seanet_close(struct seanet *net)
{
    if (net->stage)
        (void)!each_layer(net, close_layer, 0);
}

void seanet_reset(struct seanet *net, int lane)
{
    (void)!each_layer(net, reset_layer, lane);
}

/* skip(x) + wide(act(narrow(act(x)))) */
static struct tensor *run_block(struct be *be, const struct seanet *net, struct seanet_block *b,
                                struct tensor *x)
{
    struct tensor *h = be_like(be, x);

    op_act(be, h, x, net->shape.act);
    h = conv_layer_run(be, &b->narrow, h);
    op_act(be, h, h, net->shape.act);
    h = conv_layer_run(be, &b->wide, h);
    op_add(be, h, net->shape.has_skip_conv ? conv_layer_run(be, &b->skip, x) : x);
    return h;
}

struct tensor *seanet_encode(struct be *be, struct seanet *net, struct tensor *pcm)
{
    struct tensor *x = conv_layer_run(be, &net->first, pcm);

    for (int i = 0; i < net->shape.n_ratio; i++) {
        struct seanet_stage *st = &net->stage[i];
        for (int j = 0; j < net->shape.n_block; j++)
            x = run_block(be, net, &st->block[j], x);
        op_act(be, x, x, net->shape.act);
        x = conv_layer_run(be, &st->resample, x);
    }
    op_act(be, x, x, net->shape.act);
    return conv_layer_run(be, &net->last, x);
}

struct tensor *seanet_decode(struct be *be, struct seanet *net, struct tensor *latent)
{
    struct tensor *x = conv_layer_run(be, &net->first, latent);

    for (int i = 0; i < net->shape.n_ratio; i++) {
        struct seanet_stage *st = &net->stage[i];
        op_act(be, x, x, net->shape.act);
        x = conv_layer_run(be, &st->resample, x);
        for (int j = 0; j < net->shape.n_block; j++)
            x = run_block(be, net, &st->block[j], x);
    }
    op_act(be, x, x, net->shape.act);
    return conv_layer_run(be, &net->last, x);
}
