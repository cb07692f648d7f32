/* SPDX-License-Identifier: MIT */
/* model: a folder in the Hugging Face layout, and the row that each family of models fills. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>

#include "backend/be.h"
#include "base/err.h"
#include "base/json.h"
#include "model/probe.h"
#include "model/safetensors.h"
#include "model/weights.h"

#define MODEL_PATH_CAP 4096

/* What config.json says about files (docs/models/mimi.md, "Files"). A path is empty when the folder
 * has no such part; a part that is there by name only is told by whoever opens it. is_codec_only:
 * config.json is {model_type: "mimi", mimi_name, mimi_config_name}. */
struct model_files {
    char    dir[MODEL_PATH_CAP];
    json_t *config;       /* config.json; owned */
    json_t *codec_config; /* mimi_config.json; owned; NULL: the published default */
    char    config_path[MODEL_PATH_CAP];
    char    codec_config_path[MODEL_PATH_CAP];
    char    lm_path[MODEL_PATH_CAP];
    char    codec_path[MODEL_PATH_CAP];
    char    tokenizer_path[MODEL_PATH_CAP];
    char    lora_path[MODEL_PATH_CAP];
    char    model_type[32]; /* "moshi", "hibiki", "stt", "tts", "personaplex", "mimi" */
    bool    is_codec_only;
    bool    is_noise; /* no weights are read: noise of the configs' shapes (model_shape.h) */
};

/* dir or config.json missing: ERR_MISSING; broken, or of another type: ERR_FORMAT. Names may be
 * plain or relative; they must stay inside the folder (or the Hugging Face cache that the folder
 * lies in). hf://OWNER/NAME/FILE is a file of that cache. */
enum err model_files_open(struct model_files **out, const char *dir) MUST_CHECK;
void     model_files_close(struct model_files **f);

struct model_options {
    struct be                 *be;
    int                        n_lane;
    enum weights_quant         quant;
    const struct weights_load *load; /* or NULL; outlives the model */
};

/* One row of families.c. A family that claims an input of a probe computes it, if it takes each of
 * its tensors. part: "auto", "lm" or "codec". */
struct family {
    const char *name;
    const char *part; /* as sentences call it */
    bool (*takes)(const char *tensor);
    bool (*claims)(const struct model_files *f, const struct safetensors *in, const char *part);
    enum err (*probe)(const struct model_files *f, struct probe_io *io,
                      const struct model_options *o);
};
extern const struct family *const families[]; /* NULL-ended; families.c */

#endif
