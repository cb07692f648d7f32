/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"

#define DEPTH_CAP 64

/* jansson reports some failed allocations as broken input, so they are remembered here. */
static _Thread_local bool was_short_of_memory;

static void *json_alloc(size_t size)
{
    void *p = mem_alloc(size);
    if (!p)
        was_short_of_memory = true;
    return p;
}

/* Before main, so that no value is ever made by one allocator and freed by another. */
__attribute__((constructor)) static void use_our_heap(void)
{
    json_set_alloc_funcs(json_alloc, mem_free);
}

/* Brackets outside strings; jansson recurses, so deep nesting is refused before it starts. */
static bool is_too_deep(struct bytes in)
{
    int  depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DEPTH_CAP)
                return true;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return false;
}

static bool is_empty(struct bytes in)
{
    for (size_t i = 0; i < in.len; i++)
        if (!strchr(" \t\r\n", in.p[i]) || !in.p[i])
            return false;
    return true;
}

static enum err parse(json_t **out, struct bytes in, size_t flags, size_t max_len, const char *what)
{
    if (in.len > max_len)
        return err_set(ERR_LIMIT, "%s: %zu bytes of JSON, at most %zu are read", what, in.len,
                       max_len);
    if (is_empty(in))
        return err_set(ERR_FORMAT, "%s: is empty, not JSON", what);
    if (is_too_deep(in))
        return err_set(ERR_FORMAT, "%s: JSON nested deeper than %d", what, DEPTH_CAP);

    json_error_t error;
    was_short_of_memory = false;
    json_t *v = json_loadb((const char *)in.p, in.len,
                           flags | JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!v && was_short_of_memory)
        return err_set(ERR_NOMEM, "%s: out of memory while reading JSON", what);
    if (!v && !memchr(in.p, '\n', in.len))
        return err_set(ERR_FORMAT, "%s: not valid JSON: %s", what, error.text);
    if (!v)
        return err_set(ERR_FORMAT, "%s: not valid JSON in line %d: %s", what, error.line,
                       error.text);
    *out = v;
    return OK;
}

enum err json_parse(json_t **out, struct bytes in, size_t max_len, const char *what)
{
    return parse(out, in, 0, max_len, what);
}

enum err json_parse_string(struct buf *out, struct bytes in, size_t max_len, const char *what)
{
    json_t  *v;
    enum err err = parse(&v, in, JSON_ALLOW_NUL, max_len, what);

    if (err)
        return err;
    if (json_is_string(v))
        buf_add(out, json_string_value(v), json_string_length(v));
    else
        err = err_set(ERR_FORMAT, "%s: not a JSON string", what);
    json_decref(v);
    return err ? err : buf_err(out);
}

enum err json_read_file(json_t **out, const char *path, size_t max_len)
{
    struct buf b;

    buf_init(&b, max_len);
    enum err err = os_read_file(&b, path);
    if (!err)
        err = json_parse(out, buf_view(&b), max_len, path);
    buf_fini(&b);
    /* A file that is too long is a broken file; capacity is about what this machine holds. */
    return err == ERR_LIMIT ? err_set(ERR_FORMAT, "%s", err_text(err)) : err;
}

static const json_t *member(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_null(v) ? NULL : v;
}

enum err json_get_int(int64_t *out, const json_t *obj, const char *key, int64_t dflt, int64_t min,
                      int64_t max, const char *what)
{
    const json_t *v = member(obj, key);
    if (v && (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max))
        return err_set(ERR_FORMAT, "%s: '%s' must be a whole number from %lld to %lld", what, key,
                       (long long)min, (long long)max);
    *out = v ? (int64_t)json_integer_value(v) : dflt;
    return OK;
}

enum err json_get_num(double *out, const json_t *obj, const char *key, double dflt,
                      const char *what)
{
    const json_t *v = member(obj, key);
    if (v && (!json_is_number(v) || !isfinite(json_number_value(v))))
        return err_set(ERR_FORMAT, "%s: '%s' must be a number", what, key);
    *out = v ? json_number_value(v) : dflt;
    return OK;
}

enum err json_get_bool(bool *out, const json_t *obj, const char *key, bool dflt, const char *what)
{
    const json_t *v = member(obj, key);
    if (v && !json_is_boolean(v))
        return err_set(ERR_FORMAT, "%s: '%s' must be true or false", what, key);
    *out = v ? json_is_true(v) : dflt;
    return OK;
}

enum err json_get_str(const char **out, const json_t *obj, const char *key, const char *dflt,
                      const char *what)
{
    const json_t *v = member(obj, key);
    if (v && !json_is_string(v))
        return err_set(ERR_FORMAT, "%s: '%s' must be a string", what, key);
    *out = v ? json_string_value(v) : dflt;
    return OK;
}

enum err json_get_ints(int *out, int *n, int n_cap, const json_t *obj, const char *key,
                       const char *what)
{
    const json_t *v = member(obj, key);
    if (v && !json_is_array(v))
        return err_set(ERR_FORMAT, "%s: '%s' must be an array of whole numbers", what, key);
    size_t n_item = v ? json_array_size(v) : 0;
    if (n_item > (size_t)n_cap)
        return err_set(ERR_LIMIT, "%s: '%s' has %zu entries, at most %d are supported", what, key,
                       n_item, n_cap);
    for (size_t i = 0; i < n_item; i++) {
        const json_t *item = json_array_get(v, i);
        json_int_t    x = json_integer_value(item);
        if (!json_is_integer(item) || x < INT32_MIN || x > INT32_MAX)
            return err_set(ERR_FORMAT, "%s: '%s' must be an array of whole numbers", what, key);
        if (out)
            out[i] = (int)x;
    }
    *n = (int)n_item;
    return OK;
}
