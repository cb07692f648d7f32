/* SPDX-License-Identifier: MIT */
/* tables: every kernel table that can run here, the emulated ones included. */
#ifndef TESTS_KERNEL_TABLES_H
#define TESTS_KERNEL_TABLES_H

#include "kernel/isas.h"

#define TABLES_MAX 8

extern const struct kern isa_avx512_simde __attribute__((weak));

static struct kern tables[TABLES_MAX];
static int         n_table;

/* Fills tables[]: the definition first. */
static void tables_open(void)
{
    if (n_table)
        return;
    for (int i = 0; isas[i].kern; i++)
        if (!(isas[i].needs & ~cpu_features()))
            isas_overlay(&tables[n_table++], i);
    if (&isa_avx512_simde && !((CPU_AVX2 | CPU_FMA | CPU_F16C) & ~cpu_features())) {
        struct kern *k = &tables[n_table++];
        isas_overlay(k, 0);
#define K(type, kernel, args)    \
    if (isa_avx512_simde.kernel) \
        k->kernel = isa_avx512_simde.kernel;
        KERN_LIST(K)
#undef K
        k->name = "avx512 through SIMDe";
    }
}

#endif
