/* SPDX-License-Identifier: MIT */
#include "kernel/isas.h"

#include <stddef.h>

#define NEEDS_AVX2   (CPU_AVX2 | CPU_FMA | CPU_F16C)
#define NEEDS_AVX512 (NEEDS_AVX2 | CPU_AVX512F | CPU_AVX512BW | CPU_AVX512VL | CPU_AVX512DQ)
#define NEEDS_VNNI   (NEEDS_AVX512 | CPU_AVX512VNNI)
#define NEEDS_BF16   (NEEDS_VNNI | CPU_AVX512BF16)
#define NEEDS_AMX    (NEEDS_BF16 | CPU_AMX_TILE | CPU_AMX_INT8 | CPU_AMX_BF16)

const struct isa isas[] = {
    { &isa_c, 0, NULL },
#if defined(__x86_64__)
    { &isa_avx2, NEEDS_AVX2, &isa_avx2_peak },
    { &isa_avxvnni, NEEDS_AVX2 | CPU_AVXVNNI, &isa_avxvnni_peak },
    { &isa_avx512, NEEDS_AVX512, &isa_avx512_peak },
    { &isa_avx512vnni, NEEDS_VNNI, &isa_avx512vnni_peak },
    { &isa_avx512bf16, NEEDS_BF16, &isa_avx512bf16_peak },
    { &isa_amx, NEEDS_AMX, &isa_amx_peak },
#endif
    { NULL, 0, NULL },
};

/* Row i stands on row j: it needs all that row j needs. Rows of another family do not. */
static bool is_below(int j, int i)
{
    return !(isas[j].needs & ~isas[i].needs);
}

void isas_overlay(struct kern *out, int i)
{
    *out = *isas[0].kern;
    for (int j = 1; j <= i; j++) {
        const struct kern *k = isas[j].kern;
        if (!is_below(j, i))
            continue;
        out->name = k->name;
        out->has_bf16 |= k->has_bf16;
        if (k->linear_bf16_bf16)
            out->pack_pairs = k->pack_pairs;
#define K(type, name, args) \
    if (k->name)            \
        out->name = k->name;
        KERN_LIST(K)
#undef K
    }
}

void isas_peak(struct peak *out, int i)
{
    *out = (struct peak){ 0 };
    for (int j = 0; j <= i; j++) {
        const struct peak *p = isas[j].peak;
        if (!p || !is_below(j, i))
            continue;
        out->f32 = p->f32 ? p->f32 : out->f32;
        out->bf16 = p->bf16 ? p->bf16 : out->bf16;
        out->code4 = p->code4 ? p->code4 : out->code4;
        out->code8 = p->code8 ? p->code8 : out->code8;
    }
}
