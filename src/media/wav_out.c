/* SPDX-License-Identifier: MIT */
#include "media/wav_out.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/os.h"

#define HEAD_MAX 58
#define BLOCK    2048
#define UNKNOWN  0x7ffff000u /* bytes of sound, where nobody can go back and say */

struct wav_out {
    struct os_out *file;
    enum wav_kind  kind;
    int            rate_hz;
    int64_t        n_smp;
    bool           is_pipe; /* or a terminal: what is written stays as it is */
};

static int sample_size(enum wav_kind kind)
{
    return kind == WAV_F32 ? 4 : 2;
}

/* RIFF head for n_smp samples; float files have the fact chunk that the format asks for. */
static size_t make_head(uint8_t h[HEAD_MAX], const struct wav_out *w)
{
    bool     is_f32 = w->kind == WAV_F32;
    int      size = sample_size(w->kind);
    uint64_t n_byte = (uint64_t)w->n_smp * (uint64_t)size;
    size_t   head = is_f32 ? 58 : 44, fmt = is_f32 ? 18 : 16;
    uint64_t cap = 0xfffffff0u - head;

    if (n_byte > cap)
        n_byte = cap;
    if (w->is_pipe)
        n_byte = UNKNOWN;
    memset(h, 0, HEAD_MAX);
    memcpy(h, "RIFF", 4);
    bytes_put_le(h + 4, n_byte + head - 8, 4);
    memcpy(h + 8, "WAVEfmt ", 8);
    bytes_put_le(h + 16, fmt, 4);
    bytes_put_le(h + 20, is_f32 ? 3 : 1, 2);
    bytes_put_le(h + 22, 1, 2);
    bytes_put_le(h + 24, (uint64_t)w->rate_hz, 4);
    bytes_put_le(h + 28, (uint64_t)w->rate_hz * (uint64_t)size, 4);
    bytes_put_le(h + 32, (uint64_t)size, 2);
    bytes_put_le(h + 34, (uint64_t)size * 8, 2);
    if (is_f32) {
        memcpy(h + 38, "fact", 4);
        bytes_put_le(h + 42, 4, 4);
        bytes_put_le(h + 46, n_byte / 4, 4);
    }
    memcpy(h + head - 8, "data", 4);
    bytes_put_le(h + head - 4, n_byte, 4);
    return head;
}

static enum err write_head(struct wav_out *w)
{
    uint8_t head[HEAD_MAX];
    size_t  len = make_head(head, w);

    return os_out_write(w->file, head, len);
}

enum err wav_out_open(struct wav_out **out, const char *path, int rate_hz, enum wav_kind kind)
{
    struct wav_out *w = mem_zalloc(sizeof *w);
    if (!w)
        return ERR_NOMEM;
    w->kind = kind;
    w->rate_hz = rate_hz;
    enum err err = os_out_open(&w->file, path);
    w->is_pipe = !err && os_out_seek(w->file, 0) != OK;
    if (!err)
        err = write_head(w);
    if (err)
        wav_out_cancel(&w);
    else
        *out = w;
    return err;
}

static void put_sample(uint8_t *p, float v, enum wav_kind kind)
{
    if (kind == WAV_F32) {
        uint32_t bits;
        memcpy(&bits, &v, sizeof bits);
        bytes_put_le(p, bits, 4);
        return;
    }
    v = v > 1 ? 1 : v < -1 ? -1 : v == v ? v : 0;
    bytes_put_le(p, (uint64_t)(int64_t)lrintf(v * 32767), 2);
}

enum err wav_out_write(struct wav_out *w, const float *pcm, int64_t n_smp)
{
    uint8_t  block[BLOCK * 4];
    int      size = sample_size(w->kind);
    enum err err = OK;

    for (int64_t at = 0; !err && at < n_smp; at += BLOCK) {
        int64_t n = n_smp - at < BLOCK ? n_smp - at : BLOCK;
        for (int64_t i = 0; i < n; i++)
            put_sample(block + i * size, pcm[at + i], w->kind);
        err = os_out_write(w->file, block, (size_t)(n * size));
        w->n_smp += err ? 0 : n;
    }
    return err;
}

enum err wav_out_commit(struct wav_out **wp)
{
    struct wav_out *w = *wp;
    enum err        err = OK;

    if (!w->is_pipe)
        err = os_out_seek(w->file, 0);
    if (!err && !w->is_pipe)
        err = write_head(w);
    if (!err)
        err = os_out_commit(&w->file);
    wav_out_cancel(wp);
    return err;
}

void wav_out_cancel(struct wav_out **w)
{
    if (!*w)
        return;
    os_out_cancel(&(*w)->file);
    mem_free(*w);
    *w = NULL;
}
