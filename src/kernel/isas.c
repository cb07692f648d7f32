/* SPDX-License-Identifier: MIT */
#include "kernel/isas.h"

#include <stddef.h>

const struct isa isas[] = {
    { &isa_c, 0 },
#if defined(__x86_64__)
    { &isa_avx2, CPU_AVX2 | CPU_FMA | CPU_F16C },
    { &isa_avx512,
      CPU_AVX2 | CPU_FMA | CPU_F16C | CPU_AVX512F | CPU_AVX512BW | CPU_AVX512VL | CPU_AVX512DQ },
#endif
    { NULL, 0 },
};

void isas_overlay(struct kern *out, int i)
{
    *out = *isas[0].kern;
    for (int j = 1; j <= i; j++) {
        const struct kern *k = isas[j].kern;
        if (isas[j].needs & ~isas[i].needs) /* not a subset: of another family */
            continue;
        out->name = k->name;
        out->has_bf16 |= k->has_bf16;
#define K(type, name, args) \
    if (k->name)            \
        out->name = k->name;
        KERN_LIST(K)
#undef K
    }
}
