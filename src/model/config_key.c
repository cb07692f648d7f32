/* SPDX-License-Identifier: MIT */
#include "model/config_key.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

void config_key_init(struct config_key *r, const json_t *obj, const char *path)
{
    size_t len = strlen(path);

    *r = (struct config_key){ .obj = obj };
    /* A long path is cut in front, so that the key stays in the sentence. */
    snprintf(r->what, sizeof r->what, "%s%.100s", len > 100 ? "..." : "",
             path + (len > 100 ? len - 97 : 0));
}

struct config_key config_key_section(const struct config_key *top, const char *key)
{
    struct config_key r = *top;

    r.obj = config_key_value(top, key);
    if (r.obj && !json_is_object(r.obj))
        config_key_want(&r, key, "an object");
    return r;
}

int config_key_int(struct config_key *r, const char *key, int dflt, int min, int max)
{
    int64_t v = dflt;

    if (!r->err)
        r->err = json_get_int(&v, r->obj, key, dflt, min, max, r->what);
    return (int)v;
}

double config_key_num(struct config_key *r, const char *key, double dflt, double min, double max)
{
    double v = dflt;

    if (!r->err)
        r->err = json_get_num(&v, r->obj, key, dflt, r->what);
    if (!r->err && config_key_value(r, key) && !(v >= min && v <= max)) {
        config_key_fail(r, "'%s' must be a number from %g to %g", key, min, max);
        v = dflt;
    }
    return v;
}

bool config_key_bool(struct config_key *r, const char *key, bool dflt)
{
    bool v = dflt;

    if (!r->err)
        r->err = json_get_bool(&v, r->obj, key, dflt, r->what);
    return v;
}

const char *config_key_str(struct config_key *r, const char *key, const char *dflt)
{
    const char *v = dflt;

    if (!r->err)
        r->err = json_get_str(&v, r->obj, key, dflt, r->what);
    return v;
}

int config_key_choice(struct config_key *r, const char *key, const char *dflt,
                      const struct config_choice *c)
{
    const char *v = config_key_str(r, key, dflt);

    for (int i = 0; !r->err && c[i].name; i++)
        if (strcmp(v, c[i].name) == 0)
            return c[i].value;
    config_key_fail(r, "'%s' is '%.40s', which is not known", key, v);
    return c[0].value;
}

int config_key_ints(struct config_key *r, int *out, int n_cap, const char *key)
{
    int n = 0;

    if (!r->err)
        r->err = json_get_ints(out, &n, n_cap, r->obj, key, r->what);
    if (r->err == ERR_LIMIT) /* capacity is about what this machine holds */
        r->err = err_set(ERR_FORMAT, "%s: '%s' must have at most %d entries", r->what, key, n_cap);
    return n;
}

const json_t *config_key_value(const struct config_key *r, const char *key)
{
    const json_t *v = json_object_get(r->obj, key);

    return json_is_null(v) ? NULL : v;
}

void config_key_fail(struct config_key *r, const char *fmt, ...)
{
    char    text[200];
    va_list args;

    if (r->err)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    r->err = err_set(ERR_FORMAT, "%s: %s", r->what, text);
}

void config_key_want(struct config_key *r, const char *key, const char *want)
{
    config_key_fail(r, "'%s' must be %s", key, want);
}

/* Words that every transformer's config uses. */

void config_key_position(struct config_key *r, enum rope_kind *rope, bool *has_sin, const char *key)
{
    enum { NO_POSITION, SIN, INTERLEAVED, SIN_INTERLEAVED, HALVES };
    static const struct config_choice positions[] = {
        { "none", NO_POSITION },   { "sin", SIN },
        { "rope", INTERLEAVED },   { "sin_rope", SIN_INTERLEAVED },
        { "rope_concat", HALVES }, { NULL, 0 },
    };
    int kind = config_key_choice(r, key, "sin", positions);

    *has_sin = kind == SIN || kind == SIN_INTERLEAVED;
    *rope = kind == HALVES                                   ? ROPE_HALVES
            : kind == INTERLEAVED || kind == SIN_INTERLEAVED ? ROPE_INTERLEAVED
                                                             : ROPE_NONE;
}

void config_key_gating(struct config_key *r, enum act *act, bool *is_gated, const char *key)
{
    enum { NO_GATING = -1 };
    static const struct config_choice gatings[] = {
        { "none", NO_GATING },
        { "sigmoid", ACT_SIGMOID },
        { "tanh", ACT_TANH },
        { "relu", ACT_RELU },
        { "leaky_relu", ACT_LEAKY_RELU },
        { "elu", ACT_ELU },
        { "gelu", ACT_GELU },
        { "silu", ACT_SILU },
        { "mish", ACT_MISH },
        { "softsign", ACT_SOFTSIGN },
        { "identity", ACT_NONE },
        { NULL, 0 },
    };
    int kind = config_key_choice(r, key, "none", gatings);

    *is_gated = kind != NO_GATING;
    *act = *is_gated ? (enum act)kind : ACT_GELU;
}

/* Which keys there are. */

static bool is_one_of(const char *key, const char *const *keys)
{
    for (; keys && *keys; keys++)
        if (strcmp(key, *keys) == 0)
            return true;
    return false;
}

bool config_key_has_any(const json_t *obj, const char *const *keys)
{
    for (; *keys; keys++)
        if (json_object_get(obj, *keys))
            return true;
    return false;
}

void config_key_warn_unknown(const json_t *obj, const char *path, const char *const *known,
                             const char *const *also_known)
{
    const char *key;
    json_t     *v;

    json_object_foreach((json_t *)(uintptr_t)obj, key, v)
    {
        if (!is_one_of(key, known) && !is_one_of(key, also_known))
            log_warn("unknown key ignored file=%s key=%.80s", path, key);
    }
}
