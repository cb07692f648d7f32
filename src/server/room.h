/* SPDX-License-Identifier: MIT */
/* room: what speaks one protocol on a WebSocket connection. io thread only.
 *
 * A row of routes.c names the room; the connection owns its state. The room reads whole messages,
 * talks to its lane of the engine, and sends messages; it never sees sockets.
 */
#ifndef SERVER_ROOM_H
#define SERVER_ROOM_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"
#include "server/conn.h"

struct room {
    const char *name;
    size_t      state_size; /* zeroed before open */
    /* Before the upgrade is answered: takes the lane. An error refuses with 503, its sentence
     * being the reason. */
    enum err (*open)(void *state, struct conn *c, struct bytes query);
    /* After 101 was sent. */
    void (*begin)(void *state);
    void (*on_message)(void *state, bool is_binary, struct bytes message);
    /* The engine pushed something, or the socket took something. */
    void (*on_wake)(void *state);
    /* About every 100 ms. */
    void (*on_tick)(void *state, int64_t now_ns);
    /* Gives the lane back; state is freed afterwards. */
    void (*close)(void *state);
};

#endif
