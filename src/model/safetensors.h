/* SPDX-License-Identifier: MIT */
/* safetensors: a strict reader (mapped, never copied) and a writer.
 *
 * Strict: header bounded (100 MB and the file), known dtypes, shapes whose size is the byte range,
 * ranges inside the file, ascending without holes or overlap, no duplicate names. Every violation
 * is one sentence that names the file and the tensor; ERR_FORMAT. A FIFO or directory is refused.
 *
 * Shards: when `path` does not exist but `path`.index.json does, the files that it names are
 * opened, each only inside the same folder (links are followed once inside it or the Hugging Face
 * cache).
 */
#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "kernel/dtype.h"

#define SAFETENSORS_MAX_DIM 8 /* dimensions of a tensor */

struct safetensors;

struct safetensors_entry {
    const char *name;
    enum dtype  dtype;
    int         n_dim;
    int64_t     n[SAFETENSORS_MAX_DIM];
    const void *data; /* little endian, not aligned; borrowed until close */
    size_t      size;
};

enum err safetensors_open(struct safetensors **out, const char *path) MUST_CHECK;
void     safetensors_close(struct safetensors **s);
int      safetensors_count(const struct safetensors *s);
/* In ascending order of the names. */
const struct safetensors_entry *safetensors_at(const struct safetensors *s, int i);
const struct safetensors_entry *safetensors_find(const struct safetensors *s, const char *name);
/* The file that entry came from, for sentences. */
const char *safetensors_path(const struct safetensors *s, const struct safetensors_entry *e);

/* The files that it is made of, as they were when they were opened: what tells them from others. */
struct safetensors_file {
    const char  *path;
    int64_t      mtime_ns;
    struct bytes whole; /* the mapping; borrowed until close */
    struct bytes head;  /* length and header, in it */
};
int                     safetensors_file_count(const struct safetensors *s);
struct safetensors_file safetensors_file(const struct safetensors *s, int i);

/* Writes n entries to path as a whole file or not at all. */
enum err safetensors_write(const char *path, const struct safetensors_entry *e, int n) MUST_CHECK;

#endif
