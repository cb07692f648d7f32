/* SPDX-License-Identifier: MIT */
/* sampler: one token from logits: greedy, or temperature and top-k (docs/models/moshi.md,
 * "Sampling").
 *
 * A draw is the exponential race of the reference: the largest p_i / e_i wins among the k most
 * likely tokens (their mass is not renormalised, which changes no odds). e_i comes from a hash of
 * (seed, draw, i) alone: the same seed gives the same tokens for any number of lanes and threads,
 * and a rounding difference in one logit, or in who is the k-th, cannot move the others' noise. So
 * another instruction set gives another token only when the two best candidates are within rounding
 * of each other.
 */
#ifndef MODEL_SAMPLER_H
#define MODEL_SAMPLER_H

#include <stdint.h>

/* temp <= 0: the first maximum. top_k <= 0 or >= n: all. room: n floats (none when all). draw:
 * numbers the draws of a seed, each used once. -1 when no logit is a number. */
int32_t sampler_draw(const float *logits, int n, float temp, int top_k, uint64_t seed,
                     uint64_t draw, float *room);

#endif
