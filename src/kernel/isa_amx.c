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

#include "kernel/amx_panel.h"

/* --- int8: C[vector][row] += x [vector][64 columns] by codes [4 columns a line][row] ---------- */

#define VECS_MIN 9 /* fewer vectors are VNNI's: a tile costs the same for one as for sixteen */

/* 0: sums; 1, 2: activations and codes of 64 columns; 3, 4: of 32 */
static const struct amx_config int8_config = { .palette = 1,
                                               .row_bytes = { 64, 64, 64, 32, 64 },
                                               .rows = { 16, 16, 16, 16, 8 } };

/* The codes of a group as unsigned bytes, a line for four columns: where they lie, or unpacked. */
SIMD_INLINE const uint8_t *byte_codes(uint8_t *out, const uint8_t *codes, int group, int bits)
{
    if (bits == 8)
        return codes;
    for (int l = 0; l < group / 8; l++) {
        __m512i w = _mm512_loadu_si512(codes + l * AMX_LINE);
        _mm512_storeu_si512(out + 2 * l * AMX_LINE, SIMD_DOT_LOW(w));
        _mm512_storeu_si512(out + (2 * l + 1) * AMX_LINE, SIMD_DOT_HIGH(w));
    }
    return out;
}

/* Where the bytes of up to sixteen vectors lie from column `at` on, and how far apart: as they are
 * where they are evenly spaced, else gathered; missing vectors are zeros. */
struct spaced {
    const void *p;
    intptr_t    stride;
};
SIMD_INLINE struct spaced vectors_at(int8_t *out, const struct quant_x *x, int n_vec, int at)
{
    intptr_t stride = x[1].q - x[0].q;
    bool     is_even = n_vec == AMX_ROWS;
    for (int m = 2; m < n_vec && is_even; m++)
        is_even = x[m].q - x[m - 1].q == stride;
    if (is_even)
        return (struct spaced){ x[0].q + at, stride };
    for (int m = 0; m < n_vec; m++)
        memcpy(out + m * AMX_LINE, x[m].q + at, AMX_LINE);
    return (struct spaced){ out, AMX_LINE };
}

/* Two to sixteen vectors with the 16 rows at row; each output as simd_int8_tile() makes it. */
SIMD_INLINE void int8_block(const struct simd_int8 *j, int row, int m0, int n_vec, int group,
                            int bits)
{
    _Alignas(64) int8_t   q[AMX_ROWS * AMX_LINE] = { 0 };
    _Alignas(64) uint8_t  codes[AMX_ROWS * AMX_LINE];
    _Alignas(64) int32_t  dot[AMX_ROWS][AMX_ROWS];
    const uint8_t        *tile = j->tiles + (size_t)(row / QUANT_ROWS) * j->block_size;
    const struct quant_x *x = j->x + m0;
    int                   n_group = QUANT_COLS / group;
    simd                  total[AMX_ROWS][1];
    SIMD_EACH (m, AMX_ROWS)
        total[m][0] = simd_zero();
    for (int t = 0; t < j->n_tile; t++, tile += j->tile_size) {
        struct spaced a = vectors_at(q, x, n_vec, t * QUANT_COLS);
        for (int g = 0; g < n_group; g++) {
            const int8_t  *a_q = (const int8_t *)a.p + g * group;
            const uint8_t *params = tile + QUANT_ROWS * QUANT_COLS * bits / 8 + g * QUANT_ROWS * 2;
            const uint8_t *b = byte_codes(codes, tile + g * group * bits / 32 * 64, group, bits);
            AMX_ZERO(0);
            if (group == 64) {
                AMX_LOAD(1, a_q, a.stride);
                AMX_LOAD(2, b, AMX_LINE);
                AMX_DOT_SU(0, 1, 2);
            } else {
                AMX_LOAD(3, a_q, a.stride);
                AMX_LOAD(4, b, AMX_LINE);
                AMX_DOT_SU(0, 3, 4);
            }
            AMX_STORE(0, dot, AMX_LINE);
            simd scale = simd_weight_bf16(params);
            simd bias = simd_weight_bf16(params + n_group * QUANT_ROWS * 2);
            for (int m = 0; m < n_vec; m++) {
                const float *s = x[m].sum + 2 * t;
                simd         x_sum = simd_set(n_group == 2 ? s[g] : s[0] + s[1]);
                simd v = simd_mul(simd_set(x[m].scale[t]), simd_of_int(_mm512_loadu_si512(dot[m])));
                total[m][0] = simd_fma(bias, x_sum, simd_fma(scale, v, total[m][0]));
            }
        }
    }
    for (int m = 0; m < n_vec; m++)
        simd_int8_store(j, m0 + m, row, total[m]);
}

SIMD_INLINE void int8_vecs(const struct simd_int8 *j, int n_vec, int row0, int group, int bits)
{
    int m = 0;
    amx_configure(&int8_config);
    for (; n_vec - m >= VECS_MIN; m += AMX_ROWS)
        for (int row = row0; row < j->row1; row += QUANT_ROWS)
            int8_block(j, row, m, n_vec - m < AMX_ROWS ? n_vec - m : AMX_ROWS, group, bits);
    amx_release();
    if (m < n_vec) {
        struct simd_int8 rest = *j;
        rest.x += m;
        rest.y += m;
        simd_int8_all(&rest, n_vec - m, row0, group, bits);
    }
}

SIMD_INLINE void int8_tiles(float *const *y, const struct quant_x *x, int n_vec, const void *tiles,
                            struct quant_shape s, int row0, int row1, int bits)
{
    size_t           tile_size = quant_tile_size(bits, s.group);
    int              n_tile = quant_n_tile(s);
    struct simd_int8 j = { y, x, tiles, tile_size, tile_size * (size_t)n_tile, n_tile, row1 };
    if (s.group == 32)
        int8_vecs(&j, n_vec, row0, 32, bits);
    else
        int8_vecs(&j, n_vec, row0, 64, bits);
}

static void amx_q8t_i8 KERN_TILES_I8_ARGS
{
    if (n_vec < VECS_MIN)
        linear_q8t_i8(y, x, n_vec, tiles, s, row0, row1);
    else
        int8_tiles(y, x, n_vec, tiles, s, row0, row1, 8);
}

static void amx_q4t_i8 KERN_TILES_I8_ARGS
{
    if (n_vec < VECS_MIN)
        linear_q4t_i8(y, x, n_vec, tiles, s, row0, row1);
    else
        int8_tiles(y, x, n_vec, tiles, s, row0, row1, 4);
}

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
    .linear_q8t_i8 = amx_q8t_i8,
    .linear_q4t_i8 = amx_q4t_i8,
    .linear_bf16_bf16 = linear_bf16_bf16,
    .panel_bf16_bf16 = amx_panel_bf16_bf16,
};
#endif
