/* SPDX-License-Identifier: MIT */
/* sentencepiece_rules: how a text is rewritten before it is cut into pieces.
 *
 * The compiled table of a NormalizerSpec: a double-array trie (darts-clone) from byte strings to
 * their replacements, checked as a whole at open so that a walk needs no check, and the rules
 * for blanks. Read-only after open.
 */
#ifndef TEXT_SENTENCEPIECE_RULES_H
#define TEXT_SENTENCEPIECE_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "text/sentencepiece_index.h"

#define SENTENCEPIECE_BLANK     "\xE2\x96\x81" /* U+2581 */
#define SENTENCEPIECE_BLANK_LEN 3

struct sentencepiece_rules {
    /* as the file has it */
    struct bytes charsmap; /* may be empty; borrowed */
    bool         has_dummy_prefix, removes_blanks, escapes_blanks;
    /* of the trainer's part */
    bool blank_is_suffix;
    /* found in the text as they are; may be NULL */
    const struct sentencepiece_index *kept;
    /* out of charsmap */
    uint32_t    *unit; /* [n_unit] */
    uint32_t     n_unit;
    struct bytes words; /* replacements, each ended by a zero byte */
};

/* Reads charsmap; the other members are the caller's. what names the file in the sentence. */
enum err sentencepiece_rules_open(struct sentencepiece_rules *r, const char *what) MUST_CHECK;
void     sentencepiece_rules_close(struct sentencepiece_rules *r);

/* Appends the rewritten text to out; see buf_err(). */
void sentencepiece_rules_apply(const struct sentencepiece_rules *r, struct buf *out,
                               struct bytes text);

#endif
