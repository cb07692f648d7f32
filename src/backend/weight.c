/* SPDX-License-Identifier: MIT */
#include "backend/weight.h"

#include <string.h>

#include "kernel/kern.h"
#include "kernel/quant.h"

void weight_floats(float *out, const struct weight *w, size_t at, int n)
{
    const uint8_t *p = (const uint8_t *)w->data + at * dtype_size(w->dtype);

    must(w->dtype == DT_F32 || w->dtype == DT_BF16 || w->dtype == DT_F16);
    if (w->dtype == DT_F32)
        memcpy(out, p, (size_t)n * sizeof *out);
    else if (w->dtype == DT_BF16)
        kern.bf16_to_f32(out, (const uint16_t *)(const void *)p, n);
    else
        kern.f16_to_f32(out, (const uint16_t *)(const void *)p, n);
}

void weight_row(float *out, const struct weight *w, int row)
{
    struct quant_shape tiles = { w->n_out, w->n_in, w->dtype == DT_Q8T ? 8 : 4, w->group };

    if (w->dtype == DT_Q8T || w->dtype == DT_Q4T)
        quant_row(out, tiles, w->data, row);
    else
        weight_floats(out, w, (size_t)row * (size_t)w->n_in, w->n_in);
    for (int i = 0; w->row_scale && i < w->n_in; i++)
        out[i] *= w->row_scale[row];
}
