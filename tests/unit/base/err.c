/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include "base/os.h"
#include "check.h"

TEST(err_keeps_the_sentence_of_its_code)
{
    CHECK(err_set(ERR_FORMAT, "%s: broken", "a.wav") == ERR_FORMAT);
    CHECK_STR(err_text(ERR_FORMAT), "a.wav: broken");
    CHECK_STR(err_text(ERR_NOMEM), "out of memory");
}

TEST(err_lets_a_sentence_quote_the_one_before)
{
    (void)err_set(ERR_IO, "inner");
    (void)err_set(ERR_FORMAT, "outer: %s", err_text(ERR_IO));
    CHECK_STR(err_text(ERR_FORMAT), "outer: inner");
}

TEST(err_keeps_a_sentence_in_one_line)
{
    (void)err_set(ERR_FORMAT, "a\nb\tc\033[31m\x7f");
    CHECK_STR(err_text(ERR_FORMAT), "a b c [31m ");
}

TEST(err_cuts_a_long_sentence_between_characters)
{
    char s[400];

    for (size_t i = 0; i + 1 < sizeof s; i += 2)
        memcpy(s + i, "\xc3\xa4", 2);
    s[398] = '\0';
    (void)err_set(ERR_FORMAT, "x%s", s);
    CHECK_INT(strlen(err_text(ERR_FORMAT)), 299);
    (void)err_set(ERR_FORMAT, "%s", s);
    CHECK_INT(strlen(err_text(ERR_FORMAT)), 300);
}

static void fail_elsewhere(void *arg)
{
    (void)err_set(ERR_FORMAT, "another thread's");
}

TEST(err_keeps_a_sentence_for_each_thread)
{
    struct os_thread *t;

    (void)err_set(ERR_FORMAT, "mine");
    CHECK(os_thread_start(&t, "other", fail_elsewhere, NULL) == OK);
    os_thread_join(&t);
    CHECK_STR(err_text(ERR_FORMAT), "mine");
}

TEST(err_gives_the_exit_codes_of_the_contract)
{
    static const struct {
        enum err err;
        int      code;
    } want[] = {
        { OK, 0 },          { ERR_FAIL, 1 },  { ERR_IO, 1 },       { ERR_USAGE, 2 },
        { ERR_MISSING, 3 }, { ERR_AUTH, 4 },  { ERR_NET, 5 },      { ERR_FORMAT, 6 },
        { ERR_LIMIT, 7 },   { ERR_NOMEM, 7 }, { ERR_HARDWARE, 8 }, { ERR_INTERRUPTED, 130 }
    };

    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        CHECK_INT(err_exit_code(want[i].err), want[i].code);
}
