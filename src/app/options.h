/* SPDX-License-Identifier: MIT */
/* options: the values of a command line, and where each came from. Private to app/. */
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include "app/app.h"

/* PATH: a STR that names a file or folder, never empty where a flag or the config file gives it.
 * CHOICE: one of the words of arg, which bars separate. */
enum option_kind {
    STR,
    PATH,
    CHOICE,
    INT,
    NUM,
    FLAG,
    LIST,
    ONCE_STR,
    ONCE_PATH,
    ONCE_CHOICE,
    ONCE_INT,
    ONCE_FLAG
};

struct option_row {
    const char      *name;
    enum option_kind kind;
    const char      *dflt;
    double           min, max;
    const char      *arg;
    const char      *help;
};
extern const struct option_row options_rows[OPTION_COUNT];

#define OPTIONS_LIST_CAP   16
#define OPTIONS_NUMBER_CAP 32
#define OPTIONS_ORIGIN_CAP 4200

enum option_origin { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

struct option_value {
    enum option_origin from;
    int                n;                      /* strings; 1 unless a list; 0: empty, off */
    const char        *text[OPTIONS_LIST_CAP]; /* as given; owned by argv, environ or the file */
    double             num;                    /* INT, NUM */
};

struct app {
    const struct command *command;
    struct option_value   value[OPTION_COUNT];
    const char           *operand[64];
    int                   n_operand;
    struct json_t        *file; /* parsed config file; owned */
    char                  file_path[4096];
};

bool options_is_setting(enum option o);
void options_environment_name(char out[80], enum option o); /* PARLEY_MAX_TALKS for max-talks */
/* What gave the value, as sentences call it: "--cpu", "PARLEY_CPU", "FILE: \"cpu\"". */
void options_origin(char out[OPTIONS_ORIGIN_CAP], const struct app *app, enum option o);
/* A number as it is read back: whole ones without an exponent. */
void options_number_text(char out[OPTIONS_NUMBER_CAP], double num);
bool options_is_of(const struct command *c, enum option o);
/* Flags and operands of the verb: ERR_USAGE with the nearest name. */
enum err options_read_args(struct app *app, int argc, char **argv) MUST_CHECK;
/* What no flag set: environment, file, default. */
enum err options_read_rest(struct app *app) MUST_CHECK;
void     options_fini(struct app *app);
/* The name of the list nearest to word by edit distance; NULL when none is near. */
const char *options_nearest(const char *word, const char *(*name_at)(int i, const void *arg),
                            const void *arg);

#endif
