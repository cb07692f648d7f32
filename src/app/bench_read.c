/* SPDX-License-Identifier: MIT */
#include "app/bench_read.h"

#include <string.h>

#include "base/mem.h"
#include "base/os.h"

#define SIZE ((size_t)256 << 20) /* beyond any cache */
#define LINE 64

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

static double read_once(struct be *be, struct job *job, int n_thread)
{
    static const int  lane = 0;
    const struct step one = { 1, &lane };
    int64_t           t0_ns = os_now_ns();

    job->size = SIZE / (size_t)n_thread;
    be_begin(be, &one);
    be_parallel(be, read_part, job, n_thread);
    return be_end(be) ? 0 : (double)SIZE / (double)(os_now_ns() - t0_ns);
}

enum err bench_read(double *out_gb_s, struct be *be, int ms)
{
    int         n = be_thread_count(be) < 256 ? be_thread_count(be) : 256;
    int64_t     end_ns = os_now_ns() + ms * 1000000LL;
    uint8_t    *p = mem_alloc(SIZE);
    struct job *job = mem_zalloc(sizeof *job);

    if (!p || !job) {
        mem_free(p);
        mem_free(job);
        return err_set(ERR_NOMEM, "out of memory: measuring memory needs 256 MiB");
    }
    memset(p, 0x55, SIZE);
    job->p = p;
    *out_gb_s = 0;
    for (int i = 0; i < N_WAY || os_now_ns() < end_ns; i++) {
        job->way = ways[i % N_WAY];
        double gb_s = read_once(be, job, n);
        *out_gb_s = gb_s > *out_gb_s ? gb_s : *out_gb_s;
    }
    mem_free(p);
    mem_free(job);
    return OK;
}
