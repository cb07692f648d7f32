/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include "base/os.h"
#include "check.h"

static json_t *parse(const char *s)
{
    json_t *v = NULL;
    must(json_parse(&v, bytes_str(s), 1 << 20, "test") == OK);
    return v;
}

TEST(json_refuses_what_is_not_one_value)
{
    static const char *const bad[] = {
        "",         "{",     "{\"a\":1}x", "{\"a\":1,\"a\":2}",     "[1,]",
        "\"\xff\"", "1e999", "nan",        "[99999999999999999999]"
    };
    json_t *v;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(json_parse(&v, bytes_str(bad[i]), 100, "x.json") == ERR_FORMAT);
        CHECK(strncmp(err_text(ERR_FORMAT), "x.json: ", 8) == 0);
    }
}

static void check_says(const char *in, const char *want)
{
    json_t *v;

    CHECK(json_parse(&v, bytes_str(in), 100, "x.json") == ERR_FORMAT);
    CHECK_STR(err_text(ERR_FORMAT), want);
}

TEST(json_says_where_it_is_wrong_or_that_it_is_empty)
{
    json_t *v;

    check_says("", "x.json: is empty, not JSON");
    check_says(" \t\r\n", "x.json: is empty, not JSON");
    check_says("[1,]", "x.json: not valid JSON: unexpected token near ']'");
    check_says("[1,\n]", "x.json: not valid JSON in line 2: unexpected token near ']'");
    CHECK(json_parse(&v, bytes_of("\0", 1), 100, "x.json") == ERR_FORMAT);
    CHECK(!strstr(err_text(ERR_FORMAT), "empty"));
}

TEST(json_refuses_deep_nesting_and_long_input)
{
    static char deep[200000];
    json_t     *v;

    memset(deep, '[', sizeof deep);
    CHECK(json_parse(&v, bytes_of(deep, sizeof deep), sizeof deep, "x") == ERR_FORMAT);
    CHECK(strstr(err_text(ERR_FORMAT), "deeper"));
    CHECK(json_parse(&v, bytes_of(deep, sizeof deep), 100, "x") == ERR_LIMIT);
}

TEST(json_does_not_take_brackets_in_strings_for_depth)
{
    static char s[300];
    json_t     *v;

    memset(s, '[', sizeof s - 1);
    s[0] = s[298] = '"';
    s[5] = '\\';
    s[6] = '"';
    CHECK(json_parse(&v, bytes_of(s, 299), 1000, "x") == OK);
    json_decref(v);
}

TEST(json_gives_members_or_defaults)
{
    json_t     *v = parse("{\"i\":7,\"n\":2.5,\"b\":true,\"s\":\"x\",\"z\":null,\"a\":[1,-2]}");
    int64_t     i;
    double      n;
    bool        b;
    const char *s;
    int         a[2], n_a;

    CHECK(json_get_int(&i, v, "i", 1, 0, 10, "t") == OK && i == 7);
    CHECK(json_get_int(&i, v, "z", 3, 0, 10, "t") == OK && i == 3);
    CHECK(json_get_num(&n, v, "n", 1, "t") == OK && n == 2.5);
    CHECK(json_get_num(&n, v, "i", 1, "t") == OK && n == 7);
    CHECK(json_get_bool(&b, v, "b", false, "t") == OK && b);
    CHECK(json_get_bool(&b, v, "none", true, "t") == OK && b);
    CHECK(json_get_str(&s, v, "s", NULL, "t") == OK && strcmp(s, "x") == 0);
    CHECK(json_get_str(&s, v, "none", NULL, "t") == OK && !s);
    CHECK(json_get_ints(a, &n_a, 2, v, "a", "t") == OK && n_a == 2 && a[1] == -2);
    CHECK(json_get_ints(NULL, &n_a, 2, v, "none", "t") == OK && n_a == 0);
    json_decref(v);
}

TEST(json_says_which_member_is_wrong_and_what_it_must_be)
{
    json_t *v = parse(
        "{\"num_layers\":0,\"f\":\"x\",\"l\":[1,2,3],\"m\":[1.5],\"h\":[3000000000]}");
    int64_t     i;
    double      n;
    bool        b;
    const char *s;
    int         a[2], n_a;

    CHECK(json_get_int(&i, v, "num_layers", 1, 1, 1024, "c.json") == ERR_FORMAT);
    CHECK_STR(err_text(ERR_FORMAT), "c.json: 'num_layers' must be a whole number from 1 to 1024");
    CHECK(json_get_int(&i, v, "f", 1, 1, 9, "c") == ERR_FORMAT);
    CHECK(json_get_num(&n, v, "f", 1, "c") == ERR_FORMAT);
    CHECK(json_get_bool(&b, v, "num_layers", 1, "c") == ERR_FORMAT);
    CHECK(json_get_str(&s, v, "l", NULL, "c") == ERR_FORMAT);
    CHECK(json_get_ints(a, &n_a, 2, v, "l", "c") == ERR_LIMIT);
    CHECK(json_get_ints(a, &n_a, 2, v, "m", "c") == ERR_FORMAT);
    CHECK(json_get_ints(a, &n_a, 2, v, "h", "c") == ERR_FORMAT);
    CHECK(json_get_ints(a, &n_a, 2, v, "f", "c") == ERR_FORMAT);
    json_decref(v);
}

TEST(json_string_may_hold_zero_bytes)
{
    struct buf b;

    buf_init(&b, 100);
    CHECK(json_parse_string(&b, bytes_str("\"a\\u0000b\\u00e9\""), 100, "x") == OK);
    CHECK(bytes_equal(buf_view(&b), bytes_of("a\0b\xC3\xA9", 5)));
    CHECK(json_parse_string(&b, bytes_str("[1]"), 100, "x") == ERR_FORMAT);
    CHECK(json_parse_string(&b, bytes_str("\"a"), 100, "x") == ERR_FORMAT);
    CHECK_INT(b.len, 5);
    buf_fini(&b);
}

TEST(json_file_that_is_missing_or_too_long_says_so)
{
    json_t *v;

    CHECK(json_read_file(&v, "/nowhere/config.json", 10) == ERR_MISSING);
    CHECK(strstr(err_text(ERR_MISSING), "/nowhere/config.json"));
    FILE *f = fopen(check_tmp("long.json"), "w");
    must(f);
    fputs("[1,2,3,4,5]", f);
    fclose(f);
    CHECK(json_read_file(&v, check_tmp("long.json"), 10) == ERR_FORMAT);
    CHECK(json_read_file(&v, check_tmp("long.json"), 11) == OK);
    json_decref(v);
}

static enum err parse_and_free(void)
{
    json_t  *v = NULL;
    enum err err = json_parse(&v, bytes_str("{\"a\":[1,2,{\"b\":\"text\"}],\"c\":1.5}"), 100, "x");
    json_decref(v);
    return err;
}

TEST(json_survives_out_of_memory)
{
    CHECK_OOM(parse_and_free());
}
