/* SPDX-License-Identifier: MIT */
#include "server/listener.h"

#include <stdio.h>
#include <sys/socket.h>

#include "check.h"

TEST(listener_takes_a_free_port)
{
    struct listener l;
    char            want[64];

    CHECK(listener_open(&l, "127.0.0.1:0") == OK);
    CHECK(l.port > 0 && l.is_loopback);
    snprintf(want, sizeof want, "http://127.0.0.1:%d/", l.port);
    CHECK_STR(l.url, want);
    listener_close(&l);
    CHECK_INT(l.fd, -1);
}

TEST(listener_names_a_port_in_use)
{
    struct listener a, b;
    char            text[64];

    CHECK(listener_open(&a, "localhost:0") == OK);
    snprintf(text, sizeof text, "127.0.0.1:%d", a.port);
    CHECK(listener_open(&b, text) == ERR_NET);
    snprintf(text, sizeof text, "%d", a.port);
    CHECK(strstr(err_text(ERR_NET), text) && strstr(err_text(ERR_NET), "in use"));
    CHECK_INT(b.fd, -1);
    listener_close(&a);
}

TEST(listener_speaks_ipv6)
{
    struct listener l;
    int             probe = socket(AF_INET6, SOCK_STREAM, 0);

    if (probe < 0)
        SKIP("this machine has no IPv6");
    if (listener_open(&l, "[::1]:0") != OK)
        SKIP("this machine has no ::1");
    CHECK(l.is_loopback && strncmp(l.url, "http://[::1]:", 13) == 0);
    listener_close(&l);
    CHECK(listener_open(&l, "[0:0:0:0:0:0:0:1]:0") == OK);
    CHECK(l.is_loopback && strncmp(l.url, "http://[::1]:", 13) == 0);
    listener_close(&l);
}

TEST(listener_knows_what_is_loopback)
{
    static const struct {
        const char *text;
        bool        is_loopback;
    } cases[] = {
        { "127.0.0.1:1", true }, { "127.9.8.7:65535", true }, { "localhost:0", true },
        { "[::1]:80", true },    { "0.0.0.0:80", false },     { "192.168.0.1:80", false },
        { "[::]:80", false },    { "[fe80::1]:80", false },   { "128.0.0.1:1", false },
    };
    bool is_loopback;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        printf("# %s\n", cases[i].text);
        CHECK(listener_check(&is_loopback, cases[i].text) == OK);
        CHECK(is_loopback == cases[i].is_loopback);
    }
}

TEST(listener_refuses_what_is_no_address)
{
    static const char *const bad[] = { "",
                                       ":",
                                       ":80",
                                       "127.0.0.1",
                                       "127.0.0.1:",
                                       "127.0.0.1:x",
                                       "127.0.0.1:-1",
                                       "127.0.0.1:65536",
                                       "127.0.0.1:99999999999",
                                       "127.0.0.1:+80",
                                       "127.0.0.1: 80",
                                       "example.org:80",
                                       "::1:80",
                                       "[127.0.0.1]:80",
                                       "[::1]",
                                       "[::1:80",
                                       "[]:80",
                                       "127.1:80",
                                       "http://127.0.0.1:80" };
    bool                     is_loopback;
    struct listener          l;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        printf("# '%s'\n", bad[i]);
        CHECK(listener_check(&is_loopback, bad[i]) == ERR_USAGE);
        CHECK(listener_open(&l, bad[i]) == ERR_USAGE);
        CHECK_INT(l.fd, -1);
    }
}

TEST(listener_says_when_an_address_is_not_of_this_machine)
{
    struct listener l;

    CHECK(listener_open(&l, "192.0.2.1:0") == ERR_NET);
    CHECK(strstr(err_text(ERR_NET), "192.0.2.1"));
}
