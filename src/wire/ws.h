/* SPDX-License-Identifier: MIT */
/* ws: frames of the WebSocket protocol, server side, as pure functions of bytes (RFC 6455). */
#ifndef WIRE_WS_H
#define WIRE_WS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

enum ws_code {
    WS_CODE_NORMAL = 1000,
    WS_CODE_GOING_AWAY = 1001,
    WS_CODE_PROTOCOL = 1002,
    WS_CODE_BAD_DATA = 1007,
    WS_CODE_POLICY = 1008,
    WS_CODE_TOO_BIG = 1009,
    WS_CODE_INTERNAL = 1011,
};

struct ws_head {
    enum ws_opcode opcode;
    bool           is_final;
    uint8_t        mask[4];
    uint64_t       len; /* of the payload */
};

/* Reads one client frame head from the front of in. OK: *n_used bytes belong to it. ERR_AGAIN:
 * bring more, none used. ERR_FORMAT: close with 1002. The payload's reader bounds its length. */
enum err ws_read_head(struct ws_head *h, size_t *n_used, struct bytes in) MUST_CHECK;

/* Whole messages out of frames. message grows up to its cap: fragments of one message. */
struct ws_reader {
    struct buf     message;
    enum ws_opcode opcode;     /* of the message that is being put together */
    bool           is_partial; /* a fragment came, its end has not */
};
void ws_reader_init(struct ws_reader *r, size_t max_message);
void ws_reader_fini(struct ws_reader *r);

/* Takes whole frames from the front of in until one message or control frame is complete. *n_used:
 * bytes to drop from the front, also with ERR_AGAIN. OK: *opcode (TEXT, BINARY, CLOSE, PING, PONG)
 * and *payload, a view until the next call. Otherwise *code says how to close: 1002, 1007, 1009,
 * 1011. */
enum err ws_read(struct ws_reader *r, enum ws_opcode *opcode, struct bytes *payload, size_t *n_used,
                 int *code, struct bytes in) MUST_CHECK;

/* The code of a close frame's payload: 1005 when it has none; ERR_FORMAT: malformed or not
 * allowed. */
enum err ws_read_close(int *code, struct bytes payload) MUST_CHECK;

/* One unmasked, final frame head for a payload of len bytes: 2 to 10 bytes; gives how many. */
size_t ws_write_head(uint8_t out[10], enum ws_opcode opcode, uint64_t len);

#endif
