/* SPDX-License-Identifier: MIT */
/* Hostile files of tiles, against a small plan: refused or the plan's own, and never read beyond
 * their end. Seeds: tests/fuzz/corpus/tile_file. */
#include <stdlib.h>
#include <string.h>

#include "model/tile_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void plan(struct tile_file *f)
{
    const struct tile_item item = {
        .name = "a.weight[0+16]", .dtype = DT_Q4T, .n_out = 16, .n_in = 64, .group = 32, .size = 640
    };

    must(tile_file_init(f) == OK);
    must(tile_file_add(f, &item) == 0);
    must(tile_file_seal(f, "/m/model.safetensors", "q4\n/m/model.safetensors 1 2 3\n") == OK);
}

/* With the plan's own beginning most of the checks are behind the input. */
static void check(const struct tile_file *f, struct bytes file)
{
    if (tile_file_check(f, file))
        return;
    must(file.len == f->size && memcmp(file.p, f->head.p, f->head.len) == 0);
    for (size_t i = 0; i < tile_file_chunks(f); i++)
        tile_file_check_chunk(f, file, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    struct tile_file f;
    char             path[32];

    plan(&f);
    check(&f, bytes_of(p, len));
    uint8_t *all = malloc(f.head.len + len);
    must(all);
    memcpy(all, f.head.p, f.head.len);
    if (len)
        memcpy(all + f.head.len, p, len);
    check(&f, bytes_of(all, f.head.len + len));
    if (tile_file_source(path, sizeof path, bytes_of(p, len)))
        must(strlen(path) < sizeof path && path[0]);
    free(all);
    tile_file_fini(&f);
    return 0;
}
