/* SPDX-License-Identifier: MIT */
/* mimi_whole: a whole recording through the codec, frame by frame, on lane 0. */
#ifndef MODEL_MIMI_WHOLE_H
#define MODEL_MIMI_WHOLE_H

#include "model/mimi.h"

/* What came of frame i of n_frame, borrowed until the call returns; an error ends the run. */
typedef enum err (*mimi_whole_codes_fn)(void *arg, int64_t i, int64_t n_frame, const int32_t *codes,
                                        const float *latent);
typedef enum err (*mimi_whole_pcm_fn)(void *arg, int64_t i, int64_t n_frame, const float *pcm);

/* pcm: n_smp floats, not necessarily aligned; zeros fill the last frame. */
enum err mimi_whole_encode(struct mimi *m, const void *pcm, int64_t n_smp, mimi_whole_codes_fn fn,
                           void *arg) MUST_CHECK;
/* codes: i32 [n_q, n_frame], not necessarily aligned. */
enum err mimi_whole_decode(struct mimi *m, const void *codes, int64_t n_q, int64_t n_frame,
                           mimi_whole_pcm_fn fn, void *arg) MUST_CHECK;

#endif
