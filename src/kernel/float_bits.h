/* SPDX-License-Identifier: MIT */
/* float_bits: bf16 and f16 to and from f32, one number at a time, and reads without alignment. */
#ifndef KERNEL_FLOAT_BITS_H
#define KERNEL_FLOAT_BITS_H

#include <stdint.h>
#include <string.h>

static inline float float_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline uint16_t half_load(const void *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

static inline float bf16_float(uint16_t h)
{
    return float_of_bits((uint32_t)h << 16);
}

/* To nearest, ties to even; a NaN stays a NaN. */
static inline uint16_t bf16_of_float(float f)
{
    uint32_t u = float_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float f16_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t rest = h & 0x7fff;
    if (rest >= 0x7c00) /* infinity, NaN (made quiet, as the CPU does) */
        return float_of_bits(sign | 0x7f800000u | (rest & 0x3ff) << 13 |
                             (rest > 0x7c00 ? 0x400000u : 0));
    if (rest < 0x400) /* a subnormal is a whole number of 2^-24 */
        return float_of_bits(sign | float_bits((float)rest * 0x1p-24f));
    return float_of_bits(sign | ((rest << 13) + (112u << 23)));
}

#endif
