/* SPDX-License-Identifier: MIT */
/* wav: makes WAV files byte by byte, right and wrong ones. Include it behind check.h. */
#ifndef TESTS_UNIT_MEDIA_WAV_H
#define TESTS_UNIT_MEDIA_WAV_H

#include "base/buf.h"
#include "check.h"

struct wav_spec {
    int      format; /* 1: pcm, 3: float */
    int      n_channel, rate_hz, n_bit;
    uint32_t data_size; /* what the head says; 0: the truth */
    bool     has_list;  /* a chunk of odd length before the data */
    bool     has_no_data;
};

static void wav_chunk(struct buf *b, const char *id, uint32_t size)
{
    uint8_t le[4];

    buf_add(b, id, 4);
    bytes_put_le(le, size, 4);
    buf_add(b, le, 4);
}

static void wav_number(struct buf *b, uint64_t v, int n)
{
    uint8_t le[8];

    bytes_put_le(le, v, n);
    buf_add(b, le, (size_t)n);
}

/* The whole file; data is as it lies in it. */
static void wav_make(struct buf *b, const struct wav_spec *s, const void *data, size_t len)
{
    int block = s->n_channel * s->n_bit / 8;

    buf_init(b, 64 << 20);
    wav_chunk(b, "RIFF", (uint32_t)(36 + (s->has_list ? 12 : 0) + len));
    buf_add(b, "WAVE", 4);
    wav_chunk(b, "fmt ", 16);
    wav_number(b, (uint64_t)s->format, 2);
    wav_number(b, (uint64_t)s->n_channel, 2);
    wav_number(b, (uint64_t)s->rate_hz, 4);
    wav_number(b, (uint64_t)s->rate_hz * (uint64_t)block, 4);
    wav_number(b, (uint64_t)block, 2);
    wav_number(b, (uint64_t)s->n_bit, 2);
    if (s->has_list) {
        wav_chunk(b, "LIST", 3);
        buf_add(b, "odd\0", 4);
    }
    if (s->has_no_data)
        return;
    wav_chunk(b, "data", s->data_size ? s->data_size : (uint32_t)len);
    buf_add(b, data, len);
    must(buf_err(b) == OK);
}

#endif
