/* SPDX-License-Identifier: MIT */
#include "app/bench_read.h"

#include <string.h>

#include "base/mem.h"
#include "base/os.h"

#define SIZE       ((size_t)256 << 20) /* beyond any cache */
#define LINE       64
#define MAX_STREAM 8
#define AHEAD      1024 /* bytes */

struct job {
    const uint8_t *p;
    size_t         size; /* of a thread */
    int            n_stream;
    uint64_t       sum[256];
};

/* A part of the memory, from n_stream places at once, a line of each in turn. */
static void read_part(void *arg, int i)
{
    struct job    *job = arg;
    size_t         step = job->size / (size_t)job->n_stream / LINE * LINE;
    const uint8_t *p = job->p + (size_t)i * job->size;
    uint64_t       sum = 0, x[LINE / 8];

    for (size_t at = 0; at < step; at += LINE) {
        for (int s = 0; s < job->n_stream; s++) {
            const uint8_t *line = p + (size_t)s * step + at;
            __builtin_prefetch(line + AHEAD);
            memcpy(x, line, LINE);
            sum += (x[0] ^ x[1]) + (x[2] ^ x[3]) + (x[4] ^ x[5]) + (x[6] ^ x[7]);
        }
    }
    job->sum[i] += sum;
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
    for (int i = 0; i < 8 || os_now_ns() < end_ns; i++) {
        job->n_stream = 1 << i % 4;
        double gb_s = read_once(be, job, n);
        *out_gb_s = gb_s > *out_gb_s ? gb_s : *out_gb_s;
    }
    mem_free(p);
    mem_free(job);
    return OK;
}
