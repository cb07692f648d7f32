/* SPDX-License-Identifier: MIT */
/* ogg: Ogg/Opus streams in memory (libogg), the way Kyutai's clients need them (RFC 3533, RFC
 * 7845; docs/protocol.md, "Kyutai chat"): OpusHead is page 0, OpusTags page 1, then one packet a
 * page, granules in 48 kHz units. One thread at a time.
 */
#ifndef WIRE_OGG_H
#define WIRE_OGG_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Writing: every call appends whole pages to out. */
struct ogg_out;

enum err ogg_out_open(struct ogg_out **out, uint32_t serial) MUST_CHECK;
void     ogg_out_close(struct ogg_out **o);
/* The two header pages, mono. rate_hz: what the head says of the original. */
enum err ogg_out_head(struct ogg_out *o, struct buf *out, int rate_hz, const char *vendor)
    MUST_CHECK;
/* One packet on a page of its own; n_48k: its duration in 48 kHz samples. */
enum err ogg_out_packet(struct ogg_out *o, struct buf *out, struct bytes packet, int n_48k)
    MUST_CHECK;

/* Reading: fed bytes in any pieces. Garbage between pages and pages with a wrong checksum are
 * skipped; OpusHead and OpusTags are recognised by their magic and not given; a packet above 64 KiB
 * is dropped. A new beginning of stream starts over. */
struct ogg_in;

enum err ogg_in_open(struct ogg_in **out) MUST_CHECK;
void     ogg_in_close(struct ogg_in **o);
enum err ogg_in_feed(struct ogg_in *o, struct bytes in)
    MUST_CHECK; /* copies; ERR_NOMEM, ERR_LIMIT */
/* The next Opus packet, a view until the next call. ERR_AGAIN: feed more. */
enum err ogg_in_packet(struct ogg_in *o, struct bytes *packet) MUST_CHECK;
size_t   ogg_in_waiting(const struct ogg_in *o); /* bytes that were fed and are not packets yet */

#endif
