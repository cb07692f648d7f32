/* SPDX-License-Identifier: MIT */
/* isas: the known CPU instruction sets, from the plainest to the best, and what each needs. */
#ifndef KERNEL_ISAS_H
#define KERNEL_ISAS_H

#include "kernel/cpu.h"
#include "kernel/kern.h"
#include "kernel/peak.h"

struct isa {
    const struct kern *kern;  /* NULL entries fall back to the rows before it */
    unsigned           needs; /* CPU_... bits */
    const struct peak *peak;  /* likewise, or NULL */
};

extern const struct isa isas[]; /* ended by a NULL kern */

/* The rows themselves, each in its own file; those of another processor are not built. */
extern const struct kern isa_c, isa_avx2, isa_avxvnni, isa_avx512, isa_avx512vnni, isa_avx512bf16,
    isa_amx;

extern const struct peak isa_avx2_peak, isa_avxvnni_peak, isa_avx512_peak, isa_avx512vnni_peak,
    isa_avx512bf16_peak, isa_amx_peak;

/* The kernels of row i over those of the supported rows before it. */
void isas_overlay(struct kern *out, int i);
/* Its peaks likewise; NULL where none is known. */
void isas_peak(struct peak *out, int i);

#endif
