/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "base/os.h"

/* A start of less than this shows nothing. */
#define QUIET_NS 700000000LL

static struct {
    struct weights_load load;
    char                tile_dir[4096];
    int64_t             start_ns; /* of the file that is being loaded; 0: none */
    bool                is_shown;
} state;

static bool is_cancelled(void *arg)
{
    return app_stop_signal() != 0;
}

static void on_progress(void *arg, int64_t done, int64_t total)
{
    int64_t now_ns = os_now_ns();

    if (state.start_ns == 0)
        state.start_ns = now_ns;
    if (state.is_shown || now_ns - state.start_ns > QUIET_NS) {
        state.is_shown = state.is_shown || done < total;
        if (state.is_shown)
            app_progress("loading", done, total);
    }
    if (done >= total) {
        state.is_shown = false;
        state.start_ns = 0;
    }
}

/* Where this user's programs keep what they can make again. */
static bool find_tile_dir(char *out, size_t cap)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

    if (cache && cache[0] == '/')
        return os_join(out, cap, cache, "parley/tiles") == OK;
    return home && home[0] == '/' && os_join(out, cap, home, ".cache/parley/tiles") == OK;
}

const struct weights_load *app_load(const struct app *app)
{
    const char *dir = app_str(app, OPT_TILE_CACHE);

    state.load = (struct weights_load){ .is_cancelled = is_cancelled, .on_progress = on_progress };
    if (dir && strcmp(dir, "none") != 0)
        state.load.tile_dir = dir;
    else if (!dir && find_tile_dir(state.tile_dir, sizeof state.tile_dir))
        state.load.tile_dir = state.tile_dir;
    return &state.load;
}
