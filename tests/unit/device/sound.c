/* SPDX-License-Identifier: MIT */
/* sound over a PortAudio of the test's own: it is the device, and plays and hears when told to. */
#include "device/sound.h"

#include <math.h>
#include <semaphore.h>

#include "base/buf.h"
#include "base/os.h"
#include "check.h"
#include "device/portaudio.h"

#define RATE  24000
#define FRAME 1920

struct fake_stream {
    bool              is_open, is_input;
    double            hz;
    unsigned long     n_smp;
    PaStreamCallback *call;
    PaStreamFlags     flags; /* for the next call */
    void             *user;
};

static struct fake {
    int                in_hz, out_hz; /* the only rate each takes; 0: any */
    int                n_device;
    bool               is_gone, is_missing;
    struct fake_stream in, out;
    int64_t            now_ns;
    int                n_wake;
} fake;

static atomic_bool hangs; /* its own: a thread left behind reads it */

static const PaDeviceInfo devices[] = {
    { .name = "Built-in Microphone 2", .maxInputChannels = 2, .defaultSampleRate = 44100 },
    { .name = "Built-in \"Box\"", .maxOutputChannels = 2, .defaultSampleRate = 48000 },
    { .name = "USB", .maxInputChannels = 1, .defaultSampleRate = 48000 },
};

static const char *fake_text(PaError e)
{
    return e == paInvalidSampleRate ? "Invalid sample rate" : "some trouble";
}
static PaDeviceIndex fake_count(void)
{
    return fake.n_device;
}
static PaDeviceIndex fake_default_input(void)
{
    return fake.n_device > 0 ? 0 : paNoDevice;
}
static PaDeviceIndex fake_default_output(void)
{
    return fake.n_device > 1 ? 1 : paNoDevice;
}
static const PaDeviceInfo *fake_device(PaDeviceIndex i)
{
    return &devices[i];
}
static PaError fake_supports(const PaStreamParameters *in, const PaStreamParameters *out, double hz)
{
    int only = in ? fake.in_hz : fake.out_hz;
    return only == 0 || only == (int)hz ? paFormatIsSupported : paInvalidSampleRate;
}
static PaError fake_open(PaStream **stream, const PaStreamParameters *in,
                         const PaStreamParameters *out, double hz, unsigned long n_smp,
                         PaStreamFlags flags, PaStreamCallback *call, void *user)
{
    struct fake_stream *s = in ? &fake.in : &fake.out;

    if (fake_supports(in, out, hz) != paFormatIsSupported)
        return paInvalidSampleRate;
    *s = (struct fake_stream){ true, in, hz, n_smp, call, 0, user };
    *stream = s;
    return paNoError;
}
static PaError fake_on_finish(PaStream *stream, PaStreamFinishedCallback *call)
{
    return paNoError;
}
static PaError fake_do(PaStream *stream)
{
    return paNoError;
}
static PaError fake_abort(PaStream *stream)
{
    sem_t never;

    sem_init(&never, 0, 0);
    while (hangs)
        sem_wait(&never);
    return paNoError;
}
static PaError fake_is_active(PaStream *stream)
{
    return fake.is_gone ? 0 : 1;
}
static PaError fake_close(PaStream *stream)
{
    ((struct fake_stream *)stream)->is_open = false;
    return paNoError;
}

enum err portaudio_open(struct portaudio *pa)
{
    if (fake.is_missing)
        return err_set(ERR_HARDWARE, "no library");
    *pa = (struct portaudio){ .is_initialized = true,
                              .GetErrorText = fake_text,
                              .GetDeviceCount = fake_count,
                              .GetDefaultInputDevice = fake_default_input,
                              .GetDefaultOutputDevice = fake_default_output,
                              .GetDeviceInfo = fake_device,
                              .IsFormatSupported = fake_supports,
                              .OpenStream = fake_open,
                              .SetStreamFinishedCallback = fake_on_finish,
                              .StartStream = fake_do,
                              .AbortStream = fake_abort,
                              .IsStreamActive = fake_is_active,
                              .CloseStream = fake_close };
    return OK;
}
void portaudio_close(struct portaudio *pa)
{
    pa->is_initialized = false;
}

static void count_wake(void *arg)
{
    fake.n_wake++;
}

static struct sound *open_sound(void)
{
    struct sound_options o = { .wake = count_wake };
    struct sound        *s = NULL;

    CHECK(sound_open(&s, &o) == OK);
    CHECK(sound_start(s, RATE, FRAME) == OK);
    return s;
}

static void hear(const float *pcm)
{
    PaStreamFlags flags = fake.in.flags;
    fake.in.flags = 0;
    CHECK(fake.in.call(pcm, NULL, fake.in.n_smp, NULL, flags, fake.in.user) == paContinue);
}

static void play(float *pcm)
{
    PaStreamFlags flags = fake.out.flags;
    fake.out.flags = 0;
    CHECK(fake.out.call(NULL, pcm, fake.out.n_smp, NULL, flags, fake.out.user) == paContinue);
}

static void fill_sine(float *pcm, int n, int hz, int64_t *at_smp)
{
    for (int i = 0; i < n; i++)
        pcm[i] = 0.5f * sinf((float)(2 * 3.14159265358979 * 440 * (double)(*at_smp)++ / hz));
}

/* How much of pcm is a sine of 440 Hz, whatever its phase: its amplitude and what is left over. */
static void check_sine(const float *pcm, int n, int hz)
{
    double a = 0, b = 0, rest = 0;

    for (int i = 0; i < n; i++) {
        double w = 2 * 3.14159265358979 * 440 * i / hz;
        a += pcm[i] * sin(w) * 2 / n;
        b += pcm[i] * cos(w) * 2 / n;
    }
    for (int i = 0; i < n; i++) {
        double w = 2 * 3.14159265358979 * 440 * i / hz;
        rest += fabs(pcm[i] - a * sin(w) - b * cos(w)) / n;
    }
    CHECK(fabs(hypot(a, b) - 0.5) < 0.01);
    CHECK(rest < 0.01);
}

TEST(samples_of_the_same_rate_pass_unchanged)
{
    fake = (struct fake){ .n_device = 2 };
    struct sound *s = open_sound();
    static float  pcm[FRAME], got[FRAME];
    int64_t       at_smp = 0, at_ns = 0, before_ns = os_now_ns();

    CHECK_INT(fake.in.hz, RATE);
    CHECK_INT(fake.in.n_smp, FRAME);
    CHECK(sound_read(s, got, &at_ns) == ERR_AGAIN);
    fill_sine(pcm, FRAME, RATE, &at_smp);
    hear(pcm);
    CHECK_INT(fake.n_wake, 1);
    CHECK(sound_read(s, got, &at_ns) == OK);
    CHECK(memcmp(pcm, got, sizeof got) == 0);
    CHECK(at_ns >= before_ns && at_ns <= os_now_ns());
    CHECK(sound_read(s, got, &at_ns) == ERR_AGAIN);

    CHECK(sound_write(s, pcm) == OK);
    play(got); /* waits for a block to spare */
    for (int i = 0; i < FRAME; i++)
        CHECK(got[i] == 0);
    CHECK(sound_write(s, pcm) == OK);
    play(got);
    CHECK(memcmp(pcm, got, sizeof got) == 0);
    sound_close(&s);
    CHECK(!s && !fake.in.is_open && !fake.out.is_open);
}

static void check_rates(int in_hz, int out_hz)
{
    static float  pcm[FRAME * 4], frame[FRAME], heard[FRAME * 64], played[FRAME * 256];
    struct sound *s = open_sound();
    int64_t       in_smp = 0, out_smp = 0, at_ns;
    int           n_heard = 0, n_played = 0, n_in = (int)fake.in.n_smp, n_out = (int)fake.out.n_smp;

    CHECK_INT(fake.in.hz, in_hz);
    CHECK_INT(fake.out.hz, out_hz);
    for (int i = 0; i < 50; i++) {
        fill_sine(pcm, n_in, in_hz, &in_smp);
        hear(pcm);
        while (sound_read(s, heard + n_heard, &at_ns) == OK)
            n_heard += FRAME;
        fill_sine(frame, FRAME, RATE, &out_smp);
        CHECK(sound_write(s, frame) == OK);
        play(played + n_played);
        n_played += n_out;
    }
    CHECK(n_heard >= 48 * FRAME); /* the resampler keeps a little */
    check_sine(heard + 4 * FRAME, 40 * FRAME, RATE);
    check_sine(played + 8 * n_out, 40 * n_out, out_hz);
    struct sound_figures f;
    sound_figures(s, &f);
    CHECK_INT(f.n_dropped, 0);
    sound_close(&s);
}

TEST(a_device_of_44100_hz_is_resampled)
{
    fake = (struct fake){ .n_device = 2, .in_hz = 44100, .out_hz = 48000 };
    check_rates(44100, 48000);
}

TEST(one_direction_alone_is_resampled)
{
    fake = (struct fake){ .n_device = 2, .out_hz = 48000 };
    check_rates(24000, 48000);
}

TEST(a_microphone_that_nobody_reads_drops_and_counts)
{
    fake = (struct fake){ .n_device = 2 };
    struct sound        *s = open_sound();
    static float         pcm[FRAME], got[FRAME];
    int64_t              at_ns;
    struct sound_figures f;

    for (int i = 0; i < 10; i++) {
        pcm[0] = (float)i;
        hear(pcm);
    }
    sound_figures(s, &f);
    CHECK_INT(f.n_dropped, 2); /* of ten, eight fit */
    for (int i = 0; i < 8; i++) {
        CHECK(sound_read(s, got, &at_ns) == OK);
        CHECK_INT(got[0], i); /* the oldest are kept: input has no holes but at its end */
    }
    CHECK(sound_read(s, got, &at_ns) == ERR_AGAIN);
    sound_close(&s);
}

TEST(a_loudspeaker_that_nobody_feeds_plays_silence_and_counts)
{
    fake = (struct fake){ .n_device = 2 };
    struct sound        *s = open_sound();
    static float         pcm[FRAME], got[FRAME];
    struct sound_figures f;

    CHECK(sound_write(s, pcm) == OK);
    CHECK(sound_write(s, pcm) == OK);
    play(got);
    play(got);
    int n_wake = fake.n_wake;
    got[7] = 1;
    play(got);
    play(got);
    CHECK(got[7] == 0);
    CHECK_INT(fake.n_wake, n_wake + 1);
    sound_figures(s, &f);
    CHECK_INT(f.n_underrun, 1);
    sound_close(&s);
}

TEST(a_loudspeaker_queue_that_is_full_says_so)
{
    fake = (struct fake){ .n_device = 2 };
    struct sound        *s = open_sound();
    static float         pcm[FRAME];
    struct sound_figures f;
    int                  n = 0;

    while (n < 100 && sound_write(s, pcm) == OK)
        n++;
    CHECK_INT(n, 16);
    sound_figures(s, &f);
    CHECK_INT(f.n_dropped, 1);
    sound_close(&s);
}

TEST(what_the_device_itself_loses_is_counted)
{
    fake = (struct fake){ .n_device = 2 };
    struct sound        *s = open_sound();
    static float         pcm[FRAME];
    struct sound_figures f;

    fake.in.flags = paInputOverflow;
    hear(pcm);
    CHECK(sound_write(s, pcm) == OK);
    CHECK(sound_write(s, pcm) == OK);
    play(pcm);
    fake.out.flags = paOutputUnderflow;
    play(pcm);
    sound_figures(s, &f);
    CHECK_INT(f.n_dropped, 1);
    CHECK_INT(f.n_underrun, 1);
    sound_close(&s);
}

static int64_t fake_now_ns(void)
{
    return fake.now_ns;
}

TEST(a_device_that_has_gone_is_noticed)
{
    fake = (struct fake){ .n_device = 2, .now_ns = 1 };
    os_set_clock(fake_now_ns);
    struct sound *s = open_sound();
    static float  got[FRAME];
    int64_t       at_ns;

    fake.now_ns += 3000000000;
    CHECK(sound_read(s, got, &at_ns) == ERR_AGAIN); /* silent, but there */
    fake.is_gone = true;
    CHECK(sound_read(s, got, &at_ns) == ERR_AGAIN);
    fake.now_ns += 1100000000;
    CHECK(sound_read(s, got, &at_ns) == ERR_HARDWARE);
    CHECK_STR(err_text(ERR_HARDWARE), "the microphone has gone");
    os_set_clock(NULL);
    sound_close(&s);
}

TEST(a_machine_without_devices_is_told_apart)
{
    struct sound_options o = { .wake = count_wake };
    struct sound        *s = NULL;

    fake = (struct fake){ .is_missing = true };
    CHECK(sound_open(&s, &o) == ERR_HARDWARE);
    CHECK_STR(err_text(ERR_HARDWARE), "no library");
    fake = (struct fake){ .n_device = 0 };
    CHECK(sound_open(&s, &o) == ERR_HARDWARE);
    CHECK_STR(err_text(ERR_HARDWARE), "this machine has no microphone");
    fake = (struct fake){ .n_device = 1 };
    CHECK(sound_open(&s, &o) == ERR_HARDWARE);
    CHECK_STR(err_text(ERR_HARDWARE), "this machine has no loudspeaker");
    fake = (struct fake){ .n_device = 2 };
    o.input = "Box"; /* it has no input */
    CHECK(sound_open(&s, &o) == ERR_HARDWARE);
    CHECK_STR(err_text(ERR_HARDWARE),
              "no microphone is called 'Box'; see parley talk --list-devices");
    o.input = "-1";
    CHECK(sound_open(&s, &o) == ERR_HARDWARE);
    CHECK(!s);
}

TEST(a_number_is_a_place_in_the_list_and_no_part_of_a_name)
{
    struct sound_options o = { .wake = count_wake, .input = "2" };
    struct sound        *s = NULL;

    fake = (struct fake){ .n_device = 3, .in_hz = 8000 };
    CHECK(sound_open(&s, &o) == OK);
    CHECK(sound_start(s, RATE, FRAME) == ERR_HARDWARE);
    CHECK_STR(err_text(ERR_HARDWARE), "the microphone 'USB' does not open: Invalid sample rate");
    sound_close(&s);
}

TEST(a_device_that_does_not_open_is_named)
{
    struct sound_options o = { .wake = count_wake };
    struct sound        *s = NULL;

    fake = (struct fake){ .n_device = 2, .out_hz = 8000 }; /* not even its default */
    CHECK(sound_open(&s, &o) == OK);
    CHECK(sound_start(s, RATE, FRAME) == ERR_HARDWARE);
    CHECK_STR(err_text(ERR_HARDWARE),
              "the loudspeaker 'Built-in \"Box\"' does not open: Invalid sample rate");
    sound_close(&s);
    CHECK(!fake.in.is_open);
}

TEST(a_device_that_hangs_does_not_hold_the_end)
{
    fake = (struct fake){ .n_device = 2 };
    hangs = true;
    struct sound *s = open_sound();
    int64_t       t0_ns = os_now_ns();

    CHECK(!sound_close(&s));
    CHECK(!s);
    CHECK(os_now_ns() - t0_ns < 900000000);
    hangs = false;
}

static enum err open_and_close(void)
{
    struct sound_options o = { .wake = count_wake };
    struct sound        *s = NULL;

    enum err err = sound_open(&s, &o);
    if (!err)
        err = sound_start(s, RATE, FRAME);
    sound_close(&s);
    return err;
}

TEST(out_of_memory_is_an_error_like_others)
{
    fake = (struct fake){ .n_device = 2 };
    CHECK_OOM(open_and_close());
}

TEST(devices_are_listed_as_text_and_as_json)
{
    struct buf out;

    fake = (struct fake){ .n_device = 2 };
    buf_init(&out, 4096);
    CHECK(sound_list(&out, false) == OK);
    buf_add_byte(&out, 0);
    CHECK(strstr((char *)out.p, "  0  Built-in Microphone"));
    CHECK(strstr((char *)out.p, "0 in, 2 out, 48000 Hz\n"));
    buf_clear(&out);
    CHECK(sound_list(&out, true) == OK);
    buf_add_byte(&out, 0);
    CHECK_STR(
        (char *)out.p,
        "[\n"
        "  {\"number\": 0, \"name\": \"Built-in Microphone 2\", \"inputs\": 2, \"outputs\": 0, "
        "\"rate\": 44100},\n"
        "  {\"number\": 1, \"name\": \"Built-in \\\"Box\\\"\", \"inputs\": 0, \"outputs\": 2, "
        "\"rate\": 48000}\n]\n");
    fake.n_device = 0;
    CHECK(sound_list(&out, false) == ERR_HARDWARE);
    buf_fini(&out);
}
