/* SPDX-License-Identifier: MIT */
/* Hostile voice packets. Seeds: the `in` lines of tests/wire/packet. */
#include <math.h>

#include "base/mem.h"
#include "wire/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void check_sound(struct bytes payload)
{
    float  smp[64];
    size_t at = 0;

    for (int n; (n = packet_copy_samples(smp, 64, payload, at)) > 0; at += (size_t)n)
        for (int i = 0; i < n; i++)
            must(isfinite(smp[i]) && fabsf(smp[i]) <= 1.0f);
    must(at == payload.len / 4);
}

/* What is read and written again reads the same. */
static void check_again(const struct packet_head *h)
{
    struct packet_head again;
    struct buf         b;

    buf_init(&b, PACKET_HEAD_LEN + PACKET_PAYLOAD_MAX);
    enum err err = packet_write(&b, (enum packet_type)h->type, h->seq, h->time_ms, h->payload);
    must(err == OK || (err == ERR_LIMIT && h->payload.len > PACKET_PAYLOAD_MAX));
    if (!err) {
        must(packet_read_head(&again, buf_view(&b)) == OK);
        must(again.type == h->type && again.seq == h->seq && again.priority <= 3);
        must(bytes_equal(again.payload, h->payload) && again.acked_seq == h->acked_seq);
    }
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    struct packet_head h;
    struct packet_meta m;
    int                ids[8], n;

    packet_read_meta(&m, bytes_of(p, len));
    must(m.rate_hz >= 0);
    if (packet_read_head(&h, bytes_of(p, len)) != OK)
        return 0;
    must(h.payload.len == len - PACKET_HEAD_LEN);
    check_sound(h.payload);
    check_again(&h);
    packet_read_meta(&m, h.payload);
    if (packet_read_ids(ids, &n, 8, h.payload) == OK) {
        must(n >= 1 && n <= 8);
        for (int i = 0; i < n; i++)
            must(ids[i] >= 0);
    }
    return 0;
}
