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

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9e3779b97f4a7c15;
    return sum << 29 | sum >> 35;
}

typedef uint64_t pair __attribute__((vector_size(16))); /* what every x86-64 and aarch64 has */

static inline pair pair_at(const uint8_t *p)
{
    pair x;

    memcpy(&x, p, sizeof x);
    return x;
}

enum { LINE = 64, BLOCK = 16 * LINE };

/* Of each lane the sum of its words and the sum of those sums, so that places count too: as fast as
 * memory is read. Multiplications between blocks only. Against accidents, not against forgers, who
 * could write the weights themselves. */
static uint64_t sum_lines(uint64_t all, const uint8_t *at, size_t n_line)
{
    pair     a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }, e = { 0 }, f = { 0 }, g = { 0 }, h = { 0 };
    uint64_t sum[16];

    for (size_t i = 0; i < n_line; i++, at += LINE) {
        a += pair_at(at);
        b += pair_at(at + 16);
        c += pair_at(at + 32);
        d += pair_at(at + 48);
        e += a;
        f += b;
        g += c;
        h += d;
    }
    const pair pairs[8] = { a, b, c, d, e, f, g, h };
    memcpy(sum, pairs, sizeof sum);
    for (int i = 0; i < 16; i++)
        all = mix(all, sum[i]);
    return all;
}

uint64_t tile_file_sum(const void *p, size_t len)
{
    const uint8_t *at = p;
    uint64_t       all = len;

    for (size_t n; len >= LINE; at += n, len -= n) {
        n = len < BLOCK ? len / LINE * LINE : BLOCK;
        all = sum_lines(all, at, n / LINE);
    }
    for (; len > 0; len--)
        all = mix(all, *at++);
    return all;
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
