/* SPDX-License-Identifier: MIT */
#include "media/audio_whole.h"

#define UNKNOWN_SIZE 0x7ffff000u /* writers to a pipe leave such a size in the head */
#define OGG_HEAD     27
#define MP3_TRIMMED  8 /* frames that decoders may leave out at both ends, where the file says so */
#define MP3_LATE     2 /* and else */

static enum err cut_short(const char *path)
{
    return err_set(ERR_FORMAT, "%s: the file is cut short", path);
}

static bool begins(struct bytes in, size_t at, const char *magic)
{
    size_t len = strlen(magic);

    return at + len <= in.len && memcmp(in.p + at, magic, len) == 0;
}

/* WAV. */

static enum err check_riff(struct bytes in, const char *path)
{
    for (size_t at = 12; at + 8 <= in.len;) {
        uint64_t size = bytes_le(in.p + at + 4, 4);
        bool     is_data = begins(in, at, "data");
        if (is_data && size < UNKNOWN_SIZE && at + 8 + size > in.len)
            return cut_short(path);
        if (is_data)
            return OK;
        at += 8 + size + (size & 1);
    }
    return err_set(ERR_FORMAT, "%s: a WAV file without sound", path);
}

/* Ogg. */

/* Bytes of the page at this place; 0: its end is beyond the file's. */
static size_t ogg_page_len(struct bytes in, size_t at)
{
    if (at + OGG_HEAD > in.len || at + OGG_HEAD + in.p[at + 26] > in.len)
        return 0;
    size_t n_segment = in.p[at + 26], len = OGG_HEAD + n_segment;
    for (size_t i = 0; i < n_segment; i++)
        len += in.p[at + OGG_HEAD + i];
    return at + len <= in.len ? len : 0;
}

/* Tags of other programs may follow the last page. That it says to be the last is not asked for:
 * what was recorded from a live stream, also one of ours, has no such page. */
static enum err check_ogg(struct bytes in, const char *path)
{
    for (size_t at = 0, len; begins(in, at, "OggS"); at += len) {
        len = ogg_page_len(in, at);
        if (len == 0)
            return cut_short(path);
    }
    return OK;
}

/* MP3. */

struct mp3_frame {
    size_t   len;
    int      n_smp;
    bool     is_mono;
    bool     has_crc;
    uint32_t kind; /* equal in all frames of a stream: version, layer and rate */
};

/* False: no head of a layer III frame, or one that does not say how long the frame is. */
static bool read_mp3_head(struct mp3_frame *f, struct bytes in, size_t at)
{
    static const int kbps[2][16] = {
        { 0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0 },
        { 0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0 },
    };
    static const int rate_hz[4] = { 44100, 48000, 32000, 0 };

    if (in.len < 4 || at > in.len - 4)
        return false;
    uint32_t head = (uint32_t)bytes_be(in.p + at, 4);
    uint32_t version = head >> 19 & 3; /* 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5 */
    int      kb = kbps[version == 3][head >> 12 & 15], rate = rate_hz[head >> 10 & 3];

    if (head >> 21 != 0x7ff || version == 1 || (head >> 17 & 3) != 1 || kb == 0 || rate == 0)
        return false;
    rate >>= version == 3 ? 0 : version == 2 ? 1 : 2;
    *f = (struct mp3_frame){
        .n_smp = version == 3 ? 1152 : 576,
        .is_mono = (head >> 6 & 3) == 3,
        .has_crc = !(head >> 16 & 1),
        .kind = head & 0xfffe0c00,
    };
    f->len = (size_t)(f->n_smp / 8 * kb * 1000 / rate) + (head >> 9 & 1);
    return true;
}

/* Where the frames begin: after tags, and the zeros that fill these up. */
static size_t skip_id3(struct bytes in)
{
    size_t at = 0;

    while (begins(in, at, "ID3") && at + 10 <= in.len) {
        const uint8_t *s = in.p + at + 6; /* seven bits a byte */
        size_t         len = (size_t)(s[0] & 127) << 21 | (size_t)(s[1] & 127) << 14 |
                     (size_t)(s[2] & 127) << 7 | (size_t)(s[3] & 127);
        at += 10 + len + (in.p[at + 5] & 0x10 ? 10 : 0);
    }
    while (at < in.len && in.p[at] == 0)
        at++;
    return at;
}

/* Where the first frame may hold what its encoder says of the others. */
static size_t mp3_tag_at(const struct mp3_frame *f)
{
    size_t side = f->n_smp == 1152 ? (f->is_mono ? 17 : 32) : (f->is_mono ? 9 : 17);

    return 4 + side + (f->has_crc ? 2 : 0);
}

/* The number of frames that is said there; 0: none. */
static int64_t mp3_said(struct bytes in, size_t at, const struct mp3_frame *f)
{
    size_t tag = at + mp3_tag_at(f);

    if (tag + 12 > in.len || !(begins(in, tag, "Xing") || begins(in, tag, "Info")) ||
        !(in.p[tag + 7] & 1))
        return 0;
    return (int64_t)bytes_be(in.p + tag + 8, 4);
}

/* A frame that says the number. */
static void make_mp3_head(struct audio_whole *w, struct bytes in, size_t at, int64_t n_frame)
{
    struct mp3_frame f;
    uint32_t         head = (uint32_t)bytes_be(in.p + at, 4);

    memset(w->head, 0, sizeof w->head);
    bytes_put_be(w->head, (head & ~0xf200u) | 0x18000, 4); /* middle bit rate, no CRC */
    if (!read_mp3_head(&f, bytes_of(w->head, 4), 0) || f.len > sizeof w->head)
        return;
    uint8_t *tag = w->head + mp3_tag_at(&f);
    memcpy(tag, "Xing\0\0\0\1", 8);
    bytes_put_be(tag + 8, (uint64_t)n_frame, 4);
    w->head_len = f.len;
    w->n_skip = at;
}

/* Does the stream go on somewhere behind this place? Three frames in a row are no chance. Tags
 * stand between two files that somebody has joined. */
static bool has_gap(struct bytes in, size_t at, uint32_t kind)
{
    struct mp3_frame f;

    for (; at < in.len && !begins(in, at, "ID3") && !begins(in, at, "TAG"); at++) {
        size_t next = at;
        int    n = 0;
        while (n < 3 && read_mp3_head(&f, in, next) && f.kind == kind) {
            next += f.len;
            n++;
        }
        if (n == 3)
            return true;
    }
    return false;
}

/* What is no frame ends the walk: a tag of another program, or damage. */
static enum err check_mp3(struct audio_whole *w, struct bytes in, const char *path)
{
    size_t           begin = skip_id3(in), at = begin;
    struct mp3_frame first, f;
    int64_t          n_frame = 0;

    if (!read_mp3_head(&first, in, at))
        return OK;
    int64_t n_said = mp3_said(in, at, &first);
    for (; read_mp3_head(&f, in, at) && f.kind == first.kind; at += f.len) {
        if (f.len > in.len - at)
            return cut_short(path);
        n_frame++;
    }
    if (n_frame < n_said || has_gap(in, at, first.kind))
        return err_set(ERR_FORMAT, "%s: the file is cut short or damaged", path);
    int64_t n_less = n_said ? MP3_TRIMMED : MP3_LATE;
    w->n_mp3 = n_frame > n_less ? (n_frame - n_less) * first.n_smp : 0;
    if (n_said == 0)
        make_mp3_head(w, in, begin, n_frame);
    return OK;
}

enum err audio_whole_check(struct audio_whole *w, struct bytes in, const char *path)
{
    w->n_mp3 = -1;
    w->head_len = w->n_skip = 0;
    if (begins(in, 0, "RIFF") && begins(in, 8, "WAVE"))
        return check_riff(in, path);
    if (begins(in, 0, "OggS"))
        return check_ogg(in, path);
    if (begins(in, 0, "ID3") || (in.len > 0 && in.p[0] == 0xff))
        return check_mp3(w, in, path);
    return OK;
}
