/* SPDX-License-Identifier: MIT */
/* moshi_fixture: golden models opened as they are, or as copies with a changed config or file. */
#ifndef TESTS_UNIT_MODEL_MOSHI_FIXTURE_H
#define TESTS_UNIT_MODEL_MOSHI_FIXTURE_H

#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/os.h"
#include "check.h"
#include "model/moshi.h"

#define UNUSED __attribute__((unused))

static UNUSED struct be *fixture_be(int n_thread)
{
    struct be              *be = NULL;
    const struct be_options o = { .device = "cpu", .n_thread = n_thread, .is_exact = true };

    CHECK(be_open(&be, &o) == OK);
    return be;
}

/* Opens a model folder with n lanes; the files are closed again, nothing refers to them. */
static UNUSED enum err fixture_open(struct moshi **out, struct be *be, const char *dir, int n_lane)
{
    struct model_files  *f = NULL;
    enum err             err = model_files_open(&f, dir);
    struct model_options o = { .be = be, .n_lane = n_lane };

    if (!err)
        err = moshi_open(out, f, &o);
    model_files_close(&f);
    return err;
}

static UNUSED void fixture_write(const char *dir, const char *name, const void *data, size_t len)
{
    char           path[4200];
    struct os_out *o = NULL;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK(os_out_open(&o, path) == OK);
    CHECK(os_out_write(o, data, len) == OK);
    CHECK(os_out_commit(&o) == OK);
}

static UNUSED void fixture_copy(const char *dir, const char *from, const char *name)
{
    char       path[4200];
    struct buf b;

    snprintf(path, sizeof path, "%s/%s", from, name);
    buf_init(&b, 64 << 20);
    CHECK(os_read_file(&b, path) == OK);
    fixture_write(dir, name, b.p, b.len);
    buf_fini(&b);
}

/* A new folder below the run's temporary one. Valid until the next call. */
static UNUSED const char *fixture_folder(void)
{
    static int  n;
    static char dir[4096];
    char        name[32];

    snprintf(name, sizeof name, "moshi-%d-%d", (int)getpid(), n++);
    snprintf(dir, sizeof dir, "%s", check_tmp(name));
    CHECK(mkdir(dir, 0700) == 0);
    return dir;
}

/* config.json of the golden `from` with the members of the JSON object `changes`; the string
 * "(absent)" removes a member. */
static UNUSED void fixture_config(const char *dir, const char *from, const char *changes)
{
    char         path[4200];
    json_error_t error;

    snprintf(path, sizeof path, "%s/config.json", from);
    json_t *v = json_load_file(path, 0, &error), *c = json_loads(changes, 0, &error);
    CHECK(v && c);
    const char *key;
    json_t     *x;
    json_object_foreach(c, key, x)
    {
        if (json_is_string(x) && strcmp(json_string_value(x), "(absent)") == 0)
            json_object_del(v, key);
        else
            json_object_set(v, key, x);
    }
    char *text = json_dumps(v, 0);
    CHECK(text != NULL);
    fixture_write(dir, "config.json", text, strlen(text));
    mem_free(text); /* json.c gave jansson our heap */
    json_decref(v);
    json_decref(c);
}

/* A copy of a golden with another config. */
static UNUSED const char *fixture_changed(const char *from, const char *changes)
{
    const char *dir = fixture_folder();

    fixture_config(dir, from, changes);
    fixture_copy(dir, from, "model.safetensors");
    return dir;
}

#endif
