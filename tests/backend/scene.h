/* SPDX-License-Identifier: MIT */
/* scene: a computation that is run on one, two, three and five threads and must give the same
 * bits. */
#ifndef TESTS_BACKEND_SCENE_H
#define TESTS_BACKEND_SCENE_H

#include <math.h>

#include "backend/be_impl.h"
#include "check.h"

#define SCENE_OUT 400000

static const int scene_threads[] = { 1, 2, 3, 5 };

static uint32_t scene_seed = 1;
static bool     scene_is_fast; /* backends that open from now on may quantise activations */

static float scene_float(void)
{
    scene_seed = scene_seed * 1664525u + 1013904223u;
    return (float)(int32_t)scene_seed * 0x1p-31f;
}

__attribute__((unused)) static int scene_int(int n)
{
    scene_float();
    return (int)(scene_seed >> 8) % n;
}

static void scene_fill(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = scene_float();
}

__attribute__((unused)) static float *scene_floats(size_t n)
{
    float *p = malloc(n * sizeof *p);
    scene_fill(p, n);
    return p;
}

static struct be *scene_open(int n_thread)
{
    struct be        *be;
    struct be_options o = { .device = "cpu", .n_thread = n_thread, .is_exact = !scene_is_fast };
    CHECK(be_open(&be, &o) == OK);
    return be;
}

/* out: what the scene wrote on one thread, [*n] floats, valid until the next call. */
__attribute__((unused)) static const float *scene_run(void (*scene)(struct be *be, float *out,
                                                                    size_t *n, const void *arg),
                                                      const void *arg, size_t *n)
{
    static float first[SCENE_OUT], other[SCENE_OUT];
    for (int i = 0; i < 4; i++) {
        struct be *be = scene_open(scene_threads[i]);
        CHECK_INT(be_thread_count(be), scene_threads[i]);
        size_t n_out = 0;
        scene_seed = 1;
        scene(be, i ? other : first, &n_out, arg);
        CHECK(n_out > 0 && n_out <= SCENE_OUT);
        CHECK(i == 0 || n_out == *n);
        *n = n_out;
        if (i)
            CHECK(memcmp(first, other, *n * sizeof *first) == 0);
        be_close(&be);
        CHECK(!be);
    }
    return first;
}

/* Adds a tensor to what a scene wrote. */
__attribute__((unused)) static void scene_put(float *out, size_t *n, const struct tensor *t)
{
    size_t size = (size_t)t->n_row * (size_t)t->n_col;
    must(*n + size <= SCENE_OUT);
    memcpy(out + *n, t->p, size * sizeof *out);
    *n += size;
}

__attribute__((unused)) static struct tensor *scene_tensor(struct be *be, int n_row, int n_col)
{
    struct tensor *t = be_scratch(be, n_row, n_col);
    scene_fill(t->p, (size_t)n_row * (size_t)n_col);
    return t;
}

#endif
