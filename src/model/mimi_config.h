/* SPDX-License-Identifier: MIT */
/* mimi_config: mimi_config.json, checked, in the codec's own words.
 *
 * The file holds the arguments of the reference's constructors (docs/models/mimi.md, "Files"). A
 * key that is left out has that constructor's default; without a file the published codec's values
 * hold. What the reference can build and stream is accepted; the rest is refused by name.
 */
#ifndef MODEL_MIMI_CONFIG_H
#define MODEL_MIMI_CONFIG_H

#include "model/model.h"
#include "model/nn/rvq.h"
#include "model/nn/seanet.h"
#include "model/nn/transformer.h"

struct mimi_config {
    int                      rate_hz;
    double                   frame_rate_hz;
    int                      frame_size; /* samples */
    int                      stride;     /* latent steps a frame; 1: nothing is resampled */
    struct seanet_shape      seanet;
    struct transformer_shape transformer;
    struct rvq_shape         rvq;
};

/* ERR_FORMAT with a sentence that names the file and the key; ERR_MISSING: config.json names a file
 * that is not there. */
enum err mimi_config_read(struct mimi_config *out, const struct model_files *f) MUST_CHECK;

#endif
