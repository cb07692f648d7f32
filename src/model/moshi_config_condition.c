/* SPDX-License-Identifier: MIT */
/* conditioners and fuser of config.json (docs/models/moshi.md, "What is read from config.json"). */
#include <string.h>

#include "base/sha256.h"
#include "model/moshi_config_impl.h"

enum { MAX_BIN = 1 << 20, MAX_WIDTH = 1 << 16 };

/* The index of a name in the list of values; -1 when it is not there. */
static int value_index(const json_t *values, const char *name)
{
    for (size_t i = 0; i < json_array_size(values); i++) {
        const char *v = json_string_value(json_array_get(values, i));
        if (v && strcmp(v, name) == 0)
            return (int)i;
    }
    return -1;
}

/* Without a list of values the reference numbers a name by its SHA-256, modulo n_bin. */
static int hashed_index(const char *name, int n_bin)
{
    uint8_t  hash[SHA256_SIZE];
    uint32_t rest = 0;

    sha256(hash, bytes_str(name));
    for (int i = 0; i < SHA256_SIZE; i++)
        rest = (rest << 8 | hash[i]) % (uint32_t)n_bin; /* MAX_BIN has 20 bits: no overflow */
    return (int)rest;
}

/* What holds when nobody says anything: what the reference's programs set. */
static const char *default_value(const char *model_type, const char *name)
{
    static const struct {
        const char *type, *name, *value;
    } rows[] = {
        { "hibiki", "description", "very_good" },
        { "tts", "cfg", "2.0" },
        { "tts", "control", "ok" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].type, model_type) == 0 && strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    return NULL;
}

static void read_lut(struct moshi_condition *m, struct config_key *r, const char *model_type)
{
    const char   *tokenizer = config_key_str(r, "tokenizer", "");
    const json_t *values = config_key_value(r, "possible_values");
    const char   *dflt = default_value(model_type, m->name);

    m->n_bin = config_key_int(r, "n_bins", 0, 1, MAX_BIN);
    if (m->n_bin == 0)
        config_key_fail(r, "conditioner '%s' has no 'n_bins'", m->name);
    if (!r->err && strcmp(tokenizer, "noop") != 0)
        config_key_fail(r, "conditioner '%s': tokenizer '%.30s' is not known", m->name, tokenizer);
    if (values && (!json_is_array(values) || json_array_size(values) > (size_t)m->n_bin))
        config_key_fail(r, "conditioner '%s': 'possible_values' is no list of at most %d", m->name,
                        m->n_bin);
    m->n_value = values ? (int)json_array_size(values) : m->n_bin;
    if (dflt && !r->err)
        m->dflt = values ? value_index(values, dflt) : hashed_index(dflt, m->n_bin);
}

static void read_condition(struct moshi_condition *m, const struct config_key *top,
                           const char *name, const json_t *v, int dim, const char *model_type,
                           enum err *err)
{
    struct config_key r = *top;
    const char       *type;

    r.obj = v;
    if (strlen(name) >= sizeof m->name || strlen(name) == 0 || strchr(name, '.'))
        config_key_fail(&r, "conditioner '%.70s': not a name of 1 to %d characters", name,
                        MOSHI_CONDITION_NAME_CAP - 1);
    else
        memcpy(m->name, name, strlen(name) + 1);
    m->dflt = -1;
    type = config_key_str(&r, "type", "");
    m->is_lut = strcmp(type, "lut") == 0;
    if (!m->is_lut && strcmp(type, "tensor") != 0)
        config_key_fail(&r, "conditioner '%.60s' is of type '%.30s', not lut or tensor", name,
                        type);
    if (!r.err && !json_is_object(config_key_value(&r, type)))
        config_key_fail(&r, "conditioner '%s' has no object '%s'", m->name, type);
    if (!r.err) {
        r.obj = config_key_value(&r, type);
        m->dim = config_key_int(&r, "dim", 0, 1, MAX_WIDTH);
        if (m->dim == 0)
            config_key_fail(&r, "conditioner '%s' has no 'dim'", m->name);
        m->has_projection = config_key_bool(&r, "force_linear", true) || m->dim != dim;
        m->has_padding = config_key_bool(&r, "learn_padding", true);
        if (config_key_bool(&r, "output_bias", false))
            config_key_fail(&r, "conditioner '%s': 'output_bias' is not supported", m->name);
        if (m->is_lut)
            read_lut(m, &r, model_type);
    }
    *err = r.err;
}

/* Names of the list under key as indices into cond. */
static void read_fused(int *out, int *n_out, struct config_key *r, const char *key,
                       const struct moshi_config *c)
{
    const json_t *list = config_key_value(r, key);

    if (list && !json_is_array(list))
        config_key_fail(r, "'fuser': '%s' must be a list of names", key);
    for (size_t i = 0; !r->err && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        int         at = -1;
        for (int k = 0; name && k < c->n_cond; k++)
            if (strcmp(c->cond[k].name, name) == 0)
                at = k;
        if (at < 0 || *n_out == MOSHI_MAX_CONDITION) {
            config_key_fail(r, "'fuser': '%s' names '%.60s', which is no conditioner", key,
                            name ? name : "something else");
            return;
        }
        out[(*n_out)++] = at;
    }
}

static void read_fuser(struct moshi_config *c, struct config_key *top)
{
    struct config_key r = config_key_section(top, "fuser");

    if (!r.obj)
        return;
    if (json_array_size(config_key_value(&r, "prepend")) > 0)
        config_key_fail(&r, "'fuser': 'prepend' is not supported, only 'sum' and 'cross'");
    read_fused(c->sum, &c->n_sum, &r, "sum", c);
    read_fused(c->cross, &c->n_cross, &r, "cross", c);
    c->has_cross_pos = config_key_bool(&r, "cross_attention_pos_emb", false);
    c->cross_pos_scale = (float)config_key_num(&r, "cross_attention_pos_emb_scale", 1, -1e6, 1e6);
    if (c->has_cross_pos && c->n_cross && (c->main.dim % 2 != 0 || c->main.dim < 4))
        config_key_fail(&r, "'cross_attention_pos_emb' needs an even width of 4 or more");
    top->err = r.err;
}

void moshi_config_read_conditions(struct moshi_config *c, struct config_key *r,
                                  const char *model_type)
{
    struct config_key all = config_key_section(r, "conditioners");
    const char       *name;
    json_t           *v;

    r->err = all.err;
    json_object_foreach((json_t *)(uintptr_t)all.obj, name, v)
    {
        if (c->n_cond == MOSHI_MAX_CONDITION)
            config_key_fail(r, "'conditioners' has more than %d entries", MOSHI_MAX_CONDITION);
        if (!r->err)
            read_condition(&c->cond[c->n_cond++], r, name, v, c->main.dim, model_type, &r->err);
    }
    if (!r->err)
        read_fuser(c, r);
    if (c->has_cross && c->n_cross == 0)
        config_key_fail(r, "'cross_attention' is true, but the fuser names no condition for it");
    if (!c->has_cross && c->n_cross > 0)
        config_key_fail(
            r, "'fuser' names conditions for a cross-attention that the model does not have");
}
