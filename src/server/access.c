/* SPDX-License-Identifier: MIT */
#include "server/access.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/digest.h"

/* "name:port" or "[v6]:port" split; the port of the scheme when none is written. */
static bool split_host(struct bytes *name, int *port, struct bytes in, int default_port)
{
    size_t end = in.len;
    char   text[8];

    *port = default_port;
    if (in.len == 0)
        return false;
    if (in.p[0] == '[') {
        const uint8_t *close = memchr(in.p, ']', in.len);
        if (!close)
            return false;
        *name = bytes_of(in.p + 1, (size_t)(close - in.p) - 1);
        end = (size_t)(close - in.p) + 1;
    } else {
        const uint8_t *colon = memchr(in.p, ':', in.len);
        end = colon ? (size_t)(colon - in.p) : in.len;
        *name = bytes_of(in.p, end);
    }
    if (end == in.len)
        return true;
    size_t len = in.len - end - 1;
    if (in.p[end] != ':' || len == 0 || len > 5)
        return false;
    memcpy(text, in.p + end + 1, len);
    text[len] = 0;
    if (text[strspn(text, "0123456789")])
        return false;
    *port = (int)strtol(text, NULL, 10);
    return true;
}

union ip {
    struct in_addr  v4;
    struct in6_addr v6;
};

/* AF_INET, AF_INET6, or 0: not an address. */
static int read_ip(union ip *ip, struct bytes host)
{
    char text[64];

    if (host.len >= sizeof text)
        return 0;
    memcpy(text, host.p, host.len);
    text[host.len] = 0;
    if (inet_pton(AF_INET, text, &ip->v4) == 1)
        return AF_INET;
    return inet_pton(AF_INET6, text, &ip->v6) == 1 ? AF_INET6 : 0;
}

/* What listener.c counts as loopback, in any spelling: what it prints is served. */
bool access_is_loopback(struct bytes host)
{
    union ip ip;

    switch (read_ip(&ip, host)) {
    case AF_INET: return ntohl(ip.v4.s_addr) >> 24 == 127;
    case AF_INET6: return IN6_IS_ADDR_LOOPBACK(&ip.v6);
    default: return http_is_word(host, "localhost");
    }
}

static bool is_plain_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum(name.p[i]) && (!name.p[i] || !strchr("-._", name.p[i])))
            return false;
    return name.len > 0;
}

bool access_is_host_name(const char *text)
{
    struct bytes host = bytes_str(text), name;
    union ip     ip;
    int          port;

    if (read_ip(&ip, host) == AF_INET6)
        return true;
    if (!split_host(&name, &port, host, 80) || port < 1 || port > 65535)
        return false;
    return text[0] == '[' ? read_ip(&ip, name) == AF_INET6 : is_plain_name(name);
}

bool access_is_origin_name(const char *text)
{
    const char *end = strstr(text, "://");
    size_t      len = end ? (size_t)(end - text) : 0;

    if (len == 0 || !isalpha((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("+-.", text[i]))
            return false;
    return access_is_host_name(end + 3);
}

/* A configured name, at any port or none: a proxy in front has a port of its own. One that was
 * configured with a port has that port alone. */
static bool is_configured(const struct access *a, struct bytes host, struct bytes name)
{
    for (int i = 0; i < a->n_host; i++)
        if (http_is_word(name, a->hosts[i]) || http_is_word(host, a->hosts[i]))
            return true;
    return false;
}

static bool is_public(const struct access *a, int port)
{
    for (int i = 0; i < a->n_port; i++)
        if (a->ports[i] == port && a->is_public[i])
            return true;
    return false;
}

static bool is_our_name(const struct access *a, struct bytes name, int port)
{
    union ip ip;

    return access_is_loopback(name) || (is_public(a, port) && read_ip(&ip, name));
}

static bool is_our_host(const struct access *a, struct bytes host, int port)
{
    struct bytes name;
    int          said;

    return split_host(&name, &said, host, 80) &&
           (is_configured(a, host, name) || (said == port && is_our_name(a, name, port)));
}

/* Does a page of that place ask for its own place again? */
static bool is_same_place(struct bytes name, int port, struct bytes host, int default_port)
{
    struct bytes asked;
    int          said;

    return split_host(&asked, &said, host, default_port) && said == port && asked.len == name.len &&
           strncasecmp((const char *)asked.p, (const char *)name.p, name.len) == 0;
}

/* scheme://host:port of a page that one of our listeners served, host being who was asked now: one
 * of our names. */
static bool is_our_origin(const struct access *a, struct bytes origin, struct bytes host)
{
    struct bytes name;
    int          said;
    bool         is_tls = origin.len > 8 && memcmp(origin.p, "https://", 8) == 0;

    for (int i = 0; i < a->n_origin; i++)
        if (http_is_word(origin, a->origins[i]))
            return true;
    if (!is_tls && (origin.len <= 7 || memcmp(origin.p, "http://", 7) != 0))
        return false;
    size_t       n = is_tls ? 8 : 7;
    int          default_port = is_tls ? 443 : 80;
    struct bytes place = bytes_of(origin.p + n, origin.len - n);
    if (!split_host(&name, &said, place, default_port))
        return false;
    if (is_same_place(name, said, host, default_port))
        return true;
    if (!is_configured(a, place, name) && !is_our_name(a, name, said))
        return false;
    for (int i = 0; i < a->n_port; i++)
        if (a->ports[i] == said)
            return true;
    return false;
}

static bool is_key(const struct access *a, struct bytes said)
{
    return digest_is_equal(said, bytes_str(a->key));
}

/* What stands behind the scheme, which blanks part from it (RFC 9110 11.4); of another scheme
 * nothing. */
static struct bytes bearer_token(struct bytes said)
{
    size_t n = 7;

    if (said.len < n || !http_is_word(bytes_of(said.p, n), "bearer "))
        return bytes_of(NULL, 0);
    while (n < said.len && said.p[n] == ' ')
        n++;
    return bytes_of(said.p + n, said.len - n);
}

/* Authorization: Bearer KEY, kyutai-api-key: KEY, or ?key=KEY or ?auth_id=KEY. */
static bool has_key(const struct access *a, const struct http_head *h)
{
    static const char *const parameters[] = { "key", "auth_id" };
    char                     value[512];

    if (is_key(a, bearer_token(http_header(h, "authorization"))) ||
        is_key(a, http_header(h, "kyutai-api-key")))
        return true;
    for (int i = 0; i < 2; i++) {
        if (!http_query_value(value, sizeof value, h->query, parameters[i]))
            continue;
        for (char *p = value; *p; p++)
            if (*p == ' ') /* a form's plus; no key has a blank */
                *p = '+';
        if (is_key(a, bytes_str(value)))
            return true;
    }
    return false;
}

int access_check(const struct access *a, const struct http_head *h, int port, bool wants_key)
{
    if (http_header_count(h, "host") != 1)
        return 400;
    /* RFC 9112 3.2.2: a whole address in the request line wins over Host. */
    struct bytes host = h->authority.len ? h->authority : http_header(h, "host");
    if (!is_our_host(a, host, port))
        return 421;
    if (http_header_count(h, "origin") > 1 ||
        (http_header_count(h, "origin") && !is_our_origin(a, http_header(h, "origin"), host)))
        return 403;
    if (a->key && wants_key && !has_key(a, h))
        return 401;
    return 0;
}
