/* SPDX-License-Identifier: MIT */
/* model_shape: published models by their shape alone, for measuring without their files. */
#ifndef MODEL_MODEL_SHAPE_H
#define MODEL_MODEL_SHAPE_H

#include "model/model.h"

/* A model whose config is the shape's and whose weights are noise; it has no tokenizer. Any other
 * name is a folder: its configs, but noise instead of its weights. ERR_MISSING: neither. Close with
 * model_files_close(). */
enum err model_shape_open(struct model_files **out, const char *name) MUST_CHECK;

/* The names, i from 0; NULL past the end. */
const char *model_shape_name(int i);
/* The config.json of the shape with this name, which there must be; json_decref() it. NULL: out of
 * memory. */
json_t *model_shape_config(const char *name);

#endif
