/* SPDX-License-Identifier: MIT */
#include "kernel/finite.h"

#include <stdint.h>
#include <string.h>

/* Bytes at a time: of a fixed length the compiler makes vectors of these loops at -O2. */
enum { CHUNK = 2048 };

/* An exponent of all ones, and only that, carries into the place of the sign when one is added. */
static bool is_finite_16(const uint16_t *p, unsigned exponent_one)
{
    uint16_t all = 0;

    for (int i = 0; i < CHUNK / 2; i++)
        all = (uint16_t)(all | (uint16_t)((p[i] & 0x7fff) + exponent_one));
    return !(all & 0x8000);
}

static bool is_finite_32(const uint32_t *p)
{
    uint32_t all = 0;

    for (int i = 0; i < CHUNK / 4; i++)
        all |= (p[i] & 0x7fffffffu) + 0x800000u;
    return !(all & 0x80000000u);
}

bool finite_all(enum dtype t, const void *p, size_t n)
{
    union {
        uint16_t half[CHUNK / 2];
        uint32_t word[CHUNK / 4];
    } u = { { 0 } };
    const uint8_t *from = p;
    size_t         len = n * dtype_size(t);

    if (t != DT_F32 && t != DT_BF16 && t != DT_F16)
        return true;
    for (size_t at = 0; at < len; at += CHUNK) {
        size_t left = len - at;
        memset(&u, 0, left < CHUNK ? sizeof u : 0);
        memcpy(&u, from + at, left < CHUNK ? left : CHUNK);
        bool is = t == DT_F32    ? is_finite_32(u.word)
                  : t == DT_BF16 ? is_finite_16(u.half, 0x80)
                                 : is_finite_16(u.half, 0x400);
        if (!is)
            return false;
    }
    return true;
}
