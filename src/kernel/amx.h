/* SPDX-License-Identifier: MIT */
/* amx: the tile registers, in the shapes that isa_amx.c uses.
 *
 * Inline assembly throughout: the compilers' intrinsics either forget that tiles are memory's
 * business (gcc 12 drops the stores of a configuration made on the stack) or choose registers
 * themselves (clang 14). Each statement clobbers memory, so nothing moves across. A test build
 * includes an emulation before this.
 */
#ifndef KERNEL_AMX_H
#define KERNEL_AMX_H

#include <stdint.h>

#define AMX_ROWS 16
#define AMX_LINE 64 /* bytes of a row */

/* What LDTILECFG reads. */
struct amx_config {
    uint8_t  palette, start, zero[14];
    uint16_t row_bytes[16];
    uint8_t  rows[16];
};

#if !defined(KERNEL_AMX_EMULATED)
static inline void amx_configure(const struct amx_config *c)
{
    __asm__ volatile("ldtilecfg %0" : : "m"(*c) : "memory");
}

static inline void amx_release(void)
{
    __asm__ volatile("tilerelease" : : : "memory");
}

#define AMX_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : : : "memory")
#define AMX_LOAD(t, p, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t : : "r"(p), "r"((intptr_t)(stride)) : "memory")
#define AMX_STORE(t, p, stride)                          \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" \
                     :                                   \
                     : "r"(p), "r"((intptr_t)(stride))   \
                     : "memory")
/* c += a b: signed bytes by unsigned ones; pairs of bf16 */
#define AMX_DOT_SU(c, a, b) \
    __asm__ volatile("tdpbsud %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : : "memory")
#define AMX_DOT_BF16(c, a, b) \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : : "memory")
#endif
#endif
