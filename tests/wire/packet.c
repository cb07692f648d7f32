/* SPDX-License-Identifier: MIT */
#include "wire/packet.h"

#include <math.h>

#include "base/json.h"
#include "base/os.h"
#include "check.h"
#include "wire/cases.h"

#define TIME_MS 1700000000000.0

/* Facts: malformed | head type=.. priority=.. seq=.. time=.. ack=.. len=.. | acked N |
 * samples V ... | ids N ... | ids none | ids limit |
 * meta start rate=.. pcm=.. text=.. | meta stats | meta other | meta broken */

static void say_head(char *out, size_t cap, const struct packet_head *h)
{
    snprintf(out, cap, "type=0x%02x priority=%d seq=%u time=%.15g ack=%d len=%zu", h->type,
             h->priority, h->seq, h->time_ms, h->wants_ack, h->payload.len);
}

static void say_samples(char *out, size_t cap, const struct packet_head *h)
{
    float  smp[16];
    size_t len = 0;

    int n = packet_copy_samples(smp, 16, h->payload, 0);
    out[0] = 0;
    for (int i = 0; i < n; i++)
        len += (size_t)snprintf(out + len, cap - len, "%s%g", i ? " " : "", (double)smp[i]);
}

static void say_ids(char *out, size_t cap, const struct packet_head *h)
{
    int    ids[8], n = 0;
    size_t len = 0;

    enum err err = packet_read_ids(ids, &n, 8, h->payload);
    snprintf(out, cap, "%s", err == ERR_FORMAT ? "none" : err == ERR_LIMIT ? "limit" : "?");
    for (int i = 0; !err && i < n; i++)
        len += (size_t)snprintf(out + len, cap - len, "%s%d", i ? " " : "", ids[i]);
}

static void say_meta(char *out, size_t cap, const struct packet_head *h)
{
    struct packet_meta m;

    packet_read_meta(&m, h->payload);
    if (m.kind == PACKET_META_START)
        snprintf(out, cap, "start rate=%d pcm=%d text=%s", m.rate_hz, m.is_pcm,
                 packet_text_mode_name(m.text));
    else
        snprintf(out, cap, "%s",
                 m.kind == PACKET_META_STATS   ? "stats"
                 : m.kind == PACKET_META_OTHER ? "other"
                                               : "broken");
}

static void check_fact(const char *fact, struct bytes in)
{
    struct packet_head h;
    char               got[512] = "";
    char               kind[16];
    int                n_kind = 0;

    enum err err = packet_read_head(&h, in);
    if (strcmp(fact, "malformed") == 0) {
        CHECK(err == ERR_FORMAT);
        return;
    }
    CHECK(err == OK);
    must(sscanf(fact, "%15s %n", kind, &n_kind) == 1);
    const char *want = fact + n_kind;
    if (strcmp(kind, "head") == 0)
        say_head(got, sizeof got, &h);
    else if (strcmp(kind, "acked") == 0)
        snprintf(got, sizeof got, "%u", h.acked_seq);
    else if (strcmp(kind, "samples") == 0)
        say_samples(got, sizeof got, &h);
    else if (strcmp(kind, "ids") == 0)
        say_ids(got, sizeof got, &h);
    else if (strcmp(kind, "meta") == 0)
        say_meta(got, sizeof got, &h);
    else
        CHECK_STR(kind, "a kind of fact");
    CHECK_STR(got, want);
}

TEST(packet_reads_the_published_vectors)
{
    cases_run("tests/wire/packet/golden.txt", 9, check_fact);
}

TEST(packet_calls_malformed_what_the_contract_counts)
{
    cases_run("tests/wire/packet/malformed.txt", 12, check_fact);
}

TEST(packet_tolerates_what_other_clients_send)
{
    cases_run("tests/wire/packet/tolerated.txt", 17, check_fact);
}

TEST(packet_tames_samples)
{
    cases_run("tests/wire/packet/audio.txt", 3, check_fact);
}

TEST(packet_takes_numbers_as_ids)
{
    cases_run("tests/wire/packet/ids.txt", 14, check_fact);
}

TEST(packet_gives_the_first_ids_of_too_many)
{
    int ids[3], n = 9;

    CHECK_INT(packet_read_ids(ids, &n, 3, bytes_str("5 6 7 8 9")), ERR_LIMIT);
    CHECK_INT(n, 3);
    CHECK(ids[0] == 5 && ids[1] == 6 && ids[2] == 7);
    CHECK_INT(packet_read_ids(ids, &n, 3, bytes_str("5 2147483648")), ERR_LIMIT);
    CHECK_INT(n, 0);
    n = 9;
    CHECK_INT(packet_read_ids(ids, &n, 3, bytes_str("call 5")), ERR_FORMAT);
    CHECK_INT(n, 0);
}

TEST(packet_reads_what_clients_say_of_themselves)
{
    cases_run("tests/wire/packet/metadata.txt", 27, check_fact);
}

/* Writing. */

static void check_written(const struct buf *got, const char *hex)
{
    struct buf want;

    buf_init(&want, 1 << 16);
    cases_bytes(&want, hex);
    CHECK(buf_err(got) == OK);
    CHECK(bytes_equal(buf_view(got), buf_view(&want)));
    buf_fini(&want);
}

TEST(packet_writes_the_published_vectors)
{
    struct buf  b;
    const float smp[] = { 0, 1, -1, 0.5f };

    buf_init(&b, 1 << 16);
    CHECK(packet_write(&b, PACKET_HEARTBEAT, 7, TIME_MS, bytes_str("")) == OK);
    check_written(&b, "01 03 07000000 00008056febc7842 0000 00");
    buf_clear(&b);
    CHECK(packet_write_ack(&b, 9, TIME_MS, 2) == OK);
    check_written(&b, "02 01 09000000 00008056febc7842 0400 00 02000000");
    buf_clear(&b);
    CHECK(packet_write(&b, PACKET_TEXT_FINAL, 2, TIME_MS, bytes_str("hello")) == OK);
    check_written(&b, "21 01 02000000 00008056febc7842 0500 01 68656c6c6f");
    buf_clear(&b);
    CHECK(packet_write(&b, PACKET_TEXT_PARTIAL, 5, TIME_MS, bytes_str("3")) == OK);
    check_written(&b, "20 02 05000000 00008056febc7842 0100 00 33");
    buf_clear(&b);
    CHECK(packet_write_audio(&b, 3, TIME_MS, smp, 4) == OK);
    check_written(&b, "10 00 03000000 00008056febc7842 1000 00 "
                      "00000000 0000803f 000080bf 0000003f");
    buf_fini(&b);
}

TEST(packet_of_a_frame_has_7680_bytes_of_sound)
{
    struct buf         b;
    struct packet_head h;
    static float       smp[1920];

    buf_init(&b, 1 << 16);
    CHECK(packet_write_audio(&b, 3, TIME_MS, smp, 1920) == OK);
    CHECK_INT(b.len, 17 + 7680);
    CHECK(b.p[14] == 0x00 && b.p[15] == 0x1e);
    CHECK(packet_read_head(&h, buf_view(&b)) == OK);
    CHECK_INT(h.payload.len, 7680);
    buf_fini(&b);
}

TEST(packet_reads_a_length_that_wrapped)
{
    struct packet_head h;
    const size_t       len = 17 + 80000;
    uint8_t           *p = mem_zalloc(len);

    must(p);
    p[0] = PACKET_AUDIO_CHUNK;
    bytes_put_le(p + 14, 80000 % 65536, 2);
    CHECK(packet_read_head(&h, bytes_of(p, len)) == OK);
    CHECK_INT(h.payload.len, 80000);
    mem_free(p);
}

TEST(packet_never_writes_what_its_length_cannot_say)
{
    struct buf     b;
    static uint8_t big[PACKET_PAYLOAD_MAX + 1];

    buf_init(&b, 1 << 20);
    CHECK(packet_write(&b, PACKET_METADATA, 0, 0, bytes_of(big, sizeof big)) == ERR_LIMIT);
    CHECK_INT(b.len, 0);
    CHECK(packet_write(&b, PACKET_METADATA, 0, 0, bytes_of(big, sizeof big - 1)) == OK);
    buf_fini(&b);
}

TEST(packet_is_written_whole_or_not_at_all)
{
    struct buf  b;
    const float smp[4] = { 0 };

    buf_init(&b, 17 + 17 + 8);
    CHECK(packet_write(&b, PACKET_HEARTBEAT, 0, 0, bytes_str("")) == OK);
    CHECK(packet_write_audio(&b, 1, 0, smp, 4) == ERR_LIMIT);
    CHECK_INT(b.len, 17);
    buf_fini(&b);
}

TEST(packet_writes_only_tame_samples)
{
    struct buf         b;
    struct packet_head h;
    float              in[5] = { 3, -3, NAN, INFINITY, 0.5f }, out[5];

    buf_init(&b, 1 << 16);
    CHECK(packet_write_audio(&b, 0, 0, in, 5) == OK);
    CHECK(packet_read_head(&h, buf_view(&b)) == OK);
    CHECK_INT(packet_copy_samples(out, 5, h.payload, 0), 5);
    CHECK(out[0] == 1 && out[1] == -1 && out[2] == 0 && out[3] == 0 && out[4] == 0.5f);
    buf_fini(&b);
}

TEST(packet_copies_samples_in_parts)
{
    uint8_t payload[12];
    float   out[4] = { 9, 9, 9, 9 };

    for (int i = 0; i < 3; i++) {
        float    v = 0.25f * (float)(i + 1);
        uint32_t bits;
        memcpy(&bits, &v, 4);
        bytes_put_le(payload + 4 * i, bits, 4);
    }
    CHECK_INT(packet_copy_samples(out, 2, bytes_of(payload, 12), 0), 2);
    CHECK(out[0] == 0.25f && out[1] == 0.5f && out[2] == 9);
    CHECK_INT(packet_copy_samples(out, 2, bytes_of(payload, 12), 2), 1);
    CHECK(out[0] == 0.75f);
    CHECK_INT(packet_copy_samples(out, 2, bytes_of(payload, 12), 3), 0);
    CHECK_INT(packet_copy_samples(out, 0, bytes_of(payload, 12), 0), 0);
}

/* Malformed packets. */

TEST(packet_faults_close_at_the_101st_in_ten_seconds)
{
    struct packet_faults f = { 0 };
    const int64_t        ms = 1000000;

    for (int i = 0; i < 100; i++)
        CHECK(!packet_faults_add(&f, 5000 * ms + i * 99 * ms));
    CHECK(packet_faults_add(&f, 5000 * ms + 9999 * ms));
}

TEST(packet_faults_forget_what_is_long_ago)
{
    struct packet_faults f = { 0 };
    const int64_t        ms = 1000000;

    for (int i = 0; i < 1000; i++)
        CHECK(!packet_faults_add(&f, i * 101 * ms));
}

/* What we say. */

static json_t *parse(struct buf *b)
{
    json_t *v = NULL;

    CHECK(buf_err(b) == OK);
    CHECK(json_parse(&v, buf_view(b), 65536, "metadata") == OK);
    buf_clear(b);
    return v;
}

static void check_member(const json_t *v, const char *key, const char *want)
{
    const char *got = json_string_value(json_object_get(v, key));
    CHECK_STR(got ? got : "(none)", want);
}

TEST(packet_welcome_has_the_members_that_clients_know)
{
    struct buf            b;
    struct packet_welcome w = { .time_ms = TIME_MS,
                                .rate_hz = 24000,
                                .frame_smp = 1920,
                                .n_q = 8,
                                .client_id = "client_ab\"c",
                                .message_cap = 1 << 20 };

    buf_init(&b, 4096);
    packet_add_welcome(&b, &w);
    json_t *v = parse(&b);
    check_member(v, "type", "connection_established");
    CHECK(json_number_value(json_object_get(v, "serverTime")) == TIME_MS);
    CHECK_INT(json_integer_value(json_object_get(v, "sampleRate")), 24000);
    CHECK_INT(json_integer_value(json_object_get(v, "protocol")), 1);
    CHECK_INT(json_integer_value(json_object_get(v, "frameSamples")), 1920);
    CHECK_INT(json_integer_value(json_object_get(v, "nq")), 8);
    check_member(v, "textMode", "ids");
    check_member(v, "clientId", "client_ab\"c");
    const json_t *limits = json_object_get(v, "limits");
    CHECK_INT(json_integer_value(json_object_get(limits, "message")), 1 << 20);
    json_decref(v);
    buf_fini(&b);
}

TEST(packet_caps_tell_the_truth)
{
    struct buf b;

    buf_init(&b, 4096);
    packet_add_caps(&b, &(struct packet_caps){ .moshi = true, .text = PACKET_TEXT_BOTH });
    json_t       *v = parse(&b);
    const json_t *caps = json_object_get(v, "capabilities");
    check_member(v, "type", "conversation_acknowledged");
    check_member(v, "textMode", "both");
    CHECK(json_is_false(json_object_get(caps, "mlx")));
    CHECK(json_is_true(json_object_get(caps, "moshi")));
    CHECK(json_is_false(json_object_get(caps, "mimi")));
    json_decref(v);
    buf_fini(&b);
}

TEST(packet_says_degraded_and_error_in_words)
{
    struct buf b;

    buf_init(&b, 4096);
    packet_add_degraded(&b, false, true, "tensor 'a' is \xFF missing");
    json_t *v = parse(&b);
    check_member(v, "type", "degraded");
    check_member(v, "reason", "tensor 'a' is \xEF\xBF\xBD missing");
    CHECK(json_is_false(json_object_get(v, "lm")) && json_is_true(json_object_get(v, "mimi")));
    json_decref(v);
    packet_add_error(&b, "busy", "all lanes are taken");
    v = parse(&b);
    check_member(v, "type", "error");
    check_member(v, "code", "busy");
    check_member(v, "message", "all lanes are taken");
    json_decref(v);
    buf_fini(&b);
}

static const char *const stats_names[] = { "framesIn",         "steps",        "audioSent",
                                           "partialSent",      "inputDropped", "malformed",
                                           "remainderSamples", "delay",        "lagMs",
                                           "stepMs",           "framesWaiting" };

static const char *const never_names[] = { "partialDropped", "decodeSkipped", "audioDropped" };

TEST(packet_stats_name_every_figure)
{
    struct buf          b;
    struct packet_stats s = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };

    buf_init(&b, 4096);
    packet_add_stats(&b, &s);
    json_t *v = parse(&b);
    check_member(v, "type", "stats");
    for (int i = 0; i < 11; i++)
        CHECK_INT(json_integer_value(json_object_get(v, stats_names[i])), i + 1);
    for (int i = 0; i < 3; i++) /* nothing that goes out is dropped, and clients look */
        CHECK(json_is_integer(json_object_get(v, never_names[i])) &&
              json_integer_value(json_object_get(v, never_names[i])) == 0);
    json_decref(v);
    buf_fini(&b);
}
