/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/gen_options.h"
#include "app/settings.h"
#include "base/log.h"
#include "base/os.h"
#include "server/server.h"
#include "talk/engine.h"

static bool is_word(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] <= ' ')
            return false;
    return true;
}

/* The key is the file's first line, but for blanks at its end. */
static enum err read_key(char *key, size_t cap, const char *path)
{
    struct buf b;

    buf_init(&b, 64 * 1024);
    enum err err = os_read_file(&b, path);
    size_t   len = 0, n_line = 0;
    while (!err && n_line < b.len && b.p[n_line] != '\n')
        if (b.p[n_line++] > ' ')
            len = n_line;
    if (err == ERR_LIMIT)
        err = err_set(ERR_AUTH, "%s: larger than 64 KiB, not a key file", path);
    if (!err && (len < 8 || len >= cap || !is_word(b.p, len)))
        err = err_set(ERR_AUTH, "%s: the key must have 8 to %zu characters and no blanks", path,
                      cap - 1);
    if (!err) {
        memcpy(key, b.p, len);
        key[len] = 0;
    }
    buf_fini(&b);
    return err;
}

static void read_lists(struct server_options *o, const char *hosts[16], const char *origins[16],
                       const struct app *app)
{
    for (int i = 0; i < app_list_count(app, OPT_LISTEN); i++)
        o->listen[o->n_listen++] = app_list_at(app, OPT_LISTEN, i);
    for (int i = 0; i < app_list_count(app, OPT_ALLOW_HOST); i++)
        hosts[o->n_host++] = app_list_at(app, OPT_ALLOW_HOST, i);
    for (int i = 0; i < app_list_count(app, OPT_ALLOW_ORIGIN); i++)
        origins[o->n_origin++] = app_list_at(app, OPT_ALLOW_ORIGIN, i);
    o->hosts = hosts;
    o->origins = origins;
}

static enum err print_urls(const struct server *server)
{
    enum err err = OK;

    for (int i = 0; !err && server_url(server, i); i++) {
        char line[256];
        snprintf(line, sizeof line, "%s\n", server_url(server, i));
        err = app_print(bytes_str(line));
    }
    return err;
}

/* The ports first: one that is in use is said before a model is loaded in vain. */
static enum err serve(struct app *app, const struct duplex_options *d, const char *key)
{
    struct server_options o = { .key = *key ? key : NULL,
                                .tune = gen_options_tune,
                                .tune_arg = app };
    const char           *hosts[16], *origins[16];
    struct server        *server = NULL;
    struct engine        *engine = NULL;

    read_lists(&o, hosts, origins, app);
    enum err err = server_open(&server, &o);
    if (err)
        return err;
    app_catch_signals(server_stop, server);
    if (app_stop_signal()) /* before there was anyone to wake */
        server_stop(server);
    err = print_urls(server);
    app_warn_threads();
    if (!err)
        err = engine_open(&engine, d);
    if (!err)
        err = server_run(server, engine);
    app_catch_signals(NULL, NULL);
    server_close(&server);
    engine_close(&engine);
    return err;
}

static enum err run(struct app *app)
{
    char                  dir[MODEL_PATH_CAP], key[256] = "";
    struct duplex_options o = { .model_dir = dir,
                                .n_lane = (int)app_int(app, OPT_MAX_TALKS),
                                .quant = app_quant(app),
                                .load = app_load(app) };

    enum err err = app_be_options(app, &o.be, false);
    if (!err)
        err = settings_check(app);
    if (!err && app_str(app, OPT_KEY_FILE))
        err = read_key(key, sizeof key, app_str(app, OPT_KEY_FILE));
    /* A model that is missing or broken degrades the server, it does not end it: the name itself is
     * what the engine then fails to open. */
    if (!err && app_model_dir(app, dir, sizeof dir) != OK)
        snprintf(dir, sizeof dir, "%s", app_str(app, OPT_MODEL) ? app_str(app, OPT_MODEL) : "");
    if (!err)
        err = log_start();
    if (!err)
        err = serve(app, &o, key);
    memset(key, 0, sizeof key);
    return err;
}

static const enum option options[] = {
    OPT_MODEL,      OPT_THREADS,      OPT_DEVICE, OPT_QUANT,       OPT_TILE_CACHE,
    OPT_KV,         OPT_PIN,          OPT_LISTEN, OPT_MAX_TALKS,   OPT_KEY_FILE,
    OPT_ALLOW_HOST, OPT_ALLOW_ORIGIN, OPT_SEED,   OPT_TEMPERATURE, OPT_TEXT_TEMPERATURE,
    OPT_TOP_K,      OPT_TEXT_TOP_K,   OPT_TRACE,  OPTION_COUNT
};

const struct command cmd_serve = {
    .name = "serve",
    .summary = "serve talks to browsers and programs",
    .operands = "",
    .text =
        "Serves the page at / and the talks at /api/chat (Kyutai's Moshi clients) and /packet "
        "(SolaceLive packets; any path on port 8788), with /health, /readyz and /metrics. Only "
        "this machine is served unless an address and a key file are given. The page's address is "
        "printed when it listens.",
    .example = "parley serve --listen 127.0.0.1:8998 --listen 127.0.0.1:8788",
    .run = run,
    .options = options,
};
