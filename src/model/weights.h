/* SPDX-License-Identifier: MIT */
/* weights: named tensors of a model file, taken strictly and turned into what ops read.
 *
 * The family asks for each matrix and vector by name with the shape that its config implies; what
 * is missing or has another shape is one sentence (ERR_FORMAT) that names the file and the tensor.
 * weights_finish() refuses tensors that nobody asked for. Matrices stay in the mapping as stored
 * (f32, bf16, f16); MLX triples (X.weight U32, X.scales, X.biases), int8 rows with X_scb and
 * --quant become tiles, folded LoRA f32 or bf16, in the model's arena. Vectors are f32 copies.
 *
 * A number that is infinite or NaN is refused too, in all that a start reads: what comes from a
 * side file was looked at when that was made.
 *
 * Errors are held: after the first one every call does nothing, and weights_finish() gives it. So a
 * family loads in straight-line code. Names are printf-like.
 *
 * A big model loads twice: between weights_rehearse() and weights_perform() calls check names,
 * shapes and dtypes without touching the numbers, so that a broken file costs neither time nor
 * memory. The rehearsal also tells what loading will make, so that an earlier start's side file can
 * be mapped in its place (tile_cache.h, docs/weights.md).
 *
 * An adapter (LoRA) must have a pair for every Linear matrix; a plain tensor in it replaces the
 * model's own. One thread; the kernels of kern.h do the conversions.
 */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include <stdbool.h>

#include "backend/be.h"
#include "base/mem.h"
#include "model/safetensors.h"

/* By MLX's definition, in groups of 64; q4 in groups of 32 where 64 does not divide the columns.
 * Rows that do not divide stay as they are. */
enum weights_quant { WEIGHTS_QUANT_NONE, WEIGHTS_QUANT_Q8, WEIGHTS_QUANT_Q4 };

/* Less than this is made anew at each start: a tenth of a second on one thread, and the folder
 * stays free of files for models that do not need them. */
#define WEIGHTS_TILE_MIN ((size_t)64 << 20)

/* What whoever opens a model may keep, watch and end. Any member may be NULL or 0. */
struct weights_load {
    const char *tile_dir;            /* folder of side files; NULL: none */
    size_t      tile_min;            /* bytes that loading makes; 0: WEIGHTS_TILE_MIN */
    bool (*is_cancelled)(void *arg); /* any thread; true ends the loading: ERR_INTERRUPTED */
    void (*on_progress)(void *arg, int64_t done, int64_t total); /* bytes; the loading thread */
    void *arg;
};

struct weights_options {
    struct arena      *arena;     /* the model's; outlives every weight */
    struct be         *be;        /* conversions use its threads; NULL: the caller's alone */
    enum weights_quant quant;     /* of what is not quantised yet: Linear, leaf embeddings */
    const char        *lora_path; /* adapter to fold in, or NULL */
    double             lora_scaling;
    int                lora_rank; /* what the config says; 0: from the tensors */
    bool               is_exact;  /* folded matrices stay f32; else bf16 ones become bf16 again */
    bool               is_float_only;    /* quantised matrices are refused */
    const struct weights_load *load;     /* or NULL; outlives the weights */
    bool                       is_noise; /* every tensor is there and is noise, no file is read */
    int n_search; /* of a codec: the codebooks whose search is prepared and kept; else 0 */
};

struct weights;

enum err weights_open(struct weights **out, const char *path, const struct weights_options *o)
    MUST_CHECK;
/* From here on calls only check: weights come out with their shape and without data, vectors and
 * floats as NULL. */
void weights_rehearse(struct weights *w);
/* Ends the rehearsal as weights_finish() would; after OK the same calls must come again. */
enum err weights_perform(struct weights *w) MUST_CHECK;
/* ERR_FORMAT when a call failed or a tensor is left over; closes nothing. What lies in the mapping
 * is in memory afterwards. */
enum err weights_finish(struct weights *w) MUST_CHECK;
/* As weights_finish(), without the check for left-over tensors: for a caller that loads only part
 * of what it rehearsed. */
enum err weights_finish_part(struct weights *w) MUST_CHECK;
/* The mapping must outlive the model: close with the model, before the arena. */
void        weights_close(struct weights **w);
void        weights_fail(struct weights *w, enum err err); /* hold an error of the caller's */
const char *weights_path(const struct weights *w);
bool        weights_is_rehearsal(const struct weights *w);
/* The error held so far. */
enum err weights_err(const struct weights *w);

/* Is a tensor `name` there (as itself, or as a quantised triple for name = X.weight)? */
bool weights_has(const struct weights *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Is there any tensor whose name begins so? */
bool weights_has_prefix(const struct weights *w, const char *prefix);
/* Marks as used without reading: tensors that a format carries and no computation needs. */
void weights_skip(struct weights *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A Linear matrix [n_out, n_in]; `name` is the full tensor name ("...weight", "...in_proj_weight").
 * --quant and LoRA apply. A codec's quantizer stores [n_out, n_in, 1], which fits too. */
void weights_matrix(struct weights *w, struct weight *out, int n_out, int n_in, const char *fmt,
                    ...) PRINTF_LIKE(5, 6);
/* Rows row0 .. row0+n_out-1 of a stored matrix [n_total, n_in]: sets stored as one tensor. The
 * tensor counts as used. LoRA of joined tensors stacks along rows too. */
void weights_matrix_rows(struct weights *w, struct weight *out, int row0, int n_out, int n_total,
                         int n_in, const char *fmt, ...) PRINTF_LIKE(7, 8);
/* The same rows of one module: its adapter has a lora_A, and a lora_B of n_total rows. */
void weights_matrix_cut(struct weights *w, struct weight *out, int row0, int n_out, int n_total,
                        int n_in, const char *fmt, ...) PRINTF_LIKE(7, 8);
/* An embedding. is_leaf: nothing follows it (no low rank, no second stream); --quant quantises
 * those, as MLX does. */
void weights_table(struct weights *w, struct weight *out, int n_row, int n_col, bool is_leaf,
                   const char *fmt, ...) PRINTF_LIKE(6, 7);
/* For what a family makes of tensors itself: memory of `size` bytes for the weight that key names
 * among all that this model makes; dtype, n_out, n_in and group say what it will be. Fill it, then
 * call weights_made(). NULL: nothing to fill, since this is the rehearsal, or the weight is there
 * from an earlier start (out->data is set), or a failure is held. */
void *weights_room(struct weights *w, struct weight *out, size_t size, const char *key);
void  weights_made(struct weights *w, struct weight *out, void *data, const char *key);
/* Between true and false weights_floats() and weights_vector() take memory that ends with false:
 * for numbers that become something else. */
void weights_scratch(struct weights *w, bool on);
/* A matrix's numbers, as they are stored, will not be read again; were they, until now? */
void weights_leave(struct weights *w, const struct weight *m, bool was_read);

/* n floats with any stored float dtype, [n] or, where PyTorch has it so, [1, 1, n]; NULL after a
 * failure. */
const float *weights_vector(struct weights *w, int n, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A tensor of the exact shape [n0, n1, n2] (n2 or n1 = 0: fewer dimensions) as f32 copy. */
float *weights_floats(struct weights *w, int n0, int n1, int n2, const char *fmt, ...)
    PRINTF_LIKE(5, 6);

#endif
