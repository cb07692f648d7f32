/* SPDX-License-Identifier: MIT */
/* playout: how much sound waits before the loudspeaker, decided block by block. Private to device/.
 *
 * Sound that comes late is played late, so every stall leaves a block more in the queue than
 * before, and with it lag that nobody needs. The queue therefore starts with one block to spare and
 * gives blocks back when there always was one to spare: in a pause of the speech after 2 s, in the
 * middle of it after 10 s. An underrun soon after such a cut doubles those times: this machine
 * needs the spare.
 */
#ifndef DEVICE_PLAYOUT_H
#define DEVICE_PLAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define PLAYOUT_FIRST_BLOCKS 2 /* wait before the first is played */

struct playout {
    bool    is_playing;  /* the first block has been played */
    bool    is_dry;      /* the last call-back had nothing to play */
    int     n_window;    /* call-backs to look back */
    int     n_seen;      /* of the window */
    int     n_least;     /* the fewest blocks to spare in it */
    int     n_excess;    /* blocks to give back */
    int     n_loud;      /* windows that had an excess and no pause */
    int     n_since_cut; /* call-backs */
    int64_t n_underrun, n_cut;
};

void playout_init(struct playout *p);

/* n_queued blocks are there. false: play silence now; an underrun counts once until sound comes. */
bool playout_can_play(struct playout *p, int n_queued);
/* A block with this peak is about to be played and n_left wait behind it. true: leave it out, play
 * the next. */
bool playout_cuts(struct playout *p, int n_left, float peak);

#endif
