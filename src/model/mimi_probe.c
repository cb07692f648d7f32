/* SPDX-License-Identifier: MIT */
/* mimi_probe: the codec's row of families.c: sound to latent and codes, codes to sound. */
#include <string.h>

#include "model/mimi_whole.h"

static bool claims(const struct model_files *f, const struct safetensors *in, const char *part)
{
    if (strcmp(part, "lm") == 0)
        return false;
    if (safetensors_find(in, "codes"))
        return f->is_codec_only || strcmp(part, "codec") == 0;
    return safetensors_find(in, "pcm") != NULL;
}

static bool takes(const char *tensor)
{
    return strcmp(tensor, "pcm") == 0 || strcmp(tensor, "codes") == 0;
}

struct result {
    const struct mimi_info *info;
    const struct probe_io  *io;
    int32_t                *codes;  /* [n_codebook, n_frame] */
    float                  *latent; /* [d_latent, n_frame] */
    float                  *pcm;    /* [n_frame * frame_size] */
};

static enum err on_codes(void *arg, int64_t i, int64_t n_frame, const int32_t *codes,
                         const float *latent)
{
    struct result *r = arg;

    for (int64_t q = 0; q < r->info->n_codebook; q++)
        r->codes[q * n_frame + i] = codes[q];
    for (int64_t d = 0; d < r->info->d_latent; d++)
        r->latent[d * n_frame + i] = latent[d];
    return probe_go_on(r->io);
}

static enum err on_pcm(void *arg, int64_t i, int64_t n_frame, const float *pcm)
{
    struct result *r = arg;

    memcpy(r->pcm + i * r->info->frame_size, pcm, (size_t)r->info->frame_size * sizeof *pcm);
    return probe_go_on(r->io);
}

static enum err encode(struct mimi *m, struct probe_io *io, const struct safetensors_entry *in)
{
    const struct mimi_info *info = mimi_info(m);
    int64_t                 n_frame = (in->n[0] + info->frame_size - 1) / info->frame_size;
    const int64_t           n_codes[] = { info->n_codebook, n_frame };
    const int64_t           n_latent[] = { info->d_latent, n_frame };
    struct result           r = { .info = info, .io = io };

    r.codes = probe_add(io, "codes", DT_I32, 2, n_codes);
    r.latent = probe_add(io, "latent", DT_F32, 2, n_latent);
    if (!r.codes || !r.latent)
        return err_set(ERR_NOMEM, "out of memory for %lld frames", (long long)n_frame);
    return mimi_whole_encode(m, in->data, in->n[0], on_codes, &r);
}

static enum err decode(struct mimi *m, struct probe_io *io, const struct safetensors_entry *in)
{
    int64_t       n_pcm = in->n[1] * mimi_info(m)->frame_size;
    struct result r = { .info = mimi_info(m), .io = io };

    r.pcm = probe_add(io, "pcm", DT_F32, 1, &n_pcm);
    if (!r.pcm)
        return err_set(ERR_NOMEM, "out of memory for %lld frames", (long long)in->n[1]);
    return probe_blame(io, in, mimi_whole_decode(m, in->data, in->n[0], in->n[1], on_pcm, &r));
}

static enum err probe(const struct model_files *f, struct probe_io *io,
                      const struct model_options *o)
{
    enum err                        err = OK;
    const struct safetensors_entry *pcm = probe_find(io, "pcm", DT_F32, 1, &err);
    const struct safetensors_entry *codes = err ? NULL : probe_find(io, "codes", DT_I32, 2, &err);
    struct mimi                    *m = NULL;

    if (err)
        return err;
    err = mimi_open(&m, f, o, (pcm ? MIMI_ENCODER : 0) | (codes ? MIMI_DECODER : 0));
    if (!err && pcm)
        err = encode(m, io, pcm);
    if (!err && codes)
        err = decode(m, io, codes);
    mimi_close(&m);
    return err;
}

const struct family mimi_probe = {
    .name = "mimi", .part = "codec", .takes = takes, .claims = claims, .probe = probe
};
