/* SPDX-License-Identifier: MIT */
/* isa_c: the parts of the definition that lie in files of their own, for the row in isa_c.c. */
#ifndef KERNEL_ISA_C_H
#define KERNEL_ISA_C_H

#include "kernel/kern.h"

/* Sums are kept in eight partial sums, element k in sum k % 8, added at the end in this order: what
 * eight-lane registers do, so that compilers and other instruction sets can follow it. */
#define ISA_C_LANES 8

static inline float isa_c_sum_lanes(const float *s)
{
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

void isa_c_linear_f32  KERN_LINEAR_ARGS(float);
void isa_c_linear_bf16 KERN_LINEAR_ARGS(uint16_t);
void isa_c_linear_f16  KERN_LINEAR_ARGS(uint16_t);
void isa_c_linear_q8t  KERN_TILES_ARGS;
void isa_c_linear_q4t  KERN_TILES_ARGS;
void                   isa_c_panel_f32(const struct panel_job *j, int block0, int block1);
void                   isa_c_panel_bf16(const struct panel_job *j, int block0, int block1);
void                   isa_c_panel_bf16_bf16(const struct panel_job *j, int block0, int block1);

void isa_c_int8_q8t         KERN_TILES_I8_ARGS;
void isa_c_int8_q4t         KERN_TILES_I8_ARGS;
void isa_c_linear_bf16_bf16 KERN_LINEAR_BF16_ARGS;
void isa_c_int8_quantise(const struct quant_x *out, const float *x, int n, int bits);

float isa_c_int8_query(int16_t *q, const float *x, int n);
void  isa_c_int8_score(float *score, const int16_t *q, struct kern_rows keys, int n, int d,
                       float scale);
void  isa_c_int8_mix(float *y, const float *score, struct kern_rows values, int n, int d);

#endif
