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
    union ip ip; /* of version 6: in brackets only */
    return read_ip(&ip, bytes_str(end + 3)) != AF_INET6 && access_is_host_name(end + 3);
}

static bool is_same_name(struct bytes a, struct bytes b)
{
    return a.len == b.len && strncasecmp((const char *)a.p, (const char *)b.p, a.len) == 0;
}

/* A configured name, at any port or none: a proxy in front has a port of its own. One that was
 * configured with a port has that port alone. */
static bool is_configured(const struct access *a, struct bytes host, struct bytes name)
{
    for (int i = 0; i < a->n_host; i++) {
        struct bytes known = bytes_str(a->hosts[i]), whole = known;
        if (known.len > 2 && known.p[0] == '[' && known.p[known.len - 1] == ']')
            known = bytes_of(known.p + 1, known.len - 2);
        if (is_same_name(name, known) || is_same_name(host, whole))
            return true;
    }
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

    return split_host(&asked, &said, host, default_port) && said == port &&
           is_same_name(asked, name);
}

/* http://host or https://host:port, in parts. */
struct origin {
    struct bytes place, name; /* with and without the port */
    int          port;
    int          default_port; /* that of the scheme, another for each */
};

static bool read_origin(struct origin *o, struct bytes text)
{
    bool   is_tls = text.len > 8 && strncasecmp((const char *)text.p, "https://", 8) == 0;
    size_t n = is_tls ? 8 : 7;

    if (!is_tls && (text.len <= 7 || strncasecmp((const char *)text.p, "http://", 7) != 0))
        return false;
    o->default_port = is_tls ? 443 : 80;
    o->place = bytes_of(text.p + n, text.len - n);
    return split_host(&o->name, &o->port, o->place, o->default_port);
}

/* Browsers leave out the scheme's own port; who configures an origin may write it. */
static bool is_configured_origin(const struct access *a, struct bytes text)
{
    for (int i = 0; i < a->n_origin; i++) {
        struct bytes  known = bytes_str(a->origins[i]);
        struct origin o, k;
        if (is_same_name(text, known))
            return true;
        if (read_origin(&o, text) && read_origin(&k, known) && o.port == k.port &&
            o.default_port == k.default_port && is_same_name(o.name, k.name))
            return true;
    }
    return false;
}

/* scheme://host:port of a page that one of our listeners served, host being who was asked now: one
 * of our names. */
static bool is_our_origin(const struct access *a, struct bytes text, struct bytes host)
{
    struct origin o;

    if (is_configured_origin(a, text))
        return true;
    if (!read_origin(&o, text))
        return false;
    if (is_same_place(o.name, o.port, host, o.default_port))
        return true;
    if (!is_configured(a, o.place, o.name) && !is_our_name(a, o.name, o.port))
        return false;
    for (int i = 0; i < a->n_port; i++)
        if (a->ports[i] == o.port)
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
