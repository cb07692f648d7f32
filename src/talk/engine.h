/* SPDX-License-Identifier: MIT */
/* engine: the thread that computes, for all the talks that hold its lanes.
 *
 * The engine owns the model and loads it first; until it is ready, or when it is broken, talks are
 * refused with the reason and everything else goes on. Every tick steps all lanes that have a
 * frame ready in one pass over the weights: when all live lanes are ready, or when the oldest
 * frame is 10 ms old. A lane whose reader is behind waits by itself and holds nobody up.
 */
#ifndef TALK_ENGINE_H
#define TALK_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "talk/duplex.h"

struct engine;

enum engine_state { ENGINE_LOADING, ENGINE_READY, ENGINE_DEGRADED, ENGINE_DRAINING };

struct engine_info {
    enum engine_state state;
    char              reason[ERR_TEXT_CAP]; /* why no talk could start now; "" when one could */
    enum err          err;                  /* of DEGRADED: what loading or stepping failed with */
    int               retry_after_s;        /* when asking again may help; never 0 */
    bool              is_full;
    int               n_talk, n_lane;
    int               least_waiting, most_waiting; /* mic frames of a talk for a step */
    /* valid when the model is loaded */
    int                   rate_hz, frame_size, n_q, max_delay;
    double                frame_rate_hz;
    char                  model[128]; /* the folder's name, or owner/name */
    struct lm_gen_options defaults;
};

/* Starts the engine thread, which loads the model first. is_exact etc. as in o->be. */
enum err engine_open(struct engine **out, const struct duplex_options *o) MUST_CHECK;
void     engine_close(struct engine **e);                        /* every talk closed before */
void     engine_info(struct engine *e, struct engine_info *out); /* any thread, never waits long */
void     engine_drain(struct engine *e);                         /* no new talks from now on */

#endif
