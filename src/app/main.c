/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "app/help.h"
#include "app/options.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/trace.h"
#include "kernel/kern.h"

static const char *command_name_at(int i, const void *arg)
{
    return commands[i] ? commands[i]->name : NULL;
}

static const struct command *find_command(const char *name)
{
    for (int i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static enum err print_text(void (*write)(struct buf *out))
{
    struct buf out;

    buf_init(&out, 1 << 20);
    write(&out);
    enum err err = buf_err(&out);
    if (!err)
        err = app_print(buf_view(&out));
    buf_fini(&out);
    return err;
}

static enum err print_help(const struct command *c)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    help_command(&out, c);
    enum err err = buf_err(&out);
    if (!err)
        err = app_print(buf_view(&out));
    buf_fini(&out);
    return err;
}

/* A verb that ends by itself says what went wrong in its one sentence; only serve needs a log. */
static enum err set_log_level(const struct app *app)
{
    const char    *name = app_str(app, OPT_LOG_LEVEL);
    enum log_level level = strcmp(app->command->name, "serve") == 0 ? LOG_INFO : LOG_NONE;
    enum err       err = OK;

    if (name && strcmp(name, "auto") != 0)
        err = log_parse_level(&level, name);
    if (!err)
        log_set_level(level);
    return err;
}

static enum err choose_kernels(const struct app *app)
{
    char     origin[OPTIONS_ORIGIN_CAP];
    enum err err = kern_choose(app_str(app, OPT_CPU));

    if (err != ERR_USAGE)
        return err;
    options_origin(origin, app, OPT_CPU);
    return err_set(err, "%.100s: %s", origin, err_text(err));
}

struct named_file {
    const char *what, *path;
};

/* What is read, then what is written; their number. Of a pipe or device nothing can be lost. */
static int named_files(struct named_file *f, int *n_in, const struct app *app)
{
    static const enum option outs[] = { OPT_OUT, OPT_TEXT, OPT_TRACE };
    static const char *const names[] = { "--out", "--text", "--trace" };
    int                      n = 0, last = app_operand_count(app) - 1;
    bool                     has_files = app->command->ends_in_files;

    f[n++] = (struct named_file){ "--in", app_str(app, OPT_IN) };
    if (has_files)
        f[n++] = (struct named_file){ "the input", app_operand(app, last - 1) };
    for (int i = 0; i < n; i++)
        if (f[i].path && !os_is_file(f[i].path))
            f[i].path = NULL;
    *n_in = n;
    if (has_files)
        f[n++] = (struct named_file){ "the output", app_operand(app, last) };
    for (int i = 0; i < 3; i++)
        f[n++] = (struct named_file){ names[i], app_str(app, outs[i]) };
    return n;
}

/* An output is written to its end: of two only the last would be left, of an input nothing. */
static enum err check_files(const struct app *app)
{
    struct named_file f[6];
    int               n_in, n = named_files(f, &n_in, app);

    for (int i = n_in; i < n; i++)
        for (int k = 0; k < i; k++) {
            const char *a = f[k].path, *b = f[i].path;
            if (a && b && (strcmp(a, b) == 0 || os_is_same_place(a, b)) &&
                !os_is_same_file(a, "/dev/null"))
                return err_set(ERR_USAGE, "%s and %s are both '%s'", f[k].what, f[i].what, a);
        }
    return OK;
}

static enum err run_traced(struct app *app)
{
    const char *path = app_str(app, OPT_TRACE);
    enum err    err = check_files(app);

    if (!err && path)
        err = trace_open(path);
    if (err)
        return err;
    err = app->command->run(app);
    /* What failed before it began leaves no file; an end halfway, or a missed goal, does. */
    if (err && err != ERR_INTERRUPTED && err != ERR_FAIL)
        trace_cancel();
    char text[ERR_TEXT_CAP]; /* why the verb failed stays the sentence */
    snprintf(text, sizeof text, "%s", err_text(err));
    enum err trace_err = trace_close();
    return err ? err_set(err, "%s", text) : trace_err;
}

static enum err run_command(const struct command *c, int argc, char **argv)
{
    struct app *app = mem_zalloc(sizeof *app);
    if (!app)
        return ERR_NOMEM;
    app->command = c;
    enum err err = options_read_args(app, argc, argv);
    if (!err && app->value[OPT_HELP].n) {
        err = print_help(c);
    } else {
        if (!err)
            err = options_read_rest(app);
        if (!err)
            err = set_log_level(app);
        if (!err)
            err = choose_kernels(app);
        if (!err)
            err = run_traced(app);
    }
    options_fini(app);
    mem_free(app);
    return err;
}

static enum err no_verb(const char *word)
{
    return err_set(ERR_USAGE, "no verb is called '%.60s'; nearest: %s (see parley --help)", word,
                   options_nearest(word, command_name_at, NULL));
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static enum err run_line(int argc, char **argv)
{
    if (argc < 2)
        return err_set(ERR_USAGE, "a verb is missing; see 'parley --help'");
    bool is_help = asks_for_help(argv[1]), is_man = strcmp(argv[1], "--man") == 0;
    bool is_version = strcmp(argv[1], "--version") == 0;
    int  n_most = is_help ? 3 : 2; /* help may name a verb */

    if ((is_help || is_man || is_version) && argc > n_most)
        return err_set(ERR_USAGE, "'parley %s' takes no more words: '%.60s'", argv[1],
                       argv[n_most]);
    if (is_man || is_version)
        return is_man ? print_text(help_man_page)
                      : app_print(bytes_str("parley " PARLEY_VERSION "\n"));
    if (is_help && argc == 2)
        return print_text(help_overview);
    const char           *verb = argv[is_help ? 2 : 1];
    const struct command *c = find_command(verb);
    if (!c)
        return no_verb(verb);
    return is_help ? print_help(c) : run_command(c, argc, argv);
}

int main(int argc, char **argv)
{
    os_guard_streams();
    app_catch_signals(NULL, NULL);
    enum err err = run_line(argc, argv);

    log_stop();
    if (!err)
        app_say_threads();
    if (err && !(err == ERR_INTERRUPTED && app_has_said())) {
        err = err_set(err, "parley: %s", err_text(err)); /* at most 300 bytes with that, too */
        app_say("%s", err_text(err));
    }
    return err_exit_code(err);
}
