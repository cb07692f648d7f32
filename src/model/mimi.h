/* SPDX-License-Identifier: MIT */
/* mimi: Kyutai's neural codec: 24 kHz sound to and from n_q codes a frame (docs/models/mimi.md).
 *
 * Streaming is the only way of computing: a step takes one frame of each active lane. Offline is
 * the same loop. Encoder and decoder have states of their own. Engine thread only.
 */
#ifndef MODEL_MIMI_H
#define MODEL_MIMI_H

#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"

struct mimi;

struct mimi_info {
    int    rate_hz;
    double frame_rate_hz;
    int    frame_size;     /* samples a frame */
    int    n_codebook;     /* codes a frame: see mimi_open() */
    int    n_codebook_max; /* in the file */
    int    n_bin;          /* codes are 0 .. n_bin-1 */
    int    d_latent;
};

enum mimi_parts { MIMI_ENCODER = 1, MIMI_DECODER = 2, MIMI_BOTH = 3 };

/* Codes a frame: max(dep_q, n_q - dep_q) of the folder's LM config, all for a codec-only folder.
 * Weights of a part that is not asked for are checked (names, shapes) but not prepared. */
enum err mimi_open(struct mimi **out, const struct model_files *f, const struct model_options *o,
                   enum mimi_parts parts) MUST_CHECK;
/* What mimi_open() would refuse but for the numbers, at once and in little memory: for who opens a
 * large model beside it. */
enum err                mimi_check(struct mimi_info *out, const struct model_files *f,
                                   const struct model_options *o) MUST_CHECK;
void                    mimi_close(struct mimi **m);
const struct mimi_info *mimi_info(const struct mimi *m);

void mimi_reset_encoder(struct mimi *m, int lane);
void mimi_reset_decoder(struct mimi *m, int lane);
/* Between steps: the memory of the lane's next frames is there, so that no step waits for pages. */
void mimi_warm(struct mimi *m, int lane);

/* pcm[a]: frame_size samples of lane s->lane[a]; codes[a]: n_codebook codes out; latent[a]:
 * d_latent floats before the quantizer out (latent may be NULL). */
enum err mimi_encode_step(struct mimi *m, const struct step *s, const float *const *pcm,
                          int32_t *const *codes, float *const *latent) MUST_CHECK;
/* codes[a]: n_q codes in (1 <= n_q <= n_codebook_max, each in 0 .. n_bin-1, else ERR_USAGE and
 * nothing moves); pcm[a]: frame_size samples out, not clipped. */
enum err mimi_decode_step(struct mimi *m, const struct step *s, const int32_t *const *codes,
                          int n_q, float *const *pcm) MUST_CHECK;

#endif
