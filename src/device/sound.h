/* SPDX-License-Identifier: MIT */
/* sound: microphone and loudspeaker of this machine, one full-duplex stream of codec frames.
 *
 * PortAudio is loaded at run time, so that a server without sound starts too. The device's
 * call-back only moves samples between rings; when the device has another rate, resampling happens
 * on the caller's side of the rings.
 */
#ifndef DEVICE_SOUND_H
#define DEVICE_SOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct sound;

struct sound_options {
    int         rate_hz;    /* of the frames */
    int         frame_size; /* samples a frame */
    const char *input;      /* device name or number; NULL: the default */
    const char *output;
};
struct sound_figures {
    int64_t n_played;   /* frames that reached the loudspeaker */
    int64_t n_underrun; /* call-backs that had nothing to play */
    int64_t n_dropped;  /* frames lost because a ring was full */
};

/* No library, no device, no input or no output: ERR_HARDWARE and a sentence that says which. */
enum err sound_open(struct sound **out, const struct sound_options *o) MUST_CHECK;
void     sound_close(struct sound **s);
/* Waits for one whole frame from the microphone, at most until deadline_ns: ERR_AGAIN. */
enum err sound_read(struct sound *s, float *frame, int64_t deadline_ns) MUST_CHECK;
/* Queues one frame for the loudspeaker; never waits. ERR_AGAIN: full, dropped and counted. */
enum err sound_write(struct sound *s, const float *frame) MUST_CHECK;
void     sound_figures(const struct sound *s, struct sound_figures *out);
/* The devices there are, a line each, appended to out as text or as a JSON array. */
struct buf;
enum err sound_list(struct buf *out, bool as_json) MUST_CHECK;

#endif
