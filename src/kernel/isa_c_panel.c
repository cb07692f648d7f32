/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "kernel/float_bits.h"
#include "kernel/isa_c.h"
#include "kernel/isas.h"

#define VECS 8 /* vectors that share a column */

/* Column k of a block: 16 numbers. */
static void column(float *out, const struct panels *w, const uint8_t *block, int k)
{
    if (w->dtype == DT_F32) {
        memcpy(out, block + (size_t)k * PANEL_ROWS * sizeof *out, PANEL_ROWS * sizeof *out);
        return;
    }
    block += (size_t)(k / 2) * PANEL_ROWS * 4 + (size_t)(k % 2) * 2;
    for (int r = 0; r < PANEL_ROWS; r++)
        out[r] = bf16_float(half_load(block + 4 * r));
}

static void finish(const struct panel_job *j, int m, int row, float v)
{
    size_t at = (size_t)m * (size_t)j->w.n_out + (size_t)row;
    if (j->bias)
        v += j->bias[row];
    if (j->scale)
        v *= j->scale[row];
    if (j->add)
        v += j->add[at];
    if (j->y)
        j->y[at] = v;
    if (j->z)
        isa_c.act_f32(&j->z[at], &v, 1, j->act);
}

static float rounded(float x)
{
    return bf16_float(bf16_of_float(x));
}

/* Block b and vectors m0 .. m0+n-1: one sum after the other would read the block n times. */
static void tile(const struct panel_job *j, int b, int m0, int n, bool is_rounded)
{
    const uint8_t *block = (const uint8_t *)j->w.data +
                           (size_t)b * panel_size(j->w.dtype, j->w.n_in);
    float sum[VECS][PANEL_ROWS] = { { 0 } };
    for (int k0 = 0; k0 < j->w.n_in; k0 += PANEL_SEGMENT) {
        int   k1 = k0 + PANEL_SEGMENT < j->w.n_in ? k0 + PANEL_SEGMENT : j->w.n_in;
        float part[VECS][PANEL_ROWS] = { { 0 } }, w[PANEL_ROWS];
        for (int k = k0; k < k1; k++) {
            column(w, &j->w, block, k);
            for (int m = 0; m < n; m++) {
                float x = is_rounded ? rounded(j->x[m0 + m][k]) : j->x[m0 + m][k];
                for (int r = 0; r < PANEL_ROWS; r++)
                    part[m][r] += w[r] * x;
            }
        }
        for (int m = 0; m < n; m++)
            for (int r = 0; r < PANEL_ROWS; r++)
                sum[m][r] += part[m][r];
    }
    for (int m = 0; m < n; m++)
        for (int r = 0; r < PANEL_ROWS && b * PANEL_ROWS + r < j->w.n_out; r++)
            finish(j, m0 + m, b * PANEL_ROWS + r, sum[m][r]);
}

static void panel(const struct panel_job *j, int block0, int block1, bool is_rounded)
{
    for (int b = block0; b < block1; b++)
        for (int m = 0; m < j->n_vec; m += VECS)
            tile(j, b, m, m + VECS < j->n_vec ? VECS : j->n_vec - m, is_rounded);
}

void isa_c_panel_f32(const struct panel_job *j, int block0, int block1)
{
    panel(j, block0, block1, false);
}

void isa_c_panel_bf16(const struct panel_job *j, int block0, int block1)
{
    panel(j, block0, block1, false);
}

void isa_c_panel_bf16_bf16(const struct panel_job *j, int block0, int block1)
{
    panel(j, block0, block1, true);
}
