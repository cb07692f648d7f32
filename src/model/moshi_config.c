/* SPDX-License-Identifier: MIT */
#include "model/moshi_config.h"

#include <string.h>

#include "base/json.h"
#include "model/model_shape.h"
#include "model/moshi_config_impl.h"

enum {
    MAX_DIM = 1 << 16,
    MAX_LAYER = 256,
    MAX_CARD = 1 << 20,
    MAX_TEXT_CARD = 1 << 22,
    MAX_DELAY = 1000,
    MAX_CONTEXT = 1 << 20,
    /* The reference needs a context for a stream. Without one Parley sees this many steps (5.8
     * minutes), more than the longest published context. */
    NO_CONTEXT = 4352,
};

/* Which keys there are. */

/* Arguments of the reference's constructors: with none of them the file means Moshi 7B. */
/* clang-format off */
static const char *const lm_keys[] = {
    "delays", "n_q", "dep_q", "card", "text_card", "text_card_out", "demux_second_text_stream",
    "demux_second_stream", "dim", "num_heads", "num_layers", "hidden_scale", "norm", "norm_emb",
    "bias_proj", "existing_text_padding_id", "existing_text_end_padding_id",
    "extra_heads_num_heads", "extra_heads_dim", "context", "causal", "layer_scale",
    "max_period", "gating", "kv_repeat", "positional_embedding", "positional_scale",
    "cross_attention", "conditioners", "fuser", "depformer_dim", "depformer_dim_feedforward",
    "depformer_multi_linear", "depformer_weights_per_step",
    "depformer_weights_per_step_schedule", "depformer_low_rank_embeddings", "depformer_pos_emb",
    "depformer_norm", "depformer_num_heads", "depformer_num_layers", "depformer_layer_scale",
    "depformer_context", "depformer_max_period", "depformer_gating", "depformer_kv_repeat",
    "depformer_positional_scale", NULL
};
/* Read elsewhere, or without effect on what a stream computes. */
static const char *const other_keys[] = {
    "moshi_name", "mimi_name", "mimi_config_name", "tokenizer_name", "lora_name", "model_type",
    "lm_gen_config", "tts_config", "stt_config", "model_id", "lora", "lora_rank",
    "lora_scaling", "quantize", "quantization", "depformer_causal", "depformer_cross_attention",
    "betas", "depformer_betas", "gradient_checkpointing", "version",
    "generated_audio_codebooks", NULL
};
/* clang-format on */

void moshi_config_warn_unknown(const struct model_files *f)
{
    config_key_warn_unknown(f->config, f->config_path, lm_keys, other_keys);
}

/* Moshi 7B; PersonaPlex differs in dep_q alone: it also predicts the user's streams. */
static json_t *published_default(bool is_personaplex)
{
    json_t *v = model_shape_config("moshi-7b");

    if (v && is_personaplex && json_object_set_new(v, "dep_q", json_integer(16)) != 0) {
        json_decref(v);
        return NULL;
    }
    return v;
}

/* Streams. */

static void read_delays(struct moshi_info *info, struct config_key *r)
{
    int n = 1;

    info->delays[0] = 0;
    if (config_key_value(r, "delays"))
        n = config_key_ints(r, info->delays, MOSHI_MAX_STREAM, "delays");
    if (!r->err && n != info->n_q + 1)
        config_key_fail(r, "'delays' has %d entries, 1 + n_q = %d are needed", n, info->n_q + 1);
    for (int i = 0; !r->err && i < n; i++) {
        if (info->delays[i] < 0 || info->delays[i] > MAX_DELAY)
            config_key_fail(r, "'delays' holds %d, not a number of steps from 0 to %d",
                            info->delays[i], MAX_DELAY);
        if (info->delays[i] > info->max_delay)
            info->max_delay = info->delays[i];
    }
}

static void read_streams(struct moshi_config *c, struct config_key *r, const char *model_type)
{
    struct moshi_info *info = &c->info;

    info->n_q = config_key_int(r, "n_q", 8, 0, MOSHI_MAX_STREAM - 1);
    c->n_depth = config_key_int(r, "dep_q", 8, 0, MOSHI_MAX_STREAM - 1);
    if (c->n_depth > info->n_q)
        config_key_fail(r, "'dep_q' is %d, more than n_q = %d", c->n_depth, info->n_q);
    /* PersonaPlex predicts both voices; a talk overwrites the second one with what it hears. */
    bool predicts_user = strcmp(model_type, "personaplex") == 0 && c->n_depth == info->n_q &&
                         info->n_q % 2 == 0;
    info->dep_q = predicts_user ? info->n_q / 2 : c->n_depth;
    info->n_depth = c->n_depth;
    info->card = config_key_int(r, "card", 1024, 1, MAX_CARD);
    info->text_card = config_key_int(r, "text_card", 32000, 1, MAX_TEXT_CARD);
    info->text_card_out = config_key_int(r, "text_card_out", info->text_card, 1, MAX_TEXT_CARD);
    info->text_pad_id = config_key_int(r, "existing_text_padding_id", 3, 0, MAX_TEXT_CARD);
    c->is_demux = config_key_bool(r, "demux_second_text_stream", false);
    c->is_demux = config_key_bool(r, "demux_second_stream", c->is_demux);
    c->has_norm_emb = config_key_bool(r, "norm_emb", false);
    c->has_bias = config_key_bool(r, "bias_proj", false);
    c->is_eos_pad = strcmp(model_type, "hibiki") == 0 && info->text_card >= 3;
    info->n_extra_head = config_key_int(r, "extra_heads_num_heads", 0, 0, MOSHI_MAX_HEAD);
    info->extra_head_dim = config_key_int(r, "extra_heads_dim", 6, info->n_extra_head > 0, MAX_DIM);
    if (c->is_demux && c->has_norm_emb)
        config_key_fail(r, "'norm_emb' and 'demux_second_stream' exclude each other");
    if (c->is_demux && (int64_t)(info->text_card + 2) * (info->text_card + 1) > INT32_MAX)
        config_key_fail(r, "'text_card' is too large for two text streams");
    else if (c->is_demux)
        info->text_max = (info->text_card + 2) * (info->text_card + 1) - 1;
    else
        info->text_max = info->text_card;
    read_delays(info, r);
}

/* Transformers. */

static enum moshi_norm read_norm(struct config_key *r, const char *key, const char *dflt)
{
    static const struct config_choice norms[] = { { "layer_norm", MOSHI_NORM_LAYER },
                                                  { "layer_norm_f32", MOSHI_NORM_LAYER_F32 },
                                                  { "rms_norm", MOSHI_NORM_RMS },
                                                  { "rms_norm_f32", MOSHI_NORM_RMS_F32 },
                                                  { NULL, 0 } };

    return (enum moshi_norm)config_key_choice(r, key, dflt, norms);
}

static void read_position(struct moshi_stack *s, struct config_key *r, const char *key)
{
    config_key_position(r, &s->rope, &s->has_sin, key);
    if (s->rope != ROPE_NONE && s->dim / s->n_head % 2 != 0)
        config_key_fail(r, "'%s' needs heads of an even width, not %d", key, s->dim / s->n_head);
    if (s->has_sin && (s->dim % 2 != 0 || s->dim < 4))
        config_key_fail(r, "'%s' needs an even width of 4 or more, not %d", key, s->dim);
}

/* The width inside a feed-forward block whose nominal width is ff. */
static void set_hidden(struct moshi_stack *s, struct config_key *r, int set, int64_t ff,
                       const char *key)
{
    int64_t hidden = !s->is_gated                ? ff
                     : ff == 4 * (int64_t)s->dim ? 21 * (int64_t)s->dim / 8
                                                 : 2 * ff / 3;

    if (hidden < 1 || hidden > 16 * MAX_DIM)
        config_key_fail(r, "'%s' gives a feed-forward width of %lld", key, (long long)hidden);
    s->n_hidden[set] = r->err ? 1 : (int)hidden;
}

static void read_heads(struct moshi_stack *s, struct config_key *r, const char *heads_key,
                       const char *repeat_key)
{
    int repeat = config_key_int(r, repeat_key, 1, 1, 1024);

    if (!r->err && s->dim % s->n_head != 0)
        config_key_fail(r, "'%s' is %d, which does not divide the width %d", heads_key, s->n_head,
                        s->dim);
    if (!r->err && s->n_head % repeat != 0)
        config_key_fail(r, "'%s' is %d, which does not divide %d heads", repeat_key, repeat,
                        s->n_head);
    s->n_kv_head = r->err ? s->n_head : s->n_head / repeat;
}

static void read_main(struct moshi_config *c, struct config_key *r)
{
    struct moshi_stack *s = &c->main;

    s->dim = config_key_int(r, "dim", 128, 1, MAX_DIM);
    s->n_head = config_key_int(r, "num_heads", 8, 1, 1024);
    s->n_layer = config_key_int(r, "num_layers", 0, 1, MAX_LAYER);
    s->n_set = 1;
    if (s->n_layer == 0)
        config_key_fail(r, "'num_layers' is missing");
    read_heads(s, r, "num_heads", "kv_repeat");
    config_key_gating(r, &s->act, &s->is_gated, "gating");
    set_hidden(s, r, 0, (int64_t)(config_key_num(r, "hidden_scale", 4, 1e-3, 64) * s->dim),
               "hidden_scale");
    read_position(s, r, "positional_embedding");
    s->max_period = (float)config_key_num(r, "max_period", 10000, 1e-3, 1e12);
    s->sin_scale = (float)config_key_num(r, "positional_scale", 1, -1e6, 1e6);
    s->has_layer_scale = config_key_value(r, "layer_scale") != NULL;
    config_key_num(r, "layer_scale", 0, -1e6, 1e6);
    s->context = config_key_int(r, "context", NO_CONTEXT, 1, MAX_CONTEXT);
    if (!config_key_bool(r, "causal", true))
        config_key_fail(r, "'causal' is false: a stream cannot see what has not come yet");
    c->norm = read_norm(r, "norm", "layer_norm");
    c->has_cross = config_key_bool(r, "cross_attention", false);
    if (c->has_cross && s->n_kv_head != s->n_head)
        config_key_fail(r, "'kv_repeat' above 1 and 'cross_attention' exclude each other");
    c->info.dim = s->dim;
    c->info.context = s->context;
}

/* Depth transformer. */

/* The depth transformer's own key if the file has it, even as null, else the shared one. */
static const char *own_or(const struct config_key *r, const char *own, const char *shared)
{
    return json_object_get(r->obj, own) ? own : shared;
}

/* There are as many sets as the largest number says, even if no step names one of them. */
static void read_schedule(struct moshi_config *c, struct config_key *r)
{
    static const char key[] = "depformer_weights_per_step_schedule";
    bool              per_step = config_key_bool(r, "depformer_weights_per_step", false);
    int               n = 0;

    c->is_per_step = per_step;
    c->depth.n_set = per_step ? c->n_depth : 1;
    for (int k = 0; k < c->n_depth; k++)
        c->set[k] = per_step ? k : 0;
    if (r->err || !config_key_value(r, key))
        return;
    n = config_key_ints(r, c->set, MOSHI_MAX_STREAM, key);
    if (n != c->n_depth)
        config_key_fail(r, "'%s' must have dep_q = %d entries", key, c->n_depth);
    if (!per_step)
        config_key_fail(r, "'%s' without 'depformer_weights_per_step'", key);
    c->depth.n_set = 1;
    for (int k = 0; !r->err && k < n; k++) {
        if (c->set[k] < 0 || c->set[k] >= MOSHI_MAX_STREAM)
            config_key_fail(r, "'%s' holds %d, not a weight set from 0 to %d", key, c->set[k],
                            MOSHI_MAX_STREAM - 1);
        if (c->set[k] >= c->depth.n_set)
            c->depth.n_set = c->set[k] + 1;
    }
}

/* null: hidden_scale * depformer_dim; a number; or a list with a number for each set. */
static void read_depth_hidden(struct moshi_config *c, struct config_key *r)
{
    static const char   key[] = "depformer_dim_feedforward";
    struct moshi_stack *s = &c->depth;
    const json_t       *v = config_key_value(r, key);
    int                 list[MOSHI_MAX_STREAM], n = 0;
    int64_t             ff = (int64_t)(config_key_num(r, "hidden_scale", 4, 1e-3, 64) * s->dim);

    if (json_is_array(v)) {
        n = config_key_ints(r, list, MOSHI_MAX_STREAM, key);
        if (n != s->n_set)
            config_key_fail(r, "'%s' must have %d entries, one a weight set", key, s->n_set);
    } else if (v) {
        ff = config_key_int(r, key, 0, 1, 64 * MAX_DIM);
    }
    for (int w = 0; w < s->n_set && !r->err; w++)
        set_hidden(s, r, w, n ? list[w] : ff, v ? key : "hidden_scale");
}

static void read_depth(struct moshi_config *c, struct config_key *r)
{
    struct moshi_stack *s = &c->depth;

    s->dim = config_key_int(r, "depformer_dim", 256, 1, MAX_DIM);
    c->is_multi_linear = config_key_bool(r, "depformer_multi_linear", false);
    c->n_in = c->is_multi_linear ? c->n_depth : 1;
    c->unused_depth_dim = c->n_depth == 0 && !c->is_multi_linear ? s->dim : 0;
    if (c->n_depth == 0)
        return;
    read_schedule(c, r);
    bool is_scheduled = config_key_value(r, "depformer_weights_per_step_schedule") != NULL;
    if (is_scheduled && c->is_multi_linear)
        c->n_in = s->n_set;
    for (int k = 0; k < c->n_depth; k++)
        c->in_set[k] = !c->is_multi_linear ? 0 : is_scheduled ? c->set[k] : k;
    s->n_head = config_key_int(r, "depformer_num_heads", 0, 1, 1024);
    if (s->n_head == 0) {
        config_key_fail(r, "'depformer_num_heads' is missing");
        return;
    }
    s->n_layer = config_key_int(r, own_or(r, "depformer_num_layers", "num_layers"), c->main.n_layer,
                                1, MAX_LAYER);
    read_heads(s, r, "depformer_num_heads", own_or(r, "depformer_kv_repeat", "kv_repeat"));
    config_key_gating(r, &s->act, &s->is_gated, own_or(r, "depformer_gating", "gating"));
    if (!s->is_gated && config_key_bool(r, "depformer_weights_per_step", false))
        config_key_fail(r, "'depformer_gating' is none, which weights per step do not support");
    read_depth_hidden(c, r);
    read_position(s, r, "depformer_pos_emb");
    s->max_period = (float)config_key_num(r, own_or(r, "depformer_max_period", "max_period"), 10000,
                                          1e-3, 1e12);
    s->sin_scale = (float)config_key_num(
        r, own_or(r, "depformer_positional_scale", "positional_scale"), 1, -1e6, 1e6);
    s->has_layer_scale = config_key_value(r, own_or(r, "depformer_layer_scale", "layer_scale")) !=
                         NULL;
    s->context = c->n_depth;
    c->low_rank = config_key_int(r, "depformer_low_rank_embeddings", 0, 1, MAX_DIM);
    if (config_key_value(r, "depformer_norm"))
        c->depth_norm = read_norm(r, "depformer_norm", "");
}

/* The rest. */

static void read_generation(struct moshi_info *info, struct config_key *top)
{
    struct config_key r = config_key_section(top, "lm_gen_config");

    *info = (struct moshi_info){ .temp = 0.8f, .temp_text = 0.7f, .top_k = 250, .top_k_text = 25 };
    if (r.obj && !r.err) {
        bool is_sampled = config_key_bool(&r, "use_sampling", true);
        info->temp = (float)config_key_num(&r, "temp", 0.8, -1e6, 1e6);
        info->temp_text = (float)config_key_num(&r, "temp_text", 0.7, -1e6, 1e6);
        info->top_k = config_key_int(&r, "top_k", 250, 0, MAX_TEXT_CARD);
        info->top_k_text = config_key_int(&r, "top_k_text", 25, 0, MAX_TEXT_CARD);
        if (!is_sampled)
            info->temp = info->temp_text = 0;
    }
    top->err = r.err;
}

static void read_lora(struct moshi_config *c, struct config_key *r, const struct model_files *f)
{
    c->has_lora = config_key_bool(r, "lora", false);
    c->lora_rank = config_key_int(r, "lora_rank", 0, 1, MAX_DIM);
    c->lora_scaling = config_key_num(r, "lora_scaling", 2.0, -1e6, 1e6);
    if (c->has_lora && !f->lora_path[0])
        config_key_fail(r, "'lora' is true, but 'lora_name' names no adapter");
    if (!c->has_lora && f->lora_path[0])
        config_key_fail(r, "'lora_name' names an adapter, but 'lora' is not true");
    if (c->has_lora && config_key_bool(r, "quantize", false))
        config_key_fail(r, "'lora' and 'quantize' exclude each other");
}

static void read_all(struct moshi_config *c, struct config_key *r, const struct model_files *f)
{
    read_generation(&c->info, r);
    read_lora(c, r, f);

    bool    is_default = !r->err && !config_key_has_any(f->config, lm_keys);
    json_t *dflt = is_default ? published_default(strcmp(f->model_type, "personaplex") == 0) : NULL;
    if (is_default && !dflt)
        r->err = err_set(ERR_NOMEM, "%s: out of memory", r->what);
    if (dflt)
        r->obj = dflt;
    read_streams(c, r, f->model_type);
    read_main(c, r);
    if (!r->err)
        read_depth(c, r);
    if (!r->err)
        moshi_config_read_conditions(c, r, f->model_type);
    json_decref(dflt);
}

enum err moshi_config_read(struct moshi_config *out, const struct model_files *f)
{
    struct config_key r;

    config_key_init(&r, f->config, f->config_path);
    *out = (struct moshi_config){ 0 };
    read_all(out, &r, f);
    return r.err;
}
