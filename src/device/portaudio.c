/* SPDX-License-Identifier: MIT */
#include "device/portaudio.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int portaudio_hush(void)
{
    fflush(stderr);
    int kept = dup(2), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (kept >= 0 && null >= 0)
        dup2(null, 2);
    if (null >= 0)
        close(null);
    return kept;
}

void portaudio_unhush(int kept)
{
    if (kept < 0)
        return;
    fflush(stderr);
    dup2(kept, 2);
    close(kept);
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
        int     kept = portaudio_hush();
        PaError failed = pa->Initialize();
        portaudio_unhush(kept);
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
    if (pa->is_initialized) {
        int kept = portaudio_hush();
        pa->Terminate();
        portaudio_unhush(kept);
    }
    pa->is_initialized = false;
    os_lib_close(&pa->lib);
}
