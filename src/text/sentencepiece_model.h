/* SPDX-License-Identifier: MIT */
/* sentencepiece_model: what a .model file says, checked and indexed.
 *
 * Only sentencepiece*.c see this. Read-only after open.
 */
#ifndef TEXT_SENTENCEPIECE_MODEL_H
#define TEXT_SENTENCEPIECE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "text/sentencepiece_index.h"
#include "text/sentencepiece_rules.h"

enum sentencepiece_kind { /* the file's numbers */
                          SENTENCEPIECE_NORMAL = 1,
                          SENTENCEPIECE_UNKNOWN = 2,
                          SENTENCEPIECE_CONTROL = 3,
                          SENTENCEPIECE_USER_DEFINED = 4,
                          SENTENCEPIECE_UNUSED = 5,
                          SENTENCEPIECE_BYTE = 6,
};

enum sentencepiece_algorithm {
    SENTENCEPIECE_UNIGRAM = 1,
    SENTENCEPIECE_BPE = 2,
    SENTENCEPIECE_WORD = 3,
    SENTENCEPIECE_CHAR = 4,
};

struct sentencepiece_entry {
    struct bytes text;
    float        score;
    uint8_t      kind;
    uint8_t      byte;     /* BYTE: the one it stands for */
    int          id_found; /* the id its text is found as: its own, or that of a reserved piece */
};

struct sentencepiece_model {
    uint8_t                     *file;  /* copy; the rest borrows from it */
    struct sentencepiece_entry  *piece; /* [n_piece] */
    int                          n_piece;
    int                          n_unused;
    enum sentencepiece_algorithm algorithm;
    bool                         has_bytes; /* unknown characters become byte pieces */
    struct bytes                 unknown;   /* what the unknown piece is decoded as */
    int                          unknown_id;
    int                          byte_id[256];
    float                        score_min; /* of normal pieces */
    struct sentencepiece_rules   normal, denormal;
    bool                         has_denormal;
    struct sentencepiece_index   words;    /* normal, user-defined and unused pieces */
    struct sentencepiece_index   reserved; /* the others */
    struct sentencepiece_index   kept;     /* user-defined pieces */
};

enum err sentencepiece_model_open(struct sentencepiece_model *m, struct bytes file,
                                  const char *what) MUST_CHECK;
void     sentencepiece_model_close(struct sentencepiece_model *m); /* zeroed or half open too */

/* The id of a text as a piece: reserved ones first; the unknown id when there is none. */
int sentencepiece_model_find(const struct sentencepiece_model *m, struct bytes text);

#endif
