/* SPDX-License-Identifier: MIT */
#include "server/out_queue.h"

#include <string.h>

#include "base/mem.h"

struct out_item {
    struct out_item *next;
    size_t           len;
    uint8_t          bytes[];
};

void out_queue_init(struct out_queue *q, size_t cap)
{
    *q = (struct out_queue){ .cap = cap };
}

void out_queue_fini(struct out_queue *q)
{
    while (q->first)
        out_queue_pop(q);
}

enum err out_queue_push(struct out_queue *q, struct bytes head, struct bytes body)
{
    size_t len = head.len + body.len;

    if (q->n_byte + len > q->cap)
        return ERR_LIMIT;
    struct out_item *item = mem_alloc(mem_size(1, sizeof *item + len));
    if (!item)
        return ERR_NOMEM;
    *item = (struct out_item){ .len = len };
    memcpy(item->bytes, head.p, head.len);
    if (body.len > 0)
        memcpy(item->bytes + head.len, body.p, body.len);
    if (q->last)
        q->last->next = item;
    else
        q->first = item;
    q->last = item;
    q->n_byte += len;
    return OK;
}

bool out_queue_front(const struct out_queue *q, struct bytes *out)
{
    if (!q->first)
        return false;
    *out = bytes_of(q->first->bytes, q->first->len);
    return true;
}

void out_queue_pop(struct out_queue *q)
{
    struct out_item *item = q->first;

    q->first = item->next;
    if (!q->first)
        q->last = NULL;
    q->n_byte -= item->len;
    mem_free(item);
}
