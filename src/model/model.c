/* SPDX-License-Identifier: MIT */
#include "model/model.h"

#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "model/model_path.h"

/* The names of the first publication, which later folders leave out of config.json. */
#define DEFAULT_LM        "model.safetensors"
#define DEFAULT_CODEC     "tokenizer-e351c8d8-checkpoint125.safetensors"
#define DEFAULT_TOKENIZER "tokenizer_spm_32k_3.model"

enum { MAX_CONFIG = 1 << 20 }; /* a document of 1 MB takes 100 MB at worst */

/* All that published folders say. To take another for Moshi would end far from the mistake, or
 * leave out what makes hibiki of a model. */
static enum err check_type(const char *type, const char *config_path)
{
    static const char *const types[] = { "moshi", "hibiki", "stt", "tts", "personaplex", "mimi" };

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return OK;
    return err_set(ERR_FORMAT,
                   "%s: 'model_type' is '%.40s', this Parley reads moshi, hibiki, stt, tts, "
                   "personaplex and mimi",
                   config_path, type);
}

/* The path of a part: the name under key, else dflt; empty when both are missing. */
static enum err find_part(const struct model_files *f, char *out, const char *key, const char *dflt)
{
    const char *name;
    enum err    err = json_get_str(&name, f->config, key, dflt, f->config_path);

    if (err || !name)
        return err;
    return model_path_find(out, MODEL_PATH_CAP, f->dir, name, f->config_path);
}

static enum err read_object(json_t **out, const char *path)
{
    enum err err = json_read_file(out, path, MAX_CONFIG);

    if (err == ERR_MISSING)
        return err_set(ERR_MISSING, "%s: no such file", path);
    if (!err && !json_is_object(*out))
        return err_set(ERR_FORMAT, "%s: not a JSON object", path);
    return err;
}

/* The codec's weights. Folders in the transformers layout call them as every other model's. */
static enum err find_codec(struct model_files *f)
{
    char     other[MODEL_PATH_CAP];
    enum err err = find_part(f, f->codec_path, "mimi_name", DEFAULT_CODEC);

    if (err || !f->is_codec_only || json_object_get(f->config, "mimi_name") ||
        os_is_file(f->codec_path))
        return err;
    err = model_path_join(other, sizeof other, f->dir, DEFAULT_LM, f->config_path);
    if (!err && os_is_file(other))
        memcpy(f->codec_path, other, sizeof other);
    return err;
}

/* A codec config that is named but missing is told by whoever opens the codec. */
static enum err read_codec_config(struct model_files *f)
{
    enum err err = find_part(f, f->codec_config_path, "mimi_config_name", NULL);

    if (err || !f->codec_config_path[0])
        return err;
    err = read_object(&f->codec_config, f->codec_config_path);
    return err == ERR_MISSING ? OK : err;
}

static enum err read_config(struct model_files *f)
{
    const char *type;
    enum err    err;

    err = os_join(f->config_path, sizeof f->config_path, f->dir, "config.json");
    if (!err)
        err = model_path_join(f->config_path, sizeof f->config_path, f->dir, "config.json", f->dir);
    if (!err)
        err = read_object(&f->config, f->config_path);
    if (!err)
        err = json_get_str(&type, f->config, "model_type", "moshi", f->config_path);
    if (!err)
        err = check_type(type, f->config_path);
    if (err)
        return err;
    must(strlen(type) < sizeof f->model_type);
    memcpy(f->model_type, type, strlen(type) + 1);
    f->is_codec_only = strcmp(type, "mimi") == 0;
    return OK;
}

enum err model_files_open(struct model_files **out, const char *dir)
{
    struct model_files *f;
    enum err            err;

    if (!os_is_dir(dir))
        return err_set(ERR_MISSING, "%s: no such model folder", dir);
    if (strlen(dir) >= MODEL_PATH_CAP)
        return err_set(ERR_LIMIT, "%.100s: path too long", dir);
    f = mem_zalloc(sizeof *f);
    if (!f)
        return err_set(ERR_NOMEM, "%s: out of memory", dir);
    memcpy(f->dir, dir, strlen(dir) + 1);

    err = read_config(f);
    if (!err)
        err = find_codec(f);
    if (!err)
        err = read_codec_config(f);
    if (!err && !f->is_codec_only)
        err = find_part(f, f->lm_path, "moshi_name", DEFAULT_LM);
    if (!err && !f->is_codec_only)
        err = find_part(f, f->tokenizer_path, "tokenizer_name", DEFAULT_TOKENIZER);
    if (!err && !f->is_codec_only)
        err = find_part(f, f->lora_path, "lora_name", NULL);
    if (err) {
        model_files_close(&f);
        return err;
    }
    *out = f;
    return OK;
}

void model_files_close(struct model_files **fp)
{
    struct model_files *f = *fp;

    if (!f)
        return;
    json_decref(f->config);
    json_decref(f->codec_config);
    mem_free(f);
    *fp = NULL;
}
