/* SPDX-License-Identifier: MIT */
/* routes: which path is answered by what. */
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

#include "server/conn.h"
#include "server/room.h"

struct route {
    const char *path;
    bool        wants_key;
    void (*get)(struct conn *c, const struct http_head *h); /* NULL: a room only */
    const struct room *room;                                /* NULL: no upgrade here */
};

/* The route of a path on a listener's port; NULL: 404. */
const struct route *routes_find(struct bytes path, int port, bool is_upgrade);

#endif
