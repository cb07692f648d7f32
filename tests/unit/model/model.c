/* SPDX-License-Identifier: MIT */
#include "model/model.h"

#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");

    CHECK(f && fwrite(text, 1, strlen(text), f) == strlen(text) && fclose(f) == 0);
}

/* A folder below the test's own with this config.json. */
static const char *folder(const char *name, const char *config)
{
    static char dir[4096];
    char        path[4200];

    snprintf(dir, sizeof dir, "%s", check_tmp(name));
    for (char *p = dir + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(dir, 0700);
        *p = '/';
    }
    mkdir(dir, 0700);
    snprintf(path, sizeof path, "%s/config.json", dir);
    unlink(path);
    if (config)
        write_file(path, config);
    return dir;
}

static enum err open_config(struct model_files **f, const char *config)
{
    return model_files_open(f, folder("model", config));
}

static void refuse(const char *config, enum err want, const char *word)
{
    struct model_files *f = NULL;
    enum err            err = open_config(&f, config);

    if (err != want || !strstr(err_text(err), word))
        printf("# %s: %s\n", config, err_text(err));
    CHECK(err == want && !f);
    CHECK(strstr(err_text(err), word) != NULL);
}

TEST(model_takes_the_published_names_for_those_left_out)
{
    struct model_files *f = NULL;

    CHECK(open_config(&f, "{\"dim\": 64}") == OK);
    CHECK_STR(f->model_type, "moshi");
    CHECK(!f->is_codec_only && !f->codec_config && !f->codec_config_path[0] && !f->lora_path[0]);
    CHECK(strstr(f->lm_path, "/model/model.safetensors"));
    CHECK(strstr(f->codec_path, "/model/tokenizer-e351c8d8-checkpoint125.safetensors"));
    CHECK(strstr(f->tokenizer_path, "/model/tokenizer_spm_32k_3.model"));
    model_files_close(&f);
    CHECK(!f);
}

TEST(model_takes_the_names_of_the_config)
{
    struct model_files *f = NULL;

    write_file(check_tmp("c.json"), "x");
    folder("model", NULL);
    write_file(check_tmp("model/c.json"), "{\"sample_rate\": 24000}");
    CHECK(open_config(&f,
                      "{\"model_type\":\"tts\",\"moshi_name\":\"a.safetensors\",\"mimi_name\":"
                      "\"sub/b.safetensors\",\"mimi_config_name\":\"c.json\",\"tokenizer_name\":"
                      "\"d.model\",\"lora_name\":\"e.safetensors\"}") == OK);
    CHECK_STR(f->model_type, "tts");
    CHECK(strstr(f->lm_path, "/model/a.safetensors") &&
          strstr(f->codec_path, "/sub/b.safetensors"));
    CHECK(strstr(f->tokenizer_path, "/d.model") && strstr(f->lora_path, "/e.safetensors"));
    CHECK(f->codec_config &&
          json_integer_value(json_object_get(f->codec_config, "sample_rate")) == 24000);
    model_files_close(&f);
}

TEST(model_reads_every_published_type)
{
    static const char *const types[] = { "null",    "\"moshi\"", "\"hibiki\"",
                                         "\"stt\"", "\"tts\"",   "\"personaplex\"" };
    struct model_files      *f = NULL;
    char                     config[64];

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(config, sizeof config, "{\"model_type\": %s}", types[i]);
        CHECK(open_config(&f, config) == OK && !f->is_codec_only);
        model_files_close(&f);
    }
}

TEST(model_knows_a_folder_with_a_codec_only)
{
    struct model_files *f = NULL;

    CHECK(open_config(&f, "{\"model_type\":\"mimi\",\"mimi_name\":\"m.safetensors\"}") == OK);
    CHECK(f->is_codec_only && !f->lm_path[0] && !f->tokenizer_path[0]);
    CHECK(strstr(f->codec_path, "/m.safetensors"));
    model_files_close(&f);
}

TEST(model_says_what_is_missing)
{
    struct model_files *f = NULL;

    CHECK(model_files_open(&f, "/nowhere/at/all") == ERR_MISSING);
    CHECK(strstr(err_text(ERR_MISSING), "/nowhere/at/all"));
    CHECK(model_files_open(&f, "tests/check.h") == ERR_MISSING);
    refuse(NULL, ERR_MISSING, "config.json");
}

TEST(model_refuses_a_broken_config)
{
    refuse("", ERR_FORMAT, "config.json");
    refuse("{", ERR_FORMAT, "config.json");
    refuse("[]", ERR_FORMAT, "config.json");
    refuse("{\"mimi_name\": 3}", ERR_FORMAT, "mimi_name");
    refuse("{\"model_type\": []}", ERR_FORMAT, "model_type");
    refuse("{\"model_type\": \"mimimimimimimimimimimimimimimimimimimimimi\"}", ERR_FORMAT,
           "model_type");
    refuse("{\"model_type\": \"gemma3\"}", ERR_FORMAT,
           "'model_type' is 'gemma3', this Parley reads moshi, hibiki, ");
    refuse("{\"model_type\": \"Hibiki\"}", ERR_FORMAT, "'Hibiki'");
    refuse("{\"model_type\": \"\"}", ERR_FORMAT, "''");
    folder("model", NULL);
    write_file(check_tmp("model/broken.json"), "{]");
    refuse("{\"mimi_config_name\": \"broken.json\"}", ERR_FORMAT, "broken.json");
}

TEST(model_keeps_names_inside_the_folder)
{
    static const char *const keys[] = { "moshi_name", "mimi_name", "mimi_config_name",
                                        "tokenizer_name", "lora_name" };
    static const char *const names[] = { "../x",   "/etc/passwd", "a/../../x",     "..",
                                         "",       "a//b",        "./a",           "hf://a/b",
                                         "hf://a", "hf:///a/b/c", "hf://a/b/../c", "hf://../b/c",
                                         "hf://" };
    char                     config[256];

    for (size_t k = 0; k < 5; k++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            snprintf(config, sizeof config, "{\"%s\": \"%s\"}", keys[k], names[i]);
            refuse(config, ERR_FORMAT, "config.json");
        }
}

TEST(model_follows_links_inside_the_folder_only)
{
    struct model_files *f = NULL;
    const char         *config = "{\"moshi_name\":\"link\"}";

    folder("model", NULL);
    unlink(check_tmp("model/link"));
    write_file(check_tmp("outside"), "x");
    CHECK(symlink("../outside", check_tmp("model/link")) == 0);
    refuse(config, ERR_FORMAT, "link");
    unlink(check_tmp("model/link"));
    write_file(check_tmp("model/inside"), "x");
    CHECK(symlink("inside", check_tmp("model/link")) == 0);
    CHECK(open_config(&f, config) == OK);
    model_files_close(&f);
    unlink(check_tmp("model/link"));
}

/* The layout of the Hugging Face cache: snapshots are links into the blobs of the same
 * repository. */
TEST(model_follows_links_into_its_part_of_the_cache)
{
    struct model_files *f = NULL;
    const char         *config = "{\"moshi_name\":\"link\"}";
    const char         *dir = folder("hub/models--a--b/snapshots/rev", config);
    char                link_path[4200];

    snprintf(link_path, sizeof link_path, "%s/link", dir);
    unlink(link_path);
    mkdir(check_tmp("hub/models--a--b/blobs"), 0700);
    write_file(check_tmp("hub/models--a--b/blobs/123"), "x");
    CHECK(symlink("../../blobs/123", link_path) == 0);
    CHECK(model_files_open(&f, dir) == OK);
    model_files_close(&f);
    unlink(link_path);
    write_file(check_tmp("hub/other"), "x");
    CHECK(symlink("../../../other", link_path) == 0);
    CHECK(model_files_open(&f, dir) == ERR_FORMAT);
    unlink(link_path);
}

/* As the reference's exporter names the parts that it has not changed. */
TEST(model_finds_hf_names_in_the_cache)
{
    struct model_files *f = NULL;
    const char *config = "{\"mimi_name\":\"hf://c/d/sub/mimi\",\"tokenizer_name\":\"hf://c/d/tok\","
                         "\"mimi_config_name\":\"hf://no/where/c.json\"}";

    folder("hub", NULL);
    CHECK(setenv("HF_HUB_CACHE", check_tmp("hub"), 1) == 0);
    folder("hub/models--c--d/snapshots/rev/sub", NULL);
    mkdir(check_tmp("hub/models--c--d/refs"), 0700);
    write_file(check_tmp("hub/models--c--d/refs/main"), "rev");
    write_file(check_tmp("hub/models--c--d/snapshots/rev/sub/mimi"), "x");
    CHECK(open_config(&f, config) == OK);
    CHECK(strstr(f->codec_path, "/hub/models--c--d/snapshots/rev/sub/mimi"));
    CHECK(strncmp(f->tokenizer_path, "hf://c/d/tok ", 13) == 0);
    CHECK(!f->codec_config && strncmp(f->codec_config_path, "hf://no/where/c.json ", 21) == 0);
    model_files_close(&f);

    /* what the cache gives must lie in that repository's part of it */
    unlink(check_tmp("hub/models--c--d/snapshots/rev/tok"));
    write_file(check_tmp("hub/other"), "x");
    CHECK(symlink("../../../other", check_tmp("hub/models--c--d/snapshots/rev/tok")) == 0);
    refuse(config, ERR_FORMAT, "tok");
    unlink(check_tmp("hub/models--c--d/snapshots/rev/tok"));
    unsetenv("HF_HUB_CACHE");
}

TEST(model_says_what_the_cache_does_not_have)
{
    struct model_files    *f = NULL;
    struct weights        *w = NULL;
    struct weights_options o = { 0 };

    CHECK(setenv("HF_HUB_CACHE", "/nowhere", 1) == 0);
    CHECK(open_config(&f, "{\"mimi_name\":\"hf://c/d/mimi\"}") == OK);
    CHECK_INT(weights_open(&w, f->codec_path, &o), ERR_MISSING);
    CHECK_STR(err_text(ERR_MISSING), "hf://c/d/mimi (not in the Hugging Face cache): no such file");
    model_files_close(&f);
    unsetenv("HF_HUB_CACHE");
}

TEST(probe_finds_inputs_and_refuses_others)
{
    static const float             x[4] = { 1, 2, 3, 4 };
    const struct safetensors_entry e = {
        .name = "pcm", .dtype = DT_F32, .n_dim = 1, .n = { 4 }, .data = x, .size = sizeof x
    };
    struct safetensors *s = NULL;
    enum err            err = OK;

    CHECK(safetensors_write(check_tmp("in.safetensors"), &e, 1) == OK);
    CHECK(safetensors_open(&s, check_tmp("in.safetensors")) == OK);
    struct probe_io io = { .in = s };
    CHECK(probe_find(&io, "pcm", DT_F32, 1, &err) && !err);
    CHECK(!probe_find(&io, "codes", DT_I32, 2, &err) && !err);
    CHECK(!probe_find(&io, "pcm", DT_F32, 2, &err) && err == ERR_USAGE);
    err = OK;
    CHECK(!probe_find(&io, "pcm", DT_I32, 1, &err) && err == ERR_USAGE);
    int32_t *y = probe_add(&io, "y", DT_I32, 2, (const int64_t[]){ 2, 3 });
    CHECK(y && io.n_out == 1 && io.out[0].size == 24 && y[5] == 0);
    CHECK(probe_add(&io, "none", DT_F32, 1, (const int64_t[]){ 0 }));
    probe_fini(&io);
    safetensors_close(&s);
}
