/* SPDX-License-Identifier: MIT */
/* Hostile config of the codec, as mimi_config.json and as the transformers library's config.json.
 * Seeds: tests/golden/mimi/plain/mimi_config.json, tests/golden/mimi/odd/mimi_config.json,
 * tests/golden/mimi/gated/mimi_config.json, tests/golden/mimi/stride1/mimi_config.json,
 * tests/golden/mimi/conv_skip/mimi_config.json, tests/golden/mimi/replicate/mimi_config.json. */
#include <string.h>

#include "base/json.h"
#include "model/mimi_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

/* What the rest of the codec relies on without asking again. */
static void check_seanet(const struct seanet_shape *s)
{
    int64_t hop = 1;

    must(s->d_latent > 0 && s->compress > 0 && s->n_filter / s->compress > 0);
    must(s->n_ratio > 0 && s->n_ratio <= SEANET_MAX_RATIO);
    must(s->n_block >= 0 && s->n_block <= SEANET_MAX_BLOCK && s->dilation_base > 0);
    must(s->kernel > 0 && s->residual_kernel > 0 && s->last_kernel > 0);
    for (int i = 0; i < s->n_ratio; i++) {
        must(s->ratio[i] > 0);
        hop *= s->ratio[i];
    }
    must(hop == s->hop);
}

static void check_transformer(const struct transformer_shape *s)
{
    must(s->n_layer > 0 && s->n_head > 0 && s->d_model > 0 && s->d_model % s->n_head == 0);
    must(s->n_kv_head > 0 && s->n_head % s->n_kv_head == 0);
    must(s->d_hidden > 0 && s->context > 0 && s->max_period > 0);
    must(s->rope == ROPE_NONE || s->d_model / s->n_head % 2 == 0);
    must(!s->has_sin || (s->d_model % 2 == 0 && s->d_model >= 4));
}

static void check(const struct mimi_config *c)
{
    check_seanet(&c->seanet);
    check_transformer(&c->transformer);
    must(c->rvq.n_q <= RVQ_MAX_LEVEL && c->rvq.n_semantic > 0 && c->rvq.n_semantic < c->rvq.n_q);
    must(c->rvq.n_bin > 0 && c->rvq.dim > 0);
    must(c->rvq.d_latent == c->seanet.d_latent && c->transformer.d_io == c->seanet.d_latent);
    must(c->rate_hz > 0 && c->frame_rate_hz > 0);
    must(c->stride > 0 && c->stride <= c->transformer.context);
    must(c->frame_size == c->stride * c->seanet.hop);
}

static void read(const struct model_files *f)
{
    struct mimi_config c;
    enum err           err = mimi_config_read(&c, f);

    must(err == OK || err == ERR_FORMAT);
    if (err)
        must(strncmp(err_text(err), "config.json: ", 13) == 0);
    else
        check(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    static struct model_files own = { .codec_config_path = "config.json" };
    static struct model_files hf = { .config_path = "config.json", .is_codec_only = true };
    json_t                   *config;

    if (json_parse(&config, bytes_of(p, len), 1 << 16, "config.json") != OK)
        return 0;
    if (json_is_object(config)) {
        own.codec_config = config;
        read(&own);
        hf.config = config;
        read(&hf);
    }
    json_decref(config);
    return 0;
}
