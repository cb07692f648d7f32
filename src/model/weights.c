/* SPDX-License-Identifier: MIT */
#include "model/weights.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "kernel/finite.h"
#include "model/weights_impl.h"

/* Files. */

static enum err source_open(struct weights_source *s, const char *path)
{
    enum err err = safetensors_open(&s->st, path);

    if (err)
        return err;
    s->is_used = mem_zalloc((size_t)safetensors_count(s->st) + 1);
    return s->is_used ? OK : err_set(ERR_NOMEM, "%s: out of memory", path);
}

static void source_close(struct weights_source *s)
{
    safetensors_close(&s->st);
    mem_free(s->is_used);
    s->is_used = NULL;
}

enum err weights_open(struct weights **out, const char *path, const struct weights_options *o)
{
    struct weights *w = mem_zalloc(sizeof *w);
    enum err        err = ERR_NOMEM;

    if (!w)
        return err_set(ERR_NOMEM, "%s: out of memory", path);
    w->o = *o;
    w->path = mem_strdup(path);
    if (!w->path) {
        err = err_set(ERR_NOMEM, "%s: out of memory", path);
        goto fail;
    }
    err = o->is_noise ? OK : source_open(&w->model, path);
    if (!err && o->lora_path)
        err = source_open(&w->lora, o->lora_path);
    if (!err)
        err = weights_keep_open(w);
    if (err)
        goto fail;
    *out = w;
    return OK;

fail:
    weights_close(&w);
    return err;
}

void weights_close(struct weights **w)
{
    if (!*w)
        return;
    weights_keep_close(*w);
    source_close(&(*w)->model);
    source_close(&(*w)->lora);
    mem_free((*w)->path);
    mem_free(*w);
    *w = NULL;
}

const char *weights_path(const struct weights *w)
{
    return w->path;
}

bool weights_is_rehearsal(const struct weights *w)
{
    return w->is_rehearsal;
}

enum err weights_err(const struct weights *w)
{
    return w->err;
}

/* Failures. */

void weights_fail(struct weights *w, enum err err)
{
    if (w->err || !err)
        return;
    w->err = err;
    snprintf(w->text, sizeof w->text, "%s", err_text(err));
}

static void fail_in(struct weights *w, const char *path, const char *name, const char *what)
{
    /* A long path is cut in front, so that the tensor's name stays in the sentence. */
    size_t len = strlen(path);

    weights_fail(w, err_set(ERR_FORMAT, "%s%s: tensor '%.100s' %s", len > 100 ? "..." : "",
                            len > 100 ? path + len - 97 : path, name, what));
}

void weights_fail_at(struct weights *w, const struct safetensors_entry *e, const char *name,
                     const char *fmt, ...)
{
    const char *path = w->path;
    char        what[200];
    va_list     args;

    if (e && safetensors_find(w->model.st, e->name) == e)
        path = safetensors_path(w->model.st, e);
    else if (e && w->lora.st)
        path = safetensors_path(w->lora.st, e);
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    fail_in(w, path, name, what);
}

void weights_fail_missing(struct weights *w, const char *name)
{
    fail_in(w, w->path, name, "is missing");
}

void weights_fail_lora(struct weights *w, const char *name)
{
    fail_in(w, w->o.lora_path, name, "is missing");
}

void weights_fail_memory(struct weights *w, const char *name)
{
    weights_fail(w, err_set(ERR_NOMEM, "%.150s: out of memory for tensor '%.100s'", w->path, name));
}

static enum err check_left_over(struct weights *w, struct weights_source *s)
{
    const struct safetensors_entry *first = NULL;
    int                             n = 0;

    for (int i = 0; s->st && i < safetensors_count(s->st); i++) {
        if (s->is_used[i])
            continue;
        if (n++ == 0)
            first = safetensors_at(s->st, i);
    }
    if (n == 1)
        weights_fail_at(w, first, first->name, "is not part of this model");
    else if (n > 1)
        weights_fail_at(w, first, first->name, "and %d more are not part of this model", n - 1);
    return w->err;
}

enum err weights_finish_part(struct weights *w)
{
    if (!w->err && !w->is_rehearsal)
        weights_keep_fill(w);
    return w->err ? err_set(w->err, "%s", w->text) : OK;
}

enum err weights_finish(struct weights *w)
{
    if (!w->err && !check_left_over(w, &w->model))
        check_left_over(w, &w->lora);
    return weights_finish_part(w);
}

void weights_rehearse(struct weights *w)
{
    w->is_rehearsal = true;
}

enum err weights_perform(struct weights *w)
{
    enum err err = weights_finish(w);

    if (err)
        return err;
    w->is_rehearsal = false;
    if (w->model.st)
        memset(w->model.is_used, 0, (size_t)safetensors_count(w->model.st));
    if (w->lora.st)
        memset(w->lora.is_used, 0, (size_t)safetensors_count(w->lora.st));
    weights_keep_look(w);
    return w->err;
}

/* Names. */

/* The first tensor whose name is not before this one. safetensors_at() is in order of names. */
static int lower_bound(const struct safetensors *st, const char *name)
{
    int low = 0, high = st ? safetensors_count(st) : 0;

    while (low < high) {
        int mid = low + (high - low) / 2;
        if (strcmp(safetensors_at(st, mid)->name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The index of a tensor; -1 when it is not there. */
static int index_of(const struct safetensors *st, const char *name)
{
    int i = lower_bound(st, name);

    return st && i < safetensors_count(st) && strcmp(safetensors_at(st, i)->name, name) == 0 ? i
                                                                                             : -1;
}

bool weights_source_has_prefix(const struct weights_source *s, const char *prefix)
{
    int i = lower_bound(s->st, prefix);

    return s->st && i < safetensors_count(s->st) &&
           strncmp(safetensors_at(s->st, i)->name, prefix, strlen(prefix)) == 0;
}

bool weights_has_prefix(const struct weights *w, const char *prefix)
{
    return weights_source_has_prefix(&w->model, prefix) ||
           weights_source_has_prefix(&w->lora, prefix);
}

const struct safetensors_entry *weights_find_in(struct weights_source *s, const char *name)
{
    int i = index_of(s->st, name);

    if (i < 0)
        return NULL;
    s->is_used[i] = true;
    return safetensors_at(s->st, i);
}

/* X.weight under the name that an adapter gives the model's own: X.frozen_W.weight. */
static bool frozen_name(char *out, const char *name)
{
    size_t len = strlen(name);

    if (len < 7 || strcmp(name + len - 7, ".weight") != 0)
        return false;
    int n = snprintf(out, WEIGHTS_NAME_CAP, "%.*s.frozen_W.weight", (int)(len - 7), name);
    return n < WEIGHTS_NAME_CAP;
}

const struct safetensors_entry *weights_find(struct weights *w, const char *name)
{
    const struct safetensors_entry *own = weights_find_in(&w->model, name);
    const struct safetensors_entry *e = weights_find_in(&w->lora, name);
    char                            frozen[WEIGHTS_NAME_CAP];

    if (!e && w->lora.st && frozen_name(frozen, name))
        e = weights_find_in(&w->lora, frozen);
    return e ? e : own;
}

static bool format_name(struct weights *w, char *out, const char *fmt, va_list args)
{
    int n = vsnprintf(out, WEIGHTS_NAME_CAP, fmt, args);

    if (n < WEIGHTS_NAME_CAP)
        return true;
    weights_fail_at(w, NULL, out, "has a name that is too long");
    return false;
}

bool weights_has(const struct weights *w, const char *fmt, ...)
{
    char    name[WEIGHTS_NAME_CAP];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    return n < WEIGHTS_NAME_CAP &&
           (index_of(w->model.st, name) >= 0 || index_of(w->lora.st, name) >= 0);
}

void weights_skip(struct weights *w, const char *fmt, ...)
{
    char    name[WEIGHTS_NAME_CAP];
    va_list args;

    va_start(args, fmt);
    bool is_named = format_name(w, name, fmt, args);
    va_end(args);
    if (is_named && !w->err)
        weights_find(w, name);
}

/* Numbers. */

bool weights_is_float(enum dtype t)
{
    return t == DT_F32 || t == DT_BF16 || t == DT_F16;
}

void *weights_take(struct weights *w, size_t size, const char *name)
{
    void *p = arena_take(w->is_scratch ? w->scratch : w->o.arena, size);

    if (!p)
        weights_fail_memory(w, name);
    return p;
}

/* n1 = 0: one dimension. Says so; false, so that callers can return it. */
static bool fail_shape(struct weights *w, const struct safetensors_entry *e, int64_t n0, int64_t n1)
{
    char   have[96] = "";
    size_t at = 0;

    for (int i = 0; i < e->n_dim && at + 24 < sizeof have; i++)
        at += (size_t)snprintf(have + at, sizeof have - at, "%s%lld", i ? ", " : "",
                               (long long)e->n[i]);
    if (n1 > 0)
        weights_fail_at(w, e, e->name, "has the shape [%s], the config asks for [%lld, %lld]", have,
                        (long long)n0, (long long)n1);
    else
        weights_fail_at(w, e, e->name, "has the shape [%s], the config asks for [%lld]", have,
                        (long long)n0);
    return false;
}

/* The projections of a codec's quantizer are convolutions of one tap: [n_out, n_in, 1]. */
static bool is_tap(const struct safetensors_entry *e)
{
    return e->n_dim == 3 && e->n[2] == 1 && strncmp(e->name, "quantizer.", 10) == 0;
}

bool weights_has_shape(struct weights *w, const struct safetensors_entry *e, int64_t n0, int64_t n1)
{
    int n_dim = n1 > 0 ? 2 : 1;

    if ((e->n_dim == n_dim || (n_dim == 2 && is_tap(e))) && e->n[0] == n0 &&
        (n1 == 0 || e->n[1] == n1))
        return true;
    return fail_shape(w, e, n0, n1);
}

/* PyTorch's gains of RMS norms and paddings of conditions are [1, 1, n]. */
static bool is_vector(const struct safetensors_entry *e, int64_t n)
{
    if (e->n_dim == 3 && e->n[0] == 1 && e->n[1] == 1 && e->n[2] == n)
        return bytes_str_ends_with(e->name, ".alpha") ||
               bytes_str_ends_with(e->name, ".learnt_padding");
    return e->n_dim == 1 && e->n[0] == n;
}

/* The file's bytes may lie at odd places: 16-bit numbers go through a small buffer. */
void weights_floats_at(float *out, const struct safetensors_entry *e, size_t from, size_t n)
{
    const uint8_t *p = (const uint8_t *)e->data + from * dtype_size(e->dtype);
    uint16_t       half[512];

    if (e->dtype == DT_F32) {
        memcpy(out, p, n * sizeof *out);
        return;
    }
    for (size_t at = 0; at < n; at += 512) {
        size_t m = n - at < 512 ? n - at : 512;
        memcpy(half, p + 2 * at, 2 * m);
        if (e->dtype == DT_BF16)
            kern.bf16_to_f32(out + at, half, (int)m);
        else
            kern.f16_to_f32(out + at, half, (int)m);
    }
}

void weights_fail_finite(struct weights *w, const struct safetensors_entry *e)
{
    weights_fail_at(w, e, e->name, "has a number that is infinite or NaN");
}

bool weights_check_finite(struct weights *w, const struct safetensors_entry *e, size_t from,
                          size_t n)
{
    bool is = finite_all(e->dtype, (const uint8_t *)e->data + from * dtype_size(e->dtype), n);

    if (!is)
        weights_fail_finite(w, e);
    return is;
}

/* Blocks. */

struct blocks {
    struct weights *w;
    void (*fn)(void *arg, int row0, int row1, void *room);
    void    *arg;
    int      n_row, n_slice;
    uint8_t *room;
    size_t   room_size;
};

static bool is_ended(const struct weights *w)
{
    return w->load.is_cancelled && w->load.is_cancelled(w->load.arg);
}

static void run_slice(void *arg, int i)
{
    const struct blocks *b = arg;
    int64_t              n_block = (b->n_row + QUANT_ROWS - 1) / QUANT_ROWS;
    int64_t              end = n_block * (i + 1) / b->n_slice;

    for (int64_t k = n_block * i / b->n_slice; k < end && !is_ended(b->w); k++) {
        int row = (int)k * QUANT_ROWS, left = b->n_row - row;
        b->fn(b->arg, row, row + (left < QUANT_ROWS ? left : QUANT_ROWS),
              b->room + (size_t)i * b->room_size);
    }
}

bool weights_each_block(struct weights *w, const char *name, int n_row, size_t room_size,
                        void (*fn)(void *arg, int row0, int row1, void *room), void *arg)
{
    int           n_block = (n_row + QUANT_ROWS - 1) / QUANT_ROWS;
    int           n_slice = w->o.be ? 4 * be_thread_count(w->o.be) : 1;
    struct blocks b = { w, fn, arg, n_row, n_slice < n_block ? n_slice : n_block, NULL, room_size };

    b.room = mem_alloc(mem_size((size_t)b.n_slice, room_size));
    if (!b.room) {
        weights_fail_memory(w, name);
        return false;
    }
    if (w->o.be) {
        be_begin(w->o.be, &be_one_lane);
        be_parallel(w->o.be, run_slice, &b, b.n_slice);
        weights_fail(w, be_end(w->o.be));
    } else {
        run_slice(&b, 0);
    }
    mem_free(b.room);
    return !weights_is_cancelled(w) && !w->err;
}

/* Matrices. */

/* As it lies in the file, when its place is a number's. */
static void take_stored(struct weights *w, struct weight *out, const struct weights_rows *r,
                        const char *key)
{
    size_t size = dtype_size(r->e.dtype), n = (size_t)r->n_out * (size_t)r->n_in * size;

    if (r->is_mapped && (uintptr_t)r->e.data % size != 0) {
        void *copy = weights_room(w, out, n, key);
        if (copy && !finite_all(r->e.dtype, r->e.data, n / size))
            weights_fail_finite(w, r->from);
        else if (copy)
            weights_made(w, out, memcpy(copy, r->e.data, n), key);
        os_map_drop(r->e.data, n);
        return;
    }
    if (r->is_mapped)
        weights_keep_stored(w, r->from, bytes_of(r->e.data, n));
    if (!w->is_rehearsal)
        out->data = r->e.data;
}

/* What is to become of a float matrix. Quantised ones stay as they are. */
static void finish_matrix(struct weights *w, struct weight *out, const struct weights_part *p,
                          const char *name, bool is_linear, bool can_quant)
{
    char                key[WEIGHTS_KEY_CAP];
    struct weights_fold fold = { 0 };
    struct weights_rows r = { .e = { .dtype = out->dtype, .data = out->data },
                              .from = p->e,
                              .n_out = out->n_out,
                              .n_in = out->n_in,
                              .is_mapped = p->e->dtype == out->dtype };

    if (is_linear && w->lora.st) {
        if (!weights_fold_open(w, &fold, out, p, name))
            return;
        r.fold = &fold;
    }
    snprintf(key, sizeof key, "%s[%d+%d]%s", name, p->row0, p->n_out, r.is_mapped ? "" : "'");
    if (!weights_is_float(out->dtype) || out->row_scale)
        return;
    if (can_quant && weights_quantise(w, out, &r, key)) {
        weights_fold_close(&fold);
        return;
    }
    if (r.fold)
        weights_store(w, out, &r, key);
    else
        take_stored(w, out, &r, key);
    weights_fold_close(&fold);
}

static void take_matrix(struct weights *w, struct weight *out, struct weights_part p,
                        const char *name, bool is_linear, bool can_quant)
{
    if (w->o.is_noise) {
        weights_noise_matrix(w, out, name, can_quant);
        return;
    }
    p.e = weights_find(w, name);
    if (!p.e) {
        weights_fail_missing(w, name);
    } else if (w->o.is_float_only && !weights_is_float(p.e->dtype)) {
        weights_fail_at(w, p.e, name, "is %s: matrices of a codec are F32, BF16 or F16",
                        dtype_name(p.e->dtype));
    } else if (p.e->dtype == DT_U32) {
        weights_from_triple(w, out, &p, name);
    } else if (p.e->dtype == DT_I8 && is_linear) {
        weights_from_int8(w, out, &p, name);
    } else if (!weights_is_float(p.e->dtype)) {
        weights_fail_at(w, p.e, name, "is %s, which is not a dtype of weights",
                        dtype_name(p.e->dtype));
    } else if (weights_has_shape(w, p.e, p.n_total, p.n_in)) {
        out->dtype = p.e->dtype;
        if (!w->is_rehearsal)
            out->data = (const uint8_t *)p.e->data +
                        (size_t)p.row0 * (size_t)p.n_in * dtype_size(out->dtype);
    }
    if (!w->err && !weights_is_cancelled(w))
        finish_matrix(w, out, &p, name, is_linear, can_quant);
}

/* Out is a weight without data until everything has gone well. */
static void take_named(struct weights *w, struct weight *out, struct weights_part part,
                       bool is_linear, bool can_quant, const char *fmt, va_list args)
{
    char name[WEIGHTS_NAME_CAP];

    *out = (struct weight){ .dtype = DT_F32, .n_out = part.n_out, .n_in = part.n_in };
    must(part.n_out > 0 && part.n_in > 0);
    must(part.row0 >= 0 && part.row0 <= part.n_total - part.n_out);
    if (!w->err && format_name(w, name, fmt, args))
        take_matrix(w, out, part, name, is_linear, can_quant);
}

void weights_matrix(struct weights *w, struct weight *out, int n_out, int n_in, const char *fmt,
                    ...)
{
    va_list args;

    va_start(args, fmt);
    take_named(w, out, (struct weights_part){ NULL, 0, n_out, n_out, n_in, false }, true, true, fmt,
               args);
    va_end(args);
}

void weights_matrix_rows(struct weights *w, struct weight *out, int row0, int n_out, int n_total,
                         int n_in, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    take_named(w, out, (struct weights_part){ NULL, row0, n_out, n_total, n_in, false }, true, true,
               fmt, args);
    va_end(args);
}

void weights_matrix_cut(struct weights *w, struct weight *out, int row0, int n_out, int n_total,
                        int n_in, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    take_named(w, out, (struct weights_part){ NULL, row0, n_out, n_total, n_in, true }, true, true,
               fmt, args);
    va_end(args);
}

void weights_table(struct weights *w, struct weight *out, int n_row, int n_col, bool is_leaf,
                   const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    take_named(w, out, (struct weights_part){ NULL, 0, n_row, n_row, n_col, false }, false, is_leaf,
               fmt, args);
    va_end(args);
}

/* Vectors. */

static float *take_floats(struct weights *w, const struct safetensors_entry *e, const char *name,
                          size_t n)
{
    if (!weights_is_float(e->dtype)) {
        weights_fail_at(w, e, name, "is %s, not F32, BF16 or F16", dtype_name(e->dtype));
        return NULL;
    }
    if (w->is_rehearsal || !weights_check_finite(w, e, 0, n))
        return NULL;
    float *out = weights_take(w, n * sizeof *out, name);
    if (out)
        weights_floats_at(out, e, 0, n);
    return out;
}

/* The tensor that fmt and args name; NULL after a failure, its own included. */
static const struct safetensors_entry *find_named(struct weights *w, char *name, const char *fmt,
                                                  va_list args)
{
    if (!format_name(w, name, fmt, args) || w->err)
        return NULL;
    const struct safetensors_entry *e = weights_find(w, name);
    if (!e && !w->o.is_noise)
        weights_fail_missing(w, name);
    return e;
}

const float *weights_vector(struct weights *w, int n, const char *fmt, ...)
{
    char    name[WEIGHTS_NAME_CAP];
    va_list args;

    va_start(args, fmt);
    const struct safetensors_entry *e = find_named(w, name, fmt, args);
    va_end(args);
    if (!e)
        return w->o.is_noise && !w->err ? weights_noise_vector(w, n, name) : NULL;
    if (!is_vector(e, n)) {
        fail_shape(w, e, n, 0);
        return NULL;
    }
    return take_floats(w, e, name, (size_t)n);
}

float *weights_floats(struct weights *w, int n0, int n1, int n2, const char *fmt, ...)
{
    const int want[3] = { n0, n1, n2 };
    int       n_want = n2 > 0 ? 3 : n1 > 0 ? 2 : 1;
    char      name[WEIGHTS_NAME_CAP];
    va_list   args;
    size_t    n = 1;

    va_start(args, fmt);
    const struct safetensors_entry *e = find_named(w, name, fmt, args);
    va_end(args);
    if (!e)
        return w->o.is_noise && !w->err ? weights_noise_floats(w, n0, n1, n2, name) : NULL;
    bool fits = e->n_dim == n_want;
    for (int i = 0; fits && i < n_want; i++) {
        fits = e->n[i] == want[i];
        n *= (size_t)want[i];
    }
    if (!fits) {
        weights_fail_at(w, e, name, "does not have the shape [%d%s%.0d%s%.0d] of the config", n0,
                        n1 > 0 ? ", " : "", n1, n2 > 0 ? ", " : "", n2);
        return NULL;
    }
    return take_floats(w, e, name, n);
}
