/* SPDX-License-Identifier: MIT */
/* mimi_probe: the codec's row of families.c: sound to latent and codes, codes to sound. */
#include <string.h>

#include "base/mem.h"
#include "model/mimi.h"
#include "model/nn/rvq.h"

static bool claims(const struct model_files *f, const struct safetensors *in, const char *part)
{
    if (strcmp(part, "lm") == 0)
        return false;
    if (safetensors_find(in, "codes"))
        return f->is_codec_only || strcmp(part, "codec") == 0;
    return safetensors_find(in, "pcm") != NULL;
}

/* pcm [T] in; codes [n_q, F] and latent [d, F] out. Zeros fill the last frame. */
static enum err encode(struct mimi *m, struct probe_io *io, const struct safetensors_entry *in)
{
    const struct mimi_info *info = mimi_info(m);
    int64_t                 n_frame = (in->n[0] + info->frame_size - 1) / info->frame_size;
    const int64_t           n_codes[] = { info->n_codebook, n_frame };
    const int64_t           n_latent[] = { info->d_latent, n_frame };
    int32_t                *codes = probe_add(io, "codes", DT_I32, 2, n_codes);
    float                  *latent = probe_add(io, "latent", DT_F32, 2, n_latent);
    int32_t                *code = mem_zalloc((size_t)info->n_codebook * sizeof *code);
    float                  *x = mem_zalloc((size_t)info->d_latent * sizeof *x);
    float                  *pcm = mem_zalloc((size_t)info->frame_size * sizeof *pcm);
    const struct step       step = { 1, &(int){ 0 } };
    enum err                err = OK;

    if (!codes || !latent || !code || !x || !pcm)
        err = err_set(ERR_NOMEM, "out of memory for %lld frames", (long long)n_frame);
    for (int64_t f = 0; f < n_frame && !err; f++) {
        int64_t at = f * info->frame_size, n = in->n[0] - at;
        n = n < info->frame_size ? n : info->frame_size;
        memset(pcm, 0, (size_t)info->frame_size * sizeof *pcm);
        memcpy(pcm, (const uint8_t *)in->data + (size_t)at * sizeof *pcm, (size_t)n * sizeof *pcm);
        err = mimi_encode_step(m, &step, &(const float *){ pcm }, &code, &x);
        for (int64_t q = 0; q < info->n_codebook; q++)
            codes[q * n_frame + f] = code[q];
        for (int64_t i = 0; i < info->d_latent; i++)
            latent[i * n_frame + f] = x[i];
    }
    mem_free(code);
    mem_free(x);
    mem_free(pcm);
    return err;
}

/* codes [n_q, F] in; pcm [F * frame_size] out. */
static enum err decode(struct mimi *m, struct probe_io *io, const struct safetensors_entry *in)
{
    const struct mimi_info *info = mimi_info(m);
    int64_t                 n_frame = in->n[1], n_pcm = n_frame * info->frame_size;
    float                  *pcm = probe_add(io, "pcm", DT_F32, 1, &n_pcm);
    int32_t                 code[RVQ_MAX_LEVEL];
    const struct step       step = { 1, &(int){ 0 } };
    enum err                err = OK;

    if (!pcm)
        return err_set(ERR_NOMEM, "out of memory for %lld frames", (long long)n_frame);
    if (in->n[0] < 1 || in->n[0] > info->n_codebook_max)
        return err_set(ERR_USAGE, "%s: tensor 'codes' has %lld rows, the codec has %d codebooks",
                       safetensors_path(io->in, in), (long long)in->n[0], info->n_codebook_max);
    for (int64_t f = 0; f < n_frame && !err; f++) {
        for (int64_t q = 0; q < in->n[0]; q++)
            memcpy(&code[q], (const uint8_t *)in->data + (size_t)(q * n_frame + f) * sizeof *code,
                   sizeof *code);
        err = mimi_decode_step(m, &step, &(const int32_t *){ code }, (int)in->n[0],
                               &(float *){ pcm + f * info->frame_size });
    }
    return err;
}

static enum err probe(const struct model_files *f, struct probe_io *io,
                      const struct model_options *o)
{
    enum err                        err = OK;
    const struct safetensors_entry *pcm = probe_find(io, "pcm", DT_F32, 1, &err);
    const struct safetensors_entry *codes = probe_find(io, "codes", DT_I32, 2, &err);
    struct mimi                    *m = NULL;

    if (err)
        return err;
    err = mimi_open(&m, f, o, (pcm ? MIMI_ENCODER : 0) | (codes ? MIMI_DECODER : 0), 0);
    if (!err && pcm)
        err = encode(m, io, pcm);
    if (!err && codes)
        err = decode(m, io, codes);
    mimi_close(&m);
    return err;
}

const struct family mimi_probe = { .name = "mimi", .claims = claims, .probe = probe };
