/* SPDX-License-Identifier: MIT */
#include "device/portaudio.h"

#include <stdio.h>

#include "base/log.h"

typedef void alsa_error_fn(const char *file, int line, const char *function, int err,
                           const char *fmt, ...);

static void on_alsa_error(const char *file, int line, const char *function, int err,
                          const char *fmt, ...)
{
    char    text[200];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    log_debug("alsa: %s (%s)", text, function);
}

/* ALSA would print each underrun on stderr, in the middle of the words. */
static void silence_alsa(struct portaudio *pa)
{
    static const char *const names[] = { "libasound.so.2", NULL };

    if (os_lib_open(&pa->alsa, names) != OK)
        return;
    int (*set_handler)(alsa_error_fn * handler) = (int (*)(alsa_error_fn *))os_lib_symbol(
        pa->alsa, "snd_lib_error_set_handler");
    if (set_handler)
        set_handler(on_alsa_error);
}

static enum err load(struct portaudio *pa)
{
    static const char *const names[] = { "libportaudio.so.2", "libportaudio.so", NULL };

    if (os_lib_open(&pa->lib, names) != OK)
        return err_set(ERR_HARDWARE, "no sound: the library libportaudio.so.2 is not installed "
                                     "(Debian package libportaudio2)");
    bool is_whole = true;
#define F(type, name, args)                                       \
    pa->name = (type(*) args)os_lib_symbol(pa->lib, "Pa_" #name); \
    is_whole = is_whole && pa->name;
    PORTAUDIO_LIST(F)
#undef F
    return is_whole ? OK : err_set(ERR_HARDWARE, "no sound: libportaudio is too old");
}

enum err portaudio_open(struct portaudio *pa)
{
    *pa = (struct portaudio){ 0 };
    enum err err = load(pa);
    if (!err) {
        silence_alsa(pa);
        int     kept = os_hush();
        PaError failed = pa->Initialize();
        os_unhush(kept);
        pa->is_initialized = failed == paNoError;
        if (failed)
            err = err_set(ERR_HARDWARE, "no sound: %s", pa->GetErrorText(failed));
    }
    if (err)
        portaudio_close(pa);
    return err;
}

void portaudio_close(struct portaudio *pa)
{
    if (pa->is_initialized)
        pa->Terminate();
    pa->is_initialized = false;
    os_lib_close(&pa->lib);
    os_lib_close(&pa->alsa);
}
