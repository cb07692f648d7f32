/* SPDX-License-Identifier: MIT */
/* mimi_config_hf: the codec's config as the transformers library writes it into config.json. */
#ifndef MODEL_MIMI_CONFIG_HF_H
#define MODEL_MIMI_CONFIG_HF_H

#include <stdbool.h>

#include "base/json.h"

/* Does config.json describe the codec itself, and not only name its files? */
bool mimi_config_hf_is(const json_t *config);
/* The same facts under the names of mimi_config.json. The caller owns *out. ERR_FORMAT: something
 * that the codec has no other name for differs from the published one. */
enum err mimi_config_hf_translate(json_t **out, const json_t *config, const char *path) MUST_CHECK;

#endif
