/* SPDX-License-Identifier: MIT */
/* audio_whole: is a sound file there to its end? Decoders give what they find and call it whole.
 * Pure. */
#ifndef MEDIA_AUDIO_WHOLE_H
#define MEDIA_AUDIO_WHOLE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define AUDIO_WHOLE_HEAD 1024

struct audio_whole {
    /* Samples that a decoder makes at least of an MP3; -1: no MP3. */
    int64_t n_mp3;
    /* For an MP3 that does not say how long it is: a frame that does, to be read in place of the
     * first n_skip bytes, which are tags. */
    uint8_t head[AUDIO_WHOLE_HEAD];
    size_t  head_len; /* 0: none */
    size_t  n_skip;
};

/* in: the whole file. ERR_FORMAT: it is a WAV without sound, or what a WAV, Ogg or MP3 says of its
 * length goes on beyond its end. */
enum err audio_whole_check(struct audio_whole *w, struct bytes in, const char *path) MUST_CHECK;

#endif
