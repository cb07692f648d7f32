/* SPDX-License-Identifier: MIT */
#include "model/safetensors.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "model/model_path.h"
#include "model/safetensors_head.h"

/* Bounds of what a file may cost: 131072 tensors take 20 MB; an index of 2 MB takes 200 MB at worst
 * as a document, and the largest published one has 0.2 MB per 1,000 tensors. */
enum { MAX_TENSOR = 1 << 17, MAX_SHARD = 1024, MAX_INDEX = 2 << 20 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are used as they lie");

struct shard {
    struct os_map map;
    char         *path;
};

struct item {
    struct safetensors_entry e; /* first: an entry's address is its item's */
    int                      shard;
};

struct safetensors {
    struct arena  *names;
    struct shard  *shard;
    int            n_shard, shard_cap;
    struct item   *item; /* sorted by name once open */
    int            n, item_cap;
    const uint8_t *data;     /* of the shard that is being read */
    uint64_t       head_len; /* of all shards */
};

static enum err grow(void **p, int *cap, int n, size_t size)
{
    if (n < *cap)
        return OK;
    int   next = *cap ? 2 * *cap : 64;
    void *q = mem_realloc(*p, mem_size((size_t)next, size));
    if (!q)
        return err_set(ERR_NOMEM, "out of memory for the list of tensors");
    *p = q;
    *cap = next;
    return OK;
}

static enum err on_entry(void *arg, const struct safetensors_head_entry *h)
{
    struct safetensors *s = arg;
    const char         *path = s->shard[s->n_shard - 1].path;
    enum err            err;

    if (s->n == MAX_TENSOR)
        return err_set(ERR_FORMAT, "%s: more than %d tensors", path, MAX_TENSOR);
    err = grow((void **)&s->item, &s->item_cap, s->n, sizeof *s->item);
    if (err)
        return err;
    char *name = arena_take(s->names, h->name_len + 1);
    if (!name)
        return err_set(ERR_NOMEM, "%s: out of memory for the names of tensors", path);
    memcpy(name, h->name, h->name_len + 1);

    struct item *it = &s->item[s->n++];
    *it = (struct item){ .e = { .name = name,
                                .dtype = h->dtype,
                                .n_dim = h->n_dim,
                                .data = s->data + h->begin,
                                .size = h->end - h->begin },
                         .shard = s->n_shard - 1 };
    memcpy(it->e.n, h->n, sizeof it->e.n);
    return OK;
}

static int by_place(const void *a, const void *b)
{
    const struct safetensors_entry *x = &((const struct item *)a)->e;
    const struct safetensors_entry *y = &((const struct item *)b)->e;
    const uint8_t                  *p = x->data, *q = y->data;

    if (p != q)
        return p < q ? -1 : 1;
    return (x->size > y->size) - (x->size < y->size);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->e.name, ((const struct item *)b)->e.name);
}

/* The items first .. n-1 are one file's: without overlap and without holes they fill its data. */
static enum err check_layout(struct safetensors *s, int first, const uint8_t *end, const char *path)
{
    const uint8_t *at = s->data;

    if (s->n > first)
        qsort(s->item + first, (size_t)(s->n - first), sizeof *s->item, by_place);
    for (int i = first; i < s->n; i++) {
        const struct safetensors_entry *e = &s->item[i].e;
        const uint8_t                  *p = e->data;
        if (p < at)
            return err_set(ERR_FORMAT, "%s: tensor '%.80s': its bytes overlap another tensor's",
                           path, e->name);
        if (p > at)
            return err_set(ERR_FORMAT,
                           "%s: tensor '%.80s': %llu bytes before it belong to no tensor", path,
                           e->name, (unsigned long long)(p - at));
        at = p + e->size;
    }
    if (at != end)
        return err_set(ERR_FORMAT, "%s: %llu bytes after the last tensor belong to no tensor", path,
                       (unsigned long long)(end - at));
    return OK;
}

static enum err read_shard(struct safetensors *s, const struct shard *sh)
{
    struct bytes file = sh->map.view;
    int          first = s->n;

    if (file.len < 8)
        return err_set(ERR_FORMAT, "%s: %zu bytes are too short for a safetensors file", sh->path,
                       file.len);
    uint64_t len = bytes_le(file.p, 8);
    if (len > SAFETENSORS_HEAD_MAX)
        return err_set(ERR_FORMAT, "%s: header of %llu bytes is over the limit of %d", sh->path,
                       (unsigned long long)len, SAFETENSORS_HEAD_MAX);
    if (len > SAFETENSORS_HEAD_MAX - s->head_len)
        return err_set(ERR_FORMAT, "%s: the headers up to it are over the limit of %d bytes",
                       sh->path, SAFETENSORS_HEAD_MAX);
    s->head_len += len;
    if (len > file.len - 8)
        return err_set(ERR_FORMAT, "%s: header of %llu bytes reaches beyond the end of the file",
                       sh->path, (unsigned long long)len);
    s->data = file.p + 8 + len;
    enum err err = safetensors_head_read(bytes_of(file.p + 8, (size_t)len), file.len - 8 - len,
                                         sh->path, on_entry, s);
    os_map_drop(file.p, 8 + (size_t)len);
    return err ? err : check_layout(s, first, file.p + file.len, sh->path);
}

/* ERR_MISSING says that there is no such file. */
static enum err add_shard(struct safetensors *s, const char *path)
{
    struct os_map map;
    enum err      err = grow((void **)&s->shard, &s->shard_cap, s->n_shard, sizeof *s->shard);

    if (err)
        return err;
    err = os_map_open(&map, path);
    if (err)
        return err;
    char *copy = mem_strdup(path);
    if (!copy) {
        os_map_close(&map);
        return err_set(ERR_NOMEM, "%s: out of memory", path);
    }
    s->shard[s->n_shard++] = (struct shard){ map, copy };
    return read_shard(s, &s->shard[s->n_shard - 1]);
}

static enum err sort_by_name(struct safetensors *s)
{
    if (s->n > 0)
        qsort(s->item, (size_t)s->n, sizeof *s->item, by_name);
    for (int i = 1; i < s->n; i++)
        if (by_name(&s->item[i - 1], &s->item[i]) == 0)
            return err_set(ERR_FORMAT, "%s: tensor '%.80s': the name comes twice",
                           s->shard[s->item[i].shard].path, s->item[i].e.name);
    return OK;
}

/* The index of the shard dir/name, opened when it is new. */
static enum err open_shard_once(struct safetensors *s, const char *dir, const char *name,
                                const char *index_path)
{
    char     path[PATH_MAX];
    enum err err = model_path_join(path, sizeof path, dir, name, index_path);

    if (err)
        return err;
    for (int i = 0; i < s->n_shard; i++)
        if (strcmp(s->shard[i].path, path) == 0)
            return OK;
    if (s->n_shard == MAX_SHARD)
        return err_set(ERR_FORMAT, "%s: more than %d files", index_path, MAX_SHARD);
    err = add_shard(s, path);
    if (err == ERR_MISSING)
        return err_set(ERR_MISSING, "%s: %.80s: no such file", index_path, name);
    return err;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The folder of a path shorter than PATH_MAX, as whoever gave the path calls it. */
static void folder_of(char dir[PATH_MAX], const char *path)
{
    size_t len = (size_t)(file_name(path) - path);

    len -= len > 1; /* "/" stays */
    memcpy(dir, len ? path : ".", len ? len : 1);
    dir[len ? len : 1] = '\0';
}

/* Every tensor of the map is in its file, and no other tensor is. */
static enum err check_map(const struct safetensors *s, json_t *map, size_t dir_len,
                          const char *index_path)
{
    const char *name;
    json_t     *v;

    for (int i = 0; i < s->n; i++) {
        const char *path = s->shard[s->item[i].shard].path;
        const char *want = json_string_value(json_object_get(map, s->item[i].e.name));
        if (!want || strcmp(want, path + dir_len) != 0)
            return err_set(ERR_FORMAT, "%s: tensor '%.80s' is in %.80s, but the index says %.80s",
                           index_path, s->item[i].e.name, file_name(path), want ? want : "nothing");
    }
    json_object_foreach(map, name, v) if (!safetensors_find(s, name)) return err_set(
        ERR_FORMAT, "%s: tensor '%.80s' is not in %.80s", index_path, name, json_string_value(v));
    return OK;
}

static enum err open_map(struct safetensors *s, json_t *index, const char *index_path)
{
    char        dir[PATH_MAX]; /* of the index; shards are named from there */
    json_t     *map = json_object_get(index, "weight_map");
    const char *name;
    json_t     *v;

    if (!json_is_object(map) || json_object_size(map) == 0)
        return err_set(ERR_FORMAT, "%s: 'weight_map' is not an object with tensors", index_path);
    folder_of(dir, index_path);
    json_object_foreach(map, name, v)
    {
        if (!json_is_string(v))
            return err_set(ERR_FORMAT, "%s: tensor '%.80s': its file's name is not a string",
                           index_path, name);
        enum err err = open_shard_once(s, dir, json_string_value(v), index_path);
        if (err)
            return err;
    }
    enum err err = sort_by_name(s);
    return err ? err : check_map(s, map, strlen(dir) + (dir[strlen(dir) - 1] != '/'), index_path);
}

/* Where the index of the weights at path is, which must not leave their folder either: a sentence
 * about what it says would tell of a file elsewhere. */
static enum err find_index(char out[PATH_MAX], const char *path)
{
    char dir[PATH_MAX], name[PATH_MAX];
    int  n = snprintf(name, sizeof name, "%s.index.json", file_name(path));

    if (strlen(path) + sizeof ".index.json" + 2 > sizeof dir || n >= (int)sizeof name)
        return err_set(ERR_MISSING, "%.200s: no such file", path);
    folder_of(dir, path);
    return model_path_join(out, PATH_MAX, dir, name, path);
}

static enum err open_index(struct safetensors *s, const char *path)
{
    char     index_path[PATH_MAX];
    json_t  *index = NULL;
    enum err err = find_index(index_path, path);

    if (err)
        return err;
    err = json_read_file(&index, index_path, MAX_INDEX);
    if (err == ERR_MISSING && os_is_link(index_path))
        return err_set(ERR_MISSING, "%s: a link to a file that is not there", index_path);
    if (err == ERR_MISSING)
        return err_set(ERR_MISSING, "%s: no such file", path);
    if (err)
        return err;
    err = open_map(s, index, index_path);
    json_decref(index);
    return err;
}

enum err safetensors_open(struct safetensors **out, const char *path)
{
    struct safetensors *s = mem_zalloc(sizeof *s);
    enum err            err;

    if (!s)
        return err_set(ERR_NOMEM, "%s: out of memory", path);
    err = arena_open(&s->names, 64 * 1024);
    if (err)
        goto fail;
    err = add_shard(s, path);
    if (err == ERR_MISSING)
        err = open_index(s, path);
    else if (!err)
        err = sort_by_name(s);
    if (err)
        goto fail;
    *out = s;
    return OK;

fail:
    safetensors_close(&s);
    return err;
}

void safetensors_close(struct safetensors **sp)
{
    struct safetensors *s = *sp;

    if (!s)
        return;
    for (int i = 0; i < s->n_shard; i++) {
        os_map_close(&s->shard[i].map);
        mem_free(s->shard[i].path);
    }
    mem_free(s->shard);
    mem_free(s->item);
    arena_close(&s->names);
    mem_free(s);
    *sp = NULL;
}

int safetensors_count(const struct safetensors *s)
{
    return s->n;
}

const struct safetensors_entry *safetensors_at(const struct safetensors *s, int i)
{
    must(i >= 0 && i < s->n);
    return &s->item[i].e;
}

const struct safetensors_entry *safetensors_find(const struct safetensors *s, const char *name)
{
    struct item  key = { .e.name = name };
    struct item *it = s->n ? bsearch(&key, s->item, (size_t)s->n, sizeof key, by_name) : NULL;

    return it ? &it->e : NULL;
}

const char *safetensors_path(const struct safetensors *s, const struct safetensors_entry *e)
{
    return s->shard[((const struct item *)(const void *)e)->shard].path;
}

int safetensors_file_count(const struct safetensors *s)
{
    return s->n_shard;
}

struct safetensors_file safetensors_file(const struct safetensors *s, int i)
{
    must(i >= 0 && i < s->n_shard);
    const struct os_map *map = &s->shard[i].map;
    return (struct safetensors_file){ s->shard[i].path, map->mtime_ns, map->view,
                                      bytes_of(map->view.p, 8 + (size_t)bytes_le(map->view.p, 8)) };
}
