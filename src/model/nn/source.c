/* SPDX-License-Identifier: MIT */
#include "model/nn/source.h"

void *source_take(const struct source *from, size_t n, size_t size)
{
    void *p = arena_take(from->arena, mem_size(n, size));

    if (!p)
        weights_fail(from->w, err_set(ERR_NOMEM, "%s: out of memory", weights_path(from->w)));
    return p;
}
