/* SPDX-License-Identifier: MIT */
/* resample: streaming sample rate conversion (libsoxr), mono f32. One thread at a time. */
#ifndef MEDIA_RESAMPLE_H
#define MEDIA_RESAMPLE_H

#include <stddef.h>

#include "base/err.h"

struct resample;

enum err resample_open(struct resample **out, int from_hz, int to_hz) MUST_CHECK;
void     resample_close(struct resample **r);
/* Takes n_in samples (NULL, 0: the end, flushes) and gives at most out_cap; *n_out how many. What does
 * not fit comes with the next call. */
enum err resample_step(struct resample *r, float *out, size_t *n_out, size_t out_cap,
                       const float *in, size_t n_in) MUST_CHECK;

#endif
