/* SPDX-License-Identifier: MIT */
/* quant: affine 8- and 4-bit matrices in tiles of 16 rows x 64 columns (why: docs/performance.md,
 * "How it computes").
 *
 * A matrix [n_out, n_in] is quantised along n_in in groups of 32 or 64: w = scale * q + bias with q
 * unsigned, as MLX's mx.quantize defines it. Rows are padded to a multiple of 16 and
 * columns to a multiple of 64 with q = 0, scale = 0, bias = 0. The tiles of one 16-row block follow
 * each other along n_in; blocks follow each other along n_out.
 *
 *   4-bit tile: 512 bytes: line l (64 bytes, l = 0..7), lane r (4 bytes, little endian) holds the
 *               columns 8l .. 8l+7 of row r, nibble j = column 8l + j
 *   8-bit tile: 1024 bytes: line l (l = 0..15), lane r holds the columns 4l .. 4l+3 of row r,
 *               byte j = column 4l + j
 *   then        64 / group rows of 16 scales (bf16), then as many rows of 16 biases (bf16).
 *
 * 4-bit, group 64: 576 bytes a tile = 4.5 bits a weight.
 */
#ifndef KERNEL_QUANT_H
#define KERNEL_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/dtype.h"

#define QUANT_ROWS 16
#define QUANT_COLS 64

/* Of what packing writes, here and in panel.h: another number where the same weights give other
 * bytes, so that what an older program has kept is made anew. */
#define QUANT_VERSION 1

/* MLX's smallest scale: an all-equal group must not divide by zero. */
#define QUANT_SCALE_MIN 1e-7f

struct quant_shape {
    int n_out, n_in;
    int bits;  /* 4 or 8 */
    int group; /* 32 or 64 */
};

size_t quant_tile_size(int bits, int group);
size_t quant_size(struct quant_shape s);   /* bytes of the whole matrix in tiles */
int    quant_n_tile(struct quant_shape s); /* tiles along n_in */

/* Packs rows row0 .. row1-1 (row0 a multiple of 16; row1 likewise or n_out) of an MLX triple:
 * words [n_out, n_in*bits/32], scales and biases bf16 [n_out, n_in/group]. dst is the whole matrix.
 * Callers may pack different row blocks from different threads. */
void quant_pack_mlx(void *dst, struct quant_shape s, const uint32_t *words, const uint16_t *scales,
                    const uint16_t *biases, int row0, int row1);

/* Quantises f32 rows exactly as mx.quantize does and packs them: codes from scale and bias in
 * f32, which are then kept as bf16, as for a bf16 model. w: [row1 - row0, n_in], n_in a multiple
 * of group. */
void quant_pack_f32(void *dst, struct quant_shape s, const float *w, int row0, int row1);

/* One row back to f32, for embeddings, tests and adapters. */
void quant_row(float *out, struct quant_shape s, const void *tiles, int row);

/* A vector of activations as int8, for the tiles' integer kernels: x = scale * q, a scale for each
 * 64 columns (its largest magnitude / 127), zeros after the last column. A group with a number that
 * is not finite has q = 0 and a NaN for its scale, so that every output says so. */
struct quant_x {
    int8_t *q; /* [n], n a multiple of 64. For 8-bit tiles in the order of the columns; for 4-bit
                      tiles of each eight the even columns, then the odd ones, as nibbles lie */
    float  *scale; /* [n / 64] */
    float  *sum;   /* [n / 32]: scale * sum of 32 q, for the biases */
};

/* Bytes of a vector of n_in columns, a multiple of 64, and its parts at memory of so many. */
size_t quant_x_size(int n_in);
void   quant_x_init(struct quant_x *x, void *memory, int n_in);

#endif
