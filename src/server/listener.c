/* SPDX-License-Identifier: MIT */
#include "server/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct address {
    union {
        struct sockaddr     any;
        struct sockaddr_in  v4;
        struct sockaddr_in6 v6;
    } sock;
    socklen_t len;
    char      host[64];
    bool      is_loopback;
};

static enum err read_port(int *port, const char *text)
{
    size_t len = strlen(text);

    if (len == 0 || len > 5 || text[strspn(text, "0123456789")])
        return ERR_USAGE;
    *port = (int)strtol(text, NULL, 10);
    return *port <= 65535 ? OK : ERR_USAGE;
}

static enum err read_host(struct address *a, const char *text, size_t len, int port)
{
    bool is_v6 = len >= 2 && text[0] == '[' && text[len - 1] == ']';

    if (len == 0 || len >= sizeof a->host)
        return ERR_USAGE;
    memcpy(a->host, text + is_v6, len - 2 * is_v6);
    a->host[len - 2 * is_v6] = 0;
    if (strcmp(a->host, "localhost") == 0)
        memcpy(a->host, "127.0.0.1", sizeof "127.0.0.1");
    if (is_v6 && inet_pton(AF_INET6, a->host, &a->sock.v6.sin6_addr) == 1) {
        a->sock.v6.sin6_family = AF_INET6;
        a->sock.v6.sin6_port = htons((uint16_t)port);
        a->len = sizeof a->sock.v6;
        a->is_loopback = IN6_IS_ADDR_LOOPBACK(&a->sock.v6.sin6_addr);
        return OK;
    }
    if (!is_v6 && inet_pton(AF_INET, a->host, &a->sock.v4.sin_addr) == 1) {
        a->sock.v4.sin_family = AF_INET;
        a->sock.v4.sin_port = htons((uint16_t)port);
        a->len = sizeof a->sock.v4;
        a->is_loopback = ntohl(a->sock.v4.sin_addr.s_addr) >> 24 == 127;
        return OK;
    }
    return ERR_USAGE;
}

static enum err read_address(struct address *a, const char *text)
{
    const char *colon = strrchr(text, ':');
    int         port = 0;

    memset(a, 0, sizeof *a);
    if (!colon || read_port(&port, colon + 1) != OK ||
        read_host(a, text, (size_t)(colon - text), port) != OK)
        return err_set(ERR_USAGE, "'%s' is not ADDR:PORT, like 127.0.0.1:8998", text);
    return OK;
}

enum err listener_check(bool *is_loopback, const char *text)
{
    struct address a;
    enum err       err = read_address(&a, text);

    if (!err)
        *is_loopback = a.is_loopback;
    return err;
}

static int bound_port(int fd)
{
    struct address a = { .len = sizeof a.sock };

    if (getsockname(fd, &a.sock.any, &a.len) != 0)
        return 0;
    return ntohs(a.sock.any.sa_family == AF_INET6 ? a.sock.v6.sin6_port : a.sock.v4.sin_port);
}

/* The address in its usual spelling, as browsers write it too, however it was typed. */
static void write_url(struct listener *l, const struct address *a)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (a->sock.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->sock.v6.sin6_addr, host, sizeof host);
        snprintf(l->url, sizeof l->url, "http://[%s]:%d/", host, l->port);
    } else {
        inet_ntop(AF_INET, &a->sock.v4.sin_addr, host, sizeof host);
        snprintf(l->url, sizeof l->url, "http://%s:%d/", host, l->port);
    }
}

enum err listener_open(struct listener *out, const char *text)
{
    struct address a;
    int            on = 1;

    out->fd = -1;
    enum err err = read_address(&a, text);
    if (err)
        return err;
    out->fd = socket(a.sock.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (out->fd < 0)
        return err_set(ERR_NET, "no socket for %s: %s", text, strerror(errno));
    setsockopt(out->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a.sock.any.sa_family == AF_INET6)
        setsockopt(out->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(out->fd, &a.sock.any, a.len) != 0 || listen(out->fd, 128) != 0) {
        err = errno == EADDRINUSE
                  ? err_set(ERR_NET, "port %s is in use (%s)", strrchr(text, ':') + 1, text)
                  : err_set(ERR_NET, "cannot listen on %s: %s", text, strerror(errno));
        listener_close(out);
        return err;
    }
    out->port = bound_port(out->fd);
    out->is_loopback = a.is_loopback;
    write_url(out, &a);
    return OK;
}

void listener_close(struct listener *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}
