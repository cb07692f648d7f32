/* SPDX-License-Identifier: MIT */
/* sentencepiece_index: pieces in byte order, to find one or all that begin a text.
 *
 * Sorted, not hashed: a file made to collide costs nothing more, and a prefix search is the same
 * structure. Read-only after open.
 */
#ifndef TEXT_SENTENCEPIECE_INDEX_H
#define TEXT_SENTENCEPIECE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct sentencepiece_key {
    struct bytes text; /* borrowed, at least one byte */
    int          id;
};

struct sentencepiece_index {
    struct sentencepiece_key *key; /* [n_key], sorted by text */
    int                       n_key;
    int                       first[257]; /* byte c begins keys first[c] .. first[c + 1] - 1 */
};

/* Room for n_cap keys; zeroed ones are closed without harm. */
enum err sentencepiece_index_open(struct sentencepiece_index *x, int n_cap) MUST_CHECK;
void     sentencepiece_index_close(struct sentencepiece_index *x);
void     sentencepiece_index_add(struct sentencepiece_index *x, struct bytes text, int id);
/* After the last add: sorts. The id of a text that is there twice, -1 when all differ. */
int sentencepiece_index_finish(struct sentencepiece_index *x);

int sentencepiece_index_find(const struct sentencepiece_index *x, struct bytes text); /* -1 */
/* Bytes of the longest key that text begins with, 0: none. */
size_t sentencepiece_index_longest(const struct sentencepiece_index *x, struct bytes text);

/* A walk over all keys that a text begins with. Zero it, then step with each byte. */
struct sentencepiece_walk {
    int lo, hi; /* the keys that still fit */
    int depth;
};
/* false: no key goes on like this. *id is the key that ends here, -1: none. */
bool sentencepiece_index_step(int *id, const struct sentencepiece_index *x,
                              struct sentencepiece_walk *w, uint8_t c);

#endif
