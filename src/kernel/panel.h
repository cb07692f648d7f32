/* SPDX-License-Identifier: MIT */
/* panel: a matrix whose rows lie sixteen by sixteen, for products that make sixteen outputs at a
 * time and finish them where they are (kern.panel_f32, kern.panel_bf16).
 *
 * A block holds rows 16 b .. 16 b + 15, zeros past the last one; block follows block. DT_F32: a
 * column after the other, [n_in][16]. DT_BF16: two columns together, [(n_in + 1) / 2][16][2], a
 * zero past an odd end; a dword is two neighbours of a row, as bf16 dot products and tile units
 * take them.
 */
#ifndef KERNEL_PANEL_H
#define KERNEL_PANEL_H

#include <stddef.h>

#include "kernel/dtype.h"

#define PANEL_ROWS    16
#define PANEL_SEGMENT 256 /* columns that are summed by themselves: long sums keep their bits */

struct panels {
    enum dtype  dtype; /* DT_F32 or DT_BF16 */
    int         n_out, n_in;
    const void *data; /* 64-byte aligned */
};

static inline int panel_count(int n_out)
{
    return (n_out + PANEL_ROWS - 1) / PANEL_ROWS;
}

/* Bytes of a block. */
size_t panel_size(enum dtype dtype, int n_in);

/* Columns [k0, k0 + n_k) of a block of n_in out of n_row <= 16 rows of n_k floats, one after the
 * other; rows past the last one become zeros. */
void panel_pack(void *block, enum dtype dtype, int n_in, const float *rows, int n_row, int k0,
                int n_k);

#endif
