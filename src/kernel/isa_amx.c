/* SPDX-License-Identifier: MIT */
/* Tile products. A thread configures the tiles when it enters a kernel and releases them when it
 * leaves, which takes less than one tile of weights. */
#if defined(__x86_64__)
#include "kernel/isas.h"

#include "kernel/simd_avx512.h"

#define SIMD_DPBUSD(sum, codes, x) _mm512_dpbusd_epi32(sum, codes, x)
#include "kernel/amx.h"
#include "kernel/simd_dot_vnni.h"
#include "kernel/simd_int8.h"
#include "kernel/simd_pairs.h"

#include "kernel/amx_int8.h"
#include "kernel/amx_panel.h"

/* --- bf16: C[row][vector] += w [row][32 columns] by x [pair of columns][vector] -------------- */

#define PAIR_COLS 32   /* columns of a tile */
#define CHUNK     1024 /* columns that are packed at a time */
#define BLOCKS    32   /* of 16 rows that share them: their sums stay in the cache */
#define FETCH     512  /* bytes of a row that are asked for ahead */

/* 0, 1: sums of two groups of vectors; 2: weights; 3, 4: activations */
static const struct amx_config bf16_config = { .palette = 1,
                                               .row_bytes = { 64, 64, 64, 64, 64 },
                                               .rows = { 16, 16, 16, 16, 16 } };

struct bf16_job {
    float *const          *y;
    const uint16_t *const *x;
    const uint8_t         *w;
    int                    n_in, n_vec; /* n_vec: of this group or two, up to 32 */
    int                    row1;
};

/* Pairs of columns k .. k + n_k of sixteen vectors from m0 on: [n_k / 2][vector]; zeros behind the
 * last column and the last vector. */
static void pack_pairs(uint32_t *out, const struct bf16_job *j, int m0, int k, int n_k)
{
    int n = j->n_vec - m0 < AMX_ROWS ? j->n_vec - m0 : AMX_ROWS;
    memset(out, 0, (size_t)n_k / 2 * AMX_LINE);
    for (int m = 0; m < n; m++) {
        const uint16_t *x = j->x[m0 + m] + k;
        int             n_pair = (j->n_in - k < n_k ? j->n_in - k : n_k) / 2;
        for (int i = 0; i < n_pair; i++)
            memcpy(out + i * AMX_ROWS + m, x + 2 * i, sizeof *out);
        if (j->n_in - k < n_k && j->n_in % 2)
            memcpy(out + n_pair * AMX_ROWS + m, x + 2 * n_pair, sizeof *x);
    }
}

/* Where lines lie, and how far apart. */
struct spaced {
    const void *p;
    intptr_t    stride;
};

/* The weights of 16 rows and 32 columns as they lie, or filled up with zeros at the edges. */
static struct spaced weights_at(uint16_t *edge, const struct bf16_job *j, int row, int k)
{
    size_t         row_size = (size_t)j->n_in * 2;
    const uint8_t *w = j->w + (size_t)row * row_size + (size_t)k * 2;
    int            n_row = j->row1 - row < AMX_ROWS ? j->row1 - row : AMX_ROWS;
    int            n_col = j->n_in - k < PAIR_COLS ? j->n_in - k : PAIR_COLS;
    if (n_row == AMX_ROWS && n_col == PAIR_COLS)
        return (struct spaced){ w, (intptr_t)row_size };
    memset(edge, 0, AMX_ROWS * AMX_LINE);
    for (int r = 0; r < n_row; r++)
        memcpy(edge + r * PAIR_COLS, w + (size_t)r * row_size, (size_t)n_col * 2);
    return (struct spaced){ edge, AMX_LINE };
}

/* Adds columns k .. k + n_k of one block of rows to its sums. */
SIMD_INLINE void bf16_block(const struct bf16_job *j, float sum[2][AMX_ROWS * AMX_ROWS],
                            const uint32_t *const pairs[2], int row, int k, int n_k, int n_group)
{
    _Alignas(64) uint16_t edge[AMX_ROWS * PAIR_COLS];
    AMX_LOAD(0, sum[0], AMX_LINE);
    if (n_group == 2)
        AMX_LOAD(1, sum[1], AMX_LINE);
    for (int c = 0; c < n_k; c += PAIR_COLS) {
        struct spaced w = weights_at(edge, j, row, k + c);
        AMX_LOAD(2, w.p, w.stride);
        AMX_LOAD(3, pairs[0] + c / 2 * AMX_ROWS, AMX_LINE);
        AMX_DOT_BF16(0, 2, 3);
        if (n_group == 2) {
            AMX_LOAD(4, pairs[1] + c / 2 * AMX_ROWS, AMX_LINE);
            AMX_DOT_BF16(1, 2, 4);
        }
        for (int r = 0; r < AMX_ROWS && w.stride != AMX_LINE; r++)
            simd_prefetch((const uint8_t *)w.p + r * w.stride + FETCH);
    }
    AMX_STORE(0, sum[0], AMX_LINE);
    if (n_group == 2)
        AMX_STORE(1, sum[1], AMX_LINE);
}

/* All columns of up to BLOCKS blocks of rows, with one or two groups of vectors. */
SIMD_INLINE void bf16_blocks(const struct bf16_job *j, int row0, int n_block, int n_group)
{
    _Alignas(64) float    sum[BLOCKS][2][AMX_ROWS * AMX_ROWS];
    _Alignas(64) uint32_t pairs[2][CHUNK / 2 * AMX_ROWS];
    const uint32_t *const packed[2] = { pairs[0], pairs[1] };
    memset(sum, 0, (size_t)n_block * sizeof sum[0]);
    for (int k = 0; k < j->n_in; k += CHUNK) {
        int n_k = j->n_in - k < CHUNK ? j->n_in - k : CHUNK;
        n_k = (n_k + PAIR_COLS - 1) / PAIR_COLS * PAIR_COLS;
        for (int g = 0; g < n_group; g++)
            pack_pairs(pairs[g], j, g * AMX_ROWS, k, n_k);
        for (int b = 0; b < n_block; b++)
            bf16_block(j, sum[b], packed, row0 + b * AMX_ROWS, k, n_k, n_group);
    }
    for (int b = 0; b < n_block; b++)
        for (int m = 0; m < j->n_vec; m++) {
            int row = row0 + b * AMX_ROWS;
            for (int r = 0; r < AMX_ROWS && row + r < j->row1; r++)
                j->y[m][row + r] = sum[b][m / AMX_ROWS][r * AMX_ROWS + m % AMX_ROWS];
        }
}

static void linear_bf16_bf16 KERN_LINEAR_BF16_ARGS
{
    amx_configure(&bf16_config);
    for (int m = 0; m < n_vec; m += 2 * AMX_ROWS) {
        int             n = n_vec - m < 2 * AMX_ROWS ? n_vec - m : 2 * AMX_ROWS;
        struct bf16_job j = { y + m, x + m, (const uint8_t *)w, n_in, n, row1 };
        for (int row = row0; row < row1; row += BLOCKS * AMX_ROWS) {
            int n_block = (row1 - row + AMX_ROWS - 1) / AMX_ROWS;
            n_block = n_block < BLOCKS ? n_block : BLOCKS;
            if (n > AMX_ROWS)
                bf16_blocks(&j, row, n_block, 2);
            else
                bf16_blocks(&j, row, n_block, 1);
        }
    }
    amx_release();
}

#if !defined(KERNEL_AMX_EMULATED)
/* Four sums from two tiles by two, as a product of matrices has them. */
#define PEAK(DOT, columns)                                                                         \
    {                                                                                              \
        static const struct amx_config config = { .palette = 1,                                    \
                                                  .row_bytes = { 64, 64, 64, 64, 64, 64, 64, 64 }, \
                                                  .rows = { 16, 16, 16, 16, 16, 16, 16, 16 } };    \
        amx_configure(&config);                                                                    \
        for (int i = 0; i < n; i++) {                                                              \
            DOT(0, 4, 6);                                                                          \
            DOT(1, 4, 7);                                                                          \
            DOT(2, 5, 6);                                                                          \
            DOT(3, 5, 7);                                                                          \
        }                                                                                          \
        amx_release();                                                                             \
        return (int64_t)n * 4 * AMX_ROWS * AMX_ROWS * (columns)*2;                                 \
    }

static int64_t peak_bf16(int n)
{
    PEAK(AMX_DOT_BF16, 32)
}

static int64_t peak_int8(int n)
{
    PEAK(AMX_DOT_SU, 64)
}

const struct peak isa_amx_peak = { .bf16 = peak_bf16, .code4 = peak_int8, .code8 = peak_int8 };
#endif

const struct kern isa_amx = {
    .name = "amx",
    .has_bf16 = true,
    .linear_q8t_i8 = amx_int8_q8t,
    .linear_q4t_i8 = amx_int8_q4t,
    .linear_bf16_bf16 = linear_bf16_bf16,
    .panel_bf16_bf16 = amx_panel_bf16_bf16,
};
#endif
