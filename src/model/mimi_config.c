/* SPDX-License-Identifier: MIT */
#include "model/mimi_config.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
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

/* One section; the first error is kept. */
struct reader {
    const json_t *obj;
    const char   *what; /* the file */
    enum err      err;
};

static int get_int(struct reader *r, const char *key, int dflt, int min, int max)
{
    int64_t v = dflt;

    if (!r->err)
        r->err = json_get_int(&v, r->obj, key, dflt, min, max, r->what);
    return (int)v;
}

static double get_num(struct reader *r, const char *key, double dflt)
{
    double v = dflt;

    if (!r->err)
        r->err = json_get_num(&v, r->obj, key, dflt, r->what);
    return v;
}

static bool get_bool(struct reader *r, const char *key, bool dflt)
{
    bool v = dflt;

    if (!r->err)
        r->err = json_get_bool(&v, r->obj, key, dflt, r->what);
    return v;
}

static const char *get_str(struct reader *r, const char *key, const char *dflt)
{
    const char *v = dflt;

    if (!r->err)
        r->err = json_get_str(&v, r->obj, key, dflt, r->what);
    return v;
}

static void refuse(struct reader *r, const char *key, const char *want)
{
    if (!r->err)
        r->err = err_set(ERR_FORMAT, "%s: '%s' must be %s", r->what, key, want);
}

struct choice {
    const char *name;
    int         value;
};

static int get_choice(struct reader *r, const char *key, const char *dflt, const struct choice *c)
{
    const char *name = get_str(r, key, dflt);

    for (; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c->value;
    if (!r->err)
        r->err = err_set(ERR_FORMAT, "%s: '%s' is \"%.40s\", which is not known", r->what, key,
                         name);
    return 0;
}

/* Keys that nobody reads may change what the model is: said once for each. */
static void warn_unknown(const struct reader *r, const char *const *known)
{
    const char *key;
    json_t     *v;

    json_object_foreach((json_t *)(uintptr_t)r->obj, key, v)
    {
        int i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            log_warn("unknown key ignored file=%s key=%.80s", r->what, key);
    }
}

static struct reader section(struct reader *top, const char *key, const char *const *known)
{
    struct reader r = { json_object_get(top->obj, key), top->what, top->err };

    if (!r.err && !json_is_object(r.obj))
        refuse(&r, key, "an object");
    if (!r.err)
        warn_unknown(&r, known);
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

static const struct choice seanet_acts[] = {
    { "ELU", ACT_ELU },
    { "ReLU", ACT_RELU },
    { "LeakyReLU", ACT_LEAKY_RELU },
    { "SiLU", ACT_SILU },
    { "GELU", ACT_GELU },
    { "Sigmoid", ACT_SIGMOID },
    { "Tanh", ACT_TANH },
    { "Softsign", ACT_SOFTSIGN },
    { "Mish", ACT_MISH },
    { "Identity", ACT_NONE },
    { NULL, 0 },
};
static const struct choice pads[] = { { "constant", CONV_PAD_ZERO },
                                      { "replicate", CONV_PAD_REPLICATE },
                                      { NULL, 0 } };
static const struct choice norms[] = { { "none", 0 }, { "weight_norm", 0 }, { NULL, 0 } };

/* Our activations have their usual parameters and no others. */
static void check_act_params(struct reader *r)
{
    struct reader p = { json_object_get(r->obj, "activation_params"), r->what, r->err };

    if (!p.obj || json_is_null(p.obj) || p.err)
        return;
    if (!json_is_object(p.obj))
        refuse(r, "activation_params", "an object");
    else if (get_num(&p, "alpha", 1) != 1 || get_num(&p, "negative_slope", 0.01) != 0.01 ||
             strcmp(get_str(&p, "approximate", "none"), "none") != 0)
        refuse(r, "activation_params", "the activation's usual ones");
    if (p.err)
        r->err = p.err;
}

static void read_ratios(struct reader *r, struct seanet_shape *s)
{
    static const int dflt[] = { 8, 5, 4, 2 };
    int64_t          hop = 1;

    if (r->err)
        return;
    s->n_ratio = 4;
    memcpy(s->ratio, dflt, sizeof dflt);
    if (json_object_get(r->obj, "ratios"))
        r->err = json_get_ints(s->ratio, &s->n_ratio, SEANET_MAX_RATIO, r->obj, "ratios", r->what);
    if (r->err == ERR_LIMIT || (!r->err && s->n_ratio < 1)) {
        r->err = OK;
        refuse(r, "ratios", "1 to 12 whole numbers");
    }
    for (int i = 0; i < s->n_ratio && !r->err; i++) {
        hop *= s->ratio[i];
        if (s->ratio[i] < 1 || s->ratio[i] > MAX_RATIO || hop > MAX_FRAME)
            refuse(r, "ratios", "positive, their product at most 1048576");
    }
    s->hop = (int)hop;
}

static void check_seanet(struct reader *r, const struct seanet_shape *s)
{
    int64_t dilation = 1;

    for (int j = 1; j < s->n_block && !r->err; j++) {
        dilation *= s->dilation_base;
        if (dilation * s->residual_kernel > MAX_DILATION)
            refuse(r, "dilation_base", "smaller for so many residual layers");
    }
    if (!r->err && s->n_filter / s->compress < 1)
        refuse(r, "compress", "at most n_filters");
    if (!r->err && ((int64_t)s->n_filter << s->n_ratio) > MAX_WIDTH)
        refuse(r, "n_filters", "smaller for so many ratios");
}

static enum err read_seanet(struct seanet_shape *s, struct reader *top)
{
    struct reader r = section(top, "seanet", seanet_keys);

    s->d_latent = get_int(&r, "dimension", 128, 1, MAX_WIDTH);
    s->n_filter = get_int(&r, "n_filters", 32, 1, MAX_WIDTH);
    s->n_block = get_int(&r, "n_residual_layers", 3, 0, SEANET_MAX_BLOCK);
    s->compress = get_int(&r, "compress", 2, 1, MAX_WIDTH);
    s->dilation_base = get_int(&r, "dilation_base", 2, 1, MAX_DILATION);
    s->kernel = get_int(&r, "kernel_size", 7, 1, MAX_KERNEL);
    s->residual_kernel = get_int(&r, "residual_kernel_size", 3, 1, MAX_KERNEL);
    s->last_kernel = get_int(&r, "last_kernel_size", 7, 1, MAX_KERNEL);
    s->has_skip_conv = !get_bool(&r, "true_skip", true);
    s->act = (enum act)get_choice(&r, "activation", "ELU", seanet_acts);
    s->pad = (enum conv_pad)get_choice(&r, "pad_mode", "reflect", pads);
    get_choice(&r, "norm", "none", norms); /* the file's names say where it is */
    check_act_params(&r);
    if (get_int(&r, "channels", 1, 1, 64) != 1)
        refuse(&r, "channels", "1");
    if (!get_bool(&r, "causal", false))
        refuse(&r, "causal", "true");
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

static enum err read_rvq(struct rvq_shape *s, struct reader *top, int d_latent)
{
    struct reader r = section(top, "quantizer", rvq_keys);

    s->d_latent = d_latent;
    s->dim = get_int(&r, "dimension", 128, 1, MAX_WIDTH);
    s->n_bin = get_int(&r, "bins", 1024, 1, 1 << 20);
    s->n_q = get_int(&r, "n_q", 8, 2, RVQ_MAX_LEVEL);
    s->n_semantic = get_int(&r, "n_q_semantic", 1, 1, RVQ_MAX_LEVEL);
    if (s->n_semantic >= s->n_q)
        refuse(&r, "n_q_semantic", "less than n_q");
    if (get_int(&r, "input_dimension", s->dim, 1, MAX_WIDTH) != d_latent)
        refuse(&r, "input_dimension", "the dimension of seanet");
    if (get_int(&r, "output_dimension", s->dim, 1, MAX_WIDTH) != d_latent)
        refuse(&r, "output_dimension", "the dimension of seanet");
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

enum { POS_NONE, POS_SIN, POS_ROPE, POS_SIN_ROPE, POS_ROPE_CONCAT };
static const struct choice positions[] = { { "none", POS_NONE },
                                           { "sin", POS_SIN },
                                           { "rope", POS_ROPE },
                                           { "sin_rope", POS_SIN_ROPE },
                                           { "rope_concat", POS_ROPE_CONCAT },
                                           { NULL, 0 } };

static void read_position(struct reader *r, struct transformer_shape *s)
{
    int kind = get_choice(r, "positional_embedding", "sin", positions);

    s->has_sin = kind == POS_SIN || kind == POS_SIN_ROPE;
    s->rope = kind == POS_ROPE_CONCAT                    ? ROPE_HALVES
              : kind == POS_ROPE || kind == POS_SIN_ROPE ? ROPE_INTERLEAVED
                                                         : ROPE_NONE;
    s->max_period = (float)get_num(r, "max_period", 10000);
    s->sin_scale = (float)get_num(r, "positional_scale", 1);
    if (!(s->max_period > 0))
        refuse(r, "max_period", "positive");
    if (s->rope != ROPE_NONE && s->d_model / s->n_head % 2)
        refuse(r, "num_heads", "such that a head's width is even");
    if (s->has_sin && (s->d_model % 2 || s->d_model < 4))
        refuse(r, "d_model", "even and at least 4");
}

enum { LAYER_NORM, LAYER_NORM_F32, RMS_NORM, RMS_NORM_F32 };
static const struct choice layer_norms[] = { { "layer_norm", LAYER_NORM },
                                             { "layer_norm_f32", LAYER_NORM_F32 },
                                             { "rms_norm", RMS_NORM },
                                             { "rms_norm_f32", RMS_NORM_F32 },
                                             { NULL, 0 } };
enum { NO_GATING = -1 };
static const struct choice gatings[] = { { "none", NO_GATING },
                                         { "sigmoid", ACT_SIGMOID },
                                         { "tanh", ACT_TANH },
                                         { "relu", ACT_RELU },
                                         { "leaky_relu", ACT_LEAKY_RELU },
                                         { "elu", ACT_ELU },
                                         { "gelu", ACT_GELU },
                                         { "silu", ACT_SILU },
                                         { "mish", ACT_MISH },
                                         { "softsign", ACT_SOFTSIGN },
                                         { "identity", ACT_NONE },
                                         { NULL, 0 } };

static void read_layer(struct reader *r, struct transformer_shape *s)
{
    int norm = get_choice(r, "norm", "layer_norm", layer_norms);
    int gating = get_choice(r, "gating", "none", gatings);
    int d_ff = get_int(r, "dim_feedforward", 2048, 1, 1 << 20);

    s->norm = norm == LAYER_NORM || norm == LAYER_NORM_F32 ? NORM_LAYER : NORM_RMS;
    s->norm_eps = norm == LAYER_NORM || norm == RMS_NORM ? 1e-5f : 1e-8f;
    s->is_gated = gating != NO_GATING;
    s->act = s->is_gated ? (enum act)gating : ACT_GELU;
    s->d_hidden = !s->is_gated ? d_ff : d_ff == 4 * s->d_model ? 21 * s->d_model / 8 : 2 * d_ff / 3;
    if (s->d_hidden < 1)
        refuse(r, "dim_feedforward", "larger");
    json_t *scale = r->err ? NULL : json_object_get(r->obj, "layer_scale");
    s->has_layer_scale = json_is_number(scale);
    if (scale && !json_is_number(scale) && !json_is_null(scale))
        refuse(r, "layer_scale", "a number or null");
}

static void check_outputs(struct reader *r, int d_latent)
{
    int out = 0, n = 0;

    if (get_int(r, "input_dimension", 0, 0, MAX_WIDTH) != d_latent)
        refuse(r, "input_dimension", "the dimension of seanet");
    if (!r->err)
        r->err = json_get_ints(&out, &n, 1, r->obj, "output_dimensions", r->what);
    if (r->err == ERR_LIMIT || (!r->err && (n != 1 || out != d_latent))) {
        r->err = OK;
        refuse(r, "output_dimensions", "one number, the dimension of seanet");
    }
}

static enum err read_transformer(struct transformer_shape *s, struct reader *top, int d_latent)
{
    struct reader r = section(top, "transformer", transformer_keys);
    int           kv_repeat;

    s->d_io = d_latent;
    s->d_model = get_int(&r, "d_model", 0, 1, MAX_WIDTH);
    s->n_head = get_int(&r, "num_heads", 0, 1, MAX_WIDTH);
    s->n_layer = get_int(&r, "num_layers", 0, 1, 1024);
    s->context = get_int(&r, "context", 0, 1, 1 << 20);
    kv_repeat = get_int(&r, "kv_repeat", 1, 1, MAX_WIDTH);
    if (!r.err && s->d_model < 1)
        refuse(&r, "d_model", "given");
    if (!r.err && (s->n_head < 1 || s->d_model % s->n_head))
        refuse(&r, "num_heads", "given and a divisor of d_model");
    if (!r.err && s->n_head % kv_repeat)
        refuse(&r, "kv_repeat", "a divisor of num_heads");
    if (!r.err && (s->n_layer < 1 || s->context < 1))
        refuse(&r, s->n_layer < 1 ? "num_layers" : "context", "given");
    if (r.err)
        return r.err;
    s->n_kv_head = s->n_head / kv_repeat;
    read_layer(&r, s);
    read_position(&r, s);
    check_outputs(&r, d_latent);
    if (!get_bool(&r, "causal", false))
        refuse(&r, "causal", "true");
    if (!get_bool(&r, "conv_layout", false))
        refuse(&r, "conv_layout", "true");
    if (get_int(&r, "weights_per_step", 0, 0, MAX_WIDTH) != 0)
        refuse(&r, "weights_per_step", "0 in a codec");
    if (get_bool(&r, "cross_attention", false) || get_bool(&r, "skip_self_attn", false))
        refuse(&r, "cross_attention, skip_self_attn", "false in a codec");
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
    struct reader            r = { config, what, OK };
    enum err                 err;

    warn_unknown(&r, keys);
    c->rate_hz = get_int(&r, "sample_rate", 24000, 1, 768000);
    c->frame_rate_hz = get_num(&r, "frame_rate", 12.5);
    if (get_int(&r, "channels", 1, 1, 64) != 1)
        refuse(&r, "channels", "1");
    if (!(c->frame_rate_hz > 0) || !isfinite(c->frame_rate_hz))
        refuse(&r, "frame_rate", "positive");
    err = r.err ? r.err : read_seanet(&c->seanet, &r);
    if (!err)
        err = read_rvq(&c->rvq, &r, c->seanet.d_latent);
    if (!err)
        err = read_transformer(&c->transformer, &r, c->seanet.d_latent);
    return err ? err : set_frame(c, what);
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
