/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

void buf_init(struct buf *b, size_t cap)
{
    *b = (struct buf){ .cap = cap };
}

void buf_fini(struct buf *b)
{
    mem_free(b->p);
    *b = (struct buf){ .cap = b->cap };
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->err = OK;
}

/* Makes room for len more bytes, or keeps the first failure. */
static bool reserve(struct buf *b, size_t len)
{
    if (b->err)
        return false;
    if (len > b->cap - b->len) {
        b->err = ERR_LIMIT;
        return false;
    }
    if (len <= b->room - b->len)
        return true;
    size_t need = b->len + len;
    size_t room = b->room < 64 ? 64 : b->room;
    while (room < need)
        room = room > b->cap / 2 ? b->cap : room * 2;
    if (room > b->cap)
        room = b->cap;
    uint8_t *p = mem_realloc(b->p, room);
    if (!p) {
        b->err = ERR_NOMEM;
        return false;
    }
    b->p = p;
    b->room = room;
    return true;
}

void buf_add(struct buf *b, const void *p, size_t len)
{
    if (!reserve(b, len) || len == 0)
        return;
    memcpy(b->p + b->len, p, len);
    b->len += len;
}

void buf_add_byte(struct buf *b, uint8_t v)
{
    buf_add(b, &v, 1);
}

void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_add_fmt(struct buf *b, const char *fmt, ...)
{
    char    small[256];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(small, sizeof small, fmt, args);
    va_end(args);
    if (n < 0) {
        b->err = b->err ? b->err : ERR_FAIL;
        return;
    }
    if ((size_t)n < sizeof small) {
        buf_add(b, small, (size_t)n);
        return;
    }
    char *big = mem_alloc((size_t)n + 1);
    if (!big) {
        b->err = b->err ? b->err : ERR_NOMEM;
        return;
    }
    va_start(args, fmt);
    vsnprintf(big, (size_t)n + 1, fmt, args);
    va_end(args);
    buf_add(b, big, (size_t)n);
    mem_free(big);
}

static void add_json_ascii(struct buf *b, uint8_t c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char       *at = c ? strchr(from, c) : NULL;
    if (at)
        buf_add(b, (char[]){ '\\', to[at - from] }, 2);
    else if (c < 0x20 || c == 0x7f)
        buf_add_fmt(b, "\\u%04x", c);
    else
        buf_add_byte(b, c);
}

void buf_add_json(struct buf *b, const char *s, size_t len)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t         len_before = b->len;

    buf_add_byte(b, '"');
    for (size_t i = 0; i < len;) {
        size_t n = utf8_len(bytes_of(p + i, len - i));
        if (n == 1)
            add_json_ascii(b, p[i]);
        else if (n)
            buf_add(b, p + i, n);
        else
            buf_add_str(b, UTF8_BAD);
        i += n ? n : 1;
    }
    buf_add_byte(b, '"');
    if (b->err)
        b->len = len_before; /* whole or not at all */
}

void buf_drop_front(struct buf *b, size_t len)
{
    must(len <= b->len);
    if (len == 0)
        return;
    memmove(b->p, b->p + len, b->len - len);
    b->len -= len;
}
