/* SPDX-License-Identifier: MIT */
#include "model/model_shape.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* What all of them share, and what each has of its own. */
#define COMMON                                                                                    \
    "\"card\": 2048, \"existing_text_padding_id\": 3, \"hidden_scale\": 4.125, \"causal\": true," \
    "\"gating\": \"silu\", \"norm\": \"rms_norm_f32\", \"positional_embedding\": \"rope\","       \
    "\"depformer_dim\": 1024, \"depformer_num_heads\": 16, \"depformer_multi_linear\": true,"     \
    "\"depformer_pos_emb\": \"none\", \"depformer_weights_per_step\": true"
/* Delays of a voice's codebooks but the first. */
#define REST_OF_8(d)  #d "," #d "," #d "," #d "," #d "," #d "," #d
#define REST_OF_16(d) REST_OF_8(d) "," #d "," REST_OF_8(d)

static const struct {
    const char *name, *config;
} shapes[] = {
    { "moshi-7b", "{" COMMON ", \"dim\": 4096, \"num_layers\": 32, \"num_heads\": 32,"
                  "\"context\": 3000, \"max_period\": 10000, \"text_card\": 32000,"
                  "\"n_q\": 16, \"dep_q\": 8, \"depformer_num_layers\": 6,"
                  "\"depformer_dim_feedforward\": 4224,"
                  "\"delays\": [0, 0," REST_OF_8(1) ", 0," REST_OF_8(1) "]}" },
    { "moshi-2b", "{" COMMON ", \"dim\": 2560, \"num_layers\": 24, \"num_heads\": 20,"
                  "\"context\": 3000, \"max_period\": 100000, \"text_card\": 48000,"
                  "\"n_q\": 32, \"dep_q\": 16, \"depformer_num_layers\": 6,"
                  "\"depformer_dim_feedforward\": 4224,"
                  "\"delays\": [0, 0," REST_OF_16(2) ", 0," REST_OF_16(2) "]}" },
    { "moshi-1b", "{" COMMON ", \"dim\": 2048, \"num_layers\": 16, \"num_heads\": 16,"
                  "\"context\": 1500, \"max_period\": 100000, \"text_card\": 48000,"
                  "\"n_q\": 16, \"dep_q\": 8, \"depformer_num_layers\": 6,"
                  "\"depformer_dim_feedforward\": 4224,"
                  "\"delays\": [0, 0," REST_OF_8(2) ", 0," REST_OF_8(2) "]}" },
    { "hibiki-2b", "{" COMMON ", \"dim\": 2560, \"num_layers\": 24, \"num_heads\": 20,"
                   "\"context\": 1500, \"max_period\": 100000, \"text_card\": 48000,"
                   "\"n_q\": 32, \"dep_q\": 16, \"depformer_num_layers\": 4,"
                   "\"depformer_dim_feedforward\": 3072, \"depformer_low_rank_embeddings\": 128,"
                   "\"depformer_weights_per_step_schedule\": "
                   "[0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8, 8, 8, 8],"
                   "\"delays\": [0, 0," REST_OF_16(2) ", 0," REST_OF_16(2) "]}" },
    { "mimi", "{\"model_type\": \"mimi\"}" },
};

const char *model_shape_name(int i)
{
    return i < (int)(sizeof shapes / sizeof *shapes) ? shapes[i].name : NULL;
}

static const char *find_config(const char *name)
{
    for (int i = 0; model_shape_name(i); i++)
        if (strcmp(shapes[i].name, name) == 0)
            return shapes[i].config;
    return NULL;
}

json_t *model_shape_config(const char *name)
{
    const char *config = find_config(name);

    must(config);
    return json_loads(config, 0, NULL);
}

static enum err open_shape(struct model_files **out, const char *name)
{
    struct model_files *f = mem_zalloc(sizeof *f);

    if (!f)
        return ERR_NOMEM;
    f->config = model_shape_config(name);
    if (!f->config) {
        model_files_close(&f);
        return ERR_NOMEM;
    }
    f->is_codec_only = json_object_get(f->config, "model_type") != NULL;
    snprintf(f->dir, sizeof f->dir, "%s", name);
    snprintf(f->config_path, sizeof f->config_path, "%s", name);
    snprintf(f->lm_path, sizeof f->lm_path, "%s", f->is_codec_only ? "" : name);
    snprintf(f->codec_path, sizeof f->codec_path, "%s", name);
    snprintf(f->model_type, sizeof f->model_type, "%s", f->is_codec_only ? "mimi" : "moshi");
    *out = f;
    return OK;
}

enum err model_shape_open(struct model_files **out, const char *name)
{
    enum err err = find_config(name) ? open_shape(out, name) : model_files_open(out, name);

    if (!err)
        (*out)->is_noise = true;
    return err;
}
