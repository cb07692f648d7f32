/* SPDX-License-Identifier: MIT */
/* out_queue: messages that wait for a socket, oldest first, with a cap on their bytes. io thread
 * only.
 *
 * Nothing falls out of it: packets carry numbers, and a hole in them is a fault for who reads. Who
 * pushes asks for room first, or ends the connection.
 */
#ifndef SERVER_OUT_QUEUE_H
#define SERVER_OUT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"

struct out_item;
struct out_queue {
    struct out_item *first, *last;
    size_t           n_byte, cap;
};

void out_queue_init(struct out_queue *q, size_t cap);
void out_queue_fini(struct out_queue *q);
/* Copies head and body as one run. ERR_LIMIT: no room. */
enum err out_queue_push(struct out_queue *q, struct bytes head, struct bytes body) MUST_CHECK;
bool     out_queue_front(const struct out_queue *q, struct bytes *out); /* view until pop */
void     out_queue_pop(struct out_queue *q);

#endif
