/* SPDX-License-Identifier: MIT */
#include "text/sentencepiece_ids.h"

#include <limits.h>

#include "base/mem.h"

static void add(struct sentencepiece_ids *out, int id)
{
    if (out->err)
        return;
    if (out->n == out->n_cap) {
        if (!out->can_grow || out->n > INT_MAX / 2) {
            out->err = err_set(ERR_LIMIT, "the text has more than %d tokens", out->n_cap);
            return;
        }
        int  n_cap = out->n ? out->n * 2 : 64;
        int *grown = mem_realloc(out->id, mem_size((size_t)n_cap, sizeof *grown));
        if (!grown) {
            out->err = ERR_NOMEM;
            return;
        }
        out->id = grown;
        out->n_cap = n_cap;
    }
    out->id[out->n++] = id;
}

void sentencepiece_ids_add(struct sentencepiece_ids *out, const struct sentencepiece_model *m,
                           struct bytes piece, int id)
{
    bool is_unknown = m->piece[id].kind == SENTENCEPIECE_UNKNOWN;

    if (is_unknown && m->has_bytes)
        for (size_t i = 0; i < piece.len; i++)
            add(out, m->byte_id[piece.p[i]]);
    else if (!is_unknown || !out->was_unknown)
        add(out, id);
    out->was_unknown = is_unknown;
}
