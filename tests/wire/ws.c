/* SPDX-License-Identifier: MIT */
#include "wire/ws.h"

#include "check.h"
#include "wire/cases.h"

#define MESSAGE_MAX 1000

/* Facts: gives EVENT[, EVENT...] | close CODE | close bad. Events: NAME len=N HEX.. | fail CODE |
 * more N (bytes that wait for the rest of a frame); read whole and byte by byte, both give the
 * same. */

static const char *name_of(enum ws_opcode opcode)
{
    switch (opcode) {
    case WS_TEXT: return "text";
    case WS_BINARY: return "binary";
    case WS_CLOSE: return "close";
    case WS_PING: return "ping";
    case WS_PONG: return "pong";
    default: return "?";
    }
}

static void say_event(struct buf *out, enum ws_opcode opcode, struct bytes payload)
{
    buf_add_fmt(out, "%s%s len=%zu", out->len ? ", " : "", name_of(opcode), payload.len);
    for (size_t i = 0; i < payload.len && i < 4; i++)
        buf_add_fmt(out, "%s%02x", i ? "" : " ", payload.p[i]);
}

/* All that in gives when it comes in pieces of that size. */
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
            struct bytes   payload;
            size_t         n_used = 0;
            int            code = 0;
            err = ws_read(&r, &opcode, &payload, &n_used, &code, buf_view(&pending));
            buf_drop_front(&pending, n_used);
            if (!err)
                say_event(out, opcode, payload);
            else if (err != ERR_AGAIN)
                buf_add_fmt(out, "%sfail %d", out->len ? ", " : "", code);
        } while (!err);
    }
    if (err == ERR_AGAIN && pending.len)
        buf_add_fmt(out, "%smore %zu", out->len ? ", " : "", pending.len);
    buf_add_byte(out, 0);
    buf_fini(&pending);
    ws_reader_fini(&r);
}

static void check_close(const char *want, struct bytes in)
{
    char got[16] = "bad";
    int  code;

    if (ws_read_close(&code, in) == OK)
        snprintf(got, sizeof got, "%d", code);
    CHECK_STR(got, want);
}

static void check_fact(const char *fact, struct bytes in)
{
    struct buf got;

    if (strncmp(fact, "close ", 6) == 0) {
        check_close(fact + 6, in);
        return;
    }
    must(strncmp(fact, "gives ", 6) == 0);
    for (size_t piece = in.len + 1; piece > 0; piece = piece > 7 ? 7 : piece > 1 ? 1 : 0) {
        buf_init(&got, 1 << 16);
        read_stream(&got, in, piece);
        CHECK_STR((const char *)got.p, fact + 6);
        buf_fini(&got);
    }
}

TEST(ws_reads_messages_in_any_pieces)
{
    cases_run("tests/wire/ws/messages.txt", 18, check_fact);
}

TEST(ws_refuses_what_rfc_6455_forbids)
{
    cases_run("tests/wire/ws/broken.txt", 30, check_fact);
}

TEST(ws_bounds_messages_also_in_fragments)
{
    cases_run("tests/wire/ws/limits.txt", 8, check_fact);
}

TEST(ws_knows_the_codes_that_may_be_sent)
{
    cases_run("tests/wire/ws/close.txt", 20, check_fact);
}

TEST(ws_takes_off_the_mask_at_every_length)
{
    for (size_t len = 0; len < 40; len++) {
        uint8_t          frame[64] = { 0x82, (uint8_t)(0x80 | len), 0x11, 0x92, 0x33, 0xf4 };
        struct ws_reader r;
        enum ws_opcode   opcode;
        struct bytes     payload;
        size_t           n_used;
        int              code;
        for (size_t i = 0; i < len; i++)
            frame[6 + i] = (uint8_t)(i ^ frame[2 + i % 4]);
        ws_reader_init(&r, MESSAGE_MAX);
        CHECK(ws_read(&r, &opcode, &payload, &n_used, &code, bytes_of(frame, 6 + len)) == OK);
        CHECK_INT(payload.len, len);
        for (size_t i = 0; i < len; i++)
            CHECK_INT(payload.p[i], i);
        ws_reader_fini(&r);
    }
}

TEST(ws_writes_the_shortest_head)
{
    static const struct {
        uint64_t len;
        size_t   n;
        uint8_t  head[10];
    } cases[] = {
        { 0, 2, { 0x82, 0 } },
        { 125, 2, { 0x82, 125 } },
        { 126, 4, { 0x82, 126, 0, 126 } },
        { 65535, 4, { 0x82, 126, 0xff, 0xff } },
        { 65536, 10, { 0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0 } },
        { 1ull << 32, 10, { 0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0 } },
    };
    uint8_t out[10];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_INT(ws_write_head(out, WS_BINARY, cases[i].len), cases[i].n);
        CHECK(memcmp(out, cases[i].head, cases[i].n) == 0);
    }
    CHECK(ws_write_head(out, WS_PONG, 3) == 2 && out[0] == 0x8a);
}

TEST(ws_reader_survives_out_of_memory)
{
    static const uint8_t frame[] = { 0x82, 0x83, 0, 0, 0, 0, 1, 2, 3 };
    struct ws_reader     r;
    enum ws_opcode       opcode;
    struct bytes         payload;
    size_t               n_used;
    int                  code;

    ws_reader_init(&r, MESSAGE_MAX);
    mem_fail_after(0);
    enum err err = ws_read(&r, &opcode, &payload, &n_used, &code, bytes_of(frame, sizeof frame));
    mem_fail_after(-1);
    CHECK(err == ERR_NOMEM);
    CHECK_INT(code, WS_CODE_INTERNAL);
    ws_reader_fini(&r);
}
