/* SPDX-License-Identifier: MIT */
#include "wire/http.h"

#include <string.h>

static bool is_token_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (!is_token_char(b.p[i]))
            return false;
    return b.len > 0;
}

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

bool http_is_word(struct bytes b, const char *word)
{
    size_t i = 0;

    while (i < b.len && word[i] && lower(b.p[i]) == lower((unsigned char)word[i]))
        i++;
    return i == b.len && !word[i];
}

static struct bytes trim(struct bytes b)
{
    while (b.len > 0 && (b.p[0] == ' ' || b.p[0] == '\t')) {
        b.p++;
        b.len--;
    }
    while (b.len > 0 && (b.p[b.len - 1] == ' ' || b.p[b.len - 1] == '\t'))
        b.len--;
    return b;
}

/* The front of *in up to its first c, which falls away; false when there is none. */
static bool cut(struct bytes *front, struct bytes *in, uint8_t c)
{
    const uint8_t *at = in->len ? memchr(in->p, c, in->len) : NULL;
    if (!at)
        return false;
    *front = bytes_of(in->p, (size_t)(at - in->p));
    in->len -= front->len + 1;
    in->p = at + 1;
    return true;
}

/* "http://name:port/path?query": the authority comes off; a path that is not there is "/". */
static enum err read_address(struct http_head *h, struct bytes *target)
{
    static const char *const schemes[] = { "http://", "https://" };

    for (int i = 0; i < 2; i++) {
        size_t len = strlen(schemes[i]);
        if (target->len <= len || !http_is_word(bytes_of(target->p, len), schemes[i]))
            continue;
        struct bytes left = bytes_of(target->p + len, target->len - len);
        size_t       n = 0;
        while (n < left.len && left.p[n] != '/' && left.p[n] != '?' && left.p[n] != '@')
            n++;
        if (n == 0 || (n < left.len && left.p[n] == '@')) /* RFC 9110 4.2.4: nobody's name there */
            return ERR_FORMAT;
        h->authority = bytes_of(left.p, n);
        *target = bytes_of(left.p + n, left.len - n);
        return OK;
    }
    return ERR_FORMAT;
}

static enum err read_target(struct http_head *h, struct bytes target)
{
    bool is_options = bytes_equal(h->method, bytes_str("OPTIONS"));

    for (size_t i = 0; i < target.len; i++)
        if (target.p[i] <= ' ' || target.p[i] >= 127)
            return ERR_FORMAT;
    h->authority = bytes_of(NULL, 0);
    h->query = h->authority;
    h->path = target;
    if (is_options && bytes_equal(target, bytes_str("*"))) /* RFC 9112 3.2.4 */
        return OK;
    if (target.len == 0 || target.p[0] != '/') {
        enum err err = read_address(h, &target);
        if (err)
            return err;
    }
    h->query = bytes_of(target.p + target.len, 0);
    h->path = target;
    if (cut(&h->path, &target, '?'))
        h->query = target;
    if (h->path.len == 0)
        h->path = bytes_str("/");
    return OK;
}

static enum err read_request_line(struct http_head *h, struct bytes line)
{
    struct bytes target;

    if (!cut(&h->method, &line, ' ') || !cut(&target, &line, ' ') || !is_token(h->method))
        return ERR_FORMAT;
    if (line.len != 8 || memcmp(line.p, "HTTP/1.", 7) != 0 || line.p[7] < '0' || line.p[7] > '1')
        return ERR_FORMAT;
    h->minor = line.p[7] - '0';
    return read_target(h, target);
}

static enum err read_header(struct http_head *h, struct bytes line)
{
    struct http_header *header = &h->header[h->n_header];

    if (h->n_header == HTTP_HEADER_MAX)
        return ERR_LIMIT;
    if (!cut(&header->name, &line, ':') || !is_token(header->name))
        return ERR_FORMAT;
    header->value = trim(line);
    for (size_t i = 0; i < header->value.len; i++)
        if ((header->value.p[i] < ' ' && header->value.p[i] != '\t') || header->value.p[i] == 127)
            return ERR_FORMAT;
    h->n_header++;
    return OK;
}

/* Bytes of the empty lines at the front. */
static size_t n_empty(struct bytes in)
{
    size_t n = 0;

    while (in.len - n >= 2 && in.p[n] == '\r' && in.p[n + 1] == '\n')
        n += 2;
    return n;
}

/* What cannot become a head, however it goes on: no method begins so, as with TLS, or a line ends
 * without CR (RFC 9112 2.2 lets us refuse it). in: behind the empty lines. */
static bool is_hopeless(struct bytes in)
{
    const uint8_t *at = in.p, *end = in.p + in.len;

    if (in.len > 0 && !is_token_char(in.p[0]) && (in.p[0] != '\r' || in.len > 1))
        return true;
    for (; in.len && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        if (at == in.p || at[-1] != '\r')
            return true;
    return false;
}

enum err http_read_head(struct http_head *h, size_t *n_used, struct bytes in)
{
    size_t         from = n_empty(in);
    const uint8_t *end = in.len - from >= 4 ? memmem(in.p + from, in.len - from, "\r\n\r\n", 4)
                                            : NULL;
    struct bytes   left, line;

    if (!end && is_hopeless(bytes_of(in.p + from, in.len - from)))
        return ERR_FORMAT;
    if (!end)
        return in.len >= HTTP_HEAD_MAX ? ERR_LIMIT : ERR_AGAIN;
    left = bytes_of(in.p + from, (size_t)(end - in.p) + 2 - from);
    if (from + left.len > HTTP_HEAD_MAX)
        return ERR_LIMIT;
    h->n_header = 0;
    *n_used = from + left.len + 2;
    for (int i = 0; cut(&line, &left, '\n'); i++) {
        if (line.len == 0 || line.p[line.len - 1] != '\r')
            return ERR_FORMAT;
        line.len--;
        enum err err = i == 0 ? read_request_line(h, line) : read_header(h, line);
        if (err)
            return err;
    }
    return OK;
}

struct bytes http_header(const struct http_head *h, const char *name)
{
    for (int i = 0; i < h->n_header; i++)
        if (http_is_word(h->header[i].name, name))
            return h->header[i].value;
    return bytes_of(NULL, 0);
}

int http_header_count(const struct http_head *h, const char *name)
{
    int n = 0;
    for (int i = 0; i < h->n_header; i++)
        n += http_is_word(h->header[i].name, name);
    return n;
}

static bool list_has(struct bytes list, const char *token)
{
    struct bytes word;

    while (cut(&word, &list, ','))
        if (http_is_word(trim(word), token))
            return true;
    return http_is_word(trim(list), token);
}

bool http_has_token(const struct http_head *h, const char *name, const char *token)
{
    for (int i = 0; i < h->n_header; i++)
        if (http_is_word(h->header[i].name, name) && list_has(h->header[i].value, token))
            return true;
    return false;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

static bool decode(char *out, size_t cap, struct bytes in)
{
    size_t n = 0;

    for (size_t i = 0; i < in.len; i++) {
        int c = in.p[i] == '+' ? ' ' : in.p[i];
        if (c == '%' && i + 2 < in.len && hex_digit(in.p[i + 1]) >= 0 &&
            hex_digit(in.p[i + 2]) >= 0) {
            c = hex_digit(in.p[i + 1]) * 16 + hex_digit(in.p[i + 2]);
            i += 2;
        }
        if (n + 1 >= cap || c == 0)
            return false;
        out[n++] = (char)c;
    }
    out[n] = 0;
    return true;
}

bool http_query_value(char *out, size_t cap, struct bytes query, const char *name)
{
    struct bytes pair, key;

    while (query.len > 0) {
        if (!cut(&pair, &query, '&')) {
            pair = query;
            query.len = 0;
        }
        if (cut(&key, &pair, '=') && key.len == strlen(name) && memcmp(key.p, name, key.len) == 0)
            return decode(out, cap, pair);
    }
    return false;
}
