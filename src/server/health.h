/* SPDX-License-Identifier: MIT */
/* health: what the server says of itself: /health, /readyz and /metrics. io thread only. */
#ifndef SERVER_HEALTH_H
#define SERVER_HEALTH_H

#include "server/conn.h"

void health_get(struct conn *c, const struct http_head *h);
void health_get_ready(struct conn *c, const struct http_head *h);
void health_get_metrics(struct conn *c, const struct http_head *h);

#endif
