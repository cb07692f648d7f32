/* SPDX-License-Identifier: MIT */
#include "backend/be_ahead.h"

#include <string.h>

/* The row of a job: its own, or a free one. There always is one. */
static struct be_ahead_row *row_of(struct be_ahead *a, const void *job)
{
    uint64_t h = (uint64_t)(uintptr_t)job * 0x9e3779b97f4a7c15u >> 40;
    size_t   i = h % AHEAD_ROWS;
    while (a->row[i].job && a->row[i].job != job)
        i = (i + 1) % AHEAD_ROWS;
    return &a->row[i];
}

struct ahead be_ahead_next(struct be_ahead *a, const struct ahead *own)
{
    if (a->last)
        a->last->next = *own;
    if (a->n_job > AHEAD_ROWS / 2) { /* of models that are gone, most likely */
        memset(a->row, 0, sizeof a->row);
        a->n_job = 0;
    }
    a->last = row_of(a, own->job);
    a->n_job += !a->last->job;
    a->last->job = own->job;
    return a->last->next;
}
