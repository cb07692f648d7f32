/* SPDX-License-Identifier: MIT */
#include "model/nn/seanet.h"

#include <stdio.h>

/* The layers of one end, numbered as the file numbers them: activations count, without weights. */
struct loader {
    const struct source       *from;
    const struct seanet_shape *shape;
    const char                *part; /* "encoder", "decoder" */
    int                        index;
};

static void load_conv(struct loader *ld, struct conv_layer *l, struct conv c, const char *inner)
{
    char        name[128];
    const char *kind = ld->from->is_hf ? "conv" : c.is_transposed ? "convtr.convtr" : "conv.conv";

    snprintf(name, sizeof name, "%s.%s.%d.%s%s", ld->part, ld->from->is_hf ? "layers" : "model",
             ld->index, inner, kind);
    c.groups = 1;
    c.dilation = c.dilation ? c.dilation : 1;
    c.stride = c.stride ? c.stride : 1;
    c.pad = ld->shape->pad;
    conv_layer_load(l, ld->from, &c, true, name);
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
    net->shape = *ld->shape;
    if (!net->stage)
        net->stage = source_take(ld->from, (size_t)ld->shape->n_ratio, sizeof *net->stage);
    return net->stage != NULL;
}

void seanet_load_encoder(struct seanet *net, const struct source *from,
                         const struct seanet_shape *s)
{
    struct loader ld = { from, s, "encoder", 0 };
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

void seanet_load_decoder(struct seanet *net, const struct source *from,
                         const struct seanet_shape *s)
{
    struct loader ld = { from, s, "decoder", 0 };
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

/* Parameters of an activation that none of the kernels knows: rare, and cheap beside a conv. */
static void apply_gains(struct tensor *y, const struct seanet_shape *s)
{
    size_t n = (size_t)y->n_row * (size_t)y->n_col;

    for (size_t i = 0; i < n; i++)
        y->p[i] *= y->p[i] < 0 ? s->gain_below : s->gain_above;
}

static struct conv_io run_layer(struct be *be, const struct seanet *net, struct conv_layer *l,
                                const struct tensor *x, const struct tensor *add, int want)
{
    const struct seanet_shape *s = &net->shape;
    struct conv_io             io = conv_layer_run(be, l, x, add, want, s->act);

    if (io.act && (s->gain_above != 1 || s->gain_below != 1))
        apply_gains(io.act, s);
    return io;
}

/* skip(x) + wide(act(narrow(act(x)))) */
static struct conv_io run_block(struct be *be, const struct seanet *net, struct seanet_block *b,
                                struct conv_io x, int want)
{
    struct conv_io h = run_layer(be, net, &b->narrow, x.act, NULL, CONV_ACT);

    if (net->shape.has_skip_conv)
        x.sum = run_layer(be, net, &b->skip, x.sum, NULL, CONV_SUM).sum;
    return run_layer(be, net, &b->wide, h.act, x.sum, want);
}

/* The residual blocks of a stage; what follows them reads act(x) alone. */
static struct conv_io run_blocks(struct be *be, const struct seanet *net, struct seanet_stage *st,
                                 struct conv_io x)
{
    int n = net->shape.n_block;

    for (int j = 0; j < n; j++)
        x = run_block(be, net, &st->block[j], x, j + 1 < n ? CONV_BOTH : CONV_ACT);
    return x;
}

/* What the layer before residual blocks is to give. */
static int want_before_blocks(const struct seanet *net)
{
    return net->shape.n_block > 0 ? CONV_BOTH : CONV_ACT;
}

struct tensor *seanet_encode(struct be *be, struct seanet *net, struct tensor *pcm)
{
    const struct seanet_shape *s = &net->shape;
    int                        want = want_before_blocks(net);
    struct conv_io             x = run_layer(be, net, &net->first, pcm, NULL, want);

    for (int i = 0; i < s->n_ratio; i++) {
        x = run_blocks(be, net, &net->stage[i], x);
        x = run_layer(be, net, &net->stage[i].resample, x.act, NULL,
                      i + 1 < s->n_ratio ? want : CONV_ACT);
    }
    return run_layer(be, net, &net->last, x.act, NULL, CONV_SUM).sum;
}

struct tensor *seanet_decode(struct be *be, struct seanet *net, struct tensor *latent)
{
    const struct seanet_shape *s = &net->shape;
    struct conv_io             x = run_layer(be, net, &net->first, latent, NULL, CONV_ACT);

    for (int i = 0; i < s->n_ratio; i++) {
        x = run_layer(be, net, &net->stage[i].resample, x.act, NULL, want_before_blocks(net));
        x = run_blocks(be, net, &net->stage[i], x);
    }
    return run_layer(be, net, &net->last, x.act, NULL, CONV_SUM).sum;
}
