/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "app/app.h"
#include "base/mem.h"
#include "media/audio_file.h"
#include "media/wav_out.h"
#include "model/mimi_whole.h"

struct run {
    const struct mimi_info *info;
    int32_t                *codes; /* [n_codebook, n_frame]; encode only */
    struct wav_out         *wav;   /* decode only */
};

static enum err go_on(const char *what, int64_t i, int64_t n_frame)
{
    app_progress(what, i + 1, n_frame);
    return app_go_on();
}

static enum err on_codes(void *arg, int64_t i, int64_t n_frame, const int32_t *codes,
                         const float *latent)
{
    struct run *r = arg;

    for (int64_t q = 0; q < r->info->n_codebook; q++)
        r->codes[q * n_frame + i] = codes[q];
    return go_on("encode", i, n_frame);
}

static enum err on_pcm(void *arg, int64_t i, int64_t n_frame, const float *pcm)
{
    struct run *r = arg;
    enum err    err = wav_out_write(r->wav, pcm, r->info->frame_size);

    return err ? err : go_on("decode", i, n_frame);
}

static enum err encode(struct run *r, struct mimi *m, const char *in_path, const char *out_path)
{
    struct probe_io io = { 0 };
    float          *pcm = NULL;
    int64_t         n_smp;

    r->info = mimi_info(m);
    enum err err = audio_file_read(&pcm, &n_smp, in_path, r->info->rate_hz);
    if (err)
        return err;
    const int64_t n[] = { r->info->n_codebook,
                          (n_smp + r->info->frame_size - 1) / r->info->frame_size };
    r->codes = probe_add(&io, "codes", DT_I32, 2, n);
    if (!r->codes)
        err = err_set(ERR_NOMEM, "%s: out of memory for %lld frames", in_path, (long long)n[1]);
    if (!err)
        err = mimi_whole_encode(m, pcm, n_smp, on_codes, r);
    if (!err)
        err = safetensors_write(out_path, io.out, io.n_out);
    probe_fini(&io);
    mem_free(pcm);
    return err;
}

static enum err decode(struct run *r, struct mimi *m, const struct safetensors *in,
                       const char *in_path, const char *out_path)
{
    const struct probe_io           io = { .in = in };
    enum err                        err = OK;
    const struct safetensors_entry *codes = probe_find(&io, "codes", DT_I32, 2, &err);

    if (!err && !codes)
        err = err_set(ERR_FORMAT, "%s: no tensor 'codes'", in_path);
    r->info = mimi_info(m);
    if (!err)
        err = wav_out_open(&r->wav, out_path, r->info->rate_hz, WAV_F32);
    if (!err)
        err = probe_blame(&io, codes,
                          mimi_whole_decode(m, codes->data, codes->n[0], codes->n[1], on_pcm, r));
    if (!err)
        err = wav_out_commit(&r->wav);
    wav_out_cancel(&r->wav);
    return err;
}

static enum err open_codec(struct mimi **m, struct model_files **files, struct be **be,
                           const struct app *app, enum mimi_parts parts)
{
    char                 dir[MODEL_PATH_CAP];
    struct be_options    bo;
    struct model_options mo = { .n_lane = 1, .load = app_load(app) };
    enum err             err = app_model_dir(app, dir, sizeof dir);

    if (!err)
        err = model_files_open(files, dir);
    if (!err)
        err = app_be_options(app, &bo, !app_flag(app, OPT_FAST));
    if (!err)
        err = be_open(be, &bo);
    mo.be = *be;
    return err ? err : mimi_open(m, *files, &mo, parts);
}

/* --streaming asks for what is always done: the codec has no other way of computing. */
static enum err run(struct app *app)
{
    const char         *what = app_operand(app, 0), *in_path = app_operand(app, 1);
    bool                is_encode = strcmp(what, "encode") == 0;
    struct model_files *files = NULL;
    struct safetensors *in = NULL;
    struct be          *be = NULL;
    struct mimi        *m = NULL;
    struct run          r = { 0 };
    enum err            err = OK;

    if (!is_encode && strcmp(what, "decode") != 0)
        return err_set(ERR_USAGE, "codec: '%.40s' is neither encode nor decode", what);
    err = is_encode ? audio_file_check(in_path) : safetensors_open(&in, in_path);
    if (!err)
        err = open_codec(&m, &files, &be, app, is_encode ? MIMI_ENCODER : MIMI_DECODER);
    if (!err && is_encode)
        err = encode(&r, m, in_path, app_operand(app, 2));
    else if (!err)
        err = decode(&r, m, in, in_path, app_operand(app, 2));
    mimi_close(&m);
    be_close(&be);
    safetensors_close(&in);
    model_files_close(&files);
    return err;
}

static const enum option options[] = { OPT_MODEL, OPT_THREADS,   OPT_DEVICE,  OPT_TILE_CACHE,
                                       OPT_FAST,  OPT_STREAMING, OPTION_COUNT };

const struct command cmd_codec = {
    .name = "codec",
    .summary = "convert sound to codes and back",
    .operands = "encode IN.wav OUT.safetensors | decode IN.safetensors OUT.wav",
    .text = "encode writes the codes of the first channel as the tensor codes, i32 [n_q, "
            "n_frame]; the last frame is filled with zeros, other sample rates are converted. "
            "decode writes f32 samples at the codec's rate. Both step frame by frame, with or "
            "without --streaming.",
    .example = "parley codec encode question.wav codes.safetensors",
    .min_operand = 3,
    .max_operand = 3,
    .ends_in_files = true,
    .run = run,
    .options = options,
};
