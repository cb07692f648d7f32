/* SPDX-License-Identifier: MIT */
#include "model/tile_file.h"

#include <string.h>

#include "kernel/quant.h"

/* Another number for another order of the bytes below. */
enum { VERSION = 1 };

enum {
    AT_VERSION = 8,
    AT_SIZE = 16,
    AT_HEAD = 24,
    AT_TAG_LEN = 28,
    AT_COUNT = 32,
    AT_CHUNKS = 36,
    AT_TAG = 40,
    PAGE = 4096,
    MAX_ITEM = 1 << 17,
    MAX_HEAD = 64 << 20,
};

static const char magic[9] = "PARLEY-T";

enum err tile_file_init(struct tile_file *f)
{
    *f = (struct tile_file){ 0 };
    buf_init(&f->head, MAX_HEAD);
    return arena_open(&f->arena, 64 * 1024);
}

void tile_file_fini(struct tile_file *f)
{
    arena_close(&f->arena);
    mem_free(f->item);
    mem_free(f->slot);
    buf_fini(&f->head);
    *f = (struct tile_file){ 0 };
}

/* The slot of a name: its own or the free one where it belongs. */
static int *slot_of(const struct tile_file *f, const char *name)
{
    size_t i = (size_t)tile_file_sum(name, strlen(name)), n = 2 * (size_t)f->cap;

    for (i %= n; f->slot[i] && strcmp(f->item[f->slot[i] - 1].name, name) != 0;)
        i = i + 1 < n ? i + 1 : 0;
    return &f->slot[i];
}

int tile_file_find(const struct tile_file *f, const char *name)
{
    return f->n ? *slot_of(f, name) - 1 : -1;
}

static bool grow(struct tile_file *f)
{
    int               cap = f->cap ? 2 * f->cap : 256;
    int              *slot = cap > MAX_ITEM ? NULL : mem_zalloc(2 * (size_t)cap * sizeof *slot);
    struct tile_item *item = slot ? mem_realloc(f->item, (size_t)cap * sizeof *item) : NULL;

    if (!item) {
        mem_free(slot);
        return false;
    }
    mem_free(f->slot);
    f->item = item;
    f->slot = slot;
    f->cap = cap;
    for (int i = 0; i < f->n; i++)
        *slot_of(f, item[i].name) = i + 1;
    return true;
}

static bool is_same(const struct tile_item *a, const struct tile_item *b)
{
    return a->dtype == b->dtype && a->n_out == b->n_out && a->n_in == b->n_in &&
           a->group == b->group && a->size == b->size;
}

int tile_file_add(struct tile_file *f, const struct tile_item *item)
{
    int i = tile_file_find(f, item->name);

    must(f->head.len == 0);
    if (i >= 0)
        return is_same(&f->item[i], item) ? i : -1;
    if (f->n == f->cap && !grow(f))
        return -1;
    size_t len = strlen(item->name);
    char  *name = arena_take(f->arena, len + 1);
    if (!name)
        return -1;
    memcpy(name, item->name, len + 1);
    f->item[f->n] = *item;
    f->item[f->n].name = name;
    *slot_of(f, name) = f->n + 1;
    return f->n++;
}

size_t tile_file_planned(const struct tile_file *f)
{
    size_t sum = 0;

    for (int i = 0; i < f->n; i++)
        sum += f->item[i].size;
    return sum;
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static void add_le(struct buf *b, uint64_t v, int n)
{
    uint8_t p[8];

    bytes_put_le(p, v, n);
    buf_add(b, p, (size_t)n);
}

static void add_str(struct buf *b, const char *s)
{
    add_le(b, strlen(s), 4);
    buf_add_str(b, s);
}

static void write_item(struct buf *b, const struct tile_item *item, uint64_t at)
{
    add_str(b, item->name);
    add_str(b, dtype_name(item->dtype));
    add_le(b, (uint64_t)item->n_out, 4);
    add_le(b, (uint64_t)item->n_in, 4);
    add_le(b, (uint64_t)item->group, 4);
    add_le(b, at, 8);
    add_le(b, item->size, 8);
}

/* Places are first counted from the data on; the head, which says them so, then says its own
 * length. */
enum err tile_file_seal(struct tile_file *f, const char *source, const char *tag)
{
    struct buf *b = &f->head;
    size_t      at = 0;

    buf_add_str(b, magic);
    add_le(b, VERSION, 4);
    add_le(b, QUANT_VERSION, 4);
    for (int i = AT_SIZE; i < AT_TAG; i += 4)
        add_le(b, 0, 4);
    add_str(b, source);
    add_str(b, tag);
    f->tag_len = b->len - AT_TAG;
    for (int i = 0; i < f->n; i++) {
        write_item(b, &f->item[i], at);
        f->item[i].at = at;
        at += round_up(f->item[i].size, 64);
    }
    while (b->len % 8 && !buf_err(b))
        add_le(b, 0, 1);
    if (buf_err(b))
        return buf_err(b);
    size_t n_chunk = (at + TILE_FILE_CHUNK - 1) / TILE_FILE_CHUNK;
    f->data_at = round_up(b->len + 8 * n_chunk, PAGE);
    f->size = f->data_at + at;
    for (int i = 0; i < f->n; i++)
        f->item[i].at += f->data_at;
    bytes_put_le(b->p + AT_SIZE, f->size, 8);
    bytes_put_le(b->p + AT_HEAD, b->len, 4);
    bytes_put_le(b->p + AT_TAG_LEN, f->tag_len, 4);
    bytes_put_le(b->p + AT_COUNT, (uint64_t)f->n, 4);
    bytes_put_le(b->p + AT_CHUNKS, n_chunk, 4);
    return OK;
}

size_t tile_file_chunks(const struct tile_file *f)
{
    return (f->size - f->data_at + TILE_FILE_CHUNK - 1) / TILE_FILE_CHUNK;
}

static inline uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9e3779b97f4a7c15;
    return sum << 29 | sum >> 35;
}

static inline uint64_t word_at(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* Eight sums side by side, in registers, so that the multiplications do not wait for each other: as
 * fast as memory is read. Against accidents, not against forgers, who could write the weights
 * themselves. */
uint64_t tile_file_sum(const void *p, size_t len)
{
    const uint8_t *at = p;
    uint64_t       a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8, all = len;

    for (; len >= 64; len -= 64, at += 64) {
        a = mix(a, word_at(at));
        b = mix(b, word_at(at + 8));
        c = mix(c, word_at(at + 16));
        d = mix(d, word_at(at + 24));
        e = mix(e, word_at(at + 32));
        f = mix(f, word_at(at + 40));
        g = mix(g, word_at(at + 48));
        h = mix(h, word_at(at + 56));
    }
    for (; len > 0; len--)
        a = mix(a, *at++);
    all = mix(mix(mix(mix(all, a), b), c), d);
    return mix(mix(mix(mix(all, e), f), g), h);
}

const char *tile_file_check(const struct tile_file *f, struct bytes file)
{
    const struct buf *head = &f->head;
    size_t            same = 0, n = file.len < head->len ? file.len : head->len;

    while (same < n && file.p[same] == head->p[same])
        same++;
    if (same == head->len && file.len == f->size)
        return NULL;
    if (same < AT_VERSION)
        return "it is no file of tiles";
    if (same < AT_SIZE)
        return "it is of another version";
    if (same == n)
        return "it is cut short";
    return "its weights are not these"; /* sizes, times, names, shapes: the tag or the list */
}

static struct bytes chunk_of(const struct tile_file *f, struct bytes file, size_t i)
{
    size_t from = f->data_at + i * TILE_FILE_CHUNK, left = f->size - from;

    return bytes_of(file.p + from, left < TILE_FILE_CHUNK ? left : TILE_FILE_CHUNK);
}

bool tile_file_check_chunk(const struct tile_file *f, struct bytes file, size_t i)
{
    struct bytes chunk = chunk_of(f, file, i);

    return tile_file_sum(chunk.p, chunk.len) == bytes_le(file.p + f->head.len + 8 * i, 8);
}

bool tile_file_source(char *path, size_t cap, struct bytes file)
{
    if (file.len < AT_TAG + 4 || memcmp(file.p, magic, 8) != 0)
        return false;
    uint64_t len = bytes_le(file.p + AT_TAG, 4);
    if (len > file.len - AT_TAG - 4 || len >= cap || memchr(file.p + AT_TAG + 4, 0, (size_t)len))
        return false;
    memcpy(path, file.p + AT_TAG + 4, (size_t)len);
    path[len] = '\0';
    return len > 0;
}
