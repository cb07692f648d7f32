/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_long   fail_in = -1; /* allocations that still succeed; < 0: no fault is injected */
static atomic_size_t n_live;
static atomic_size_t n_forbidden;

static _Thread_local bool is_forbidden;

static bool is_strict(void)
{
    const char *s = getenv("PARLEY_MEM_STRICT");
    return s && strcmp(s, "1") == 0;
}

/* Whether an allocation may go on: counts forbidden ones, injects faults. Sizes above PTRDIFF_MAX
 * (what mem_size() gives for an overflow) are refused here: sanitizers abort on them. */
static bool may_allocate(size_t size)
{
    if (size > PTRDIFF_MAX)
        return false;
    if (is_forbidden) {
        atomic_fetch_add_explicit(&n_forbidden, 1, memory_order_relaxed);
        if (is_strict())
            err_must_failed("no allocation inside a tick", "mem_forbid", 0);
    }
    long left = atomic_load_explicit(&fail_in, memory_order_relaxed);
    while (left >= 0) {
        if (left == 0)
            return false;
        if (atomic_compare_exchange_weak(&fail_in, &left, left - 1))
            return true;
    }
    return true;
}

static void *count_live(void *p)
{
    if (p)
        atomic_fetch_add_explicit(&n_live, 1, memory_order_relaxed);
    return p;
}

void *mem_alloc(size_t size)
{
    return may_allocate(size) ? count_live(malloc(size ? size : 1)) : NULL;
}

void *mem_zalloc(size_t size)
{
    return may_allocate(size) ? count_live(calloc(1, size ? size : 1)) : NULL;
}

void *mem_realloc(void *p, size_t size)
{
    if (!may_allocate(size))
        return NULL;
    void *q = realloc(p, size ? size : 1);
    return p ? q : count_live(q);
}

char *mem_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char  *p = mem_alloc(size);
    return p ? memcpy(p, s, size) : NULL;
}

void mem_free(void *p)
{
    if (!p)
        return;
    atomic_fetch_sub_explicit(&n_live, 1, memory_order_relaxed);
    free(p);
}

size_t mem_size(size_t n, size_t size)
{
    return size && n > SIZE_MAX / size ? SIZE_MAX : n * size;
}

void mem_forbid(bool on)
{
    is_forbidden = on;
}

size_t mem_forbidden_count(void)
{
    return atomic_load_explicit(&n_forbidden, memory_order_relaxed);
}

void mem_fail_after(long n)
{
    atomic_store(&fail_in, n < 0 ? -1 : n);
}

size_t mem_live_count(void)
{
    return atomic_load_explicit(&n_live, memory_order_relaxed);
}
