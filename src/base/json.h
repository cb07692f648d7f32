/* SPDX-License-Identifier: MIT */
/* json: limits over jansson. Everything from outside is parsed here.
 *
 * Readers take the member's kind and range in one call and say in one sentence what is wrong:
 * "FILE: 'num_layers' must be a whole number from 1 to 1024".
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Parses one value of at most max_len bytes; depth is limited, duplicate keys are refused. what
 * names the source in the sentence. The caller owns *out: json_decref(). */
enum err json_parse(json_t **out, struct bytes in, size_t max_len, const char *what) MUST_CHECK;
/* One JSON string, appended to out as UTF-8; here it may hold zero bytes. */
enum err json_parse_string(struct buf *out, struct bytes in, size_t max_len, const char *what)
    MUST_CHECK;
enum err json_read_file(json_t **out, const char *path, size_t max_len) MUST_CHECK;

/* Members of an object. Absent or null: the default. Wrong kind or out of range: ERR_FORMAT. */
enum err json_get_int(int64_t *out, const json_t *obj, const char *key, int64_t dflt, int64_t min,
                      int64_t max, const char *what) MUST_CHECK;
enum err json_get_num(double *out, const json_t *obj, const char *key, double dflt,
                      const char *what) MUST_CHECK;
enum err json_get_bool(bool *out, const json_t *obj, const char *key, bool dflt, const char *what)
    MUST_CHECK;
/* Borrowed from obj; dflt may be NULL. */
enum err json_get_str(const char **out, const json_t *obj, const char *key, const char *dflt,
                      const char *what) MUST_CHECK;
/* An array of whole numbers; *n set, out may be NULL to count. More than n_cap: ERR_LIMIT. */
enum err json_get_ints(int *out, int *n, int n_cap, const json_t *obj, const char *key,
                       const char *what) MUST_CHECK;

#endif
