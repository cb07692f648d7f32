/* SPDX-License-Identifier: MIT */
#include "media/opus.h"

#include <math.h>

#include "check.h"

/* Sound through encoder and decoder: the best correlation with what went in, and its lag. */
static double best_match(int rate_hz, int packet_smp, int *lag)
{
    enum { N = 48000 };
    static float     in[N], out[N + 5760];
    struct opus_enc *enc;
    struct opus_dec *dec;
    uint8_t          packet[OPUS_MAX_PACKET];
    int              n_out = 0;
    double           best = -1;

    for (int i = 0; i < N; i++)
        in[i] = 0.3f * (float)(sin(i * 0.1) * sin(i * 0.0007) + sin(i * 0.23) * sin(i * 0.0003));
    CHECK(opus_enc_open(&enc, rate_hz) == OK && opus_dec_open(&dec, rate_hz) == OK);
    for (int at = 0; at + packet_smp <= N; at += packet_smp) {
        size_t len;
        int    n;
        CHECK(opus_enc_step(enc, packet, &len, in + at, packet_smp) == OK);
        CHECK(len > 0 && len <= OPUS_MAX_PACKET);
        CHECK(opus_dec_step(dec, out + n_out, &n, bytes_of(packet, len)) == OK);
        CHECK_INT(n, packet_smp);
        n_out += n;
    }
    for (int l = 0; l < rate_hz / 50; l++) {
        double xy = 0, xx = 0, yy = 0;
        for (int i = 4800; i < 40000; i++) {
            xy += (double)in[i] * (double)out[i + l];
            xx += (double)in[i] * (double)in[i];
            yy += (double)out[i + l] * (double)out[i + l];
        }
        if (xy / sqrt(xx * yy + 1e-30) > best) {
            best = xy / sqrt(xx * yy + 1e-30);
            *lag = l;
        }
    }
    opus_enc_close(&enc);
    opus_dec_close(&dec);
    CHECK(!enc && !dec);
    return best;
}

TEST(opus_gives_back_what_it_took)
{
    int    lag = -1;
    double match = best_match(24000, 960, &lag);

    printf("# correlation %.4f at a lag of %d samples\n", match, lag);
    CHECK(match > 0.95);
    CHECK(lag > 0 && lag < 24000 / 50);
    CHECK(best_match(48000, 960, &lag) > 0.95);
}

TEST(opus_refuses_packets_that_are_none)
{
    struct opus_dec *d;
    static float     pcm[5760];
    int              n = -1;
    const uint8_t    too_long[] = { 0x1b, 0x3f }; /* 63 frames of 60 ms */

    CHECK(opus_dec_open(&d, 24000) == OK);
    CHECK(opus_dec_step(d, pcm, &n, bytes_of("", 0)) == ERR_FORMAT);
    CHECK(opus_dec_step(d, pcm, &n, bytes_of(too_long, 2)) == ERR_FORMAT);
    CHECK(opus_dec_step(d, pcm, &n, bytes_of("\x03", 1)) == ERR_FORMAT);
    CHECK_INT(n, -1);
    CHECK(opus_dec_step(d, pcm, &n, bytes_of("\x08", 1)) == OK); /* 20 ms without bytes */
    CHECK_INT(n, 480);
    opus_dec_close(&d);
}

TEST(opus_knows_its_rates)
{
    struct opus_enc *e = NULL;
    struct opus_dec *d = NULL;

    CHECK(opus_enc_open(&e, 22050) == ERR_FAIL && !e);
    CHECK(opus_dec_open(&d, 44100) == ERR_FAIL && !d);
    CHECK(opus_enc_open(&e, 24000) == OK);
    uint8_t packet[OPUS_MAX_PACKET];
    size_t  len;
    CHECK(opus_enc_step(e, packet, &len, (const float[7]){ 0 }, 7) == ERR_FAIL);
    opus_enc_close(&e);
}
