/* SPDX-License-Identifier: MIT */
/* Numbers that are none: found wherever they are, and nothing else is taken for one. */
#include "kernel/finite.h"

#include "check.h"

static const struct {
    enum dtype dtype;
    uint32_t   least, largest; /* of the bits that are no number, without the sign */
} kinds[] = { { DT_F32, 0x7f800000, 0x7fffffff },
              { DT_BF16, 0x7f80, 0x7fff },
              { DT_F16, 0x7c00, 0x7fff } };

/* Every place of every odd length, at odd addresses, either sign. */
TEST(finite_finds_the_one_that_is_no_number)
{
    static const size_t lengths[] = { 1, 2, 511, 512, 513, 1024, 1500, 3001 };
    static uint8_t      room[3001 * 4 + 1];

    for (int k = 0; k < 3; k++) {
        size_t size = dtype_size(kinds[k].dtype);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            size_t   n = lengths[i];
            uint8_t *p = room + 1;
            memset(room, 0, sizeof room);
            CHECK(finite_all(kinds[k].dtype, p, n));
            for (size_t at = 0; at < n; at += n < 600 ? 1 : 97) {
                uint32_t bits = at % 2 ? kinds[k].least : kinds[k].largest;
                bits |= (uint32_t)(at / 2 % 2) << (8 * size - 1);
                memcpy(p + at * size, &bits, size);
                CHECK(!finite_all(kinds[k].dtype, p, n));
                CHECK(finite_all(kinds[k].dtype, p, at)); /* before it all is well */
                memset(p + at * size, 0, size);
            }
        }
    }
    CHECK(finite_all(DT_F32, NULL, 0));
}

TEST(finite_takes_every_16_bits_for_what_they_are)
{
    for (int k = 1; k < 3; k++) {
        for (uint32_t i = 0; i < 0x10000; i++) {
            uint16_t half = (uint16_t)i;
            CHECK(finite_all(kinds[k].dtype, &half, 1) == ((i & 0x7fff) < kinds[k].least));
        }
    }
}

TEST(finite_asks_nothing_of_whole_numbers)
{
    static const uint8_t ones[64] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    CHECK(finite_all(DT_I8, ones, 8) && finite_all(DT_U32, ones, 2) && finite_all(DT_U16, ones, 4));
}
