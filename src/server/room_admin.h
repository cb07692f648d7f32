/* SPDX-License-Identifier: MIT */
/* room_admin: /health, /readyz and /metrics. */
#ifndef SERVER_ROOM_ADMIN_H
#define SERVER_ROOM_ADMIN_H

#include "server/conn.h"

struct engine_info;

void room_admin_health(struct conn *c, const struct http_head *h);
void room_admin_readyz(struct conn *c, const struct http_head *h);
void room_admin_metrics(struct conn *c, const struct http_head *h);

/* "loading", "ready", "full", "degraded", "draining" */
const char *room_admin_state_name(const struct engine_info *info);
/* Seconds a refused client should wait. */
int room_admin_retry_after_s(const struct engine_info *info);

#endif
