/* SPDX-License-Identifier: MIT */
/* room_packet: SolaceLive's voice packets (docs/protocol.md). */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/os.h"
#include "server/room.h"
#include "server/seat.h"
#include "server/server_state.h"
#include "wire/packet.h"
#include "wire/ws.h"

#define MESSAGE_MAX  (1 << 20)
#define HEARTBEAT_NS 5000000000LL
#define SILENCE_NS   30000000000LL
#define PAUSE_STEPS  15 /* this many steps without a word end a sentence */
#define FORCED_MAX   256
#define AHEAD_SMP    (512 * 1024) /* 22 s, 2 MiB */
#define N_ACKED      64
#define SENTENCE_MAX 16384 /* bytes; a model that never ends one is helped */

struct packet_room {
    struct conn          *conn;
    struct seat           seat;
    uint32_t              seq;
    enum packet_text_mode text;
    struct packet_faults  faults;
    struct packet_stats   stats;
    struct buf            out;            /* one packet */
    struct buf            payload;        /* of one packet */
    struct buf            sentence;       /* words since the last TEXT_FINAL */
    uint64_t              acked[N_ACKED]; /* the last texts that were acknowledged, by their sums */
    unsigned              n_acked;
    int                   n_quiet; /* steps without a word */
    bool    is_ending;             /* the sentence is over unless its last word goes on: "3." "5" */
    int64_t last_packet_ns, last_beat_ns;
};

/* Sends what was written into r->out; a packet that could not be made is a fault of ours. */
static void send_out(struct packet_room *r, enum err err)
{
    if (err)
        log_error("packet not sent reason=%s", err_text(err));
    else
        conn_send(r->conn, buf_view(&r->out));
    buf_clear(&r->out);
}

static void send_packet(struct packet_room *r, enum packet_type type, struct bytes payload)
{
    send_out(r, packet_write(&r->out, type, r->seq++, (double)os_wall_ms(), payload));
}

static void send_meta(struct packet_room *r)
{
    if (buf_err(&r->payload) == OK)
        send_packet(r, PACKET_METADATA, buf_view(&r->payload));
    buf_clear(&r->payload);
}

static void send_stats(struct packet_room *r)
{
    struct talk_figures f;

    talk_figures(r->seat.talk, &f);
    r->stats.frames_in = r->seat.n_in;
    r->stats.remainder_smp = (int)(seat_rest(&r->seat) % (size_t)r->seat.info.frame_size);
    r->stats.frames_waiting = f.n_waiting;
    r->stats.delay_frames = r->seat.info.max_delay;
    r->stats.lag_ms = (int)(f.lag_ns / 1000000);
    r->stats.step_ms = (int)(f.step_p50_ns / 1000000);
    packet_add_stats(&r->payload, &r->stats);
    send_meta(r);
}

static void end_sentence(struct packet_room *r)
{
    if (r->sentence.len > 0 && buf_err(&r->sentence) == OK)
        send_packet(r, PACKET_TEXT_FINAL, buf_view(&r->sentence));
    buf_clear(&r->sentence);
    r->is_ending = false;
}

/* Words of one mode are not the beginning of a sentence in another. */
static void set_text_mode(struct packet_room *r, enum packet_text_mode mode)
{
    if (mode != r->text)
        end_sentence(r);
    r->text = mode;
}

static void on_meta(struct packet_room *r, struct bytes payload)
{
    struct packet_meta m;

    packet_read_meta(&m, payload);
    if (m.kind == PACKET_META_START) {
        set_text_mode(r, m.text);
        if (m.rate_hz != r->seat.info.rate_hz || !m.is_pcm) {
            char message[96];
            snprintf(message, sizeof message, "sound must be pcm_f32 at %d Hz",
                     r->seat.info.rate_hz);
            packet_add_error(&r->payload, "format", message);
            send_meta(r);
        }
    }
    struct packet_caps caps = { .mlx = false, .moshi = true, .mimi = true, .text = r->text };
    packet_add_caps(&r->payload, &caps);
    send_meta(r);
    if (m.kind == PACKET_META_STATS)
        send_stats(r);
}

static void on_text(struct packet_room *r, struct bytes payload)
{
    int      ids[FORCED_MAX], n = 0, n_taken = 0;
    enum err err = packet_read_ids(ids, &n, FORCED_MAX, payload);

    if (n == 0)
        return; /* the user's words, which a speech model hears for itself */
    while (n_taken < n && talk_force_text(r->seat.talk, ids[n_taken]))
        n_taken++;
    if (err || n_taken < n) { /* not to the log, which one client could fill */
        char message[96];
        snprintf(message, sizeof message, "only %d of these ids were taken: at most %d wait",
                 n_taken, FORCED_MAX);
        packet_add_error(&r->payload, "forced_text", message);
        send_meta(r);
    }
}

/* A client that saw no ACK sends the same again: it is acknowledged once more, and done once. */
static bool is_repeated(struct packet_room *r, const struct packet_head *h)
{
    uint64_t sum = 14695981039346656037ull; /* FNV-1a of number, type and text */

    for (int i = 0; i < 4; i++)
        sum = (sum ^ (h->seq >> 8 * i & 0xff)) * 1099511628211ull;
    sum = (sum ^ h->type) * 1099511628211ull;
    for (size_t i = 0; i < h->payload.len; i++)
        sum = (sum ^ h->payload.p[i]) * 1099511628211ull;
    for (unsigned i = 0; i < N_ACKED && i < r->n_acked; i++)
        if (r->acked[i] == sum)
            return true;
    r->acked[r->n_acked++ % N_ACKED] = sum;
    return false;
}

/* Sound to the lane; what it has no room for waits here, so that what comes behind it is seen: a
 * heartbeat, a close. Of a client that is far ahead no more is read, which is not its silence. */
static void pump(struct packet_room *r)
{
    bool has_room = seat_pump(&r->seat) || seat_rest(&r->seat) <= AHEAD_SMP;

    conn_pause(r->conn, !has_room);
    if (!has_room)
        r->last_packet_ns = os_now_ns();
}

static void on_audio(struct packet_room *r, struct bytes payload)
{
    size_t n = payload.len / sizeof(float);
    float *room = seat_room(&r->seat, n);

    if (!room) {
        r->stats.input_dropped++;
        metric_inc(M_MIC_DROPPED_PACKETS_TOTAL);
        return;
    }
    seat_wrote(&r->seat, (size_t)packet_copy_samples(room, (int)n, payload, 0));
    pump(r);
}

static void on_malformed(struct packet_room *r)
{
    r->stats.malformed++;
    metric_inc(M_PACKETS_MALFORMED_TOTAL);
    if (packet_faults_add(&r->faults, os_now_ns()))
        conn_end(r->conn, WS_CODE_BAD_DATA, "too many malformed packets");
}

static void on_message(void *state, bool is_binary, struct bytes message)
{
    struct packet_room *r = state;
    struct packet_head  h;

    if (!is_binary)
        return;
    if (packet_read_head(&h, message) != OK) {
        on_malformed(r);
        return;
    }
    r->last_packet_ns = os_now_ns();
    if (h.wants_ack && h.type != PACKET_ACK)
        send_out(r, packet_write_ack(&r->out, r->seq++, (double)os_wall_ms(), h.seq));
    if (h.type == PACKET_HEARTBEAT)
        send_packet(r, PACKET_HEARTBEAT, bytes_of(NULL, 0));
    else if (h.type == PACKET_METADATA)
        on_meta(r, h.payload);
    else if (h.type == PACKET_AUDIO_CHUNK)
        on_audio(r, h.payload);
    else if ((h.type == PACKET_TEXT_PARTIAL || h.type == PACKET_TEXT_FINAL) &&
             !(h.wants_ack && is_repeated(r, &h)))
        on_text(r, h.payload);
}

static void send_partial(struct packet_room *r, const char *text, size_t len)
{
    send_packet(r, PACKET_TEXT_PARTIAL, bytes_of(text, len));
    r->stats.partial_sent++;
}

static void send_words(struct packet_room *r, const char *text)
{
    size_t len = strlen(text);

    r->n_quiet = len ? 0 : r->n_quiet + 1;
    if (r->n_quiet == PAUSE_STEPS || (r->is_ending && (!len || text[0] == ' ')) ||
        r->sentence.len + len > SENTENCE_MAX)
        end_sentence(r);
    if (!len)
        return;
    send_partial(r, text, len);
    buf_add(&r->sentence, text, len);
    r->is_ending = strchr(".!?", text[len - 1]) != NULL;
}

/* One packet, but for codecs with frames that are longer than a packet can be. */
static void send_sound(struct packet_room *r)
{
    int size = r->seat.info.frame_size, most = PACKET_PAYLOAD_MAX / (int)sizeof(float);

    for (int at = 0; at < size; at += most)
        send_out(r, packet_write_audio(&r->out, r->seq++, (double)os_wall_ms(), r->seat.frame + at,
                                       size - at < most ? size - at : most));
    r->stats.audio_sent++;
}

static void send_step(struct packet_room *r, const struct talk_event *ev)
{
    if (r->text != PACKET_TEXT_PIECES) {
        char id[16];
        int  n = snprintf(id, sizeof id, "%d", ev->token);
        send_partial(r, id, (size_t)n);
    }
    if (r->text != PACKET_TEXT_IDS)
        send_words(r, ev->is_control ? "" : ev->text);
    r->stats.steps++;
    if (ev->has_sound)
        send_sound(r);
}

static void on_wake(void *state)
{
    struct packet_room *r = state;
    struct talk_event   ev;
    const char         *why;
    int                 code;

    while (!conn_is_backed_up(r->conn) && seat_pop(&r->seat, &ev))
        send_step(r, &ev);
    if (seat_is_over(&r->seat, &code, &why)) {
        packet_add_error(&r->payload, "talk_ended", why);
        send_meta(r);
        conn_end(r->conn, code, why);
    }
    pump(r);
}

static void on_tick(void *state, int64_t now_ns)
{
    struct packet_room *r = state;

    if (now_ns - r->last_packet_ns >= SILENCE_NS) {
        conn_end(r->conn, WS_CODE_GOING_AWAY, "30 s without a packet");
        return;
    }
    if (now_ns - r->last_beat_ns >= HEARTBEAT_NS) {
        r->last_beat_ns = now_ns;
        send_packet(r, PACKET_HEARTBEAT, bytes_of(NULL, 0));
    }
    on_wake(state);
}

static enum err open_room(void *state, struct conn *c, struct bytes query)
{
    struct packet_room *r = state;

    r->conn = c;
    r->last_packet_ns = r->last_beat_ns = os_now_ns();
    buf_init(&r->out, 2 * PACKET_PAYLOAD_MAX);
    buf_init(&r->payload, 16384);
    buf_init(&r->sentence, SENTENCE_MAX);
    return seat_open(&r->seat, c, AHEAD_SMP + MESSAGE_MAX / sizeof(float), NULL);
}

static void begin(void *state)
{
    struct packet_room *r = state;
    char                id[32];
    uint64_t            random = 0;

    if (os_random(&random, sizeof random) != OK)
        random = (uint64_t)os_now_ns();
    snprintf(id, sizeof id, "client_%08llx", (unsigned long long)(random & 0xffffffff));
    struct packet_welcome w = { .time_ms = (double)os_wall_ms(),
                                .rate_hz = r->seat.info.rate_hz,
                                .frame_smp = r->seat.info.frame_size,
                                .n_q = r->seat.info.n_q,
                                .text = r->text,
                                .client_id = id,
                                .message_cap = MESSAGE_MAX };
    packet_add_welcome(&r->payload, &w);
    send_meta(r);
}

static void close_room(void *state)
{
    struct packet_room *r = state;

    seat_close(&r->seat);
    buf_fini(&r->out);
    buf_fini(&r->payload);
    buf_fini(&r->sentence);
}

const struct room room_packet = {
    .name = "packet",
    .state_size = sizeof(struct packet_room),
    .open = open_room,
    .begin = begin,
    .on_message = on_message,
    .on_wake = on_wake,
    .on_tick = on_tick,
    .close = close_room,
};
