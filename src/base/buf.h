/* SPDX-License-Identifier: MIT */
/* buf: bytes that grow up to a cap declared at birth. One thread.
 *
 * An append that fails (cap or memory) leaves what was there and is remembered, and those after it
 * do nothing: a writer may append in a row and ask once, with buf_err().
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct buf {
    uint8_t *p;
    size_t   len;
    size_t   room; /* allocated */
    size_t   cap;  /* never more than this */
    enum err err;  /* first failure of an append */
};

void buf_init(struct buf *b, size_t cap); /* allocates nothing yet */
void buf_fini(struct buf *b);
void buf_clear(struct buf *b); /* empty again, memory kept, error forgotten */

void buf_add(struct buf *b, const void *p, size_t len);
void buf_add_byte(struct buf *b, uint8_t v);
void buf_add_str(struct buf *b, const char *s);
void buf_add_fmt(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_add_json(struct buf *b, const char *s, size_t len); /* quoted; bad UTF-8 is replaced */
void buf_drop_front(struct buf *b, size_t len);              /* len <= b->len */

static inline struct bytes buf_view(const struct buf *b)
{
    return bytes_of(b->p, b->len);
}
static inline enum err buf_err(const struct buf *b)
{
    return b->err;
}

#endif
