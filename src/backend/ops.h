/* SPDX-License-Identifier: MIT */
/* ops: what a backend can compute. Call op_x(be, ...); OP_LIST makes the row of each backend.
 *
 * Outputs come first. y may be x only where it says so. Shapes are checked with must().
 */
#ifndef BACKEND_OPS_H
#define BACKEND_OPS_H

#include "backend/be.h"

enum rope_kind { ROPE_NONE, ROPE_INTERLEAVED, ROPE_HALVES };
struct rope {
    enum rope_kind kind;
    float          max_period;
    float          time_scale; /* multiplies the position; 1 */
};

/* How queries see keys. pos counts rows of the lane since its reset (kv->n_seen before this
 * step). */
struct attend {
    int         n_head;  /* query heads; key/value heads are kv->n_head, repeated consecutively */
    int         context; /* key k is visible to query q iff 0 <= q - k < context ... */
    bool        frame_rule; /* ... and k > e - context, e the last position of this step:
                               docs/models/mimi.md, "Transformers" */
    float       scale;
    struct rope rope; /* turns queries and keys first; positions go on from kv->n_seen */
};

/* A streaming convolution in channels-last form. Input rows are time steps, [T, n_in].
 *
 * A transposed one computes `stride` output rows for each input row at once, out of that row and
 * the n_tap - 1 before it that reach into them: a convolution with stride * n_out outputs. So
 * nothing is added up between steps, and what is remembered are input rows in both cases. */
enum conv_pad { CONV_PAD_ZERO, CONV_PAD_REPLICATE };
struct conv {
    int           n_in, n_out, kernel, stride, dilation, groups;
    enum conv_pad pad; /* of a transposed one: zeros always */
    bool          is_transposed;
    /* Conv: n_out rows of kernel * n_in, the oldest tap first. Transposed: stride * n_out rows
     * (phase, out) of n_tap * n_in, the oldest input first; phase j sees the input i steps back
     * through tap j + i * stride. */
    struct panels w;
    const float  *taps;    /* instead of w when groups > 1, which is depthwise (groups == n_in ==
                            n_out): [kernel, n_out] */
    const float  *bias;    /* [n_out], for w of a transposed one [stride * n_out]; or NULL */
    const float  *scale;   /* likewise: multiplies what has the bias; or NULL */
    bool          is_fine; /* what it reads is not rounded outside exact mode either */
};
/* Input rows that a window takes, how far apart windows begin, and rows of state. */
int conv_n_tap(const struct conv *c);
int conv_step(const struct conv *c);
int conv_n_state(const struct conv *c);

/* Where the result goes: v = conv(x) (+ add) to y, act(v) to z; either may be NULL, add may be y.
 * A depthwise conv gives y only and has no scale. */
struct conv_out {
    struct tensor       *y, *z;
    const struct tensor *add;
    enum act             act;
};

/* What a conv remembers of each lane: the last input rows. One that has none, such as a linear
 * layer as a conv of one tap, needs no state. */
struct conv_state {
    int    n_lane, n_row, n_col;
    float *p;        /* [n_lane, n_row, n_col] */
    bool  *is_first; /* [n_lane] */
};
enum err conv_state_open(struct conv_state *s, const struct conv *c, int n_lane) MUST_CHECK;
void     conv_state_close(struct conv_state *s);
void     conv_state_reset(struct conv_state *s, int lane);

/* The form is ours here: clang-format takes the stars for products. */
/* clang-format off */
#define OP_LIST(O)                                                                                 \
    /* y [n, n_out] = x [n, n_in] w^T (+ bias) */                                                  \
    O(linear, (struct be *be, struct tensor *y, const struct tensor *x, const struct weight *w))   \
    /* y += x w^T (+ bias) */                                                                      \
    O(linear_add, (struct be *be, struct tensor *y, const struct tensor *x,                        \
                   const struct weight *w))                                                        \
    /* y = norm(x) w^T (+ bias); a NORM_NONE is op_linear() */                                     \
    O(norm_linear, (struct be *be, struct tensor *y, const struct tensor *x,                       \
                    const struct norm *n, const struct weight *w))                                 \
    /* y [n, H] = act(g) * u with [g; u] = norm(x) w^T (+ bias), w [2H, n_in] */                   \
    O(glu_linear, (struct be *be, struct tensor *y, const struct tensor *x,                        \
                   const struct norm *n, const struct weight *w, enum act act))                    \
    /* y may be x */                                                                               \
    O(norm, (struct be *be, struct tensor *y, const struct tensor *x, const struct norm *n))       \
    /* y may be x */                                                                               \
    O(act, (struct be *be, struct tensor *y, const struct tensor *x, enum act act))                \
    /* y [n, H] = act(u[:, :H]) * u[:, H:] */                                                      \
    O(glu, (struct be *be, struct tensor *y, const struct tensor *u, enum act act))                \
    /* y += x; y += s * x, s [n_col] */                                                            \
    O(add, (struct be *be, struct tensor *y, const struct tensor *x))                              \
    O(scale_add, (struct be *be, struct tensor *y, const struct tensor *x, const float *s))        \
    /* qkv [n, (H + 2 Hkv) d]: turns its queries and keys in place, keeps keys and values, then    \
     * attends: y [n, H d]. kv->n_seen moves on. */                                                \
    O(attend, (struct be *be, struct tensor *y, struct tensor *qkv, struct kv *kv,                 \
               const struct attend *a))                                                            \
    /* Attends to a fixed source: k, v [n_src, H d] of each lane; no mask, no position. */         \
    O(attend_cross, (struct be *be, struct tensor *y, const struct tensor *q,                      \
                     const float *const *k, const float *const *v, const int *n_src, int n_head,   \
                     float scale))                                                                 \
    /* y [n_lane * T / stride, n_out], or [n_lane * T * stride, n_out] when transposed */          \
    O(conv, (struct be *be, const struct conv_out *out, const struct tensor *x,                    \
             const struct conv *c, struct conv_state *s))                                          \
    /* y[i] = row ids[i] of the table; an id below 0 gives zeros, above its end ERR_USAGE. */      \
    O(embed, (struct be *be, struct tensor *y, const struct weight *table, const int32_t *ids))    \
    O(embed_add, (struct be *be, struct tensor *y, const struct weight *table,                     \
                  const int32_t *ids))
/* clang-format on */

#define O(name, args) void op_##name args;
OP_LIST(O)
#undef O

/* One row of backends.c. linear_add, norm_linear, glu_linear, glu, embed_add may be NULL: they are
 * composed of the others then; begin, end, hold, release and rouse may be NULL too. */
struct be_row {
    const char *name;
    enum err (*open)(struct be *be, const struct be_options *o);
    void (*close)(struct be *be);
    void (*begin)(struct be *be);
    void (*end)(struct be *be);
    /* be_hold() and be_release() of the outermost, be_rouse(). */
    void (*hold)(struct be *be);
    void (*release)(struct be *be);
    void (*rouse)(struct be *be);
    /* Runs fn(arg, i, n) for slices i of n on the host's threads, for be_parallel(); NULL: one
     * slice. */
    void (*run)(struct be *be, void (*fn)(void *arg, int i, int n), void *arg);
#define O(name, args) void(*name) args;
    OP_LIST(O)
#undef O
};

#endif
