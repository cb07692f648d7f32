/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_ALIGN 64

static atomic_long   fail_in = -1; /* allocations that still succeed; < 0: no fault is injected */
static atomic_size_t n_live;
static atomic_size_t n_forbidden;

static _Thread_local bool is_forbidden;

static bool is_strict(void)
{
    const char *s = getenv("PARLEY_MEM_STRICT");
    return s && strcmp(s, "1") == 0;
}

/* Whether an allocation may go on: counts forbidden ones, injects faults. Sizes above PTRDIFF_MAX
 * (what mem_size() gives for an overflow) are refused here: sanitizers abort on them. */
static bool may_allocate(size_t size)
{
    if (size > PTRDIFF_MAX)
        return false;
    if (is_forbidden) {
        atomic_fetch_add_explicit(&n_forbidden, 1, memory_order_relaxed);
        if (is_strict())
            err_must_failed("no allocation inside a tick", "mem_forbid", 0);
    }
    long left = atomic_load_explicit(&fail_in, memory_order_relaxed);
    while (left >= 0) {
        if (left == 0)
            return false;
        if (atomic_compare_exchange_weak(&fail_in, &left, left - 1))
            return true;
    }
    return true;
}

static void *count_live(void *p)
{
    if (p)
        atomic_fetch_add_explicit(&n_live, 1, memory_order_relaxed);
    return p;
}

void *mem_alloc(size_t size)
{
    return may_allocate(size) ? count_live(malloc(size ? size : 1)) : NULL;
}

void *mem_zalloc(size_t size)
{
    return may_allocate(size) ? count_live(calloc(1, size ? size : 1)) : NULL;
}

void *mem_realloc(void *p, size_t size)
{
    if (!may_allocate(size))
        return NULL;
    void *q = realloc(p, size ? size : 1);
    return p ? q : count_live(q);
}

char *mem_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char  *p = mem_alloc(size);
    return p ? memcpy(p, s, size) : NULL;
}

void mem_free(void *p)
{
    if (!p)
        return;
    atomic_fetch_sub_explicit(&n_live, 1, memory_order_relaxed);
    free(p);
}

size_t mem_size(size_t n, size_t size)
{
    return size && n > SIZE_MAX / size ? SIZE_MAX : n * size;
}

void mem_forbid(bool on)
{
    is_forbidden = on;
}

size_t mem_forbidden_count(void)
{
    return atomic_load_explicit(&n_forbidden, memory_order_relaxed);
}

void mem_fail_after(long n)
{
    atomic_store(&fail_in, n < 0 ? -1 : n);
}

size_t mem_live_count(void)
{
    return atomic_load_explicit(&n_live, memory_order_relaxed);
}

struct block {
    struct block *next;
    size_t        room;
    size_t        used;
    size_t        touched; /* bytes that were handed out once and are no longer zero */
    uint8_t      *p;       /* aligned, inside this allocation */
};

struct arena {
    size_t        block_size;
    struct block *first;
    struct block *now; /* blocks before it are full enough; NULL: none yet */
};

static size_t round_up(size_t size)
{
    size_t more = (ARENA_ALIGN - size % ARENA_ALIGN) % ARENA_ALIGN;
    return size > SIZE_MAX - more ? SIZE_MAX : size + more;
}

static struct block *block_open(size_t room)
{
    size_t extra = sizeof(struct block) + ARENA_ALIGN;
    if (room > SIZE_MAX - extra)
        return NULL;
    struct block *b = mem_zalloc(room + extra);
    if (!b)
        return NULL;
    uintptr_t at = (uintptr_t)(b + 1);
    b->p = (uint8_t *)(b + 1) + (ARENA_ALIGN - at % ARENA_ALIGN) % ARENA_ALIGN;
    b->room = room;
    return b;
}

static void *block_take(struct block *b, size_t size)
{
    if (size > b->room - b->used)
        return NULL;
    uint8_t *p = b->p + b->used;
    size_t   end = b->used + size;
    if (b->used < b->touched)
        memset(p, 0, (end < b->touched ? end : b->touched) - b->used);
    b->used = end;
    if (b->touched < end)
        b->touched = end;
    return p;
}

enum err arena_open(struct arena **out, size_t block_size)
{
    struct arena *a = mem_zalloc(sizeof *a);
    if (!a)
        return ERR_NOMEM;
    a->block_size = round_up(block_size ? block_size : ARENA_ALIGN);
    *out = a;
    return OK;
}

void arena_close(struct arena **a)
{
    if (!*a)
        return;
    for (struct block *b = (*a)->first, *next; b; b = next) {
        next = b->next;
        mem_free(b);
    }
    mem_free(*a);
    *a = NULL;
}

void *arena_take(struct arena *a, size_t size)
{
    size = round_up(size ? size : 1);
    for (; a->now; a->now = a->now->next) {
        void *p = block_take(a->now, size);
        if (p)
            return p;
        if (!a->now->next)
            break;
    }
    struct block *b = block_open(size > a->block_size ? size : a->block_size);
    if (!b)
        return NULL;
    if (a->now)
        a->now->next = b;
    else
        a->first = b;
    a->now = b;
    return block_take(b, size);
}

size_t arena_used(const struct arena *a)
{
    size_t n = 0;
    for (const struct block *b = a->first; b; b = b->next)
        n += b->used;
    return n;
}

void arena_reset(struct arena *a)
{
    for (struct block *b = a->first; b; b = b->next)
        b->used = 0;
    a->now = a->first;
}
