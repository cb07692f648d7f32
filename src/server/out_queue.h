/* SPDX-License-Identifier: MIT */
/* out_queue: messages that wait for a socket, oldest first, with a cap on their bytes. io thread
 * only.
 *
 * Old sound and text partials can be dropped from the middle; the order of the rest stays.
 */
#ifndef SERVER_OUT_QUEUE_H
#define SERVER_OUT_QUEUE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "server/conn.h"

struct out_item;
struct out_queue {
    struct out_item *first, *last;
    size_t           n_byte, cap;
    int              n_dropped_partial, n_dropped_audio;
};

void out_queue_init(struct out_queue *q, size_t cap);
void out_queue_fini(struct out_queue *q);
/* Copies head and body as one run. ERR_LIMIT: no room even after dropping. */
enum err out_queue_push(struct out_queue *q, enum conn_class class, struct bytes head,
                        struct bytes body, int64_t now_ns) MUST_CHECK;
bool     out_queue_front(const struct out_queue *q, struct bytes *out); /* view until pop */
void     out_queue_pop(struct out_queue *q);
/* Drops partials, then sound, that were queued before then_ns; never the front, which may be half
 * out. */
void out_queue_drop_old(struct out_queue *q, int64_t then_ns);

#endif
