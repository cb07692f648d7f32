/* SPDX-License-Identifier: MIT */
/* dtype: how numbers lie in memory, in files and in the tiles that kernels read. */
#ifndef KERNEL_DTYPE_H
#define KERNEL_DTYPE_H

#include <stddef.h>

enum dtype {
    DT_F32,
    DT_BF16,
    DT_F16,
    DT_I64,
    DT_I32,
    DT_I16,
    DT_I8,
    DT_U32,
    DT_U16,
    DT_U8,
    DT_BOOL,
    DT_F64,
    DT_Q8T, /* tiles of quant.h, 8 bit */
    DT_Q4T, /* tiles of quant.h, 4 bit */
    DT_COUNT
};

size_t      dtype_size(enum dtype t); /* bytes of one element; 0 for tiles */
const char *dtype_name(enum dtype t); /* safetensors' spelling: "F32", "BF16", ... */

#endif
