/* SPDX-License-Identifier: MIT */
/* tables: every kernel table that can run here, the emulated ones included. */
#ifndef TESTS_KERNEL_TABLES_H
#define TESTS_KERNEL_TABLES_H

#include "kernel/isas.h"

#define TABLES_MAX 16

/* Every table that other instructions emulate, where SIMDe is there. */
#define TABLES_EMULATED(T) T(avx512) T(avxvnni) T(avx512vnni) T(avx512bf16) T(amx)
#define T(isa)             extern const struct kern isa_##isa##_simde __attribute__((weak));
TABLES_EMULATED(T)
#undef T

static struct kern tables[TABLES_MAX];
static int         n_table;

/* An emulated table alone, over the definition. */
static void tables_add_emulated(const struct kern *isa, const char *name)
{
    if (!isa || ((CPU_AVX2 | CPU_FMA | CPU_F16C) & ~cpu_features()))
        return;
    struct kern *k = &tables[n_table++];
    isas_overlay(k, 0);
#define K(type, kernel, args) \
    if (isa->kernel)          \
        k->kernel = isa->kernel;
    KERN_LIST(K)
#undef K
    k->has_bf16 |= isa->has_bf16;
    if (isa->linear_bf16_bf16)
        k->pack_pairs = isa->pack_pairs;
    k->name = name;
}

/* Fills tables[]: the definition first. */
static void tables_open(void)
{
    if (n_table)
        return;
    cpu_ask();
    for (int i = 0; isas[i].kern; i++)
        if (!(isas[i].needs & ~cpu_features()))
            isas_overlay(&tables[n_table++], i);
#define T(isa) tables_add_emulated(&isa_##isa##_simde, #isa " emulated");
    TABLES_EMULATED(T)
#undef T
}

#endif
