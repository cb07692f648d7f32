/* SPDX-License-Identifier: MIT */
#include "app/settings.h"

#include <stdio.h>
#include <string.h>

#include "app/options.h"
#include "server/access.h"
#include "server/listener.h"
#include "server/server.h"

/* `threads = 3  (environment PARLEY_THREADS)` */
static void write_origin(struct buf *out, const struct app *app, enum option o)
{
    char name[80];

    switch (app->value[o].from) {
    case FROM_FLAG: buf_add_str(out, "flag"); break;
    case FROM_FILE: buf_add_fmt(out, "file %s", app->file_path); break;
    case FROM_ENVIRONMENT:
        options_environment_name(name, o);
        buf_add_fmt(out, "environment %s", name);
        break;
    case FROM_DEFAULT: buf_add_str(out, "default"); break;
    }
}

static void write_json_list(struct buf *out, const struct option_value *v)
{
    buf_add_str(out, "[");
    for (int i = 0; i < v->n; i++) {
        buf_add_str(out, i ? ", " : "");
        buf_add_json(out, v->text[i], strlen(v->text[i]));
    }
    buf_add_str(out, "]");
}

static void write_json_value(struct buf *out, const struct option_value *v, enum option_kind kind)
{
    char number[OPTIONS_NUMBER_CAP];

    if (kind == FLAG) {
        buf_add_str(out, v->n ? "true" : "false");
    } else if (kind == LIST) {
        write_json_list(out, v);
    } else if (v->n == 0) {
        buf_add_str(out, "null");
    } else if (kind == INT || kind == NUM) {
        options_number_text(number, v->num);
        buf_add_str(out, number);
    } else {
        buf_add_json(out, v->text[0], strlen(v->text[0]));
    }
}

static void write_json_origin(struct buf *out, const struct app *app, enum option o)
{
    struct buf origin;

    buf_init(&origin, 8192);
    write_origin(&origin, app, o);
    buf_add_json(out, (const char *)origin.p, origin.len);
    buf_fini(&origin);
}

void settings_write_json(const struct app *app, struct buf *out, bool has_origin)
{
    const char *between = "{\n";

    for (int i = 0; i < OPTION_COUNT; i++) {
        enum option o = (enum option)i;
        if (!options_is_setting(o))
            continue;
        buf_add_fmt(out, "%s  \"%s\": %s", between, options_rows[o].name,
                    has_origin ? "{\"value\": " : "");
        if (o == OPT_CONFIG && !has_origin) /* a config file names no other */
            buf_add_str(out, "null");
        else
            write_json_value(out, &app->value[o], options_rows[o].kind);
        if (has_origin) {
            buf_add_str(out, ", \"origin\": ");
            write_json_origin(out, app, o);
            buf_add_str(out, "}");
        }
        between = ",\n";
    }
    buf_add_str(out, "\n}\n");
}

void settings_write_text(const struct app *app, struct buf *out, bool has_origin)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        enum option                o = (enum option)i;
        const struct option_value *v = &app->value[o];
        if (!options_is_setting(o))
            continue;
        buf_add_fmt(out, "%s = ", options_rows[o].name);
        if (options_rows[o].kind == FLAG)
            buf_add_str(out, v->n ? "true" : "false");
        for (int k = 0; options_rows[o].kind != FLAG && k < v->n; k++)
            buf_add_fmt(out, "%s%s", k ? ", " : "", v->text[k]);
        if (has_origin) {
            buf_add_str(out, "  (");
            write_origin(out, app, o);
            buf_add_str(out, ")");
        }
        buf_add_str(out, "\n");
    }
}

/* The sentence of wrong, after the name of what gave the value. */
static enum err blame(const struct app *app, enum option o, const char *wrong)
{
    char origin[OPTIONS_ORIGIN_CAP];

    options_origin(origin, app, o);
    return err_set(ERR_USAGE, "%.100s: %.160s", origin, wrong);
}

static enum err check_listen(const struct app *app)
{
    char text[ERR_TEXT_CAP];
    bool is_loopback;

    if (app_list_count(app, OPT_LISTEN) > SERVER_MAX_LISTEN) {
        snprintf(text, sizeof text, "at most %d addresses", SERVER_MAX_LISTEN);
        return blame(app, OPT_LISTEN, text);
    }
    for (int i = 0; i < app_list_count(app, OPT_LISTEN); i++)
        if (listener_check(&is_loopback, app_list_at(app, OPT_LISTEN, i)) != OK) {
            snprintf(text, sizeof text, "%s", err_text(ERR_USAGE));
            return blame(app, OPT_LISTEN, text);
        }
    return OK;
}

/* What can never match would be taken for a permission. */
static enum err check_names(const struct app *app, enum option o, bool (*is_name)(const char *text),
                            const char *form)
{
    char text[ERR_TEXT_CAP];

    for (int i = 0; i < app_list_count(app, o); i++)
        if (!is_name(app_list_at(app, o, i))) {
            snprintf(text, sizeof text, "'%.60s' is not %s", app_list_at(app, o, i), form);
            return blame(app, o, text);
        }
    return OK;
}

enum err settings_check(const struct app *app)
{
    enum err err = check_listen(app);

    if (!err)
        err = check_names(app, OPT_ALLOW_HOST, access_is_host_name, "NAME or NAME:PORT");
    if (!err)
        err = check_names(app, OPT_ALLOW_ORIGIN, access_is_origin_name,
                          "scheme://host or scheme://host:port");
    return err;
}
