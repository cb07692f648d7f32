/* SPDX-License-Identifier: MIT */
/* What loading makes of tensors: room for it, an earlier start's copy of it, and how far it is. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "kernel/finite.h"
#include "model/weights_impl.h"

enum { FILL_CHUNK = 8 << 20 };

static void add_progress(struct weights *w, size_t n)
{
    w->n_done += (int64_t)n;
    if (w->n_done > w->n_total)
        w->n_done = w->n_total;
    if (w->load.on_progress)
        w->load.on_progress(w->load.arg, w->n_done, w->n_total);
}

bool weights_is_cancelled(struct weights *w)
{
    if (w->load.is_cancelled && w->load.is_cancelled(w->load.arg))
        weights_fail(w, err_set(ERR_INTERRUPTED, "%.200s: loading was interrupted", w->path));
    return w->err == ERR_INTERRUPTED;
}

static bool ask_cancelled(void *arg)
{
    const struct weights *w = arg;

    return w->load.is_cancelled && w->load.is_cancelled(w->load.arg);
}

static void on_bytes(void *arg, size_t n)
{
    add_progress(arg, n);
}

enum err weights_keep_open(struct weights *w)
{
    if (w->o.load)
        w->load = *w->o.load;
    if (!w->load.tile_min)
        w->load.tile_min = WEIGHTS_TILE_MIN;
    if (!w->load.tile_dir || w->o.is_noise)
        return OK;
    const struct tile_cache_options o = { .dir = w->load.tile_dir,
                                          .be = w->o.be,
                                          .is_cancelled = ask_cancelled,
                                          .on_bytes = on_bytes,
                                          .arg = w };
    enum err                        err = tile_cache_open(&w->tiles, &o);
    return err ? err_set(err, "%.200s: out of memory", w->path) : OK;
}

void weights_keep_close(struct weights *w)
{
    tile_cache_close(&w->tiles);
    arena_close(&w->scratch);
    mem_free(w->stored);
    w->stored = NULL;
}

void weights_keep_look(struct weights *w)
{
    static const char *const quant[] = { "as-stored", "q8", "q4" };
    struct safetensors      *sources[] = { w->model.st, w->lora.st };
    char                     how[64];

    w->n_stored = 0; /* they are told again */
    if (w->tiles && tile_cache_planned(w->tiles) < w->load.tile_min)
        tile_cache_close(&w->tiles);
    if (!w->tiles)
        return;
    snprintf(how, sizeof how, "%s%s", quant[w->o.quant], w->o.is_exact ? "-exact" : "");
    if (w->o.n_search)
        snprintf(how + strlen(how), sizeof how - strlen(how), "-search%d", w->o.n_search);
    if (w->lora.st) /* sums of an adapter are rounded as the instruction set does it */
        snprintf(how + strlen(how), sizeof how - strlen(how), "-lora%.17g-%s", w->o.lora_scaling,
                 kern.name);
    w->is_known = tile_cache_look(w->tiles, w->path, sources, 2, how);
    if (w->is_known)
        return;
    w->n_done = 0;
    weights_is_cancelled(w);
}

void *weights_room(struct weights *w, struct weight *out, size_t size, const char *key)
{
    const struct tile_item item = { .name = key,
                                    .dtype = out->dtype,
                                    .n_out = out->n_out,
                                    .n_in = out->n_in,
                                    .group = out->group,
                                    .size = size };

    if (w->err)
        return NULL;
    if (w->is_rehearsal) {
        w->n_total += (int64_t)size;
        if (w->tiles && tile_cache_plan(w->tiles, &item) < 0)
            tile_cache_close(&w->tiles);
        return NULL;
    }
    if (weights_is_cancelled(w))
        return NULL;
    w->room_size = size;
    out->data = w->tiles ? tile_cache_at(w->tiles, tile_cache_find(w->tiles, key)) : NULL;
    return out->data ? NULL : weights_take(w, size, key);
}

void weights_made(struct weights *w, struct weight *out, void *data, const char *key)
{
    if (w->err)
        return;
    out->data = data;
    if (w->tiles)
        tile_cache_made(w->tiles, tile_cache_find(w->tiles, key), data);
    add_progress(w, w->room_size);
}

void weights_keep_stored(struct weights *w, const struct safetensors_entry *e, struct bytes part)
{
    if (w->is_rehearsal) {
        w->n_total += (int64_t)part.len;
        return;
    }
    if (w->n_stored == w->stored_cap) {
        int                    cap = w->stored_cap ? 2 * w->stored_cap : 256;
        struct weights_stored *s = mem_realloc(w->stored, (size_t)cap * sizeof *s);
        if (!s) {
            weights_fail_memory(w, e->name);
            return;
        }
        w->stored = s;
        w->stored_cap = cap;
    }
    w->stored[w->n_stored++] = (struct weights_stored){ e, part };
}

void weights_scratch(struct weights *w, bool on)
{
    if (on && !w->scratch && arena_open(&w->scratch, 1 << 20) != OK) {
        weights_fail_memory(w, "weights");
        return;
    }
    w->is_scratch = on && w->scratch;
    if (!on && w->scratch)
        arena_reset(w->scratch);
}

static bool is_finite(const struct weights_stored *s, size_t from, size_t len)
{
    return finite_all(s->e->dtype, s->part.p + from, len / dtype_size(s->e->dtype));
}

void weights_leave(struct weights *w, const struct weight *m, bool was_read)
{
    int i = w->n_stored - 1;

    while (i >= 0 && w->stored[i].part.p != m->data)
        i--;
    if (i < 0)
        return;
    struct weights_stored *s = &w->stored[i];
    if (was_read && !is_finite(s, 0, s->part.len))
        weights_fail_finite(w, s->e);
    os_map_drop(s->part.p, s->part.len);
    add_progress(w, s->part.len);
    *s = w->stored[--w->n_stored];
}

struct fill {
    const struct weights        *w;
    const struct weights_stored *s; /* in pieces of FILL_CHUNK */
    atomic_bool                  is_broken;
};

/* The look at the numbers finds them in the cache or on their way: the disk, when they come from
 * there, takes longer by far. */
static void fill_piece(void *arg, int i)
{
    struct fill *f = arg;
    size_t       from = (size_t)i * FILL_CHUNK, left = f->s->part.len - from;

    left = left < FILL_CHUNK ? left : FILL_CHUNK;
    if (ask_cancelled((void *)(uintptr_t)f->w))
        return;
    os_map_fill(f->s->part.p + from, left);
    if (!f->w->is_known && !is_finite(f->s, from, left))
        f->is_broken = true;
}

/* No page fault is left for the first frames: of embeddings, every frame reads other rows. */
void weights_keep_fill(struct weights *w)
{
    for (int i = 0; i < w->n_stored && !weights_is_cancelled(w) && !w->err; i++) {
        struct fill f = { .w = w, .s = &w->stored[i] };
        int         n = (int)((f.s->part.len + FILL_CHUNK - 1) / FILL_CHUNK);
        if (w->o.be) {
            be_begin(w->o.be, &be_one_lane);
            be_parallel(w->o.be, fill_piece, &f, n);
            weights_fail(w, be_end(w->o.be));
        }
        for (int k = 0; !w->o.be && k < n; k++)
            fill_piece(&f, k);
        if (f.is_broken)
            weights_fail_finite(w, f.s->e);
        add_progress(w, f.s->part.len);
    }
    w->n_stored = 0;
    arena_close(&w->scratch);
}
