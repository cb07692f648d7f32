/* SPDX-License-Identifier: MIT */
/* model_path: names inside a model folder, kept inside it. */
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

#endif
