/* SPDX-License-Identifier: MIT */
#include "app/options.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

extern const struct command cmd_config;

/* `parley config ARGS...`, as far as options go; NULL ends the list. */
static enum err read(struct app *app, char **args)
{
    char *argv[32] = { "parley", "config" };
    int   argc = 2;

    while (args[argc - 2] && argc < 31) {
        argv[argc] = args[argc - 2];
        argc++;
    }
    *app = (struct app){ .command = &cmd_config };
    enum err err = options_read_args(app, argc, argv);
    return err ? err : options_read_rest(app);
}

/* A config file with this text, and no other setting from outside. */
static const char *config_file(const char *text)
{
    const char *path = check_tmp("options.json");
    FILE       *f = fopen(path, "w");

    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
    unsetenv("PARLEY_THREADS");
    unsetenv("PARLEY_LISTEN");
    CHECK(setenv("PARLEY_CONFIG", path, 1) == 0);
    return path;
}

static void check_threads(struct app *app, int64_t n, enum option_origin from)
{
    CHECK_INT(app_int(app, OPT_THREADS), n);
    CHECK_INT(app->value[OPT_THREADS].from, from);
    options_fini(app);
}

TEST(a_flag_wins_over_the_environment_over_the_file_over_the_default)
{
    struct app app;

    config_file("{}");
    CHECK(read(&app, (char *[]){ NULL }) == OK);
    check_threads(&app, 0, FROM_DEFAULT);
    config_file("{\"threads\": 2}");
    CHECK(read(&app, (char *[]){ NULL }) == OK);
    check_threads(&app, 2, FROM_FILE);
    CHECK(setenv("PARLEY_THREADS", "3", 1) == 0);
    CHECK(read(&app, (char *[]){ NULL }) == OK);
    check_threads(&app, 3, FROM_ENVIRONMENT);
    CHECK(read(&app, (char *[]){ "--threads", "4", NULL }) == OK);
    check_threads(&app, 4, FROM_FLAG);
    CHECK(read(&app, (char *[]){ "--threads=5", "--threads=6", NULL }) == OK);
    check_threads(&app, 6, FROM_FLAG);
}

TEST(a_list_is_of_one_origin)
{
    struct app app;

    config_file("{\"listen\": [\"127.0.0.1:1\", \"127.0.0.1:2\"]}");
    CHECK(read(&app, (char *[]){ NULL }) == OK);
    CHECK(app_list_count(&app, OPT_LISTEN) == 2);
    CHECK_STR(app_list_at(&app, OPT_LISTEN, 1), "127.0.0.1:2");
    options_fini(&app);
    CHECK(read(&app, (char *[]){ "--listen", "127.0.0.1:3", "--listen=127.0.0.1:4", NULL }) == OK);
    CHECK(app_list_count(&app, OPT_LISTEN) == 2);
    CHECK_STR(app_list_at(&app, OPT_LISTEN, 0), "127.0.0.1:3");
    options_fini(&app);
}

TEST(numbers_have_a_range_and_choices_their_words)
{
    static const char *const wrong[] = { "--threads=-1",  "--threads=1025",
                                         "--threads=1.5", "--threads=",
                                         "--threads=3x",  "--temperature=11",
                                         "--quant=q5",    "--quant=",
                                         "--quant=q4|q8", "--key-file=",
                                         "--pin=yes",     "--max-talks=0",
                                         "--seed=1e3",    "--seed=9007199254740993" };
    struct app               app;

    config_file("{}");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        enum err err = read(&app, (char *[]){ (char *)(uintptr_t)wrong[i], NULL });
        if (err != ERR_USAGE)
            printf("# %s: %d\n", wrong[i], err);
        CHECK(err == ERR_USAGE);
        options_fini(&app);
    }
}

TEST(an_origin_is_named_as_a_user_knows_it)
{
    struct app app;
    char       origin[OPTIONS_ORIGIN_CAP];

    const char *path = config_file("{\"cpu\": \"c\"}");
    CHECK(read(&app, (char *[]){ NULL }) == OK);
    options_origin(origin, &app, OPT_CPU);
    CHECK(strstr(origin, path) == origin && strstr(origin, ": \"cpu\""));
    options_origin(origin, &app, OPT_MAX_TALKS);
    CHECK(strcmp(origin, "default") == 0);
    options_fini(&app);
    CHECK(read(&app, (char *[]){ "--cpu", "c", NULL }) == OK);
    options_origin(origin, &app, OPT_CPU);
    CHECK(strcmp(origin, "--cpu") == 0);
    options_fini(&app);
}
