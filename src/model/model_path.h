/* SPDX-License-Identifier: MIT */
/* model_path: names inside a model folder, kept inside it, and names in the Hugging Face cache. */
#ifndef MODEL_MODEL_PATH_H
#define MODEL_MODEL_PATH_H

#include <stddef.h>

#include "base/err.h"

/* dir/name into out, for a name that a file of the folder gave: relative and without "..".
 * Where the file exists, its real path must lie in the real folder, or, when that is a snapshot
 * of the Hugging Face cache (.../models--owner--name/snapshots/REVISION), in that repository's
 * part of the cache. Else ERR_FORMAT with a sentence that begins with what. A file that does
 * not exist is OK here. */
enum err model_path_join(char *out, size_t cap, const char *dir, const char *name, const char *what)
    MUST_CHECK;

/* The same for a name in config.json, which may also be hf://OWNER/NAME/FILE: that file of the
 * Hugging Face cache, revision main, kept inside its repository's part as above. Nothing is
 * downloaded. Where the cache does not have it, out is no path: who opens it says ERR_MISSING with
 * the name. */
enum err model_path_find(char *out, size_t cap, const char *dir, const char *name, const char *what)
    MUST_CHECK;

#endif
