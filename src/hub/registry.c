/* SPDX-License-Identifier: MIT */
#include "hub/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/os.h"

#define PATH_CAP 4096

static enum err copy_path(char *out, size_t cap, const char *path)
{
    size_t len = strlen(path);
    if (len >= cap)
        return err_set(ERR_LIMIT, "a path of %zu bytes is too long", len);
    memcpy(out, path, len + 1);
    return OK;
}

static bool try_in(char *out, size_t cap, const char *dir, const char *name)
{
    return os_join(out, cap, dir, name) == OK && os_is_dir(out);
}

/* PARLEY_MODELS: folders with colons between them. */
static bool find_in_path(char *out, size_t cap, const char *name)
{
    const char *at = getenv("PARLEY_MODELS");

    while (at && *at) {
        size_t len = strcspn(at, ":");
        char   dir[PATH_CAP];
        if (len > 0 && len < sizeof dir) {
            memcpy(dir, at, len);
            dir[len] = 0;
            if (try_in(out, cap, dir, name))
                return true;
        }
        at += len + (at[len] == ':');
    }
    return false;
}

static bool find_beside_binary(char *out, size_t cap, const char *name)
{
    static const char *const places[] = { "../models", "../share/parley/models", NULL };
    char                     exe[PATH_CAP], dir[PATH_CAP];

    if (os_exe_dir(exe, sizeof exe) != OK)
        return false;
    for (int i = 0; places[i]; i++)
        if (os_join(dir, sizeof dir, exe, places[i]) == OK && try_in(out, cap, dir, name))
            return true;
    return false;
}

/* As the package huggingface_hub looks for it. */
static bool cache_root(char *out, size_t cap)
{
    static const struct {
        const char *variable, *folder;
    } places[] = { { "HF_HUB_CACHE", "" },
                   { "HUGGINGFACE_HUB_CACHE", "" },
                   { "HF_HOME", "hub" },
                   { "XDG_CACHE_HOME", "huggingface/hub" },
                   { "HOME", ".cache/huggingface/hub" } };

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *value = getenv(places[i].variable);
        if (value && *value)
            return (*places[i].folder ? os_join(out, cap, value, places[i].folder)
                                      : copy_path(out, cap, value)) == OK;
    }
    return false;
}

/* hub/models--owner--name/refs/main names the snapshot. */
static bool find_in_cache(char *out, size_t cap, const char *name)
{
    const char *slash = strchr(name, '/');
    char        root[PATH_CAP], repo[PATH_CAP], path[PATH_CAP], rev[128];

    if (!slash || slash == name || strchr(slash + 1, '/') || !cache_root(root, sizeof root))
        return false;
    int n = snprintf(path, sizeof path, "models--%.*s--%s", (int)(slash - name), name, slash + 1);
    if (n < 0 || (size_t)n >= sizeof path || os_join(repo, sizeof repo, root, path) != OK ||
        os_join(path, sizeof path, repo, "refs/main") != OK)
        return false;

    struct buf ref;
    buf_init(&ref, sizeof rev - 1);
    bool   is_read = os_is_file(path) && os_read_file(&ref, path) == OK;
    size_t len = 0;
    while (is_read && len < ref.len && ref.p[len] > ' ' && ref.p[len] != '/')
        len++;
    if (len > 0)
        memcpy(rev, ref.p, len);
    rev[len] = 0;
    buf_fini(&ref);
    return len > 0 && rev[0] != '.' && os_join(path, sizeof path, repo, "snapshots") == OK &&
           try_in(out, cap, path, rev);
}

enum err registry_find(char *out, size_t cap, const char *name)
{
    if (!*name)
        return err_set(ERR_USAGE, "the model's name is empty");
    if (os_is_dir(name))
        return copy_path(out, cap, name);
    bool is_plain = !strchr(name, '/') && name[0] != '.';
    if (is_plain && (find_in_path(out, cap, name) || find_beside_binary(out, cap, name)))
        return OK;
    if (find_in_cache(out, cap, name))
        return OK;
    if (is_plain)
        return err_set(ERR_MISSING,
                       "no model '%s' in PARLEY_MODELS, beside the program or in its share folder",
                       name);
    return err_set(ERR_MISSING, "no model '%s': no such folder, and not in the Hugging Face cache",
                   name);
}
