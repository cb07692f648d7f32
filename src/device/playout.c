/* SPDX-License-Identifier: MIT */
#include "device/playout.h"

#define WINDOW       25    /* call-backs: 2 s of 80 ms */
#define WINDOW_MAX   800   /* about a minute */
#define LOUD_WINDOWS 5     /* this many without a pause: cut anyway */
#define QUIET_PEAK   0.01f /* -40 dBFS */

static void begin_window(struct playout *p)
{
    p->n_seen = 0;
    p->n_least = 1 << 20;
}

void playout_init(struct playout *p)
{
    *p = (struct playout){ .n_window = WINDOW, .n_since_cut = WINDOW_MAX };
    begin_window(p);
}

bool playout_can_play(struct playout *p, int n_queued)
{
    p->n_since_cut += p->n_since_cut < WINDOW_MAX;
    if (n_queued >= (p->is_playing ? 1 : PLAYOUT_FIRST_BLOCKS)) {
        p->is_playing = true;
        p->is_dry = false;
        return true;
    }
    if (p->is_playing && !p->is_dry) {
        p->is_dry = true;
        p->n_underrun++;
        if (p->n_since_cut < p->n_window && p->n_window < WINDOW_MAX)
            p->n_window *= 2;
        p->n_excess = 0;
        begin_window(p);
    }
    return false;
}

bool playout_cuts(struct playout *p, int n_left, float peak)
{
    p->n_least = n_left < p->n_least ? n_left : p->n_least;
    if (++p->n_seen >= p->n_window) {
        p->n_loud = p->n_excess > 0 ? p->n_loud + 1 : 0;
        p->n_excess = p->n_least;
        begin_window(p);
    }
    if (p->n_excess == 0 || n_left == 0 || (peak > QUIET_PEAK && p->n_loud < LOUD_WINDOWS - 1))
        return false;
    p->n_excess--;
    p->n_cut++;
    p->n_since_cut = 0;
    begin_window(p);
    return true;
}
