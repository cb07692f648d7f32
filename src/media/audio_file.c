/* SPDX-License-Identifier: MIT */
#include "media/audio_file.h"

#include <sndfile.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "media/resample.h"

#define MAX_SECONDS  (4 * 3600)
#define BLOCK        4096
#define UNKNOWN_SIZE 0x7ffff000u /* writers to a pipe leave such a size in the head */

/* libsndfile reads from the mapping, so that only regular files are ever opened. */
struct source {
    struct bytes view;
    sf_count_t   at;
};

static sf_count_t source_len(void *user)
{
    return (sf_count_t)((struct source *)user)->view.len;
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
    sf_count_t     left = source_len(user) - s->at;

    if (count > left)
        count = left;
    if (count <= 0)
        return 0;
    memcpy(p, s->view.p + s->at, (size_t)count);
    s->at += count;
    return count;
}

static sf_count_t source_write(const void *p, sf_count_t count, void *user)
{
    return 0;
}

/* libsndfile reads a cut WAV without a word; a data chunk beyond the file is an error here. */
static enum err check_riff(struct bytes in, const char *path)
{
    if (in.len < 12 || memcmp(in.p, "RIFF", 4) != 0 || memcmp(in.p + 8, "WAVE", 4) != 0)
        return OK;
    for (size_t at = 12; at + 8 <= in.len;) {
        uint64_t size = bytes_le(in.p + at + 4, 4);
        bool     is_data = memcmp(in.p + at, "data", 4) == 0;
        if (is_data && size < UNKNOWN_SIZE && at + 8 + size > in.len)
            return err_set(ERR_FORMAT, "%s: the file is cut short", path);
        if (is_data)
            return OK;
        at += 8 + size + (size & 1);
    }
    return err_set(ERR_FORMAT, "%s: a WAV file without sound", path);
}

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

static enum err read_all(float **pcm, int64_t *n, SNDFILE *file, const SF_INFO *info,
                         struct resample *r)
{
    size_t   n_channel = (size_t)info->channels;
    float   *block = mem_alloc(mem_size(mem_size(BLOCK, n_channel), sizeof *block));
    float    mono[BLOCK];
    int64_t  room = 0, n_read = 0;
    enum err err = block ? OK : ERR_NOMEM;

    while (!err) {
        sf_count_t got = sf_readf_float(file, block, BLOCK);
        if (got <= 0)
            break;
        n_read += got;
        if (os_stop_came())
            err = err_set(ERR_INTERRUPTED, "interrupted");
        else if (n_read > (sf_count_t)info->samplerate * MAX_SECONDS)
            err = err_set(ERR_LIMIT, "sound longer than %d hours", MAX_SECONDS / 3600);
        for (sf_count_t i = 0; i < got; i++)
            mono[i] = block[(size_t)i * n_channel];
        if (!err)
            err = r ? append_resampled(pcm, n, &room, r, mono, (size_t)got)
                    : append(pcm, n, &room, mono, (size_t)got);
    }
    if (!err && r)
        err = append_resampled(pcm, n, &room, r, NULL, 0);
    mem_free(block);
    return err;
}

static enum err open_sound(SNDFILE **out, SF_INFO *info, struct source *source, const char *path)
{
    SF_VIRTUAL_IO io = { source_len, source_seek, source_read, source_write, source_tell };

    if (!is_sound(source->view))
        return err_set(ERR_FORMAT, "%s: not a WAV, FLAC, Ogg or MP3 file", path);
    enum err err = check_riff(source->view, path);
    if (err)
        return err;
    *out = sf_open_virtual(&io, SFM_READ, info, source);
    if (!*out)
        return err_set(ERR_FORMAT, "%s: not a sound file (%s)", path, sf_strerror(NULL));
    if (info->channels < 1 || info->channels > 1024 || info->samplerate < 1000 ||
        info->samplerate > 1000000)
        return err_set(ERR_FORMAT, "%s: %d channels at %d Hz", path, info->channels,
                       info->samplerate);
    if (info->frames != SF_COUNT_MAX && /* a FLAC out of a pipe does not know */
        info->frames > (sf_count_t)info->samplerate * MAX_SECONDS)
        return err_set(ERR_LIMIT, "%s: longer than %d hours", path, MAX_SECONDS / 3600);
    return OK;
}

static void close_sound(SNDFILE *file)
{
    if (file)
        sf_close(file);
}

static enum err read_file(float **pcm, int64_t *n, struct bytes view, const char *path, int rate_hz)
{
    struct source    source = { view, 0 };
    SF_INFO          info = { 0 };
    SNDFILE         *file = NULL;
    struct resample *r = NULL;

    enum err err = open_sound(&file, &info, &source, path);
    if (!err && info.samplerate != rate_hz)
        err = resample_open(&r, info.samplerate, rate_hz);
    if (!err)
        err = read_all(pcm, n, file, &info, r);
    if (!err && *n == 0)
        err = err_set(ERR_FORMAT, "%s: no sound in it", path);
    resample_close(&r);
    close_sound(file);
    return err;
}

enum err audio_file_check(const char *path)
{
    struct os_map map;
    SF_INFO       info = { 0 };
    SNDFILE      *file = NULL;

    enum err err = os_map_open(&map, path);
    if (err)
        return err;
    struct source source = { map.view, 0 };
    err = open_sound(&file, &info, &source, path);
    close_sound(file);
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
    err = read_file(&out, &n, map.view, path, rate_hz);
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
