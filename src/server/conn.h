/* SPDX-License-Identifier: MIT */
/* conn: one client connection, from the first byte of HTTP to the last of its WebSocket. io thread
 * only.
 *
 * Bytes come in through conn_on_bytes and go out through conn_take_output; host_lws.c moves them.
 * Requests are answered by routes.c; after an upgrade messages go to the room.
 *
 * Output is a queue of messages, of which none is dropped. Over half of its 1 MiB a room makes no
 * more, so that the lane of a client that reads too slowly waits, and the engine ends its talk when
 * that has lasted 2 s. Answers to what the client says go on; over 1 MiB of them end it too, 1008.
 */
#ifndef SERVER_CONN_H
#define SERVER_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "wire/http.h"

struct conn;
struct room;
struct server_state;

/* What the host does for a connection. */
struct conn_host {
    void *wsi;
    int   port; /* of the listener */
    void (*want_write)(void *wsi);
    void (*set_reading)(void *wsi, bool on);
};

enum err conn_open(struct conn **out, struct server_state *server, const struct conn_host *host)
    MUST_CHECK;
void conn_close(struct conn **c);
/* false: close the socket now. */
bool conn_on_bytes(struct conn *c, struct bytes in);
bool conn_on_tick(struct conn *c, int64_t now_ns);
void conn_on_wake(struct conn *c);
/* The next bytes for the socket, a view until conn_output_done(). false: nothing to write now. */
bool conn_take_output(struct conn *c, struct bytes *out);
/* The view was written. false: that was the last, close the socket. */
bool conn_output_done(struct conn *c);

/* For rooms and routes. */
struct server_state *conn_server(const struct conn *c);

void    conn_send(struct conn *c, struct bytes message);        /* binary */
void    conn_end(struct conn *c, int code, const char *reason); /* close frame, then the socket */
void    conn_pause(struct conn *c, bool on);     /* reads no further messages until it is off */
bool    conn_is_backed_up(const struct conn *c); /* over half of its room: make no more */
int64_t conn_idle_out_ns(const struct conn *c, int64_t now_ns); /* since the last message queued */
int64_t conn_idle_in_ns(const struct conn *c, int64_t now_ns);  /* since the last byte came */
bool    conn_is_idle(const struct conn *c); /* no talk, and no answer that its client reads */

/* Answers the current request. extra: further header lines, each ended with CRLF, or "". */
void conn_reply(struct conn *c, int status, const char *type, const char *extra, struct bytes body);
void conn_reply_text(struct conn *c, int status, const char *extra, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

#endif
