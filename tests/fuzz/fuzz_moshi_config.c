/* SPDX-License-Identifier: MIT */
/* Hostile config.json of a language model. Seeds: tests/golden/moshi/plain/config.json,
 * tests/golden/hibiki/2b/config.json, tests/golden/hibiki/zero/config.json,
 * tests/golden/tts/1.6b/config.json, tests/golden/stt/1b/config.json,
 * tests/golden/format/lora/config.json, tests/golden/variant/no_position/config.json. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/moshi_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static const char model_types[][12] = { "moshi", "hibiki", "tts", "stt", "personaplex" };

/* What the rest of the model relies on without asking again. */
static void check_stack(const struct moshi_stack *s)
{
    must(s->dim > 0 && s->n_head > 0 && s->dim % s->n_head == 0);
    must(s->n_kv_head > 0 && s->n_head % s->n_kv_head == 0);
    must(s->n_layer > 0 && s->n_set > 0 && s->n_set <= MOSHI_MAX_STREAM && s->context > 0);
    must(s->rope == ROPE_NONE || s->dim / s->n_head % 2 == 0);
    must(!s->has_sin || (s->dim % 2 == 0 && s->dim >= 4));
    for (int i = 0; i < s->n_set; i++)
        must(s->n_hidden[i] > 0);
}

static void check(const struct moshi_config *c)
{
    const struct moshi_info *info = &c->info;

    check_stack(&c->main);
    must(info->n_q >= 0 && info->n_q < MOSHI_MAX_STREAM && info->dep_q <= c->n_depth);
    must(c->n_depth >= 0 && c->n_depth <= info->n_q && info->card > 0 && info->text_card > 0);
    must(info->n_extra_head >= 0 && info->n_extra_head <= MOSHI_MAX_HEAD);
    must(info->text_max >= info->text_card);
    for (int i = 0; i <= info->n_q; i++)
        must(info->delays[i] >= 0 && info->delays[i] <= info->max_delay);
    if (c->n_depth)
        check_stack(&c->depth);
    for (int k = 0; k < c->n_depth; k++) {
        must(c->set[k] >= 0 && c->set[k] < c->depth.n_set);
        must(c->in_set[k] >= 0 && c->in_set[k] < c->n_in);
    }
    must(c->n_cond >= 0 && c->n_cond <= MOSHI_MAX_CONDITION);
    for (int i = 0; i < c->n_cond; i++)
        must(c->cond[i].dim > 0 && c->cond[i].dflt >= -1 && c->cond[i].name[0] &&
             c->cond[i].n_value <= c->cond[i].n_bin);
    for (int i = 0; i < c->n_sum; i++)
        must(c->sum[i] >= 0 && c->sum[i] < c->n_cond);
    for (int i = 0; i < c->n_cross; i++)
        must(c->cross[i] >= 0 && c->cross[i] < c->n_cond);
    must(!c->has_cross || c->n_cross > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    static struct model_files  f = { .config_path = "config.json" };
    static struct moshi_config c;

    if (json_parse(&f.config, bytes_of(p, len), 1 << 16, "config.json") != OK)
        return 0;
    for (size_t i = 0; json_is_object(f.config) && i < sizeof model_types / sizeof *model_types;
         i++) {
        memcpy(f.model_type, model_types[i], sizeof model_types[i]);
        enum err err = moshi_config_read(&c, &f);
        must(err == OK || err == ERR_FORMAT);
        if (err)
            must(strncmp(err_text(err), "config.json: ", 13) == 0);
        else
            check(&c);
    }
    json_decref(f.config);
    return 0;
}
