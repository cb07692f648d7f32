/* SPDX-License-Identifier: MIT */
#if defined(__x86_64__)
#include "kernel/isas.h"

#include "kernel/simd_avx512.h"

#define SIMD_DPBUSD(sum, codes, x) _mm512_dpbusd_epi32(sum, codes, x)
#include "kernel/simd_dot_vnni.h"
#include "kernel/simd_int8.h"
#include "kernel/simd_peak.h"

#if !defined(KERNEL_SIMD_EMULATED)
const struct peak isa_avx512vnni_peak = { .code4 = peak_code4, .code8 = peak_code8 };
#endif

const struct kern isa_avx512vnni = {
    .name = "avx512vnni",
    .linear_q8t_i8 = linear_q8t_i8,
    .linear_q4t_i8 = linear_q4t_i8,
};
#endif
