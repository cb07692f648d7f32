/* SPDX-License-Identifier: MIT */
/* amx: tile registers as arrays, so that isa_amx.c really runs on machines without them. What the
 * configuration does not allow is a mistake of the kernel. */
#ifndef TESTS_KERNEL_AMX_H
#define TESTS_KERNEL_AMX_H

#define KERNEL_AMX_EMULATED

#include <string.h>

#include "base/err.h"
#include "kernel/amx.h"
#include "kernel/float_bits.h"

static _Thread_local struct amx_config amx_now;
static _Thread_local uint8_t           amx_tile[8][AMX_ROWS][AMX_LINE];

__attribute__((unused)) static void amx_configure(const struct amx_config *c)
{
    must(c->palette == 1 && c->start == 0 && sizeof *c == 64);
    for (int t = 0; t < 8; t++)
        must(c->rows[t] <= AMX_ROWS && c->row_bytes[t] <= AMX_LINE);
    amx_now = *c;
    memset(amx_tile, 0, sizeof amx_tile);
}

__attribute__((unused)) static void amx_release(void)
{
    must(amx_now.palette == 1);
    memset(&amx_now, 0, sizeof amx_now);
}

__attribute__((unused)) static void amx_load(int t, const void *p, intptr_t stride)
{
    must(amx_now.rows[t] > 0);
    memset(amx_tile[t], 0, sizeof amx_tile[t]);
    for (int r = 0; r < amx_now.rows[t]; r++)
        memcpy(amx_tile[t][r], (const uint8_t *)p + r * stride, amx_now.row_bytes[t]);
}

__attribute__((unused)) static void amx_store(int t, void *p, intptr_t stride)
{
    must(amx_now.rows[t] > 0);
    for (int r = 0; r < amx_now.rows[t]; r++)
        memcpy((uint8_t *)p + r * stride, amx_tile[t][r], amx_now.row_bytes[t]);
}

/* Rows of c and a agree, columns of c and b, bytes of a's rows and fours of b's rows. */
__attribute__((unused)) static void amx_check_product(int c, int a, int b)
{
    must(amx_now.rows[c] == amx_now.rows[a] && amx_now.row_bytes[c] == amx_now.row_bytes[b]);
    must(amx_now.row_bytes[a] == 4 * amx_now.rows[b]);
}

__attribute__((unused)) static void amx_dot_su(int c, int a, int b)
{
    amx_check_product(c, a, b);
    for (int r = 0; r < amx_now.rows[c]; r++)
        for (int n = 0; n < amx_now.row_bytes[c] / 4; n++) {
            int32_t sum;
            memcpy(&sum, &amx_tile[c][r][4 * n], 4);
            for (int k = 0; k < amx_now.row_bytes[a]; k++)
                sum += (int8_t)amx_tile[a][r][k] * amx_tile[b][k / 4][4 * n + k % 4];
            memcpy(&amx_tile[c][r][4 * n], &sum, 4);
        }
}

__attribute__((unused)) static void amx_dot_bf16(int c, int a, int b)
{
    amx_check_product(c, a, b);
    for (int r = 0; r < amx_now.rows[c]; r++)
        for (int n = 0; n < amx_now.row_bytes[c] / 4; n++) {
            float sum;
            memcpy(&sum, &amx_tile[c][r][4 * n], 4);
            for (int k = 0; k < amx_now.row_bytes[a] / 2; k++)
                sum += bf16_float(half_load(&amx_tile[a][r][2 * k])) *
                       bf16_float(half_load(&amx_tile[b][k / 2][4 * n + 2 * (k % 2)]));
            memcpy(&amx_tile[c][r][4 * n], &sum, 4);
        }
}

#define AMX_ZERO(t)             memset(amx_tile[t], 0, sizeof amx_tile[t])
#define AMX_LOAD(t, p, stride)  amx_load(t, p, stride)
#define AMX_STORE(t, p, stride) amx_store(t, p, stride)
#define AMX_DOT_SU(c, a, b)     amx_dot_su(c, a, b)
#define AMX_DOT_BF16(c, a, b)   amx_dot_bf16(c, a, b)

#endif
