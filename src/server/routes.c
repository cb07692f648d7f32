/* SPDX-License-Identifier: MIT */
/* The routes. To add one: write its room_<x>.c or its page, add its row here. */
#include "server/routes.h"

#include "server/health.h"
#include "server/page.h"

#define PACKET_PORT 8788 /* SolaceLive's clients use any path there */

extern const struct room room_chat, room_packet;

static const struct route routes[] = {
    { "/api/chat", true, NULL, &room_chat },        { "/packet", true, NULL, &room_packet },
    { "/health", false, health_get, NULL },         { "/readyz", false, health_get_ready, NULL },
    { "/metrics", true, health_get_metrics, NULL },
};

static const struct route any_packet = { "*", true, NULL, &room_packet };
static const struct route any_page = { "/*", false, page_get, NULL };

const struct route *routes_find(struct bytes path, int port, bool is_upgrade)
{
    if (is_upgrade && port == PACKET_PORT)
        return &any_packet;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (bytes_equal(path, bytes_str(routes[i].path)))
            return &routes[i];
    return !is_upgrade && page_has(path) ? &any_page : NULL;
}
