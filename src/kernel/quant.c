/* SPDX-License-Identifier: MIT */
#include "kernel/quant.h"

#include <string.h>

#include "base/err.h"
#include "kernel/float_bits.h"
#include "kernel/kern.h"

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

/* The scale (which 0) or bias (which 1) of a row's group, as an address in its tile. */
static uint8_t *param_at(uint8_t *tile, struct quant_shape s, int row, int col, int which)
{
    int n_group = QUANT_COLS / s.group;
    int i = (which * n_group + col % QUANT_COLS / s.group) * QUANT_ROWS + row % QUANT_ROWS;
    return tile + scales_at(s.bits) + (size_t)i * sizeof(uint16_t);
}

/* Rows to be packed. Zeroes their blocks where there is padding: q = scale = bias = 0. */
static void begin_rows(void *dst, struct quant_shape s, int row0, int row1)
{
    check_shape(s);
    must(row0 % QUANT_ROWS == 0 && (row1 % QUANT_ROWS == 0 || row1 == s.n_out));
    must(row0 >= 0 && row0 <= row1 && row1 <= s.n_out && s.n_in % s.group == 0);
    size_t n_block = (size_t)(row1 - row0 + QUANT_ROWS - 1) / QUANT_ROWS;
    if ((row1 - row0) % QUANT_ROWS != 0 || s.n_in % QUANT_COLS != 0)
        memset(tile_at(dst, s, row0, 0), 0,
               n_block * (size_t)quant_n_tile(s) * quant_tile_size(s.bits, s.group));
}

/* The rows of one block in one tile, as MLX has them: words, scales and biases. A word is what a
 * lane of a line is: the same columns in the same bits. */
struct tile_rows {
    const uint8_t *words, *scales, *biases;
    size_t         word_stride, param_stride; /* from row to row, bytes */
    int            n_row, n_word, n_group;
};

static void put_tile(uint8_t *tile, struct quant_shape s, const struct tile_rows *t)
{
    uint8_t *scales = tile + scales_at(s.bits);
    uint8_t *biases = scales + (size_t)(QUANT_COLS / s.group) * QUANT_ROWS * sizeof(uint16_t);

    for (int r = 0; r < t->n_row; r++) {
        const uint8_t *from = t->words + (size_t)r * t->word_stride;
        uint8_t       *to = tile + (size_t)r * 4;
        for (int i = 0; i < t->n_word; i++, from += 4, to += 4 * QUANT_ROWS)
            memcpy(to, from, 4);
        for (int g = 0; g < t->n_group; g++) {
            size_t at = (size_t)(g * QUANT_ROWS + r) * 2, in = (size_t)r * t->param_stride;
            memcpy(scales + at, t->scales + in + 2 * (size_t)g, 2);
            memcpy(biases + at, t->biases + in + 2 * (size_t)g, 2);
        }
    }
}

/* Columns of a tile that a matrix of n_in has from col on. */
static int cols_at(int n_in, int col)
{
    return n_in - col < QUANT_COLS ? n_in - col : QUANT_COLS;
}

void quant_pack_mlx(void *dst, struct quant_shape s, const uint32_t *words, const uint16_t *scales,
                    const uint16_t *biases, int row0, int row1)
{
    struct tile_rows t = { .word_stride = (size_t)s.n_in * (size_t)s.bits / 8,
                           .param_stride = (size_t)(s.n_in / s.group) * 2 };

    if (row0 >= row1)
        return;
    begin_rows(dst, s, row0, row1);
    for (int row = row0; row < row1; row += QUANT_ROWS) {
        t.n_row = row1 - row < QUANT_ROWS ? row1 - row : QUANT_ROWS;
        for (int col = 0; col < s.n_in; col += QUANT_COLS) {
            size_t param = (size_t)row * t.param_stride + (size_t)(col / s.group) * 2;
            t.n_word = cols_at(s.n_in, col) * s.bits / 32;
            t.n_group = cols_at(s.n_in, col) / s.group;
            t.words = (const uint8_t *)words + (size_t)row * t.word_stride +
                      (size_t)col * (size_t)s.bits / 8;
            t.scales = (const uint8_t *)scales + param;
            t.biases = (const uint8_t *)biases + param;
            put_tile(tile_at(dst, s, row, col), s, &t);
        }
    }
}

/* Columns that are quantised in one go: their codes stay in the first cache. */
enum { CHUNK = 8 * QUANT_COLS, CHUNK_GROUPS = CHUNK / 32 };

/* What becomes of a chunk of one block of rows: MLX words, scales and biases. */
struct chunk {
    uint8_t  words[QUANT_ROWS][CHUNK];
    uint16_t scales[QUANT_ROWS][CHUNK_GROUPS], biases[QUANT_ROWS][CHUNK_GROUPS];
};

/* Two codes a byte, in place: eight codes become four bytes. */
static void join_codes(uint8_t *p, int n)
{
    for (int i = 0; i < n; i += 8) {
        uint64_t x;
        uint32_t word;
        memcpy(&x, p + i, sizeof x);
        x = (x | x >> 4) & 0x00ff00ff00ff00ff;
        x = (x | x >> 8) & 0x0000ffff0000ffff;
        word = (uint32_t)(x | x >> 16);
        memcpy(p + i / 2, &word, sizeof word);
    }
}

static void quantise_row(struct chunk *c, struct quant_shape s, int r, const float *w, int n)
{
    float scale[CHUNK_GROUPS], bias[CHUNK_GROUPS];
    int   n_group = n / s.group;

    kern.quantise_f32(c->words[r], scale, bias, w, n_group, s.group, (1 << s.bits) - 1);
    if (s.bits == 4)
        join_codes(c->words[r], n);
    kern.f32_to_bf16(c->scales[r], scale, n_group);
    kern.f32_to_bf16(c->biases[r], bias, n_group);
}

/* Columns col .. col+n-1 of the n_row rows from row on. */
static void put_chunk(void *dst, struct quant_shape s, const struct chunk *c, int row, int n_row,
                      int col, int n)
{
    struct tile_rows t = { .word_stride = sizeof c->words[0],
                           .param_stride = sizeof c->scales[0],
                           .n_row = n_row };

    for (int at = 0; at < n; at += QUANT_COLS) {
        t.words = c->words[0] + at * s.bits / 8;
        t.scales = (const uint8_t *)&c->scales[0][at / s.group];
        t.biases = (const uint8_t *)&c->biases[0][at / s.group];
        t.n_word = cols_at(n, at) * s.bits / 32;
        t.n_group = cols_at(n, at) / s.group;
        put_tile(tile_at(dst, s, row, col + at), s, &t);
    }
}

void quant_pack_f32(void *dst, struct quant_shape s, const float *w, int row0, int row1)
{
    struct chunk c;
    size_t       n_in = (size_t)s.n_in;

    if (row0 >= row1)
        return;
    begin_rows(dst, s, row0, row1);
    for (int row = row0; row < row1; row += QUANT_ROWS) {
        int n_row = row1 - row < QUANT_ROWS ? row1 - row : QUANT_ROWS;
        for (int col = 0; col < s.n_in; col += CHUNK) {
            int n = s.n_in - col < CHUNK ? s.n_in - col : CHUNK;
            for (int r = 0; r < n_row; r++)
                quantise_row(&c, s, r, w + (size_t)(row - row0 + r) * n_in + col, n);
            put_chunk(dst, s, &c, row, n_row, col, n);
        }
    }
}

void quant_row(float *out, struct quant_shape s, const void *tiles, int row)
{
    int      n_code = 32 / s.bits; /* of a lane, which never crosses a group */
    uint32_t mask = (1u << s.bits) - 1, word;
    check_shape(s);
    must(row >= 0 && row < s.n_out);
    for (int col = 0; col < s.n_in; col += n_code) {
        uint8_t *tile = tile_at(tiles, s, row, col);
        float    scale = bf16_float(half_load(param_at(tile, s, row, col, 0)));
        float    bias = bf16_float(half_load(param_at(tile, s, row, col, 1)));
        memcpy(&word, tile + code_at(s.bits, row, col), sizeof word);
        for (int i = 0; i < n_code && col + i < s.n_in; i++, word >>= s.bits)
            out[col + i] = scale * (float)(word & mask) + bias;
    }
}

static size_t x_cols(int n_in)
{
    return ((size_t)n_in + QUANT_COLS - 1) / QUANT_COLS * QUANT_COLS;
}

size_t quant_x_size(int n_in)
{
    size_t n = x_cols(n_in), size = n + 3 * (n / QUANT_COLS) * sizeof(float);
    return (size + 63) / 64 * 64;
}

void quant_x_init(struct quant_x *x, void *memory, int n_in)
{
    size_t n = x_cols(n_in);
    x->q = memory;
    x->scale = (float *)(void *)((uint8_t *)memory + n);
    x->sum = x->scale + n / QUANT_COLS;
}
