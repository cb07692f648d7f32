/* SPDX-License-Identifier: MIT */
#include "device/playout.h"

#include "check.h"

#define QUIET 0.001f
#define LOUD  0.5f

/* A loudspeaker that asks for n blocks while the queue is refilled after each; n_queued stays. */
static int play(struct playout *p, int n, int *n_queued, float peak)
{
    int n_cut = 0;

    for (int i = 0; i < n; i++) {
        if (!playout_can_play(p, *n_queued))
            continue;
        --*n_queued;
        while (playout_cuts(p, *n_queued, peak)) {
            --*n_queued;
            n_cut++;
        }
        ++*n_queued;
    }
    return n_cut;
}

TEST(first_sound_waits_for_a_block_to_spare)
{
    struct playout p;

    playout_init(&p);
    CHECK(!playout_can_play(&p, 0));
    CHECK(!playout_can_play(&p, PLAYOUT_FIRST_BLOCKS - 1));
    CHECK(playout_can_play(&p, PLAYOUT_FIRST_BLOCKS));
    CHECK(playout_can_play(&p, 1));
    CHECK_INT(p.n_underrun, 0);
}

TEST(an_underrun_counts_once_until_sound_comes)
{
    struct playout p;

    playout_init(&p);
    CHECK(playout_can_play(&p, 2));
    for (int i = 0; i < 5; i++)
        CHECK(!playout_can_play(&p, 0));
    CHECK_INT(p.n_underrun, 1);
    CHECK(playout_can_play(&p, 1));
    CHECK(!playout_can_play(&p, 0));
    CHECK_INT(p.n_underrun, 2);
}

TEST(a_queue_that_is_just_enough_is_left_alone)
{
    struct playout p;
    int            n_queued = 1;

    playout_init(&p);
    CHECK(playout_can_play(&p, 2));
    CHECK_INT(play(&p, 10000, &n_queued, QUIET), 0);
}

TEST(blocks_to_spare_are_given_back_in_a_pause_after_two_seconds)
{
    struct playout p;
    int            n_queued = 5;

    playout_init(&p);
    CHECK_INT(play(&p, 24, &n_queued, QUIET), 0);
    CHECK_INT(play(&p, 1, &n_queued, QUIET), 4);
    CHECK_INT(n_queued, 1);
}

TEST(without_a_pause_they_are_given_back_after_ten_seconds)
{
    struct playout p;
    int            n_queued = 4;

    playout_init(&p);
    CHECK_INT(play(&p, 124, &n_queued, LOUD), 0);
    CHECK_INT(play(&p, 1, &n_queued, LOUD), 3);
    CHECK_INT(n_queued, 1);
}

TEST(jitter_that_needs_the_spare_keeps_it)
{
    struct playout p;
    int            n_queued;

    playout_init(&p);
    CHECK(playout_can_play(&p, 2));
    /* Three blocks to spare most of the time, none once a second. */
    for (int i = 0; i < 100; i++) {
        n_queued = 4;
        CHECK_INT(play(&p, 11, &n_queued, QUIET), 0);
        CHECK(playout_can_play(&p, 1));
        CHECK(!playout_cuts(&p, 0, QUIET));
    }
}

TEST(an_underrun_soon_after_a_cut_makes_it_patient)
{
    struct playout p;
    int            n_queued = 2;

    playout_init(&p);
    CHECK_INT(play(&p, 25, &n_queued, QUIET), 1);
    CHECK(!playout_can_play(&p, 0));
    n_queued = 2;
    CHECK_INT(play(&p, 49, &n_queued, QUIET), 0);
    CHECK_INT(play(&p, 1, &n_queued, QUIET), 1);
}
