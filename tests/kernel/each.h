/* SPDX-License-Identifier: MIT */
/* each: what tests of kernels share: numbers, comparison, and the loops over tables and lengths. */
#ifndef TESTS_KERNEL_EACH_H
#define TESTS_KERNEL_EACH_H

#include <math.h>

#include "check.h"
#include "guard.h"
#include "tables.h"

#define EPS 0x1p-24f

static uint32_t seed;

static float next(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed * 0x1p-30f;
}

__attribute__((unused)) static int next_int(int n)
{
    seed = seed * 1664525u + 1013904223u;
    return (int)(seed >> 8) % n;
}

__attribute__((unused)) static float *floats(int n)
{
    float *p = guard_take((size_t)n * sizeof *p, 0);
    for (int i = 0; i < n; i++)
        p[i] = next();
    return p;
}

__attribute__((unused)) static bool is_untouched(const void *p, size_t size)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < size; i++)
        if (b[i] != GUARD_FILL)
            return false;
    return true;
}

static void say(const char *kernel, const char *table, const char *what, double want, double got)
{
    char text[256];
    snprintf(text, sizeof text, "%s of %s, %s: %.9g, not %.9g", kernel, table, what, got, want);
    check_that(false, text, __FILE__, __LINE__);
}

static void near(const char *kernel, const struct kern *k, const char *what, float want, float got,
                 float bound)
{
    if (!(fabsf(want - got) <= bound) && !(isnan(want) && isnan(got)))
        say(kernel, k->name, what, want, got);
}

/* Runs the body for every table but the definition and both places of buffers; `k` is the table. */
#define EACH_TABLE(k)                                             \
    tables_open();                                                \
    for (int t_ = 0; t_ < 2 * n_table; t_++)                      \
        for (const struct kern *k = &tables[t_ / 2]; k; k = NULL) \
            for (seed = 1, guard_reset(t_ % 2); seed; seed = 0)

static const int lengths[] = { 1,  2,  3,  4,  5,  7,  8,  9,  11, 15, 16, 17,  19,  23,
                               24, 25, 31, 32, 33, 39, 47, 48, 63, 64, 65, 127, 255, 1001 };
#define N_LENGTH ((int)(sizeof lengths / sizeof *lengths))
#define EACH_LENGTH(n)                    \
    for (int l_ = 0; l_ < N_LENGTH; l_++) \
        for (int n = lengths[l_]; n; n = 0, guard_reset(guard_is_at_end))

#endif
