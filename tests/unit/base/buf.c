/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "check.h"

static bool holds(const struct buf *b, const char *want)
{
    return bytes_equal(buf_view(b), bytes_str(want));
}

TEST(buf_grows_to_its_cap_and_no_further)
{
    struct buf b;

    buf_init(&b, 100);
    for (int i = 0; i < 100; i++)
        buf_add_byte(&b, 'x');
    CHECK(buf_err(&b) == OK && b.len == 100);
    buf_add_byte(&b, 'y');
    CHECK(buf_err(&b) == ERR_LIMIT && b.len == 100 && b.room <= 100);
    buf_clear(&b);
    CHECK(buf_err(&b) == OK && b.len == 0);
    buf_fini(&b);
}

TEST(buf_takes_nothing_after_a_failure)
{
    struct buf b;

    buf_init(&b, 4);
    buf_add_str(&b, "abc");
    buf_add_str(&b, "de");
    buf_add_str(&b, "f");
    CHECK(buf_err(&b) == ERR_LIMIT);
    CHECK(holds(&b, "abc"));
    buf_fini(&b);
}

TEST(buf_formats_short_and_long_text)
{
    struct buf b;
    char       want[600];

    buf_init(&b, 1000);
    buf_add_fmt(&b, "%0500d|%s", 7, "end");
    snprintf(want, sizeof want, "%0500d|%s", 7, "end");
    CHECK(holds(&b, want));
    buf_fini(&b);
}

TEST(buf_quotes_json)
{
    struct buf b;

    buf_init(&b, 1000);
    buf_add_json(&b, "a\"\\\n\x01\0z", 7);
    CHECK(holds(&b, "\"a\\\"\\\\\\n\\u0001\\u0000z\""));
    buf_fini(&b);
}

TEST(buf_replaces_bytes_that_are_not_utf8_in_json)
{
    static const char *const bad[] = { "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                       "\xe2\x82" };
    struct buf               b;

    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        buf_clear(&b);
        buf_add_json(&b, bad[i], strlen(bad[i]));
        CHECK(b.len == 2 + 3 * strlen(bad[i]));
        CHECK(memcmp(b.p + 1, "\xef\xbf\xbd", 3) == 0);
    }
    buf_clear(&b);
    buf_add_json(&b, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9);
    CHECK(holds(&b, "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""));
    buf_fini(&b);
}

TEST(buf_adds_a_json_string_whole_or_not_at_all)
{
    struct buf b;

    buf_init(&b, 6);
    buf_add_byte(&b, '[');
    buf_add_json(&b, "12345", 5);
    CHECK(buf_err(&b) == ERR_LIMIT);
    CHECK(holds(&b, "["));
    buf_fini(&b);
}

TEST(buf_drops_its_front)
{
    struct buf b;

    buf_init(&b, 10);
    buf_add_str(&b, "abcdef");
    buf_drop_front(&b, 2);
    CHECK(holds(&b, "cdef"));
    buf_drop_front(&b, 4);
    CHECK(b.len == 0);
    buf_fini(&b);
}

static enum err fill(void)
{
    struct buf b;

    buf_init(&b, 100000);
    buf_add_str(&b, "abc");
    buf_add_fmt(&b, "%01000d", 1);
    buf_add_json(&b, "text", 4);
    enum err err = buf_err(&b);
    buf_fini(&b);
    return err;
}

TEST(buf_survives_out_of_memory)
{
    CHECK_OOM(fill());
}
