/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/be.h"
#include "base/mem.h"

/* Floats of one lane's keys; SIZE_MAX when that overflows. */
static size_t lane_size(const struct kv *kv)
{
    return mem_size(mem_size((size_t)kv->n_head, (size_t)kv->d_head), (size_t)kv->n_slot);
}

enum err kv_open(struct kv *kv, int n_lane, int n_head, int d_head, int n_slot)
{
    must(n_lane > 0 && n_head > 0 && d_head > 0 && n_slot > 0);
    *kv = (struct kv){ .n_lane = n_lane, .n_head = n_head, .d_head = d_head, .n_slot = n_slot };
    size_t size = mem_size(mem_size(lane_size(kv), (size_t)n_lane), sizeof(float));
    kv->k = mem_zalloc(size);
    kv->v = mem_zalloc(size);
    kv->n_seen = mem_zalloc(mem_size((size_t)n_lane, sizeof *kv->n_seen));
    if (kv->k && kv->v && kv->n_seen)
        return OK;
    kv_close(kv);
    return err_set(ERR_NOMEM, "out of memory for keys and values of %d positions", n_slot);
}

void kv_close(struct kv *kv)
{
    mem_free(kv->k);
    mem_free(kv->v);
    mem_free(kv->n_seen);
    kv->k = kv->v = NULL;
    kv->n_seen = NULL;
}

/* What was written stays: no query sees a position that was not written since. */
void kv_reset(struct kv *kv, int lane)
{
    must(lane >= 0 && lane < kv->n_lane);
    kv->n_seen[lane] = 0;
}
