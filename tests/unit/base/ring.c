/* SPDX-License-Identifier: MIT */
#include "base/ring.h"

#include "base/os.h"
#include "check.h"

TEST(ring_takes_only_what_fits)
{
    struct ring *r;
    int          in[4] = { 1, 2, 3, 4 }, out[4] = { 0 };

    CHECK(ring_open(&r, 2, sizeof(int)) == OK);
    CHECK(ring_push(r, in, 4) == 2);
    CHECK(ring_pop(r, out, 4) == 2);
    CHECK(out[1] == 2);
    ring_close(&r);
    CHECK(!r);
}

TEST(ring_gives_items_back_in_order_across_its_end)
{
    struct ring *r;
    int          in[3], out[3], n_out = 0;

    CHECK(ring_open(&r, 4, sizeof(int)) == OK);
    for (int i = 0; i < 30; i += 3) {
        for (int k = 0; k < 3; k++)
            in[k] = i + k;
        CHECK(ring_push(r, in, 3) == 3);
        CHECK(ring_pop(r, out, 3) == 3);
        for (int k = 0; k < 3; k++)
            CHECK_INT(out[k], n_out++);
    }
    ring_close(&r);
}

TEST(ring_rounds_its_room_up_to_a_power_of_two)
{
    struct ring *r;
    char         in[16] = { 0 };

    CHECK(ring_open(&r, 5, 1) == OK);
    CHECK_INT(ring_push(r, in, 16), 8);
    CHECK_INT(ring_count(r), 8);
    ring_close(&r);
}

TEST(ring_is_empty_after_clear)
{
    struct ring *r;
    int          x = 1;

    CHECK(ring_open(&r, 4, sizeof x) == OK);
    CHECK(ring_push(r, &x, 1) == 1);
    ring_clear(r);
    CHECK_INT(ring_count(r), 0);
    CHECK(ring_pop(r, &x, 1) == 0);
    ring_close(&r);
}

TEST(ring_refuses_a_room_that_no_memory_has)
{
    struct ring *r = NULL;

    CHECK(ring_open(&r, SIZE_MAX / 2, 8) == ERR_NOMEM);
    CHECK(!r);
}

struct pair {
    uint64_t n, check;
};

static void push_all(void *arg)
{
    struct ring *r = arg;
    for (uint64_t i = 0; i < 200000;) {
        struct pair p = { i, ~i };
        i += ring_push(r, &p, 1);
    }
}

TEST(ring_hands_whole_items_from_thread_to_thread)
{
    struct ring      *r;
    struct os_thread *pusher;
    struct pair       p[7];
    uint64_t          n = 0;

    CHECK(ring_open(&r, 64, sizeof *p) == OK);
    CHECK(os_thread_start(&pusher, "pusher", push_all, r) == OK);
    while (n < 200000) {
        size_t n_got = ring_pop(r, p, 7);
        for (size_t i = 0; i < n_got; i++, n++)
            CHECK(p[i].n == n && p[i].check == ~n);
    }
    os_thread_join(&pusher);
    ring_close(&r);
}

static enum err open_and_close(void)
{
    struct ring *r = NULL;
    enum err     err = ring_open(&r, 8, 8);
    ring_close(&r);
    return err;
}

TEST(ring_survives_out_of_memory)
{
    CHECK_OOM(open_and_close());
}
