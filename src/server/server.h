/* SPDX-License-Identifier: MIT */
/* server: one HTTP/WebSocket host for pages, rooms and operations (docs/protocol.md).
 *
 * The calling thread becomes the io thread: it moves bytes and never computes over 2 ms. Talks
 * live on the engine; the server starts and answers while the model loads or when it is broken.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "base/err.h"
#include "talk/engine.h"

#define SERVER_MAX_LISTEN 8

struct server;

struct server_options {
    const char *listen[SERVER_MAX_LISTEN]; /* "ADDR:PORT", "[::1]:PORT"; port 0: a free one */
    int         n_listen;
    const char *key;          /* clients must show it; NULL: none, then loopback only */
    const char *const *hosts; /* further Host names, n_host */
    int                n_host;
    const char *const *origins; /* further origins, n_origin */
    int                n_origin;
    /* The operator's wishes over the model's defaults, for every talk; may be NULL. */
    void (*tune)(struct lm_gen_options *gen, const void *arg);
    const void *tune_arg;
};

/* Binds all listeners. An address that is not loopback without a key: ERR_AUTH. A malformed
 * address: ERR_USAGE. A port in use: ERR_NET, the sentence names the port. */
enum err server_open(struct server **out, const struct server_options *o) MUST_CHECK;
/* The page's address, "http://127.0.0.1:PORT/", of listener i; NULL past the end. */
const char *server_url(const struct server *s, int i);
/* Serves talks on e until server_stop(); then drains: clients get a close, at most 2 s. e outlives
 * the server. */
enum err server_run(struct server *s, struct engine *e) MUST_CHECK;
void     server_stop(void *server); /* any thread, also from a signal handler */
void     server_close(struct server **s);

#endif
