/* SPDX-License-Identifier: MIT */
#include "model/mimi_config.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "model/config_key.h"
#include "model/mimi_config_hf.h"

/* Bounds of what is worth believing; whatever passes is checked against the weights' shapes. */
enum {
    MAX_RATIO = 1024,
    MAX_KERNEL = 1024,
    MAX_WIDTH = 65536,
    MAX_DILATION = 65536,
    MAX_FRAME = 1 << 20,
    MAX_ACTIVATION = 1 << 26, /* numbers of the widest layer in a frame */
};
#define MAX_SCALE 1e6

static struct config_key section(const struct config_key *top, const char *key,
                                 const char *const *known)
{
    struct config_key r = config_key_section(top, key);

    if (!r.obj)
        config_key_want(&r, key, "an object");
    if (!r.err)
        config_key_warn_unknown(r.obj, r.what, known, NULL);
    return r;
}

/* Sections. */

static const char *const seanet_keys[] = { "channels",
                                           "dimension",
                                           "n_filters",
                                           "n_residual_layers",
                                           "ratios",
                                           "activation",
                                           "activation_params",
                                           "norm",
                                           "norm_params",
                                           "kernel_size",
                                           "last_kernel_size",
                                           "residual_kernel_size",
                                           "dilation_base",
                                           "causal",
                                           "pad_mode",
                                           "true_skip",
                                           "compress",
                                           "disable_norm_outer_blocks",
                                           NULL };

enum { SELU = ACT_COUNT };
static const struct config_choice seanet_acts[] = {
    { "ELU", ACT_ELU },           { "SELU", SELU },
    { "ReLU", ACT_RELU },         { "LeakyReLU", ACT_LEAKY_RELU },
    { "SiLU", ACT_SILU },         { "GELU", ACT_GELU },
    { "Sigmoid", ACT_SIGMOID },   { "Tanh", ACT_TANH },
    { "Softsign", ACT_SOFTSIGN }, { "Mish", ACT_MISH },
    { "Identity", ACT_NONE },     { NULL, 0 },
};
static const struct config_choice pads[] = { { "constant", CONV_PAD_ZERO },
                                             { "replicate", CONV_PAD_REPLICATE },
                                             { NULL, 0 } };
static const struct config_choice norms[] = { { "none", 0 }, { "weight_norm", 0 }, { NULL, 0 } };

/* The activation and its parameters, as one that the kernels have and what it is times. */
static void read_act(struct seanet_shape *s, struct config_key *r)
{
    int               act = config_key_choice(r, "activation", "ELU", seanet_acts);
    struct config_key p = config_key_section(r, "activation_params");
    double            alpha = config_key_num(&p, "alpha", 1, -MAX_SCALE, MAX_SCALE);
    double            slope = config_key_num(&p, "negative_slope", 0.01, -MAX_SCALE, MAX_SCALE);

    s->act = act == SELU ? ACT_ELU : (enum act)act;
    s->gain_above = s->gain_below = 1;
    if (act == ACT_ELU) {
        s->gain_below = (float)alpha;
    } else if (act == ACT_LEAKY_RELU && slope != 0.01) {
        s->act = ACT_NONE;
        s->gain_below = (float)slope;
    } else if (act == SELU) { /* torch.nn.SELU */
        s->gain_above = 1.0507009873554804934193349852946f;
        s->gain_below = 1.6732632423543772848170429916717f * s->gain_above;
    }
    if ((act != ACT_ELU && alpha != 1) || (act != ACT_LEAKY_RELU && slope != 0.01) ||
        strcmp(config_key_str(&p, "approximate", "none"), "none") != 0)
        config_key_want(&p, "activation_params", "the activation's usual ones");
    r->err = p.err;
}

static void read_ratios(struct config_key *r, struct seanet_shape *s)
{
    static const int dflt[] = { 8, 5, 4, 2 };
    int64_t          hop = 1;

    if (r->err)
        return;
    s->n_ratio = 4;
    memcpy(s->ratio, dflt, sizeof dflt);
    if (json_object_get(r->obj, "ratios"))
        s->n_ratio = config_key_ints(r, s->ratio, SEANET_MAX_RATIO, "ratios");
    if (s->n_ratio < 1)
        config_key_want(r, "ratios", "1 to 12 whole numbers");
    for (int i = 0; i < s->n_ratio && !r->err; i++) {
        hop *= s->ratio[i];
        if (s->ratio[i] < 1 || s->ratio[i] > MAX_RATIO || hop > MAX_FRAME)
            config_key_want(r, "ratios", "positive, their product at most 1048576");
    }
    s->hop = (int)hop;
}

static void check_seanet(struct config_key *r, const struct seanet_shape *s)
{
    int64_t dilation = 1;

    for (int j = 1; j < s->n_block && !r->err; j++) {
        dilation *= s->dilation_base;
        if (dilation * s->residual_kernel > MAX_DILATION)
            config_key_want(r, "dilation_base", "smaller for so many residual layers");
    }
    if (!r->err && s->n_filter / s->compress < 1)
        config_key_want(r, "compress", "at most n_filters");
    if (!r->err && ((int64_t)s->n_filter << s->n_ratio) > MAX_WIDTH)
        config_key_want(r, "n_filters", "smaller for so many ratios");
}

static enum err read_seanet(struct seanet_shape *s, struct config_key *top)
{
    struct config_key r = section(top, "seanet", seanet_keys);

    s->d_latent = config_key_int(&r, "dimension", 128, 1, MAX_WIDTH);
    s->n_filter = config_key_int(&r, "n_filters", 32, 1, MAX_WIDTH);
    s->n_block = config_key_int(&r, "n_residual_layers", 3, 0, SEANET_MAX_BLOCK);
    s->compress = config_key_int(&r, "compress", 2, 1, MAX_WIDTH);
    s->dilation_base = config_key_int(&r, "dilation_base", 2, 1, MAX_DILATION);
    s->kernel = config_key_int(&r, "kernel_size", 7, 1, MAX_KERNEL);
    s->residual_kernel = config_key_int(&r, "residual_kernel_size", 3, 1, MAX_KERNEL);
    s->last_kernel = config_key_int(&r, "last_kernel_size", 7, 1, MAX_KERNEL);
    s->has_skip_conv = !config_key_bool(&r, "true_skip", true);
    read_act(s, &r);
    s->pad = (enum conv_pad)config_key_choice(&r, "pad_mode", "reflect", pads);
    config_key_choice(&r, "norm", "none", norms); /* the file's names say where it is */
    if (config_key_int(&r, "channels", 1, 1, 64) != 1)
        config_key_want(&r, "channels", "1");
    if (!config_key_bool(&r, "causal", false))
        config_key_want(&r, "causal", "true");
    read_ratios(&r, s);
    check_seanet(&r, s);
    return r.err;
}

static const char *const rvq_keys[] = { "dimension",
                                        "input_dimension",
                                        "output_dimension",
                                        "n_q",
                                        "n_q_semantic",
                                        "bins",
                                        "q_dropout",
                                        "no_quantization_rate",
                                        "decay",
                                        "threshold_usage_ratio",
                                        "replaced_usage_ratio",
                                        NULL };

static enum err read_rvq(struct rvq_shape *s, struct config_key *top, int d_latent)
{
    struct config_key r = section(top, "quantizer", rvq_keys);

    s->d_latent = d_latent;
    s->dim = config_key_int(&r, "dimension", 128, 1, MAX_WIDTH);
    s->n_bin = config_key_int(&r, "bins", 1024, 1, 1 << 20);
    s->n_q = config_key_int(&r, "n_q", 8, 2, RVQ_MAX_LEVEL);
    s->n_semantic = config_key_int(&r, "n_q_semantic", 1, 1, RVQ_MAX_LEVEL);
    if (s->n_semantic >= s->n_q)
        config_key_want(&r, "n_q_semantic", "less than n_q");
    if (config_key_int(&r, "input_dimension", s->dim, 1, MAX_WIDTH) != d_latent)
        config_key_want(&r, "input_dimension", "the dimension of seanet");
    if (config_key_int(&r, "output_dimension", s->dim, 1, MAX_WIDTH) != d_latent)
        config_key_want(&r, "output_dimension", "the dimension of seanet");
    return r.err;
}

static const char *const transformer_keys[] = { "d_model",
                                                "num_heads",
                                                "num_layers",
                                                "dim_feedforward",
                                                "causal",
                                                "context",
                                                "positional_embedding",
                                                "max_period",
                                                "positional_scale",
                                                "layer_scale",
                                                "gating",
                                                "norm",
                                                "kv_repeat",
                                                "conv_layout",
                                                "input_dimension",
                                                "output_dimensions",
                                                "weights_per_step",
                                                "cross_attention",
                                                "skip_self_attn",
                                                "betas",
                                                "checkpointing",
                                                NULL };

static void read_position(struct config_key *r, struct transformer_shape *s)
{
    config_key_position(r, &s->rope, &s->has_sin, "positional_embedding");
    s->max_period = (float)config_key_num(r, "max_period", 10000, 1e-3, 1e12);
    s->sin_scale = (float)config_key_num(r, "positional_scale", 1, -MAX_SCALE, MAX_SCALE);
    if (s->rope != ROPE_NONE && s->d_model / s->n_head % 2)
        config_key_want(r, "num_heads", "such that a head's width is even");
    if (s->has_sin && (s->d_model % 2 || s->d_model < 4))
        config_key_want(r, "d_model", "even and at least 4");
}

enum { LAYER_NORM, LAYER_NORM_F32, RMS_NORM, RMS_NORM_F32 };
static const struct config_choice layer_norms[] = { { "layer_norm", LAYER_NORM },
                                                    { "layer_norm_f32", LAYER_NORM_F32 },
                                                    { "rms_norm", RMS_NORM },
                                                    { "rms_norm_f32", RMS_NORM_F32 },
                                                    { NULL, 0 } };

static void read_layer(struct config_key *r, struct transformer_shape *s)
{
    int norm = config_key_choice(r, "norm", "layer_norm", layer_norms);
    int d_ff = config_key_int(r, "dim_feedforward", 2048, 1, 1 << 20);

    s->norm = norm == LAYER_NORM || norm == LAYER_NORM_F32 ? NORM_LAYER : NORM_RMS;
    s->norm_eps = norm == LAYER_NORM || norm == RMS_NORM ? 1e-5f : 1e-8f;
    config_key_gating(r, &s->act, &s->is_gated, "gating");
    s->d_hidden = !s->is_gated ? d_ff : d_ff == 4 * s->d_model ? 21 * s->d_model / 8 : 2 * d_ff / 3;
    if (s->d_hidden < 1)
        config_key_want(r, "dim_feedforward", "larger");
    json_t *scale = r->err ? NULL : json_object_get(r->obj, "layer_scale");
    s->has_layer_scale = json_is_number(scale);
    if (scale && !json_is_number(scale) && !json_is_null(scale))
        config_key_want(r, "layer_scale", "a number or null");
}

static void check_outputs(struct config_key *r, int d_latent)
{
    int out = 0;

    if (config_key_int(r, "input_dimension", 0, 0, MAX_WIDTH) != d_latent)
        config_key_want(r, "input_dimension", "the dimension of seanet");
    if (config_key_ints(r, &out, 1, "output_dimensions") != 1 || out != d_latent)
        config_key_want(r, "output_dimensions", "one number, the dimension of seanet");
}

static enum err read_transformer(struct transformer_shape *s, struct config_key *top, int d_latent)
{
    struct config_key r = section(top, "transformer", transformer_keys);
    int               kv_repeat;

    s->d_io = d_latent;
    s->d_model = config_key_int(&r, "d_model", 0, 1, MAX_WIDTH);
    s->n_head = config_key_int(&r, "num_heads", 0, 1, MAX_WIDTH);
    s->n_layer = config_key_int(&r, "num_layers", 0, 1, 1024);
    s->context = config_key_int(&r, "context", 0, 1, 1 << 20);
    kv_repeat = config_key_int(&r, "kv_repeat", 1, 1, MAX_WIDTH);
    if (!r.err && s->d_model < 1)
        config_key_want(&r, "d_model", "given");
    if (!r.err && (s->n_head < 1 || s->d_model % s->n_head))
        config_key_want(&r, "num_heads", "given and a divisor of d_model");
    if (!r.err && s->n_head % kv_repeat)
        config_key_want(&r, "kv_repeat", "a divisor of num_heads");
    if (!r.err && (s->n_layer < 1 || s->context < 1))
        config_key_want(&r, s->n_layer < 1 ? "num_layers" : "context", "given");
    if (r.err)
        return r.err;
    s->n_kv_head = s->n_head / kv_repeat;
    read_layer(&r, s);
    read_position(&r, s);
    check_outputs(&r, d_latent);
    if (!config_key_bool(&r, "causal", false))
        config_key_want(&r, "causal", "true");
    if (!config_key_bool(&r, "conv_layout", false))
        config_key_want(&r, "conv_layout", "true");
    if (config_key_int(&r, "weights_per_step", 0, 0, MAX_WIDTH) != 0)
        config_key_want(&r, "weights_per_step", "0 in a codec");
    if (config_key_bool(&r, "cross_attention", false) ||
        config_key_bool(&r, "skip_self_attn", false))
        config_key_want(&r, "cross_attention, skip_self_attn", "false in a codec");
    return r.err;
}

/* The whole. */

/* What was published with the first Moshi; folders without a codec config mean it. */
static const struct mimi_config published = {
    .rate_hz = 24000,
    .frame_rate_hz = 12.5,
    .seanet = { .d_latent = 512,
                .n_filter = 64,
                .n_ratio = 4,
                .ratio = { 8, 6, 5, 4 },
                .n_block = 1,
                .compress = 2,
                .dilation_base = 2,
                .kernel = 7,
                .residual_kernel = 3,
                .last_kernel = 3,
                .act = ACT_ELU,
                .gain_above = 1,
                .gain_below = 1,
                .pad = CONV_PAD_ZERO,
                .hop = 960 },
    .transformer = { .n_layer = 8,
                     .n_head = 8,
                     .n_kv_head = 8,
                     .d_model = 512,
                     .d_io = 512,
                     .context = 250,
                     .norm = NORM_LAYER,
                     .norm_eps = 1e-5f,
                     .act = ACT_GELU,
                     .d_hidden = 2048,
                     .has_layer_scale = true,
                     .rope = ROPE_INTERLEAVED,
                     .max_period = 10000,
                     .sin_scale = 1 },
    .rvq = { .n_q = 32, .n_semantic = 1, .n_bin = 2048, .dim = 256, .d_latent = 512 },
};

/* Latent steps a frame, and so the frame. */
static enum err set_frame(struct mimi_config *c, const char *what)
{
    double stride = (double)c->rate_hz / c->seanet.hop / c->frame_rate_hz;

    if (!(stride >= 0.999 && stride <= MAX_FRAME) || fabs(stride - round(stride)) > 1e-6 * stride)
        return err_set(ERR_FORMAT,
                       "%s: 'frame_rate' does not divide sample_rate / %d, the rate of "
                       "latent steps",
                       what, c->seanet.hop);
    c->stride = (int)round(stride);
    if ((int64_t)c->stride * c->seanet.hop > MAX_FRAME ||
        (int64_t)c->stride * c->seanet.hop * c->seanet.n_filter > MAX_ACTIVATION)
        return err_set(ERR_FORMAT, "%s: a frame of %lld samples is too long", what,
                       (long long)c->stride * c->seanet.hop);
    c->frame_size = c->stride * c->seanet.hop;
    if (c->stride > c->transformer.context)
        return err_set(ERR_FORMAT, "%s: 'context' must be at least the %d latent steps of a frame",
                       what, c->stride);
    return OK;
}

static enum err read_sections(struct mimi_config *c, const json_t *config, const char *what)
{
    static const char *const keys[] = { "sample_rate", "channels",    "frame_rate", "seanet",
                                        "quantizer",   "transformer", NULL };
    struct config_key        r;
    enum err                 err;

    config_key_init(&r, config, what);
    config_key_warn_unknown(config, what, keys, NULL);
    c->rate_hz = config_key_int(&r, "sample_rate", 24000, 1, 768000);
    c->frame_rate_hz = config_key_num(&r, "frame_rate", 12.5, 1e-9, 1e9);
    if (config_key_int(&r, "channels", 1, 1, 64) != 1)
        config_key_want(&r, "channels", "1");
    err = r.err ? r.err : read_seanet(&c->seanet, &r);
    if (!err)
        err = read_rvq(&c->rvq, &r, c->seanet.d_latent);
    if (!err)
        err = read_transformer(&c->transformer, &r, c->seanet.d_latent);
    return err ? err : set_frame(c, r.what);
}

enum err mimi_config_read(struct mimi_config *out, const struct model_files *f)
{
    json_t  *translated = NULL;
    enum err err;

    *out = published;
    if (f->codec_config)
        return read_sections(out, f->codec_config, f->codec_config_path);
    if (f->codec_config_path[0])
        return err_set(ERR_MISSING, "%s: no such file", f->codec_config_path);
    if (!f->is_codec_only || !mimi_config_hf_is(f->config))
        return set_frame(out, "the published codec");
    err = mimi_config_hf_translate(&translated, f->config, f->config_path);
    if (!err)
        err = read_sections(out, translated, f->config_path);
    json_decref(translated);
    return err;
}
