/* SPDX-License-Identifier: MIT */
#include "model/moshi_key.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* Keys. */

const json_t *moshi_key_value(const struct moshi_key *r, const char *key)
{
    const json_t *v = json_object_get(r->obj, key);

    return json_is_null(v) ? NULL : v;
}

void moshi_key_fail(struct moshi_key *r, const char *fmt, ...)
{
    char    text[200];
    va_list args;

    if (r->err)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    r->err = err_set(ERR_FORMAT, "%s: %s", r->what, text);
}

int64_t moshi_key_int(struct moshi_key *r, const char *key, int64_t dflt, int64_t min, int64_t max)
{
    int64_t v = dflt;

    if (!r->err)
        r->err = json_get_int(&v, r->obj, key, dflt, min, max, r->what);
    return v;
}

double moshi_key_num(struct moshi_key *r, const char *key, double dflt, double min, double max)
{
    double v = dflt;

    if (!r->err)
        r->err = json_get_num(&v, r->obj, key, dflt, r->what);
    if (!r->err && moshi_key_value(r, key) && !(v >= min && v <= max)) {
        moshi_key_fail(r, "'%s' must be a number from %g to %g", key, min, max);
        v = dflt;
    }
    return v;
}

bool moshi_key_bool(struct moshi_key *r, const char *key, bool dflt)
{
    bool v = dflt;

    if (!r->err)
        r->err = json_get_bool(&v, r->obj, key, dflt, r->what);
    return v;
}

const char *moshi_key_str(struct moshi_key *r, const char *key, const char *dflt)
{
    const char *v = dflt;

    if (!r->err)
        r->err = json_get_str(&v, r->obj, key, dflt, r->what);
    return v;
}

/* Which of n names the key holds. */
int moshi_key_choice(struct moshi_key *r, const char *key, const char *dflt,
                     const char *const *names, int n)
{
    const char *v = moshi_key_str(r, key, dflt);

    for (int i = 0; !r->err && i < n; i++)
        if (strcmp(v, names[i]) == 0)
            return i;
    moshi_key_fail(r, "'%s' is '%.40s', which is not known", key, v);
    return 0;
}

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
    "depformer_positional_scale",
};
/* Read elsewhere, or without effect on what a stream computes. */
static const char *const other_keys[] = {
    "moshi_name", "mimi_name", "mimi_config_name", "tokenizer_name", "lora_name", "model_type",
    "lm_gen_config", "tts_config", "stt_config", "model_id", "lora", "lora_rank",
    "lora_scaling", "quantize", "quantization", "depformer_causal", "depformer_cross_attention",
    "betas", "depformer_betas", "gradient_checkpointing", "version",
    "generated_audio_codebooks",
};
/* clang-format on */

static bool is_one_of(const char *key, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

bool moshi_key_has_lm(const json_t *config)
{
    for (size_t i = 0; i < sizeof lm_keys / sizeof *lm_keys; i++)
        if (json_object_get(config, lm_keys[i]))
            return true;
    return false;
}

void moshi_key_warn_unknown(const json_t *config, const char *what)
{
    const char *key;
    json_t     *v;

    json_object_foreach((json_t *)(uintptr_t)config, key,
                        v) if (!is_one_of(key, lm_keys, sizeof lm_keys / sizeof *lm_keys) &&
                               !is_one_of(key, other_keys, sizeof other_keys / sizeof *other_keys))
        log_warn("%s: unknown key '%.60s' is ignored", what, key);
}
