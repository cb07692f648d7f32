/* SPDX-License-Identifier: MIT */
#if defined(__x86_64__)
#include "kernel/isas.h"

#include "kernel/simd_avx2.h"

#define SIMD_DPBUSD(sum, codes, x) _mm256_dpbusd_avx_epi32(sum, codes, x)
#include "kernel/simd_dot_vnni.h"
#include "kernel/simd_int8.h"
#include "kernel/simd_peak.h"

#if !defined(KERNEL_SIMD_EMULATED)
const struct peak isa_avxvnni_peak = { .code4 = peak_code4, .code8 = peak_code8 };
#endif

const struct kern isa_avxvnni = {
    .name = "avxvnni",
    .linear_q8t_i8 = linear_q8t_i8,
    .linear_q4t_i8 = linear_q4t_i8,
};
#endif
