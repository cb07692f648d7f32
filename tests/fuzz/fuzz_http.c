/* SPDX-License-Identifier: MIT */
/* Hostile request heads. Seeds: tests/wire/http. */
#include "base/mem.h"
#include "wire/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void check_within(struct bytes part, struct bytes whole)
{
    must(part.len == 0 || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len));
}

/* Everything that was read lies in what it was read from, and holds no line end. */
static void check_head(const struct http_head *h, struct bytes in, size_t n_used)
{
    must(n_used >= 16 && n_used <= in.len && n_used <= HTTP_HEAD_MAX + 4);
    must(memcmp(in.p + n_used - 4, "\r\n\r\n", 4) == 0);
    must(h->minor == 0 || h->minor == 1);
    must(h->method.len > 0 && h->path.len > 0);
    must(h->path.p[0] == '/' || bytes_equal(h->path, bytes_str("*")));
    check_within(h->method, in);
    check_within(h->authority, in);
    check_within(h->query, in);
    must(h->n_header >= 0 && h->n_header <= HTTP_HEADER_MAX);
    for (int i = 0; i < h->n_header; i++) {
        struct bytes v = h->header[i].value;
        check_within(h->header[i].name, in);
        check_within(v, in);
        must(h->header[i].name.len > 0);
        must(v.len == 0 || (!memchr(v.p, '\n', v.len) && !memchr(v.p, '\r', v.len)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    static struct http_head h, again;
    struct bytes            in = bytes_of(p, len);
    size_t                  n_used = 12345, n_again = 0;
    char                    value[16];

    enum err err = http_read_head(&h, &n_used, in);
    must(err == OK || err == ERR_AGAIN || err == ERR_FORMAT || err == ERR_LIMIT);
    must(err != ERR_AGAIN || (n_used == 12345 && len < HTTP_HEAD_MAX));
    if (err)
        return 0;
    check_head(&h, in, n_used);
    /* What comes behind a head does not change it. */
    must(http_read_head(&again, &n_again, bytes_of(p, n_used)) == OK && n_again == n_used);
    must(again.n_header == h.n_header && bytes_equal(again.path, h.path));
    if (http_query_value(value, sizeof value, h.query, "a"))
        must(strnlen(value, sizeof value) < sizeof value);
    must(http_header_count(&h, "host") >= (http_header(&h, "host").p != NULL));
    (void)http_has_token(&h, "connection", "upgrade");
    return 0;
}
