/* SPDX-License-Identifier: MIT */
/* portaudio: the PortAudio library, loaded at run time. Private to device/. */
#ifndef DEVICE_PORTAUDIO_H
#define DEVICE_PORTAUDIO_H

#include <portaudio.h>

#include "base/err.h"
#include "base/os.h"

/* The calls we use, by their names without Pa_. */
#define PORTAUDIO_LIST(F)                                                                          \
    F(PaError, Initialize, (void))                                                                 \
    F(PaError, Terminate, (void))                                                                  \
    F(const char *, GetErrorText, (PaError))                                                       \
    F(PaDeviceIndex, GetDeviceCount, (void))                                                       \
    F(PaDeviceIndex, GetDefaultInputDevice, (void))                                                \
    F(PaDeviceIndex, GetDefaultOutputDevice, (void))                                               \
    F(const PaDeviceInfo *, GetDeviceInfo, (PaDeviceIndex))                                        \
    F(PaError, IsFormatSupported,                                                                  \
      (const PaStreamParameters *, const PaStreamParameters *, double))                            \
    F(PaError, OpenStream,                                                                         \
      (PaStream **, const PaStreamParameters *, const PaStreamParameters *, double, unsigned long, \
       PaStreamFlags, PaStreamCallback *, void *))                                                 \
    F(PaError, SetStreamFinishedCallback, (PaStream *, PaStreamFinishedCallback *))                \
    F(PaError, StartStream, (PaStream *))                                                          \
    F(PaError, IsStreamActive, (PaStream *))                                                       \
    F(PaError, AbortStream, (PaStream *))                                                          \
    F(PaError, CloseStream, (PaStream *))

struct portaudio {
    struct os_lib *lib;
    struct os_lib *alsa; /* NULL: none here */
    bool           is_initialized;
#define F(type, name, args) type(*name) args;
    PORTAUDIO_LIST(F)
#undef F
};

/* No library or no sound system: ERR_HARDWARE. What the libraries below print on stderr is
 * silenced. */
enum err portaudio_open(struct portaudio *pa) MUST_CHECK;
void     portaudio_close(struct portaudio *pa); /* may talk: the caller hushes (os_hush) */

#endif
