/* SPDX-License-Identifier: MIT */
/* registry: where models are found. Looks at folders only; downloads nothing. */
#ifndef HUB_REGISTRY_H
#define HUB_REGISTRY_H

#include <stddef.h>

#include "base/err.h"

/* The folder of a model by name: a path to a folder as it is; a plain name in PARLEY_MODELS (colons
 * between folders), beside the binary (../models), in PREFIX/share/parley/models; owner/name in the
 * Hugging Face cache (HF_HUB_CACHE, HF_HOME/hub, ~/.cache/huggingface/hub), revision main. Nowhere:
 * ERR_MISSING, the sentence says where it looked. */
enum err registry_find(char *out, size_t cap, const char *name) MUST_CHECK;

#endif
