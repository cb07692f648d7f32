/* SPDX-License-Identifier: MIT */
#include "model/mimi_config_hf.h"

#include <stddef.h>

#include "model/config_key.h"

/* From a key of transformers to one of ours; what is left out has the default there. */
struct row {
    const char *from, *section, *to, *dflt;
};

static const struct row rows[] = {
    { "sampling_rate", NULL, "sample_rate", "24000" },
    { "audio_channels", NULL, "channels", "1" },
    { "frame_rate", NULL, "frame_rate", "null" },
    { "hidden_size", "seanet", "dimension", "512" },
    { "num_filters", "seanet", "n_filters", "64" },
    { "num_residual_layers", "seanet", "n_residual_layers", "1" },
    { "upsampling_ratios", "seanet", "ratios", "[8, 6, 5, 4]" },
    { "kernel_size", "seanet", "kernel_size", "7" },
    { "last_kernel_size", "seanet", "last_kernel_size", "3" },
    { "residual_kernel_size", "seanet", "residual_kernel_size", "3" },
    { "dilation_growth_rate", "seanet", "dilation_base", "2" },
    { "use_causal_conv", "seanet", "causal", "true" },
    { "pad_mode", "seanet", "pad_mode", "\"constant\"" },
    { "compress", "seanet", "compress", "2" },
    { "hidden_size", "quantizer", "input_dimension", "512" },
    { "hidden_size", "quantizer", "output_dimension", "512" },
    { "codebook_dim", "quantizer", "dimension", "256" },
    { "codebook_size", "quantizer", "bins", "2048" },
    { "num_quantizers", "quantizer", "n_q", "32" },
    { "num_semantic_quantizers", "quantizer", "n_q_semantic", "1" },
    { "hidden_size", "transformer", "d_model", "512" },
    { "hidden_size", "transformer", "input_dimension", "512" },
    { "num_hidden_layers", "transformer", "num_layers", "8" },
    { "num_attention_heads", "transformer", "num_heads", "8" },
    { "intermediate_size", "transformer", "dim_feedforward", "2048" },
    { "sliding_window", "transformer", "context", "250" },
    { "rope_theta", "transformer", "max_period", "10000.0" },
    { "layer_scale_initial_scale", "transformer", "layer_scale", "0.01" },
};

/* What the transformers class is built with, whatever its config says. */
static const char fixed[] =
    "{\"seanet\": {}, \"quantizer\": {}, \"transformer\": {\"causal\": true,"
    " \"conv_layout\": true, \"gating\": \"none\", \"norm\": \"layer_norm\","
    " \"positional_embedding\": \"rope\"}}";

/* Keys that must have their default: nothing in the codec would follow another value. */
static const struct row defaults[] = {
    { "hidden_act", NULL, NULL, "\"gelu\"" },
    { "norm_eps", NULL, NULL, "1e-05" },
    { "attention_bias", NULL, NULL, "false" },
    { "trim_right_ratio", NULL, NULL, "1.0" },
};

bool mimi_config_hf_is(const json_t *config)
{
    return json_object_get(config, "upsampling_ratios") ||
           json_object_get(config, "num_quantizers");
}

/* A new reference to the member, or to its default. */
static json_t *member(const json_t *config, const char *key, const char *dflt)
{
    json_t *v = json_object_get(config, key);

    return v && !json_is_null(v) ? json_incref(v) : json_loads(dflt, JSON_DECODE_ANY, NULL);
}

static void check_default(struct config_key *r, const struct row *row)
{
    json_t *have = member(r->obj, row->from, row->dflt),
           *want = json_loads(row->dflt, JSON_DECODE_ANY, NULL);
    bool is_same = json_is_number(have) && json_is_number(want)
                       ? json_number_value(have) == json_number_value(want)
                       : json_equal(have, want);

    json_decref(have);
    json_decref(want);
    if (!is_same)
        config_key_want(r, row->from, row->dflt);
}

/* Members that follow from several others. */
static void derive(json_t *out, struct config_key *r)
{
    json_t *seanet = json_object_get(out, "seanet"), *t = json_object_get(out, "transformer");
    json_t *ratios = json_object_get(seanet, "ratios");
    double  rate = json_number_value(json_object_get(out, "sample_rate"));
    int     n_head = config_key_int(r, "num_attention_heads", 8, 1, 65536);
    int     hidden = config_key_int(r, "hidden_size", 512, 1, 65536);
    int     n_kv = config_key_int(r, "num_key_value_heads", n_head, 1, n_head);
    int     head_dim = config_key_int(r, "head_dim", hidden / n_head, 1, 65536);
    bool    has_shortcut = config_key_bool(r, "use_conv_shortcut", false);

    if (r->err)
        return;
    if (head_dim != hidden / n_head || hidden % n_head || n_head % n_kv)
        config_key_fail(r, "the widths of the attention heads do not fit");
    for (size_t i = 0; i < json_array_size(ratios); i++)
        rate /= json_number_value(json_array_get(ratios, i));
    if (json_is_null(json_object_get(out, "frame_rate")) &&
        json_object_set_new(out, "frame_rate", json_real(rate / 2)))
        config_key_fail(r, "'sampling_rate' and 'upsampling_ratios' give no frame rate");
    if (json_object_set_new(t, "kv_repeat", json_integer(n_head / n_kv)) ||
        json_object_set_new(seanet, "true_skip", json_boolean(!has_shortcut)) ||
        json_object_set_new(t, "output_dimensions", json_pack("[i]", hidden)))
        r->err = err_set(ERR_NOMEM, "%s: out of memory", r->what);
}

enum err mimi_config_hf_translate(json_t **out, const json_t *config, const char *path)
{
    struct config_key r;
    json_t           *j = json_loads(fixed, 0, NULL);

    config_key_init(&r, config, path);
    if (!j)
        r.err = err_set(ERR_NOMEM, "%s: out of memory", r.what);
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        check_default(&r, &defaults[i]);
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !r.err; i++) {
        json_t *section = rows[i].section ? json_object_get(j, rows[i].section) : j;
        if (json_object_set_new(section, rows[i].to, member(config, rows[i].from, rows[i].dflt)))
            r.err = err_set(ERR_NOMEM, "%s: out of memory", r.what);
    }
    if (!r.err)
        derive(j, &r);
    if (r.err)
        json_decref(j);
    else
        *out = j;
    return r.err;
}
