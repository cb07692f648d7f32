/* SPDX-License-Identifier: MIT */
/* Tiles: packing, unpacking and quantising, against MLX's own numbers and a decoder of its
 * format written from the format's description. */
#include "kernel/quant.h"

#include <math.h>

#include "check.h"
#include "kernel/float_bits.h"
#include "model/safetensors.h"

#define GOLDEN "tests/kernel/mlx_quant.safetensors"

static uint32_t seed = 1;

static uint32_t next(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 7;
}

/* A random MLX triple. */
struct triple {
    struct quant_shape s;
    uint32_t           words[64 * 64];
    uint16_t           scales[64 * 8], biases[64 * 8];
};

static void fill(struct triple *t, int n_out, int n_in, int bits, int group)
{
    t->s = (struct quant_shape){ n_out, n_in, bits, group };
    for (int i = 0; i < n_out * n_in * bits / 32; i++)
        t->words[i] = next() << 8 ^ next();
    for (int i = 0; i < n_out * n_in / group; i++) {
        t->scales[i] = bf16_of_float((float)(int)(next() % 2001) * 1e-4f - 0.1f);
        t->biases[i] = bf16_of_float((float)(int)(next() % 2001) * 1e-3f - 1);
    }
}

/* Element k of a word of w bits holds column w_first + k, lowest bits first. */
static float decode(const struct triple *t, int row, int col)
{
    int      bit = (row * t->s.n_in + col) * t->s.bits;
    unsigned q = t->words[bit / 32] >> bit % 32 & ((1u << t->s.bits) - 1);
    int      g = (row * t->s.n_in + col) / t->s.group;
    return bf16_float(t->scales[g]) * (float)q + bf16_float(t->biases[g]);
}

static struct quant_shape shape_at(int i)
{
    static const int   n_outs[] = { 1, 15, 16, 17, 33, 48 }, n_ins[] = { 32, 64, 96, 160, 256 };
    struct quant_shape s = { n_outs[i % 6], n_ins[i / 6 % 5], i / 30 % 2 ? 8 : 4,
                             i / 60 ? 64 : 32 };
    if (s.n_in % s.group)
        s.group = 32;
    return s;
}

TEST(mlx_triples_come_back_from_tiles)
{
    static struct triple t;
    static float         row[256];
    for (int i = 0; i < 120; i++) {
        struct quant_shape s = shape_at(i);
        fill(&t, s.n_out, s.n_in, s.bits, s.group);
        uint8_t *tiles = malloc(quant_size(s));
        quant_pack_mlx(tiles, s, t.words, t.scales, t.biases, 0, s.n_out);
        for (int r = 0; r < s.n_out; r++) {
            quant_row(row, s, tiles, r);
            for (int c = 0; c < s.n_in; c++)
                CHECK(row[c] == decode(&t, r, c));
        }
        free(tiles);
    }
}

/* quant.h, to the byte: another reader of the layout would be written from it. */
TEST(tiles_lie_as_the_header_says)
{
    static struct triple t;
    for (int i = 0; i < 120; i++) {
        struct quant_shape s = shape_at(i);
        fill(&t, s.n_out, s.n_in, s.bits, s.group);
        size_t   size = quant_size(s), tile_size = quant_tile_size(s.bits, s.group);
        uint8_t *tiles = malloc(size);
        CHECK_INT(tile_size, 16 * 64 * s.bits / 8 + 64 / s.group * 16 * 2 * 2);
        CHECK_INT(quant_n_tile(s), (s.n_in + 63) / 64);
        CHECK_INT(size, (size_t)(s.n_out + 15) / 16 * (size_t)quant_n_tile(s) * tile_size);
        quant_pack_mlx(tiles, s, t.words, t.scales, t.biases, 0, s.n_out);
        for (int r = 0; r < (s.n_out + 15) / 16 * 16; r++)
            for (int c = 0; c < quant_n_tile(s) * 64; c++) {
                const uint8_t *p = tiles + (size_t)(r / 16 * quant_n_tile(s) + c / 64) * tile_size;
                const uint8_t *scales = p + 16 * 64 * s.bits / 8;
                int            lane = r % 16, col = c % 64, g = col / s.group;
                int            at = s.bits == 8 ? col / 4 * 64 + lane * 4 + col % 4
                                                : col / 8 * 64 + lane * 4 + col % 8 / 2;
                unsigned       q = s.bits == 8 ? p[at] : p[at] >> col % 2 * 4 & 15;
                float          scale = bf16_float(half_load(scales + 2 * (g * 16 + lane)));
                float bias = bf16_float(half_load(scales + 2 * ((64 / s.group + g) * 16 + lane)));
                float want = r < s.n_out && c < s.n_in ? decode(&t, r, c) : 0;
                CHECK(scale * (float)q + bias == want);
                CHECK(want != 0 || r < s.n_out || q == 0);
            }
        free(tiles);
    }
}

TEST(row_blocks_may_be_packed_one_by_one)
{
    static struct triple t;
    struct quant_shape   s = { 41, 160, 4, 32 };
    fill(&t, 41, 160, 4, 32);
    size_t   size = quant_size(s);
    uint8_t *a = malloc(size), *b = malloc(size);
    memset(b, 0x55, size);
    quant_pack_mlx(a, s, t.words, t.scales, t.biases, 0, 41);
    for (int r = 32; r >= 0; r -= 16)
        quant_pack_mlx(b, s, t.words, t.scales, t.biases, r, r + 16 < 41 ? r + 16 : 41);
    CHECK(memcmp(a, b, size) == 0);
    free(a);
    free(b);
}

static const void *golden(struct safetensors *f, int bits, int group, const char *part)
{
    char name[32];
    snprintf(name, sizeof name, "q%dg%d.%s", bits, group, part);
    const struct safetensors_entry *e = safetensors_find(f, name);
    CHECK(e);
    return e->data;
}

/* The same bytes whether MLX's triple is packed or the matrix is quantised here. */
TEST(quantising_gives_the_bits_of_mlx)
{
    static float        w[24 * 192];
    struct safetensors *f;
    CHECK_STR(safetensors_open(&f, GOLDEN) ? err_text(OK) : "", "");
    const struct safetensors_entry *e = safetensors_find(f, "w");
    CHECK(e && e->dtype == DT_BF16 && e->n[0] == 24 && e->n[1] == 192);
    for (int i = 0; i < 24 * 192; i++)
        w[i] = bf16_float(half_load((const uint8_t *)e->data + 2 * i));
    for (int i = 0; i < 4; i++) {
        struct quant_shape s = { 24, 192, i & 1 ? 8 : 4, i & 2 ? 64 : 32 };
        size_t             size = quant_size(s);
        uint8_t           *a = malloc(size), *b = malloc(size);
        quant_pack_mlx(a, s, golden(f, s.bits, s.group, "weight"),
                       golden(f, s.bits, s.group, "scales"), golden(f, s.bits, s.group, "biases"),
                       0, 24);
        quant_pack_f32(b, s, w, 0, 16);
        quant_pack_f32(b, s, w + 16 * 192, 16, 24);
        CHECK(memcmp(a, b, size) == 0);
        free(a);
        free(b);
    }
    safetensors_close(&f);
}

/* MLX moves the scale so that zero is a code: the far end may be cut by up to a step. */
TEST(quantised_rows_stay_near)
{
    static float w[33 * 128], row[128];
    for (int i = 0; i < 33 * 128; i++)
        w[i] = (float)(int)(next() % 20001) * 1e-4f - 1;
    for (int i = 0; i < 4; i++) {
        struct quant_shape s = { 33, 128, i & 1 ? 8 : 4, i & 2 ? 64 : 32 };
        uint8_t           *tiles = malloc(quant_size(s));
        float              step = 2.0f / (float)((1 << s.bits) - 1);
        quant_pack_f32(tiles, s, w, 0, 33);
        for (int r = 0; r < 33; r++) {
            quant_row(row, s, tiles, r);
            for (int c = 0; c < 128; c++)
                CHECK(fabsf(row[c] - w[r * 128 + c]) <= step + 2 * 0x1p-8f);
        }
        free(tiles);
    }
}

TEST(numbers_that_are_none_do_no_harm)
{
    struct quant_shape s = { 16, 64, 4, 64 };
    static float       w[16 * 64], row[64];
    w[3] = NAN;
    w[64] = INFINITY;
    w[128] = -INFINITY;
    w[129] = INFINITY;
    uint8_t *tiles = malloc(quant_size(s));
    quant_pack_f32(tiles, s, w, 0, 16);
    quant_row(row, s, tiles, 15);
    for (int c = 0; c < 64; c++)
        CHECK(row[c] == 0);
    free(tiles);
}
