/* SPDX-License-Identifier: MIT */
/* mem: the only door to the heap, and arenas for memory that lives and dies together.
 *
 * Three lifetimes have an arena each: model, talk, tick. Inside a tick the engine allocates
 * nothing: mem_forbid() makes an attempt fatal in tests (and counted otherwise).
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

void *mem_alloc(size_t size) MUST_CHECK;            /* not zeroed; NULL when out of memory */
void *mem_zalloc(size_t size) MUST_CHECK;           /* zeroed */
void *mem_realloc(void *p, size_t size) MUST_CHECK; /* NULL: p is untouched */
char *mem_strdup(const char *s) MUST_CHECK;
void  mem_free(void *p); /* NULL is fine */

/* n * size; SIZE_MAX when that overflows, which no allocation survives. */
size_t mem_size(size_t n, size_t size);

/* This thread may not allocate between forbid(true) and forbid(false). Counted always; fatal when
 * PARLEY_MEM_STRICT=1 is in the environment, as in every test. Any thread. */
void   mem_forbid(bool on);
size_t mem_forbidden_count(void);

/* Fault injection for `make check-oom`: the n-th allocation from now on fails, and all after it;
 * n < 0 switches it off. */
void   mem_fail_after(long n);
size_t mem_live_count(void); /* allocations not freed yet, for leak checks */

/* An arena hands out 64-byte aligned zeroed pieces until it is closed; it grows in blocks. */
struct arena;

enum err arena_open(struct arena **out, size_t block_size) MUST_CHECK;
void     arena_close(struct arena **a);
void    *arena_take(struct arena *a, size_t size) MUST_CHECK; /* NULL when out of memory */
size_t   arena_used(const struct arena *a);
/* Gives everything taken since the arena was opened or last reset back; keeps the blocks. */
void arena_reset(struct arena *a);

#endif
