/* SPDX-License-Identifier: MIT */
/* `parley probe` for the Moshi family: logits of given tokens, nothing sampled. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/moshi.h"

static const char condition_prefix[] = "condition.";

static bool claims(const struct model_files *f, const struct safetensors *in, const char *part)
{
    return !f->is_codec_only && strcmp(part, "codec") != 0 && safetensors_find(in, "codes") != NULL;
}

static bool takes(const char *tensor)
{
    return strcmp(tensor, "codes") == 0 ||
           strncmp(tensor, condition_prefix, sizeof condition_prefix - 1) == 0;
}

/* Conditions. */

static enum err set_index(struct moshi *m, const struct probe_io *io,
                          const struct safetensors_entry *e, const char *name)
{
    int32_t index;

    if (e->n_dim != 1 || e->n[0] != 1)
        return err_set(ERR_USAGE, "%s: tensor '%s' must have the shape [1]",
                       safetensors_path(io->in, e), e->name);
    memcpy(&index, e->data, sizeof index);
    return probe_blame(io, e, moshi_condition_index(m, 0, name, index));
}

static enum err set_tensor(struct moshi *m, const struct probe_io *io,
                           const struct safetensors_entry *e, const char *name)
{
    char                            mask_name[128];
    enum err                        err = OK;
    const struct safetensors_entry *mask;

    if (e->n_dim != 2 || e->n[0] < 1 || e->n[0] > INT32_MAX || e->n[1] < 1 || e->n[1] > INT32_MAX)
        return err_set(ERR_USAGE, "%s: tensor '%s' must be a matrix [steps, width]",
                       safetensors_path(io->in, e), e->name);
    if (strlen(name) > 100)
        return err_set(ERR_USAGE, "%s: this model has no condition '%.60s'",
                       safetensors_path(io->in, e), name);
    snprintf(mask_name, sizeof mask_name, "%s%s.mask", condition_prefix, name);
    mask = probe_find(io, mask_name, DT_U8, 1, &err);
    if (err)
        return err;
    if (mask && mask->n[0] != e->n[0])
        return err_set(ERR_USAGE, "%s: tensor '%s' has %lld steps, its mask %lld",
                       safetensors_path(io->in, e), e->name, (long long)e->n[0],
                       (long long)mask->n[0]);
    float *x = mem_alloc(e->size); /* a file's bytes are not aligned */
    if (!x)
        return err_set(ERR_NOMEM, "out of memory for tensor '%s'", e->name);
    memcpy(x, e->data, e->size);
    err = moshi_condition_tensor(m, 0, name, x, (int)e->n[0], (int)e->n[1],
                                 mask ? mask->data : NULL);
    mem_free(x);
    return probe_blame(io, e, err);
}

/* A mask is read with the tensor that it is of. */
static enum err check_mask(const struct probe_io *io, const struct safetensors_entry *e)
{
    char name[128];
    int  len = (int)strlen(e->name) - (int)(sizeof ".mask" - 1);

    if (len < (int)sizeof name) {
        snprintf(name, sizeof name, "%.*s", len, e->name);
        if (safetensors_find(io->in, name))
            return OK;
    }
    return err_set(ERR_USAGE, "%s: tensor '%s' is a mask of nothing that is there",
                   safetensors_path(io->in, e), e->name);
}

static enum err set_conditions(struct moshi *m, const struct probe_io *io)
{
    size_t   skip = sizeof condition_prefix - 1;
    enum err err = OK;

    for (int i = 0; i < safetensors_count(io->in) && !err; i++) {
        const struct safetensors_entry *e = safetensors_at(io->in, i);
        if (strncmp(e->name, condition_prefix, skip) != 0)
            continue;
        if (e->dtype == DT_I32)
            err = set_index(m, io, e, e->name + skip);
        else if (e->dtype == DT_F32)
            err = set_tensor(m, io, e, e->name + skip);
        else if (e->dtype == DT_U8 && bytes_str_ends_with(e->name, ".mask"))
            err = check_mask(io, e);
        else
            err = err_set(ERR_USAGE, "%s: tensor '%s' is %s, not I32 or F32",
                          safetensors_path(io->in, e), e->name, dtype_name(e->dtype));
    }
    return err;
}

/* The pass. */

struct pass {
    struct moshi            *m;
    const struct moshi_info *info;
    int32_t                 *codes; /* [n_step, 1 + n_q] */
    int64_t                  n_step;
    float                   *text, *audio, *heads;
};

static enum err read_codes(struct pass *p, const struct probe_io *io)
{
    enum err                        err = OK;
    const struct safetensors_entry *e = probe_find(io, "codes", DT_I32, 2, &err);
    int64_t                         n_stream = 1 + p->info->n_q;

    if (err)
        return err;
    if (e->n[1] < 1)
        return err_set(ERR_USAGE, "%s: tensor 'codes' has no step", safetensors_path(io->in, e));
    if (e->n[0] != n_stream)
        return err_set(
            ERR_USAGE,
            "%s: tensor 'codes' has the shape [%lld, %lld], this model reads [%lld, steps]",
            safetensors_path(io->in, e), (long long)e->n[0], (long long)e->n[1],
            (long long)n_stream);
    p->n_step = e->n[1];
    p->codes = mem_alloc(mem_size((size_t)p->n_step, (size_t)n_stream * sizeof *p->codes));
    if (!p->codes)
        return err_set(ERR_NOMEM, "out of memory for tensor 'codes'");
    for (int64_t q = 0; q < n_stream; q++) /* step by step, and aligned */
        for (int64_t t = 0; t < p->n_step; t++)
            memcpy(&p->codes[t * n_stream + q],
                   (const uint8_t *)e->data + 4 * (size_t)(q * p->n_step + t), 4);
    return OK;
}

static enum err add_outputs(struct pass *p, struct probe_io *io)
{
    const struct moshi_info *info = p->info;
    const int64_t            text[2] = { p->n_step, info->text_card_out };
    const int64_t            audio[3] = { info->n_depth, p->n_step, info->card };
    const int64_t            heads[3] = { info->n_extra_head, p->n_step, info->extra_head_dim };

    p->text = probe_add(io, "text_logits", DT_F32, 2, text);
    if (info->n_depth)
        p->audio = probe_add(io, "audio_logits", DT_F32, 3, audio);
    if (info->n_extra_head)
        p->heads = probe_add(io, "extra_heads", DT_F32, 3, heads);
    if (!p->text || (info->n_depth && !p->audio) || (info->n_extra_head && !p->heads))
        return err_set(ERR_NOMEM, "out of memory for %lld steps of logits", (long long)p->n_step);
    return OK;
}

/* Every codebook sees the tokens of the next step, not its own choice. The last step has none. */
static enum err run_depth(struct pass *p, const struct step *s, int64_t t)
{
    size_t         card = (size_t)p->info->card;
    const int32_t *next = p->codes + (t + 1) * (1 + p->info->n_q);
    const float   *logits;
    enum err       err = OK;

    for (int k = 0; k < p->info->n_depth && t + 1 < p->n_step && !err; k++) {
        err = moshi_depth_step(p->m, s, k, &next[k], &logits);
        if (!err)
            memcpy(p->audio + ((size_t)k * (size_t)p->n_step + (size_t)t) * card, logits,
                   card * sizeof *logits);
    }
    return err;
}

static enum err run_step(struct pass *p, int64_t t)
{
    const struct moshi_info *info = p->info;
    const int32_t           *tokens = p->codes + t * (1 + info->n_q);
    size_t       n_text = (size_t)info->text_card_out, dim = (size_t)info->extra_head_dim;
    const float *logits;
    enum err     err = moshi_step(p->m, &be_one_lane, &tokens, &logits);

    if (err)
        return err;
    memcpy(p->text + (size_t)t * n_text, logits, n_text * sizeof *logits);
    for (int i = 0; i < info->n_extra_head; i++)
        memcpy(p->heads + ((size_t)i * (size_t)p->n_step + (size_t)t) * dim,
               moshi_extra_heads(p->m, 0) + (size_t)i * dim, dim * sizeof *logits);
    return run_depth(p, &be_one_lane, t);
}

static enum err probe(const struct model_files *f, struct probe_io *io,
                      const struct model_options *o)
{
    struct model_options one = *o;
    struct pass          p = { 0 };
    enum err             err;

    one.n_lane = 1;
    err = moshi_open(&p.m, f, &one);
    if (err)
        return err;
    p.info = moshi_info(p.m);
    err = read_codes(&p, io);
    if (!err)
        err = set_conditions(p.m, io);
    if (!err)
        err = add_outputs(&p, io);
    for (int64_t t = 0; t < p.n_step && !err; t++) {
        err = probe_blame(io, safetensors_find(io->in, "codes"), run_step(&p, t));
        if (!err)
            err = probe_go_on(io);
    }
    mem_free(p.codes);
    moshi_close(&p.m);
    return err;
}

const struct family moshi_probe = {
    .name = "moshi", .part = "language model", .takes = takes, .claims = claims, .probe = probe
};
