/* SPDX-License-Identifier: MIT */
#include "base/sha256.h"

#include "check.h"

static void check_hash(struct bytes in, const char *want)
{
    uint8_t out[SHA256_SIZE];
    char    text[2 * SHA256_SIZE + 1];

    sha256(out, in);
    for (size_t i = 0; i < SHA256_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", out[i]);
    CHECK_STR(text, want);
}

/* FIPS 180-4's examples, from NIST's page of them. */
TEST(sha256_gives_the_published_hashes)
{
    check_hash(bytes_of(NULL, 0),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_hash(bytes_str("abc"),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_hash(bytes_str("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* The end of the text, its mark and its length fit in one block, or just do not. */
TEST(sha256_pads_texts_of_every_length)
{
    static const struct {
        size_t      len;
        const char *want;
    } rows[] = {
        { 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318" },
        { 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a" },
        { 63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34" },
        { 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb" },
        { 119, "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb" },
        { 120, "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c" },
        { 1000, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3" },
    };
    static char text[1000];

    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_hash(bytes_of(text, rows[i].len), rows[i].want);
}
