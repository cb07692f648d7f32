/* SPDX-License-Identifier: MIT */
/* Hostile sound files. Seeds: tests/fuzz/corpus/audio_file. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "media/audio_file.h"

int         LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);
const char *__lsan_default_suppressions(void);

/* libsndfile 1.2.0 forgets what it asked of libvorbis when an Ogg head is broken. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libsndfile\nleak:libvorbis\n";
}

static const char *file_of(const uint8_t *p, size_t len)
{
    static char path[64];

    snprintf(path, sizeof path, "/dev/shm/fuzz_audio_file.%d", (int)getpid());
    FILE *f = fopen(path, "wb");
    must(f && fwrite(p, 1, len, f) == len && fclose(f) == 0);
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    const char *path = file_of(p, len);
    float      *pcm = NULL;
    int64_t     n = -1;
    enum err    err = audio_file_read(&pcm, &n, path, 24000);

    unlink(path);
    must(err == OK || err == ERR_FORMAT || err == ERR_LIMIT || err == ERR_NOMEM);
    must(err ? !pcm && n == -1 : pcm && n > 0);
    for (int64_t i = 0; !err && i < n; i++)
        must(fabsf(pcm[i]) <= 1e6f);
    mem_free(pcm);
    return 0;
}
