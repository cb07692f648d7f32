/* SPDX-License-Identifier: MIT */
#include "wire/packet.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/json.h"

#define META_LEN_MAX PACKET_PAYLOAD_MAX
#define RATE_HZ      24000

/* Heads. */

static double read_f64(const uint8_t *p)
{
    uint64_t bits = bytes_le(p, 8);
    double   v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

enum err packet_read_head(struct packet_head *h, struct bytes in)
{
    if (in.len < PACKET_HEAD_LEN)
        return ERR_FORMAT;
    struct bytes payload = bytes_of(in.p + PACKET_HEAD_LEN, in.len - PACKET_HEAD_LEN);
    if (bytes_le(in.p + 14, 2) != (payload.len & 0xFFFF))
        return ERR_FORMAT;
    if (in.p[0] == PACKET_ACK && payload.len != 4)
        return ERR_FORMAT;
    if (in.p[0] == PACKET_AUDIO_CHUNK && payload.len % 4 != 0)
        return ERR_FORMAT;

    *h = (struct packet_head){
        .type = in.p[0],
        .priority = in.p[1],
        .wants_ack = in.p[16] == 1, /* the clients test for exactly 1 */
        .seq = (uint32_t)bytes_le(in.p + 2, 4),
        .time_ms = read_f64(in.p + 6),
        .payload = payload,
    };
    if (h->type == PACKET_ACK)
        h->acked_seq = (uint32_t)bytes_le(payload.p, 4);
    return OK;
}

static uint8_t priority_of(enum packet_type type)
{
    switch (type) {
    case PACKET_AUDIO_CHUNK: return 0;
    case PACKET_ACK:
    case PACKET_TEXT_FINAL: return 1;
    case PACKET_TEXT_PARTIAL: return 2;
    case PACKET_HEARTBEAT:
    case PACKET_METADATA: break;
    }
    return 3;
}

static void add_head(struct buf *out, enum packet_type type, uint32_t seq, double time_ms,
                     size_t payload_len)
{
    uint8_t  head[PACKET_HEAD_LEN];
    uint64_t bits;

    memcpy(&bits, &time_ms, sizeof bits);
    head[0] = (uint8_t)type;
    head[1] = priority_of(type);
    bytes_put_le(head + 2, seq, 4);
    bytes_put_le(head + 6, bits, 8);
    bytes_put_le(head + 14, payload_len, 2);
    head[16] = type == PACKET_TEXT_FINAL;
    buf_add(out, head, sizeof head);
}

/* The packet is there whole or not at all. */
static enum err finish(struct buf *out, size_t len_before)
{
    if (buf_err(out))
        out->len = len_before;
    return buf_err(out);
}

enum err packet_write(struct buf *out, enum packet_type type, uint32_t seq, double time_ms,
                      struct bytes payload)
{
    size_t len_before = out->len;

    if (payload.len > PACKET_PAYLOAD_MAX)
        return ERR_LIMIT;
    add_head(out, type, seq, time_ms, payload.len);
    buf_add(out, payload.p, payload.len);
    return finish(out, len_before);
}

enum err packet_write_ack(struct buf *out, uint32_t seq, double time_ms, uint32_t acked_seq)
{
    uint8_t payload[4];

    bytes_put_le(payload, acked_seq, 4);
    return packet_write(out, PACKET_ACK, seq, time_ms, bytes_of(payload, sizeof payload));
}

/* Sound. */

static float tame(float v)
{
    return !isfinite(v) ? 0.0f : v > 1.0f ? 1.0f : v < -1.0f ? -1.0f : v;
}

enum err packet_write_audio(struct buf *out, uint32_t seq, double time_ms, const float *smp,
                            int n_smp)
{
    size_t len_before = out->len;

    must(n_smp >= 0 && n_smp <= PACKET_PAYLOAD_MAX / 4);
    add_head(out, PACKET_AUDIO_CHUNK, seq, time_ms, (size_t)n_smp * 4);
    for (int i = 0; i < n_smp; i++) {
        float    v = tame(smp[i]);
        uint32_t bits;
        uint8_t  le[4];
        memcpy(&bits, &v, sizeof bits);
        bytes_put_le(le, bits, 4);
        buf_add(out, le, sizeof le);
    }
    return finish(out, len_before);
}

int packet_copy_samples(float *out, int n_cap, struct bytes payload, size_t at)
{
    size_t n_all = payload.len / 4;
    size_t n = at < n_all ? n_all - at : 0;

    if (n > (size_t)(n_cap > 0 ? n_cap : 0))
        n = (size_t)(n_cap > 0 ? n_cap : 0);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)bytes_le(payload.p + 4 * (at + i), 4);
        float    v;
        memcpy(&v, &bits, sizeof v);
        out[i] = tame(v);
    }
    return (int)n;
}

/* Text. */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

enum err packet_read_ids(int *ids, int *n, int n_cap, struct bytes text)
{
    bool has_digit = false;

    *n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.p[i]) && !is_blank(text.p[i]))
            return ERR_FORMAT;
        has_digit = has_digit || is_digit(text.p[i]);
    }
    if (!has_digit)
        return ERR_FORMAT;

    for (size_t i = 0; i < text.len;) {
        if (is_blank(text.p[i])) {
            i++;
            continue;
        }
        int64_t v = 0;
        for (; i < text.len && is_digit(text.p[i]); i++) {
            v = v * 10 + (text.p[i] - '0');
            if (v > INT_MAX) {
                *n = 0;
                return ERR_LIMIT;
            }
        }
        if (*n == n_cap)
            return ERR_LIMIT;
        ids[(*n)++] = (int)v;
    }
    return OK;
}

/* Malformed packets. */

bool packet_faults_add(struct packet_faults *f, int64_t now_ns)
{
    int64_t *oldest = &f->at_ns[f->n % PACKET_FAULTS_MAX];
    bool     is_many = f->n >= PACKET_FAULTS_MAX && now_ns - *oldest <= PACKET_FAULTS_WINDOW_NS;

    *oldest = now_ns;
    f->n++;
    return is_many;
}

/* METADATA. */

const char *packet_text_mode_name(enum packet_text_mode mode)
{
    return mode == PACKET_TEXT_PIECES ? "pieces" : mode == PACKET_TEXT_BOTH ? "both" : "ids";
}

/* A member that is a whole number from 1 to INT_MAX; absent or null: dflt; anything else: 0. */
static int read_count(const json_t *obj, const char *key, int dflt)
{
    const json_t *v = json_object_get(obj, key);
    double        d = json_is_number(v) ? json_number_value(v) : 0;

    if (!v || json_is_null(v))
        return dflt;
    return d >= 1 && d <= INT_MAX && d == floor(d) ? (int)d : 0;
}

static bool is_pcm(const json_t *format)
{
    const char *name = json_string_value(format);

    if (!format || json_is_null(format))
        return true;
    return name && (strcmp(name, "pcm_f32") == 0 || strcmp(name, "pcm") == 0);
}

static void read_start(struct packet_meta *m, const json_t *config)
{
    const char *text = json_string_value(json_object_get(config, "text"));

    m->kind = PACKET_META_START;
    m->rate_hz = read_count(config, "sampleRate", RATE_HZ);
    m->is_pcm = is_pcm(json_object_get(config, "format"));
    for (enum packet_text_mode mode = PACKET_TEXT_IDS; text && mode <= PACKET_TEXT_BOTH; mode++)
        if (strcmp(text, packet_text_mode_name(mode)) == 0)
            m->text = mode;
}

void packet_read_meta(struct packet_meta *m, struct bytes payload)
{
    json_t *v = NULL;

    *m = (struct packet_meta){ .rate_hz = RATE_HZ, .is_pcm = true };
    if (json_parse(&v, payload, META_LEN_MAX, "metadata") != OK || !json_is_object(v)) {
        json_decref(v);
        return;
    }
    const char *type = json_string_value(json_object_get(v, "type"));
    m->kind = PACKET_META_OTHER;
    if (type && strcmp(type, "conversation_start") == 0)
        read_start(m, json_object_get(v, "config"));
    else if (type && strcmp(type, "stats_request") == 0)
        m->kind = PACKET_META_STATS;
    json_decref(v);
}

static const char *truth(bool v)
{
    return v ? "true" : "false";
}

static void add_member(struct buf *out, const char *name, const char *value)
{
    buf_add_fmt(out, ",\"%s\":", name);
    buf_add_json(out, value ? value : "", value ? strlen(value) : 0);
}

void packet_add_welcome(struct buf *out, const struct packet_welcome *w)
{
    buf_add_fmt(out, "{\"type\":\"connection_established\",\"serverTime\":%.0f,\"sampleRate\":%d",
                w->time_ms, w->rate_hz);
    buf_add_fmt(out, ",\"protocol\":1,\"frameSamples\":%d,\"nq\":%d", w->frame_smp, w->n_q);
    add_member(out, "textMode", packet_text_mode_name(w->text));
    add_member(out, "clientId", w->client_id);
    buf_add_fmt(out, ",\"limits\":{\"message\":%zu,\"payload\":%d}}", w->message_cap,
                PACKET_PAYLOAD_MAX);
}

void packet_add_caps(struct buf *out, const struct packet_caps *c)
{
    buf_add_fmt(out,
                "{\"type\":\"conversation_acknowledged\",\"capabilities\":"
                "{\"mlx\":%s,\"moshi\":%s,\"mimi\":%s}",
                truth(c->mlx), truth(c->moshi), truth(c->mimi));
    add_member(out, "textMode", packet_text_mode_name(c->text));
    buf_add_byte(out, '}');
}

void packet_add_degraded(struct buf *out, bool lm, bool mimi, const char *reason)
{
    buf_add_fmt(out, "{\"type\":\"degraded\",\"lm\":%s,\"mimi\":%s", truth(lm), truth(mimi));
    add_member(out, "reason", reason);
    buf_add_byte(out, '}');
}

void packet_add_error(struct buf *out, const char *code, const char *message)
{
    buf_add_str(out, "{\"type\":\"error\"");
    add_member(out, "code", code);
    add_member(out, "message", message);
    buf_add_byte(out, '}');
}

void packet_add_stats(struct buf *out, const struct packet_stats *s)
{
    const struct {
        const char *name;
        int64_t     value;
    } row[] = {
        { "framesIn", s->frames_in },
        { "steps", s->steps },
        { "audioSent", s->audio_sent },
        { "partialSent", s->partial_sent },
        { "inputDropped", s->input_dropped },
        { "partialDropped", 0 }, /* the protocol has them; nothing that goes out is dropped */
        { "decodeSkipped", 0 },
        { "audioDropped", 0 },
        { "malformed", s->malformed },
        { "remainderSamples", s->remainder_smp },
        { "delay", s->delay_frames },
        { "lagMs", s->lag_ms },
        { "stepMs", s->step_ms },
        { "framesWaiting", s->frames_waiting },
    };

    buf_add_str(out, "{\"type\":\"stats\"");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        buf_add_fmt(out, ",\"%s\":%lld", row[i].name, (long long)row[i].value);
    buf_add_byte(out, '}');
}
