/* SPDX-License-Identifier: MIT */
#include "server/out_queue.h"

#include <string.h>

#include "base/mem.h"
#include "base/metric.h"

struct out_item {
    struct out_item *next;
    enum conn_class class;
    int64_t at_ns;
    size_t  len;
    uint8_t bytes[];
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

static void drop_class(struct out_queue *q, enum conn_class class, int64_t then_ns)
{
    struct out_item *before = q->first;

    while (before && before->next) {
        struct out_item *item = before->next;
        if (item->class != class || item->at_ns >= then_ns) {
            before = item;
            continue;
        }
        before->next = item->next;
        q->last = item == q->last ? before : q->last;
        q->n_byte -= item->len;
        q->n_dropped_partial += class == CONN_PARTIAL;
        q->n_dropped_audio += class == CONN_AUDIO;
        metric_inc(class == CONN_AUDIO ? M_OUT_DROPPED_AUDIO_TOTAL : M_OUT_DROPPED_TEXT_TOTAL);
        mem_free(item);
    }
}

void out_queue_drop_old(struct out_queue *q, int64_t then_ns)
{
    drop_class(q, CONN_PARTIAL, then_ns);
    drop_class(q, CONN_AUDIO, then_ns);
}

enum err out_queue_push(struct out_queue *q, enum conn_class class, struct bytes head,
                        struct bytes body, int64_t now_ns)
{
    size_t len = head.len + body.len;

    if (q->n_byte + len > q->cap)
        out_queue_drop_old(q, now_ns);
    if (q->n_byte + len > q->cap)
        return ERR_LIMIT;
    struct out_item *item = mem_alloc(mem_size(1, sizeof *item + len));
    if (!item)
        return ERR_NOMEM;
    *item = (struct out_item){ .class = class, .at_ns = now_ns, .len = len };
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
