/* SPDX-License-Identifier: MIT */
/* hf_cache: what the package huggingface_hub has downloaded. Looks at folders only. */
#ifndef BASE_HF_CACHE_H
#define BASE_HF_CACHE_H

#include <stdbool.h>
#include <stddef.h>

/* The folder of owner/name at the revision main, in the first of HF_HUB_CACHE,
 * HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub and ~/.cache/huggingface/hub
 * whose variable is set. False: it is not there, or the name is no such pair. */
bool hf_cache_find(char *out, size_t cap, const char *name);

#endif
