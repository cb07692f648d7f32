/* SPDX-License-Identifier: MIT */
/* LoRA adapters: W + scaling * B A, folded in at load (docs/models/moshi.md, "Weights").
 *
 * A matrix X.weight has X.lora_A.weight [r, n_in] and X.lora_B.weight [n_out, r]. The weight sets
 * of an attention are in_projs.{i} and out_projs.{i}; older adapters have one pair in_proj or
 * out_proj whose sets are stacked along the rows of both A and B. Where a model takes part of a
 * matrix (the queries of a cross-attention), it takes all of A and the same rows of B. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/weights_impl.h"

/* Splits "P.in_proj_weight", "P.in_proj.weight" or "P.in_projs.3.weight" into "P.in_proj" and the
 * set; false for any other matrix, whose module is the name without ".weight". */
static bool split_name(char *module, int *set, const char *name)
{
    static const char *const kinds[] = { "in_proj", "out_proj" };
    size_t                   len = strlen(name);
    int                      cut = (int)len - 7; /* "_weight" and ".weight" alike */

    snprintf(module, WEIGHTS_NAME_CAP, "%.*s", cut > 0 ? cut : 0, name);
    for (int k = 0; k < 2; k++) {
        size_t n = strlen(kinds[k]);
        char  *last = strrchr(module, '.');
        if (last && strcmp(last + 1, kinds[k]) == 0)
            return true;
        char *plural = last;
        while (plural && plural > module && plural[-1] != '.')
            plural--;
        if (plural && strncmp(plural, kinds[k], n) == 0 && plural[n] == 's' &&
            plural + n + 1 == last) {
            *set = (int)strtol(last + 1, NULL, 10);
            plural[n] = '\0';
            return true;
        }
    }
    return false;
}

static const struct safetensors_entry *find_half(struct weights *w, const char *module, char half)
{
    char name[WEIGHTS_NAME_CAP + 32];

    snprintf(name, sizeof name, "%s.lora_%c.weight", module, half);
    return weights_find_in(&w->lora, name);
}

/* Says which half is missing, under the name that its fellow or its siblings have. */
static void fail_missing(struct weights *w, const struct weights_fold *l, const char *module,
                         const char *one)
{
    char name[WEIGHTS_NAME_CAP + 32], plural[WEIGHTS_NAME_CAP + 4];
    char half = l->a ? 'B' : 'A';

    snprintf(plural, sizeof plural, "%ss.", module);
    if (l->a || l->b) {
        const char *have = l->a ? l->a->name : l->b->name;
        snprintf(name, sizeof name, "%.*s%c.weight", (int)strlen(have) - 8, have, half);
    } else {
        snprintf(name, sizeof name, "%s.lora_A.weight",
                 one[0] && weights_source_has_prefix(&w->lora, plural) ? one : module);
    }
    weights_fail_lora(w, name);
}

static bool find_pair(struct weights *w, struct weights_fold *out, const struct weights_part *p,
                      const char *name)
{
    char module[WEIGHTS_NAME_CAP], one[WEIGHTS_NAME_CAP + 16] = "";
    int  set = p->is_cut ? 0 : p->row0 / p->n_out;
    bool has_sets = split_name(module, &set, name);

    if (has_sets) {
        snprintf(one, sizeof one, "%ss.%d", module, set);
        out->a = find_half(w, one, 'A');
        out->b = find_half(w, one, 'B');
    }
    if (!out->a && !out->b) {
        out->a = find_half(w, module, 'A');
        out->b = find_half(w, module, 'B');
        out->is_stacked = has_sets;
        out->set = has_sets ? set : 0;
    }
    out->row0 = p->is_cut ? p->row0 : out->set * p->n_out;
    if (out->a && out->b)
        return true;
    fail_missing(w, out, module, one);
    return false;
}

/* How many sets the pair holds. */
static int64_t count_sets(const struct weights_fold *l, const struct weights_part *p)
{
    if (!l->is_stacked || p->is_cut)
        return 1;
    if (p->n_total > p->n_out)
        return p->n_total / p->n_out;
    /* the model has a tensor a set: how many, only B says */
    return l->b->n[0] / p->n_out > l->set ? l->b->n[0] / p->n_out : l->set + 1;
}

/* Gives the rank, or 0 and a held failure. */
static int check_pair(struct weights *w, const struct weights_fold *l, const struct weights_part *p)
{
    int64_t rank = l->b->n_dim == 2 ? l->b->n[1] : 0;

    if (rank < 1 || rank > 65536 || (w->o.lora_rank > 0 && rank != w->o.lora_rank)) {
        weights_fail_at(w, l->b, l->b->name, "has the rank %lld, the config says %d",
                        (long long)rank, w->o.lora_rank);
        return 0;
    }
    int64_t n_set = count_sets(l, p);
    if (!weights_has_shape(w, l->b, p->is_cut ? p->n_total : n_set * p->n_out, rank) ||
        !weights_has_shape(w, l->a, n_set * rank, p->n_in))
        return 0;
    if (!weights_is_float(l->a->dtype) || !weights_is_float(l->b->dtype)) {
        weights_fail_at(w, l->a, l->a->name, "is %s and its lora_B is %s", dtype_name(l->a->dtype),
                        dtype_name(l->b->dtype));
        return 0;
    }
    return (int)rank;
}

bool weights_fold_open(struct weights *w, struct weights_fold *f, struct weight *out,
                       const struct weights_part *p, const char *name)
{
    *f = (struct weights_fold){ .n_out = p->n_out,
                                .n_in = p->n_in,
                                .scaling = (float)w->o.lora_scaling };
    if (!find_pair(w, f, p, name))
        return false;
    if (!weights_is_float(out->dtype) || out->row_scale) {
        weights_fail_at(w, p->e, name, "is quantised: an adapter cannot be folded into it");
        return false;
    }
    f->rank = check_pair(w, f, p);
    if (f->rank == 0)
        return false;
    f->is_bf16 = out->dtype == DT_BF16 && !w->o.is_exact;
    out->dtype = f->is_bf16 ? DT_BF16 : DT_F32;
    if (w->is_rehearsal)
        return true;
    size_t n = (size_t)f->rank * (size_t)f->n_in;
    if (!weights_check_finite(w, f->a, (size_t)f->set * n, n))
        return false;
    f->a_f32 = mem_alloc(mem_size(n, sizeof *f->a_f32));
    if (f->a_f32)
        weights_floats_at(f->a_f32, f->a, (size_t)f->set * n, n);
    else
        weights_fail_memory(w, name);
    return f->a_f32;
}

void weights_fold_close(struct weights_fold *f)
{
    mem_free(f->a_f32);
    f->a_f32 = NULL;
}

void weights_fold_row(const struct weights_fold *f, float *row, int i, void *room)
{
    size_t    n_in = (size_t)f->n_in, rank = (size_t)f->rank;
    float    *b = room;
    uint16_t *half = (uint16_t *)(b + rank);

    weights_floats_at(b, f->b, ((size_t)f->row0 + (size_t)i) * rank, rank);
    for (size_t k = 0; k < rank; k++)
        kern.axpy_f32(row, f->scaling * b[k], f->a_f32 + k * n_in, f->n_in);
    if (f->is_bf16) {
        kern.f32_to_bf16(half, row, f->n_in);
        kern.bf16_to_f32(row, half, f->n_in);
    }
}
