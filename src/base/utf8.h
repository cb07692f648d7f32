/* SPDX-License-Identifier: MIT */
/* utf8: which bytes make a character (Unicode 15, table 3-7: no surrogates, no overlong forms). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

#define UTF8_BAD "\xEF\xBF\xBD" /* U+FFFD, what stands for a byte that belongs to no character */

/* Bytes, 1 to 4, of the character at the front of in; 0 when there is none. */
size_t utf8_len(struct bytes in);
/* in, of 1 to 3 bytes, is the beginning of a character that is not whole yet. */
bool utf8_is_partial(struct bytes in);
bool utf8_is_valid(struct bytes in);
/* Writes code point c, at most 0x10ffff, and gives how many bytes that took. */
size_t utf8_put(uint8_t out[4], uint32_t c);

#endif
