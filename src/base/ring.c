/* SPDX-License-Identifier: MIT */
#include "base/ring.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#define LINE 64 /* bytes of a cache line: pusher and popper write to different ones */

/* head and tail count items since open and wrap with size_t; their difference is the count. */
struct ring {
    size_t         n_cap; /* a power of two */
    size_t         item_size;
    uint8_t       *items;
    char           pad0[LINE];
    _Atomic size_t tail; /* written by the pusher */
    char           pad1[LINE];
    _Atomic size_t head; /* written by the popper */
    char           pad2[LINE];
};

enum err ring_open(struct ring **out, size_t n_cap, size_t item_size)
{
    size_t n = 1;
    while (n < n_cap && n <= SIZE_MAX / 4)
        n *= 2;
    struct ring *r = mem_zalloc(sizeof *r);
    if (!r)
        return ERR_NOMEM;
    r->n_cap = n;
    r->item_size = item_size;
    r->items = mem_zalloc(n < n_cap ? SIZE_MAX : mem_size(n, item_size));
    if (!r->items) {
        ring_close(&r);
        return ERR_NOMEM;
    }
    *out = r;
    return OK;
}

void ring_close(struct ring **r)
{
    if (!*r)
        return;
    mem_free((*r)->items);
    mem_free(*r);
    *r = NULL;
}

size_t ring_push(struct ring *r, const void *src, size_t n)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    size_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    size_t n_room = r->n_cap - (tail - head);
    if (n > n_room)
        n = n_room;
    size_t at = tail & (r->n_cap - 1);
    size_t n_first = n < r->n_cap - at ? n : r->n_cap - at;
    memcpy(r->items + at * r->item_size, src, n_first * r->item_size);
    memcpy(r->items, (const uint8_t *)src + n_first * r->item_size, (n - n_first) * r->item_size);
    atomic_store_explicit(&r->tail, tail + n, memory_order_release);
    return n;
}

size_t ring_pop(struct ring *r, void *dst, size_t n)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    if (n > tail - head)
        n = tail - head;
    size_t at = head & (r->n_cap - 1);
    size_t n_first = n < r->n_cap - at ? n : r->n_cap - at;
    memcpy(dst, r->items + at * r->item_size, n_first * r->item_size);
    memcpy((uint8_t *)dst + n_first * r->item_size, r->items, (n - n_first) * r->item_size);
    atomic_store_explicit(&r->head, head + n, memory_order_release);
    return n;
}

size_t ring_count(const struct ring *r)
{
    /* head first: a third thread that reads tail first could see head overtake it. */
    size_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    size_t n = tail - head;
    return n < r->n_cap ? n : r->n_cap;
}

void ring_clear(struct ring *r)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    atomic_store_explicit(&r->head, tail, memory_order_release);
}
