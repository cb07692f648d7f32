/* SPDX-License-Identifier: MIT */
/* Weights that no file holds: noise of a model's true shape, to measure speed with. Matrices get
 * the variance 1 / n_in, so activations stay as large as they came. */
#include <math.h>
#include <string.h>

#include "model/weights_impl.h"

#define FLAT_STD 0.288675f /* of the uniform distribution on one unit: 1 / sqrt(12) */

/* A generator for each tensor and block of rows: the threads make the same numbers. */
static uint64_t seed_of(const char *name, int row0)
{
    uint64_t h = 14695981039346656036u;

    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 1099511628211u;
    return (h ^ (uint64_t)row0) * 0x9e3779b97f4a7c15u | 1;
}

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void fill_bytes(void *p, size_t size, uint64_t seed)
{
    uint8_t *at = p;

    for (; size >= 8; size -= 8, at += 8) {
        uint64_t r = next(&seed);
        memcpy(at, &r, 8);
    }
    for (; size > 0; size--)
        *at++ = (uint8_t)next(&seed);
}

static void fill_floats(float *p, size_t n, float std, uint64_t seed)
{
    float unit = std / FLAT_STD * 0x1p-32f;

    for (size_t i = 0; i < n; i++)
        p[i] = (float)(int32_t)(uint32_t)(next(&seed) >> 16) * unit;
}

static uint16_t bf16(float x)
{
    uint16_t y;

    kern.f32_to_bf16(&y, &x, 1);
    return y;
}

struct noise_job {
    const char        *name;
    struct quant_shape s;
    float              std;
    uint8_t           *data;
};

/* room holds the words, the scales and the biases of one block. */
static void fill_tiles(void *arg, int row0, int row1, void *room)
{
    const struct noise_job *job = arg;
    struct quant_shape      block = job->s;
    size_t    n_word = (size_t)block.n_in * (size_t)block.bits / 32, n = (size_t)(row1 - row0);
    size_t    n_scale = (size_t)(block.n_in / block.group);
    uint32_t *words = room;
    uint16_t *scales = (uint16_t *)(words + QUANT_ROWS * n_word);
    uint16_t *biases = scales + QUANT_ROWS * n_scale;
    float     n_code = (float)(1 << block.bits), scale = job->std / (FLAT_STD * n_code);
    size_t    tiles = (size_t)quant_n_tile(block) * quant_tile_size(block.bits, block.group);

    fill_bytes(words, 4 * n * n_word, seed_of(job->name, row0));
    for (size_t i = 0; i < n * n_scale; i++) {
        float some = scale * (0.8f + 0.1f * (float)(i % 5)); /* the mean of the squares is 1.02 */
        scales[i] = bf16(some);
        biases[i] = bf16(-some * (n_code - 1) / 2);
    }
    block.n_out = (int)n;
    quant_pack_mlx(job->data + (size_t)(row0 / QUANT_ROWS) * tiles, block, words, scales, biases, 0,
                   (int)n);
}

static void fill_bf16(void *arg, int row0, int row1, void *room)
{
    const struct noise_job *job = arg;
    size_t                  n_in = (size_t)job->s.n_in;
    uint64_t                seed = seed_of(job->name, row0);
    uint16_t               *out = (uint16_t *)(void *)job->data + (size_t)row0 * n_in;

    for (int r = row0; r < row1; r++, out += n_in) {
        fill_floats(room, n_in, job->std, next(&seed));
        kern.f32_to_bf16(out, room, (int)n_in);
    }
}

void weights_noise_matrix(struct weights *w, struct weight *out, const char *name, bool can_quant)
{
    struct noise_job job = { .name = name };
    bool             is_tiles = weights_quant_shape(w, &job.s, out->n_out, out->n_in) && can_quant;
    size_t           n_in = (size_t)out->n_in, n = (size_t)out->n_out * n_in;

    out->dtype = !is_tiles ? DT_BF16 : job.s.bits == 4 ? DT_Q4T : DT_Q8T;
    out->group = is_tiles ? job.s.group : 0;
    if (w->is_rehearsal)
        return;
    /* A row of floats, or the codes, scales and biases of a block. */
    size_t room = (QUANT_ROWS * 2 * n_in + 4 * n_in + 63) / 64 * 64;
    job.std = 1.0f / sqrtf((float)n_in);
    job.data = weights_take(w, is_tiles ? quant_size(job.s) : mem_size(n, 2), name);
    if (job.data &&
        weights_each_block(w, name, out->n_out, room, is_tiles ? fill_tiles : fill_bf16, &job))
        out->data = job.data;
}

/* Gains of norms and counts of codes are one, scales of layers and biases small. */
float *weights_noise_vector(struct weights *w, int n, const char *name)
{
    bool is_bias = bytes_str_ends_with(name, ".bias"),
         is_scale = bytes_str_ends_with(name, ".scale");

    if (w->is_rehearsal)
        return NULL;
    float *out = weights_take(w, (size_t)n * sizeof *out, name);
    for (int i = 0; out && i < n; i++)
        out[i] = is_scale ? 0.01f : 1;
    if (out && is_bias)
        fill_floats(out, (size_t)n, 0.01f, seed_of(name, 0));
    return out;
}

float *weights_noise_floats(struct weights *w, int n0, int n1, int n2, const char *name)
{
    size_t n_fan = (size_t)(n1 > 0 ? n1 : 1) * (size_t)(n2 > 0 ? n2 : 1);
    size_t n = (size_t)n0 * n_fan;

    if (w->is_rehearsal)
        return NULL;
    /* A transposed convolution [n_in, n_out, taps] adds up two taps of every input. */
    if (strstr(name, "convtr"))
        n_fan = n1 == 1 ? 2 : 2 * (size_t)n0;
    float *out = weights_take(w, mem_size(n, sizeof *out), name);
    if (out)
        fill_floats(out, n, 1.0f / sqrtf((float)n_fan), seed_of(name, 0));
    return out;
}
