/* SPDX-License-Identifier: MIT */
/* listener: "ADDR:PORT" turned into a listening TCP socket. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include <stdbool.h>

#include "base/err.h"

struct listener {
    int  fd;
    int  port; /* as bound */
    bool is_loopback;
    char url[128]; /* "http://127.0.0.1:PORT/" */
};

/* ADDR: an IPv4 address, an IPv6 address in brackets, or localhost. Port 0: a free one. ERR_USAGE:
 * malformed; ERR_NET: in use or not an address of this machine, the sentence names it. */
enum err listener_open(struct listener *out, const char *text) MUST_CHECK;
void     listener_close(struct listener *l);
/* Is ADDR:PORT only reachable from this machine? ERR_USAGE: malformed. */
enum err listener_check(bool *is_loopback, const char *text) MUST_CHECK;

#endif
