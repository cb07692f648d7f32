/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include "base/os.h"
#include "base/utf8.h"
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

TEST(err_cuts_the_middle_of_a_long_sentence)
{
    char s[10000];

    memset(s, 'x', sizeof s);
    s[300] = '\0';
    (void)err_set(ERR_FORMAT, "%s", s);
    CHECK_STR(err_text(ERR_FORMAT), s);
    s[290] = 'x';
    s[299] = 'x';
    s[300] = '\0';
    (void)err_set(ERR_FORMAT, "/first/%s/last.wav: no such file", s);
    CHECK_INT(strlen(err_text(ERR_FORMAT)), 300);
    CHECK(strncmp(err_text(ERR_FORMAT), "/first/xxx", 10) == 0);
    CHECK(strstr(err_text(ERR_FORMAT), "xxx...xxx"));
    CHECK(strstr(err_text(ERR_FORMAT), "xxx/last.wav: no such file"));
    s[300] = 'x';
    s[sizeof s - 1] = '\0';
    (void)err_set(ERR_FORMAT, "%s", s);
    CHECK_INT(strlen(err_text(ERR_FORMAT)), 300);
}

TEST(err_cuts_a_long_sentence_between_characters)
{
    char s[400], longer[408];

    for (size_t i = 0; i + 1 < sizeof s; i += 2)
        memcpy(s + i, "\xc3\xa4", 2);
    s[398] = '\0';
    for (int n = 0; n < 8; n++) {
        snprintf(longer, sizeof longer, "%.*s%s", n, "abcdefgh", s);
        (void)err_set(ERR_FORMAT, "%s", longer);
        size_t len = strlen(err_text(ERR_FORMAT));
        CHECK(len >= 298 && len <= 300);
        CHECK(utf8_is_valid(bytes_str(err_text(ERR_FORMAT))));
    }
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
