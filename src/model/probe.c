/* SPDX-License-Identifier: MIT */
#include "model/probe.h"

#include <string.h>

#include "base/mem.h"

void *probe_add(struct probe_io *io, const char *name, enum dtype dtype, int n_dim,
                const int64_t *n)
{
    size_t size = dtype_size(dtype);

    must(io->n_out < PROBE_MAX_OUT && n_dim <= SAFETENSORS_MAX_DIM);
    for (int i = 0; i < n_dim; i++)
        size = mem_size(size, (size_t)n[i]);
    void *data = mem_zalloc(size ? size : 1);
    if (!data)
        return NULL;
    struct safetensors_entry *e = &io->out[io->n_out++];
    *e = (struct safetensors_entry){
        .name = name, .dtype = dtype, .n_dim = n_dim, .data = data, .size = size
    };
    memcpy(e->n, n, (size_t)n_dim * sizeof *n);
    return data;
}

void probe_fini(struct probe_io *io)
{
    for (int i = 0; i < io->n_out; i++)
        mem_free((void *)(uintptr_t)io->out[i].data);
    io->n_out = 0;
}

enum err probe_go_on(const struct probe_io *io)
{
    return io->go_on ? io->go_on() : OK;
}

const struct safetensors_entry *probe_find(const struct probe_io *io, const char *name,
                                           enum dtype dtype, int n_dim, enum err *err)
{
    const struct safetensors_entry *e = safetensors_find(io->in, name);

    if (!e || (e->dtype == dtype && e->n_dim == n_dim))
        return e;
    *err = err_set(ERR_USAGE, "%s: tensor '%s' must be %s with %d dimension%s",
                   safetensors_path(io->in, e), name, dtype_name(dtype), n_dim,
                   n_dim == 1 ? "" : "s");
    return NULL;
}

enum err probe_blame(const struct probe_io *io, const struct safetensors_entry *e, enum err err)
{
    return err == ERR_USAGE ? err_set(err, "%s: %s", safetensors_path(io->in, e), err_text(err))
                            : err;
}
