/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include "check.h"

TEST(utf8_measures_whole_characters)
{
    CHECK_INT(utf8_len(bytes_str("a")), 1);
    CHECK_INT(utf8_len(bytes_of("", 1)), 1);
    CHECK_INT(utf8_len(bytes_str("\xC3\xA9x")), 2);
    CHECK_INT(utf8_len(bytes_str("\xE2\x82\xAC")), 3);
    CHECK_INT(utf8_len(bytes_str("\xF4\x8F\xBF\xBF")), 4);
    CHECK_INT(utf8_len(bytes_str(UTF8_BAD)), 3);
}

TEST(utf8_refuses_what_is_no_character)
{
    const char *bad[] = { "",
                          "\x80",
                          "\xC0\x80",
                          "\xC1\xBF",
                          "\xC3",
                          "\xC3(",
                          "\xE0\x80\x80",
                          "\xED\xA0\x80",
                          "\xE2\x82",
                          "\xF0\x8F\x80\x80",
                          "\xF4\x90\x80\x80",
                          "\xF5\x80\x80\x80",
                          "\xFF" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(utf8_len(bytes_str(bad[i])), 0);
}

TEST(utf8_knows_the_beginning_of_a_character)
{
    CHECK(utf8_is_partial(bytes_str("\xC3")));
    CHECK(utf8_is_partial(bytes_str("\xE2\x82")));
    CHECK(utf8_is_partial(bytes_str("\xF0\x9F\x98")));
    CHECK(!utf8_is_partial(bytes_str("")));
    CHECK(!utf8_is_partial(bytes_str("a")));
    CHECK(!utf8_is_partial(bytes_str("\xC3\xA9")));
    CHECK(!utf8_is_partial(bytes_str("\xE0\x80")));
    CHECK(!utf8_is_partial(bytes_str("\xED\xA0")));
    CHECK(!utf8_is_partial(bytes_str("\xF4\x90")));
    CHECK(!utf8_is_partial(bytes_str("\xC3"
                                     "a")));
}

TEST(utf8_checks_whole_texts)
{
    CHECK(utf8_is_valid(bytes_str("caf\xC3\xA9 \xF0\x9F\x98\x80")));
    CHECK(utf8_is_valid(bytes_str("")));
    CHECK(!utf8_is_valid(bytes_str("caf\xE9")));
    CHECK(!utf8_is_valid(bytes_str("caf\xC3")));
}

TEST(utf8_finds_a_bad_byte_wherever_it_is)
{
    char text[40];

    for (size_t i = 0; i < 32; i++) {
        memset(text, 'x', 32);
        CHECK(utf8_is_valid(bytes_of(text, 32)));
        text[i] = '\xE9';
        CHECK(!utf8_is_valid(bytes_of(text, 32)));
        if (i < 31) {
            text[i] = '\xC3';
            text[i + 1] = '\xA9';
            CHECK(utf8_is_valid(bytes_of(text, 32)));
        }
    }
}

TEST(utf8_writes_what_it_reads)
{
    static const uint32_t codes[] = { 1, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff };
    uint8_t               out[4];

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        size_t n = utf8_put(out, codes[i]);
        CHECK_INT(n, 1 + i / 2);
        CHECK_INT(utf8_len(bytes_of(out, n)), n);
    }
}
