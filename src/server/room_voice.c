/* SPDX-License-Identifier: MIT */
/* room_voice: Kyutai's /api/chat, Ogg/Opus both ways (docs/protocol.md, "Kyutai chat"). */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "media/opus.h"
#include "server/room.h"
#include "server/seat.h"
#include "wire/moshi_chat.h"
#include "wire/ogg.h"
#include "wire/ws.h"

#define PING_NS      5000000000LL
#define SERIAL       42
#define OPUS_MAX_SMP 5760 /* 120 ms at 48 kHz */
#define HEAD_RATE_HZ 48000
#define BROKEN_MAX   256 /* packets that are none, looked at in one go */

struct voice_room {
    struct conn     *conn;
    struct seat      seat;
    struct ogg_in   *ogg_in;
    struct ogg_out  *ogg_out;
    struct opus_dec *dec;
    struct opus_enc *enc;
    int              packet_smp; /* samples of an Opus packet that we send */
    float           *speaker;    /* sound that is not a packet yet */
    int              n_speaker;
    struct buf       out;
};

static void send_out(struct voice_room *r, enum conn_class class)
{
    if (buf_err(&r->out) == OK)
        conn_send(r->conn, class, buf_view(&r->out));
    else
        log_error("message not sent: %s", err_text(buf_err(&r->out)));
    buf_clear(&r->out);
}

/* Decodes as long as the lane takes frames; what is left waits in the Ogg reader. */
static void pump(struct voice_room *r)
{
    float        pcm[OPUS_MAX_SMP];
    struct bytes packet;
    int          n_smp, n_broken = 0;

    while (n_broken < BROKEN_MAX && seat_pump(&r->seat)) {
        if (ogg_in_packet(r->ogg_in, &packet) != OK) {
            conn_pause(r->conn, false);
            return;
        }
        if (opus_dec_step(r->dec, pcm, &n_smp, packet) != OK) {
            n_broken++; /* a gap, as on any network */
            continue;
        }
        float *room = seat_room(&r->seat, (size_t)n_smp);
        if (room) {
            memcpy(room, pcm, (size_t)n_smp * sizeof *pcm);
            seat_wrote(&r->seat, (size_t)n_smp);
        }
    }
    conn_pause(r->conn, true);
}

static void on_message(void *state, bool is_binary, struct bytes message)
{
    struct voice_room *r = state;
    struct bytes       payload;
    int                kind;

    if (!is_binary || moshi_chat_read(&kind, &payload, message) != OK || kind != MOSHI_CHAT_AUDIO)
        return;
    if (ogg_in_feed(r->ogg_in, payload) != OK)
        log_warn("sound dropped: %s", err_text(ERR_LIMIT));
    pump(r);
}

/* Cuts the frame into Opus packets, each on a page of its own, all in one message. */
static void send_sound(struct voice_room *r, const float *frame, int n_smp)
{
    uint8_t packet[OPUS_MAX_PACKET];
    size_t  len = 0;
    int     n_48k = (int)((int64_t)r->packet_smp * 48000 / r->seat.info.rate_hz);

    memcpy(r->speaker + r->n_speaker, frame, (size_t)n_smp * sizeof *frame);
    r->n_speaker += n_smp;
    moshi_chat_write_kind(&r->out, MOSHI_CHAT_AUDIO);
    int at = 0;
    for (; r->n_speaker - at >= r->packet_smp; at += r->packet_smp) {
        enum err err = opus_enc_step(r->enc, packet, &len, r->speaker + at, r->packet_smp);
        if (!err)
            err = ogg_out_packet(r->ogg_out, &r->out, bytes_of(packet, len), n_48k);
        if (err)
            log_error("sound not sent: %s", err_text(err));
    }
    r->n_speaker -= at;
    memmove(r->speaker, r->speaker + at, (size_t)r->n_speaker * sizeof *frame);
    if (at > 0)
        send_out(r, CONN_AUDIO);
    else
        buf_clear(&r->out);
}

static void send_step(struct voice_room *r, const struct talk_event *ev)
{
    if (ev->has_sound)
        send_sound(r, r->seat.frame, r->seat.info.frame_size);
    if (ev->text[0]) {
        moshi_chat_write_text(&r->out, bytes_str(ev->text));
        send_out(r, CONN_PARTIAL);
    }
}

static void on_wake(void *state)
{
    struct voice_room *r = state;
    struct talk_event  ev;
    const char        *why;
    int                code;

    while (!conn_is_backed_up(r->conn) && seat_pop(&r->seat, &ev))
        send_step(r, &ev);
    if (seat_is_over(&r->seat, &code, &why)) {
        moshi_chat_write_kind(&r->out, MOSHI_CHAT_ERROR);
        buf_add_str(&r->out, why);
        send_out(r, CONN_MUST);
        conn_end(r->conn, code, why);
    }
    pump(r);
}

static void on_tick(void *state, int64_t now_ns)
{
    struct voice_room *r = state;

    if (conn_idle_out_ns(r->conn, now_ns) >= PING_NS) {
        moshi_chat_write_kind(&r->out, MOSHI_CHAT_PING);
        send_out(r, CONN_MUST);
    }
    on_wake(state);
}

/* The query's wishes over the defaults; what is not valid is ignored. */
static enum err read_wishes(struct lm_gen_options *gen, struct conn *c, struct bytes query)
{
    struct moshi_chat_query q;
    char                    text[2048];

    enum err err = seat_defaults(gen, c);
    if (err || query.len >= sizeof text)
        return err;
    memcpy(text, query.p, query.len);
    text[query.len] = 0;
    moshi_chat_read_query(&q, text);
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

static enum err open_codec(struct voice_room *r)
{
    int rate_hz = r->seat.info.rate_hz, n_40ms = rate_hz / 25;

    if (rate_hz != 8000 && rate_hz != 12000 && rate_hz != 16000 && rate_hz != 24000 &&
        rate_hz != 48000)
        return err_set(ERR_FAIL, "this model's sound of %d Hz cannot be sent as Opus", rate_hz);
    /* What the reference sends: 40 ms, two to a frame. Other frames are cut in 20 ms. */
    r->packet_smp = r->seat.info.frame_size % n_40ms == 0 ? n_40ms : rate_hz / 50;
    size_t n = (size_t)(r->seat.info.frame_size + r->packet_smp);
    r->speaker = mem_zalloc(mem_size(n, sizeof *r->speaker));
    enum err err = r->speaker ? opus_dec_open(&r->dec, rate_hz) : ERR_NOMEM;
    if (!err)
        err = opus_enc_open(&r->enc, rate_hz);
    if (!err)
        err = ogg_in_open(&r->ogg_in);
    return err ? err : ogg_out_open(&r->ogg_out, SERIAL);
}

static void close_room(void *state)
{
    struct voice_room *r = state;

    seat_close(&r->seat);
    opus_dec_close(&r->dec);
    opus_enc_close(&r->enc);
    ogg_in_close(&r->ogg_in);
    ogg_out_close(&r->ogg_out);
    mem_free(r->speaker);
    r->speaker = NULL;
    buf_fini(&r->out);
}

static enum err open_room(void *state, struct conn *c, struct bytes query)
{
    struct voice_room    *r = state;
    struct lm_gen_options gen;

    r->conn = c;
    buf_init(&r->out, 65536);
    enum err err = read_wishes(&gen, c, query);
    if (!err)
        err = seat_open(&r->seat, c, OPUS_MAX_SMP, &gen);
    if (!err)
        err = open_codec(r);
    if (err)
        close_room(state);
    return err;
}

static void begin(void *state)
{
    struct voice_room *r = state;

    moshi_chat_write_handshake(&r->out);
    send_out(r, CONN_MUST);
    moshi_chat_write_kind(&r->out, MOSHI_CHAT_AUDIO);
    enum err err = ogg_out_head(r->ogg_out, &r->out, HEAD_RATE_HZ, "Parley");
    if (err)
        log_error("Ogg head not sent: %s", err_text(err));
    send_out(r, CONN_MUST);
}

const struct room room_voice = {
    .name = "voice",
    .state_size = sizeof(struct voice_room),
    .open = open_room,
    .begin = begin,
    .on_message = on_message,
    .on_wake = on_wake,
    .on_tick = on_tick,
    .close = close_room,
};
