/* SPDX-License-Identifier: MIT */
/* guard: buffers between pages that nobody may touch. A buffer lies at the end of its pages, so
 * that the byte after it is fatal, or at their start, so that the byte before it is. */
#ifndef TESTS_KERNEL_GUARD_H
#define TESTS_KERNEL_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"

#define GUARD_ROOM (256 * 1024) /* of each buffer; a multiple of every page size */
#define GUARD_N    12
#define GUARD_FILL 0x7b /* floats of about 1.3e36: nothing that a test computes */

static uint8_t *guard_pages[GUARD_N];
static bool     guard_is_at_end;
static int      guard_n_used;

/* From now on buffers are given from the first again. */
static void guard_reset(bool is_at_end)
{
    guard_is_at_end = is_at_end;
    guard_n_used = 0;
}

/* size bytes, filled with GUARD_FILL. At the start, `odd` bytes are left out to spoil the
 * alignment. */
static void *guard_take(size_t size, size_t odd)
{
    must(guard_n_used < GUARD_N && size + odd <= GUARD_ROOM);
    uint8_t **p = &guard_pages[guard_n_used++];
    if (!*p) {
        size_t all = 3 * (size_t)GUARD_ROOM;
        *p = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        must(*p != MAP_FAILED);
        *p += GUARD_ROOM;
        must(mprotect(*p, GUARD_ROOM, PROT_READ | PROT_WRITE) == 0);
    }
    uint8_t *at = guard_is_at_end ? *p + GUARD_ROOM - size : *p + odd;
    memset(*p, GUARD_FILL, guard_is_at_end ? 0 : size + odd + 256);
    memset(at, GUARD_FILL, size);
    return at;
}

#endif
