/* SPDX-License-Identifier: MIT */
/* app: what a verb of the command line gets and gives.
 *
 * A verb returns OK or an error with its sentence (base/err.h); main prints that one line on
 * stderr and exits with its code. One that was interrupted may have said its figures instead. Data
 * goes to stdout through app_print, at the end, so that a verb that fails has printed nothing. Talk
 * goes to stderr through app_say.
 */
#ifndef APP_APP_H
#define APP_APP_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/be.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/weights.h"

/* The options: rows of options.def. */
enum option {
#define OPTION(symbol, name, kind, dflt, min, max, arg, help) OPT_##symbol,
#include "app/options.def"
#undef OPTION
    OPTION_COUNT
};

struct app;

struct command {
    const char *name;
    const char *summary;  /* one line for `parley --help` */
    const char *operands; /* "IN.wav OUT.safetensors" or "" */
    const char *text;     /* paragraphs of --help */
    const char *example;  /* one line, as typed */
    int         min_operand, max_operand;
    bool        ends_in_files; /* the last two operands: what is read, what is written */
    enum err (*run)(struct app *app);
    const enum option *options; /* ended by OPTION_COUNT */
};
extern const struct command *const commands[]; /* NULL-ended; commands.c */

/* Values, by precedence flag > environment > config file > default. */
const char *app_str(const struct app *app, enum option o); /* NULL when empty */
int64_t     app_int(const struct app *app, enum option o);
double      app_num(const struct app *app, enum option o);
bool        app_flag(const struct app *app, enum option o);
bool        app_is_set(const struct app *app, enum option o); /* by anything but the default */
int         app_list_count(const struct app *app, enum option o);
const char *app_list_at(const struct app *app, enum option o, int i);
int         app_operand_count(const struct app *app);
const char *app_operand(const struct app *app, int i); /* NULL past the end */

/* stdout; full or closed: ERR_IO. Nobody reads and a stop signal comes: ERR_INTERRUPTED. */
enum err app_print(struct bytes data) MUST_CHECK;
void     app_say(const char *fmt, ...) PRINTF_LIKE(1, 2); /* stderr, a line */
bool     app_has_said(void);                              /* anything by app_say */
/* A progress bar on a terminal's stderr, nothing elsewhere; done == total ends the line. */
void app_progress(const char *what, int64_t done, int64_t total);
/* SIGINT or SIGTERM has come: its number, else 0. main catches them for every verb; who waits for
 * something else asks to be woken, and looks once more after that. */
void     app_catch_signals(void (*wake)(void *), void *arg);
int      app_stop_signal(void);
enum err app_go_on(void) MUST_CHECK; /* ERR_INTERRUPTED when one has come */

/* --model resolved to a folder: name, path or owner/name. ERR_MISSING. */
enum err app_model_dir(const struct app *app, char *out, size_t cap) MUST_CHECK;
enum err app_find_model(const char *name, char *out, size_t cap) MUST_CHECK; /* any name */
/* --threads, --device, --quant as the backend and the loader want them. */
enum err app_be_options(const struct app *app, struct be_options *out, bool is_exact) MUST_CHECK;
/* --tile-cache, a bar on a terminal for what takes long, and an end by signals. */
const struct weights_load *app_load(const struct app *app);
/* When fewer threads compute than --threads asked for, a log line, or, without one, a sentence. */
void               app_warn_threads(void);
void               app_say_threads(void);
enum weights_quant app_quant(const struct app *app);

#endif
