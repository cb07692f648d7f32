/* SPDX-License-Identifier: MIT */
/* kern: arithmetic on plain buffers, one table for each CPU instruction set.
 *
 * isa_c.c is the definition; other tables override what they make faster and the rest falls back
 * (isas.c overlays them in order). Buffers need no alignment and no padding; a kernel neither reads
 * nor writes outside what its arguments say. Nothing here allocates, locks or knows threads.
 *
 * Every sum belongs to one output and has an order that depends on the length alone, so batch size
 * and thread count never change a result; instruction sets differ by rounding only.
 */
#ifndef KERNEL_KERN_H
#define KERNEL_KERN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "kernel/dtype.h"
#include "kernel/panel.h"
#include "kernel/quant.h"

enum act {
    ACT_NONE,
    ACT_SILU,
    ACT_GELU,
    ACT_RELU,
    ACT_SIGMOID,
    ACT_TANH,
    ACT_ELU,
    ACT_LEAKY_RELU,
    ACT_MISH,
    ACT_SOFTSIGN,
    ACT_COUNT
};

/* The linear kernels write y[m][r] = sum_k w[r][k] * x[m][k] for r in [row0, row1) and m in [0,
 * n_vec), nothing else of y; y and x are arrays of row pointers, so that windows of a
 * convolution and scattered lanes need no copy. w may have any alignment: it lies in a file's
 * mapping. */
#define KERN_LINEAR_ARGS(type) \
    (float *const *y, const float *const *x, int n_vec, const type *w, int n_in, int row0, int row1)
#define KERN_TILES_ARGS                                                                          \
    (float *const *y, const float *const *x, int n_vec, const void *tiles, struct quant_shape s, \
     int row0, int row1) /* row0 a multiple of 16 */

/* Rows that lie one after the other: keys or values of a head. */
struct kern_rows {
    enum dtype   dtype; /* DT_F32, DT_BF16 or DT_I8 */
    const void  *p;
    const float *scale; /* DT_I8: a factor for each row; else NULL */
    /* What is read soon and asked for meanwhile, or NULL: as many bytes, a quarter of them here and
     * at each of three places that follow `apart` bytes from each other. */
    const void *ahead;
    size_t      apart;
};

/* Against int8 keys and values the query and the weights of values are codes too, of more bits than
 * theirs: products of codes are whole numbers that fit 32 bits, for up to KERN_QUERY_DIM columns,
 * and weights have a scale for each KERN_MIX_ROWS rows. */
#define KERN_QUERY_MAX 4095
#define KERN_QUERY_DIM 4096
#define KERN_MIX_MAX   2047
#define KERN_MIX_ROWS  32

/* The same on activations of fewer bits, which a fast mode makes once for a whole product: x is
 * [n_vec] of quantise_x()'s vectors, or rows of bf16. Integer products are exact; each output takes
 * group after group scale * (x.scale * dot) and then bias * x.sum, in f32. Products of bf16 are
 * summed in f32. */
#define KERN_TILES_I8_ARGS                                                                         \
    (float *const *y, const struct quant_x *x, int n_vec, const void *tiles, struct quant_shape s, \
     int row0, int row1)
#define KERN_LINEAR_BF16_ARGS                                                               \
    (float *const *y, struct kern_bf16 x, int n_vec, const uint16_t *w, int n_in, int row0, \
     int row1)

/* Vectors of bf16. Where the table has pack_pairs(), that lays them out once for all threads and
 * parts of a product: for groups of sixteen vectors, the last one with what is left, tiles of 32
 * columns as [pair of columns][vector], zeros behind the last column. */
struct kern_bf16 {
    const uint16_t *const *row;      /* [n_vec] */
    const void            *pairs;    /* of pack_pairs(), or NULL where there is none */
    int                    first, n; /* row[0] is vector `first` of n in pairs */
};
#define KERN_PAIRS_COLS 32
#define KERN_PACK_PAIRS_ARGS \
    (void *out, const uint16_t *const *row, int n_vec, int n_in, int tile0, int tile1)
static inline int kern_pairs_tiles(int n_in)
{
    return (n_in + KERN_PAIRS_COLS - 1) / KERN_PAIRS_COLS;
}
static inline size_t kern_pairs_size(int n_vec, int n_in)
{
    return (size_t)n_vec * (size_t)kern_pairs_tiles(n_in) * KERN_PAIRS_COLS * sizeof(uint16_t);
}

/* A product with panels and what follows it: v = x w^T, then each of (+ bias) (* scale) (+ add)
 * that is there; v goes to y, act(v) to z, where they are there. */
struct panel_job {
    const float *const *x; /* [n_vec] rows of w.n_in floats */
    int                 n_vec;
    struct panels       w;
    const float        *bias, *scale; /* [w.n_out] or NULL */
    const float        *add;          /* [n_vec, w.n_out] or NULL */
    float              *y, *z;        /* [n_vec, w.n_out] or NULL; y may be add */
    enum act            act;          /* of z */
};
typedef void (*panel_fn)(const struct panel_job *j, int block0, int block1);

/* The form is ours here: clang-format takes the stars for products. */
/* clang-format off */
#define KERN_LIST(K)                                                                               \
    K(float, dot_f32, (const float *a, const float *b, int n))                                     \
    K(void, axpy_f32, (float *y, float a, const float *x, int n)) /* y += a x */                   \
    K(void, add_f32, (float *y, const float *x, int n)) /* y += x */                               \
    K(void, mul_add_f32, (float *y, const float *s, const float *x, int n)) /* y += s * x */       \
    K(void, linear_f32, KERN_LINEAR_ARGS(float))                                                   \
    K(void, linear_bf16, KERN_LINEAR_ARGS(uint16_t))                                               \
    K(void, linear_f16, KERN_LINEAR_ARGS(uint16_t))                                                \
    K(void, linear_q8t, KERN_TILES_ARGS)                                                           \
    K(void, linear_q4t, KERN_TILES_ARGS)                                                           \
    K(void, linear_q8t_i8, KERN_TILES_I8_ARGS)                                                     \
    K(void, linear_q4t_i8, KERN_TILES_I8_ARGS)                                                     \
    K(void, linear_bf16_bf16, KERN_LINEAR_BF16_ARGS)                                               \
    /* out's parts hold n columns and their padding; bits: of the tiles, 4 or 8 */                 \
    K(void, quantise_x, (const struct quant_x *out, const float *x, int n, int bits))              \
    /* Blocks [block0, block1) of w, whose dtype is the kernel's. */                               \
    K(void, panel_f32, (const struct panel_job *j, int block0, int block1))                        \
    K(void, panel_bf16, (const struct panel_job *j, int block0, int block1))                       \
    /* The same with numbers of x rounded to bf16. */                                              \
    K(void, panel_bf16_bf16, (const struct panel_job *j, int block0, int block1))                  \
    /* y = x * w / sqrt(mean(x^2) + eps) */                                                        \
    K(void, rms_norm_f32, (float *y, const float *x, const float *w, int n, float eps))            \
    /* y = (x - mean) / sqrt(var + eps) * w + b; w and b may be NULL */                            \
    K(void, layer_norm_f32, (float *y, const float *x, const float *w, const float *b, int n,      \
                             float eps))                                                           \
    K(void, softmax_f32, (float *x, int n))                                                        \
    K(void, act_f32, (float *y, const float *x, int n, enum act act)) /* y may be x */             \
    /* y = act(a) * b */                                                                           \
    K(void, glu_f32, (float *y, const float *a, const float *b, int n, enum act act))              \
    /* Rotates n_pair complex pairs: (x[2i], x[2i+1]) or (x[i], x[i+n_pair]) */                    \
    K(void, rope_f32, (float *x, const float *cos, const float *sin, int n_pair,                   \
                       bool interleaved))                                                          \
    /* One query over n keys: out[d] = softmax(scale * q.k) . v. Key and value i lie in row        \
     * (first + i) % n_slot of `stride` floats, n <= n_slot; score: scratch of n floats. */        \
    K(void, attend_f32, (float *out, float *score, const float *q, const float *k, const float *v, \
                         int n, int first, int n_slot, int d, int stride, float scale))            \
    /* score[i] = scale * (q . key i) for n keys of d numbers, not int8 */                         \
    K(void, attend_score, (float *score, const float *q, struct kern_rows keys, int n, int d,      \
                           float scale))                                                           \
    /* y += score[i] * value i, value after value */                                               \
    K(void, attend_mix, (float *y, const float *score, struct kern_rows values, int n, int d))     \
    /* The same with int8 rows. Of the query: its codes; scale takes in the number that            \
     * quantise_query() returned, by which they are to be multiplied. */                           \
    K(float, quantise_query, (int16_t *q, const float *x, int n))                                  \
    K(void, attend_score_i8, (float *score, const int16_t *q, struct kern_rows keys, int n, int d, \
                              float scale))                                                        \
    K(void, attend_mix_i8, (float *y, const float *score, struct kern_rows values, int n, int d))  \
    K(int, argmax_f32, (const float *x, int n)) /* the first maximum; a NaN never wins */          \
    /* The first row of table [n, d] nearest to x in Euclidean distance. */                        \
    K(int, nearest_f32, (const float *x, const float *table, int n, int d))                        \
    K(void, bf16_to_f32, (float *y, const uint16_t *x, int n))                                     \
    K(void, f16_to_f32, (float *y, const uint16_t *x, int n))                                      \
    K(void, f32_to_bf16, (uint16_t *y, const float *x, int n)) /* round to nearest even */         \
    /* n_group groups of 32 or 64 numbers to codes 0 .. code_max, a byte each, and their scales    \
     * and biases, exactly as mx.quantize does: tables agree in every bit. */                      \
    K(void, quantise_f32, (uint8_t *codes, float *scale, float *bias, const float *w, int n_group, \
                           int group, int code_max))
/* clang-format on */

struct kern {
    const char *name;     /* "c", "avx2", ... */
    bool        has_bf16; /* bf16 by bf16 is faster here than bf16 by f32 */
    /* For linear_bf16_bf16(), tiles [tile0, tile1) of kern_pairs_size() bytes; NULL: it reads rows.
     */
    void(*pack_pairs) KERN_PACK_PAIRS_ARGS;
#define K(type, name, args) type(*name) args;
    KERN_LIST(K)
#undef K
};

/* The table in use: what kern_choose() chose; "c" before that. Any thread after kern_choose(). */
extern struct kern kern;

/* name: NULL or "auto" picks the best that this CPU has and that passes its self-test; else that
 * instruction set: ERR_USAGE for an unknown name (the sentence lists the known ones), ERR_HARDWARE
 * when the CPU lacks it. Call once, before threads start. */
enum err kern_choose(const char *name) MUST_CHECK;

/* Row in isas[] of the table in use. Any thread after kern_choose(). */
int kern_in_use(void);

/* For `parley doctor`: row i of the known sets, self-tested now if it was not; false past the end.
 * is_fit: this CPU has it and computes rightly with it. why: "in use: best of this CPU", "not in
 * this CPU: needs avx512f", "self-test failed", ... Static or thread-local storage. From the thread
 * that chose. */
struct kern_info {
    const char *name;
    bool        is_fit;
    const char *why;
};
bool kern_describe(struct kern_info *out, int i);

#endif
