/* SPDX-License-Identifier: MIT */
/* sentencepiece_ids: the ids of a text, as the algorithms find its pieces one by one.
 *
 * Here an unknown piece becomes its bytes where the model has byte pieces, and otherwise a run of
 * unknown pieces one id. Only sentencepiece*.c see this.
 */
#ifndef TEXT_SENTENCEPIECE_IDS_H
#define TEXT_SENTENCEPIECE_IDS_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"
#include "text/sentencepiece_model.h"

struct sentencepiece_ids {
    int     *id; /* the caller's, or from mem_realloc when it may grow */
    int      n, n_cap;
    bool     can_grow;
    bool     was_unknown;
    enum err err; /* the first */
};

void sentencepiece_ids_add(struct sentencepiece_ids *out, const struct sentencepiece_model *m,
                           struct bytes piece, int id);

/* Cuts a rewritten text, not empty, into pieces; in the file of each algorithm. */
enum err sentencepiece_unigram_cut(struct sentencepiece_ids         *out,
                                   const struct sentencepiece_model *m, struct bytes text)
    MUST_CHECK;
enum err sentencepiece_bpe_cut(struct sentencepiece_ids *out, const struct sentencepiece_model *m,
                               struct bytes text) MUST_CHECK;

/* Bytes of a character by its first byte alone, never more than there are: pieces of a broken
 * text are cut as the library cuts them. */
static inline size_t sentencepiece_ids_char_len(struct bytes text)
{
    uint8_t c = text.p[0];
    size_t  n = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    return n < text.len ? n : text.len;
}

#endif
