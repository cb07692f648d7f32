/* SPDX-License-Identifier: MIT */
#if defined(__x86_64__)
#include "kernel/isas.h"

#include "kernel/simd_avx512.h"

#include "kernel/simd_attend.h"
#include "kernel/simd_linear.h"
#include "kernel/simd_panel.h"
#include "kernel/simd_peak.h"
#include "kernel/simd_rows.h"
#include "kernel/simd_score_avx512.h"
#include "kernel/simd_tiles.h"

#if !defined(KERNEL_SIMD_EMULATED)
const struct peak isa_avx512_peak = { .f32 = peak_f32 };
#endif

const struct kern isa_avx512 = {
    .name = "avx512",
    .dot_f32 = dot_f32,
    .axpy_f32 = axpy_f32,
    .add_f32 = add_f32,
    .mul_add_f32 = mul_add_f32,
    .linear_f32 = linear_f32,
    .linear_bf16 = linear_bf16,
    .linear_f16 = linear_f16,
    .linear_q8t = linear_q8t,
    .linear_q4t = linear_q4t,
    .panel_f32 = panel_f32,
    .panel_bf16 = panel_bf16,
    .rms_norm_f32 = rms_norm_f32,
    .layer_norm_f32 = layer_norm_f32,
    .softmax_f32 = softmax_f32,
    .act_f32 = act_f32,
    .glu_f32 = glu_f32,
    .attend_f32 = attend_f32,
    .attend_score = attend_score,
    .attend_mix = attend_mix,
    .attend_score_i8 = attend_score_i8,
    .argmax_f32 = argmax_f32,
    .nearest_f32 = nearest_f32,
    .bf16_to_f32 = bf16_to_f32,
    .f16_to_f32 = f16_to_f32,
    .f32_to_bf16 = f32_to_bf16,
};
#endif
