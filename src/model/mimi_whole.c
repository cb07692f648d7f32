/* SPDX-License-Identifier: MIT */
#include "model/mimi_whole.h"

#include <string.h>

#include "base/mem.h"

enum err mimi_whole_encode(struct mimi *m, const void *pcm, int64_t n_smp, mimi_whole_codes_fn fn,
                           void *arg)
{
    const struct mimi_info *info = mimi_info(m);
    int64_t                 size = info->frame_size, n_frame = (n_smp + size - 1) / size;
    int32_t                *codes = mem_zalloc((size_t)info->n_codebook * sizeof *codes);
    float                  *latent = mem_zalloc((size_t)info->d_latent * sizeof *latent);
    float                  *frame = mem_zalloc((size_t)size * sizeof *frame);
    enum err                err = OK;

    if (!codes || !latent || !frame)
        err = err_set(ERR_NOMEM, "out of memory for a frame");
    for (int64_t i = 0; i < n_frame && !err; i++) {
        int64_t n = n_smp - i * size < size ? n_smp - i * size : size;
        memcpy(frame, (const uint8_t *)pcm + (size_t)(i * size) * sizeof *frame,
               (size_t)n * sizeof *frame);
        memset(frame + n, 0, (size_t)(size - n) * sizeof *frame);
        err = mimi_encode_step(m, &be_one_lane, &(const float *){ frame }, &codes, &latent);
        if (!err)
            err = fn(arg, i, n_frame, codes, latent);
    }
    mem_free(codes);
    mem_free(latent);
    mem_free(frame);
    return err;
}

enum err mimi_whole_decode(struct mimi *m, const void *codes, int64_t n_q, int64_t n_frame,
                           mimi_whole_pcm_fn fn, void *arg)
{
    const struct mimi_info *info = mimi_info(m);
    const uint8_t          *from = codes;
    int32_t                *row = mem_zalloc((size_t)info->n_codebook_max * sizeof *row);
    float                  *pcm = mem_zalloc((size_t)info->frame_size * sizeof *pcm);
    enum err                err = OK;

    if (!row || !pcm)
        err = err_set(ERR_NOMEM, "out of memory for a frame");
    else if (n_q < 1 || n_q > info->n_codebook_max)
        err = err_set(ERR_USAGE, "tensor 'codes' has %lld rows, the codec has 1 to %d codebooks",
                      (long long)n_q, info->n_codebook_max);
    for (int64_t i = 0; i < n_frame && !err; i++) {
        for (int64_t q = 0; q < n_q; q++)
            memcpy(&row[q], from + (size_t)(q * n_frame + i) * sizeof *row, sizeof *row);
        err = mimi_decode_step(m, &be_one_lane, &(const int32_t *){ row }, (int)n_q, &pcm);
        if (!err)
            err = fn(arg, i, n_frame, pcm);
    }
    mem_free(row);
    mem_free(pcm);
    return err;
}
