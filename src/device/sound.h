/* SPDX-License-Identifier: MIT */
/* sound: microphone and loudspeaker of this machine, one stream of codec frames each.
 *
 * PortAudio is loaded at run time, so that a server without sound starts too. The call-backs, on
 * PortAudio's threads, only move blocks of one frame's length between rings and ring the caller's
 * bell; a device with another rate is resampled on the caller's side of the rings. All calls by one
 * thread.
 *
 * | queue   | pusher -> popper       | item               | room   | when full |
 * | mic     | call-back -> caller    | block and its time | 640 ms | drop newest, count |
 * | speaker | caller -> call-back    | block              | 1.28 s | drop newest, count |
 */
#ifndef DEVICE_SOUND_H
#define DEVICE_SOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct sound;

struct sound_options {
    const char *input; /* device name, a part of it, or number; NULL: the default */
    const char *output;
    void (*wake)(void *arg); /* on a thread of PortAudio: a block came, or the device has ended */
    void *wake_arg;
};
struct sound_figures {
    int64_t n_underrun; /* times the loudspeaker ran dry */
    int64_t n_dropped;  /* blocks lost because a ring was full, times the device itself lost some */
    int64_t n_cut;      /* blocks left out, mostly of pauses, to catch up after a stall */
};

/* Finds both devices. No library, no device, no input or no output: ERR_HARDWARE and a sentence
 * that says which. */
enum err sound_open(struct sound **out, const struct sound_options *o) MUST_CHECK;
/* The device is given half a second to end. False: it hangs, is left behind with its memory, and
 * may still call wake(). */
bool sound_close(struct sound **s);
/* Both directions run from now on, in frames of frame_size samples at rate_hz. Once. */
enum err sound_start(struct sound *s, int rate_hz, int frame_size) MUST_CHECK;

/* One frame from the microphone and when its last sample came. ERR_AGAIN: none is whole yet.
 * ERR_HARDWARE: the device has gone. Never waits. */
enum err sound_read(struct sound *s, float *frame, int64_t *at_ns) MUST_CHECK;
/* Queues one frame for the loudspeaker; never waits. ERR_AGAIN: full, dropped and counted.
 * ERR_HARDWARE: the device has gone. */
enum err sound_write(struct sound *s, const float *frame) MUST_CHECK;
void     sound_figures(const struct sound *s, struct sound_figures *out);

/* The devices there are, a line each, appended to out as text or as a JSON array. */
struct buf;
enum err sound_list(struct buf *out, bool as_json) MUST_CHECK;

#endif
