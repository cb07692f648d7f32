/* SPDX-License-Identifier: MIT */
/* access: who may ask: Host, Origin and key of every request and upgrade. Pure, io thread. */
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

#include "wire/http.h"

struct access {
    const char        *key;   /* NULL: none wanted */
    const char *const *hosts; /* further names, at any port unless written with one */
    int                n_host;
    const char *const *origins; /* further origins */
    int                n_origin;
    const int         *ports;     /* of all our listeners */
    const bool        *is_public; /* of each: not loopback; there IP literals are names too */
    int                n_port;
};

/* 0: fine; else the status to answer with: 400 (Host missing or twice), 421 (Host is not ours), 403
 * (Origin is not ours), 401 (key missing or wrong; asked only when wants_key). */
int access_check(const struct access *a, const struct http_head *h, int port, bool wants_key);

/* Can a Host be that: NAME, NAME:PORT, an address, IPv6 in brackets when it has a port? */
bool access_is_host_name(const char *text);
/* Can an Origin be that: scheme://host or scheme://host:port, with nothing behind? */
bool access_is_origin_name(const char *text);

/* 127.0.0.0/8, ::1, "localhost": names of this machine for itself. */
bool access_is_loopback(struct bytes host);

#endif
