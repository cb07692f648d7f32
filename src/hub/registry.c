/* SPDX-License-Identifier: MIT */
#include "hub/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/hf_cache.h"
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

enum err registry_find(char *out, size_t cap, const char *name)
{
    if (!*name)
        return err_set(ERR_USAGE, "the model's name is empty");
    if (os_is_dir(name))
        return copy_path(out, cap, name);
    bool is_plain = !strchr(name, '/') && name[0] != '.';
    if (is_plain && (find_in_path(out, cap, name) || find_beside_binary(out, cap, name)))
        return OK;
    if (hf_cache_find(out, cap, name))
        return OK;
    if (is_plain)
        return err_set(ERR_MISSING,
                       "no model '%s' in PARLEY_MODELS, beside the program or in its share folder",
                       name);
    return err_set(ERR_MISSING, "no model '%s': no such folder, and not in the Hugging Face cache",
                   name);
}
