/* SPDX-License-Identifier: MIT */
/* tile_cache: what loading makes of a model's weights, mapped from an earlier start or kept for the
 * next one.
 *
 * First everything is planned; tile_cache_look() then maps the file that an earlier start has left,
 * when it is of these very weights, this plan and whole. Otherwise the caller makes the matrices;
 * with the last of them a thread begins to write, after everyone else's work, under a name of its
 * own that becomes the file's in the end. So a reader sees a whole file or none, and of two writers
 * the later one stays. Whatever goes wrong with files costs one line of log, never the model.
 *
 * One thread, the one that loads; is_cancelled may be called by others too.
 */
#ifndef MODEL_TILE_CACHE_H
#define MODEL_TILE_CACHE_H

#include "backend/be.h"
#include "model/safetensors.h"
#include "model/tile_file.h"

/* All files together; those that were used last stay. */
#define TILE_CACHE_MAX ((int64_t)32 << 30)

struct tile_cache;

struct tile_cache_options {
    const char *dir; /* made when something is written */
    struct be  *be;  /* checks run on its threads; NULL: the caller's alone */
    bool (*is_cancelled)(void *arg);
    void (*on_bytes)(void *arg, size_t n); /* so many more have been checked */
    void *arg;
};

enum err tile_cache_open(struct tile_cache **out, const struct tile_cache_options *o) MUST_CHECK;
/* Waits for the file to be written, or gives it up when is_cancelled. */
void tile_cache_close(struct tile_cache **c);
/* The place of an item; -1: it will not be kept. */
int    tile_cache_plan(struct tile_cache *c, const struct tile_item *item);
size_t tile_cache_planned(const struct tile_cache *c);                /* bytes */
int    tile_cache_find(const struct tile_cache *c, const char *name); /* -1: not planned */
/* The end of the plan. path: what the model's weights are called; sources: the files that they come
 * from, some NULL; how: everything else that decides the bytes, in a word that a file name may
 * have. True: everything planned is there. */
bool tile_cache_look(struct tile_cache *c, const char *path, struct safetensors *const *sources,
                     int n_source, const char *how);
/* NULL: not there and not made yet. Borrowed until close. */
const void *tile_cache_at(const struct tile_cache *c, int i);
/* data must outlive the cache. */
void tile_cache_made(struct tile_cache *c, int i, const void *data);

#endif
