/* SPDX-License-Identifier: MIT */
/* seanet: the convolutional ends of the codec: sound to latent steps and back.
 *
 * docs/models/mimi.md, "SEANet". Rows are time steps, channels last.
 */
#ifndef MODEL_NN_SEANET_H
#define MODEL_NN_SEANET_H

#include "model/nn/conv_layer.h"

#define SEANET_MAX_RATIO 12
#define SEANET_MAX_BLOCK 16 /* residual blocks a stage */

struct seanet_shape {
    int           d_latent, n_filter;
    int           n_ratio, ratio[SEANET_MAX_RATIO]; /* in the decoder's order */
    int           n_block;                          /* residual blocks a stage */
    int           compress, dilation_base;
    int           kernel, residual_kernel, last_kernel;
    bool          has_skip_conv; /* true_skip false */
    enum act      act;
    float         gain_above, gain_below; /* what act gives above and below 0 is times these */
    enum conv_pad pad;
    int           hop; /* samples a latent step: the product of the ratios */
};

struct seanet_block {
    struct conv_layer narrow, wide, skip;
};

struct seanet_stage {
    struct conv_layer   resample;
    struct seanet_block block[SEANET_MAX_BLOCK];
};

struct seanet {
    struct seanet_shape  shape;
    struct conv_layer    first, last;
    struct seanet_stage *stage; /* [n_ratio], in the order of computing */
};

/* Takes the weights of the encoder or the decoder: PREFIX.0 ..., "PREFIX.%d.conv.conv" in the
 * codec's own naming, "PREFIX.%d.conv" in that of transformers. Failures are held by the source's
 * w. */
void     seanet_load_encoder(struct seanet *net, const struct source *from,
                             const struct seanet_shape *shape);
void     seanet_load_decoder(struct seanet *net, const struct source *from,
                             const struct seanet_shape *shape);
enum err seanet_open(struct seanet *net, int n_lane) MUST_CHECK;
void     seanet_close(struct seanet *net); /* zeroed is fine */
void     seanet_reset(struct seanet *net, int lane);

/* [n_lane * T, 1] to [n_lane * T / hop, d_latent], and back. */
struct tensor *seanet_encode(struct be *be, struct seanet *net, struct tensor *pcm);
struct tensor *seanet_decode(struct be *be, struct seanet *net, struct tensor *latent);

#endif
