/* SPDX-License-Identifier: MIT */
/* safetensors_head: the JSON header of a safetensors file, read in one pass.
 *
 * Pure: no allocation, no document tree, so a hostile header of 100 MB costs its own size and
 * stops at the first byte that the grammar does not have. What the grammar has: one object;
 * "__metadata__" maps strings to strings; every other member is {"dtype": string, "shape": [whole
 * numbers], "data_offsets": [begin, end]}, each of the three once and nothing else.
 */
#ifndef MODEL_SAFETENSORS_HEAD_H
#define MODEL_SAFETENSORS_HEAD_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "kernel/dtype.h"
#include "model/safetensors.h"

#define SAFETENSORS_HEAD_MAX 100000000 /* bytes, as the reference reader has it */
#define SAFETENSORS_NAME_MAX 1024      /* bytes of a tensor's name */

struct safetensors_head_entry {
    const char *name; /* NUL-terminated, valid UTF-8; borrowed until the call-back returns */
    size_t      name_len;
    enum dtype  dtype;
    int         n_dim;
    int64_t     n[SAFETENSORS_MAX_DIM];
    uint64_t    begin, end; /* from the first byte after the header; end - begin fits the shape */
};

typedef enum err (*safetensors_head_fn)(void *arg, const struct safetensors_head_entry *e);

/* Calls on_entry for every tensor, in the header's order. data_len: bytes after the header. The
 * first violation is a sentence that begins with what (the file) and names the tensor:
 * ERR_FORMAT. An error of on_entry ends the reading and is given back. */
enum err safetensors_head_read(struct bytes head, uint64_t data_len, const char *what,
                               safetensors_head_fn on_entry, void *arg) MUST_CHECK;

#endif
