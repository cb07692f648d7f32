/* SPDX-License-Identifier: MIT */
/* engine: the thread that computes, and the talks that hold its lanes.
 *
 * The engine owns the model. A talk is a lane of its batch: every tick steps all lanes that have a frame
 * ready in one pass. The other side (a room of the server on the io thread) only touches the talk's
 * rings. The model loads on a thread of its own; until it is ready, or when it is broken, talks are
 * refused with the reason and everything else goes on.
 *
 * | queue   | pusher -> popper | item        | room   | when full |
 * | mic     | io -> engine     | codec frame | 480 ms | the pusher keeps it and reads less |
 * | speaker | engine -> io     | codec frame | 640 ms | the lane waits; 2 s of it ends the talk |
 * | events  | engine -> io     | word        | 256    | the lane waits with it |
 * | forced  | io -> engine     | text token  | 256    | ERR_AGAIN |
 */
#ifndef TALK_ENGINE_H
#define TALK_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "talk/duplex.h"

struct engine;
struct talk;

enum engine_state { ENGINE_LOADING, ENGINE_READY, ENGINE_DEGRADED, ENGINE_DRAINING };

struct engine_info {
    enum engine_state state;
    char   reason[ERR_TEXT_CAP]; /* why no talk could start now; "" when one could */
    bool   is_full;
    int    n_talk, n_lane;
    /* valid when the model is loaded */
    int    rate_hz, frame_size, n_q, dep_q, max_delay;
    double frame_rate_hz;
    char   model[128];      /* the folder's last name */
    struct lm_gen_options defaults;
};

/* Starts the engine thread, which loads the model first. is_exact etc. as in o->be. */
enum err engine_open(struct engine **out, const struct duplex_options *o) MUST_CHECK;
void     engine_close(struct engine **e);                  /* every talk closed before */
void     engine_info(struct engine *e, struct engine_info *out); /* any thread, never waits long */
void     engine_drain(struct engine *e);                   /* no new talks from now on */

struct talk_options {
    struct lm_gen_options gen;
    void (*wake)(void *arg); /* called on the engine thread when something was pushed; must not block */
    void  *wake_arg;
};

/* Takes a lane. Not ready: ERR_AGAIN (loading, draining), ERR_FORMAT (degraded); full: ERR_LIMIT; the
 * sentence says why. The following are called by one thread, the one that opened it. */
enum err talk_open(struct talk **out, struct engine *e, const struct talk_options *o) MUST_CHECK;
void     talk_close(struct talk **t); /* never waits; the lane is free within a tick */

/* The frame of frame_size samples is copied. false: no room, keep it and come back on wake. */
bool talk_push(struct talk *t, const float *frame);
bool talk_force_text(struct talk *t, int32_t token);

struct talk_event {
    int64_t frame;      /* number of the step, from 0 */
    int32_t token;      /* text token sampled in that step */
    char    text[64];   /* what it adds to the words; "" for padding; UTF-8, ended with 0 */
    int64_t lag_ns;     /* from the mic frame in the ring to this event */
    bool    has_sound;  /* a frame in the speaker ring belongs to this step */
};
bool talk_pop_event(struct talk *t, struct talk_event *out);
bool talk_pop_sound(struct talk *t, float *frame);

/* Not OK once the engine has ended the talk (model failure, nobody took its sound). */
enum err talk_status(const struct talk *t);
struct talk_figures {
    int64_t n_in, n_out;      /* frames */
    int64_t step_p50_ns, step_p95_ns, lag_ns;
    int     mic_queue, speaker_queue;
};
void talk_figures(const struct talk *t, struct talk_figures *out);

#endif
