/* SPDX-License-Identifier: MIT */
#include "server/access.h"

#include <stdio.h>

#include "check.h"

#define PORT 8998

static const int         ports[] = { PORT, 8788 };
static const char *const hosts[] = { "parley.example", "voice.example:8443", "[2001:db8::1]",
                                     "2001:db8::2", "[2001:db8::3]:8443" };
static const char *const origins[] = { "https://studio.example", "https://tls.example:443",
                                       "HTTP://plain.example" };

static const bool none_is[] = { false, false }, first_is[] = { true, false };
static const bool other_is[] = { false, true };

static const struct access home = { .ports = ports, .is_public = none_is, .n_port = 2 };
static const struct access known = { .ports = ports,
                                     .is_public = none_is,
                                     .n_port = 2,
                                     .hosts = hosts,
                                     .n_host = 5,
                                     .origins = origins,
                                     .n_origin = 3 };
static const struct access open_to_all = {
    .ports = ports, .is_public = first_is, .n_port = 2, .key = "open-sesame"
};
static const struct access plus = {
    .ports = ports, .is_public = none_is, .n_port = 2, .key = "open+sesame"
};
static const struct access other_is_open = {
    .ports = ports, .is_public = other_is, .n_port = 2, .key = "open-sesame"
};

/* The status for a request with these header lines, each ended by CRLF. */
static int ask_for(const struct access *a, const char *target, const char *lines, bool wants_key)
{
    char             text[1024];
    struct http_head h;
    size_t           n_used;

    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n%s\r\n", target, lines);
    must(http_read_head(&h, &n_used, bytes_str(text)) == OK);
    return access_check(a, &h, PORT, wants_key);
}

static int ask(const struct access *a, const char *lines)
{
    return ask_for(a, "/", lines, false);
}

TEST(access_wants_one_host)
{
    CHECK_INT(ask(&home, "Host: 127.0.0.1:8998\r\n"), 0);
    CHECK_INT(ask(&home, ""), 400);
    CHECK_INT(ask(&home, "Host: 127.0.0.1:8998\r\nHost: 127.0.0.1:8998\r\n"), 400);
}

TEST(access_knows_the_names_of_this_machine)
{
    static const char *const ours[] = { "localhost:8998",         "LocalHost:8998",
                                        "127.0.0.1:8998",         "127.0.0.2:8998",
                                        "127.255.255.254:8998",   "[::1]:8998",
                                        "[0:0:0:0:0:0:0:1]:8998", "[::0001]:8998" };
    static const char *const foreign[] = { "",
                                           "localhost",
                                           "localhost:",
                                           "localhost:8788",
                                           "localhost:08998x",
                                           "localhost:899",
                                           "localhost:89980",
                                           "localhost:-8998",
                                           "evil.example:8998",
                                           "localhost.evil.example:8998",
                                           "127.0.0.1.evil.example:8998",
                                           "127.0.0.2",
                                           "127.0.0.2:8788",
                                           "127.1:8998",
                                           "128.0.0.1:8998",
                                           "126.255.255.255:8998",
                                           "[::1]",
                                           "[::1:8998",
                                           "::1:8998",
                                           "[::2]:8998",
                                           "[]:8998",
                                           "[::1]8998",
                                           "10.0.0.1:8998",
                                           "parley.example:8998",
                                           "localhost:8998:8998",
                                           "localhost :8998",
                                           "a@localhost:8998",
                                           "localhost:99999999999999" };
    char                     line[128];

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        snprintf(line, sizeof line, "Host: %s\r\n", ours[i]);
        printf("# %s\n", ours[i]);
        CHECK_INT(ask(&home, line), 0);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        snprintf(line, sizeof line, "Host: %s\r\n", foreign[i]);
        printf("# %s\n", foreign[i]);
        CHECK_INT(ask(&home, line), 421);
    }
}

TEST(access_asks_the_address_before_the_host)
{
    CHECK_INT(ask_for(&home, "http://localhost:8998/", "Host: evil.example\r\n", false), 0);
    CHECK_INT(ask_for(&home, "http://evil.example:8998/", "Host: localhost:8998\r\n", false), 421);
    CHECK_INT(ask_for(&home, "http://localhost:8998/", "", false), 400);
}

TEST(access_takes_further_names_and_origins)
{
    CHECK_INT(ask(&known, "Host: parley.example:8998\r\n"), 0);
    CHECK_INT(ask(&known, "Host: x.parley.example:8998\r\n"), 421);
    CHECK_INT(ask(&known, "Host: localhost:8998\r\nOrigin: https://studio.example\r\n"), 0);
    CHECK_INT(ask(&known, "Host: localhost:8998\r\nOrigin: http://studio.example\r\n"), 403);
    CHECK_INT(ask(&known, "Host: localhost:8998\r\nOrigin: https://studio.example.evil\r\n"), 403);
    CHECK_INT(ask(&known, "Host: localhost:8998\r\nOrigin: http://parley.example:8998\r\n"), 0);
}

TEST(access_knows_its_names_behind_a_proxy)
{
    static const struct {
        const char *host;
        int         status;
    } cases[] = {
        { "parley.example", 0 },         { "Parley.Example:443", 0 },
        { "parley.example:8998", 0 },    { "parley.example:", 421 },
        { "parley.example:https", 421 }, { "parley.example.evil:443", 421 },
        { "voice.example:8443", 0 },     { "Voice.Example:8443", 0 },
        { "voice.example", 421 },        { "voice.example:8998", 421 },
        { "voice.example:84430", 421 },  { "localhost", 421 },
        { "[2001:db8::1]", 0 },          { "[2001:db8::1]:9443", 0 },
        { "[2001:db8::2]", 0 },          { "[2001:db8::2]:9443", 0 },
        { "[2001:db8::3]", 421 },        { "[2001:db8::3]:8443", 0 },
        { "[2001:db8::4]", 421 },
    };
    char line[128];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(line, sizeof line, "Host: %s\r\n", cases[i].host);
        printf("# %s\n", cases[i].host);
        CHECK_INT(ask(&known, line), cases[i].status);
    }
}

TEST(access_knows_its_pages_behind_a_proxy)
{
    static const struct {
        const char *host, *origin;
        int         status;
    } cases[] = {
        { "parley.example", "https://parley.example", 0 },
        { "parley.example:443", "https://parley.example", 0 },
        { "parley.example", "http://Parley.example", 0 },
        { "parley.example:9443", "https://parley.example:9443", 0 },
        { "voice.example:8443", "https://voice.example:8443", 0 },
        { "parley.example", "https://parley.example:9443", 403 },
        { "parley.example", "https://evil.example", 403 },
        { "parley.example", "https://voice.example", 403 },
        { "localhost:8998", "https://parley.example", 403 },
    };
    char lines[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(lines, sizeof lines, "Host: %s\r\nOrigin: %s\r\n", cases[i].host, cases[i].origin);
        printf("# %s %s\n", cases[i].host, cases[i].origin);
        CHECK_INT(ask(&known, lines), cases[i].status);
    }
}

TEST(access_knows_an_origin_with_and_without_its_schemes_port)
{
    static const struct {
        const char *origin;
        int         status;
    } cases[] = { { "https://tls.example", 0 },          { "https://tls.example:443", 0 },
                  { "https://tls.example:80", 403 },     { "http://tls.example:443", 403 },
                  { "http://plain.example", 0 },         { "http://plain.example:80", 0 },
                  { "https://plain.example:80", 403 },   { "http://plain.example:8080", 403 },
                  { "https://studio.example:443", 0 },   { "https://studio.example:4430", 403 },
                  { "https://studio.example:443/", 403 } };
    char lines[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(lines, sizeof lines, "Host: localhost:8998\r\nOrigin: %s\r\n", cases[i].origin);
        printf("# %s\n", cases[i].origin);
        CHECK_INT(ask(&known, lines), cases[i].status);
    }
}

TEST(access_knows_its_own_pages)
{
    static const struct {
        const char *origin;
        int         status;
    } cases[] = {
        { "http://127.0.0.1:8998", 0 },
        { "http://localhost:8998", 0 },
        { "http://[::1]:8998", 0 },
        { "http://127.0.0.2:8998", 0 },
        { "http://[0:0:0:0:0:0:0:1]:8998", 0 },
        { "http://localhost:8788", 0 },
        { "https://localhost:8998", 0 },
        { "null", 403 },
        { "", 403 },
        { "http://localhost", 403 },
        { "http://localhost:8999", 403 },
        { "http://evil.example:8998", 403 },
        { "http://localhost:8998/", 403 },
        { "http://localhost:8998.evil.example", 403 },
        { "http://", 403 },
        { "ftp://localhost:8998", 403 },
        { "localhost:8998", 403 },
        { "http://localhost:8998 http://evil.example", 403 },
        { "file://", 403 },
        { "chrome-extension://abc", 403 },
    };
    char line[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(line, sizeof line, "Host: localhost:8998\r\nOrigin: %s\r\n", cases[i].origin);
        printf("# %s\n", cases[i].origin);
        CHECK_INT(ask(&home, line), cases[i].status);
    }
    CHECK_INT(ask(&home, "Host: localhost:8998\r\nOrigin: http://localhost:8998\r\n"
                         "Origin: http://localhost:8998\r\n"),
              403);
}

TEST(access_in_public_takes_addresses_but_no_names)
{
    CHECK_INT(ask(&open_to_all, "Host: 192.168.1.7:8998\r\n"), 0);
    CHECK_INT(ask(&open_to_all, "Host: [fe80::1]:8998\r\n"), 0);
    CHECK_INT(ask(&open_to_all, "Host: evil.example:8998\r\n"), 421);
    CHECK_INT(ask(&open_to_all, "Host: 192.168.1.7.evil.example:8998\r\n"), 421);
    CHECK_INT(ask(&open_to_all, "Host: 192.168.1:8998\r\n"), 421);
    CHECK_INT(ask(&other_is_open, "Host: 192.168.1.7:8998\r\n"), 421);
    CHECK_INT(ask(&other_is_open, "Host: 127.0.0.1:8998\r\n"), 0);
}

TEST(access_asks_for_the_key_where_it_is_wanted)
{
    static const char host[] = "Host: localhost:8998\r\n";
    static const struct {
        const char *target, *line;
        int         status;
    } cases[] = {
        { "/", "", 401 },
        { "/", "Authorization: Bearer open-sesame\r\n", 0 },
        { "/", "Authorization: bearer open-sesame\r\n", 0 },
        { "/", "Authorization: Bearer   open-sesame\r\n", 0 },
        { "/", "Authorization: Bearer\topen-sesame\r\n", 401 },
        { "/", "Authorization: Beareropen-sesame\r\n", 401 },
        { "/", "Authorization: Bearer\r\n", 401 },
        { "/", "Authorization: Bearer open-sesam\r\n", 401 },
        { "/", "Authorization: Bearer open-sesame2\r\n", 401 },
        { "/", "Authorization: Bearer Open-sesame\r\n", 401 },
        { "/", "Authorization: Bearer \r\n", 401 },
        { "/", "Authorization: Basic open-sesame\r\n", 401 },
        { "/", "kyutai-api-key: open-sesame\r\n", 0 },
        { "/", "kyutai-api-key: x\r\n", 401 },
        { "/?key=open-sesame", "", 0 },
        { "/?auth_id=open-sesame", "", 0 },
        { "/?a=1&key=open%2dsesame", "", 0 },
        { "/?key=open-sesamE", "", 401 },
        { "/?key=", "", 401 },
        { "/?keys=open-sesame", "", 401 },
    };
    char lines[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(lines, sizeof lines, "%s%s", host, cases[i].line);
        printf("# %s %s\n", cases[i].target, cases[i].line);
        CHECK_INT(ask_for(&open_to_all, cases[i].target, lines, true), cases[i].status);
        CHECK_INT(ask_for(&open_to_all, cases[i].target, lines, false), 0);
    }
    CHECK_INT(ask_for(&home, "/", host, true), 0);
    CHECK_INT(ask_for(&plus, "/?key=open+sesame", host, true), 0);
    CHECK_INT(ask_for(&plus, "/?key=open%2Bsesame", host, true), 0);
    CHECK_INT(ask_for(&plus, "/?key=opensesame", host, true), 401);
}

TEST(access_knows_what_can_be_a_name)
{
    static const char *const good_hosts[] = {
        "a", "parley.example", "a_b-c.example:8443", "10.0.0.1", "::1", "[::1]", "[2001:db8::1]:443"
    };
    static const char *const bad_hosts[] = {
        "",    ":80",  "a:",  "a:0",    "a:65536", "a/b",         "a b", "http://a", "*.example",
        "a@b", "[::1", "[a]", "[::1]:", "[::1]80", "2001:db8::x", "a:b", "a:+1",     "m\xc3\xb6.e"
    };
    static const char *const good_origins[] = { "http://a", "https://a.example:8443",
                                                "http://[::1]:80", "chrome-extension://abcdef" };
    static const char *const bad_origins[] = { "",
                                               "null",
                                               "*",
                                               "foo",
                                               "http://",
                                               "http://a/",
                                               "://a",
                                               "http://a/b",
                                               "http:/a",
                                               "http://a?b",
                                               "1a://b",
                                               "a b://c",
                                               "http://a#",
                                               "http://u@a",
                                               "http:a:80",
                                               "http://::1",
                                               "http://2001:db8::1" };

    for (size_t i = 0; i < sizeof good_hosts / sizeof *good_hosts; i++)
        CHECK(access_is_host_name(good_hosts[i]));
    for (size_t i = 0; i < sizeof bad_hosts / sizeof *bad_hosts; i++)
        CHECK(!access_is_host_name(bad_hosts[i]));
    for (size_t i = 0; i < sizeof good_origins / sizeof *good_origins; i++)
        CHECK(access_is_origin_name(good_origins[i]));
    for (size_t i = 0; i < sizeof bad_origins / sizeof *bad_origins; i++)
        CHECK(!access_is_origin_name(bad_origins[i]));
}
