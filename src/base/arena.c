/* SPDX-License-Identifier: MIT */
/* Arenas; their contract is in mem.h. */
#include "base/mem.h"

#include <stdint.h>
#include <string.h>

#define ARENA_ALIGN 64

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
