/* SPDX-License-Identifier: MIT */
/* Hostile safetensors files, as a file and as bare headers. Seeds: tests/golden/mimi,
 * tests/golden/moshi and tests/fuzz/corpus/safetensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/safetensors.h"
#include "model/safetensors_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static enum err on_entry(void *arg, const struct safetensors_head_entry *e)
{
    const uint64_t *data_len = arg;
    uint64_t        n = dtype_size(e->dtype);

    must(e->begin <= e->end && e->end <= *data_len && strlen(e->name) == e->name_len);
    must(e->n_dim >= 0 && e->n_dim <= SAFETENSORS_MAX_DIM);
    for (int i = 0; i < e->n_dim; i++)
        n *= (uint64_t)e->n[i];
    must(n == e->end - e->begin);
    return OK;
}

/* Every tensor is found under its name and all of its bytes can be read. */
static void use(const struct safetensors *s)
{
    volatile uint8_t sum = 0;

    for (int i = 0; i < safetensors_count(s); i++) {
        const struct safetensors_entry *e = safetensors_at(s, i);
        must(safetensors_find(s, e->name) == e && safetensors_path(s, e));
        for (size_t j = 0; j < e->size; j++)
            sum = (uint8_t)(sum + ((const uint8_t *)e->data)[j]);
    }
}

static const char *file_of(const uint8_t *p, size_t len)
{
    static char path[64];

    snprintf(path, sizeof path, "/dev/shm/fuzz_safetensors.%d", (int)getpid());
    FILE *f = fopen(path, "wb");
    must(f && fwrite(p, 1, len, f) == len && fclose(f) == 0);
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    uint64_t            data_len = len < 8 ? 0 : len;
    struct safetensors *s = NULL;

    /* A header that lies about the data, so that little of the input is spent on data. */
    if (safetensors_head_read(bytes_of(p, len), data_len, "x", on_entry, &data_len) != OK)
        must(err_text(ERR_FORMAT)[0]);

    const char *path = file_of(p, len);
    enum err    err = safetensors_open(&s, path);
    must(err == OK || (err == ERR_FORMAT && !s));
    if (!err)
        use(s);
    safetensors_close(&s);
    unlink(path);
    return 0;
}
