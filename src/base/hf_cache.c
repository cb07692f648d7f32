/* SPDX-License-Identifier: MIT */
#include "base/hf_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/os.h"

#define PATH_CAP 4096

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
            return os_join(out, cap, value, places[i].folder) == OK;
    }
    return false;
}

/* models--owner--name/refs/main names the snapshot. */
bool hf_cache_find(char *out, size_t cap, const char *name)
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
           os_join(out, cap, path, rev) == OK && os_is_dir(out);
}
