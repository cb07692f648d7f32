/* SPDX-License-Identifier: MIT */
/* audio_file: sound files in (WAV, FLAC, Ogg, MP3) through libsndfile. */
#ifndef MEDIA_AUDIO_FILE_H
#define MEDIA_AUDIO_FILE_H

#include <stdint.h>

#include "base/err.h"

/* The first channel of a whole file as f32, resampled to rate_hz when it differs. The caller owns
 * *pcm (mem_free). Missing: ERR_MISSING; not a sound file, truncated or without samples:
 * ERR_FORMAT; longer than 4 hours: ERR_LIMIT. */
enum err audio_file_read(float **pcm, int64_t *n_smp, const char *path, int rate_hz) MUST_CHECK;
/* The same errors as far as the head of the file tells them: for before a model is loaded. */
enum err audio_file_check(const char *path) MUST_CHECK;

#endif
