/* SPDX-License-Identifier: MIT */
#include "media/audio_file.h"

#include <math.h>
#include <sndfile.h>
#include <sys/stat.h>
#include <unistd.h>

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

TEST(audio_file_says_what_is_absurd_in_a_head)
{
    const struct wav_spec slow = { 1, 1, 1, 16, 0, false, false };
    const int16_t         in[64] = { 0 };
    struct buf            b;

    wav_make(&b, &slow, in, sizeof in);
    check_bytes_refused(b.p, b.len);
    CHECK(strstr(err_text(ERR_FORMAT), "a sample rate of 1 Hz"));
    buf_fini(&b);
}

/* Files that other programs pack. */

enum { MPEG = 0x230082, FIXED_RATE = 0, FREE_RATE = 2, BITRATE_MODE = 0x1305 }; /* libsndfile 1.1 */

/* A tone of five seconds, the whole file in *b; false: this libsndfile does not write such. */
static bool pack(struct buf *b, int format, int bitrate_mode)
{
    enum { N = 120000, RATE = 24000 };
    SF_INFO     info = { .samplerate = RATE, .channels = 1, .format = format };
    const char *path = check_tmp("packed");
    SNDFILE    *f = sf_open(path, SFM_WRITE, &info);
    float      *x = mem_alloc(N * sizeof *x);

    must(x);
    for (int i = 0; i < N; i++)
        x[i] = (float)(sin(i * 0.05) * 0.4 * (i / 12000 % 3) + 0.1 * sin(i * (double)i * 1e-5));
    if (f && format == MPEG)
        sf_command(f, BITRATE_MODE, &bitrate_mode, sizeof bitrate_mode);
    bool is_packed = f && sf_write_float(f, x, N) == N;
    if (f)
        sf_close(f);
    buf_init(b, 4 << 20);
    must(!is_packed || os_read_file(b, path) == OK);
    mem_free(x);
    return is_packed;
}

/* How many samples these bytes are; what is refused must be called cut or damaged: -1. */
static int64_t length_of(const void *p, size_t len)
{
    const char *path = write_file("packed.in", p, len);
    float      *pcm = NULL;
    int64_t     n;
    enum err    err = audio_file_read(&pcm, &n, path, 24000);

    mem_free(pcm);
    if (!err)
        return n;
    CHECK_INT(err, ERR_FORMAT);
    CHECK(strstr(err_text(err), path) && strstr(err_text(err), "the file is cut short"));
    return -1;
}

static const int lossless_and_ogg[] = { SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
                                        SF_FORMAT_OGG | SF_FORMAT_VORBIS,
                                        SF_FORMAT_OGG | SF_FORMAT_OPUS };

TEST(audio_file_refuses_flac_and_ogg_files_that_are_cut)
{
    struct buf b;

    for (int i = 0; i < 3; i++) {
        if (!pack(&b, lossless_and_ogg[i], 0))
            SKIP("libsndfile does not write this format");
        CHECK_INT(length_of(b.p, b.len), 120000);
        for (size_t part = 1; part < 8; part++)
            CHECK_INT(length_of(b.p, b.len * part / 8 + 3000 / part), -1);
        CHECK_INT(length_of(b.p, b.len - 1), -1);
        buf_fini(&b);
    }
}

TEST(audio_file_refuses_damaged_flac_files)
{
    struct buf b;

    if (!pack(&b, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 0))
        SKIP("libsndfile does not write FLAC");
    memset(b.p + b.len / 2, 0, 3000);
    CHECK_INT(length_of(b.p, b.len), -1);
    buf_fini(&b);
}

/* The first frame of an encoder's own holds the number of the others; streams have none. */
static size_t first_frame_len(const struct buf *b)
{
    size_t at = 150; /* behind that and a table, in which anything may stand */

    while (b->p[at] != 0xff || b->p[at + 1] != b->p[1])
        at++;
    return at;
}

TEST(audio_file_refuses_mp3_files_that_are_cut_or_damaged)
{
    struct buf b;

    for (int mode = FIXED_RATE; mode <= FREE_RATE; mode += FREE_RATE) {
        if (!pack(&b, MPEG, mode))
            SKIP("libsndfile does not write MP3");
        size_t skip = first_frame_len(&b);
        for (size_t from = 0; from <= skip; from += skip) {
            CHECK(length_of(b.p + from, b.len - from) >= 120000);
            for (size_t len = b.len / 2; len > b.len / 3; len -= b.len / 31)
                CHECK_INT(length_of(b.p + from, len), -1);
            CHECK_INT(length_of(b.p + from, b.len - from - 1), -1);
        }
        memset(b.p + b.len / 2, 0, 1000); /* heads too, not only what is in a frame */
        CHECK_INT(length_of(b.p, b.len), -1);
        CHECK_INT(length_of(b.p + skip, b.len - skip), -1);
        buf_fini(&b);
    }
}

TEST(audio_file_reads_on_between_and_behind_tags)
{
    static const int     formats[] = { SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
                                       SF_FORMAT_OGG | SF_FORMAT_OPUS, MPEG };
    static const uint8_t id3[138] = "ID3\3\0\0\0\0\1";
    struct buf           b, tagged;

    for (int i = 0; i < 3; i++) {
        if (!pack(&b, formats[i], FREE_RATE))
            SKIP("libsndfile does not write this format");
        buf_init(&tagged, 8 << 20);
        if (formats[i] == MPEG)
            buf_add(&tagged, id3, sizeof id3);
        buf_add(&tagged, b.p, b.len);
        buf_add_fmt(&tagged, "TAG%125s", "");
        must(buf_err(&tagged) == OK);
        CHECK(length_of(tagged.p, tagged.len) >= 120000);
        if (formats[i] == MPEG) {
            buf_add(&tagged, b.p, b.len);
            CHECK(length_of(tagged.p, tagged.len) >= 120000);
        }
        buf_fini(&tagged);
        buf_fini(&b);
    }
}

/* Bytes on stderr meanwhile. */
static size_t said_while_reading(const char *path)
{
    FILE       *said = tmpfile();
    int         kept = dup(2);
    float      *pcm;
    int64_t     n;
    struct stat st;

    must(kept >= 0 && said && dup2(fileno(said), 2) == 2);
    enum err err = audio_file_read(&pcm, &n, path, 24000);
    must(dup2(kept, 2) == 2 && fstat(fileno(said), &st) == 0);
    close(kept);
    fclose(said);
    CHECK_INT(err, ERR_FORMAT);
    return (size_t)st.st_size;
}

TEST(audio_file_keeps_decoders_from_talking)
{
    static const char utf16[] = "\xff\xfeH\0e\0l\0l\0o\0,\0 \0w\0o\0r\0l\0d\0";
    const char       *path = write_file("utf16.txt", utf16, sizeof utf16);

    CHECK_INT(said_while_reading(path), 0);
    check_refused(ERR_FORMAT, path);
    CHECK(strstr(err_text(ERR_FORMAT), "none that can be read"));
    CHECK(!strstr(err_text(ERR_FORMAT), "exist"));
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
