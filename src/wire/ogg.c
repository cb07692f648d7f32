/* SPDX-License-Identifier: MIT */
#include "wire/ogg.h"

#include <ogg/ogg.h>
#include <string.h>

#include "base/mem.h"

#define PACKET_MAX  (64 * 1024)
#define PENDING_MAX (2 << 20) /* bytes fed and not read yet */
#define WRONG_MAX   64        /* beginnings of pages in a row that are none */
#define PRE_SKIP    3840      /* 80 ms at 48 kHz, as the reference's writers say */

struct ogg_out {
    ogg_stream_state stream;
    int64_t          granule;
    int64_t          n_packet;
};

struct ogg_in {
    ogg_sync_state   sync;
    ogg_stream_state stream;
    bool             has_stream;
    size_t           n_gathered; /* bytes of pages since the last packet */
};

enum err ogg_out_open(struct ogg_out **out, uint32_t serial)
{
    struct ogg_out *o = mem_zalloc(sizeof *o);
    if (!o)
        return ERR_NOMEM;
    if (ogg_stream_init(&o->stream, (int)serial) != 0) {
        mem_free(o);
        return ERR_NOMEM;
    }
    *out = o;
    return OK;
}

void ogg_out_close(struct ogg_out **o)
{
    if (!*o)
        return;
    ogg_stream_clear(&(*o)->stream);
    mem_free(*o);
    *o = NULL;
}

static enum err write_page(struct ogg_out *o, struct buf *out, struct bytes packet)
{
    ogg_packet p = { .packet = (unsigned char *)packet.p,
                     .bytes = (long)packet.len,
                     .b_o_s = o->n_packet == 0,
                     .granulepos = o->granule,
                     .packetno = o->n_packet };
    ogg_page   page;

    o->n_packet++;
    if (ogg_stream_packetin(&o->stream, &p) != 0)
        return ERR_NOMEM;
    while (ogg_stream_flush(&o->stream, &page) != 0) {
        buf_add(out, page.header, (size_t)page.header_len);
        buf_add(out, page.body, (size_t)page.body_len);
    }
    return buf_err(out);
}

enum err ogg_out_head(struct ogg_out *o, struct buf *out, int rate_hz, const char *vendor)
{
    uint8_t head[19] = "OpusHead", tags[256] = "OpusTags";
    size_t  len = strnlen(vendor, sizeof tags - 16);

    head[8] = 1; /* version */
    head[9] = 1; /* channels */
    bytes_put_le(head + 10, PRE_SKIP, 2);
    bytes_put_le(head + 12, (uint64_t)rate_hz, 4);
    bytes_put_le(tags + 8, len, 4);
    memcpy(tags + 12, vendor, len);
    bytes_put_le(tags + 12 + len, 0, 4);
    enum err err = write_page(o, out, bytes_of(head, sizeof head));
    return err ? err : write_page(o, out, bytes_of(tags, 16 + len));
}

enum err ogg_out_packet(struct ogg_out *o, struct buf *out, struct bytes packet, int n_48k)
{
    o->granule += n_48k;
    return write_page(o, out, packet);
}

enum err ogg_in_open(struct ogg_in **out)
{
    struct ogg_in *o = mem_zalloc(sizeof *o);
    if (!o)
        return ERR_NOMEM;
    ogg_sync_init(&o->sync);
    *out = o;
    return OK;
}

void ogg_in_close(struct ogg_in **o)
{
    if (!*o)
        return;
    ogg_sync_clear(&(*o)->sync);
    if ((*o)->has_stream)
        ogg_stream_clear(&(*o)->stream);
    mem_free(*o);
    *o = NULL;
}

enum err ogg_in_feed(struct ogg_in *o, struct bytes in)
{
    if (in.len == 0) /* the library would have no room to give for it */
        return OK;
    if (in.len > PENDING_MAX || o->sync.fill - o->sync.returned > (int)(PENDING_MAX - in.len))
        return err_set(ERR_LIMIT, "more than %d bytes of Ogg wait to be read", PENDING_MAX);
    char *room = ogg_sync_buffer(&o->sync, (long)in.len);
    if (!room)
        return ERR_NOMEM;
    memcpy(room, in.p, in.len);
    return ogg_sync_wrote(&o->sync, (long)in.len) == 0 ? OK : ERR_NOMEM;
}

static enum err take_page(struct ogg_in *o, ogg_page *page)
{
    int serial = ogg_page_serialno(page);

    if (o->has_stream && (ogg_page_bos(page) || serial != o->stream.serialno)) {
        ogg_stream_clear(&o->stream);
        o->has_stream = false;
    }
    if (!o->has_stream) {
        if (ogg_stream_init(&o->stream, serial) != 0)
            return ERR_NOMEM;
        o->has_stream = true;
        o->n_gathered = 0;
    }
    o->n_gathered += (size_t)page->body_len;
    if (o->n_gathered > PACKET_MAX + 65536) {
        ogg_stream_reset(&o->stream);
        o->n_gathered = 0;
    }
    ogg_stream_pagein(&o->stream, page); /* a page that does not fit is passed over */
    return OK;
}

static bool is_capture(const ogg_sync_state *s)
{
    return s->fill - s->returned >= 4 && memcmp(s->data + s->returned, "OggS", 4) == 0;
}

/* Bytes that only look like pages cost a checksum each, of up to 64 KiB: after WRONG_MAX of them in
 * a row all that waits is thrown away. */
static enum err next_page(struct ogg_in *o, ogg_page *page)
{
    for (int n_wrong = 0; n_wrong < WRONG_MAX;) {
        bool is_page = is_capture(&o->sync);
        long n = ogg_sync_pageseek(&o->sync, page);
        if (n == 0)
            return ERR_AGAIN;
        if (n > 0)
            return OK;
        n_wrong += is_page;
    }
    ogg_sync_reset(&o->sync);
    return ERR_AGAIN;
}

static bool is_header(const ogg_packet *p)
{
    return p->bytes >= 8 &&
           (memcmp(p->packet, "OpusHead", 8) == 0 || memcmp(p->packet, "OpusTags", 8) == 0);
}

enum err ogg_in_packet(struct ogg_in *o, struct bytes *packet)
{
    for (;;) {
        ogg_packet p;
        ogg_page   page;
        int        got = o->has_stream ? ogg_stream_packetout(&o->stream, &p) : 0;

        if (got > 0) {
            o->n_gathered = 0;
            if (is_header(&p))
                continue;
            *packet = bytes_of(p.packet, (size_t)p.bytes);
            return OK;
        }
        if (got < 0) /* a page is missing: what follows is whole again */
            continue;
        enum err err = next_page(o, &page);
        if (!err)
            err = take_page(o, &page);
        if (err)
            return err;
    }
}

size_t ogg_in_waiting(const struct ogg_in *o)
{
    return (size_t)(o->sync.fill - o->sync.returned);
}
