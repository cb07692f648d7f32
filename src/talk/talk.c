/* SPDX-License-Identifier: MIT */
#include "talk/talk.h"

#include <string.h>

#include "base/os.h"
#include "talk/lane.h"

enum err talk_open(struct talk **out, struct engine *e, const struct talk_options *o)
{
    enum err err = engine_take_lane(out, e, o);
    if (!err)
        engine_wake(e);
    return err;
}

void talk_close(struct talk **tp)
{
    struct talk *t = *tp;
    if (!t)
        return;
    atomic_store_explicit(&t->state, LANE_CLOSING, memory_order_release);
    engine_wake(t->engine);
    *tp = NULL;
}

int talk_lane(const struct talk *t)
{
    return t->lane;
}

bool talk_push(struct talk *t, const float *frame)
{
    return talk_push_late(t, frame, os_now_ns());
}

bool talk_push_late(struct talk *t, const float *frame, int64_t came_ns)
{
    if (ring_count(t->mic) >= t->n_frame_cap)
        return false;
    t->outbox->came_ns = came_ns;
    t->outbox->at_ns = os_now_ns();
    memcpy(t->outbox->pcm, frame, (size_t)t->frame_size * sizeof *frame);
    must(ring_push(t->mic, t->outbox, 1) == 1);
    engine_wake(t->engine);
    return true;
}

void talk_note_ahead(struct talk *t, int n)
{
    atomic_store(&t->n_ahead, n);
}

bool talk_force_text(struct talk *t, int32_t token)
{
    return ring_push(t->forced, &token, 1) == 1;
}

/* The engine waits for room in both rings: it is told when there is some again. */
bool talk_pop_event(struct talk *t, struct talk_event *out)
{
    if (ring_pop(t->events, out, 1) == 0)
        return false;
    engine_wake(t->engine);
    return true;
}

bool talk_pop_sound(struct talk *t, float *frame)
{
    if (ring_pop(t->speaker, frame, 1) == 0)
        return false;
    engine_wake(t->engine);
    return true;
}

enum err talk_status(const struct talk *t)
{
    return (enum err)atomic_load(&t->err);
}

void talk_figures(const struct talk *t, struct talk_figures *out)
{
    *out = (struct talk_figures){
        .step_p50_ns = atomic_load(&t->step_p50_ns),
        .lag_ns = atomic_load(&t->lag_ns),
        .n_waiting = (int)ring_count(t->mic) + atomic_load(&t->n_ahead),
    };
}
