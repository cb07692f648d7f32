/* SPDX-License-Identifier: MIT */
#include "kernel/quant.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "kernel/float_bits.h"

/* MLX's smallest scale: an all-equal group must not divide by zero. */
#define SCALE_MIN 1e-7f

static void check_shape(struct quant_shape s)
{
    must(s.bits == 4 || s.bits == 8);
    must(s.group == 32 || s.group == 64);
    must(s.n_out > 0 && s.n_in > 0);
}

size_t quant_tile_size(int bits, int group)
{
    size_t codes = (size_t)QUANT_ROWS * QUANT_COLS * (size_t)bits / 8;
    return codes + 2 * (size_t)(QUANT_COLS / group) * QUANT_ROWS * sizeof(uint16_t);
}

int quant_n_tile(struct quant_shape s)
{
    return s.n_in / QUANT_COLS + (s.n_in % QUANT_COLS != 0);
}

size_t quant_size(struct quant_shape s)
{
    check_shape(s);
    size_t n_block = (size_t)s.n_out / QUANT_ROWS + (s.n_out % QUANT_ROWS != 0);
    return n_block * (size_t)quant_n_tile(s) * quant_tile_size(s.bits, s.group);
}

static uint8_t *tile_at(const void *tiles, struct quant_shape s, int row, int col)
{
    size_t i = (size_t)(row / QUANT_ROWS) * (size_t)quant_n_tile(s) + (size_t)(col / QUANT_COLS);
    return (uint8_t *)tiles + i * quant_tile_size(s.bits, s.group);
}

/* Where the scales of a tile begin, in bytes. */
static size_t scales_at(int bits)
{
    return (size_t)QUANT_ROWS * QUANT_COLS * (size_t)bits / 8;
}

/* The byte that holds a code, and for 4 bits which half of it. */
static size_t code_at(int bits, int row, int col)
{
    int r = row % QUANT_ROWS, c = col % QUANT_COLS;
    return bits == 8 ? (size_t)(c / 4 * 64 + r * 4 + c % 4)
                     : (size_t)(c / 8 * 64 + r * 4 + c % 8 / 2);
}

static void put_code(uint8_t *tile, int bits, int row, int col, unsigned q)
{
    uint8_t *p = tile + code_at(bits, row, col);
    *p = bits == 8 ? (uint8_t)q : (uint8_t)(*p | q << col % 2 * 4);
}

static unsigned get_code(const uint8_t *tile, int bits, int row, int col)
{
    unsigned v = tile[code_at(bits, row, col)];
    return bits == 8 ? v : v >> col % 2 * 4 & 15;
}

/* The scale (which 0) or bias (which 1) of a row's group, as an address in its tile. */
static uint8_t *param_at(uint8_t *tile, struct quant_shape s, int row, int col, int which)
{
    int n_group = QUANT_COLS / s.group;
    int i = (which * n_group + col % QUANT_COLS / s.group) * QUANT_ROWS + row % QUANT_ROWS;
    return tile + scales_at(s.bits) + (size_t)i * sizeof(uint16_t);
}

/* Zeroes the tiles of the row blocks that row0 .. row1-1 fill: padding is q = scale = bias = 0. */
static void clear_rows(void *dst, struct quant_shape s, int row0, int row1)
{
    check_shape(s);
    must(row0 % QUANT_ROWS == 0 && (row1 % QUANT_ROWS == 0 || row1 == s.n_out));
    must(row0 >= 0 && row0 <= row1 && row1 <= s.n_out && s.n_in % s.group == 0);
    size_t n_block = (size_t)(row1 - row0 + QUANT_ROWS - 1) / QUANT_ROWS;
    memset(tile_at(dst, s, row0, 0), 0,
           n_block * (size_t)quant_n_tile(s) * quant_tile_size(s.bits, s.group));
}

static uint32_t load_word(const uint32_t *words, size_t i)
{
    uint32_t v;
    memcpy(&v, (const uint8_t *)words + i * sizeof v, sizeof v);
    return v;
}

void quant_pack_mlx(void *dst, struct quant_shape s, const uint32_t *words, const uint16_t *scales,
                    const uint16_t *biases, int row0, int row1)
{
    if (row0 >= row1)
        return;
    clear_rows(dst, s, row0, row1);
    int    per_word = 32 / s.bits;
    size_t n_word = (size_t)s.n_in / (size_t)per_word, n_group = (size_t)s.n_in / (size_t)s.group;
    for (int row = row0; row < row1; row++) {
        for (int col = 0; col < s.n_in; col++) {
            uint32_t word = load_word(words, (size_t)row * n_word + (size_t)(col / per_word));
            unsigned q = word >> col % per_word * s.bits & ((1u << s.bits) - 1);
            put_code(tile_at(dst, s, row, col), s.bits, row, col, q);
        }
        for (int col = 0; col < s.n_in; col += s.group) {
            uint8_t *tile = tile_at(dst, s, row, col);
            size_t   i = ((size_t)row * n_group + (size_t)(col / s.group)) * sizeof(uint16_t);
            memcpy(param_at(tile, s, row, col, 0), (const uint8_t *)scales + i, 2);
            memcpy(param_at(tile, s, row, col, 1), (const uint8_t *)biases + i, 2);
        }
    }
}

/* MLX's choice for one group: the edge of larger magnitude is met exactly, and zero is a code. */
static void choose_scale(float *scale, float *bias, const float *w, int n, float n_bin)
{
    float min = INFINITY, max = -INFINITY;
    for (int i = 0; i < n; i++) {
        max = w[i] > max ? w[i] : max;
        min = w[i] < min ? w[i] : min;
    }
    bool  is_min = fabsf(min) > fabsf(max);
    float edge = is_min ? min : max;
    *scale = fmaxf((max - min) / n_bin, SCALE_MIN);
    *scale = is_min ? *scale : -*scale;
    *bias = 0;
    float q0 = rintf(edge / *scale);
    if (q0 != 0) {
        *scale = edge / q0;
        *bias = edge;
    }
}

static void put_group(uint8_t *tile, struct quant_shape s, const float *w, int row, int col)
{
    float scale, bias, n_bin = (float)((1 << s.bits) - 1);
    choose_scale(&scale, &bias, w, s.group, n_bin);
    for (int i = 0; i < s.group; i++) {
        float q = rintf((w[i] - bias) / scale);
        q = q > 0 ? q : 0; /* a NaN too */
        put_code(tile, s.bits, row, col + i, (unsigned)(q < n_bin ? q : n_bin));
    }
    uint16_t param[2] = { bf16_of_float(scale), bf16_of_float(bias) };
    memcpy(param_at(tile, s, row, col, 0), &param[0], 2);
    memcpy(param_at(tile, s, row, col, 1), &param[1], 2);
}

void quant_pack_f32(void *dst, struct quant_shape s, const float *w, int row0, int row1)
{
    if (row0 >= row1)
        return;
    clear_rows(dst, s, row0, row1);
    for (int row = row0; row < row1; row++)
        for (int col = 0; col < s.n_in; col += s.group)
            put_group(tile_at(dst, s, row, col), s, w + (size_t)(row - row0) * (size_t)s.n_in + col,
                      row, col);
}

void quant_row(float *out, struct quant_shape s, const void *tiles, int row)
{
    check_shape(s);
    must(row >= 0 && row < s.n_out);
    for (int col = 0; col < s.n_in; col++) {
        uint8_t *tile = tile_at(tiles, s, row, col);
        float    scale = bf16_float(half_load(param_at(tile, s, row, col, 0)));
        float    bias = bf16_float(half_load(param_at(tile, s, row, col, 1)));
        out[col] = scale * (float)get_code(tile, s.bits, row, col) + bias;
    }
}
