/* SPDX-License-Identifier: MIT */
#include "model/tile_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/os.h"

#define PATH_CAP    4096
#define SUFFIX      ".tiles"
#define PART_SUFFIX ".part"

enum { CHECK_BATCH = 128, FLUSH_CHUNKS = 64 }; /* chunks between looks at is_cancelled */
enum { DEAD_MS = 600000 };                     /* without a byte for so long a writer is dead */
enum { N_SAMPLE = 64, SAMPLE_SIZE = 64 };      /* of a file of weights */

/* A file that the weights come from, as it was when it was mapped. */
struct origin {
    char               *path;
    struct os_file_info info;
};

struct tile_cache {
    struct tile_cache_options o;
    struct tile_file          plan;
    struct os_map             map;
    const void              **data; /* [plan.n]; NULL: not made yet */
    int                       n_made;
    char                     *dir, *path;
    struct origin            *origin;
    int                       n_origin;
    bool                      is_stale; /* there is a file, and it is not what is planned */
    struct os_thread         *writer;
};

enum err tile_cache_open(struct tile_cache **out, const struct tile_cache_options *o)
{
    struct tile_cache *c = mem_zalloc(sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->o = *o;
    c->dir = mem_strdup(o->dir);
    enum err err = c->dir ? tile_file_init(&c->plan) : ERR_NOMEM;
    if (err)
        tile_cache_close(&c);
    else
        *out = c;
    return err;
}

void tile_cache_close(struct tile_cache **cp)
{
    struct tile_cache *c = *cp;

    if (!c)
        return;
    if (c->writer)
        os_thread_join(&c->writer);
    os_map_close(&c->map);
    tile_file_fini(&c->plan);
    for (int i = 0; i < c->n_origin; i++)
        mem_free(c->origin[i].path);
    mem_free(c->origin);
    mem_free(c->data);
    mem_free(c->path);
    mem_free(c->dir);
    mem_free(c);
    *cp = NULL;
}

int tile_cache_plan(struct tile_cache *c, const struct tile_item *item)
{
    return tile_file_add(&c->plan, item);
}

size_t tile_cache_planned(const struct tile_cache *c)
{
    return tile_file_planned(&c->plan);
}

int tile_cache_find(const struct tile_cache *c, const char *name)
{
    return tile_file_find(&c->plan, name);
}

static bool is_cancelled(const struct tile_cache *c)
{
    return c->o.is_cancelled && c->o.is_cancelled(c->o.arg);
}

/* The plan's end: where the weights come from, what the file is called. */

/* The path without links and dots in its folder; the file itself may be a link, or missing. */
static enum err full_path(char out[PATH_CAP], const char *path)
{
    char        dir[PATH_CAP] = ".", real[PATH_CAP];
    const char *slash = strrchr(path, '/');
    size_t      len = slash ? (size_t)(slash - path) : 0;

    if (len >= sizeof dir)
        return err_set(ERR_LIMIT, "%.100s: path too long", path);
    if (slash)
        snprintf(dir, sizeof dir, "%.*s", len ? (int)len : 1, path);
    enum err err = os_real_path(real, sizeof real, dir);
    return err ? err : os_join(out, PATH_CAP, real, slash ? slash + 1 : path);
}

/* Of a few places all over the file: an archive can give two versions of the same weights the same
 * time. To read everything would cost what the side file is to save. */
static uint64_t sum_of_samples(struct bytes file)
{
    uint8_t sample[N_SAMPLE * SAMPLE_SIZE];
    size_t  n = 0;

    for (size_t i = 0; i < N_SAMPLE && file.len >= SAMPLE_SIZE; i++, n += SAMPLE_SIZE)
        memcpy(sample + n, file.p + (file.len - SAMPLE_SIZE) / N_SAMPLE * (i + 1), SAMPLE_SIZE);
    return tile_file_sum(sample, n);
}

static enum err add_origin(struct tile_cache *c, const struct safetensors_file *f, struct buf *tag)
{
    char           path[PATH_CAP];
    struct origin *o = mem_realloc(c->origin, ((size_t)c->n_origin + 1) * sizeof *o);

    if (!o)
        return ERR_NOMEM;
    c->origin = o;
    enum err err = full_path(path, f->path);
    if (err)
        return err;
    o = &c->origin[c->n_origin];
    *o = (struct origin){ mem_strdup(path), { (int64_t)f->whole.len, f->mtime_ns } };
    if (!o->path)
        return ERR_NOMEM;
    c->n_origin++;
    buf_add_fmt(tag, "%s %zu %lld %016llx %016llx\n", path, f->whole.len, (long long)f->mtime_ns,
                (unsigned long long)tile_file_sum(f->head.p, f->head.len),
                (unsigned long long)sum_of_samples(f->whole));
    return buf_err(tag);
}

/* Names, sizes, times and headers of the files, and how the weights are made of them. */
static enum err describe(struct buf *tag, struct tile_cache *c, struct safetensors *const *sources,
                         int n_source, const char *how)
{
    enum err err = OK;

    buf_add_fmt(tag, "%s\n", how);
    for (int k = 0; k < n_source; k++)
        for (int i = 0; !err && sources[k] && i < safetensors_file_count(sources[k]); i++) {
            struct safetensors_file f = safetensors_file(sources[k], i);
            err = add_origin(c, &f, tag);
        }
    return err ? err : buf_err(tag);
}

/* In the Hugging Face cache (.../models--NAME/snapshots/REVISION/...) every revision has a folder;
 * the model's file of tiles is one all the same, so that a new revision replaces the tiles of the
 * old. */
static void drop_revision(char *path)
{
    char *at = strstr(path, "/snapshots/"), *model = at;

    while (model && model > path && model[-1] != '/')
        model--;
    if (at && strncmp(model, "models--", 8) == 0) {
        char *rest = strchr(at + strlen("/snapshots/"), '/');
        if (rest)
            memmove(at, rest, strlen(rest) + 1);
    }
}

/* DIR/FOLDER-HOW-HASH.tiles, where FOLDER is that of the weights. */
static enum err name_file(struct tile_cache *c, const char *weights, const char *how)
{
    char path[PATH_CAP], name[160], folder[48] = "";

    enum err err = full_path(path, weights);
    if (err)
        return err;
    drop_revision(path);
    uint64_t hash = tile_file_sum(path, strlen(path));
    char    *end = strrchr(path, '/');
    if (end) {
        *end = '\0';
        const char *last = strrchr(path, '/');
        snprintf(folder, sizeof folder, "%.40s-", last ? last + 1 : path);
    }
    for (char *p = folder; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *p))
            *p = '_';
    snprintf(name, sizeof name, "%s%.64s-%016llx" SUFFIX, folder, how, (unsigned long long)hash);
    err = os_join(path, sizeof path, c->dir, name);
    c->path = err ? NULL : mem_strdup(path);
    return err ? err : c->path ? OK : ERR_NOMEM;
}

static enum err seal(struct tile_cache *c, const char *path, struct safetensors *const *sources,
                     int n_source, const char *how)
{
    struct buf tag;

    buf_init(&tag, 4 << 20);
    enum err err = describe(&tag, c, sources, n_source, how);
    if (!err)
        buf_add(&tag, "", 1);
    if (!err)
        err = buf_err(&tag);
    if (!err)
        err = c->n_origin ? tile_file_seal(&c->plan, c->origin[0].path, (const char *)tag.p)
                          : ERR_FORMAT;
    if (!err)
        err = name_file(c, path, how);
    c->data = err ? NULL : mem_zalloc(((size_t)c->plan.n + 1) * sizeof *c->data);
    buf_fini(&tag);
    return err ? err : c->data ? OK : ERR_NOMEM;
}

/* Looking. */

struct check {
    const struct tile_cache *c;
    size_t                   first;
    atomic_bool              is_bad;
};

static void check_chunk(void *arg, int i)
{
    struct check           *k = arg;
    const struct tile_file *plan = &k->c->plan;

    if (!tile_file_check_chunk(plan, k->c->map.view, k->first + (size_t)i))
        atomic_store(&k->is_bad, true);
}

/* Every byte, on all threads: the pages have to come into memory anyway. */
static const char *check_data(const struct tile_cache *c)
{
    struct check k = { .c = c };
    size_t       n_chunk = tile_file_chunks(&c->plan);

    for (; k.first < n_chunk; k.first += CHECK_BATCH) {
        size_t n = n_chunk - k.first < CHECK_BATCH ? n_chunk - k.first : CHECK_BATCH;
        if (is_cancelled(c))
            return "the start was ended";
        if (c->o.be) {
            be_begin(c->o.be, &be_one_lane);
            be_parallel(c->o.be, check_chunk, &k, (int)n);
            if (be_end(c->o.be))
                return "the backend failed";
        }
        for (size_t i = 0; !c->o.be && i < n; i++)
            check_chunk(&k, (int)i);
        if (atomic_load(&k.is_bad))
            return "it is damaged";
        if (c->o.on_bytes)
            c->o.on_bytes(c->o.arg, n * TILE_FILE_CHUNK);
    }
    return NULL;
}

bool tile_cache_look(struct tile_cache *c, const char *path, struct safetensors *const *sources,
                     int n_source, const char *how)
{
    enum err err = seal(c, path, sources, n_source, how);

    if (err) {
        log_warn("tiles are not kept: %s", err_text(err));
        return false;
    }
    if (os_map_open(&c->map, c->path) != OK)
        return false;
    const char *why = tile_file_check(&c->plan, c->map.view);
    if (!why)
        why = check_data(c);
    if (why) {
        os_map_close(&c->map);
        c->is_stale = true;
        log_info("tiles are made anew, %s path=%s", why, c->path);
        return false;
    }
    for (int i = 0; i < c->plan.n; i++)
        c->data[i] = c->map.view.p + c->plan.item[i].at;
    c->n_made = c->plan.n;
    os_touch_file(c->path);
    log_debug("tiles are there path=%s", c->path);
    return true;
}

const void *tile_cache_at(const struct tile_cache *c, int i)
{
    return i >= 0 && c->data ? c->data[i] : NULL;
}

/* Writing. */

/* Chunks go through a buffer where they are summed. */
struct writing {
    struct tile_cache *c;
    struct os_out     *out;
    uint8_t           *chunk; /* [TILE_FILE_CHUNK] */
    uint8_t           *sums;  /* 8 bytes each */
    size_t             len;   /* of the chunk */
    size_t             n_chunk;
};

static enum err end_chunk(struct writing *w)
{
    if (is_cancelled(w->c))
        return ERR_INTERRUPTED;
    bytes_put_le(w->sums + 8 * w->n_chunk++, tile_file_sum(w->chunk, w->len), 8);
    enum err err = os_out_write(w->out, w->chunk, w->len);
    w->len = 0;
    /* In pieces, so that giving up never waits for long. */
    return err || w->n_chunk % FLUSH_CHUNKS ? err : os_out_flush(w->out);
}

/* p NULL: zeros. */
static enum err add_bytes(struct writing *w, const uint8_t *p, size_t len)
{
    enum err err = OK;

    while (len > 0 && !err) {
        size_t n = TILE_FILE_CHUNK - w->len < len ? TILE_FILE_CHUNK - w->len : len;
        if (p)
            memcpy(w->chunk + w->len, p, n);
        else
            memset(w->chunk + w->len, 0, n);
        p = p ? p + n : NULL;
        len -= n;
        w->len += n;
        if (w->len == TILE_FILE_CHUNK)
            err = end_chunk(w);
    }
    return err;
}

static enum err write_data(struct writing *w)
{
    const struct tile_file *plan = &w->c->plan;
    size_t                  n_sum = 8 * tile_file_chunks(plan);
    enum err                err = os_out_seek(w->out, (int64_t)plan->data_at);

    for (int i = 0; !err && i < plan->n; i++) {
        size_t end = i + 1 < plan->n ? plan->item[i + 1].at : plan->size;
        err = add_bytes(w, w->c->data[i], plan->item[i].size);
        if (!err)
            err = add_bytes(w, NULL, end - plan->item[i].at - plan->item[i].size);
    }
    if (!err && w->len > 0)
        err = end_chunk(w);
    if (!err)
        err = os_out_seek(w->out, 0);
    if (!err)
        err = os_out_write(w->out, plan->head.p, plan->head.len);
    return err ? err : os_out_write(w->out, w->sums, n_sum);
}

/* Weights that changed while they were read are not what the tag says. */
static enum err check_origins(const struct tile_cache *c)
{
    for (int i = 0; i < c->n_origin; i++) {
        struct os_file_info now;
        if (!os_file_info(&now, c->origin[i].path) || now.size != c->origin[i].info.size ||
            now.mtime_ns != c->origin[i].info.mtime_ns)
            return err_set(ERR_FORMAT, "%s changed meanwhile", c->origin[i].path);
    }
    return OK;
}

static enum err write_file(struct tile_cache *c)
{
    struct writing w = { .c = c };

    enum err err = os_private_dir(c->dir);
    if (!err)
        err = os_out_open_private(&w.out, c->path, (int64_t)c->plan.size);
    w.chunk = mem_alloc(TILE_FILE_CHUNK);
    w.sums = mem_alloc(8 * tile_file_chunks(&c->plan) + 1);
    if (!err && (!w.chunk || !w.sums))
        err = ERR_NOMEM;
    if (!err)
        err = write_data(&w);
    if (!err)
        err = check_origins(c);
    if (!err)
        err = os_out_commit(&w.out);
    os_out_cancel(&w.out);
    mem_free(w.chunk);
    mem_free(w.sums);
    return err;
}

/* Tidying. */

struct tidy {
    const char *keep;  /* never removed */
    int64_t     total; /* bytes of all files */
    char        oldest[PATH_CAP];
    int64_t     oldest_ns;
};

/* Does it say where its weights were, and are they there no more? */
static bool is_orphan(const char *path)
{
    char          source[PATH_CAP];
    struct os_map map = { 0 };

    bool is_read = os_map_open(&map, path) == OK &&
                   tile_file_source(source, sizeof source, map.view);
    os_map_close(&map);
    return is_read && !os_is_file(source);
}

/* Is it called as name_file() calls files, with `end` behind? The user's own may lie beside ours.
 */
static bool is_ours(const char *path, const char *end)
{
    enum { N_HASH = 16 };
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    for (const char *at = strstr(name, end); at; at = strstr(at + 1, end))
        if (at - name > N_HASH && at[-N_HASH - 1] == '-' &&
            strspn(at - N_HASH, "0123456789abcdef") == N_HASH)
            return true;
    return false;
}

static void tidy_file(void *arg, const char *path)
{
    struct tidy        *t = arg;
    struct os_file_info info;

    if (strcmp(path, t->keep) == 0 || !os_file_info(&info, path))
        return;
    bool is_part = is_ours(path, SUFFIX ".") && bytes_str_ends_with(path, PART_SUFFIX);
    bool is_whole = is_ours(path, SUFFIX) && bytes_str_ends_with(path, SUFFIX);
    if (is_part && os_wall_ms() - info.mtime_ns / 1000000 > DEAD_MS) {
        os_remove_file(path); /* of a writer that was killed */
    } else if (is_whole && is_orphan(path)) {
        log_info("tiles of weights that are gone are removed path=%s", path);
        os_remove_file(path);
    } else if (is_whole) {
        t->total += info.size;
        if (!t->oldest[0] || info.mtime_ns < t->oldest_ns) {
            snprintf(t->oldest, sizeof t->oldest, "%s", path);
            t->oldest_ns = info.mtime_ns;
        }
    }
}

static void tidy(const struct tile_cache *c)
{
    for (int n_try = 0; n_try < 256; n_try++) {
        struct tidy t = { .keep = c->path, .total = (int64_t)c->plan.size };
        os_each_file(c->dir, tidy_file, &t);
        if (t.total <= TILE_CACHE_MAX || !t.oldest[0])
            return;
        log_info("tiles unused for long are removed path=%s", t.oldest);
        os_remove_file(t.oldest);
    }
}

static void writer_main(void *arg)
{
    struct tile_cache *c = arg;
    int64_t            t0_ns = os_now_ns();

    os_lower_priority();
    os_unpin(); /* who loads may be pinned to the processor where it computes */
    tidy(c);    /* what writers left that were killed may fill the disk */
    enum err err = write_file(c);
    if (err && err != ERR_INTERRUPTED && c->is_stale) { /* it may have what room there is */
        os_remove_file(c->path);
        err = write_file(c);
    }
    if (err == ERR_INTERRUPTED)
        return;
    if (err) {
        log_warn("tiles are not kept: %s", err_text(err));
        return;
    }
    log_info("tiles are kept for the next start path=%s mb=%zu ms=%lld", c->path,
             c->plan.size >> 20, (long long)((os_now_ns() - t0_ns) / 1000000));
    tidy(c);
}

void tile_cache_made(struct tile_cache *c, int i, const void *data)
{
    if (i < 0 || !c->data || c->data[i])
        return;
    c->data[i] = data;
    if (++c->n_made == c->plan.n && os_thread_start(&c->writer, "tiles", writer_main, c) != OK)
        log_warn("tiles are not kept: no thread");
}
