/* SPDX-License-Identifier: MIT */
#include "model/safetensors_head.h"

#include <string.h>

#include "base/utf8.h"

/* The rest of the header, and the tensor that is being read, for sentences. */
struct scan {
    const uint8_t *p, *end;
    const char    *what;
    char           name[SAFETENSORS_NAME_MAX + 1];
    size_t         name_len;
    bool           in_tensor;
};

static enum err broken(const struct scan *s, const char *why)
{
    if (s->in_tensor)
        return err_set(ERR_FORMAT, "%s: tensor '%.80s': %s", s->what, s->name, why);
    return err_set(ERR_FORMAT, "%s: header: %s", s->what, why);
}

static void skip_blank(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
}

/* The next byte that is not blank, taken only when it is c. */
static bool take(struct scan *s, char c)
{
    skip_blank(s);
    if (s->p == s->end || *s->p != (uint8_t)c)
        return false;
    s->p++;
    return true;
}

static bool take_hex4(struct scan *s, uint32_t *out)
{
    uint32_t v = 0;

    if (s->end - s->p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        uint8_t c = *s->p++;
        int     d = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (d < 0)
            return false;
        v = v << 4 | (uint32_t)d;
    }
    *out = v;
    return true;
}

/* \uXXXX, of which "\u" is taken already; two of them for a character above U+FFFF. */
static bool take_unicode(struct scan *s, uint32_t *out)
{
    uint32_t low;

    if (!take_hex4(s, out) || *out == 0)
        return false;
    if (*out < 0xd800 || *out > 0xdfff)
        return true;
    if (*out > 0xdbff || s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u')
        return false;
    s->p += 2;
    if (!take_hex4(s, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* One character of a string, unescaped into out (4 bytes); 0: not one. */
static size_t take_char(struct scan *s, uint8_t out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t            n;
    uint32_t          c;

    if (*s->p < 0x20)
        return 0;
    if (*s->p != '\\') {
        n = utf8_len(bytes_of(s->p, (size_t)(s->end - s->p)));
        memcpy(out, s->p, n);
        s->p += n;
        return n;
    }
    if (s->end - s->p < 2)
        return 0;
    s->p += 2;
    if (s->p[-1] == 'u')
        return take_unicode(s, &c) ? utf8_put(out, c) : 0;
    const char *at = s->p[-1] ? strchr(from, s->p[-1]) : NULL;
    if (!at)
        return 0;
    out[0] = (uint8_t)to[at - from];
    return 1;
}

/* A string into out (cap bytes with the NUL); out NULL: checked and dropped. */
static enum err take_string(struct scan *s, char *out, size_t *len, size_t cap)
{
    size_t  n = 0;
    uint8_t c[4];

    if (!take(s, '"'))
        return broken(s, "a string is expected");
    for (;;) {
        if (s->p == s->end)
            return broken(s, "a string does not end");
        if (*s->p == '"')
            break;
        size_t n_char = take_char(s, c);
        if (n_char == 0)
            return broken(s, "a string is not UTF-8 JSON text");
        if (out && n + n_char >= cap)
            return broken(s, "a string is too long");
        if (out)
            memcpy(out + n, c, n_char);
        n += n_char;
    }
    s->p++;
    if (out)
        out[n] = '\0';
    if (len)
        *len = n;
    return OK;
}

/* A whole number >= 0 without sign, fraction, exponent or leading zeros. */
static enum err take_number(struct scan *s, uint64_t *out)
{
    uint64_t v = 0;
    int      n_digit = 0;

    skip_blank(s);
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        if (n_digit > 0 && v == 0)
            return broken(s, "a number has leading zeros");
        if (v > (INT64_MAX - 9) / 10)
            return broken(s, "a number is too large");
        v = v * 10 + (*s->p++ - '0');
        n_digit++;
    }
    if (n_digit == 0)
        return broken(s, "a whole number is expected");
    if (s->p < s->end && (*s->p == '.' || *s->p == 'e' || *s->p == 'E'))
        return broken(s, "a number is not whole");
    *out = v;
    return OK;
}

/* [a, b, ...]: at most n_cap numbers. */
static enum err take_numbers(struct scan *s, uint64_t *out, int *n, int n_cap)
{
    *n = 0;
    if (!take(s, '['))
        return broken(s, "an array of whole numbers is expected");
    if (take(s, ']'))
        return OK;
    do {
        if (*n == n_cap)
            return broken(s, "an array has too many numbers");
        enum err err = take_number(s, &out[(*n)++]);
        if (err)
            return err;
    } while (take(s, ','));
    return take(s, ']') ? OK : broken(s, "an array does not end");
}

/* null is what MLX writes when there is none. */
static enum err take_metadata(struct scan *s)
{
    skip_blank(s);
    if (s->end - s->p >= 4 && memcmp(s->p, "null", 4) == 0) {
        s->p += 4;
        return OK;
    }
    if (!take(s, '{'))
        return broken(s, "__metadata__ is not an object");
    if (take(s, '}'))
        return OK;
    do {
        enum err err = take_string(s, NULL, NULL, 0);
        if (err)
            return err;
        if (!take(s, ':'))
            return broken(s, "':' is expected in __metadata__");
        err = take_string(s, NULL, NULL, 0);
        if (err)
            return err;
    } while (take(s, ','));
    return take(s, '}') ? OK : broken(s, "__metadata__ does not end");
}

static enum err take_dtype(struct scan *s, enum dtype *out)
{
    char     name[17];
    enum err err = take_string(s, name, NULL, sizeof name);

    if (err)
        return err;
    for (int t = 0; t < DT_COUNT; t++)
        if (dtype_size((enum dtype)t) > 0 && strcmp(dtype_name((enum dtype)t), name) == 0) {
            *out = (enum dtype)t;
            return OK;
        }
    return err_set(ERR_FORMAT, "%s: tensor '%.80s': dtype '%s' is not known", s->what, s->name,
                   name);
}

/* The byte range must be the shape's size and lie inside the file. */
static enum err check_range(const struct scan *s, const struct safetensors_head_entry *e,
                            uint64_t data_len)
{
    uint64_t size = dtype_size(e->dtype);

    for (int i = 0; i < e->n_dim; i++)
        if (__builtin_mul_overflow(size, (uint64_t)e->n[i], &size) || size > INT64_MAX)
            return broken(s, "the shape is larger than any file");
    if (e->begin > e->end)
        return broken(s, "data_offsets end before they begin");
    if (e->end > data_len)
        return broken(s, "data_offsets reach beyond the end of the file");
    if (e->end - e->begin != size)
        return err_set(ERR_FORMAT,
                       "%s: tensor '%.80s': shape and dtype need %llu bytes, data_offsets "
                       "span %llu",
                       s->what, s->name, (unsigned long long)size,
                       (unsigned long long)(e->end - e->begin));
    return OK;
}

enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4, HAS_ALL = 7 };

/* "key": value of one of the three members; *seen gets its bit. */
static enum err take_member(struct scan *s, struct safetensors_head_entry *e, int *seen)
{
    char     key[16];
    uint64_t v[SAFETENSORS_MAX_DIM];
    int      n, bit;
    enum err err = take_string(s, key, NULL, sizeof key);

    if (err)
        return err;
    bit = strcmp(key, "dtype") == 0          ? HAS_DTYPE
          : strcmp(key, "shape") == 0        ? HAS_SHAPE
          : strcmp(key, "data_offsets") == 0 ? HAS_OFFSETS
                                             : 0;
    if (!bit || *seen & bit)
        return broken(s, bit ? "a member comes twice" : "a member is not known");
    *seen |= bit;
    if (!take(s, ':'))
        return broken(s, "':' is expected");
    if (bit == HAS_DTYPE)
        return take_dtype(s, &e->dtype);
    err = take_numbers(s, v, &n, bit == HAS_SHAPE ? SAFETENSORS_MAX_DIM : 2);
    if (err)
        return err;
    if (bit == HAS_OFFSETS) {
        if (n != 2)
            return broken(s, "data_offsets are not two numbers");
        e->begin = v[0];
        e->end = v[1];
        return OK;
    }
    e->n_dim = n;
    for (int i = 0; i < n; i++)
        e->n[i] = (int64_t)v[i];
    return OK;
}

static enum err take_tensor(struct scan *s, uint64_t data_len, safetensors_head_fn on_entry,
                            void *arg)
{
    struct safetensors_head_entry e = { .name = s->name, .name_len = s->name_len };
    int                           seen = 0;
    enum err                      err;

    s->in_tensor = true;
    if (!take(s, '{'))
        return broken(s, "an object is expected");
    do {
        err = take_member(s, &e, &seen);
        if (err)
            return err;
    } while (take(s, ','));
    if (!take(s, '}'))
        return broken(s, "its object does not end");
    if (seen != HAS_ALL)
        return broken(s, "dtype, shape or data_offsets is missing");
    err = check_range(s, &e, data_len);
    s->in_tensor = false;
    return err ? err : on_entry(arg, &e);
}

enum err safetensors_head_read(struct bytes head, uint64_t data_len, const char *what,
                               safetensors_head_fn on_entry, void *arg)
{
    struct scan s = { .p = head.p, .end = head.p + head.len, .what = what };
    bool        has_metadata = false;
    enum err    err = OK;

    if (head.len == 0 || *s.p != '{')
        return broken(&s, "it does not begin with '{'");
    s.p++;
    if (!take(&s, '}')) {
        do {
            err = take_string(&s, s.name, &s.name_len, sizeof s.name);
            if (err)
                return err;
            if (!take(&s, ':'))
                return broken(&s, "':' is expected");
            if (strcmp(s.name, "__metadata__") != 0) {
                err = take_tensor(&s, data_len, on_entry, arg);
            } else {
                err = has_metadata ? broken(&s, "__metadata__ comes twice") : take_metadata(&s);
                has_metadata = true;
            }
            if (err)
                return err;
        } while (take(&s, ','));
        if (!take(&s, '}'))
            return broken(&s, "it does not end");
    }
    skip_blank(&s);
    return s.p == s.end ? OK : broken(&s, "bytes follow its end");
}
