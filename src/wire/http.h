/* SPDX-License-Identifier: MIT */
/* http: heads of HTTP/1.1 requests as pure functions of bytes (RFC 9112). Bodies are not for us. */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include "base/bytes.h"
#include "base/err.h"

#define HTTP_HEAD_MAX   16384
#define HTTP_HEADER_MAX 64

struct http_header {
    struct bytes name, value; /* value without blanks around it */
};

/* Everything is borrowed from the bytes it was read from. */
struct http_head {
    struct bytes       method;
    struct bytes       authority; /* of a target that is a whole address; empty: Host says it */
    struct bytes       path;      /* of the target, before '?', as sent; "*" of OPTIONS alone */
    struct bytes       query;     /* behind '?' */
    int                minor;     /* HTTP/1.minor */
    struct http_header header[HTTP_HEADER_MAX];
    int                n_header;
};

/* Reads one request head from the front of in. OK: *n_used bytes belong to it. ERR_AGAIN: bring
 * more. ERR_FORMAT: answer 400, also before the head is whole when it cannot become one.
 * ERR_LIMIT: answer 431. */
enum err http_read_head(struct http_head *h, size_t *n_used, struct bytes in) MUST_CHECK;

/* The first header of that name, letter case ignored; p NULL when absent. */
struct bytes http_header(const struct http_head *h, const char *name);
int          http_header_count(const struct http_head *h, const char *name);
/* Is token an element of the comma-separated lists under that name (case ignored)? */
bool http_has_token(const struct http_head *h, const char *name, const char *token);
bool http_is_word(struct bytes b, const char *word); /* equal, case ignored */
/* The value of a query parameter, %XX and + decoded, ended with 0. false: absent or too long. */
bool http_query_value(char *out, size_t cap, struct bytes query, const char *name);

#endif
