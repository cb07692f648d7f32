/* SPDX-License-Identifier: MIT */
#include "device/sound.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/os.h"
#include "base/ring.h"
#include "device/portaudio.h"
#include "media/resample.h"

#define N_BLOCK 8 /* call-backs that fit each ring: 640 ms */

/* Samples on the caller's side of a ring: resampled, cut into the other side's pieces. */
struct edge {
    struct resample *resample; /* NULL: same rate */
    float           *pcm;      /* [cap] */
    size_t           n, cap;
};

struct sound {
    /* fixed after open */
    struct portaudio pa;
    PaStream        *stream;
    int              rate_hz, frame_size;
    int              device_hz, block; /* of the device; samples of a call-back */
    struct ring     *mic;              /* call-back -> caller, blocks */
    struct ring     *speaker;          /* caller -> call-back, blocks */
    /* caller only */
    struct edge in, out;
    float      *piece; /* [block] */
    /* call-back only */
    bool has_played;
    /* both */
    _Atomic uint32_t n_heard; /* call-backs so far; the caller sleeps on it */
    atomic_llong     n_played, n_underrun, n_dropped;
};

static int on_block(const void *in, void *out, unsigned long n,
                    const PaStreamCallbackTimeInfo *time, PaStreamCallbackFlags flags, void *user)
{
    struct sound *s = user;

    if (in && ring_push(s->mic, in, 1) == 0)
        atomic_fetch_add(&s->n_dropped, 1);
    if (ring_pop(s->speaker, out, 1)) {
        s->has_played = true;
        atomic_fetch_add(&s->n_played, 1);
    } else {
        memset(out, 0, n * sizeof(float));
        if (s->has_played) {
            atomic_fetch_add(&s->n_underrun, 1);
            metric_inc(M_UNDERRUNS_TOTAL);
        }
    }
    atomic_fetch_add(&s->n_heard, 1);
    os_futex_wake(&s->n_heard, 1);
    return paContinue;
}

/* A device by number, or the first whose name has the text and that has channels in this
 * direction. */
static PaDeviceIndex find_device(const struct portaudio *pa, const char *wanted, bool is_input)
{
    char *end = NULL;

    if (!wanted)
        return is_input ? pa->GetDefaultInputDevice() : pa->GetDefaultOutputDevice();
    long number = strtol(wanted, &end, 10);
    if (*wanted && !*end && number >= 0 && number < pa->GetDeviceCount())
        return (PaDeviceIndex)number;
    for (PaDeviceIndex i = 0; i < pa->GetDeviceCount(); i++) {
        const PaDeviceInfo *info = pa->GetDeviceInfo(i);
        int                 n = is_input ? info->maxInputChannels : info->maxOutputChannels;
        if (n > 0 && strstr(info->name, wanted))
            return i;
    }
    return paNoDevice;
}

static enum err choose(PaStreamParameters *p, const struct sound *s, const char *wanted,
                       bool is_input)
{
    const char   *what = is_input ? "microphone" : "loudspeaker";
    PaDeviceIndex device = find_device(&s->pa, wanted, is_input);

    if (device == paNoDevice)
        return wanted
                   ? err_set(ERR_HARDWARE, "no %s is called '%s'; see parley talk --list-devices",
                             what, wanted)
                   : err_set(ERR_HARDWARE, "this machine has no %s", what);
    const PaDeviceInfo *info = s->pa.GetDeviceInfo(device);
    *p = (PaStreamParameters){
        .device = device,
        .channelCount = 1,
        .sampleFormat = paFloat32,
        .suggestedLatency = is_input ? info->defaultLowInputLatency : info->defaultLowOutputLatency,
    };
    return OK;
}

static enum err open_stream(struct sound *s, const struct sound_options *o)
{
    PaStreamParameters in, out;

    enum err err = choose(&in, s, o->input, true);
    if (!err)
        err = choose(&out, s, o->output, false);
    if (err)
        return err;
    s->device_hz = s->rate_hz;
    if (s->pa.IsFormatSupported(&in, &out, s->rate_hz) != paFormatIsSupported)
        s->device_hz = (int)s->pa.GetDeviceInfo(out.device)->defaultSampleRate;
    s->block = (int)((int64_t)s->frame_size * s->device_hz / s->rate_hz);
    PaError failed = s->pa.OpenStream(&s->stream, &in, &out, s->device_hz, (unsigned long)s->block,
                                      paNoFlag, on_block, s);
    if (failed)
        return err_set(ERR_HARDWARE, "the sound device does not open: %s",
                       s->pa.GetErrorText(failed));
    return OK;
}

static enum err open_edge(struct edge *e, const struct sound *s, int from_hz, int to_hz)
{
    int longest = s->block > s->frame_size ? s->block : s->frame_size;

    e->cap = (size_t)longest * 4;
    e->pcm = mem_zalloc(mem_size(e->cap, sizeof *e->pcm));
    if (!e->pcm)
        return ERR_NOMEM;
    return from_hz == to_hz ? OK : resample_open(&e->resample, from_hz, to_hz);
}

static void close_edge(struct edge *e)
{
    resample_close(&e->resample);
    mem_free(e->pcm);
}

enum err sound_open(struct sound **out, const struct sound_options *o)
{
    struct sound *s = mem_zalloc(sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->rate_hz = o->rate_hz;
    s->frame_size = o->frame_size;
    enum err err = portaudio_open(&s->pa);
    int      kept = portaudio_hush();
    if (!err)
        err = open_stream(s, o);
    if (!err)
        err = ring_open(&s->mic, N_BLOCK, (size_t)s->block * sizeof(float));
    if (!err)
        err = ring_open(&s->speaker, N_BLOCK, (size_t)s->block * sizeof(float));
    if (!err)
        err = open_edge(&s->in, s, s->device_hz, s->rate_hz);
    if (!err)
        err = open_edge(&s->out, s, s->rate_hz, s->device_hz);
    s->piece = err ? NULL : mem_zalloc(mem_size((size_t)s->block, sizeof *s->piece));
    if (!err && !s->piece)
        err = ERR_NOMEM;
    PaError failed = err ? paNoError : s->pa.StartStream(s->stream);
    if (failed)
        err = err_set(ERR_HARDWARE, "the sound device does not start: %s",
                      s->pa.GetErrorText(failed));
    portaudio_unhush(kept);
    if (err)
        sound_close(&s);
    else
        *out = s;
    return err;
}

void sound_close(struct sound **sp)
{
    struct sound *s = *sp;
    if (!s)
        return;
    if (s->stream) {
        int kept = portaudio_hush();
        s->pa.AbortStream(s->stream);
        s->pa.CloseStream(s->stream);
        portaudio_unhush(kept);
    }
    if (s->pa.lib)
        portaudio_close(&s->pa);
    ring_close(&s->mic);
    ring_close(&s->speaker);
    close_edge(&s->in);
    close_edge(&s->out);
    mem_free(s->piece);
    mem_free(s);
    *sp = NULL;
}

/* Samples behind what the edge has, through its resampler; it has room for two pieces more. */
static enum err fill(struct edge *e, const float *pcm, size_t n)
{
    size_t n_out = 0, n_used = 0;

    if (!e->resample) {
        must(e->n + n <= e->cap);
        memcpy(e->pcm + e->n, pcm, n * sizeof *pcm);
        e->n += n;
        return OK;
    }
    do {
        enum err err = resample_step(e->resample, e->pcm + e->n, &n_out, e->cap - e->n, pcm, n,
                                     &n_used);
        if (err)
            return err;
        e->n += n_out;
        pcm += n_used;
        n -= n_used;
    } while (n > 0 && e->n < e->cap);
    return OK;
}

static void drain(struct edge *e, float *out, size_t n)
{
    memcpy(out, e->pcm, n * sizeof *out);
    e->n -= n;
    memmove(e->pcm, e->pcm + n, e->n * sizeof *out);
}

enum err sound_read(struct sound *s, float *frame, int64_t deadline_ns)
{
    size_t n = (size_t)s->frame_size;

    while (s->in.n < n) {
        uint32_t seen = atomic_load(&s->n_heard);
        if (ring_pop(s->mic, s->piece, 1)) {
            enum err err = fill(&s->in, s->piece, (size_t)s->block);
            if (err)
                return err;
            continue;
        }
        if (os_now_ns() >= deadline_ns)
            return ERR_AGAIN;
        os_futex_wait(&s->n_heard, seen, deadline_ns);
    }
    drain(&s->in, frame, n);
    return OK;
}

enum err sound_write(struct sound *s, const float *frame)
{
    size_t block = (size_t)s->block;

    enum err err = fill(&s->out, frame, (size_t)s->frame_size);
    while (!err && s->out.n >= block) {
        drain(&s->out, s->piece, block);
        if (ring_push(s->speaker, s->piece, 1) == 0) {
            atomic_fetch_add(&s->n_dropped, 1);
            err = ERR_AGAIN;
        }
    }
    return err;
}

void sound_figures(const struct sound *s, struct sound_figures *out)
{
    *out = (struct sound_figures){ atomic_load(&s->n_played), atomic_load(&s->n_underrun),
                                   atomic_load(&s->n_dropped) };
}

static void list_device(struct buf *out, int i, const PaDeviceInfo *info, bool as_json)
{
    if (!as_json) {
        buf_add_fmt(out, "%3d  %-40s %d in, %d out, %.0f Hz\n", i, info->name,
                    info->maxInputChannels, info->maxOutputChannels, info->defaultSampleRate);
        return;
    }
    buf_add_fmt(out, "%s  {\"number\": %d, \"name\": ", i ? ",\n" : "", i);
    buf_add_json(out, info->name, strlen(info->name));
    buf_add_fmt(out, ", \"inputs\": %d, \"outputs\": %d, \"rate\": %.0f}", info->maxInputChannels,
                info->maxOutputChannels, info->defaultSampleRate);
}

enum err sound_list(struct buf *out, bool as_json)
{
    struct portaudio pa;

    enum err err = portaudio_open(&pa);
    if (err)
        return err;
    int n = pa.GetDeviceCount();
    if (n <= 0)
        err = err_set(ERR_HARDWARE, "this machine has no sound device");
    buf_add_str(out, as_json ? "[\n" : "");
    for (int i = 0; i < n; i++)
        list_device(out, i, pa.GetDeviceInfo(i), as_json);
    buf_add_str(out, as_json ? "\n]\n" : "");
    portaudio_close(&pa);
    return err;
}
