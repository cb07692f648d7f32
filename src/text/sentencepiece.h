/* SPDX-License-Identifier: MIT */
/* sentencepiece: text to token ids and back, from a SentencePiece .model file.
 *
 * Unigram, BPE, word and char models with the file's own normaliser, byte fallback, user-defined
 * and control pieces; the same ids and the same text as the sentencepiece library gives. An open
 * tokenizer is read-only: any number of threads may use it at once. Encode and decode allocate;
 * questions and the stream do not.
 */
#ifndef TEXT_SENTENCEPIECE_H
#define TEXT_SENTENCEPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct sentencepiece;

/* Reads the whole model file in memory and copies what it keeps. what names it in the sentence of
 * ERR_FORMAT: broken, inconsistent or absurdly large. *out untouched on failure. */
enum err sentencepiece_open(struct sentencepiece **out, struct bytes model, const char *what)
    MUST_CHECK;
void sentencepiece_close(struct sentencepiece **s);
int  sentencepiece_count(const struct sentencepiece *s); /* ids are 0 .. count-1 */

/* Text, perhaps not UTF-8 (bad bytes read as U+FFFD), to ids: no bos, no eos; user-defined pieces
 * are found in the text, control pieces are not, as the library does. ERR_LIMIT: more than n_cap
 * ids; 3 * text.len + 3 always suffice unless the normaliser makes the text longer. */
enum err sentencepiece_encode(const struct sentencepiece *s, int *ids, int *n, int n_cap,
                              struct bytes text) MUST_CHECK;
/* Same, into a new array of *n ids, the caller's to mem_free(); NULL when there are none. On
 * failure untouched. */
enum err sentencepiece_encode_new(const struct sentencepiece *s, int **ids, int *n,
                                  struct bytes text) MUST_CHECK;

/* Appends the text of n ids. ERR_USAGE: an id outside the model, the sentence names it. */
enum err sentencepiece_decode(const struct sentencepiece *s, struct buf *out, const int *ids, int n)
    MUST_CHECK;

/* One piece as the file has it (U+2581 for a blank), borrowed; empty for an id that is not
 * there. */
struct bytes sentencepiece_piece(const struct sentencepiece *s, int id);
bool         sentencepiece_is_control(const struct sentencepiece *s, int id); /* "</s>" */

/* Words as they are spoken: one id in, the text to print now out.
 *
 * The piece with U+2581 as a blank, the first one's too; control pieces as the file has them
 * ("</s>"): the caller leaves out the ids it does not want seen. Byte pieces (<0xE2>) are
 * gathered until the UTF-8 character is whole; what cannot become one is U+FFFD, and what is still
 * held when the ids end was never said. One thread at a time; allocates nothing, so the engine
 * thread may step it. */
struct sentencepiece_stream {
    const struct sentencepiece *s;
    uint8_t                     held[4]; /* bytes of a character that is not whole yet */
    int                         n_held;
};
/* What one step can give at most: held bytes as U+FFFD each, and the longest piece. Longer pieces
 * are refused at open. */
#define SENTENCEPIECE_PIECE_MAX  1024
#define SENTENCEPIECE_STREAM_MAX (SENTENCEPIECE_PIECE_MAX + 16)

void sentencepiece_stream_init(struct sentencepiece_stream *st, const struct sentencepiece *s);
/* Bytes written to out, 0 to SENTENCEPIECE_STREAM_MAX, valid UTF-8, not terminated. An id that is
 * not there gives nothing. */
size_t sentencepiece_stream_step(struct sentencepiece_stream *st, int id,
                                 char out[SENTENCEPIECE_STREAM_MAX]);

#endif
