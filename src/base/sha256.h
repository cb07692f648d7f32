/* SPDX-License-Identifier: MIT */
/* sha256: the hash function of FIPS 180-4, for numbers that models were trained with. What guards
 * a secret is server/digest.h. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include "base/bytes.h"

#define SHA256_SIZE 32

void sha256(uint8_t out[SHA256_SIZE], struct bytes in);

#endif
