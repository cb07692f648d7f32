/* SPDX-License-Identifier: MIT */
/* config_key: keys of a model's JSON config, read in straight-line code: the first error is held,
 * with a sentence that names the file and the key. */
#ifndef MODEL_CONFIG_KEY_H
#define MODEL_CONFIG_KEY_H

#include <stdbool.h>

#include "backend/ops.h"
#include "base/err.h"
#include "base/json.h"

/* One object of a file. */
struct config_key {
    const json_t *obj;       /* borrowed */
    char          what[160]; /* the file, for sentences */
    enum err      err;       /* ERR_FORMAT, or OK */
};

/* A word and what it stands for; the last name of a table is NULL. */
struct config_choice {
    const char *name;
    int         value;
};

void config_key_init(struct config_key *r, const json_t *obj, const char *path);
/* The object under key, with the error of top; obj is NULL when there is none. Hand the error back
 * to top when done. */
struct config_key config_key_section(const struct config_key *top, const char *key);

/* Absent or null: dflt. */
int    config_key_int(struct config_key *r, const char *key, int dflt, int min, int max);
double config_key_num(struct config_key *r, const char *key, double dflt, double min, double max);
bool   config_key_bool(struct config_key *r, const char *key, bool dflt);
const char *config_key_str(struct config_key *r, const char *key, const char *dflt);
/* What the word under key stands for; the value of c's first row after an error. */
int config_key_choice(struct config_key *r, const char *key, const char *dflt,
                      const struct config_choice *c);
/* "positional_embedding" and "gating" of a transformer, by whatever key. */
void config_key_position(struct config_key *r, enum rope_kind *rope, bool *has_sin,
                         const char *key);
void config_key_gating(struct config_key *r, enum act *act, bool *is_gated, const char *key);
/* How many whole numbers the list under key has, n_cap at most; 0 when absent. */
int config_key_ints(struct config_key *r, int *out, int n_cap, const char *key);
/* The member, NULL when absent or null. */
const json_t *config_key_value(const struct config_key *r, const char *key);

/* Holds "FILE: ..." and "FILE: 'KEY' must be WANT". */
void config_key_fail(struct config_key *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void config_key_want(struct config_key *r, const char *key, const char *want);

/* Is any of the keys there? A list of keys ends with NULL. */
bool config_key_has_any(const json_t *obj, const char *const *keys);
/* A key that nobody reads may change what the model is: a line of the log for each that is in
 * neither list; also_known may be NULL. */
void config_key_warn_unknown(const json_t *obj, const char *path, const char *const *known,
                             const char *const *also_known);

#endif
