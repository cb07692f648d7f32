/* SPDX-License-Identifier: MIT */
#include "server/page.h"

#include <stdio.h>
#include <string.h>

#include "server/web_files.h"

static const char security[] =
    "Content-Security-Policy: default-src 'self'; connect-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Permissions-Policy: microphone=(self), camera=(), geolocation=()\r\n"
    "Cache-Control: no-cache\r\n";

static const struct web_file *find_file(struct bytes path)
{
    struct bytes name = bytes_of(path.p + 1, path.len - 1);

    if (name.len == 0)
        name = bytes_str("index.html");
    if (bytes_equal(name, bytes_str("favicon.ico")))
        name = bytes_str("favicon.svg");
    for (const struct web_file *f = web_files; f->name; f++)
        if (bytes_equal(name, bytes_str(f->name)))
            return f;
    return NULL;
}

bool page_has(struct bytes path)
{
    return path.len > 0 && path.p[0] == '/' && find_file(path);
}

void page_get(struct conn *c, const struct http_head *h)
{
    const struct web_file *f = find_file(h->path);
    struct bytes           known = http_header(h, "if-none-match");
    char                   extra[1024];

    snprintf(extra, sizeof extra, "%sETag: %s\r\n", security, f->etag);
    if (known.len > 0 && memmem(known.p, known.len, f->etag, strlen(f->etag)))
        conn_reply(c, 304, f->type, extra, bytes_of(NULL, 0));
    else
        conn_reply(c, 200, f->type, extra, bytes_of(f->p, f->len));
}
