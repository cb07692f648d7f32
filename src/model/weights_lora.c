/* SPDX-License-Identifier: MIT */
/* LoRA adapters: W + scaling * B A, folded in at load (spec/moshi-family.md 3.12).
 *
 * A matrix X.weight has X.lora_A.weight [r, n_in] and X.lora_B.weight [n_out, r]. The weight sets
 * of an attention are in_projs.{i} and out_projs.{i}; older adapters have one pair in_proj or
 * out_proj whose sets are stacked along the rows of both A and B. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/weights_impl.h"

struct pair {
    const struct safetensors_entry *a, *b;
    bool                            is_stacked;
    int                             set; /* which of the stacked sets */
};

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
static void fail_missing(struct weights *w, const struct pair *l, const char *module,
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

static bool find_pair(struct weights *w, struct pair *out, const struct weights_part *p,
                      const char *name)
{
    char module[WEIGHTS_NAME_CAP], one[WEIGHTS_NAME_CAP + 16] = "";
    int  set = p->row0 / p->n_out;
    bool has_sets = split_name(module, &set, name);

    *out = (struct pair){ 0 };
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
    if (out->a && out->b)
        return true;
    fail_missing(w, out, module, one);
    return false;
}

/* Gives the rank, or 0 and a held failure. */
static int check_pair(struct weights *w, const struct pair *l, const struct weights_part *p)
{
    int64_t rank = l->b->n_dim == 2 ? l->b->n[1] : 0;
    int64_t n_set = p->n_total > p->n_out ? p->n_total / p->n_out : 1;

    if (rank < 1 || rank > 65536 || (w->o.lora_rank > 0 && rank != w->o.lora_rank)) {
        weights_fail_at(w, l->b, l->b->name, "has the rank %lld, the config says %d",
                        (long long)rank, w->o.lora_rank);
        return 0;
    }
    if (!l->is_stacked)
        n_set = 1;
    else if (p->n_total == p->n_out) /* the model has a tensor a set: how many, only B says */
        n_set = l->b->n[0] / p->n_out > l->set ? l->b->n[0] / p->n_out : l->set + 1;
    if (!weights_has_shape(w, l->b, n_set * p->n_out, rank) ||
        !weights_has_shape(w, l->a, n_set * rank, p->n_in))
        return 0;
    if (!weights_is_float(l->a->dtype) || !weights_is_float(l->b->dtype)) {
        weights_fail_at(w, l->a, l->a->name, "is %s and its lora_B is %s", dtype_name(l->a->dtype),
                        dtype_name(l->b->dtype));
        return 0;
    }
    return (int)rank;
}

struct fold_job {
    const struct pair       *l;
    struct safetensors_entry own; /* the model's matrix */
    int                      n_out, n_in, rank;
    float                    scaling;
    const float             *a;    /* [rank, n_in] */
    float                   *f32;  /* [n_out, n_in]: the result here ... */
    uint16_t                *bf16; /* ... or here */
};

/* room holds a row of B and, for bf16, a row of the result. */
static void fold_block(void *arg, int row0, int row1, void *room)
{
    const struct fold_job *job = arg;
    size_t                 n_in = (size_t)job->n_in, rank = (size_t)job->rank;
    size_t                 b_row0 = (size_t)job->l->set * (size_t)job->n_out;
    float                 *b = room;

    for (int r = row0; r < row1; r++) {
        float *row = job->f32 ? job->f32 + (size_t)r * n_in : b + rank;
        weights_floats_at(row, &job->own, (size_t)r * n_in, n_in);
        weights_floats_at(b, job->l->b, (b_row0 + (size_t)r) * rank, rank);
        for (size_t k = 0; k < rank; k++)
            kern.axpy_f32(row, job->scaling * b[k], job->a + k * n_in, job->n_in);
        if (job->bf16)
            kern.f32_to_bf16(job->bf16 + (size_t)r * n_in, row, job->n_in);
    }
}

/* out has its new dtype already. */
static void fold(struct weights *w, struct weight *out, struct fold_job *job, const char *name)
{
    size_t n_a = (size_t)job->rank * (size_t)job->n_in, n = (size_t)job->n_out * (size_t)job->n_in;
    size_t room = (sizeof(float) * (size_t)(job->rank + job->n_in) + 63) / 64 * 64;
    float *a = mem_alloc(mem_size(n_a, sizeof *a));

    if (out->dtype == DT_BF16)
        job->bf16 = weights_take(w, mem_size(n, sizeof *job->bf16), name);
    else
        job->f32 = weights_take(w, mem_size(n, sizeof *job->f32), name);
    if (!a)
        weights_fail_memory(w, name);
    if (!w->err) {
        weights_floats_at(a, job->l->a, (size_t)job->l->set * n_a, n_a);
        job->a = a;
        if (weights_each_block(w, name, job->n_out, room, fold_block, job))
            out->data = job->bf16 ? (const void *)job->bf16 : job->f32;
    }
    mem_free(a);
}

void weights_fold(struct weights *w, struct weight *out, const struct weights_part *p,
                  const char *name)
{
    struct pair     l;
    struct fold_job job = { .l = &l,
                            .own = { .dtype = out->dtype, .data = out->data },
                            .n_out = p->n_out,
                            .n_in = p->n_in,
                            .scaling = (float)w->o.lora_scaling };

    if (!find_pair(w, &l, p, name))
        return;
    if (!weights_is_float(out->dtype) || out->row_scale) {
        weights_fail_at(w, p->e, name, "is quantised: an adapter cannot be folded into it");
        return;
    }
    job.rank = check_pair(w, &l, p);
    if (job.rank == 0)
        return;
    if (out->dtype != DT_BF16 || w->o.is_exact)
        out->dtype = DT_F32;
    if (!w->is_rehearsal)
        fold(w, out, &job, name);
}
