/* SPDX-License-Identifier: MIT */
#include "app/settings.h"

#include <string.h>

#include "app/options.h"

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

static void write_value(struct buf *out, const struct app *app, enum option o, bool as_json)
{
    const struct option_value *v = &app->value[o];
    enum option_kind           kind = options_rows[o].kind;

    if (kind == FLAG) {
        buf_add_str(out, v->n ? "true" : "false");
    } else if (as_json && kind == LIST) {
        buf_add_str(out, "[");
        for (int i = 0; i < v->n; i++) {
            buf_add_str(out, i ? ", " : "");
            buf_add_json(out, v->text[i], strlen(v->text[i]));
        }
        buf_add_str(out, "]");
    } else if (as_json && v->n == 0) {
        buf_add_str(out, "null");
    } else if (as_json && (kind == INT || kind == NUM)) {
        char text[OPTIONS_NUMBER_CAP];
        options_number_text(text, v->num);
        buf_add_str(out, text);
    } else if (as_json) {
        buf_add_json(out, v->text[0], strlen(v->text[0]));
    } else {
        for (int i = 0; i < v->n; i++)
            buf_add_fmt(out, "%s%s", i ? ", " : "", v->text[i]);
    }
}

static void write_json_row(struct buf *out, const struct app *app, enum option o, bool with_origin)
{
    buf_add_fmt(out, "  \"%s\": ", options_rows[o].name);
    if (with_origin)
        buf_add_str(out, "{\"value\": ");
    write_value(out, app, o, true);
    if (with_origin) {
        struct buf origin;
        buf_init(&origin, 8192);
        write_origin(&origin, app, o);
        buf_add_str(out, ", \"origin\": ");
        buf_add_json(out, (const char *)origin.p, origin.len);
        buf_add_str(out, "}");
        buf_fini(&origin);
    }
}

void settings_write(const struct app *app, struct buf *out, bool with_origin, bool as_json)
{
    bool is_first = true;

    buf_add_str(out, as_json ? "{\n" : "");
    for (int i = 0; i < OPTION_COUNT; i++) {
        enum option o = (enum option)i;
        if (!options_is_setting(o))
            continue;
        if (as_json) {
            buf_add_str(out, is_first ? "" : ",\n");
            write_json_row(out, app, o, with_origin);
        } else {
            buf_add_fmt(out, "%s = ", options_rows[o].name);
            write_value(out, app, o, false);
            if (with_origin) {
                buf_add_str(out, "  (");
                write_origin(out, app, o);
                buf_add_str(out, ")");
            }
            buf_add_str(out, "\n");
        }
        is_first = false;
    }
    buf_add_str(out, as_json ? "\n}\n" : "");
}
