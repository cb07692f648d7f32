/* SPDX-License-Identifier: MIT */
/* be_ahead: what a thread asks memory for while it waits for the others.
 *
 * A frame runs the same jobs in the same order as the one before. So whoever has finished a job
 * knows where it will begin in the next one and has the first of it brought into its cache; a wrong
 * guess costs nothing but that. Results do not depend on it. Only the posting thread calls
 * be_ahead_next().
 */
#ifndef BACKEND_BE_AHEAD_H
#define BACKEND_BE_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first that thread i of a job reads: n_stream runs of `size` bytes, `apart` bytes from each
 * other, from p + i * each on. size is 0 where nothing is known. */
struct ahead {
    const void    *job; /* the same address in every frame */
    const uint8_t *p;
    size_t         each, apart, size;
    int            n_stream;
};

#define AHEAD_SIZE ((size_t)256 << 10) /* of a thread, all streams: half of a small L2 */
#define AHEAD_ROWS 2048                /* twice the jobs that are known at a time */

struct be_ahead_row {
    const void  *job; /* or NULL */
    struct ahead next;
};

/* Zeroed to begin with. */
struct be_ahead {
    struct be_ahead_row *last; /* or NULL */
    int                  n_job;
    struct be_ahead_row  row[AHEAD_ROWS];
};

/* The job that `own` is about is going to run: what came after it the last time. */
struct ahead be_ahead_next(struct be_ahead *a, const struct ahead *own);

/* Asks for a line of each stream of thread i and counts *at on; false: there are no more. */
static inline bool be_ahead_ask(const struct ahead *a, int i, size_t *at)
{
    if (*at >= a->size)
        return false;
    const uint8_t *p = a->p + (size_t)i * a->each + *at;
    for (int s = 0; s < a->n_stream; s++, p += a->apart)
        __builtin_prefetch(p, 0, 2);
    *at += 64;
    return true;
}

#endif
