/* SPDX-License-Identifier: MIT */
#include "kernel/kern_reach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "kernel/isas.h"

#define POOL_SIZE  ((size_t)1 << 30)
#define SWEEP_SIZE ((size_t)192 << 20) /* read in one turn */
#define MAX_VEC    256
#define MAX_IN     4096
#define MAX_OUT    11264
#define MAX_SAMPLE 512
#define LINE       64
#define PAGE       4096
#define TURNS_MIN  9
#define PEAK_STEPS 2000000

typedef uint64_t line_part __attribute__((vector_size(16)));

/* One way of reading: streams in each thread's part, bytes asked for ahead, for which cache. */
struct way {
    int n_stream, ahead, hint;
};

struct reach {
    const struct kern_reach_threads *threads;
    const struct kern_reach_ear     *ear;
    int                              ms_each;

    struct peak     peak;
    void           *memory;
    uint8_t        *pool; /* in it, where a page begins: so files are mapped */
    size_t          at;   /* where the next turn reads */
    struct way      way;
    double          ratio[MAX_SAMPLE], ns[MAX_SAMPLE], rate[MAX_SAMPLE];
    float          *in, *out;
    uint16_t       *in_bf16;
    void           *pairs; /* the vectors of a product, packed */
    uint8_t        *in_i8;
    const float    *x[MAX_VEC];
    const uint16_t *x_bf16[MAX_VEC];
    struct quant_x  x_i8[MAX_VEC];
    float          *y[MAX_VEC];
};

/* --- reading -------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) line_part read_streams(const uint8_t *p, size_t step,
                                                                    int n_stream, size_t ahead,
                                                                    int hint)
{
    line_part sum[2] = { { 0 } };
    for (size_t at = 0; at < step; at += LINE)
        for (int s = 0; s < n_stream; s++) {
            const uint8_t *line = p + (size_t)s * step + at;
            line_part      v[LINE / sizeof(line_part)];
            if (ahead && hint)
                __builtin_prefetch(line + ahead, 0, 0);
            else if (ahead)
                __builtin_prefetch(line + ahead, 0, 3);
            memcpy(v, line, sizeof v);
            sum[0] ^= v[0] ^ v[1];
            sum[1] ^= v[2] ^ v[3];
        }
    return sum[0] ^ sum[1];
}

struct reading {
    const uint8_t *p;
    size_t         size;
    struct way     way;
    line_part      sum; /* of nobody's interest */
};

static void read_slice(void *arg, int i, int n)
{
    struct reading *r = arg;
    size_t          part = r->size / (size_t)n / LINE * LINE, ahead = (size_t)r->way.ahead;
    const uint8_t  *p = r->p + (size_t)i * part;
    size_t          step = part / (size_t)r->way.n_stream / LINE * LINE;
    line_part       sum;
    switch (r->way.n_stream * 2 + r->way.hint) {
    case 2: sum = read_streams(p, step, 1, ahead, 0); break;
    case 3: sum = read_streams(p, step, 1, ahead, 1); break;
    case 4: sum = read_streams(p, step, 2, ahead, 0); break;
    case 5: sum = read_streams(p, step, 2, ahead, 1); break;
    case 8: sum = read_streams(p, step, 4, ahead, 0); break;
    case 9: sum = read_streams(p, step, 4, ahead, 1); break;
    case 16: sum = read_streams(p, step, 8, ahead, 0); break;
    default: sum = read_streams(p, step, 8, ahead, 1); break;
    }
    __asm__ volatile("" : : "m"(sum));
}

static void run(const struct reach *b, void (*fn)(void *arg, int i, int n), void *arg)
{
    b->threads->run(b->threads->threads, fn, arg);
}

/* GB/s of reading size bytes once. */
static double read_once(const struct reach *b, const uint8_t *p, size_t size, struct way way)
{
    struct reading r = { .p = p, .size = size, .way = way };
    int64_t        t0_ns = os_now_ns();
    run(b, read_slice, &r);
    return (double)size / (double)(os_now_ns() - t0_ns);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, compare);
    return v[n / 2];
}

static uint8_t *next_sweep(struct reach *b, size_t size)
{
    if (b->at + size > POOL_SIZE)
        b->at = 0;
    uint8_t *p = b->pool + b->at;
    b->at += size;
    return p;
}

static bool is_cancelled(const struct reach *b)
{
    return b->ear->is_cancelled(b->ear->arg);
}

static void tell(const struct reach *b, const struct kern_reach_row *row)
{
    if (!is_cancelled(b))
        b->ear->on_row(b->ear->arg, row);
}

static void find_way(struct reach *b)
{
    static const int aheads[] = { 0, 448, 1024, 2048 };
    char             text[64];
    double           best = 0;
    for (int i = 0; i < 4 * 4 * 2 && !is_cancelled(b); i++) {
        struct way way = { 1 << i % 4, aheads[i / 4 % 4], i / 16 };
        if (way.hint && !way.ahead)
            continue;
        for (int turn = 0; turn < 5; turn++)
            b->rate[turn] = read_once(b, next_sweep(b, SWEEP_SIZE), SWEEP_SIZE, way);
        double rate = median(b->rate, 5);
        if (rate > best)
            b->way = way;
        best = rate > best ? rate : best;
    }
    snprintf(text, sizeof text, "%d streams, %d bytes ahead%s", b->way.n_stream, b->way.ahead,
             b->way.hint ? ", not to stay" : "");
    struct kern_reach_row row = { .kind = REACH_READ,
                                  .kernel = "read",
                                  .shape = text,
                                  .n_thread = b->threads->n,
                                  .ns = (double)SWEEP_SIZE / best,
                                  .gb_s = best };
    tell(b, &row);
}

/* --- peaks ---------------------------------------------------------------------------------- */

struct peak_job {
    int64_t (*fn)(int n);
    int64_t n_op[256];
};

static void peak_slice(void *arg, int i, int n)
{
    struct peak_job *j = arg;
    j->n_op[i % 256] = j->fn(PEAK_STEPS);
}

static double find_peak(struct reach *b, int64_t (*fn)(int n), const char *what)
{
    struct peak_job job = { .fn = fn };
    if (!fn || is_cancelled(b))
        return 0;
    for (int i = 0; i < TURNS_MIN; i++) {
        int64_t t0_ns = os_now_ns();
        run(b, peak_slice, &job);
        b->rate[i] = (double)job.n_op[0] * b->threads->n / (double)(os_now_ns() - t0_ns);
    }
    double                rate = median(b->rate, TURNS_MIN);
    struct kern_reach_row row = { .kind = REACH_PEAK,
                                  .kernel = "peak",
                                  .shape = what,
                                  .n_thread = b->threads->n,
                                  .gflop_s = rate };
    tell(b, &row);
    return rate;
}

/* --- products ------------------------------------------------------------------------------- */

struct item {
    const char *kernel;
    double      bits; /* of a weight */
    void (*run)(const struct reach *b, const struct item *i, const void *w, int row0, int row1);
    int n_out, n_in, n_vec;
};

static void run_bf16(const struct reach *b, const struct item *i, const void *w, int row0, int row1)
{
    kern.linear_bf16(b->y, b->x, i->n_vec, w, i->n_in, row0, row1);
}

static void run_bf16_bf16(const struct reach *b, const struct item *i, const void *w, int row0,
                          int row1)
{
    struct kern_bf16 x = { b->x_bf16, b->pairs, 0, i->n_vec };
    kern.linear_bf16_bf16(b->y, x, i->n_vec, w, i->n_in, row0, row1);
}

static struct quant_shape shape_of(const struct item *i, int bits)
{
    return (struct quant_shape){ i->n_out, i->n_in, bits, 64 };
}

static void run_q8(const struct reach *b, const struct item *i, const void *w, int row0, int row1)
{
    kern.linear_q8t(b->y, b->x, i->n_vec, w, shape_of(i, 8), row0, row1);
}

static void run_q4(const struct reach *b, const struct item *i, const void *w, int row0, int row1)
{
    kern.linear_q4t(b->y, b->x, i->n_vec, w, shape_of(i, 4), row0, row1);
}

static void run_q8_i8(const struct reach *b, const struct item *i, const void *w, int row0,
                      int row1)
{
    kern.linear_q8t_i8(b->y, b->x_i8, i->n_vec, w, shape_of(i, 8), row0, row1);
}

static void run_q4_i8(const struct reach *b, const struct item *i, const void *w, int row0,
                      int row1)
{
    kern.linear_q4t_i8(b->y, b->x_i8, i->n_vec, w, shape_of(i, 4), row0, row1);
}

struct product {
    const struct reach *b;
    const struct item  *item;
    const uint8_t      *w;
    size_t              size;
    int                 n_matrix;
};

/* Rows are dealt out in blocks of tiles. */
static void product_slice(void *arg, int i, int n)
{
    const struct product *p = arg;
    int                   n_block = p->item->n_out / QUANT_ROWS;
    int                   row0 = (int)((int64_t)n_block * i / n) * QUANT_ROWS,
        row1 = (int)((int64_t)n_block * (i + 1) / n) * QUANT_ROWS;
    for (int k = 0; k < p->n_matrix; k++)
        p->item->run(p->b, p->item, p->w + (size_t)k * p->size, row0, row1);
}

/* Turn by turn: the read loop over some matrices, then the products with them. */
static void measure(struct reach *b, const struct item *item, double peak)
{
    size_t size = (size_t)((double)item->n_out * item->n_in * item->bits / 8);
    int    n = 0, n_matrix = item->n_vec > 16 ? 1 : (int)(SWEEP_SIZE / size);
    double flop = 2.0 * item->n_out * item->n_in * item->n_vec;
    char   shape[64];
    for (int m = 0; m < item->n_vec; m++)
        b->y[m] = b->out + (size_t)m * (size_t)item->n_out;
    if (kern.pack_pairs)
        kern.pack_pairs(b->pairs, b->x_bf16, item->n_vec, item->n_in, 0,
                        kern_pairs_tiles(item->n_in));
    int64_t end_ns = os_now_ns() + b->ms_each * 1000000ll;
    while (n == 0 ||
           (n < MAX_SAMPLE && (n < TURNS_MIN || os_now_ns() < end_ns) && !is_cancelled(b))) {
        struct product p = { b, item, next_sweep(b, size * (size_t)n_matrix), size, n_matrix };
        double         read = read_once(b, p.w, size * (size_t)n_matrix, b->way);
        size_t         n_evict = SWEEP_SIZE / 4; /* one small matrix would still be in the cache */
        if (size * (size_t)n_matrix < n_evict)
            read_once(b, next_sweep(b, n_evict), n_evict, b->way);
        int64_t t0_ns = os_now_ns();
        run(b, product_slice, &p);
        b->ns[n] = (double)(os_now_ns() - t0_ns) / n_matrix;
        b->ratio[n] = (double)size / b->ns[n] / read;
        n++;
    }
    snprintf(shape, sizeof shape, "%dx%d", item->n_out, item->n_in);
    struct kern_reach_row row = { .kind = item->n_vec == 1 ? REACH_GEMV : REACH_GEMM,
                                  .kernel = item->kernel,
                                  .shape = shape,
                                  .n_vec = item->n_vec,
                                  .n_thread = b->threads->n };
    row.ns = median(b->ns, n);
    row.gb_s = (double)size / row.ns;
    row.gflop_s = flop / row.ns;
    row.read_share = median(b->ratio, n);
    row.peak_share = peak > 0 ? row.gflop_s / peak : 0;
    tell(b, &row);
}

static enum err measure_all(struct reach *b)
{
    static const int shapes[][2] = { { 4096, 4096 }, { 11264, 4096 } };
    static const int vecs[] = { 2, 4, 8, 16, 64, 256 };
    find_way(b);
    double      f32 = find_peak(b, b->peak.f32, "f32"), bf16 = find_peak(b, b->peak.bf16, "bf16");
    double      code4 = find_peak(b, b->peak.code4, "4-bit codes by int8");
    double      code8 = find_peak(b, b->peak.code8, "8-bit codes by int8");
    struct item items[] = { { "linear_q4t_i8", 4.5, run_q4_i8, 0, 0, 0 },
                            { "linear_q8t_i8", 8.5, run_q8_i8, 0, 0, 0 },
                            { "linear_bf16", 16, run_bf16, 0, 0, 0 },
                            { "linear_q4t", 4.5, run_q4, 0, 0, 0 },
                            { "linear_q8t", 8.5, run_q8, 0, 0, 0 },
                            { "linear_bf16_bf16", 16, run_bf16_bf16, 0, 0, 0 } };
    double      peaks[] = { code4, code8, f32, f32, f32, bf16 };
    int         n_item = kern.has_bf16 ? 6 : 5;
    for (int i = 0; i < n_item; i++)
        for (int v = -1; v < (int)(sizeof vecs / sizeof *vecs); v++)
            for (int s = 0; s < (v < 0 ? 2 : 1); s++) {
                if (is_cancelled(b))
                    return err_set(ERR_INTERRUPTED, "interrupted");
                items[i].n_out = shapes[s][0];
                items[i].n_in = shapes[s][1];
                items[i].n_vec = v < 0 ? 1 : vecs[v];
                measure(b, &items[i], peaks[i]);
            }
    return is_cancelled(b) ? err_set(ERR_INTERRUPTED, "interrupted") : OK;
}

/* Bytes that are small numbers as bf16 and as the scales of tiles; activations in every form. */
static void fill(struct reach *b)
{
    uint32_t seed = 1;
    for (size_t i = 0; i < POOL_SIZE; i += 4) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t word = (seed & 0x80ff80ffu) | 0x3c003c00u;
        memcpy(b->pool + i, &word, 4);
    }
    for (size_t i = 0; i < (size_t)MAX_VEC * MAX_IN; i++) {
        seed = seed * 1664525u + 1013904223u;
        b->in[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    kern.f32_to_bf16(b->in_bf16, b->in, MAX_VEC * MAX_IN);
    for (int m = 0; m < MAX_VEC; m++) {
        b->x[m] = b->in + (size_t)m * MAX_IN;
        b->x_bf16[m] = b->in_bf16 + (size_t)m * MAX_IN;
        quant_x_init(&b->x_i8[m], b->in_i8 + (size_t)m * quant_x_size(MAX_IN), MAX_IN);
        kern.quantise_x(&b->x_i8[m], b->x[m], MAX_IN, 4);
    }
}

static enum err open_reach(struct reach *b)
{
    b->memory = mem_alloc(POOL_SIZE + PAGE);
    b->pool = (uint8_t *)(((uintptr_t)b->memory + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    b->in = mem_alloc((size_t)MAX_VEC * MAX_IN * sizeof *b->in);
    b->in_bf16 = mem_alloc((size_t)MAX_VEC * MAX_IN * sizeof *b->in_bf16);
    b->pairs = mem_alloc(kern_pairs_size(MAX_VEC, MAX_IN));
    b->in_i8 = mem_alloc((size_t)MAX_VEC * quant_x_size(MAX_IN));
    b->out = mem_zalloc((size_t)MAX_VEC * MAX_OUT * sizeof *b->out);
    if (b->memory && b->in && b->in_bf16 && b->pairs && b->in_i8 && b->out)
        return OK;
    return err_set(ERR_NOMEM, "out of memory: measuring against the read loop needs 1.1 GiB");
}

static void close_reach(struct reach *b)
{
    mem_free(b->memory);
    mem_free(b->in);
    mem_free(b->in_bf16);
    mem_free(b->pairs);
    mem_free(b->in_i8);
    mem_free(b->out);
    mem_free(b);
}

enum err kern_reach(const struct kern_reach_ear *ear, const struct kern_reach_threads *threads,
                    int ms_each)
{
    struct reach *b = mem_zalloc(sizeof *b);
    if (!b)
        return err_set(ERR_NOMEM, "out of memory");
    b->threads = threads;
    b->ear = ear;
    b->ms_each = ms_each;
    enum err err = open_reach(b);
    if (!err) {
        isas_peak(&b->peak, kern_in_use());
        fill(b);
        os_flush_denormals();
        err = measure_all(b);
    }
    close_reach(b);
    return err;
}
