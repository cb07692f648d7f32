/* SPDX-License-Identifier: MIT */
/* be_arena: memory of one step. Pieces are 64-byte aligned, not zeroed, and live until the next
 * reset, or until the arena goes back to a mark that was set before them.
 *
 * A step that outgrows its block gets more blocks, and settling makes one block of them all for the
 * steps after it: once the largest step has been seen, nothing is allocated.
 */
#ifndef BACKEND_BE_ARENA_H
#define BACKEND_BE_ARENA_H

#include <stddef.h>

#include "base/err.h"

struct be_arena_block;
struct be_arena {
    struct be_arena_block *block; /* the newest first */
    struct be_arena_block *next;  /* one large enough for all, from the next reset on */
    size_t                 most;  /* bytes in use at once since the last reset */
};
struct be_arena_mark {
    struct be_arena_block *block;
    size_t                 used;
};

void  be_arena_fini(struct be_arena *a);
void *be_arena_take(struct be_arena *a, size_t size) MUST_CHECK; /* NULL when out of memory */
struct be_arena_mark be_arena_mark(const struct be_arena *a);
void                 be_arena_back(struct be_arena *a, struct be_arena_mark m);
void                 be_arena_settle(struct be_arena *a); /* pieces stay valid */
void                 be_arena_reset(struct be_arena *a);

#endif
