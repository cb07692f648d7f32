/* SPDX-License-Identifier: MIT */
/* wav_out: a mono WAV file that grows, and appears whole or not at all. One thread.
 *
 * A pipe gets it as it grows, with a head that says 2 GiB: readers go on to its end.
 */
#ifndef MEDIA_WAV_OUT_H
#define MEDIA_WAV_OUT_H

#include <stdint.h>

#include "base/err.h"

enum wav_kind { WAV_S16, WAV_F32 };
struct wav_out;

enum err wav_out_open(struct wav_out **out, const char *path, int rate_hz, enum wav_kind kind)
    MUST_CHECK;
/* S16: clipped to [-1, 1], times 32767, rounded to nearest. F32: as it is. */
enum err wav_out_write(struct wav_out *w, const float *pcm, int64_t n_smp) MUST_CHECK;
enum err wav_out_commit(struct wav_out **w) MUST_CHECK; /* true sizes in the head; closes */
void     wav_out_cancel(struct wav_out **w);            /* leaves no file; closes */

#endif
