/* SPDX-License-Identifier: MIT */
/* ring: a queue of fixed-size items between exactly two threads.
 *
 * One thread pushes, one pops; neither waits, locks or allocates. A full ring takes what
 * fits and says how much: the pusher decides what a short count means, and counts it.
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <stddef.h>

#include "base/err.h"

struct ring;

/* Room for n_cap items (rounded up to a power of two). The caller owns *out; untouched on
 * failure. */
enum err ring_open(struct ring **out, size_t n_cap, size_t item_size) MUST_CHECK;
void     ring_close(struct ring **r);                          /* both threads stopped */
size_t   ring_push(struct ring *r, const void *src, size_t n); /* pusher only */
size_t   ring_pop(struct ring *r, void *dst, size_t n);        /* popper only */
size_t   ring_count(const struct ring *r);                     /* either; a moment's truth */
void     ring_clear(struct ring *r);                           /* both threads stopped or agreed */

#endif
