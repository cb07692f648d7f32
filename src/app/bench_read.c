/* SPDX-License-Identifier: MIT */
#include "app/bench_read.h"

#include <string.h>

#include "base/mem.h"
#include "base/os.h"

#define LINE 64
#define PART ((size_t)64 << 20) /* of a reader's turn */
#define MIN  ((size_t)256 << 20)
#define MAX  ((size_t)2 << 30)

typedef uint64_t line_part __attribute__((vector_size(16)));

/* A way of reading: places at once, and how far ahead a line is asked for. */
struct way {
    int n_stream, ahead;
};
static const struct way ways[] = { { 1, 0 },   { 2, 0 },    { 4, 0 },    { 1, 1024 }, { 2, 1024 },
                                   { 4, 512 }, { 4, 1024 }, { 4, 2048 }, { 8, 1024 } };
#define N_WAY ((int)(sizeof ways / sizeof *ways))

struct job {
    const uint8_t *p;
    size_t         size; /* of a thread */
    struct way     way;
};

struct bench_reader {
    uint8_t   *p;
    size_t     size, at;
    struct job job;
};

/* A thread's part, from all places in turn, a line of each. */
static void read_part(void *arg, int i)
{
    const struct job *job = arg;
    size_t            step = job->size / (size_t)job->way.n_stream / LINE * LINE;
    const uint8_t    *p = job->p + (size_t)i * job->size;
    line_part         sum[2] = { { 0 } }, v[LINE / sizeof(line_part)];

    for (size_t at = 0; at < step; at += LINE) {
        for (int s = 0; s < job->way.n_stream; s++) {
            const uint8_t *line = p + (size_t)s * step + at;
            if (job->way.ahead)
                __builtin_prefetch(line + job->way.ahead);
            memcpy(v, line, sizeof v);
            sum[0] ^= v[0] ^ v[1];
            sum[1] ^= v[2] ^ v[3];
        }
    }
    __asm__ volatile("" : : "r,m"(sum[0][0] ^ sum[1][0]));
}

static double read_once(struct be *be, struct job *job, size_t size)
{
    int     n = be_thread_count(be) < 256 ? be_thread_count(be) : 256;
    int64_t t0_ns = os_now_ns();

    job->size = size / (size_t)n;
    be_begin(be, &be_one_lane);
    be_parallel(be, read_part, job, n);
    return be_end(be) ? 0 : (double)size / (double)(os_now_ns() - t0_ns);
}

size_t bench_beyond_caches(void)
{
    size_t size = (2 * os_cache_size() + PART - 1) / PART * PART;

    return size < MIN ? MIN : size > MAX ? MAX : size;
}

static enum err open_memory(struct bench_reader **out)
{
    struct bench_reader *r = mem_zalloc(sizeof *r);
    size_t               size = bench_beyond_caches();

    if (r)
        r->p = mem_alloc(size);
    if (!r || !r->p) {
        bench_reader_close(&r);
        return err_set(ERR_NOMEM, "out of memory: measuring memory needs %zu MiB", size >> 20);
    }
    memset(r->p, 0x55, size);
    r->size = size;
    r->job.p = r->p;
    *out = r;
    return OK;
}

enum err bench_read(double *out_gb_s, struct be *be, int ms)
{
    int64_t              end_ns = os_now_ns() + ms * 1000000LL;
    struct bench_reader *r = NULL;

    *out_gb_s = 0;
    enum err err = open_memory(&r);
    for (int i = 0; !err && (i < N_WAY || os_now_ns() < end_ns); i++) {
        r->job.way = ways[i % N_WAY];
        double gb_s = read_once(be, &r->job, r->size);
        *out_gb_s = gb_s > *out_gb_s ? gb_s : *out_gb_s;
    }
    bench_reader_close(&r);
    return err;
}

enum err bench_reader_open(struct bench_reader **out, struct be *be)
{
    enum { TURNS = 5 };
    struct bench_reader *r = NULL;
    struct way           way = ways[0];
    double               best = 0;

    enum err err = open_memory(&r);
    for (int i = 0; !err && i < TURNS * N_WAY; i++) {
        r->job.way = ways[i % N_WAY];
        double gb_s = bench_reader_once(r, be);
        if (gb_s > best)
            way = r->job.way;
        best = gb_s > best ? gb_s : best;
    }
    if (!err)
        r->job.way = way;
    *out = r;
    return err;
}

void bench_reader_close(struct bench_reader **r)
{
    if (*r)
        mem_free((*r)->p);
    mem_free(*r);
    *r = NULL;
}

double bench_reader_once(struct bench_reader *r, struct be *be)
{
    r->job.p = r->p + r->at;
    r->at = (r->at + PART) % r->size;
    return read_once(be, &r->job, PART);
}
