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
    CPU_AVXVNNI = 1 << 7,
    CPU_AVX512VNNI = 1 << 8,
    CPU_AVX512BF16 = 1 << 9,
    CPU_AMX_TILE = 1 << 10, /* these three once cpu_ask() has the system's permission */
    CPU_AMX_INT8 = 1 << 11,
    CPU_AMX_BF16 = 1 << 12,
};

/* Asks the system for what it gives on request: the tiles of AMX. Once, before threads start; the
 * threads started later have it too. */
void        cpu_ask(void);
unsigned    cpu_features(void);           /* bits of enum cpu_feature; any thread */
const char *cpu_feature_name(unsigned f); /* one bit: "avx2", ... */

#endif
