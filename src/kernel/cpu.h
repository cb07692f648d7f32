/* SPDX-License-Identifier: MIT */
/* cpu: what this processor can compute with, as its feature bits and the system allow. Models and
 * vendors are never asked for. */
#ifndef KERNEL_CPU_H
#define KERNEL_CPU_H

enum cpu_feature {
    CPU_AVX2 = 1 << 0,
    CPU_FMA = 1 << 1,
    CPU_F16C = 1 << 2,
    CPU_AVX512F = 1 << 3,
    CPU_AVX512BW = 1 << 4,
    CPU_AVX512VL = 1 << 5,
    CPU_AVX512DQ = 1 << 6,
};

unsigned    cpu_features(void);           /* bits of enum cpu_feature; any thread */
const char *cpu_feature_name(unsigned f); /* one bit: "avx2", ... */

#endif
