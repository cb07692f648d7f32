/* SPDX-License-Identifier: MIT */
#if defined(__x86_64__)
#include "kernel/isas.h"

#include "kernel/simd_avx2.h"

#include "kernel/simd_attend.h"
#include "kernel/simd_attend_i8.h"
#include "kernel/simd_codes.h"
#include "kernel/simd_dot_avx2.h"
#include "kernel/simd_int8.h"
#include "kernel/simd_linear.h"
#include "kernel/simd_panel.h"
#include "kernel/simd_peak.h"
#include "kernel/simd_quant_x.h"
#include "kernel/simd_rows.h"
#include "kernel/simd_tiles.h"

const struct peak isa_avx2_peak = { .f32 = peak_f32, .code4 = peak_code4, .code8 = peak_code8 };

const struct kern isa_avx2 = {
    .name = "avx2",
    .dot_f32 = dot_f32,
    .axpy_f32 = axpy_f32,
    .add_f32 = add_f32,
    .mul_add_f32 = mul_add_f32,
    .linear_f32 = linear_f32,
    .linear_bf16 = linear_bf16,
    .linear_f16 = linear_f16,
    .linear_q8t = linear_q8t,
    .linear_q4t = linear_q4t,
    .linear_q8t_i8 = linear_q8t_i8,
    .linear_q4t_i8 = linear_q4t_i8,
    .quantise_x = quantise_x,
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
    .quantise_query = quantise_query,
    .attend_score_i8 = attend_score_i8,
    .attend_mix_i8 = attend_mix_i8,
    .argmax_f32 = argmax_f32,
    .nearest_f32 = nearest_f32,
    .bf16_to_f32 = bf16_to_f32,
    .f16_to_f32 = f16_to_f32,
    .f32_to_bf16 = f32_to_bf16,
    .quantise_f32 = quantise_f32,
};
#endif
