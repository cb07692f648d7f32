/* SPDX-License-Identifier: MIT */
#include "media/audio_file.h"

#include <sndfile.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "media/audio_whole.h"
#include "media/resample.h"

#define MAX_SECONDS (4 * 3600)
#define BLOCK       4096
#define FORMAT_MPEG 0x230000 /* SF_FORMAT_MPEG, which libsndfile before 1.1 does not know */

/* libsndfile reads from the mapping, so that only regular files are ever opened. */
struct source {
    struct bytes head, view; /* one behind the other */
    sf_count_t   at;
};

static sf_count_t source_len(void *user)
{
    const struct source *s = user;

    return (sf_count_t)(s->head.len + s->view.len);
}
static sf_count_t source_tell(void *user)
{
    return ((struct source *)user)->at;
}

static sf_count_t source_seek(sf_count_t offset, int whence, void *user)
{
    struct source *s = user;
    sf_count_t     base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->at : source_len(user);

    if (base + offset < 0 || base + offset > source_len(user))
        return -1;
    s->at = base + offset;
    return s->at;
}

static sf_count_t source_read(void *p, sf_count_t count, void *user)
{
    struct source *s = user;
    sf_count_t     n = 0;

    while (n < count && s->at < source_len(s)) {
        size_t       at = (size_t)s->at;
        struct bytes part = at < s->head.len ? s->head : s->view;
        size_t       from = at < s->head.len ? at : at - s->head.len, len = part.len - from;
        if (len > (size_t)(count - n))
            len = (size_t)(count - n);
        memcpy((uint8_t *)p + n, part.p + from, len);
        n += (sf_count_t)len;
        s->at += (sf_count_t)len;
    }
    return n;
}

static sf_count_t source_write(const void *p, sf_count_t count, void *user)
{
    return 0;
}

struct sound {
    struct source      source;
    struct audio_whole whole;
    const char        *path;
    SNDFILE           *file; /* NULL: not open */
    SF_INFO            info;
};

/* The formats that are promised. libsndfile guesses dozens more, each with a parser of its own. */
static bool is_sound(struct bytes in)
{
    static const char *const magics[] = { "RIFF", "fLaC", "OggS", "ID3" };

    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (in.len >= 4 && memcmp(in.p, magics[i], strlen(magics[i])) == 0)
            return true;
    return in.len >= 4 && in.p[0] == 0xff && (in.p[1] & 0xe0) == 0xe0; /* an MP3 frame */
}

/* Appends n samples to *pcm, which grows by doubling. */
static enum err append(float **pcm, int64_t *n, int64_t *room, const float *in, size_t n_in)
{
    if (n_in == 0)
        return OK;
    if (*n + (int64_t)n_in > *room) {
        int64_t grown_room = *room ? 2 * *room : 65536;
        while (grown_room < *n + (int64_t)n_in)
            grown_room *= 2;
        float *grown = mem_realloc(*pcm, mem_size((size_t)grown_room, sizeof *grown));
        if (!grown)
            return ERR_NOMEM;
        *pcm = grown;
        *room = grown_room;
    }
    memcpy(*pcm + *n, in, n_in * sizeof *in);
    *n += (int64_t)n_in;
    return OK;
}

/* Everything that r gives for these samples; NULL: the end. */
static enum err append_resampled(float **pcm, int64_t *n, int64_t *room, struct resample *r,
                                 const float *in, size_t n_in)
{
    float    out[BLOCK];
    size_t   n_out, n_used = 0;
    enum err err;

    do {
        err = resample_step(r, out, &n_out, BLOCK, in, n_in, &n_used);
        if (!err)
            err = append(pcm, n, room, out, n_out);
        if (in) {
            in += n_used;
            n_in -= n_used;
        }
    } while (!err && (n_in > 0 || n_out == BLOCK || (!in && n_out > 0)));
    return err;
}

static bool is_mp3(const struct sound *s)
{
    return (s->info.format & SF_FORMAT_TYPEMASK) == FORMAT_MPEG;
}

/* The decoders end where they can do no more, and take that for the end of the file. */
static bool is_whole(const struct sound *s, int64_t n_read)
{
    int64_t n_want = is_mp3(s) ? s->whole.n_mp3 : s->info.frames;

    return sf_error(s->file) == SF_ERR_NO_ERROR && (n_want == SF_COUNT_MAX || n_read >= n_want);
}

static enum err read_all(float **pcm, int64_t *n, const struct sound *s, struct resample *r)
{
    size_t   n_channel = (size_t)s->info.channels;
    float   *block = mem_alloc(mem_size(mem_size(BLOCK, n_channel), sizeof *block));
    float    mono[BLOCK];
    int64_t  room = 0, n_read = 0;
    enum err err = block ? OK : ERR_NOMEM;

    while (!err) {
        sf_count_t got = sf_readf_float(s->file, block, BLOCK);
        if (got <= 0)
            break;
        n_read += got;
        if (os_stop_came())
            err = err_set(ERR_INTERRUPTED, "interrupted");
        else if (n_read > (sf_count_t)s->info.samplerate * MAX_SECONDS)
            err = err_set(ERR_LIMIT, "sound longer than %d hours", MAX_SECONDS / 3600);
        for (sf_count_t i = 0; i < got; i++)
            mono[i] = block[(size_t)i * n_channel];
        if (!err)
            err = r ? append_resampled(pcm, n, &room, r, mono, (size_t)got)
                    : append(pcm, n, &room, mono, (size_t)got);
    }
    if (!err && !is_whole(s, n_read))
        err = err_set(ERR_FORMAT, "%s: the file is cut short or damaged", s->path);
    if (!err && r)
        err = append_resampled(pcm, n, &room, r, NULL, 0);
    mem_free(block);
    return err;
}

static enum err check_info(const SF_INFO *info, const char *path)
{
    if (info->channels < 1 || info->channels > 1024)
        return err_set(ERR_FORMAT, "%s: has %d channels, 1 to 1024 can be read", path,
                       info->channels);
    if (info->samplerate < 1000 || info->samplerate > 1000000)
        return err_set(ERR_FORMAT, "%s: has a sample rate of %d Hz, 1000 to 1000000 can be read",
                       path, info->samplerate);
    if (info->frames != SF_COUNT_MAX && /* a FLAC out of a pipe does not know */
        info->frames > (sf_count_t)info->samplerate * MAX_SECONDS)
        return err_set(ERR_LIMIT, "%s: longer than %d hours", path, MAX_SECONDS / 3600);
    return OK;
}

static void close_sound(struct sound *s)
{
    if (s->file)
        sf_close(s->file);
    s->file = NULL;
}

static void open_file(struct sound *s)
{
    SF_VIRTUAL_IO io = { source_len, source_seek, source_read, source_write, source_tell };

    s->source.at = 0;
    s->info = (SF_INFO){ 0 };
    s->file = sf_open_virtual(&io, SFM_READ, &s->info, &s->source);
}

/* Of an MP3 without a count libsndfile reads as much as the first frame lets it guess: with one. */
static void open_with_count(struct sound *s)
{
    close_sound(s);
    s->source.head = bytes_of(s->whole.head, s->whole.head_len);
    s->source.view.p += s->whole.n_skip;
    s->source.view.len -= s->whole.n_skip;
    open_file(s);
}

static enum err open_sound(struct sound *s)
{
    if (!is_sound(s->source.view))
        return err_set(ERR_FORMAT, "%s: not a WAV, FLAC, Ogg or MP3 file", s->path);
    enum err err = audio_whole_check(&s->whole, s->source.view, s->path);
    if (err)
        return err;
    open_file(s);
    if (s->file && is_mp3(s) && s->info.frames < s->whole.n_mp3 && s->whole.head_len)
        open_with_count(s);
    if (!s->file) /* its own sentences speak of files that do not exist */
        return err_set(ERR_FORMAT, "%s: begins as a sound file, but %s", s->path,
                       sf_error(NULL) == SF_ERR_UNSUPPORTED_ENCODING
                           ? "its samples have a format that is not read"
                           : "is none that can be read");
    return check_info(&s->info, s->path);
}

static enum err read_file(float **pcm, int64_t *n, struct bytes view, const char *path, int rate_hz)
{
    struct sound     s = { .source = { .view = view }, .path = path };
    struct resample *r = NULL;

    enum err err = open_sound(&s);
    if (!err && s.info.samplerate != rate_hz)
        err = resample_open(&r, s.info.samplerate, rate_hz);
    if (!err)
        err = read_all(pcm, n, &s, r);
    if (!err && *n == 0)
        err = err_set(ERR_FORMAT, "%s: no sound in it", path);
    resample_close(&r);
    close_sound(&s);
    return err;
}

enum err audio_file_check(const char *path)
{
    struct os_map map;

    enum err err = os_map_open(&map, path);
    if (err)
        return err;
    struct sound s = { .source = { .view = map.view }, .path = path };
    int          kept = os_hush();
    err = open_sound(&s);
    close_sound(&s);
    os_unhush(kept);
    os_map_close(&map);
    return err;
}

/* A float WAV may hold what no microphone gives. */
static void clean(float *pcm, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(pcm[i] > -1e6f && pcm[i] < 1e6f))
            pcm[i] = 0;
}

enum err audio_file_read(float **pcm, int64_t *n_smp, const char *path, int rate_hz)
{
    struct os_map map;
    float        *out = NULL;
    int64_t       n = 0;

    enum err err = os_map_open(&map, path);
    if (err)
        return err;
    int kept = os_hush(); /* mpg123 has a note for all that it steps over */
    err = read_file(&out, &n, map.view, path, rate_hz);
    os_unhush(kept);
    os_map_close(&map);
    if (err) {
        mem_free(out);
        return err;
    }
    clean(out, n);
    *pcm = out;
    *n_smp = n;
    return OK;
}
