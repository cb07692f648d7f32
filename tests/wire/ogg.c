/* SPDX-License-Identifier: MIT */
#include "wire/ogg.h"

#include "check.h"
#include "wire/cases.h"

/* The lengths of all packets when in comes in pieces of that size. */
static void read_stream(struct buf *out, struct bytes in, size_t piece)
{
    struct ogg_in *o;
    struct bytes   packet;

    CHECK(ogg_in_open(&o) == OK);
    buf_add_str(out, "packets");
    for (size_t at = 0; at < in.len; at += piece) {
        size_t   n = in.len - at < piece ? in.len - at : piece;
        enum err err = ogg_in_feed(o, bytes_of(in.p + at, n));
        while (!err && (err = ogg_in_packet(o, &packet)) == OK)
            buf_add_fmt(out, " %zu", packet.len);
        CHECK_INT(err, ERR_AGAIN);
    }
    buf_add_byte(out, 0);
    ogg_in_close(&o);
    CHECK(!o);
}

static void check_fact(const char *fact, struct bytes in)
{
    static const size_t pieces[] = { 1 << 30, 4096, 100, 1 };

    for (int i = 0; i < (in.len > 100000 ? 2 : 4); i++) {
        struct buf got;
        buf_init(&got, 1 << 16);
        read_stream(&got, in, pieces[i]);
        CHECK_STR((const char *)got.p, fact);
        buf_fini(&got);
    }
}

TEST(ogg_reads_streams_in_any_pieces)
{
    cases_run("tests/wire/ogg/streams.txt", 19, check_fact);
}

TEST(ogg_takes_nothing_as_well)
{
    struct ogg_in *o;
    struct bytes   packet;

    CHECK(ogg_in_open(&o) == OK);
    CHECK_INT(ogg_in_feed(o, bytes_of(NULL, 0)), OK);
    CHECK_INT(ogg_in_packet(o, &packet), ERR_AGAIN);
    CHECK_INT(ogg_in_feed(o, bytes_str("Ogg")), OK);
    CHECK_INT(ogg_in_feed(o, bytes_of(NULL, 0)), OK);
    CHECK_INT(ogg_in_waiting(o), 3);
    ogg_in_close(&o);
}

TEST(ogg_takes_no_more_than_it_has_room_for)
{
    struct ogg_in *o;
    uint8_t       *zeros = mem_zalloc(1 << 20);
    enum err       err = OK;

    must(zeros);
    CHECK(ogg_in_open(&o) == OK);
    for (int i = 0; i < 3 && !err; i++)
        err = ogg_in_feed(o, bytes_of(zeros, 1 << 20));
    CHECK_INT(err, ERR_LIMIT);
    ogg_in_close(&o);
    mem_free(zeros);
}

struct page {
    int          flags;
    int64_t      granule;
    uint32_t     serial, seq;
    struct bytes body;
};

/* The page at the front of *in, which goes on behind it. */
static struct page take_page(struct bytes *in)
{
    CHECK(in->len >= 27 && memcmp(in->p, "OggS", 5) == 0);
    size_t n_seg = in->p[26], len = 0;
    CHECK(in->len >= 27 + n_seg);
    for (size_t i = 0; i < n_seg; i++)
        len += in->p[27 + i];
    CHECK(in->len >= 27 + n_seg + len);
    struct page p = { in->p[5], (int64_t)bytes_le(in->p + 6, 8), (uint32_t)bytes_le(in->p + 14, 4),
                      (uint32_t)bytes_le(in->p + 18, 4), bytes_of(in->p + 27 + n_seg, len) };
    *in = bytes_of(in->p + 27 + n_seg + len, in->len - 27 - n_seg - len);
    return p;
}

TEST(ogg_writes_heads_then_a_packet_a_page)
{
    struct ogg_out *o;
    struct buf      out;
    static uint8_t  big[1275];

    buf_init(&out, 1 << 20);
    CHECK(ogg_out_open(&o, 42) == OK);
    CHECK(ogg_out_head(o, &out, 48000, "Parley") == OK);
    CHECK(ogg_out_packet(o, &out, bytes_str("one"), 1920) == OK);
    CHECK(ogg_out_packet(o, &out, bytes_of(big, sizeof big), 960) == OK);
    ogg_out_close(&o);
    CHECK(!o);

    struct bytes left = buf_view(&out);
    struct page  p = take_page(&left);
    CHECK(p.flags == 2 && p.seq == 0 && p.serial == 42 && p.granule == 0);
    CHECK(p.body.len == 19 && memcmp(p.body.p, "OpusHead\1\1\0\17\200\273\0\0\0\0\0", 19) == 0);
    p = take_page(&left);
    CHECK(p.flags == 0 && p.seq == 1 && p.granule == 0);
    CHECK(p.body.len == 22 && memcmp(p.body.p, "OpusTags\6\0\0\0Parley\0\0\0\0", 22) == 0);
    p = take_page(&left);
    CHECK(p.flags == 0 && p.seq == 2 && p.granule == 1920 && p.body.len == 3);
    p = take_page(&left);
    CHECK(p.flags == 0 && p.seq == 3 && p.granule == 2880 && p.body.len == sizeof big);
    CHECK_INT(left.len, 0);
    buf_fini(&out);
}

TEST(ogg_reads_what_it_writes)
{
    struct ogg_out *o;
    struct buf      out, got;

    buf_init(&out, 1 << 20);
    buf_init(&got, 1 << 16);
    CHECK(ogg_out_open(&o, 7) == OK);
    CHECK(ogg_out_head(o, &out, 24000, "a vendor") == OK);
    for (size_t len = 1; len < 600; len += 127)
        CHECK(ogg_out_packet(o, &out, bytes_of(out.p, len), 480) == OK);
    ogg_out_close(&o);
    read_stream(&got, buf_view(&out), 33);
    CHECK_STR((const char *)got.p, "packets 1 128 255 382 509");
    buf_fini(&out);
    buf_fini(&got);
}

TEST(ogg_out_says_when_its_buffer_is_full)
{
    struct ogg_out *o;
    struct buf      out;

    buf_init(&out, 60);
    CHECK(ogg_out_open(&o, 42) == OK);
    CHECK(ogg_out_head(o, &out, 48000, "Parley") == ERR_LIMIT);
    ogg_out_close(&o);
    buf_fini(&out);
}
