/* SPDX-License-Identifier: MIT */
/* digest: the two things that need a cryptographic library here (OpenSSL). Pure. */
#ifndef SERVER_DIGEST_H
#define SERVER_DIGEST_H

#include <stdbool.h>

#include "base/bytes.h"

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key of 24 bytes, ended with 0 (RFC 6455 4.2.2). */
void digest_accept(char out[32], struct bytes key);
/* Takes as long for a wrong secret as for a right one of that length. */
bool digest_is_equal(struct bytes a, struct bytes b);

#endif
