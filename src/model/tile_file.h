/* SPDX-License-Identifier: MIT */
/* tile_file: the bytes of a file that keeps what loading made of a model's weights.
 *
 * A plan lists what loading makes, in order; sealed with a tag (where the weights came from and how
 * they were made) it says every byte of the file but the matrices and their sums. So a file is not
 * parsed: it is the plan's, or it is not. Pure but for memory; one thread. docs/weights.md.
 *
 *   head   magic, versions, size of the file, the tag, name, kind and place of each matrix
 *   sums   one of each TILE_FILE_CHUNK bytes of data
 *   data   from a whole page on; each matrix at a multiple of 64 bytes
 */
#ifndef MODEL_TILE_FILE_H
#define MODEL_TILE_FILE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "kernel/dtype.h"

#define TILE_FILE_CHUNK ((size_t)1 << 20)

struct tile_item {
    const char *name;
    enum dtype  dtype;
    int         n_out, n_in, group;
    size_t      size;
    uint64_t    at; /* in the file, once sealed */
};

struct tile_file {
    struct arena     *arena; /* of the names */
    struct tile_item *item;
    int               n, cap;
    int              *slot; /* [2 * cap]: hashes of names to places + 1; 0: free */
    struct buf        head; /* once sealed */
    size_t            tag_len, data_at, size;
};

enum err tile_file_init(struct tile_file *f) MUST_CHECK;
void     tile_file_fini(struct tile_file *f);
/* The place of an item in the plan; -1 when out of memory or when the name is another kind's. A
 * name that is there already keeps its place. */
int tile_file_add(struct tile_file *f, const struct tile_item *item);
int tile_file_find(const struct tile_file *f, const char *name); /* -1: not planned */
/* Sum of the sizes of all that is planned. */
size_t tile_file_planned(const struct tile_file *f);
/* The end of the plan. source: the path of the weights. */
enum err tile_file_seal(struct tile_file *f, const char *source, const char *tag) MUST_CHECK;

size_t   tile_file_chunks(const struct tile_file *f);
uint64_t tile_file_sum(const void *p, size_t len);
/* NULL when the file's head is this plan's and its size is right; else why not, in a few words. */
const char *tile_file_check(const struct tile_file *f, struct bytes file);
/* Is chunk i of a file that passed tile_file_check() what its sum says? */
bool tile_file_check_chunk(const struct tile_file *f, struct bytes file, size_t i);
/* The path of the weights that any such file says; false when it says none that fits. */
bool tile_file_source(char *path, size_t cap, struct bytes file);

#endif
