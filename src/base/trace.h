/* SPDX-License-Identifier: MIT */
/* trace: what each frame did when, as a file for Perfetto or chrome://tracing (Chrome's JSON).
 *
 * Process-wide and off until trace_open(). A track is a row of the picture and belongs to one
 * thread at a time, which neither locks, allocates nor waits: its events go into a ring, and a
 * thread of the trace's own writes them.
 *
 * | queue | pusher -> popper              | item  | room           | when full    |
 * | track | the track's thread -> tracer  | event | 16,384 a track | drop, count  |
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum trace_track {
    TRACE_ENGINE, /* encode, step, depformer, decode; one thread computes */
    TRACE_IO,     /* capture, play: who moves the frames of talks */
    TRACE_CODEC,  /* Opus */
    TRACE_TRACK_COUNT
};

/* The file appears whole at trace_close(). Before the threads that trace start. */
enum err trace_open(const char *path) MUST_CHECK;
/* After they have ended. OK when no trace is open; what went wrong with the file. */
enum err trace_close(void) MUST_CHECK;
void     trace_cancel(void); /* likewise, and there is no file */
bool     trace_is_on(void);  /* any thread */

/* name is a literal: it is kept as a pointer. lanes: a bit for each of the first 64; 0: none. */
void trace_span(enum trace_track track, const char *name, uint64_t lanes, int64_t frame,
                int64_t t0_ns, int64_t t1_ns);
void trace_instant(enum trace_track track, const char *name, uint64_t lanes, int64_t frame);
void trace_count(enum trace_track track, const char *name, int64_t value); /* a graph */

static inline uint64_t trace_lane(int lane)
{
    return lane >= 0 && lane < 64 ? (uint64_t)1 << lane : 0;
}

#endif
