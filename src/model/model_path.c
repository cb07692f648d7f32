/* SPDX-License-Identifier: MIT */
#include "model/model_path.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/hf_cache.h"
#include "base/os.h"

#define HF "hf://"

/* Relative, not empty, no "." or ".." and no empty part. */
static bool is_plain_name(const char *name)
{
    for (const char *p = name;; p++) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        p += n;
        if (!*p)
            return true;
    }
}

static bool is_inside(const char *path, const char *root)
{
    size_t n = strlen(root);
    return strncmp(path, root, n) == 0 && (path[n] == '/' || (n > 0 && root[n - 1] == '/'));
}

static char *last_part(char *path)
{
    char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* root/snapshots/REVISION becomes root; false: dir is not a snapshot. */
static bool cut_to_cache(char *dir)
{
    char *part = last_part(dir);
    if (part == dir)
        return false;
    part[-1] = '\0';
    part = last_part(dir);
    if (part == dir || strcmp(part, "snapshots") != 0)
        return false;
    part[-1] = '\0';
    return strncmp(last_part(dir), "models--", 8) == 0;
}

enum err model_path_join(char *out, size_t cap, const char *dir, const char *name, const char *what)
{
    char     real[PATH_MAX], root[PATH_MAX];
    enum err err;

    if (!is_plain_name(name))
        return err_set(ERR_FORMAT, "%s: '%.80s' is not a name inside the model folder", what, name);
    err = os_join(out, cap, dir, name);
    if (err)
        return err;
    err = os_real_path(real, sizeof real, out);
    if (err == ERR_MISSING)
        return OK;
    if (!err)
        err = os_real_path(root, sizeof root, dir);
    if (err)
        return err;
    if (is_inside(real, root) || (cut_to_cache(root) && is_inside(real, root)))
        return OK;
    return err_set(ERR_FORMAT, "%s: '%.80s' is a link that leaves the model folder", what, name);
}

/* What stands for a file that is not there. No file has such a name, so its opening fails and says
 * it. */
static enum err stand_in(char *out, size_t cap, const char *name)
{
    int n = snprintf(out, cap, "%s (not in the Hugging Face cache)", name);

    return n > 0 && (size_t)n < cap ? OK : err_set(ERR_LIMIT, "%.100s: path too long", name);
}

/* name: OWNER/NAME/FILE */
static enum err find_in_cache(char *out, size_t cap, const char *name, const char *what)
{
    char        repo[PATH_MAX], dir[PATH_MAX], real[PATH_MAX];
    const char *slash = strchr(name, '/'), *file = slash ? strchr(slash + 1, '/') : NULL;

    if (!is_plain_name(name) || !file)
        return err_set(ERR_FORMAT, "%s: '" HF "%.80s' is not " HF "OWNER/NAME/FILE", what, name);
    int n = snprintf(repo, sizeof repo, "%.*s", (int)(file - name), name);
    if (n < 0 || (size_t)n >= sizeof repo || !hf_cache_find(dir, sizeof dir, repo))
        return stand_in(out, cap, name - strlen(HF));
    enum err err = model_path_join(out, cap, dir, file + 1, what);
    if (!err && os_real_path(real, sizeof real, out) == ERR_MISSING)
        return stand_in(out, cap, name - strlen(HF));
    return err;
}

enum err model_path_find(char *out, size_t cap, const char *dir, const char *name, const char *what)
{
    if (strncmp(name, HF, strlen(HF)) == 0)
        return find_in_cache(out, cap, name + strlen(HF), what);
    return model_path_join(out, cap, dir, name, what);
}
