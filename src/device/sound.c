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
#include "device/playout.h"
#include "device/portaudio.h"
#include "media/resample.h"

#define N_MIC     8            /* blocks of the ring: 640 ms */
#define N_SPEAKER 16           /* 1,280 ms: late is better than lost, and pauses are cut */
#define CLOSE_NS  500000000LL  /* what a device gets to end */
#define LOOK_NS   1000000000LL /* no block for this long: ask whether the device is still there */

struct block {
    int64_t at_ns; /* of the call-back */
    float   pcm[];
};

/* One direction: a device, its ring, and the samples on the caller's side of the ring. The two have
 * a stream each, with rates and clocks of their own: one stream for both costs 1.2 s of lag
 * where ALSA leads to PulseAudio. */
struct side {
    /* fixed after start */
    PaDeviceIndex device;
    PaStream     *stream;
    int           hz, n_smp; /* of the device; samples of a block */
    struct ring  *ring;
    /* caller only */
    struct resample *resample; /* NULL: same rate */
    float           *pcm;      /* [cap] */
    size_t           n, cap;
    struct block    *piece;
    /* call-back only */
    struct block *scratch;
};

struct sound {
    /* fixed after start */
    struct portaudio     pa;
    struct sound_options options;
    size_t               frame_size;
    struct side          in, out;
    /* caller only */
    int64_t last_in_ns; /* when the last block came, or the device was last seen alive */
    /* call-back of the loudspeaker only */
    struct playout playout;
    /* call-backs -> caller */
    atomic_llong n_underrun, n_dropped, n_cut;
    /* closing */
    _Atomic uint32_t is_closed;
};

/* Call-backs. */

static int on_input(const void *in, void *out, unsigned long n,
                    const PaStreamCallbackTimeInfo *time, PaStreamCallbackFlags flags, void *user)
{
    struct sound *s = user;
    struct side  *side = &s->in;

    if (flags & paInputOverflow)
        atomic_fetch_add(&s->n_dropped, 1);
    side->scratch->at_ns = os_now_ns();
    memcpy(side->scratch->pcm, in, (size_t)side->n_smp * sizeof(float));
    if (ring_push(side->ring, side->scratch, 1) == 0)
        atomic_fetch_add(&s->n_dropped, 1);
    s->options.wake(s->options.wake_arg);
    return paContinue;
}

static float peak_of(const float *pcm, int n)
{
    float peak = 0;
    for (int i = 0; i < n; i++)
        peak = fabsf(pcm[i]) > peak ? fabsf(pcm[i]) : peak;
    return peak;
}

static void play(struct sound *s, float *out)
{
    struct side *side = &s->out;
    size_t       len = (size_t)side->n_smp * sizeof(float);

    if (!playout_can_play(&s->playout, (int)ring_count(side->ring))) {
        memset(out, 0, len);
        return;
    }
    do
        must(ring_pop(side->ring, side->scratch, 1) == 1);
    while (playout_cuts(&s->playout, (int)ring_count(side->ring),
                        peak_of(side->scratch->pcm, side->n_smp)));
    memcpy(out, side->scratch->pcm, len);
}

static int on_output(const void *in, void *out, unsigned long n,
                     const PaStreamCallbackTimeInfo *time, PaStreamCallbackFlags flags, void *user)
{
    struct sound *s = user;
    int64_t       n_before = s->playout.n_underrun, n_cut = s->playout.n_cut;

    play(s, out);
    int64_t n_dry = s->playout.n_underrun - n_before;
    if (n_dry == 0 && (flags & paOutputUnderflow) && s->playout.is_playing)
        n_dry = 1; /* the device ran dry by itself: nobody called us in time */
    if (n_dry) {
        atomic_fetch_add(&s->n_underrun, n_dry);
        metric_add(M_UNDERRUNS_TOTAL, n_dry);
        s->options.wake(s->options.wake_arg);
    }
    atomic_fetch_add(&s->n_cut, s->playout.n_cut - n_cut);
    return paContinue;
}

static void on_end(void *user)
{
    struct sound *s = user;
    s->options.wake(s->options.wake_arg);
}

/* Opening. */

/* A device by number, else the first whose name has the text, with channels in this direction. A
 * number is not looked for in names: they are full of digits. */
static PaDeviceIndex find_device(const struct portaudio *pa, const char *wanted, bool is_input)
{
    char *end = NULL;

    if (!wanted)
        return is_input ? pa->GetDefaultInputDevice() : pa->GetDefaultOutputDevice();
    long number = strtol(wanted, &end, 10);
    bool is_number = *wanted && !*end;
    for (PaDeviceIndex i = 0; i < pa->GetDeviceCount(); i++) {
        const PaDeviceInfo *info = pa->GetDeviceInfo(i);
        int                 n = is_input ? info->maxInputChannels : info->maxOutputChannels;
        if (n > 0 && (is_number ? number == i : strstr(info->name, wanted) != NULL))
            return i;
    }
    return paNoDevice;
}

static enum err choose(struct sound *s, bool is_input)
{
    const char  *what = is_input ? "microphone" : "loudspeaker";
    const char  *wanted = is_input ? s->options.input : s->options.output;
    struct side *side = is_input ? &s->in : &s->out;

    side->device = find_device(&s->pa, wanted, is_input);
    if (side->device != paNoDevice)
        return OK;
    if (wanted)
        return err_set(ERR_HARDWARE, "no %s is called '%.100s'; see parley talk --list-devices",
                       what, wanted);
    return err_set(ERR_HARDWARE, "this machine has no %s", what);
}

enum err sound_open(struct sound **out, const struct sound_options *o)
{
    struct sound *s = mem_zalloc(sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->options = *o;
    playout_init(&s->playout);
    enum err err = portaudio_open(&s->pa);
    if (!err)
        err = choose(s, true);
    if (!err)
        err = choose(s, false);
    if (err)
        sound_close(&s);
    else
        *out = s;
    return err;
}

static enum err open_stream(struct sound *s, struct side *side, int rate_hz, bool is_input)
{
    const PaDeviceInfo *info = s->pa.GetDeviceInfo(side->device);
    const char         *what = is_input ? "microphone" : "loudspeaker";
    PaTime latency_s = is_input ? info->defaultLowInputLatency : info->defaultLowOutputLatency;
    PaStreamParameters        p = { side->device, 1, paFloat32, latency_s, NULL };
    const PaStreamParameters *in = is_input ? &p : NULL, *out = is_input ? NULL : &p;

    side->hz = rate_hz;
    if (s->pa.IsFormatSupported(in, out, rate_hz) != paFormatIsSupported)
        side->hz = (int)info->defaultSampleRate;
    side->n_smp = (int)((int64_t)s->frame_size * side->hz / rate_hz);
    PaError failed = side->n_smp < 1 ? paInvalidSampleRate : paNoError;
    if (!failed)
        failed = s->pa.OpenStream(&side->stream, in, out, side->hz, (unsigned long)side->n_smp,
                                  paNoFlag, is_input ? on_input : on_output, s);
    if (!failed)
        failed = s->pa.SetStreamFinishedCallback(side->stream, on_end);
    if (failed)
        return err_set(ERR_HARDWARE, "the %s '%.100s' does not open: %s", what, info->name,
                       s->pa.GetErrorText(failed));
    return OK;
}

static enum err open_side(struct sound *s, struct side *side, int rate_hz, bool is_input)
{
    enum err err = open_stream(s, side, rate_hz, is_input);
    if (err)
        return err;
    size_t block = sizeof(struct block) + (size_t)side->n_smp * sizeof(float);
    size_t longest = (size_t)side->n_smp > s->frame_size ? (size_t)side->n_smp : s->frame_size;
    side->cap = longest * 4;
    side->pcm = mem_zalloc(mem_size(side->cap, sizeof *side->pcm));
    side->piece = mem_zalloc(block);
    side->scratch = mem_zalloc(block);
    if (!side->pcm || !side->piece || !side->scratch)
        return ERR_NOMEM;
    err = ring_open(&side->ring, is_input ? N_MIC : N_SPEAKER, block);
    if (!err && side->hz != rate_hz)
        err = is_input ? resample_open(&side->resample, side->hz, rate_hz)
                       : resample_open(&side->resample, rate_hz, side->hz);
    return err;
}

enum err sound_start(struct sound *s, int rate_hz, int frame_size)
{
    s->frame_size = (size_t)frame_size;
    int      kept = os_hush();
    enum err err = open_side(s, &s->in, rate_hz, true);
    if (!err)
        err = open_side(s, &s->out, rate_hz, false);
    PaError failed = err ? paNoError : s->pa.StartStream(s->in.stream);
    if (!err && !failed)
        failed = s->pa.StartStream(s->out.stream);
    os_unhush(kept);
    s->last_in_ns = os_now_ns();
    if (failed)
        err = err_set(ERR_HARDWARE, "the sound device does not start: %s",
                      s->pa.GetErrorText(failed));
    return err;
}

/* Closing. */

static void close_streams(void *arg)
{
    struct sound *s = arg;

    for (int i = 0; i < 2; i++) {
        struct side *side = i ? &s->out : &s->in;
        if (!side->stream)
            continue;
        s->pa.AbortStream(side->stream);
        s->pa.CloseStream(side->stream);
    }
    portaudio_close(&s->pa);
    atomic_store(&s->is_closed, 1);
    os_futex_wake(&s->is_closed, 1);
}

static void close_side(struct side *side)
{
    ring_close(&side->ring);
    resample_close(&side->resample);
    mem_free(side->pcm);
    mem_free(side->piece);
    mem_free(side->scratch);
}

bool sound_close(struct sound **sp)
{
    struct sound     *s = *sp;
    struct os_thread *closer = NULL;

    *sp = NULL;
    if (!s)
        return true;
    int     kept = os_hush();
    int64_t deadline_ns = os_now_ns() + CLOSE_NS;
    bool    is_running = s->in.stream || s->out.stream;
    if (!is_running || os_thread_start(&closer, "sound-close", close_streams, s) != OK)
        close_streams(s);
    while (!atomic_load(&s->is_closed) && os_now_ns() < deadline_ns)
        os_futex_wait(&s->is_closed, 0, deadline_ns);
    os_unhush(kept);
    if (!atomic_load(&s->is_closed))
        return false; /* its threads may still use all of it */
    os_thread_join(&closer);
    close_side(&s->in);
    close_side(&s->out);
    mem_free(s);
    return true;
}

/* Frames. */

/* Samples behind what the side has, through its resampler; it has room for two pieces more. */
static enum err fill(struct side *e, const float *pcm, size_t n)
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

static void drain(struct side *e, float *out, size_t n)
{
    memcpy(out, e->pcm, n * sizeof *out);
    e->n -= n;
    memmove(e->pcm, e->pcm + n, e->n * sizeof *out);
}

/* A device that was pulled out ends its stream, or just calls no more. */
static enum err check_alive(struct sound *s)
{
    int64_t now_ns = os_now_ns();

    if (s->pa.IsStreamActive(s->in.stream) != 1)
        return err_set(ERR_HARDWARE, "the microphone has gone");
    if (s->pa.IsStreamActive(s->out.stream) != 1)
        return err_set(ERR_HARDWARE, "the loudspeaker has gone");
    s->last_in_ns = now_ns;
    return OK;
}

enum err sound_read(struct sound *s, float *frame, int64_t *at_ns)
{
    struct side *e = &s->in;

    while (e->n < s->frame_size) {
        if (ring_pop(e->ring, e->piece, 1) == 0) {
            enum err err = os_now_ns() - s->last_in_ns > LOOK_NS ? check_alive(s) : OK;
            return err ? err : ERR_AGAIN;
        }
        s->last_in_ns = e->piece->at_ns;
        enum err err = fill(e, e->piece->pcm, (size_t)e->n_smp);
        if (err)
            return err;
    }
    *at_ns = e->piece->at_ns;
    drain(e, frame, s->frame_size);
    return OK;
}

enum err sound_write(struct sound *s, const float *frame)
{
    struct side *e = &s->out;
    size_t       n = (size_t)e->n_smp;

    enum err err = fill(e, frame, s->frame_size);
    while (!err && e->n >= n) {
        drain(e, e->piece->pcm, n);
        if (ring_push(e->ring, e->piece, 1) == 0) {
            atomic_fetch_add(&s->n_dropped, 1);
            err = s->pa.IsStreamActive(e->stream) == 1
                      ? ERR_AGAIN
                      : err_set(ERR_HARDWARE, "the loudspeaker has gone");
        }
    }
    return err;
}

void sound_figures(const struct sound *s, struct sound_figures *out)
{
    *out = (struct sound_figures){ .n_underrun = atomic_load(&s->n_underrun),
                                   .n_dropped = atomic_load(&s->n_dropped),
                                   .n_cut = atomic_load(&s->n_cut) };
}

/* The list. */

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
    int kept = os_hush();
    portaudio_close(&pa);
    os_unhush(kept);
    return err;
}
