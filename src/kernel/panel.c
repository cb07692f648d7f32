/* SPDX-License-Identifier: MIT */
#include "kernel/panel.h"

#include <stdint.h>

#include "kernel/float_bits.h"

size_t panel_size(enum dtype dtype, int n_in)
{
    size_t n = (size_t)n_in;
    return PANEL_ROWS * (dtype == DT_F32 ? n * sizeof(float) : (n + 1) / 2 * 2 * sizeof(uint16_t));
}

static void pack_f32(float *column, const float *rows, int n_row, int n_k)
{
    for (int k = 0; k < n_k; k++, column += PANEL_ROWS)
        for (int r = 0; r < PANEL_ROWS; r++)
            column[r] = r < n_row ? rows[r * n_k + k] : 0;
}

static void pack_bf16(uint16_t *block, const float *rows, int n_row, int k0, int n_k)
{
    for (int k = 0; k < n_k; k++) {
        uint16_t *pair = block + (size_t)((k0 + k) / 2) * 2 * PANEL_ROWS + (k0 + k) % 2;
        for (int r = 0; r < PANEL_ROWS; r++)
            pair[2 * r] = r < n_row ? bf16_of_float(rows[r * n_k + k]) : 0;
    }
}

void panel_pack(void *block, enum dtype dtype, int n_in, const float *rows, int n_row, int k0,
                int n_k)
{
    static const float none[PANEL_ROWS];
    if (dtype == DT_F32)
        pack_f32((float *)block + (size_t)k0 * PANEL_ROWS, rows, n_row, n_k);
    else
        pack_bf16(block, rows, n_row, k0, n_k);
    if (dtype == DT_BF16 && k0 + n_k == n_in && n_in % 2)
        pack_bf16(block, none, PANEL_ROWS, n_in, 1);
}
