/* SPDX-License-Identifier: MIT */
#include "server/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define KEY_LEN 24

void digest_accept(char out[32], struct bytes key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 1.3 */
    uint8_t           text[KEY_LEN + sizeof guid], digest[EVP_MAX_MD_SIZE];
    unsigned          len = 0;

    memcpy(text, key.p, KEY_LEN);
    memcpy(text + KEY_LEN, guid, sizeof guid - 1);
    if (EVP_Digest(text, KEY_LEN + sizeof guid - 1, digest, &len, EVP_sha1(), NULL) != 1)
        len = 0;
    EVP_EncodeBlock((unsigned char *)out, digest, (int)len);
}

bool digest_is_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && CRYPTO_memcmp(a.p, b.p, a.len) == 0;
}
