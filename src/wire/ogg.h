/* SPDX-License-Identifier: MIT */
/* ogg: pages of an Ogg/Opus stream as pure functions of bytes (RFC 3533, RFC 7845; what Kyutai's
 * clients need: spec/moshi-family.md 9.2, 9.3).
 */
#ifndef WIRE_OGG_H
#define WIRE_OGG_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Writing: one page holds whole packets and is appended to out as one run of bytes. */
struct ogg_writer {
    uint32_t serial;
    uint32_t sequence; /* of the next page */
    uint64_t granule;  /* 48 kHz units, after the last packet */
};
void ogg_write_head(struct buf *out, struct ogg_writer *w, int rate_hz); /* OpusHead: page 0 */
void ogg_write_tags(struct buf *out, struct ogg_writer *w, const char *vendor); /* page 1 */
/* One packet on its own page; n_48k: its duration in 48 kHz samples. */
void ogg_write_packet(struct buf *out, struct ogg_writer *w, struct bytes packet, int n_48k);

/* Reading: fed bytes in any pieces, gives Opus packets; OpusHead and OpusTags are recognised by their
 * magic and skipped. Garbage between pages is skipped up to the next capture pattern, pages with a
 * wrong checksum are dropped and counted. State is fixed-size: no allocation after init. */
#define OGG_READER_CAP 65536
struct ogg_reader {
    uint8_t  page[OGG_READER_CAP]; /* bytes of the page that is still incomplete */
    size_t   len;
    uint8_t  packet[8192]; /* a packet that goes on on the next page */
    size_t   packet_len;
    int      segment;      /* next lacing value of the page in front */
    size_t   body;         /* its place in page[] */
    bool     is_skipping;  /* inside a packet that is too long */
    unsigned n_bad;        /* pages dropped */
    unsigned channels;     /* of the OpusHead; 0 before it */
};
void ogg_reader_init(struct ogg_reader *r);
/* Takes as many bytes of *in as fit and moves *in on. OK: *packet is a view until the next call; call
 * again with what is left. ERR_AGAIN: *in is used up, bring more. */
enum err ogg_read_packet(struct bytes *packet, struct ogg_reader *r, struct bytes *in);

#endif
