/* SPDX-License-Identifier: MIT */
/* room_chat: Kyutai's /api/chat, Ogg/Opus both ways (docs/protocol.md, "Kyutai chat"). */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "server/chat_codec.h"
#include "server/room.h"
#include "server/seat.h"
#include "server/server_state.h"
#include "wire/moshi_chat.h"
#include "wire/ogg.h"
#include "wire/ws.h"

#define PING_NS      5000000000LL
#define AHEAD_MAX    (128 * 1024) /* of Ogg that waits: half a minute, so that a close is seen */
#define SERIAL       42
#define HEAD_RATE_HZ 48000

struct chat_room {
    struct conn      *conn;
    struct seat       seat;
    struct chat_line *line; /* Opus, on another thread */
    struct ogg_in    *ogg_in;
    struct ogg_out   *ogg_out;
    struct buf        out;
};

static void send_out(struct chat_room *r)
{
    if (buf_err(&r->out) == OK)
        conn_send(r->conn, buf_view(&r->out));
    else
        log_error("message not sent reason=%s", err_text(buf_err(&r->out)));
    buf_clear(&r->out);
}

/* Samples to the lane, a frame at a time, as long as it takes them. */
static void pump_samples(struct chat_room *r)
{
    while (seat_pump(&r->seat)) {
        size_t n = (size_t)r->seat.info.frame_size - seat_rest(&r->seat);
        float *room = seat_room(&r->seat, n);
        size_t n_got = room ? chat_line_pop_samples(r->line, room, n) : 0;
        if (n_got == 0)
            return;
        seat_wrote(&r->seat, n_got);
    }
}

/* Packets to the codec, as long as it takes them; what is left waits in the Ogg reader, and of a
 * client that is far ahead no more is read. */
static void pump(struct chat_room *r)
{
    struct bytes packet;

    pump_samples(r);
    while (chat_line_can_hear(r->line) && ogg_in_packet(r->ogg_in, &packet) == OK)
        chat_line_hear(r->line, packet);
    conn_pause(r->conn, ogg_in_waiting(r->ogg_in) > AHEAD_MAX);
}

static void on_message(void *state, bool is_binary, struct bytes message)
{
    struct chat_room *r = state;
    struct bytes      payload;
    int               kind;

    if (!is_binary || moshi_chat_read(&kind, &payload, message) != OK || kind != MOSHI_CHAT_AUDIO)
        return;
    enum err err = ogg_in_feed(r->ogg_in, payload);
    if (err)
        log_warn("sound dropped reason=%s", err_text(err));
    pump(r);
}

/* The packets of a frame, each on a page of its own, all in one message; then its words. */
static void send_step(struct chat_room *r, const struct chat_said *said)
{
    moshi_chat_write_kind(&r->out, MOSHI_CHAT_AUDIO);
    for (int i = 0; i < said->n_packet; i++) {
        enum err err = ogg_out_packet(r->ogg_out, &r->out, said->packet[i], said->n_48k);
        if (err)
            log_error("sound not sent reason=%s", err_text(err));
    }
    if (said->n_packet > 0)
        send_out(r);
    buf_clear(&r->out);
    if (said->text[0]) {
        moshi_chat_write_text(&r->out, bytes_str(said->text));
        send_out(r);
    }
}

static void on_wake(void *state)
{
    struct chat_room       *r = state;
    const struct chat_said *said;
    struct talk_event       ev;
    const char             *why;
    int                     code;

    while (chat_line_can_say(r->line) && seat_pop(&r->seat, &ev))
        if (ev.has_sound || ev.text[0])
            chat_line_say(r->line, ev.has_sound ? r->seat.frame : NULL, ev.text);
    while (!conn_is_backed_up(r->conn) && (said = chat_line_pop(r->line)))
        send_step(r, said);
    if (seat_is_over(&r->seat, &code, &why)) {
        moshi_chat_write_kind(&r->out, MOSHI_CHAT_ERROR);
        buf_add_str(&r->out, why);
        send_out(r);
        conn_end(r->conn, code, why);
    }
    pump(r);
}

static void on_tick(void *state, int64_t now_ns)
{
    struct chat_room *r = state;

    if (conn_idle_out_ns(r->conn, now_ns) >= PING_NS) {
        moshi_chat_write_kind(&r->out, MOSHI_CHAT_PING);
        send_out(r);
    }
    on_wake(state);
}

/* The query's wishes over the defaults; what is not valid is ignored. */
static enum err read_wishes(struct lm_gen_options *gen, struct conn *c, struct bytes query)
{
    struct moshi_chat_query q;

    enum err err = seat_defaults(gen, c);
    if (err)
        return err;
    moshi_chat_read_query(&q, query);
    if (!isnan(q.audio_temperature))
        gen->temp = (float)q.audio_temperature;
    if (!isnan(q.text_temperature))
        gen->temp_text = (float)q.text_temperature;
    gen->top_k = q.audio_topk > 0 ? q.audio_topk : gen->top_k;
    gen->top_k_text = q.text_topk > 0 ? q.text_topk : gen->top_k_text;
    if (q.audio_seed >= 0 || q.text_seed >= 0) /* one generator draws both */
        gen->seed = (uint64_t)(q.audio_seed >= 0 ? q.audio_seed : q.text_seed);
    return OK;
}

static void close_room(void *state)
{
    struct chat_room *r = state;

    seat_close(&r->seat);
    chat_line_close(&r->line);
    ogg_in_close(&r->ogg_in);
    ogg_out_close(&r->ogg_out);
    buf_fini(&r->out);
}

static enum err open_room(void *state, struct conn *c, struct bytes query)
{
    struct chat_room     *r = state;
    struct lm_gen_options gen;

    r->conn = c;
    buf_init(&r->out, 65536);
    enum err err = read_wishes(&gen, c, query);
    if (!err)
        err = seat_open(&r->seat, c, 0, &gen);
    if (!err)
        err = chat_line_open(&r->line, conn_server(c)->codec, r->seat.info.rate_hz,
                             r->seat.info.frame_size, talk_lane(r->seat.talk));
    if (!err)
        err = ogg_in_open(&r->ogg_in);
    if (!err)
        err = ogg_out_open(&r->ogg_out, SERIAL);
    if (err)
        close_room(state);
    return err;
}

static void begin(void *state)
{
    struct chat_room *r = state;

    moshi_chat_write_handshake(&r->out);
    send_out(r);
    moshi_chat_write_kind(&r->out, MOSHI_CHAT_AUDIO);
    enum err err = ogg_out_head(r->ogg_out, &r->out, HEAD_RATE_HZ, "Parley");
    if (err)
        log_error("Ogg head not sent reason=%s", err_text(err));
    send_out(r);
}

const struct room room_chat = {
    .name = "chat",
    .state_size = sizeof(struct chat_room),
    .open = open_room,
    .begin = begin,
    .on_message = on_message,
    .on_wake = on_wake,
    .on_tick = on_tick,
    .close = close_room,
};
