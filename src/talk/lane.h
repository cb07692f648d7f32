/* SPDX-License-Identifier: MIT */
/* lane: a talk's place in the engine, and which thread may touch what. Private to talk/. */
#ifndef TALK_LANE_H
#define TALK_LANE_H

#include <stdatomic.h>

#include "base/mem.h"
#include "base/ring.h"
#include "talk/talk.h"

enum lane_state {
    LANE_FREE,
    LANE_OPENING, /* taken by a caller; the engine has not reset it yet */
    LANE_LIVE,
    LANE_CLOSING, /* left by its caller; the engine has not noticed yet */
};

struct lane_mic {
    int64_t came_ns; /* when the caller had it whole */
    int64_t at_ns;   /* when the caller pushed it */
    float   pcm[];   /* [frame_size] */
};

#define LANE_STEP_TIMES 64

struct talk {
    /* fixed after open */
    struct engine *engine;
    int            lane;
    int            frame_size;
    size_t         mic_size;    /* bytes of a lane_mic */
    size_t         n_frame_cap; /* of mic and of speaker, whose rings may have room for more */
    struct ring   *mic;         /* caller -> engine, lane_mic */
    struct ring   *speaker;     /* engine -> caller, frames */
    struct ring   *events;      /* engine -> caller, talk_event */
    struct ring   *forced;      /* caller -> engine, int32_t */
    /* caller, before LANE_OPENING */
    struct talk_options options;
    /* caller only */
    struct lane_mic *outbox;
    /* engine only */
    struct lane_mic            *pending; /* the frame that is next */
    float                      *sound;   /* [frame_size] */
    bool                        has_pending;
    int64_t                     last_mic_ns;
    int64_t                     blocked_since_ns; /* 0: not blocked */
    int64_t                     n_step;
    struct sentencepiece_stream words;
    int64_t                     step_ns[LANE_STEP_TIMES];
    /* both */
    atomic_int   state;   /* enum lane_state; FREE -> OPENING under the engine's lock */
    atomic_int   err;     /* engine -> caller: why the talk is over */
    atomic_int   n_ahead; /* caller -> engine: whole frames that wait for room in mic */
    atomic_llong step_p50_ns, lag_ns;
};

/* Engine side: what talk_open needs. A free lane that is OPENING now, or why not. */
enum err engine_take_lane(struct talk **out, struct engine *e, const struct talk_options *o)
    MUST_CHECK;
void engine_wake(struct engine *e);

#endif
