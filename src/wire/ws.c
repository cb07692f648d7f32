/* SPDX-License-Identifier: MIT */
#include "wire/ws.h"

#include "base/utf8.h"

static bool is_known(int opcode)
{
    return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

enum err ws_read_head(struct ws_head *h, size_t *n_used, struct bytes in)
{
    if (in.len < 2)
        return ERR_AGAIN;
    bool     masked = in.p[1] & 0x80;
    int      opcode = in.p[0] & 0x0f;
    uint64_t len = in.p[1] & 0x7f;
    size_t   n_ext = len == 127 ? 8 : len == 126 ? 2 : 0;
    size_t   n_head = 2 + n_ext + 4;

    if (!masked || in.p[0] & 0x70 || !is_known(opcode)) /* 5.1 masked, 5.2 no RSV, known opcode */
        return ERR_FORMAT;
    if (opcode >= WS_CLOSE && (n_ext || !(in.p[0] & 0x80))) /* 5.5 short and whole */
        return ERR_FORMAT;
    if (in.len < 2 + n_ext)
        return ERR_AGAIN;
    if (n_ext)
        len = bytes_be(in.p + 2, (int)n_ext);
    if ((n_ext == 2 && len < 126) || (n_ext == 8 && (len < 65536 || len >> 63))) /* 5.2 minimal */
        return ERR_FORMAT;
    if (in.len < n_head)
        return ERR_AGAIN;
    memcpy(h->mask, in.p + n_head - 4, 4);
    h->opcode = (enum ws_opcode)opcode;
    h->is_final = in.p[0] & 0x80;
    h->len = len;
    *n_used = n_head;
    return OK;
}

void ws_reader_init(struct ws_reader *r, size_t max_message)
{
    buf_init(&r->message, max_message + 125);
    r->is_partial = false;
    r->opcode = WS_BINARY;
}

void ws_reader_fini(struct ws_reader *r)
{
    buf_fini(&r->message);
}

static size_t max_message(const struct ws_reader *r)
{
    return r->message.cap - 125;
}

/* Eight bytes at a time: this is a mebibyte in the worst case, on the io thread. */
static void unmask(uint8_t *p, size_t len, const uint8_t mask[4])
{
    uint64_t word, wide;
    size_t   i = 0;

    memcpy(&wide, mask, 4);
    memcpy((uint8_t *)&wide + 4, mask, 4);
    for (; len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        word ^= wide;
        memcpy(p + i, &word, sizeof word);
    }
    for (; i < len; i++)
        p[i] ^= mask[i & 3];
}

/* Appends the payload, unmasked, behind what the message has already. */
static enum err append(struct ws_reader *r, const struct ws_head *h, struct bytes payload)
{
    size_t at = r->message.len;

    buf_add(&r->message, payload.p, payload.len);
    if (buf_err(&r->message) || payload.len == 0)
        return buf_err(&r->message);
    unmask(r->message.p + at, payload.len, h->mask);
    return OK;
}

/* A control frame may stand between fragments: it borrows the room behind them. */
static enum err take_control(struct ws_reader *r, enum ws_opcode *opcode, struct bytes *payload,
                             const struct ws_head *h, struct bytes masked)
{
    size_t   at = r->message.len;
    enum err err = append(r, h, masked);
    if (err)
        return err;
    *opcode = h->opcode;
    *payload = bytes_of(masked.len ? r->message.p + at : NULL, masked.len);
    r->message.len = at;
    return OK;
}

/* What is wrong with a data frame is known before its payload has come. */
static enum err check_data(const struct ws_reader *r, int *code, const struct ws_head *h)
{
    bool is_first = h->opcode != WS_CONTINUATION;

    if (is_first == r->is_partial) /* 5.4: no new message within one, no end without a beginning */
        return ERR_FORMAT;
    if (h->len <= max_message(r) - (is_first ? 0 : r->message.len))
        return OK;
    *code = WS_CODE_TOO_BIG;
    return ERR_LIMIT;
}

/* OK: the message is whole. ERR_AGAIN: a fragment was taken. */
static enum err take_data(struct ws_reader *r, int *code, const struct ws_head *h,
                          struct bytes masked)
{
    if (h->opcode != WS_CONTINUATION) {
        buf_clear(&r->message);
        r->opcode = h->opcode;
    }
    *code = WS_CODE_INTERNAL;
    enum err err = append(r, h, masked);
    if (err)
        return err;
    r->is_partial = !h->is_final;
    if (r->is_partial)
        return ERR_AGAIN;
    *code = WS_CODE_BAD_DATA;
    return r->opcode == WS_TEXT && !utf8_is_valid(buf_view(&r->message)) ? ERR_FORMAT : OK;
}

enum err ws_read(struct ws_reader *r, enum ws_opcode *opcode, struct bytes *payload, size_t *n_used,
                 int *code, struct bytes in)
{
    *n_used = 0;
    for (;;) {
        struct ws_head h;
        struct bytes   left = bytes_of(in.p + *n_used, in.len - *n_used);
        size_t         n_head = 0;
        enum err       err = ws_read_head(&h, &n_head, left);

        *code = WS_CODE_PROTOCOL;
        if (!err && h.opcode < WS_CLOSE)
            err = check_data(r, code, &h);
        if (err)
            return err;
        if (left.len - n_head < h.len)
            return ERR_AGAIN;
        struct bytes masked = bytes_of(left.p + n_head, (size_t)h.len);
        *n_used += n_head + masked.len;
        if (h.opcode >= WS_CLOSE) {
            *code = WS_CODE_INTERNAL;
            return take_control(r, opcode, payload, &h, masked);
        }
        err = take_data(r, code, &h, masked);
        if (err == ERR_AGAIN)
            continue;
        *opcode = r->opcode;
        *payload = buf_view(&r->message);
        return err;
    }
}

enum err ws_read_close(int *code, struct bytes payload)
{
    *code = 1005;
    if (payload.len == 0)
        return OK;
    if (payload.len == 1)
        return ERR_FORMAT;
    *code = (int)bytes_be(payload.p, 2);
    /* 7.4: what an endpoint may send */
    bool is_allowed = (*code >= 1000 && *code <= 1003) || (*code >= 1007 && *code <= 1014) ||
                      (*code >= 3000 && *code <= 4999);
    return is_allowed && utf8_is_valid(bytes_of(payload.p + 2, payload.len - 2)) ? OK : ERR_FORMAT;
}

size_t ws_write_head(uint8_t out[10], enum ws_opcode opcode, uint64_t len)
{
    out[0] = (uint8_t)(0x80 | opcode);
    if (len < 126) {
        out[1] = (uint8_t)len;
        return 2;
    }
    if (len < 65536) {
        out[1] = 126;
        bytes_put_be(out + 2, len, 2);
        return 4;
    }
    out[1] = 127;
    bytes_put_be(out + 2, len, 8);
    return 10;
}
