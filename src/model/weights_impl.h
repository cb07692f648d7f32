/* SPDX-License-Identifier: MIT */
/* weights_impl: what weights.c, weights_tiles.c and weights_lora.c share. Nobody else includes
 * it. */
#ifndef MODEL_WEIGHTS_IMPL_H
#define MODEL_WEIGHTS_IMPL_H

#include "model/weights.h"

#define WEIGHTS_NAME_CAP 256

/* A file and which of its tensors somebody asked for. */
struct weights_source {
    struct safetensors *st;      /* NULL: no such file */
    bool               *is_used; /* [safetensors_count] */
};

struct weights {
    struct weights_options o;
    struct weights_source  model, lora;
    char                  *path;
    bool                   is_rehearsal;
    enum err               err;
    char                   text[ERR_TEXT_CAP]; /* the sentence of err */
};

/* The rows of one stored matrix that a caller wants. */
struct weights_part {
    const struct safetensors_entry *e;
    int                             row0, n_out, n_total, n_in;
};

/* Finds a tensor and marks it used; an adapter's own goes before the model's. NULL: not there. */
const struct safetensors_entry *weights_find(struct weights *w, const char *name);
/* The same in one file; NULL also when there is no such file. */
const struct safetensors_entry *weights_find_in(struct weights_source *s, const char *name);
bool weights_source_has_prefix(const struct weights_source *s, const char *prefix);
/* Keeps the first failure with its sentence: "FILE: tensor 'NAME' what". */
void weights_fail_at(struct weights *w, const struct safetensors_entry *e, const char *name,
                     const char *fmt, ...) PRINTF_LIKE(4, 5);
void weights_fail_missing(struct weights *w, const char *name);
void weights_fail_lora(struct weights *w, const char *name); /* missing in the adapter */
void weights_fail_memory(struct weights *w, const char *name);
/* Fails unless the shape is [n0, n1] (n1 = 0: one dimension), further dimensions being 1. */
bool weights_has_shape(struct weights *w, const struct safetensors_entry *e, int64_t n0,
                       int64_t n1);
/* From the arena; NULL and a held failure when out of memory. */
void *weights_take(struct weights *w, size_t size, const char *name);
/* n numbers from the element `from` of a float tensor on, as f32; no alignment needed. */
void weights_floats_at(float *out, const struct safetensors_entry *e, size_t from, size_t n);
bool weights_is_float(enum dtype t);
/* fn(arg, row0, row1, room) for all blocks of 16 rows, on the threads of the be; room is that many
 * bytes (a multiple of 64) for each call. False and a held failure when out of memory. */
bool weights_each_block(struct weights *w, const char *name, int n_row, size_t room_size,
                        void (*fn)(void *arg, int row0, int row1, void *room), void *arg);

/* weights_tiles.c: MLX triples, int8 rows, --quant. The name is the full tensor name. */
void weights_from_triple(struct weights *w, struct weight *out, const struct weights_part *p,
                         const char *name);
void weights_from_int8(struct weights *w, struct weight *out, const struct weights_part *p,
                       const char *name);
/* Turns a float matrix into tiles when its rows divide into groups. */
void weights_quantise(struct weights *w, struct weight *out, const char *name);

/* What --quant makes of a matrix; false: it stays as it is. */
bool weights_quant_shape(const struct weights *w, struct quant_shape *s, int n_out, int n_in);

/* weights_noise.c: the same from noise. can_quant: --quant applies. */
void weights_noise_matrix(struct weights *w, struct weight *out, const char *name, bool can_quant);
float *weights_noise_vector(struct weights *w, int n, const char *name);
float *weights_noise_floats(struct weights *w, int n0, int n1, int n2, const char *name);

/* weights_lora.c: adds the adapter's pair for this matrix. */
void weights_fold(struct weights *w, struct weight *out, const struct weights_part *p,
                  const char *name);

#endif
