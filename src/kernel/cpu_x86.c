/* SPDX-License-Identifier: MIT */
#if defined(__x86_64__)
#include "kernel/cpu.h"

#include <cpuid.h>
#include <stdint.h>

#define XCR0_AVX    0x06u /* xmm and ymm are kept by the system */
#define XCR0_AVX512 0xe6u /* and the masks, zmm0-15 high, zmm16-31 */

struct bit {
    unsigned bit, feature;
};

static unsigned pick(unsigned reg, const struct bit *b, int n)
{
    unsigned f = 0;
    for (int i = 0; i < n; i++)
        f |= reg >> b[i].bit & 1 ? b[i].feature : 0;
    return f;
}

static unsigned kept_state(void)
{
    unsigned lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo;
}

unsigned cpu_features(void)
{
    static const struct bit leaf1_ecx[] = { { 12, CPU_FMA }, { 29, CPU_F16C } };
    static const struct bit leaf7_ebx[] = { { 5, CPU_AVX2 } };
    static const struct bit leaf7_ebx_512[] = {
        { 16, CPU_AVX512F }, { 17, CPU_AVX512DQ }, { 30, CPU_AVX512BW }, { 31, CPU_AVX512VL }
    };
    unsigned a, b, c, d, f = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) /* no OSXSAVE: no xgetbv */
        return 0;
    unsigned state = kept_state();
    if ((state & XCR0_AVX) == XCR0_AVX)
        f |= pick(c, leaf1_ecx, 2);
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return f;
    if ((state & XCR0_AVX) == XCR0_AVX)
        f |= pick(b, leaf7_ebx, 1);
    if ((state & XCR0_AVX512) == XCR0_AVX512)
        f |= pick(b, leaf7_ebx_512, 4);
    return f;
}
#endif
