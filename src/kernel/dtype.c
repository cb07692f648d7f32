/* SPDX-License-Identifier: MIT */
#include "kernel/dtype.h"

static const struct {
    size_t      size;
    const char *name;
} dtypes[DT_COUNT] = {
    [DT_F32] = { 4, "F32" }, [DT_BF16] = { 2, "BF16" }, [DT_F16] = { 2, "F16" },
    [DT_I64] = { 8, "I64" }, [DT_I32] = { 4, "I32" },   [DT_I16] = { 2, "I16" },
    [DT_I8] = { 1, "I8" },   [DT_U32] = { 4, "U32" },   [DT_U16] = { 2, "U16" },
    [DT_U8] = { 1, "U8" },   [DT_BOOL] = { 1, "BOOL" }, [DT_F64] = { 8, "F64" },
    [DT_Q8T] = { 0, "Q8T" }, [DT_Q4T] = { 0, "Q4T" },
};

size_t dtype_size(enum dtype t)
{
    return (unsigned)t < DT_COUNT ? dtypes[t].size : 0;
}

const char *dtype_name(enum dtype t)
{
    return (unsigned)t < DT_COUNT ? dtypes[t].name : "?";
}
