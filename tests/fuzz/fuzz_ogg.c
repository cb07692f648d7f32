/* SPDX-License-Identifier: MIT */
/* Hostile Ogg streams, and what comes out of them as Opus. Seeds: tests/wire/ogg. */
#include <math.h>

#include "base/mem.h"
#include "media/opus.h"
#include "wire/ogg.h"

#define PCM_MAX 2880 /* 120 ms at 24 kHz */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void decode(struct opus_dec *d, struct bytes packet)
{
    float pcm[PCM_MAX];
    int   n = -1;

    if (opus_dec_step(d, pcm, &n, packet) != OK)
        return;
    must(n > 0 && n <= PCM_MAX);
    for (int i = 0; i < n; i++)
        must(isfinite(pcm[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    struct ogg_in   *o;
    struct opus_dec *d;
    struct bytes     packet;
    size_t           piece = len ? (size_t)1 << p[len - 1] % 12 : 1;

    must(ogg_in_open(&o) == OK && opus_dec_open(&d, 24000) == OK);
    for (size_t at = 0; at < len; at += piece) {
        enum err err = ogg_in_feed(o, bytes_of(p + at, len - at < piece ? len - at : piece));
        while (!err && (err = ogg_in_packet(o, &packet)) == OK) {
            must(packet.len <= 130 * 1024);
            decode(d, packet);
        }
        must(err == ERR_AGAIN);
    }
    ogg_in_close(&o);
    opus_dec_close(&d);
    return 0;
}
