/* SPDX-License-Identifier: MIT */
#include "media/wav_out.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "check.h"

/* Writes these samples in two goes and reads the file. */
static void write_wav(struct buf *out, const float *pcm, int64_t n, enum wav_kind kind)
{
    const char     *path = check_tmp("out.wav");
    struct wav_out *w;

    CHECK(wav_out_open(&w, path, 24000, kind) == OK);
    CHECK(!os_is_file(path)); /* it appears whole or not at all */
    CHECK(wav_out_write(w, pcm, n / 2) == OK);
    CHECK(wav_out_write(w, pcm + n / 2, n - n / 2) == OK);
    CHECK(wav_out_commit(&w) == OK);
    CHECK(!w);
    buf_init(out, 1 << 20);
    CHECK(os_read_file(out, path) == OK);
    CHECK(unlink(path) == 0);
}

TEST(wav_out_writes_16_bit)
{
    const float pcm[] = { 0, 1, -1, 2, -2, NAN, 0.5f };
    struct buf  b;

    write_wav(&b, pcm, 7, WAV_S16);
    CHECK_INT(b.len, 44 + 14);
    static const char head[] = "RIFF\x32\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\xc0\x5d\0\0"
                               "\x80\xbb\0\0\2\0\x10\0data\x0e\0\0\0";
    CHECK(memcmp(b.p, head, 44) == 0);
    const int16_t want[] = { 0, 32767, -32767, 32767, -32767, 0, 16384 };
    for (int i = 0; i < 7; i++)
        CHECK_INT((int16_t)bytes_le(b.p + 44 + 2 * i, 2), want[i]);
    buf_fini(&b);
}

TEST(wav_out_writes_floats_as_they_are)
{
    const float pcm[] = { 0.1f, -7.5f, 1e-30f };
    struct buf  b;

    write_wav(&b, pcm, 3, WAV_F32);
    CHECK_INT(b.len, 58 + 12);
    CHECK_INT(bytes_le(b.p + 4, 4), 58 + 12 - 8);
    static const char head[] = "fmt \x12\0\0\0\3\0\1\0\xc0\x5d\0\0\0\x77\1\0\4\0\x20\0\0\0"
                               "fact\4\0\0\0\3\0\0\0data\x0c\0\0\0";
    CHECK(memcmp(b.p + 12, head, 46) == 0);
    CHECK(memcmp(b.p + 58, pcm, sizeof pcm) == 0);
    buf_fini(&b);
}

TEST(wav_out_without_sound_is_a_whole_file)
{
    struct buf b;

    write_wav(&b, NULL, 0, WAV_S16);
    CHECK(b.len == 44 && bytes_le(b.p + 40, 4) == 0 && bytes_le(b.p + 4, 4) == 36);
    buf_fini(&b);
}

TEST(wav_out_of_many_blocks_is_whole)
{
    static float pcm[10001];
    struct buf   b;

    for (int i = 0; i < 10001; i++)
        pcm[i] = (float)i;
    write_wav(&b, pcm, 10001, WAV_F32);
    CHECK(b.len == 58 + sizeof pcm && memcmp(b.p + 58, pcm, sizeof pcm) == 0);
    buf_fini(&b);
}

TEST(wav_out_that_is_cancelled_leaves_nothing)
{
    const char     *path = check_tmp("cancelled.wav");
    struct wav_out *w;

    CHECK(wav_out_open(&w, path, 24000, WAV_F32) == OK);
    CHECK(wav_out_write(w, (const float[]){ 1 }, 1) == OK);
    wav_out_cancel(&w);
    CHECK(!w && !os_is_file(path));
    wav_out_cancel(&w);
}

TEST(wav_out_keeps_the_old_file_until_the_new_one_is_whole)
{
    const char     *path = check_tmp("old.wav");
    struct wav_out *w;
    struct os_out  *o;
    struct buf      b;

    CHECK(os_out_open(&o, path) == OK && os_out_write(o, "old", 3) == OK);
    CHECK(os_out_commit(&o) == OK);
    CHECK(wav_out_open(&w, path, 24000, WAV_F32) == OK);
    wav_out_cancel(&w);
    buf_init(&b, 100);
    CHECK(os_read_file(&b, path) == OK);
    CHECK(bytes_equal(buf_view(&b), bytes_str("old")));
    buf_fini(&b);
}

TEST(wav_out_says_that_a_disk_is_full)
{
    struct wav_out *w = NULL;
    static float    pcm[1 << 16];

    enum err err = wav_out_open(&w, "/dev/full", 24000, WAV_F32);
    if (!err)
        err = wav_out_write(w, pcm, 1 << 16);
    CHECK_INT(err, ERR_IO);
    CHECK(strstr(err_text(err), "/dev/full"));
    wav_out_cancel(&w);
    CHECK(wav_out_open(&w, "/proc/no/such/folder.wav", 24000, WAV_F32) == ERR_MISSING);
}

/* Who reads a pipe does not see a size that is put right later: as long as may be, to its end. */
TEST(wav_out_to_a_pipe_claims_no_size)
{
    struct wav_out *w;
    int             ends[2];
    char            path[64];
    uint8_t         got[256];

    must(pipe(ends) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
    CHECK(wav_out_open(&w, path, 24000, WAV_S16) == OK);
    CHECK(wav_out_write(w, (const float[]){ 0.5f, 1 }, 2) == OK);
    CHECK(wav_out_commit(&w) == OK);
    close(ends[1]);
    CHECK_INT(read(ends[0], got, sizeof got), 48);
    CHECK(bytes_le(got + 40, 4) >= 0x7ffff000);
    CHECK(bytes_le(got + 44, 4) == 0x7fff4000);
    CHECK_INT(read(ends[0], got, sizeof got), 0);
    close(ends[0]);
}
