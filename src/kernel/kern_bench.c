/* SPDX-License-Identifier: MIT */
#include "kernel/kern_bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "kernel/isas.h"

#define POOL_SIZE  ((size_t)128 << 20)
#define MAX_VEC    1920
#define MAX_DIM    4096
#define MAX_SAMPLE 4096
#define MAX_I8     8 /* quantised vectors */

struct bench {
    const struct kern_bench_ear *ear;
    const struct kern           *k;
    uint8_t                     *pool;     /* weights; any bytes are numbers, none of them large */
    size_t                       at;       /* where the next cold call reads */
    float                       *in, *out; /* [MAX_VEC, MAX_DIM] */
    const float                 *x[MAX_VEC];
    float                       *y[MAX_VEC];
    struct quant_x               x_i8[MAX_I8];
    uint8_t                     *in_i8;
    int64_t                      sample[MAX_SAMPLE];
};

/* n_row, n_in, n_vec mean what the kernel makes of them. */
struct item {
    const char *kernel, *shape;
    int         n_row, n_in, n_vec;
    bool        is_cold;
    void (*run)(struct bench *b, const struct item *i);
    double bits, flop; /* of a weight; of a weight and vector */
};

/* The matrix of this call: the first, or the next one of the pool. */
static const void *weights(struct bench *b, const struct item *i)
{
    size_t size = (size_t)((double)i->n_row * i->n_in * i->bits / 8);
    if (!i->is_cold)
        return b->pool;
    if (b->at + size > POOL_SIZE)
        b->at = 0;
    const void *w = b->pool + b->at;
    b->at += (size + 63) / 64 * 64;
    return w;
}

static void run_f32(struct bench *b, const struct item *i)
{
    b->k->linear_f32(b->y, b->x, i->n_vec, weights(b, i), i->n_in, 0, i->n_row);
}

static void run_bf16(struct bench *b, const struct item *i)
{
    b->k->linear_bf16(b->y, b->x, i->n_vec, weights(b, i), i->n_in, 0, i->n_row);
}

static void run_f16(struct bench *b, const struct item *i)
{
    b->k->linear_f16(b->y, b->x, i->n_vec, weights(b, i), i->n_in, 0, i->n_row);
}

static void run_q8t(struct bench *b, const struct item *i)
{
    struct quant_shape s = { i->n_row, i->n_in, 8, 64 };
    b->k->linear_q8t(b->y, b->x, i->n_vec, weights(b, i), s, 0, i->n_row);
}

static void run_q4t(struct bench *b, const struct item *i)
{
    struct quant_shape s = { i->n_row, i->n_in, 4, 32 };
    b->k->linear_q4t(b->y, b->x, i->n_vec, weights(b, i), s, 0, i->n_row);
}

static void run_q8t_i8(struct bench *b, const struct item *i)
{
    struct quant_shape s = { i->n_row, i->n_in, 8, 64 };
    b->k->linear_q8t_i8(b->y, b->x_i8, i->n_vec, weights(b, i), s, 0, i->n_row);
}

static void run_q4t_i8(struct bench *b, const struct item *i)
{
    struct quant_shape s = { i->n_row, i->n_in, 4, 64 };
    b->k->linear_q4t_i8(b->y, b->x_i8, i->n_vec, weights(b, i), s, 0, i->n_row);
}

static struct panel_job panel_of(struct bench *b, const struct item *i, enum dtype dtype)
{
    return (struct panel_job){
        .x = b->x, .n_vec = i->n_vec, .w = { dtype, i->n_row, i->n_in, weights(b, i) }, .y = b->out
    };
}

static void run_panel_f32(struct bench *b, const struct item *i)
{
    struct panel_job j = panel_of(b, i, DT_F32);
    b->k->panel_f32(&j, 0, panel_count(i->n_row));
}

static void run_panel_bf16(struct bench *b, const struct item *i)
{
    struct panel_job j = panel_of(b, i, DT_BF16);
    b->k->panel_bf16(&j, 0, panel_count(i->n_row));
}

static void run_panel_bf16_bf16(struct bench *b, const struct item *i)
{
    struct panel_job j = panel_of(b, i, DT_BF16);
    b->k->panel_bf16_bf16(&j, 0, panel_count(i->n_row));
}

static void run_quantise_x(struct bench *b, const struct item *i)
{
    b->k->quantise_x(&b->x_i8[0], b->in, i->n_in, 4);
}

static void run_dot(struct bench *b, const struct item *i)
{
    b->out[0] = b->k->dot_f32(b->in, b->in + MAX_DIM, i->n_in);
}

static void run_rms_norm(struct bench *b, const struct item *i)
{
    b->k->rms_norm_f32(b->out, b->in, b->in + MAX_DIM, i->n_in, 1e-8f);
}

static void run_layer_norm(struct bench *b, const struct item *i)
{
    b->k->layer_norm_f32(b->out, b->in, b->in, b->in, i->n_in, 1e-5f);
}

static void run_softmax(struct bench *b, const struct item *i)
{
    b->k->softmax_f32(b->out, i->n_in); /* of its own result: as many numbers as ever */
}

static void run_silu(struct bench *b, const struct item *i)
{
    b->k->glu_f32(b->out, b->in, b->in + MAX_DIM, i->n_in, ACT_SILU);
}

static void run_gelu(struct bench *b, const struct item *i)
{
    b->k->act_f32(b->out, b->in, i->n_in, ACT_GELU);
}

static void run_elu(struct bench *b, const struct item *i)
{
    b->k->act_f32(b->out, b->in, i->n_in, ACT_ELU);
}

static void run_rope(struct bench *b, const struct item *i)
{
    b->k->rope_f32(b->out, b->in, b->in + MAX_DIM, i->n_in / 2, true);
}

static void run_attend(struct bench *b, const struct item *i)
{
    float *score = b->out + MAX_DIM;
    b->k->attend_f32(b->out, score, b->in, b->in, b->in, i->n_row, 0, i->n_row, i->n_in, i->n_in,
                     0.1f);
}

static void run_argmax(struct bench *b, const struct item *i)
{
    b->out[0] = (float)b->k->argmax_f32(b->in, i->n_in);
}

static void run_nearest(struct bench *b, const struct item *i)
{
    b->out[0] = (float)b->k->nearest_f32(b->in, b->in, i->n_row, i->n_in);
}

static void run_quantise(struct bench *b, const struct item *i)
{
    uint8_t *codes = (uint8_t *)(b->out + 2 * MAX_DIM);
    b->k->quantise_f32(codes, b->out, b->out + MAX_DIM, b->in, i->n_in / 32, 32, 15);
}

static const struct item items[] = {
    { "linear_f32", "256x256, 1 vector", 256, 256, 1, false, run_f32, 32, 2 },
    { "linear_f32", "64x448, 1920 vectors", 64, 448, 1920, false, run_f32, 32, 2 },
    { "linear_f32", "512x512, 8 vectors", 512, 512, 8, false, run_f32, 32, 2 },
    { "linear_bf16", "4096x4096, 1 vector, cold", 4096, 4096, 1, true, run_bf16, 16, 2 },
    { "linear_bf16", "4096x4096, 8 vectors, cold", 4096, 4096, 8, true, run_bf16, 16, 2 },
    { "linear_f16", "4096x4096, 1 vector, cold", 4096, 4096, 1, true, run_f16, 16, 2 },
    { "linear_q8t", "4096x4096, 1 vector, cold", 4096, 4096, 1, true, run_q8t, 8.5, 2 },
    { "linear_q8t", "4096x4096, 8 vectors, cold", 4096, 4096, 8, true, run_q8t, 8.5, 2 },
    { "linear_q4t", "4096x4096, 1 vector, cold", 4096, 4096, 1, true, run_q4t, 5, 2 },
    { "linear_q4t", "4096x4096, 8 vectors, cold", 4096, 4096, 8, true, run_q4t, 5, 2 },
    { "linear_q8t_i8", "4096x4096, 1 vector, cold", 4096, 4096, 1, true, run_q8t_i8, 8.5, 2 },
    { "linear_q8t_i8", "4096x4096, 8 vectors, cold", 4096, 4096, 8, true, run_q8t_i8, 8.5, 2 },
    { "linear_q4t_i8", "4096x4096, 1 vector, cold", 4096, 4096, 1, true, run_q4t_i8, 4.5, 2 },
    { "linear_q4t_i8", "4096x4096, 8 vectors, cold", 4096, 4096, 8, true, run_q4t_i8, 4.5, 2 },
    { "panel_f32", "64x448, 1920 vectors", 64, 448, 1920, false, run_panel_f32, 32, 2 },
    { "panel_bf16", "64x448, 1920 vectors", 64, 448, 1920, false, run_panel_bf16, 16, 2 },
    { "panel_bf16_bf16", "64x448, 1920 vectors", 64, 448, 1920, false, run_panel_bf16_bf16, 16, 2 },
    { "panel_bf16", "2048x512, 2 vectors, cold", 2048, 512, 2, true, run_panel_bf16, 16, 2 },
    { "quantise_x", "4096", 1, 4096, 1, false, run_quantise_x, 40, 0 },
    { "dot_f32", "4096", 1, 4096, 1, false, run_dot, 64, 2 },
    { "rms_norm_f32", "4096", 1, 4096, 1, false, run_rms_norm, 96, 4 },
    { "layer_norm_f32", "512", 1, 512, 1, false, run_layer_norm, 128, 6 },
    { "softmax_f32", "3000", 1, 3000, 1, false, run_softmax, 64, 0 },
    { "glu_f32", "silu, 4096", 1, 4096, 1, false, run_silu, 96, 0 },
    { "act_f32", "gelu, 4096", 1, 4096, 1, false, run_gelu, 64, 0 },
    { "act_f32", "elu, 4096", 1, 4096, 1, false, run_elu, 64, 0 },
    { "rope_f32", "32 heads of 128", 1, 4096, 1, false, run_rope, 96, 3 },
    { "attend_f32", "750 keys of 128", 750, 128, 1, false, run_attend, 64, 4 },
    { "argmax_f32", "4096", 1, 4096, 1, false, run_argmax, 32, 0 },
    { "nearest_f32", "2048 rows of 256", 2048, 256, 1, false, run_nearest, 32, 3 },
    { "quantise_f32", "4096 in groups of 32", 1, 4096, 1, false, run_quantise, 32, 0 },
};

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Inputs and outputs one after the other, as activations lie. */
static void place_rows(struct bench *b, const struct item *i)
{
    for (int m = 0; m < i->n_vec; m++) {
        b->x[m] = b->in + (size_t)m * (size_t)i->n_in;
        b->y[m] = b->out + (size_t)m * (size_t)i->n_row;
    }
}

static bool is_cancelled(const struct bench *b)
{
    return b->ear->is_cancelled(b->ear->arg);
}

/* The median and the best of as many calls as fit into the time, three at least. */
static double median_ns(double *best, struct bench *b, const struct item *i, int ms)
{
    int     n = 0, n_inner = 1;
    int64_t start_ns = os_now_ns(), end_ns = start_ns + ms * 1000000ll;
    place_rows(b, i);
    i->run(b, i);
    int64_t once_ns = os_now_ns() - start_ns;
    if (once_ns < 20000) /* the clock shows tens of nanoseconds */
        n_inner = (int)(20000 / (once_ns > 50 ? once_ns : 50));
    while (n == 0 || (n < MAX_SAMPLE && (n < 3 || os_now_ns() < end_ns) && !is_cancelled(b))) {
        int64_t t0_ns = os_now_ns();
        for (int j = 0; j < n_inner; j++)
            i->run(b, i);
        b->sample[n++] = os_now_ns() - t0_ns;
    }
    qsort(b->sample, (size_t)n, sizeof *b->sample, compare);
    *best = (double)b->sample[0] / n_inner;
    return (double)b->sample[n / 2] / n_inner;
}

/* Bytes that are small numbers as f32, bf16, f16 and as the scales of tiles. */
static void fill(struct bench *b)
{
    uint32_t seed = 1;
    for (size_t i = 0; i < POOL_SIZE; i += 4) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t word = (seed & 0x80ff80ffu) | 0x3c003c00u;
        memcpy(b->pool + i, &word, 4);
    }
    for (size_t i = 0; i < (size_t)MAX_VEC * MAX_DIM; i++) {
        seed = seed * 1664525u + 1013904223u;
        b->in[i] = (float)(int32_t)seed * 0x1p-31f;
        b->out[i] = 0;
    }
    for (int m = 0; m < MAX_I8; m++) {
        quant_x_init(&b->x_i8[m], b->in_i8 + (size_t)m * quant_x_size(MAX_DIM), MAX_DIM);
        isa_c.quantise_x(&b->x_i8[m], b->in + m, MAX_DIM, 4);
    }
}

/* Every kernel of one table. */
static enum err measure(struct bench *b, int ms_each)
{
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        const struct item    *item = &items[i];
        double                n = (double)item->n_row * item->n_in;
        struct kern_bench_row row = { .isa = b->k->name,
                                      .kernel = item->kernel,
                                      .shape = item->shape };
        row.ns = median_ns(&row.best_ns, b, item, ms_each);
        row.gb_s = n * item->bits / 8 / row.best_ns;
        row.gflop_s = n * item->n_vec * item->flop / row.best_ns;
        if (is_cancelled(b))
            return err_set(ERR_INTERRUPTED, "interrupted");
        b->ear->on_row(b->ear->arg, &row);
    }
    return OK;
}

enum err kern_bench(const struct kern_bench_ear *ear, int ms_each)
{
    struct bench *b = mem_zalloc(sizeof *b);
    enum err      err = OK;
    if (b) {
        b->ear = ear;
        b->pool = mem_alloc(POOL_SIZE);
        b->in = mem_alloc((size_t)MAX_VEC * MAX_DIM * sizeof *b->in);
        b->out = mem_alloc((size_t)MAX_VEC * MAX_DIM * sizeof *b->out);
        b->in_i8 = mem_alloc(MAX_I8 * quant_x_size(MAX_DIM));
    }
    if (!b || !b->pool || !b->in || !b->out || !b->in_i8) {
        err = err_set(ERR_NOMEM, "out of memory: measuring kernels needs 200 MiB");
        goto out;
    }
    fill(b);
    os_flush_denormals();
    for (int t = 0; isas[t].kern && !err; t++) {
        struct kern k;
        if (isas[t].needs & ~cpu_features())
            continue;
        isas_overlay(&k, t);
        b->k = &k;
        err = measure(b, ms_each);
    }
out:
    if (b) {
        mem_free(b->pool);
        mem_free(b->in);
        mem_free(b->out);
        mem_free(b->in_i8);
        mem_free(b);
    }
    return err;
}
