/* SPDX-License-Identifier: MIT */
#include "app/kern_bench.h"

#include "app/step_times.h"
#include "base/mem.h"
#include "base/os.h"
#include "kernel/kern.h"

#define N_IN  4096
#define N_OUT 8192 /* 128 MiB of f32: no cache holds it */
#define N_RUN 7

struct field {
    float *x, *y;
    void  *w;
    float *x_row[1], *y_row[1];
};

static void run_f32(struct field *f)
{
    kern.linear_f32(f->y_row, (const float *const *)f->x_row, 1, f->w, N_IN, 0, N_OUT);
}

static void run_bf16(struct field *f)
{
    kern.linear_bf16(f->y_row, (const float *const *)f->x_row, 1, f->w, N_IN, 0, N_OUT);
}

static void run_f16(struct field *f)
{
    kern.linear_f16(f->y_row, (const float *const *)f->x_row, 1, f->w, N_IN, 0, N_OUT);
}

static void run_tiles(struct field *f, int bits, int group)
{
    struct quant_shape s = { N_OUT, N_IN, bits, group };
    if (bits == 8)
        kern.linear_q8t(f->y_row, (const float *const *)f->x_row, 1, f->w, s, 0, N_OUT);
    else
        kern.linear_q4t(f->y_row, (const float *const *)f->x_row, 1, f->w, s, 0, N_OUT);
}

static void run_q8(struct field *f)
{
    run_tiles(f, 8, 64);
}
static void run_q4(struct field *f)
{
    run_tiles(f, 4, 64);
}

static const struct {
    const char *name;
    void (*run)(struct field *f);
    double n_bit; /* a weight */
} rows[] = {
    { "linear_f32", run_f32, 32 }, { "linear_bf16", run_bf16, 16 }, { "linear_f16", run_f16, 16 },
    { "linear_q8t", run_q8, 8.5 }, { "linear_q4t", run_q4, 4.5 },
};

static enum err measure(double *gb_per_s, struct field *f, size_t i)
{
    struct step_times t = { 0 };
    enum err          err = OK;

    for (int k = 0; !err && k < N_RUN; k++) {
        int64_t t0_ns = os_now_ns();
        rows[i].run(f);
        err = step_times_add(&t, os_now_ns() - t0_ns);
    }
    double n_byte = (double)N_IN * N_OUT * rows[i].n_bit / 8;
    *gb_per_s = n_byte / (step_times_ms(&t, 0.5) * 1e6);
    step_times_fini(&t);
    return err;
}

enum err kern_bench_write(struct buf *out, bool as_json)
{
    struct field f = { .x = mem_zalloc(N_IN * sizeof(float)),
                       .y = mem_zalloc(N_OUT * sizeof(float)),
                       .w = mem_zalloc((size_t)N_IN * N_OUT * sizeof(float)) };
    enum err     err = f.x && f.y && f.w ? OK : ERR_NOMEM;

    f.x_row[0] = f.x;
    f.y_row[0] = f.y;
    os_flush_denormals();
    buf_add_str(out, as_json ? ", \"kernels_gb_per_s\": {" : "kernels, one thread, median\n");
    for (size_t i = 0; !err && i < sizeof rows / sizeof *rows; i++) {
        double rate = 0;
        err = measure(&rate, &f, i);
        if (as_json)
            buf_add_fmt(out, "%s\"%s\": %.2f", i ? ", " : "", rows[i].name, rate);
        else
            buf_add_fmt(out, "%-12s %6.1f GB/s\n", rows[i].name, rate);
    }
    buf_add_str(out, as_json ? "}" : "");
    mem_free(f.x);
    mem_free(f.y);
    mem_free(f.w);
    return err;
}
