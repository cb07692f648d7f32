/* SPDX-License-Identifier: MIT */
#include "app/options.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"

const struct option_row options_rows[OPTION_COUNT] = {
#define OPTION(symbol, name, kind, dflt, min, max, arg, help) \
    [OPT_##symbol] = { name, kind, dflt, min, max, arg, help },
#include "app/options.def"
#undef OPTION
};

bool options_is_setting(enum option o)
{
    return options_rows[o].kind < ONCE_STR;
}

static bool is_flag(enum option o)
{
    return options_rows[o].kind == FLAG || options_rows[o].kind == ONCE_FLAG;
}

static bool is_path(enum option o)
{
    return options_rows[o].kind == PATH || options_rows[o].kind == ONCE_PATH;
}

static bool is_choice(enum option o)
{
    return options_rows[o].kind == CHOICE || options_rows[o].kind == ONCE_CHOICE;
}

bool options_is_of(const struct command *c, enum option o)
{
    if (o == OPT_HELP || o == OPT_CONFIG || o == OPT_LOG_LEVEL || o == OPT_CPU)
        return true;
    for (int i = 0; c->options[i] != OPTION_COUNT; i++)
        if (c->options[i] == o)
            return true;
    return false;
}

static bool is_same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Edit distance of two short words, one row at a time; case does not count. */
static int distance(const char *a, const char *b)
{
    int row[64];
    int n = (int)strnlen(b, 63);

    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 0; a[i] && i < 63; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 1; j <= n; j++) {
            int change = diagonal + !is_same_letter(a[i], b[j - 1]);
            diagonal = row[j];
            int shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < shift ? change : shift;
        }
    }
    return row[n];
}

const char *options_nearest(const char *word, const char *(*name_at)(int i, const void *arg),
                            const void *arg)
{
    const char *best = NULL;
    int         least = 1 << 20;

    for (int i = 0; name_at(i, arg); i++) {
        const char *name = name_at(i, arg);
        bool        is_begun = *word && strncasecmp(name, word, strlen(word)) == 0;
        int         d = is_begun ? strlen(name) > strlen(word) : distance(word, name);
        if (d < least) {
            least = d;
            best = name;
        }
    }
    return best;
}

static const char *option_name_at(int i, const void *arg)
{
    for (int o = 0; o < OPTION_COUNT; o++)
        if (options_is_of(arg, (enum option)o) && i-- == 0)
            return options_rows[o].name;
    return NULL;
}

static const struct command *owner_of(enum option o)
{
    for (int i = 0; commands[i]; i++)
        if (options_is_of(commands[i], o))
            return commands[i];
    return NULL;
}

/* The option of this verb called name (len bytes). */
static enum err find_option(enum option *out, const struct app *app, const char *name, size_t len)
{
    char        word[64];
    const char *verb = app->command->name;

    if (len >= sizeof word)
        len = sizeof word - 1;
    memcpy(word, name, len);
    word[len] = 0;
    for (int o = 0; o < OPTION_COUNT; o++) {
        if (strcmp(options_rows[o].name, word) != 0)
            continue;
        *out = (enum option)o;
        if (options_is_of(app->command, *out))
            return OK;
        const struct command *owner = owner_of(*out);
        return err_set(
            ERR_USAGE, "'parley %s' has no option --%s, 'parley %s' has; nearest here: --%s", verb,
            word, owner ? owner->name : "?", options_nearest(word, option_name_at, app->command));
    }
    return err_set(ERR_USAGE,
                   "'parley %s' has no option --%s; nearest: --%s (see parley %s --help)", verb,
                   word, options_nearest(word, option_name_at, app->command), verb);
}

void options_number_text(char out[OPTIONS_NUMBER_CAP], double num)
{
    /* Up to 2^53 every whole number is one. */
    if (num == floor(num) && fabs(num) <= 9007199254740992.0) {
        snprintf(out, OPTIONS_NUMBER_CAP, "%.0f", num);
        return;
    }
    for (int n_digit = 15; n_digit <= 17; n_digit++) {
        snprintf(out, OPTIONS_NUMBER_CAP, "%.*g", n_digit, num);
        if (strtod(out, NULL) == num)
            return;
    }
}

/* Checks a number against its row. origin names the source in the sentence. */
static enum err read_number(struct option_value *v, enum option o, const char *text,
                            const char *origin)
{
    const struct option_row *row = &options_rows[o];
    bool                     is_whole = row->kind == INT || row->kind == ONCE_INT;
    char                    *end = NULL;
    double                   num = strtod(text, &end);

    if (!*text || *end || !isfinite(num) || num < row->min || num > row->max ||
        (is_whole && (num != floor(num) || strpbrk(text, ".eExX")))) {
        char min[OPTIONS_NUMBER_CAP], max[OPTIONS_NUMBER_CAP];
        options_number_text(min, row->min);
        options_number_text(max, row->max);
        return err_set(ERR_USAGE, "%s: '%s' is not a %snumber from %s to %s", origin, text,
                       is_whole ? "whole " : "", min, max);
    }
    v->num = num;
    return OK;
}

/* On is one string, off none. */
static enum err read_switch(struct option_value *v, const char *text, const char *origin)
{
    bool is_on = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;

    if (!is_on && strcmp(text, "0") != 0 && strcmp(text, "false") != 0)
        return err_set(ERR_USAGE, "%s: '%s' is neither true (1) nor false (0)", origin, text);
    v->text[0] = text;
    v->n = is_on;
    return OK;
}

/* The words are "auto|cpu|cuda"; the sentence lists them with commas. */
static enum err check_choice(enum option o, const char *text, const char *origin)
{
    const char *words = options_rows[o].arg;
    char        list[80];
    size_t      n = 0;

    for (const char *w = words; *w;) {
        size_t len = strcspn(w, "|");
        if (strlen(text) == len && strncmp(text, w, len) == 0)
            return OK;
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%.*s", n ? ", " : "", (int)len, w);
        must(n < sizeof list);
        w += len + (w[len] == '|');
    }
    return err_set(ERR_USAGE, "%s: '%.60s' is none of %s", origin, text, list);
}

static enum err set_value(struct app *app, enum option o, const char *text, enum option_origin from,
                          const char *origin)
{
    struct option_value *v = &app->value[o];
    enum option_kind     kind = options_rows[o].kind;

    if (kind != LIST || v->from != from)
        v->n = 0;
    if (v->n == OPTIONS_LIST_CAP)
        return err_set(ERR_USAGE, "%s: at most %d times", origin, OPTIONS_LIST_CAP);
    v->from = from;
    /* A mistake, as "$UNSET" in a script: it would serve without a key, or lose the output. */
    if (is_path(o) && !*text)
        return err_set(ERR_USAGE, "%s: is empty, it needs a name: %s", origin, options_rows[o].arg);
    if (is_choice(o)) {
        enum err err = check_choice(o, text, origin);
        if (err)
            return err;
    }
    if (is_flag(o))
        return read_switch(v, text, origin);
    if (*text || kind == LIST)
        v->text[v->n++] = text;
    if ((kind == INT || kind == NUM || kind == ONCE_INT) && (*text || from != FROM_DEFAULT))
        return read_number(v, o, text, origin);
    return OK;
}

/* --name, --name value or --name=value at argv[*i]. */
static enum err read_flag(struct app *app, int *i, int argc, char **argv)
{
    const char *name = argv[*i] + 2;
    size_t      len = strcspn(name, "=");
    enum option o = OPTION_COUNT;
    char        origin[80];

    enum err err = find_option(&o, app, name, len);
    if (err)
        return err;
    snprintf(origin, sizeof origin, "--%s", options_rows[o].name);
    if (is_flag(o)) {
        if (name[len])
            return err_set(ERR_USAGE, "%s takes no value", origin);
        return set_value(app, o, "1", FROM_FLAG, origin);
    }
    if (name[len])
        return set_value(app, o, name + len + 1, FROM_FLAG, origin);
    if (*i + 1 >= argc)
        return err_set(ERR_USAGE, "%s needs a value: %s", origin, options_rows[o].arg);
    return set_value(app, o, argv[++*i], FROM_FLAG, origin);
}

static enum err refuse_operand(const struct command *c, const char *operand)
{
    if (c->max_operand == 0)
        return err_set(ERR_USAGE, "'parley %s' takes no operand: '%s'", c->name, operand);
    return err_set(ERR_USAGE, "'%s' is one operand too many for 'parley %s %s'", operand, c->name,
                   c->operands);
}

enum err options_read_args(struct app *app, int argc, char **argv)
{
    bool is_options = true;

    for (int i = 2; i < argc; i++) {
        enum err err = OK;
        if (is_options && strcmp(argv[i], "--") == 0)
            is_options = false;
        else if (is_options && strcmp(argv[i], "-h") == 0)
            err = set_value(app, OPT_HELP, "1", FROM_FLAG, "-h");
        else if (is_options && strncmp(argv[i], "--", 2) == 0)
            err = read_flag(app, &i, argc, argv);
        else if (is_options && argv[i][0] == '-' && argv[i][1])
            err = err_set(ERR_USAGE, "'parley %s' has no option %s (see parley %s --help)",
                          app->command->name, argv[i], app->command->name);
        else if (app->n_operand == app->command->max_operand)
            err = refuse_operand(app->command, argv[i]);
        else if (!*argv[i]) /* as "$UNSET" in a script */
            err = err_set(ERR_USAGE, "'parley %s': an operand is empty; they are: %s",
                          app->command->name, app->command->operands);
        else
            app->operand[app->n_operand++] = argv[i];
        if (err)
            return err;
    }
    if (app->n_operand < app->command->min_operand && !app->value[OPT_HELP].n)
        return err_set(ERR_USAGE, "'parley %s' needs its operands: %s", app->command->name,
                       app->command->operands);
    return OK;
}

/* PARLEY_MAX_TALKS for "max-talks". */
void options_environment_name(char out[80], enum option o)
{
    int n = snprintf(out, 80, "PARLEY_%s", options_rows[o].name);
    for (int i = 0; i < n; i++)
        out[i] = out[i] == '-'                    ? '_'
                 : out[i] >= 'a' && out[i] <= 'z' ? (char)(out[i] - 32)
                                                  : out[i];
}

void options_origin(char out[OPTIONS_ORIGIN_CAP], const struct app *app, enum option o)
{
    const char *name = options_rows[o].name;

    switch (app->value[o].from) {
    case FROM_FLAG: snprintf(out, OPTIONS_ORIGIN_CAP, "--%s", name); break;
    case FROM_ENVIRONMENT: options_environment_name(out, o); break;
    case FROM_FILE:
        snprintf(out, OPTIONS_ORIGIN_CAP, "%.4000s: \"%s\"", app->file_path, name);
        break;
    case FROM_DEFAULT: snprintf(out, OPTIONS_ORIGIN_CAP, "default"); break;
    }
}

static enum err set_from_environment(struct app *app, enum option o)
{
    char name[80];

    options_environment_name(name, o);
    const char *text = getenv(name);
    if (!text || !*text)
        return OK;
    return set_value(app, o, text, FROM_ENVIRONMENT, name);
}

static enum err set_from_json(struct app *app, enum option o, const json_t *v)
{
    enum option_kind kind = options_rows[o].kind;
    char             origin[4200];

    snprintf(origin, sizeof origin, "%s: \"%s\"", app->file_path, options_rows[o].name);
    if (json_is_string(v))
        return set_value(app, o, json_string_value(v), FROM_FILE, origin);
    if (json_is_boolean(v) && is_flag(o))
        return set_value(app, o, json_is_true(v) ? "true" : "false", FROM_FILE, origin);
    if (json_is_number(v) && (is_flag(o) || kind == INT || kind == NUM)) {
        /* The text is kept in the document, so that every value is a string with an owner. */
        char text[OPTIONS_NUMBER_CAP];
        if (json_is_integer(v)) /* beyond 2^53 too: the sentence quotes it */
            snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
        else
            options_number_text(text, json_number_value(v));
        json_t *kept = json_string(text);
        json_object_set_new(app->file, options_rows[o].name, kept);
        return set_value(app, o, json_string_value(kept), FROM_FILE, origin);
    }
    if (json_is_array(v) && kind == LIST) {
        enum err err = OK;
        for (size_t i = 0; !err && i < json_array_size(v); i++) {
            const char *text = json_string_value(json_array_get(v, i));
            err = text ? set_value(app, o, text, FROM_FILE, origin)
                       : err_set(ERR_USAGE, "%s: must be a list of strings", origin);
        }
        return err;
    }
    if (is_flag(o))
        return err_set(ERR_USAGE, "%s: must be true or false", origin);
    return err_set(ERR_USAGE, "%s: the value has the wrong type", origin);
}

static const char *setting_name_at(int i, const void *arg)
{
    for (int o = 0; o < OPTION_COUNT; o++)
        if (options_is_setting((enum option)o) && i-- == 0)
            return options_rows[o].name;
    return NULL;
}

static enum err check_file_keys(const struct app *app)
{
    const char   *key, *config = options_rows[OPT_CONFIG].name;
    json_t       *value;
    const json_t *other = json_object_get(app->file, config);

    if (other && !json_is_null(other))
        return err_set(ERR_USAGE, "%s: \"%s\": a config file cannot name another", app->file_path,
                       config);

    json_object_foreach(app->file, key, value)
    {
        bool is_known = false;
        for (int o = 0; o < OPTION_COUNT; o++)
            is_known |= options_is_setting((enum option)o) &&
                        strcmp(options_rows[o].name, key) == 0;
        if (!is_known)
            return err_set(ERR_USAGE, "%s: no setting is called \"%s\"; nearest: \"%s\"",
                           app->file_path, key, options_nearest(key, setting_name_at, NULL));
    }
    return OK;
}

/* The file that --config or PARLEY_CONFIG names must exist; the user's own may be absent. */
static enum err open_file(struct app *app)
{
    enum err err = app->value[OPT_CONFIG].n ? OK : set_from_environment(app, OPT_CONFIG);
    if (err)
        return err;
    const char *given = app_str(app, OPT_CONFIG);
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (given)
        snprintf(app->file_path, sizeof app->file_path, "%s", given);
    else if (xdg && *xdg)
        snprintf(app->file_path, sizeof app->file_path, "%s/parley/config.json", xdg);
    else if (home && *home)
        snprintf(app->file_path, sizeof app->file_path, "%s/.config/parley/config.json", home);
    if (!given && !os_is_file(app->file_path))
        return OK;
    err = json_read_file(&app->file, app->file_path, 64 * 1024);
    if (!err && !json_is_object(app->file))
        err = err_set(ERR_FORMAT, "%s: must be a JSON object", app->file_path);
    return err ? err : check_file_keys(app);
}

enum err options_read_rest(struct app *app)
{
    enum err err = open_file(app);

    for (int i = 0; !err && i < OPTION_COUNT; i++) {
        enum option          o = (enum option)i;
        struct option_value *v = &app->value[o];
        if (v->from == FROM_DEFAULT && options_is_setting(o))
            err = set_from_environment(app, o);
        json_t *in_file = app->file ? json_object_get(app->file, options_rows[o].name) : NULL;
        if (!err && v->from == FROM_DEFAULT && in_file && !json_is_null(in_file))
            err = set_from_json(app, o, in_file);
        if (!err && v->from == FROM_DEFAULT && *options_rows[o].dflt)
            err = set_value(app, o, options_rows[o].dflt, FROM_DEFAULT, "default");
    }
    return err;
}

void options_fini(struct app *app)
{
    json_decref(app->file);
    app->file = NULL;
}
