/* SPDX-License-Identifier: MIT */
/* moshi_key: keys of config.json, read in straight-line code: the first error is held. */
#ifndef MODEL_MOSHI_KEY_H
#define MODEL_MOSHI_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"

struct moshi_key {
    const json_t *obj;
    char          what[160]; /* the file, for sentences */
    enum err      err;       /* ERR_FORMAT with a sentence that names the key */
};

/* Absent or null: dflt. */
int64_t moshi_key_int(struct moshi_key *r, const char *key, int64_t dflt, int64_t min, int64_t max);
double  moshi_key_num(struct moshi_key *r, const char *key, double dflt, double min, double max);
bool    moshi_key_bool(struct moshi_key *r, const char *key, bool dflt);
const char *moshi_key_str(struct moshi_key *r, const char *key, const char *dflt);
/* Which of n names the key holds; 0 after an error. */
int moshi_key_choice(struct moshi_key *r, const char *key, const char *dflt,
                     const char *const *names, int n);
/* The member, NULL when absent or null. */
const json_t *moshi_key_value(const struct moshi_key *r, const char *key);
void          moshi_key_fail(struct moshi_key *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Does the file say anything about the language model? */
bool moshi_key_has_lm(const json_t *config);
void moshi_key_warn_unknown(const json_t *config, const char *what);

#endif
