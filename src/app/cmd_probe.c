/* SPDX-License-Identifier: MIT */
#include "app/app.h"
#include "model/model.h"

static const struct family *find_family(const struct model_files *files,
                                        const struct safetensors *in, const char *part)
{
    for (int i = 0; families[i]; i++)
        if (families[i]->claims(files, in, part))
            return families[i];
    return NULL;
}

/* What would be dropped is refused. */
static enum err check_tensors(const struct family *family, const struct safetensors *in)
{
    for (int i = 0; i < safetensors_count(in); i++) {
        const struct safetensors_entry *e = safetensors_at(in, i);
        if (!family->takes(e->name))
            return err_set(ERR_USAGE, "%s: tensor '%.60s' is none that the %s takes",
                           safetensors_path(in, e), e->name, family->part);
    }
    return OK;
}

static enum err probe(const struct app *app, const struct model_files *files, struct probe_io *io,
                      struct be *be)
{
    const char          *part = app_str(app, OPT_PART);
    struct model_options mo = {
        .be = be, .n_lane = 1, .quant = app_quant(app), .load = app_load(app)
    };
    const struct family *family = find_family(files, io->in, part);
    if (!family)
        return err_set(ERR_USAGE, "%s: no part of the model in %s takes these tensors",
                       app_operand(app, 0), files->dir);
    enum err err = check_tensors(family, io->in);
    return err ? err : family->probe(files, io, &mo);
}

static enum err run(struct app *app)
{
    char                dir[MODEL_PATH_CAP];
    struct model_files *files = NULL;
    struct safetensors *in = NULL;
    struct be          *be = NULL;
    struct probe_io     io = { .go_on = app_go_on };
    struct be_options   bo;

    enum err err = app_be_options(app, &bo, !app_flag(app, OPT_FAST));
    if (!err)
        err = app_model_dir(app, dir, sizeof dir);
    if (!err)
        err = model_files_open(&files, dir);
    if (!err)
        err = safetensors_open(&in, app_operand(app, 0));
    if (!err)
        err = be_open(&be, &bo);
    io.in = in;
    if (!err)
        err = probe(app, files, &io, be);
    if (!err)
        err = app_go_on();
    if (!err)
        err = safetensors_write(app_operand(app, 1), io.out, io.n_out);
    probe_fini(&io);
    be_close(&be);
    safetensors_close(&in);
    model_files_close(&files);
    return err;
}

static const enum option options[] = { OPT_MODEL, OPT_THREADS,    OPT_DEVICE,
                                       OPT_QUANT, OPT_TILE_CACHE, OPT_KV,
                                       OPT_PART,  OPT_FAST,       OPTION_COUNT };

const struct command cmd_probe = {
    .name = "probe",
    .summary = "run one forward pass on tensors, to compare with a reference",
    .operands = "IN.safetensors OUT.safetensors",
    .text =
        "Computes one pass without sampling. The names of the input's tensors choose the part: pcm "
        "or codes for the codec, codes for the language model, with condition.NAME where it has "
        "conditions; another tensor is refused. Exact mode: f32 arithmetic on the stored weights, "
        "unless --fast or --quant says otherwise.",
    .example = "parley probe --model tiny-voice in.safetensors out.safetensors",
    .min_operand = 2,
    .max_operand = 2,
    .ends_in_files = true,
    .run = run,
    .options = options,
};
