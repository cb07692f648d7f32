/* SPDX-License-Identifier: MIT */
/* talk: one conversation, seen by the thread that moves its bytes.
 *
 * A talk holds a lane of the engine from open to close. Its rings join the two threads:
 *
 * | queue   | pusher -> popper | item        | room   | when full |
 * | mic     | caller -> engine | codec frame | 640 ms | the caller keeps the frame and reads less |
 * | speaker | engine -> caller | codec frame | 640 ms | the lane waits; 2 s of it ends the talk |
 * | events  | engine -> caller | step        | 256    | the lane waits |
 * | forced  | caller -> engine | text token  | 256    | talk_force_text says false |
 */
#ifndef TALK_TALK_H
#define TALK_TALK_H

#include "talk/engine.h"

struct talk;

struct talk_options {
    struct lm_gen_options gen;
    /* Called on the engine thread when something was pushed; must not block. A tick that is under
     * way may still call it when the talk has been closed: wake_arg outlives the engine. */
    void (*wake)(void *arg);
    void *wake_arg;
};

/* Takes a lane. Not ready: ERR_AGAIN (loading, draining), ERR_FORMAT (degraded); full: ERR_LIMIT;
 * the sentence says why. The following are called by one thread, the one that opened it. */
enum err talk_open(struct talk **out, struct engine *e, const struct talk_options *o) MUST_CHECK;
void     talk_close(struct talk **t); /* never waits; the lane is free within a tick */

int talk_lane(const struct talk *t);

/* The frame of frame_size samples is copied. false: no room, keep it and come back on wake. */
bool talk_push(struct talk *t, const float *frame);
/* The same for a frame that waited at the caller since came_ns, which its lag counts from. */
bool talk_push_late(struct talk *t, const float *frame, int64_t came_ns);
/* So many frames wait at the caller, who tells it for the figures. */
void talk_note_ahead(struct talk *t, int n);
bool talk_force_text(struct talk *t, int32_t token);

struct talk_event {
    int64_t frame;      /* number of the step, from 0 */
    int32_t token;      /* text token sampled in that step */
    char    text[256];  /* what it adds to the words; "" for padding; UTF-8, ended with 0 */
    bool    is_control; /* the text is no word but a sign of the tokenizer's, as "</s>" */
    int64_t lag_ns;     /* from the mic frame's arrival to this event */
    int64_t step_ns;    /* what the tick took */
    bool    has_sound;  /* a frame in the speaker ring belongs to this step */
};
bool talk_pop_event(struct talk *t, struct talk_event *out);
bool talk_pop_sound(struct talk *t, float *frame);

/* Not OK once the engine has ended the talk (model failure, nobody took its sound). */
enum err talk_status(const struct talk *t);
struct talk_figures {
    int64_t step_p50_ns; /* of the last steps */
    int64_t lag_ns;      /* of the last one */
    int     n_waiting;   /* frames that no step has taken: in the ring, and at the caller */
};
void talk_figures(const struct talk *t, struct talk_figures *out);

#endif
