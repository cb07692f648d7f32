/* SPDX-License-Identifier: MIT */
/* audio_file: sound files in (WAV, FLAC, Ogg, MP3 through libsndfile) and WAV out. */
#ifndef MEDIA_AUDIO_FILE_H
#define MEDIA_AUDIO_FILE_H

#include <stdint.h>

#include "base/err.h"

/* The first channel of a whole file as f32, resampled to rate_hz when it differs. The caller owns *pcm
 * (mem_free). Missing: ERR_MISSING; not a sound file, truncated or without samples: ERR_FORMAT;
 * longer than 4 hours: ERR_LIMIT. */
enum err audio_file_read(float **pcm, int64_t *n_smp, const char *path, int rate_hz) MUST_CHECK;

/* A mono WAV written as it grows; sizes in the head are true after every commit and the file appears
 * whole or not at all. */
enum wav_kind { WAV_S16, WAV_F32 };
struct wav_out;
enum err wav_out_open(struct wav_out **out, const char *path, int rate_hz, enum wav_kind kind)
    MUST_CHECK;
/* S16: clipped to [-1, 1], times 32767, rounded to nearest. */
enum err wav_out_write(struct wav_out *w, const float *pcm, int64_t n_smp) MUST_CHECK;
enum err wav_out_commit(struct wav_out **w) MUST_CHECK; /* closes, also on failure */
void     wav_out_cancel(struct wav_out **w);            /* leaves no file */

#endif
