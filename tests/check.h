/* SPDX-License-Identifier: MIT */
/* check: TEST() and CHECK() over cmocka. A test file is a program; its main() is here.
 *
 *     TEST(ring_takes_only_what_fits)
 *     {
 *         CHECK(ring_push(r, in, 4) == 2);
 *     }
 *
 * Tests register themselves and run in the order of the file; the program's argument keeps those
 * whose name contains it. PARLEY_CPU chooses kernels as in the program. Output is TAP;
 * scripts/run-tests.sh adds up. Include it once a program.
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "kernel/kern.h"

#define CHECK_CAP 512

struct check_test {
    const char *name;
    void (*run)(void);
};

static struct check_test check_tests[CHECK_CAP];
static int               check_n_test;
static atomic_int        check_n_failed; /* of the running test, in threads it started */

static _Thread_local bool check_is_main;

#define TEST(name)                                              \
    static void                              test_##name(void); \
    __attribute__((constructor)) static void enrol_##name(void) \
    {                                                           \
        check_enrol(#name, test_##name);                        \
    }                                                           \
    static void test_##name(void)

/* Ends the test when x does not hold; in a thread of the test it is remembered and goes on. */
#define CHECK(x) check_that((x) ? true : false, #x, __FILE__, __LINE__)

/* Numbers with their values in the message. */
#define CHECK_INT(x, want) check_int((long long)(x), (long long)(want), #x, __FILE__, __LINE__)
#define CHECK_STR(x, want) check_str((x), (want), #x, __FILE__, __LINE__)

/* Ends the test as skipped; the reason is a sentence for people. */
#define SKIP(reason)                    \
    do {                                \
        printf("# skip: %s\n", reason); \
        fflush(stdout);                 \
        skip();                         \
    } while (0)

/* Calls x (an enum err, e.g. open_and_close()) with the first allocation failing, then the second
 * and so on until it succeeds. Each failure must be ERR_NOMEM and leave nothing behind. Tests that
 * use it have out_of_memory in their name: `make check-oom` runs them. */
#define CHECK_OOM(x)                                                                \
    do {                                                                            \
        size_t   n_before_ = mem_live_count();                                      \
        enum err err_ = ERR_NOMEM;                                                  \
        for (long n_ = 0; err_ && n_ < 100000; n_++) {                              \
            mem_fail_after(n_);                                                     \
            err_ = (x);                                                             \
            mem_fail_after(-1);                                                     \
            check_oom(err_, n_, mem_live_count() == n_before_, __FILE__, __LINE__); \
        }                                                                           \
        CHECK(err_ == OK);                                                          \
    } while (0)

__attribute__((unused)) static void check_enrol(const char *name, void (*run)(void))
{
    must(check_n_test < CHECK_CAP);
    check_tests[check_n_test++] = (struct check_test){ name, run };
}

__attribute__((unused, noinline)) static void check_that(bool ok, const char *what,
                                                         const char *file, int line)
{
    if (ok)
        return;
    mem_fail_after(-1);
    printf("# %s:%d: %s\n", file, line, what);
    fflush(stdout);
    if (check_is_main)
        _fail(file, line);
    atomic_fetch_add(&check_n_failed, 1);
}

__attribute__((unused)) static void check_int(long long x, long long want, const char *what,
                                              const char *file, int line)
{
    char text[256];

    snprintf(text, sizeof text, "%s is %lld, not %lld", what, x, want);
    check_that(x == want, text, file, line);
}

__attribute__((unused)) static void check_str(const char *x, const char *want, const char *what,
                                              const char *file, int line)
{
    char text[2048];

    snprintf(text, sizeof text, "%s is \"%s\", not \"%s\"", what, x ? x : "(null)", want);
    check_that(x && strcmp(x, want) == 0, text, file, line);
}

__attribute__((unused)) static void check_oom(enum err err, long n, bool is_clean, const char *file,
                                              int line)
{
    char text[128];

    snprintf(text, sizeof text, "allocation %ld fails: %s%s", n, err_name(err),
             is_clean ? "" : ", memory left behind");
    check_that((err == OK || err == ERR_NOMEM) && is_clean, text, file, line);
}

/* A path below the temporary folder of this run, valid until the next call on this thread. */
__attribute__((unused)) static const char *check_tmp(const char *name)
{
    static _Thread_local char path[4096];
    const char               *dir = getenv("PARLEY_TEST_TMP");

    snprintf(path, sizeof path, "%s/%s", dir ? dir : "/tmp", name);
    return path;
}

static void check_run(void **state)
{
    const struct check_test *t = *state;

    check_is_main = true;
    atomic_store(&check_n_failed, 0);
    t->run();
    if (atomic_load(&check_n_failed))
        _fail(__FILE__, __LINE__);
}

int main(int argc, char **argv)
{
    static struct CMUnitTest chosen[CHECK_CAP];
    size_t                   n = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < check_n_test; i++)
        if (argc < 2 || strstr(check_tests[i].name, argv[1]))
            chosen[n++] = (struct CMUnitTest){ check_tests[i].name, check_run, NULL, NULL,
                                               &check_tests[i] };
    if (n == 0) { /* other programs may have one: scripts/run-tests.sh minds when none does */
        printf("1..0 # no test has %s in its name\n", argc < 2 ? "anything" : argv[1]);
        return 0;
    }
    enum err err = kern_choose(getenv("PARLEY_CPU")); /* NULL: the best */
    if (err) {
        printf("Bail out! %s\n", err_text(err));
        return 1;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests(argv[0], chosen, n, NULL, NULL) ? 1 : 0;
}

#endif
