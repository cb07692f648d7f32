/* SPDX-License-Identifier: MIT */
#include "backend/kv.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "kernel/float_bits.h"

#define LINE 64

static int n_block(const struct kv *kv)
{
    return (kv->n_slot + KV_BLOCK - 1) / KV_BLOCK;
}

static uint8_t *on_line(void *p)
{
    return (uint8_t *)(((uintptr_t)p + LINE - 1) & ~(uintptr_t)(LINE - 1));
}

enum err kv_open(struct kv *kv, int n_lane, int n_head, int d_head, int n_slot, enum dtype dtype)
{
    must(n_lane > 0 && n_head > 0 && d_head > 0 && n_slot > 0);
    must(dtype == DT_F32 || dtype == DT_BF16 || dtype == DT_I8);
    if (dtype == DT_I8 && d_head > KERN_QUERY_DIM)
        dtype = DT_BF16;
    *kv = (struct kv){
        .n_lane = n_lane, .n_head = n_head, .d_head = d_head, .n_slot = n_slot, .dtype = dtype
    };
    size_t row = kv->row_size = mem_size((size_t)d_head, dtype_size(dtype));
    size_t factor = dtype == DT_I8 ? sizeof(float) : 0;
    kv->block_size = mem_size(KV_BLOCK, row < SIZE_MAX - factor ? row + factor : SIZE_MAX);
    kv->head_size = mem_size((size_t)n_block(kv), kv->block_size);
    kv->lane_size = mem_size((size_t)n_head, kv->head_size);
    size_t size = mem_size((size_t)n_lane, kv->lane_size);
    kv->memory = size < SIZE_MAX / 4 ? mem_zalloc(2 * size + 2 * LINE) : NULL;
    kv->n_seen = mem_zalloc(mem_size((size_t)n_lane, sizeof *kv->n_seen));
    kv->n_warm = mem_zalloc(mem_size((size_t)n_lane, sizeof *kv->n_warm));
    if (kv->memory && kv->n_seen && kv->n_warm) {
        kv->k = on_line(kv->memory);
        kv->v = on_line(kv->k + size);
        return OK;
    }
    kv_close(kv);
    return err_set(ERR_NOMEM, "out of memory for keys and values of %d positions", n_slot);
}

void kv_close(struct kv *kv)
{
    mem_free(kv->memory);
    mem_free(kv->n_seen);
    mem_free(kv->n_warm);
    kv->memory = NULL;
    kv->k = kv->v = NULL;
    kv->n_seen = NULL;
    kv->n_warm = NULL;
}

/* What was written stays: no query sees a position that was not written since. */
void kv_reset(struct kv *kv, int lane)
{
    must(lane >= 0 && lane < kv->n_lane);
    kv->n_seen[lane] = 0;
}

void kv_warm(struct kv *kv, int lane, int n_ahead)
{
    int64_t slot = kv->n_seen[lane] + n_ahead - 1;
    int     n = slot < kv->n_slot ? (int)(slot / KV_BLOCK) + 1 : n_block(kv);
    if (n <= kv->n_warm[lane])
        return;
    size_t from = (size_t)lane * kv->lane_size + (size_t)kv->n_warm[lane] * kv->block_size;
    size_t size = (size_t)(n - kv->n_warm[lane]) * kv->block_size;
    for (int head = 0; head < kv->n_head; head++, from += kv->head_size) {
        os_touch(kv->k + from, size);
        os_touch(kv->v + from, size);
    }
    kv->n_warm[lane] = n;
}

void kv_age(struct kv *kv, int lane, int64_t n)
{
    enum { SMALL = 0x3c }; /* bytes of a small number in f32, bf16 and int8 with its factor */

    memset(kv->k + (size_t)lane * kv->lane_size, SMALL, kv->lane_size);
    memset(kv->v + (size_t)lane * kv->lane_size, SMALL, kv->lane_size);
    kv->n_seen[lane] = n;
    kv->n_warm[lane] = n_block(kv);
}

/* A factor for the row and its numbers in int8. A row that is not all numbers has the factor NaN,
 * as everything else that is made of it. */
static void round_row(int8_t *q, float *factor, const float *x, int n)
{
    uint32_t top = 0; /* the largest magnitude; above every number are infinity and the NaNs */
    for (int i = 0; i < n; i++) {
        uint32_t u = float_bits(x[i]) & 0x7fffffffu;
        top = u > top ? u : top;
    }
    bool  is_number = top < 0x7f800000u;
    float max = float_of_bits(top), inverse = is_number && max > 0 ? 127 / max : 0;
    for (int i = 0; i < n; i++)
        q[i] = is_number ? (int8_t)lrintf(x[i] * inverse) : 0;
    *factor = is_number ? max / 127 : NAN;
}

static void write_row(const struct kv *kv, uint8_t *block, int row, const float *x)
{
    uint8_t *to = block + (size_t)row * kv->row_size;
    if (kv->dtype == DT_F32)
        memcpy(to, x, (size_t)kv->d_head * sizeof *x);
    else if (kv->dtype == DT_BF16)
        kern.f32_to_bf16((uint16_t *)(void *)to, x, kv->d_head);
    else {
        float factor;
        round_row((int8_t *)to, &factor, x, kv->d_head);
        memcpy(block + KV_BLOCK * kv->row_size + (size_t)row * sizeof factor, &factor,
               sizeof factor);
    }
}

void kv_write(struct kv *kv, int lane, int head, int64_t pos, const float *k, const float *v)
{
    int    slot = (int)(pos % kv->n_slot);
    size_t at = kv_block_at(kv, lane, head, slot);
    write_row(kv, kv->k + at, slot % KV_BLOCK, k);
    write_row(kv, kv->v + at, slot % KV_BLOCK, v);
}
