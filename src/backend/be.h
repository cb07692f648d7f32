/* SPDX-License-Identifier: MIT */
/* be: a place where maths runs, and the tensors, weights and states that live there.
 *
 * A forward pass is straight-line code over the ops of ops.h between be_begin() and be_end(). The
 * backend remembers the first thing that goes wrong and gives it back once, at be_end(). Scratch
 * tensors live until the next be_begin(); after a warm-up with all lanes they cost no allocation.
 *
 * Rows: activations are [n_row, n_col] f32. A step works on the active lanes given to be_begin(),
 * each with the same number T of consecutive rows: row a * T + t belongs to lane s->lane[a]. T
 * differs from op to op (a codec changes the rate), so every op takes it from n_row / s->n_lane.
 *
 * Results do not depend on n_thread, on the number of active lanes or on which lanes they are. One
 * thread (the engine) calls everything here.
 */
#ifndef BACKEND_BE_H
#define BACKEND_BE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/be_arena.h"
#include "backend/kv.h"
#include "base/err.h"
#include "kernel/kern.h"

struct be;

struct be_options {
    const char *device;   /* "auto", "cpu", "cuda" */
    int         n_thread; /* 0: all processors */
    bool        is_exact; /* f32 arithmetic on the stored weights; activations never quantised */
    const char *kv;       /* keys and values: "auto" or NULL (exact: f32, else bf16), "f32", "bf16",
                             "int8" */
    bool        is_pinned; /* each thread, the one that opens and steps included, keeps its
                              processor */
};

enum err   be_open(struct be **out, const struct be_options *o) MUST_CHECK;
void       be_close(struct be **be);
int        be_thread_count(const struct be *be);
bool       be_is_exact(const struct be *be);
enum dtype be_kv_dtype(const struct be *be); /* what kv_open() is to be given */

/* Activations. */
struct tensor {
    int    n_row, n_col;
    float *p; /* [n_row, n_col] */
};

/* A matrix that lives in a file's mapping or in the model's arena; the be only borrows it. */
struct weight {
    enum dtype   dtype; /* DT_F32, DT_BF16, DT_F16: row-major; DT_Q8T, DT_Q4T: quant.h */
    int          n_out, n_in;
    int          group; /* tiles: 32 or 64 */
    const void  *data;
    const float *bias;      /* [n_out] or NULL */
    const float *row_scale; /* [n_out] multiplies each row's sum, or NULL (PyTorch int8) */
};

enum norm_kind { NORM_NONE, NORM_RMS, NORM_LAYER };
struct norm {
    enum norm_kind kind;
    float          eps;
    int            n;
    const float   *w; /* [n]; NULL: none */
    const float   *b; /* [n]; NULL: none */
};

/* The active lanes of a step. */
struct step {
    int        n_lane;
    const int *lane; /* [n_lane], ascending, no doubles */
};
extern const struct step be_one_lane; /* lane 0 alone */

void               be_begin(struct be *be, const struct step *s);
enum err           be_end(struct be *be) MUST_CHECK;
void               be_fail(struct be *be, enum err err); /* the first one is kept */
bool               be_has_failed(const struct be *be);   /* since be_begin() */
const struct step *be_step(const struct be *be);

/* Zeroed is not promised; p is 64-byte aligned. After a failure a dummy comes back: memory that
 * may be written, shared by all, of fewer rows than asked for when 16 MiB do not hold them;
 * bytes: NULL when 16 MiB do not. Ops do nothing after a failure. */
struct tensor *be_scratch(struct be *be, int n_row, int n_col);
struct tensor *be_like(struct be *be, const struct tensor *x);
void          *be_scratch_bytes(struct be *be, size_t size);
/* What has been taken since the mark is given back, for what comes after it in the step. */
struct be_arena_mark be_mark(const struct be *be);
void                 be_back(struct be *be, struct be_arena_mark mark);

/* Several steps that follow each other at once, with little between them, are one region: the
 * threads stay awake from hold to release. No step may be under way; calls nest. */
void be_hold(struct be *be);
void be_release(struct be *be);
/* Work comes within a millisecond: the threads wake up now. It takes them 0.1 ms; called this long
 * before. */
#define BE_ROUSE_NS 200000LL
void be_rouse(struct be *be);

/* Runs fn(arg, i) for i in [0, n) on all threads of the step; returns when all are done. The order
 * is not promised; fn must not call back into be. For the host-side parts of a step. */
void be_parallel(struct be *be, void (*fn)(void *arg, int i), void *arg, int n);

#endif
