/* SPDX-License-Identifier: MIT */
#include "wire/http.h"

#include "check.h"
#include "wire/cases.h"

/* Facts: head METHOD PATH QUERY minor=N used=N | header NAME=VALUE | absent NAME | token NAME
 * TOKEN | no token NAME TOKEN | query NAME=VALUE | no query NAME | again | format | limit */

static void say_head(char *out, size_t cap, const struct http_head *h, size_t n_used)
{
    snprintf(out, cap, "%.*s %.*s %.*s minor=%d used=%zu", (int)h->method.len,
             (const char *)h->method.p, (int)h->path.len, (const char *)h->path.p,
             h->query.len ? (int)h->query.len : 1, h->query.len ? (const char *)h->query.p : "-",
             h->minor, n_used);
}

static void check_header(const struct http_head *h, const char *want)
{
    char name[64], got[256];

    snprintf(name, sizeof name, "%.*s", (int)strcspn(want, "="), want);
    struct bytes v = http_header(h, name);
    CHECK(v.p);
    snprintf(got, sizeof got, "%s=%.*s", name, (int)v.len, (const char *)v.p);
    CHECK_STR(got, want);
}

static void check_query(const struct http_head *h, const char *want)
{
    char name[64], value[32], got[128];

    snprintf(name, sizeof name, "%.*s", (int)strcspn(want, "="), want);
    CHECK(http_query_value(value, sizeof value, h->query, name));
    snprintf(got, sizeof got, "%s=%s", name, value);
    CHECK_STR(got, want);
}

static void check_token(const struct http_head *h, const char *words, bool want)
{
    char name[64], token[64];

    must(sscanf(words, "%63s %63s", name, token) == 2);
    CHECK(http_has_token(h, name, token) == want);
}

/* As long as the head is not whole nothing is used and nothing is known. */
static void check_prefixes(struct bytes in, size_t n_used)
{
    for (size_t len = 0; len<n_used; len += n_used> 1000 ? 97 : 1) {
        struct http_head h;
        size_t           n = 12345;
        CHECK(http_read_head(&h, &n, bytes_of(in.p, len)) == ERR_AGAIN);
        CHECK(n == 12345);
    }
}

static bool starts(const char **at, const char *word)
{
    size_t len = strlen(word);
    if (strncmp(*at, word, len) != 0)
        return false;
    *at += len;
    return true;
}

static void check_fact(const char *fact, struct bytes in)
{
    struct http_head h;
    size_t           n_used = 0;
    char             got[512], value[32];

    enum err err = http_read_head(&h, &n_used, in);
    if (strcmp(fact, "again") == 0 || strcmp(fact, "format") == 0 || strcmp(fact, "limit") == 0) {
        CHECK_INT(err, fact[0] == 'a' ? ERR_AGAIN : fact[0] == 'f' ? ERR_FORMAT : ERR_LIMIT);
        return;
    }
    CHECK_INT(err, OK);
    if (starts(&fact, "head ")) {
        say_head(got, sizeof got, &h, n_used);
        CHECK_STR(got, fact);
        check_prefixes(in, n_used);
    } else if (starts(&fact, "header ")) {
        check_header(&h, fact);
    } else if (starts(&fact, "absent ")) {
        CHECK(!http_header(&h, fact).p && http_header_count(&h, fact) == 0);
    } else if (starts(&fact, "token ")) {
        check_token(&h, fact, true);
    } else if (starts(&fact, "no token ")) {
        check_token(&h, fact, false);
    } else if (starts(&fact, "query ")) {
        check_query(&h, fact);
    } else if (starts(&fact, "no query ")) {
        CHECK(!http_query_value(value, sizeof value, h.query, fact));
    } else if (starts(&fact, "authority ")) {
        CHECK(bytes_equal(h.authority, bytes_str(fact)));
    } else {
        CHECK_STR(fact, "a kind of fact");
    }
}

TEST(http_reads_requests)
{
    cases_run("tests/wire/http/requests.txt", 41, check_fact);
}

TEST(http_refuses_what_is_no_request)
{
    cases_run("tests/wire/http/broken.txt", 54, check_fact);
}

TEST(http_bounds_what_it_reads)
{
    cases_run("tests/wire/http/limits.txt", 12, check_fact);
}

TEST(http_counts_headers_of_a_name)
{
    struct http_head h;
    size_t           n_used;

    CHECK(http_read_head(&h, &n_used, bytes_str("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n")) ==
          OK);
    CHECK_INT(http_header_count(&h, "host"), 2);
    CHECK(http_is_word(http_header(&h, "HOST"), "A"));
    CHECK(!http_is_word(http_header(&h, "HOST"), "ab"));
    CHECK(!http_is_word(bytes_of("ab", 2), "a"));
}
