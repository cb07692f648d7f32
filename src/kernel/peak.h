/* SPDX-License-Identifier: MIT */
/* peak: what an instruction set multiplies and adds from registers alone. Each function does n
 * steps and gives the operations done (two for a product and its sum). */
#ifndef KERNEL_PEAK_H
#define KERNEL_PEAK_H

#include <stdint.h>

struct peak {
    int64_t (*f32)(int n);
    int64_t (*bf16)(int n);  /* products of bf16, or NULL */
    int64_t (*code4)(int n); /* exact sums of products of 4-bit codes by int8 */
    int64_t (*code8)(int n); /* of 8-bit codes by int8 */
};

#endif
