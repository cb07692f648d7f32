/* SPDX-License-Identifier: MIT */
/* No thread allocates while talks go on: neither through base/mem.h (mem_forbid) nor behind its
 * back, in the C library or another one. The second half watches malloc itself; sanitizers own
 * that, so it is left out of their builds. */
#include "base/metric.h"
#include "rt/watch.h"
#include "unit/talk/talk_fixture.h"

static atomic_bool        is_watched;
static atomic_int         n_malloc; /* while watched, by other threads than the test's */
static _Thread_local bool is_test;

#if IS_WATCHED
static void watch_malloc(void)
{
    if (atomic_load(&is_watched) && !is_test)
        atomic_fetch_add(&n_malloc, 1);
}
#endif

static void allocate(void *arg)
{
    void *volatile p = malloc(100);
    free(p);
}

TEST(an_allocation_of_another_thread_is_noticed)
{
    struct os_thread *thread;

    if (!IS_WATCHED)
        SKIP("malloc belongs to the sanitizer here");
    is_test = true;
    atomic_store(&is_watched, true);
    CHECK(os_thread_start(&thread, "allocates", allocate, NULL) == OK);
    os_thread_join(&thread);
    atomic_store(&is_watched, false);
    CHECK(atomic_exchange(&n_malloc, 0) > 0);
}

/* Three lanes that come and go, with one reader that sleeps now and then. */
static void talk_a_while(struct engine *e, int64_t n_frame)
{
    float             pcm[FRAME];
    struct talk_event ev;
    int64_t           end_ns = os_now_ns() + SLOW;

    n_frame += metric_get(M_FRAMES_TOTAL);
    for (int round = 0; metric_get(M_FRAMES_TOTAL) < n_frame && os_now_ns() < end_ns; round++) {
        struct talk *t[3];
        for (int i = 0; i < 3; i++)
            t[i] = fixture_open(e, (uint64_t)round);
        for (int k = 0; k < 100; k++) {
            for (int i = 0; i < 3; i++) {
                fixture_fill(pcm, FRAME, i, k);
                if (i < 2 || k % 3)
                    talk_push(t[i], pcm);
                while ((i || k % 20 == 0) && talk_pop_event(t[i], &ev))
                    if (ev.has_sound)
                        talk_pop_sound(t[i], pcm);
            }
            os_sleep_until_ns(os_now_ns() + 300000);
        }
        for (int i = 0; i < 3; i++)
            talk_close(&t[i]);
        fixture_wait_talks(e, 0);
    }
}

TEST(no_thread_allocates_between_open_and_close)
{
    setenv("PARLEY_MEM_STRICT", "1", 1);
    is_test = true;
    struct engine *e = fixture_engine(3, 3);
    int64_t        n_frame = metric_get(M_FRAMES_TOTAL);
    size_t         n_forbidden = mem_forbidden_count();

    atomic_store(&is_watched, true);
    talk_a_while(e, 500);
    atomic_store(&is_watched, false);
    CHECK_INT(atomic_load(&n_malloc), 0);
    CHECK_INT(mem_forbidden_count(), n_forbidden);
    CHECK(metric_get(M_FRAMES_TOTAL) - n_frame >= 500);
    engine_close(&e);
}
