/* SPDX-License-Identifier: MIT */
#include "media/audio_file.h"

#include <math.h>
#include <sys/stat.h>

#include "base/os.h"
#include "check.h"
#include "unit/media/wav.h"

static const struct wav_spec s16 = { 1, 1, 24000, 16, 0, false, false };
static const struct wav_spec f32 = { 3, 1, 24000, 32, 0, false, false };

static const char *write_file(const char *name, const void *p, size_t len)
{
    const char    *path = check_tmp(name);
    struct os_out *o;

    must(os_out_open(&o, path) == OK && os_out_write(o, p, len) == OK);
    must(os_out_commit(&o) == OK);
    return path;
}

/* What reading this file at 24 kHz gives; *pcm is the caller's. */
static enum err read_wav(float **pcm, int64_t *n, const struct wav_spec *s, const void *data,
                         size_t len)
{
    struct buf b;

    wav_make(&b, s, data, len);
    const char *path = write_file("in.wav", b.p, b.len);
    buf_fini(&b);
    *pcm = NULL;
    *n = -1;
    return audio_file_read(pcm, n, path, 24000);
}

TEST(audio_file_reads_16_bit_samples)
{
    const int16_t in[] = { 0, 16384, -32768, 32767 };
    float        *pcm;
    int64_t       n;

    CHECK(read_wav(&pcm, &n, &s16, in, sizeof in) == OK);
    CHECK_INT(n, 4);
    CHECK(pcm[0] == 0 && pcm[1] == 0.5f && pcm[2] == -1 && pcm[3] == 32767 / 32768.0f);
    mem_free(pcm);
}

TEST(audio_file_reads_floats_as_they_are)
{
    const float in[] = { 0.1f, -3, 1e-20f };
    float      *pcm;
    int64_t     n;

    CHECK(read_wav(&pcm, &n, &f32, in, sizeof in) == OK);
    CHECK_INT(n, 3);
    CHECK(memcmp(pcm, in, sizeof in) == 0);
    mem_free(pcm);
}

TEST(audio_file_makes_silence_of_what_no_microphone_gives)
{
    const float in[] = { NAN, INFINITY, -INFINITY, 1e30f, 0.5f };
    float      *pcm;
    int64_t     n;

    CHECK(read_wav(&pcm, &n, &f32, in, sizeof in) == OK);
    CHECK(pcm[0] == 0 && pcm[1] == 0 && pcm[2] == 0 && pcm[3] == 0 && pcm[4] == 0.5f);
    mem_free(pcm);
}

TEST(audio_file_takes_the_first_channel)
{
    struct wav_spec s = s16;
    const int16_t   in[] = { 16384, 1, -16384, 2, 8192, 3 };
    float          *pcm;
    int64_t         n;

    s.n_channel = 2;
    CHECK(read_wav(&pcm, &n, &s, in, sizeof in) == OK);
    CHECK_INT(n, 3);
    CHECK(pcm[0] == 0.5f && pcm[1] == -0.5f && pcm[2] == 0.25f);
    mem_free(pcm);
}

TEST(audio_file_steps_over_other_chunks)
{
    struct wav_spec s = s16;
    const int16_t   in[] = { 16384 };
    float          *pcm;
    int64_t         n;

    s.has_list = true;
    CHECK(read_wav(&pcm, &n, &s, in, sizeof in) == OK);
    CHECK(n == 1 && pcm[0] == 0.5f);
    mem_free(pcm);
}

/* Writers to a pipe cannot go back and say how much came. */
TEST(audio_file_reads_a_stream_of_unknown_size_to_its_end)
{
    struct wav_spec s = s16;
    int16_t         in[1000];
    float          *pcm;
    int64_t         n;

    for (int i = 0; i < 1000; i++)
        in[i] = (int16_t)i;
    const uint32_t sizes[] = { 0xffffffff, 0x7ffff000, 0x7fffffff };
    for (int i = 0; i < 3; i++) {
        s.data_size = sizes[i];
        CHECK(read_wav(&pcm, &n, &s, in, sizeof in) == OK);
        CHECK(n == 1000 && pcm[999] == 999 / 32768.0f);
        mem_free(pcm);
    }
}

TEST(audio_file_converts_other_rates)
{
    enum { N = 48000 };
    struct wav_spec s = f32;
    float          *in = mem_alloc(N * sizeof *in), *pcm;
    int64_t         n;
    double          worst = 0;

    must(in);
    s.rate_hz = 48000;
    for (int i = 0; i < N; i++)
        in[i] = 0.5f * (float)sin(2 * 3.14159265358979 * 440 * i / 48000);
    CHECK(read_wav(&pcm, &n, &s, in, N * sizeof *in) == OK);
    CHECK(n >= N / 2 - 1 && n <= N / 2 + 1);
    for (int i = 2000; i < N / 2 - 2000; i++)
        worst = fmax(worst, fabs(pcm[i] - 0.5 * sin(2 * 3.14159265358979 * 440 * i / 24000)));
    printf("# worst difference %g\n", worst);
    CHECK(worst < 1e-3); /* also says that nothing is shifted */
    mem_free(pcm);
    mem_free(in);
}

static void check_refused(enum err want, const char *path)
{
    float   *pcm = NULL;
    int64_t  n = -1;
    enum err err = audio_file_read(&pcm, &n, path, 24000);

    CHECK_INT(err, want);
    CHECK(!pcm && n == -1);
    CHECK(strstr(err_text(err), path));
}

static void check_bytes_refused(const void *p, size_t len)
{
    check_refused(ERR_FORMAT, write_file("bad.wav", p, len));
}

TEST(audio_file_refuses_what_is_no_sound)
{
    static const char page[] = "<!DOCTYPE html><title>not found</title>";

    check_bytes_refused("", 0);
    check_bytes_refused("RIFF", 4);
    check_bytes_refused("RIFF\4\0\0\0WAVE", 12);
    check_bytes_refused(page, sizeof page);
    check_refused(ERR_MISSING, check_tmp("not-there.wav"));
}

TEST(audio_file_refuses_wav_files_that_are_cut_or_empty)
{
    const int16_t   in[1000] = { 0 };
    struct wav_spec without = s16, empty = s16;
    struct buf      b;

    wav_make(&b, &s16, in, sizeof in);
    for (size_t len = 12; len < b.len; len += len < 60 ? 1 : 313)
        check_bytes_refused(b.p, len);
    buf_fini(&b);
    without.has_no_data = true;
    wav_make(&b, &without, NULL, 0);
    check_bytes_refused(b.p, b.len);
    buf_fini(&b);
    wav_make(&b, &empty, NULL, 0);
    check_bytes_refused(b.p, b.len);
    buf_fini(&b);
}

TEST(audio_file_refuses_absurd_heads)
{
    const struct wav_spec specs[] = {
        { 1, 0, 24000, 16, 0, false, false },     { 1, 1, 0, 16, 0, false, false },
        { 1, 1, 10, 16, 0, false, false },        { 1, 1, 2000000000, 16, 0, false, false },
        { 1, 65535, 24000, 16, 0, false, false }, { 77, 1, 24000, 16, 0, false, false },
        { 3, 1, 24000, 8, 0, false, false },
    };
    const int16_t in[64] = { 0 };
    struct buf    b;

    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        printf("# head %zu\n", i);
        wav_make(&b, &specs[i], in, sizeof in);
        check_bytes_refused(b.p, b.len);
        buf_fini(&b);
    }
}

TEST(audio_file_never_waits_for_a_pipe)
{
    const char *path = check_tmp("pipe.wav");

    must(mkfifo(path, 0600) == 0);
    check_refused(ERR_FORMAT, path);
    check_refused(ERR_FORMAT, getenv("PARLEY_TEST_TMP") ? getenv("PARLEY_TEST_TMP") : "/tmp");
}

static enum err read_and_free(const char *path)
{
    float   *pcm = NULL;
    int64_t  n;
    enum err err = audio_file_read(&pcm, &n, path, 16000);

    if (!err)
        mem_free(pcm);
    return err;
}

TEST(audio_file_survives_out_of_memory)
{
    struct buf    b;
    const int16_t in[5000] = { 1 };

    wav_make(&b, &s16, in, sizeof in);
    const char *path = write_file("oom.wav", b.p, b.len);
    CHECK_OOM(read_and_free(path));
    buf_fini(&b);
}
