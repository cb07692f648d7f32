/* SPDX-License-Identifier: MIT */
/* watch: calls watch_malloc(), which the includer defines, at every malloc, calloc and realloc of
 * the process, whoever makes it. Sanitizers own malloc: under them IS_WATCHED is false and nothing
 * is called. Include it once a program. */
#ifndef TESTS_RT_WATCH_H
#define TESTS_RT_WATCH_H

#include <stdbool.h>
#include <stdlib.h>

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer)
#define IS_WATCHED false
#else
#define IS_WATCHED true

static void watch_malloc(void);

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size)
{
    watch_malloc();
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    watch_malloc();
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    watch_malloc();
    return __libc_realloc(p, size);
}
#endif

#endif
