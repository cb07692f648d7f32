/* SPDX-License-Identifier: MIT */
/* probe: named tensors of one forward pass, in and out of `parley probe`. */
#ifndef MODEL_PROBE_H
#define MODEL_PROBE_H

#include "model/safetensors.h"

#define PROBE_MAX_OUT 16

/* Entries of out own their data (mem_alloc). */
struct probe_io {
    const struct safetensors *in;
    struct safetensors_entry  out[PROBE_MAX_OUT];
    int                       n_out;
    enum err (*go_on)(void); /* asked after each step, an error ends the pass; NULL: nobody asks */
};

/* Adds a zeroed output tensor and gives its data; NULL when out of memory. */
void    *probe_add(struct probe_io *io, const char *name, enum dtype dtype, int n_dim,
                   const int64_t *n);
void     probe_fini(struct probe_io *io);
enum err probe_go_on(const struct probe_io *io) MUST_CHECK;
/* An input by name; NULL when absent. Wrong dtype or rank: *err set. */
const struct safetensors_entry *probe_find(const struct probe_io *io, const char *name,
                                           enum dtype dtype, int n_dim, enum err *err);
/* Of what came of the values of e: a usage error's sentence gets the file in front. */
enum err probe_blame(const struct probe_io *io, const struct safetensors_entry *e, enum err err)
    MUST_CHECK;

#endif
