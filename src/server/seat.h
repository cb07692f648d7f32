/* SPDX-License-Identifier: MIT */
/* seat: a room's place at the engine: the lane, samples on their way to it, frames on their way
 * back. io thread only. Every room that talks has one, so that all of them take, feed and leave a
 * lane alike.
 */
#ifndef SERVER_SEAT_H
#define SERVER_SEAT_H

#include "server/conn.h"
#include "talk/talk.h"

struct seat {
    struct conn       *conn;
    struct talk       *talk;
    struct engine_info info;
    float             *frame;   /* [frame_size] from the engine */
    struct buf         mic;     /* samples that are not a frame yet, or found no room */
    size_t             mic_at;  /* bytes of mic that are used up */
    int64_t           *came_ns; /* [n_came_cap], in turns: when the frames in mic were whole */
    int64_t            n_came, n_came_cap; /* frames that were ever whole */
    int64_t            n_in;               /* of them, those that the lane has taken */
};

/* Takes a lane. max_smp: samples that may wait. gen: NULL or the client's own wishes, already over
 * seat_defaults(). */
enum err seat_open(struct seat *s, struct conn *c, size_t max_smp, const struct lm_gen_options *gen)
    MUST_CHECK;
void seat_close(struct seat *s);
/* What a talk of this server uses when its client has no wishes; a seed of its own each time. */
enum err seat_defaults(struct lm_gen_options *out, struct conn *c) MUST_CHECK;

/* Room for n more samples; their owner writes them at the view and then calls seat_wrote. NULL:
 * full. */
float *seat_room(struct seat *s, size_t n);
void   seat_wrote(struct seat *s, size_t n);
/* Pushes whole frames to the lane. false: it has no room now, stop reading; on_wake calls again. */
bool   seat_pump(struct seat *s);
size_t seat_rest(const struct seat *s); /* samples that wait, frames and a beginning of one */
/* Has the engine ended the talk? Then how to close and why. */
bool seat_is_over(const struct seat *s, int *code, const char **why);
/* The next step's event and, when it has_sound, its frame in s->frame. */
bool seat_pop(struct seat *s, struct talk_event *ev);

#endif
