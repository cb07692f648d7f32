/* SPDX-License-Identifier: MIT */
#include "backend/be_arena.h"

#include <stdint.h>

#include "base/mem.h"
#include "base/os.h"

#define ALIGN     64
#define BLOCK_MIN (256 * 1024)

struct be_arena_block {
    struct be_arena_block *older;
    char                  *p;
    size_t                 size, used;
};

static size_t round_up(size_t n)
{
    return n > SIZE_MAX - ALIGN ? SIZE_MAX : (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static struct be_arena_block *new_block(size_t size)
{
    size_t head = round_up(sizeof(struct be_arena_block));
    size = size < BLOCK_MIN ? BLOCK_MIN : size;
    if (size > PTRDIFF_MAX - head - ALIGN)
        return NULL;
    struct be_arena_block *b = mem_alloc(head + size + ALIGN);
    if (!b)
        return NULL;
    b->older = NULL;
    b->p = (char *)b + head + (ALIGN - (uintptr_t)b % ALIGN) % ALIGN;
    b->size = size;
    b->used = 0;
    return b;
}

static void free_blocks(struct be_arena_block **b)
{
    while (*b) {
        struct be_arena_block *older = (*b)->older;
        mem_free(*b);
        *b = older;
    }
}

void be_arena_fini(struct be_arena *a)
{
    free_blocks(&a->block);
    free_blocks(&a->next);
}

static void note_most(struct be_arena *a)
{
    size_t used = 0;
    for (const struct be_arena_block *b = a->block; b; b = b->older)
        used += b->used;
    a->most = used > a->most ? used : a->most;
}

void *be_arena_take(struct be_arena *a, size_t size)
{
    size = round_up(size ? size : 1);
    if (!a->block || size > a->block->size - a->block->used) {
        /* At least doubling keeps the number of blocks of the first step small. */
        size_t                 last = a->block ? a->block->size : 0;
        struct be_arena_block *b = new_block(size > 2 * last ? size : 2 * last);
        if (!b)
            return NULL;
        b->older = a->block;
        a->block = b;
    }
    void *p = a->block->p + a->block->used;
    a->block->used += size;
    note_most(a);
    return p;
}

struct be_arena_mark be_arena_mark(const struct be_arena *a)
{
    return (struct be_arena_mark){ a->block, a->block ? a->block->used : 0 };
}

/* Blocks that came since stay, and are empty: they are there for what follows. */
void be_arena_back(struct be_arena *a, struct be_arena_mark m)
{
    struct be_arena_block *b = a->block;
    for (; b && b != m.block; b = b->older)
        b->used = 0;
    if (b)
        b->used = m.used;
}

void be_arena_settle(struct be_arena *a)
{
    if (!a->block || !a->block->older)
        return;
    free_blocks(&a->next);
    a->next = new_block(a->most); /* without one we go on with several */
    if (a->next)
        os_touch(a->next->p, a->most);
}

void be_arena_reset(struct be_arena *a)
{
    if (a->next) {
        free_blocks(&a->block);
        a->block = a->next;
        a->next = NULL;
    }
    if (a->block && a->block->older)
        free_blocks(&a->block->older);
    if (a->block)
        a->block->used = 0;
    a->most = 0;
}
