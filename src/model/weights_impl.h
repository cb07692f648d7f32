/* SPDX-License-Identifier: MIT */
/* weights_impl: what weights.c and weights_*.c share. Nobody else includes it. */
#ifndef MODEL_WEIGHTS_IMPL_H
#define MODEL_WEIGHTS_IMPL_H

#include "model/tile_cache.h"
#include "model/weights.h"

#define WEIGHTS_NAME_CAP 256
#define WEIGHTS_KEY_CAP  (WEIGHTS_NAME_CAP + 32)

/* A matrix that stays in the mapping. */
struct weights_stored {
    const struct safetensors_entry *e; /* whose it is */
    struct bytes                    part;
};

/* A file and which of its tensors somebody asked for. */
struct weights_source {
    struct safetensors *st;      /* NULL: no such file */
    bool               *is_used; /* [safetensors_count] */
};

struct weights {
    struct weights_options o;
    struct weights_source  model, lora;
    char                  *path;
    struct weights_load    load;
    struct tile_cache     *tiles;           /* NULL: nothing is kept */
    bool                   is_known;        /* an earlier start has seen all numbers of the files */
    int64_t                n_done, n_total; /* bytes, for the progress */
    size_t                 room_size;       /* of the weight that is being made */
    struct weights_stored *stored;          /* [n_stored] */
    int                    n_stored, stored_cap;
    struct arena          *scratch; /* NULL until it is needed */
    bool                   is_scratch;
    bool                   is_rehearsal;
    enum err               err;
    char                   text[ERR_TEXT_CAP]; /* the sentence of err */
};

/* The rows of one stored matrix that a caller wants. */
struct weights_part {
    const struct safetensors_entry *e;
    int                             row0, n_out, n_total, n_in;
    bool                            is_cut; /* n_total rows are one module, not several sets */
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
/* Holds a failure and is false when one of n numbers from the element `from` on is infinite or NaN.
 * For what is read anyway. */
bool weights_check_finite(struct weights *w, const struct safetensors_entry *e, size_t from,
                          size_t n);
void weights_fail_finite(struct weights *w, const struct safetensors_entry *e);
/* fn(arg, row0, row1, room) for all blocks of 16 rows, on the threads of the be; room is that many
 * bytes (a multiple of 64) for each call. False and a held failure when out of memory. */
bool weights_each_block(struct weights *w, const char *name, int n_row, size_t room_size,
                        void (*fn)(void *arg, int row0, int row1, void *room), void *arg);

/* weights_keep.c */
enum err weights_keep_open(struct weights *w);
void     weights_keep_close(struct weights *w);
void     weights_keep_look(struct weights *w); /* the rehearsal's end: is it all there? */
/* Holds ERR_INTERRUPTED when whoever loads has had enough. */
bool weights_is_cancelled(struct weights *w);
/* A part of a tensor that stays in the mapping. */
void weights_keep_stored(struct weights *w, const struct safetensors_entry *e, struct bytes part);
void weights_keep_fill(struct weights *w); /* brings those into memory, looks at their numbers */

/* The numbers of a float matrix, row by row: those of the file and what an adapter adds. */
struct weights_rows {
    struct safetensors_entry        e; /* dtype and data; the rows begin there */
    const struct safetensors_entry *from;
    int                             n_out, n_in;
    bool                            is_mapped; /* the data is the file's */
    const struct weights_fold      *fold;      /* NULL: none */
};
/* Room that weights_rows_read() needs, beside its result. */
size_t weights_rows_room(const struct weights_rows *r);
void   weights_rows_read(float *out, const struct weights_rows *r, int row0, int row1, void *room);

/* weights_tiles.c: MLX triples, int8 rows, --quant. The name is the full tensor name. */
void weights_from_triple(struct weights *w, struct weight *out, const struct weights_part *p,
                         const char *name);
void weights_from_int8(struct weights *w, struct weight *out, const struct weights_part *p,
                       const char *name);
/* Tiles of a float matrix; false: it does not divide into groups, or --quant is none. */
bool weights_quantise(struct weights *w, struct weight *out, const struct weights_rows *r,
                      const char *key);
/* The matrix in memory, as out->dtype (F32 or BF16). */
void weights_store(struct weights *w, struct weight *out, const struct weights_rows *r,
                   const char *key);

/* What --quant makes of a matrix; false: it stays as it is. */
bool weights_quant_shape(const struct weights *w, struct quant_shape *s, int n_out, int n_in);

/* weights_noise.c: the same from noise. can_quant: --quant applies. */
void weights_noise_matrix(struct weights *w, struct weight *out, const char *name, bool can_quant);
float *weights_noise_vector(struct weights *w, int n, const char *name);
float *weights_noise_floats(struct weights *w, int n0, int n1, int n2, const char *name);

/* weights_lora.c: what an adapter adds to a matrix. */
struct weights_fold {
    const struct safetensors_entry *a, *b;
    bool                            is_stacked;
    int                             set;  /* which of the stacked sets: where A begins */
    int                             row0; /* the first row of B */
    int                             n_out, n_in, rank;
    float                           scaling;
    bool                            is_bf16; /* sums become bf16 before anything else */
    float                          *a_f32;   /* [rank, n_in] */
};
/* Finds and checks the pair of this matrix and sets out->dtype to the sum's. False: failed. */
bool weights_fold_open(struct weights *w, struct weights_fold *f, struct weight *out,
                       const struct weights_part *p, const char *name);
void weights_fold_close(struct weights_fold *f);
/* row += the adapter's share; room for rank floats and n_in of 16 bit. */
void weights_fold_row(const struct weights_fold *f, float *row, int i, void *room);

#endif
