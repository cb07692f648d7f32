/* SPDX-License-Identifier: MIT */
/* Tile products. A thread configures the tiles when it enters a kernel and releases them when it
 * leaves, which takes less than one tile of weights. */
#if defined(__x86_64__)
#include "kernel/isas.h"

#include "kernel/simd_avx512.h"

#define SIMD_DPBUSD(sum, codes, x) _mm512_dpbusd_epi32(sum, codes, x)
#include "kernel/amx.h"
#include "kernel/simd_dot_vnni.h"
#include "kernel/simd_int8.h"
#include "kernel/simd_pairs.h"

#include "kernel/amx_bf16.h"
#include "kernel/amx_int8.h"
#include "kernel/amx_panel.h"

#if !defined(KERNEL_AMX_EMULATED)
/* Four sums from two tiles by two, as a product of matrices has them. */
#define PEAK(DOT, columns)                                                                         \
    {                                                                                              \
        static const struct amx_config config = { .palette = 1,                                    \
                                                  .row_bytes = { 64, 64, 64, 64, 64, 64, 64, 64 }, \
                                                  .rows = { 16, 16, 16, 16, 16, 16, 16, 16 } };    \
        amx_configure(&config);                                                                    \
        for (int i = 0; i < n; i++) {                                                              \
            DOT(0, 4, 6);                                                                          \
            DOT(1, 4, 7);                                                                          \
            DOT(2, 5, 6);                                                                          \
            DOT(3, 5, 7);                                                                          \
        }                                                                                          \
        amx_release();                                                                             \
        return (int64_t)n * 4 * AMX_ROWS * AMX_ROWS * (columns)*2;                                 \
    }

static int64_t peak_bf16(int n)
{
    PEAK(AMX_DOT_BF16, 32)
}

static int64_t peak_int8(int n)
{
    PEAK(AMX_DOT_SU, 64)
}

const struct peak isa_amx_peak = { .bf16 = peak_bf16, .code4 = peak_int8, .code8 = peak_int8 };
#endif

const struct kern isa_amx = {
    .name = "amx",
    .has_bf16 = true,
    .pack_pairs = amx_bf16_pack,
    .linear_q8t_i8 = amx_int8_q8t,
    .linear_q4t_i8 = amx_int8_q4t,
    .linear_bf16_bf16 = amx_bf16,
    .panel_bf16_bf16 = amx_panel_bf16_bf16,
};
#endif
