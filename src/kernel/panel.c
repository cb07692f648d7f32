/* SPDX-License-Identifier: MIT */
#include "kernel/panel.h"

#include <string.h>

#include "kernel/float_bits.h"

size_t panel_size(enum dtype dtype, int n_in)
{
    size_t n = (size_t)n_in;
    return PANEL_ROWS * (dtype == DT_F32 ? n * sizeof(float) : (n + 1) / 2 * 2 * sizeof(uint16_t));
}

static void pack_f32(float *block, const float *rows, int n_row, size_t n_in)
{
    for (size_t k = 0; k < n_in; k++, block += PANEL_ROWS)
        for (int r = 0; r < n_row; r++)
            block[r] = rows[(size_t)r * n_in + k];
}

static void pack_bf16(uint16_t *block, const float *rows, int n_row, size_t n_in)
{
    for (size_t k = 0; k < n_in; k += 2, block += 2 * PANEL_ROWS)
        for (int r = 0; r < n_row; r++) {
            const float *w = rows + (size_t)r * n_in + k;
            block[2 * r] = bf16_of_float(w[0]);
            block[2 * r + 1] = k + 1 < n_in ? bf16_of_float(w[1]) : 0;
        }
}

void panel_pack(void *block, enum dtype dtype, const float *rows, int n_row, int n_in)
{
    if (n_row < PANEL_ROWS)
        memset(block, 0, panel_size(dtype, n_in));
    if (dtype == DT_F32)
        pack_f32(block, rows, n_row, (size_t)n_in);
    else
        pack_bf16(block, rows, n_row, (size_t)n_in);
}
