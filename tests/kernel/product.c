/* SPDX-License-Identifier: MIT */
/* Products of the backend with the kernels of every table: on any number of threads and in any
 * company a row has the bits that it has alone. */
#include <stdlib.h>

#include "backend/ops.h"
#include "check.h"
#include "kernel/float_bits.h"
#include "tables.h"

#define N_IN  224
#define N_OUT 616
#define N_ROW 37

static float plain[N_OUT * N_IN], x[N_ROW * N_IN], alone[N_ROW * N_OUT], got[N_ROW * N_OUT];
static _Alignas(64) uint8_t data[N_OUT * N_IN * 4];

static void fill(float *p, int n)
{
    static uint32_t seed = 1;
    for (int i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (float)(int32_t)seed * 0x1p-31f;
    }
}

static struct weight matrix(enum dtype dtype)
{
    struct weight      w = { .dtype = dtype, .n_out = N_OUT, .n_in = N_IN, .data = data };
    struct quant_shape s = { N_OUT, N_IN, dtype == DT_Q8T ? 8 : 4, 32 };
    w.group = dtype == DT_BF16 ? 0 : s.group;
    if (dtype == DT_BF16)
        kern.f32_to_bf16((uint16_t *)(void *)data, plain, N_OUT * N_IN);
    else
        quant_pack_f32(data, s, plain, 0, N_OUT);
    return w;
}

static void multiply(struct be *be, float *out, const struct weight *w, const float *in, int n_row)
{
    be_begin(be, &be_one_lane);
    struct tensor *v = be_scratch(be, n_row, N_IN), *y = be_scratch(be, n_row, N_OUT);
    memcpy(v->p, in, (size_t)n_row * N_IN * sizeof *in);
    op_linear(be, y, v, w);
    memcpy(out, y->p, (size_t)n_row * N_OUT * sizeof *out);
    CHECK(be_end(be) == OK);
}

static void compare(enum dtype dtype, int n_thread)
{
    static const int  n_rows[] = { 1, 2, 9, 16, 17, N_ROW };
    struct be_options o = { .device = "cpu", .n_thread = n_thread };
    struct weight     w = matrix(dtype);
    struct be        *be;
    CHECK(be_open(&be, &o) == OK);
    for (int m = 0; m < N_ROW && n_thread == 1; m++)
        multiply(be, alone + m * N_OUT, &w, x + m * N_IN, 1);
    for (int i = 0; i < 6; i++) {
        multiply(be, got, &w, x, n_rows[i]);
        CHECK(memcmp(got, alone, (size_t)n_rows[i] * N_OUT * sizeof *got) == 0);
    }
    be_close(&be);
}

TEST(a_row_has_its_bits_with_every_table_on_any_number_of_threads)
{
    static const enum dtype dtypes[] = { DT_BF16, DT_Q8T, DT_Q4T };
    tables_open();
    fill(plain, N_OUT * N_IN);
    fill(x, N_ROW * N_IN);
    struct kern before = kern;
    for (int t = 0; t < n_table; t++)
        for (int d = 0; d < 3; d++)
            for (int n_thread = 1; n_thread <= 3; n_thread++) {
                kern = tables[t];
                compare(dtypes[d], n_thread);
            }
    kern = before;
}
