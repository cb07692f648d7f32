/* SPDX-License-Identifier: MIT */
/* host: the io thread's loop (libwebsockets): accepts, moves bytes between sockets and
 * connections, ticks.
 *
 * libwebsockets carries raw sockets here: its own HTTP and WebSocket parsers take unmasked
 * frames and cannot be told to refuse them, see docs/decisions.md. wire/http and wire/ws read the
 * bytes.
 */
#ifndef SERVER_HOST_H
#define SERVER_HOST_H

#include "server/listener.h"
#include "server/server_state.h"

struct host;

/* listeners stay the caller's; they outlive the host. */
enum err host_open(struct host **out, struct server_state *state, const struct listener *listeners,
                   int n_listener) MUST_CHECK;
enum err host_run(struct host *h) MUST_CHECK; /* until host_stop; then drains at most 2 s */
void     host_stop(void *host);               /* any thread, signal handlers */
void     host_wake(void *host);               /* any thread: look at all rooms */
void     host_close(struct host **h);

#endif
