/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"

#include "check.h"

TEST(bytes_reads_back_what_it_writes_in_both_orders)
{
    uint8_t  p[9] = { 0 };
    uint64_t v = 0x0102030405060708;

    for (int n = 1; n <= 8; n++) {
        uint64_t low = n == 8 ? v : v & ((1ull << 8 * n) - 1);
        bytes_put_le(p, v, n);
        CHECK(bytes_le(p, n) == low && p[0] == 8 && p[n] == 0);
        bytes_put_be(p, v, n);
        CHECK(bytes_be(p, n) == low && p[n - 1] == 8 && p[n] == 0);
        memset(p, 0, sizeof p);
    }
}

TEST(bytes_are_equal_only_with_their_length)
{
    CHECK(bytes_equal(bytes_str("ab"), bytes_of("abc", 2)));
    CHECK(!bytes_equal(bytes_str("ab"), bytes_str("abc")));
    CHECK(bytes_equal(bytes_of(NULL, 0), bytes_str("")));
}
