/* SPDX-License-Identifier: MIT */
#include "kernel/cpu.h"

#include <stddef.h>

const char *cpu_feature_name(unsigned f)
{
    static const char *const names[] = { "avx2",       "fma",        "f16c",     "avx512f",
                                         "avx512bw",   "avx512vl",   "avx512dq", "avxvnni",
                                         "avx512vnni", "avx512bf16", "amx_tile", "amx_int8",
                                         "amx_bf16" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (f == 1u << i)
            return names[i];
    return "?";
}
