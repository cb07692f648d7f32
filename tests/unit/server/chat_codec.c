/* SPDX-License-Identifier: MIT */
#include "server/chat_codec.h"

#include <math.h>

#include "base/os.h"
#include "check.h"
#include "media/opus.h"

#define RATE   24000
#define FRAME  1920
#define PACKET 960
#define SLOW   20000000000LL

static atomic_int n_wake;

static void wake(void *arg)
{
    atomic_fetch_add(&n_wake, 1);
}

static void nap(int64_t end_ns)
{
    CHECK(os_now_ns() < end_ns);
    os_sleep_until_ns(os_now_ns() + 200000);
}

static void fill(float *pcm, int n, int from)
{
    for (int i = 0; i < n; i++)
        pcm[i] = 0.3f * sinf((float)(from + i) * 0.1f) * sinf((float)(from + i) * 0.0011f);
}

static size_t copy(uint8_t *to, const struct chat_said *said)
{
    size_t len = 0;

    for (int i = 0; i < said->n_packet; len += said->packet[i++].len)
        memcpy(to + len, said->packet[i].p, said->packet[i].len);
    return len;
}

/* The next step, waited for. */
static const struct chat_said *pop(struct chat_line *l)
{
    const struct chat_said *said = NULL;
    int64_t                 end_ns = os_now_ns() + SLOW;

    while (!(said = chat_line_pop(l)) && os_now_ns() < end_ns)
        nap(end_ns);
    CHECK(said);
    return said;
}

TEST(steps_become_the_packets_of_one_encoder_in_order)
{
    struct chat_codec *c;
    struct chat_line  *l;
    struct opus_enc   *enc;
    float              pcm[FRAME];
    uint8_t            want[2 * OPUS_MAX_PACKET], have[2 * OPUS_MAX_PACKET];
    char               text[16];

    CHECK(chat_codec_open(&c, wake, NULL) == OK);
    CHECK(chat_line_open(&l, c, RATE, FRAME, 0) == OK);
    CHECK(opus_enc_open(&enc, RATE) == OK);
    for (int i = 0; i < 40; i++) {
        size_t len = 0, n;
        fill(pcm, FRAME, i * FRAME);
        for (int k = 0; k < 2; k++, len += n)
            CHECK(opus_enc_step(enc, want + len, &n, pcm + k * PACKET, PACKET) == OK);
        CHECK(chat_line_can_say(l));
        snprintf(text, sizeof text, "word %d", i);
        chat_line_say(l, pcm, text);
        chat_line_say(l, NULL, "only words");
        const struct chat_said *said = pop(l);
        CHECK_STR(said->text, text);
        CHECK_INT(said->n_packet, 2);
        CHECK_INT(said->n_48k, 1920);
        CHECK_INT(copy(have, said), len);
        CHECK(memcmp(want, have, len) == 0);
        said = pop(l);
        CHECK_INT(said->n_packet, 0);
        CHECK_STR(said->text, "only words");
    }
    CHECK(atomic_load(&n_wake) > 0);
    opus_enc_close(&enc);
    chat_line_close(&l);
    CHECK(!l);
    chat_codec_close(&c);
    CHECK(!c);
}

TEST(packets_become_samples_and_broken_ones_gaps)
{
    struct chat_codec *c;
    struct chat_line  *l;
    struct opus_enc   *enc;
    struct opus_dec   *dec;
    static float       pcm[PACKET], want[5760], have[5760];
    uint8_t            packet[OPUS_MAX_PACKET];
    size_t             len;
    int                n;

    CHECK(chat_codec_open(&c, wake, NULL) == OK);
    CHECK(chat_line_open(&l, c, RATE, FRAME, 0) == OK);
    CHECK(opus_enc_open(&enc, RATE) == OK && opus_dec_open(&dec, RATE) == OK);
    for (int i = 0; i < 100; i++) {
        int64_t end_ns = os_now_ns() + SLOW;
        fill(pcm, PACKET, i * PACKET);
        CHECK(opus_enc_step(enc, packet, &len, pcm, PACKET) == OK);
        CHECK(opus_dec_step(dec, want, &n, bytes_of(packet, len)) == OK);
        while (!chat_line_can_hear(l))
            nap(end_ns);
        chat_line_hear(l, bytes_of(packet, len));
        if (chat_line_can_hear(l))
            chat_line_hear(l, bytes_of("\x03", 1));
        for (size_t at = 0; at < (size_t)n && os_now_ns() < end_ns;) {
            size_t got = chat_line_pop_samples(l, have + at, (size_t)n - at);
            at += got;
            if (got == 0)
                nap(end_ns);
        }
        CHECK(memcmp(want, have, (size_t)n * sizeof *want) == 0);
    }
    opus_enc_close(&enc);
    opus_dec_close(&dec);
    chat_line_close(&l);
    chat_codec_close(&c);
}

/* Nobody takes what a line makes: it fills up and says so, and the others go on. */
TEST(a_line_that_is_not_read_holds_nobody_up)
{
    struct chat_codec *c;
    struct chat_line  *stuck, *l;
    static float       pcm[FRAME];
    const uint8_t      silence[] = { 0x08 };
    int64_t            end_ns = os_now_ns() + SLOW;
    int                n_said = 0, n_heard = 0;

    CHECK(chat_codec_open(&c, wake, NULL) == OK);
    CHECK(chat_line_open(&stuck, c, RATE, FRAME, 0) == OK);
    CHECK(chat_line_open(&l, c, RATE, FRAME, 1) == OK);
    for (int quiet = 0; quiet < 50; quiet++) {
        for (; chat_line_can_say(stuck); n_said++, quiet = 0)
            chat_line_say(stuck, pcm, "");
        for (; chat_line_can_hear(stuck); n_heard++, quiet = 0)
            chat_line_hear(stuck, bytes_of(silence, 1));
        nap(end_ns);
    }
    CHECK(n_said >= 8 && n_said < 40 && n_heard >= 16 && n_heard < 200);
    for (int i = 0; i < 20; i++) {
        chat_line_say(l, pcm, "");
        CHECK_INT(pop(l)->n_packet, 2);
    }
    /* Read again, it goes on where it was. */
    for (int i = 0; i < n_said; i++)
        CHECK_INT(pop(stuck)->n_packet, 2);
    CHECK(chat_line_can_say(stuck));
    chat_line_close(&stuck);
    chat_line_close(&l);
    chat_codec_close(&c);
}

TEST(frames_that_are_no_whole_packets_are_joined)
{
    struct chat_codec *c;
    struct chat_line  *l;
    float              pcm[600] = { 0 };
    int                n_packet = 0;

    CHECK(chat_codec_open(&c, wake, NULL) == OK);
    CHECK(chat_line_open(&l, c, RATE, 600, 0) == OK);
    for (int i = 0; i < 8; i++) {
        chat_line_say(l, pcm, "");
        n_packet += pop(l)->n_packet;
    }
    CHECK_INT(n_packet, 8 * 600 / 480);
    CHECK(chat_line_open(&l, c, 44100, 600, 0) == ERR_FAIL);
    chat_line_close(&l);
    chat_codec_close(&c);
}

TEST(lines_come_and_go_at_any_moment)
{
    struct chat_codec *c;
    static float       pcm[FRAME];
    size_t             n_live = mem_live_count();

    CHECK(chat_codec_open(&c, wake, NULL) == OK);
    for (int i = 0; i < 60; i++) {
        struct chat_line *l;
        CHECK(chat_line_open(&l, c, RATE, FRAME, i) == OK);
        for (int k = 0; k < i % 7 && chat_line_can_say(l); k++)
            chat_line_say(l, pcm, "");
        if (i % 3 == 0)
            pop(i % 7 ? l : (chat_line_say(l, pcm, ""), l));
        chat_line_close(&l);
    }
    chat_codec_stop(c);
    chat_codec_close(&c);
    CHECK_INT(mem_live_count(), n_live);
}

TEST(out_of_memory_opens_no_line)
{
    struct chat_codec *c = NULL;
    struct chat_line  *l = NULL;
    enum err           err = ERR_NOMEM;

    for (long n = 0; err && n < 100; n++) {
        mem_fail_after(n);
        err = chat_codec_open(&c, wake, NULL);
        if (!err)
            err = chat_line_open(&l, c, RATE, FRAME, 0);
        mem_fail_after(-1);
        chat_line_close(&l);
        chat_codec_close(&c);
    }
    CHECK(!err);
}
