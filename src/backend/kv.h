/* SPDX-License-Identifier: MIT */
/* kv: keys and values of one layer, a ring of n_slot positions a lane.
 *
 * Position p is in slot p % n_slot. Slots lie in blocks of KV_BLOCK: as many rows of d_head
 * numbers, then, for int8, as many factors. A head's blocks follow each other, so that all its keys
 * are one stream to memory; a talk touches them block by block as it grows older: a context of 3000
 * costs what has been said, not 3000. int8 rows are x / factor rounded, factor = max |x| / 127 of
 * that row of that head; heads of more than KERN_QUERY_DIM numbers are kept in bf16 instead.
 *
 * The engine's thread calls everything; kv_write() and kv_run() also threads of its step, for
 * different heads or lanes.
 */
#ifndef BACKEND_KV_H
#define BACKEND_KV_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernel/kern.h"

#define KV_BLOCK 32

struct kv {
    int        n_lane, n_head, d_head, n_slot;
    enum dtype dtype;                                      /* DT_F32, DT_BF16, DT_I8 */
    size_t     row_size, block_size, head_size, lane_size; /* bytes */
    void      *memory;
    uint8_t   *k, *v;  /* [n_lane][n_head][block][block_size], on a cache line */
    int64_t   *n_seen; /* [n_lane] positions written since the lane was reset */
    int       *n_warm; /* [n_lane] blocks whose memory is there */
};

enum err kv_open(struct kv *kv, int n_lane, int n_head, int d_head, int n_slot, enum dtype dtype)
    MUST_CHECK;
void kv_close(struct kv *kv); /* zeroed is fine */
void kv_reset(struct kv *kv, int lane);

/* Makes the memory of the next n_ahead positions be there, so that no step pays for a page. Between
 * steps. */
void kv_warm(struct kv *kv, int lane, int n_ahead);

/* As if n positions had been written, all alike: measuring at a context that nobody waits for. */
void kv_age(struct kv *kv, int lane, int64_t n);

/* k, v [d_head] of one head become those of a position. */
void kv_write(struct kv *kv, int lane, int head, int64_t pos, const float *k, const float *v);

/* Where in a ring, of keys or of values, the block of a head's slot begins. */
static inline size_t kv_block_at(const struct kv *kv, int lane, int head, int slot)
{
    return (size_t)lane * kv->lane_size + (size_t)head * kv->head_size +
           (size_t)(slot / KV_BLOCK) * kv->block_size;
}

/* The rows of one ring from a slot of a head on. */
static inline struct kern_rows kv_rows(const struct kv *kv, const uint8_t *ring, int lane, int head,
                                       int slot)
{
    size_t         row = (size_t)(slot % KV_BLOCK);
    const uint8_t *p = ring + kv_block_at(kv, lane, head, slot);
    const float   *factor = (const float *)(const void *)(p + KV_BLOCK * kv->row_size) + row;
    return (struct kern_rows){ kv->dtype, p + row * kv->row_size,
                               kv->dtype == DT_I8 ? factor : NULL, NULL, 0 };
}

/* The keys and values of a head from a slot on, as far as they lie in one piece: how many of n. */
static inline int kv_run(const struct kv *kv, int lane, int head, int slot, int n,
                         struct kern_rows *k, struct kern_rows *v)
{
    int to_block = KV_BLOCK - slot % KV_BLOCK, to_end = kv->n_slot - slot;
    n = n < to_block ? n : to_block;
    *k = kv_rows(kv, kv->k, lane, head, slot);
    *v = kv_rows(kv, kv->v, lane, head, slot);
    return n < to_end ? n : to_end;
}

#endif
