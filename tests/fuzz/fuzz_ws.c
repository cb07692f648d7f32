/* SPDX-License-Identifier: MIT */
/* Hostile WebSocket streams. Seeds: tests/wire/ws. */
#include "base/mem.h"
#include "base/utf8.h"
#include "wire/ws.h"

#define MESSAGE_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void check_message(enum ws_opcode opcode, struct bytes payload)
{
    int code;

    must(opcode == WS_TEXT || opcode == WS_BINARY || opcode == WS_CLOSE || opcode == WS_PING ||
         opcode == WS_PONG);
    must(payload.len <= (opcode >= WS_CLOSE ? 125 : MESSAGE_MAX));
    must(opcode != WS_TEXT || utf8_is_valid(payload));
    if (opcode == WS_CLOSE && ws_read_close(&code, payload) == OK)
        must(code >= 1000 && code <= 4999);
}

/* Everything that in gives when it comes in pieces of that size, and how it ends. */
static void read_stream(struct buf *out, struct bytes in, size_t piece)
{
    struct ws_reader r;
    struct buf       pending;
    enum err         err = ERR_AGAIN;

    ws_reader_init(&r, MESSAGE_MAX);
    buf_init(&pending, 1 << 20);
    for (size_t at = 0; at < in.len && (!err || err == ERR_AGAIN); at += piece) {
        buf_add(&pending, in.p + at, in.len - at < piece ? in.len - at : piece);
        do {
            enum ws_opcode opcode = WS_CONTINUATION;
            struct bytes   payload = { 0 };
            size_t         n_used = 0;
            int            code = 0;
            err = ws_read(&r, &opcode, &payload, &n_used, &code, buf_view(&pending));
            must(n_used <= pending.len);
            if (!err) {
                check_message(opcode, payload);
                buf_add_byte(out, (uint8_t)opcode);
                buf_add(out, payload.p, payload.len);
            } else if (err != ERR_AGAIN) {
                must(code == 1002 || code == 1007 || code == 1009);
                buf_add(out, &code, sizeof code);
            }
            buf_drop_front(&pending, n_used);
        } while (!err);
    }
    buf_fini(&pending);
    ws_reader_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    struct buf whole, parts;

    buf_init(&whole, 1 << 22);
    buf_init(&parts, 1 << 22);
    read_stream(&whole, bytes_of(p, len), len ? len : 1);
    read_stream(&parts, bytes_of(p, len), len ? 1 + p[0] % 7 : 1);
    must(bytes_equal(buf_view(&whole), buf_view(&parts)));
    buf_fini(&whole);
    buf_fini(&parts);
    return 0;
}
