/* SPDX-License-Identifier: MIT */
/* resample: streaming sample rate conversion (libsoxr), mono f32. One thread at a time. */
#ifndef MEDIA_RESAMPLE_H
#define MEDIA_RESAMPLE_H

#include <stddef.h>

#include "base/err.h"

struct resample;

enum err resample_open(struct resample **out, int from_hz, int to_hz) MUST_CHECK;
void     resample_close(struct resample **r);
/* Takes samples and gives what is ready, at most out_cap; *n_used says how many were taken, *n_out
 * how many came. Call again with the rest until all are used and *n_out < out_cap. in NULL: the
 * end, asks for the last samples, again until *n_out is 0. */
enum err resample_step(struct resample *r, float *out, size_t *n_out, size_t out_cap,
                       const float *in, size_t n_in, size_t *n_used) MUST_CHECK;

#endif
