/* SPDX-License-Identifier: MIT */
#include "backend/be_pool.h"

#include "base/os.h"
#include "check.h"

struct job {
    int        n_slice;
    atomic_int n_run[BE_POOL_MAX];
    int        last; /* plain: written by slice 0 of one job, read by the others of the next */
};

static void count_slice(void *arg, int i, int n)
{
    struct job *j = arg;
    if (n != j->n_slice || j->last % 2)
        atomic_fetch_add(&j->n_run[BE_POOL_MAX - 1], 1);
    atomic_fetch_add(&j->n_run[i], 1);
}

static void run_jobs(int n_thread, int n_region, int n_job)
{
    struct be_pool   *p;
    static struct job j;
    memset(&j, 0, sizeof j);
    j.n_slice = n_thread;
    CHECK(be_pool_open(&p, n_thread) == OK);
    for (int r = 0; r < n_region; r++) {
        be_pool_begin(p);
        for (int k = 0; k < n_job; k++) {
            be_pool_run(p, count_slice, &j);
            j.last += 2;
        }
        be_pool_end(p);
        if (r % 7 == 0) /* long enough for them to fall asleep */
            os_sleep_until_ns(os_now_ns() + 300000);
    }
    be_pool_close(&p);
    CHECK(!p);
    for (int i = 0; i < n_thread; i++)
        CHECK_INT(j.n_run[i], n_region * n_job);
    CHECK_INT(j.n_run[BE_POOL_MAX - 1], 0);
}

TEST(every_slice_runs_once)
{
    run_jobs(1, 50, 40);
    run_jobs(2, 50, 40);
    run_jobs(3, 20, 20);
}

TEST(more_threads_than_processors_come_to_an_end)
{
    run_jobs(os_cpu_count() + 5, 10, 20);
    run_jobs(40, 3, 5);
}

TEST(jobs_run_outside_a_region_too)
{
    struct be_pool   *p;
    static struct job j;
    memset(&j, 0, sizeof j);
    j.n_slice = 2;
    CHECK(be_pool_open(&p, 2) == OK);
    for (int k = 0; k < 20; k++) {
        be_pool_run(p, count_slice, &j);
        os_sleep_until_ns(os_now_ns() + 200000);
    }
    CHECK_INT(j.n_run[1], 20);
    be_pool_close(&p);
}

static int64_t still_clock(void)
{
    return 12345;
}

/* Tests own the clock: spinning must not wait for it. */
TEST(a_clock_that_stands_still_stops_nobody)
{
    struct be_pool   *p;
    static struct job j;
    memset(&j, 0, sizeof j);
    j.n_slice = 3;
    CHECK(be_pool_open(&p, 3) == OK);
    os_set_clock(still_clock);
    be_pool_begin(p);
    for (int k = 0; k < 5; k++)
        be_pool_run(p, count_slice, &j);
    be_pool_end(p);
    os_set_clock(NULL);
    be_pool_close(&p);
    CHECK_INT(j.n_run[2], 5);
}

static void late_slice(void *arg, int i, int n)
{
    if (i == n - 1)
        os_sleep_until_ns(os_now_ns() + 4000000);
    count_slice(arg, i, n);
}

TEST(a_late_worker_is_waited_for)
{
    struct be_pool   *p;
    static struct job j;
    memset(&j, 0, sizeof j);
    j.n_slice = 2;
    CHECK(be_pool_open(&p, 2) == OK);
    be_pool_begin(p);
    for (int k = 0; k < 12; k++) {
        be_pool_run_each(p, late_slice, &j);
        CHECK_INT(j.n_run[1], k + 1);
    }
    be_pool_end(p);
    be_pool_close(&p);
}

/* One late wait a region is an accident, two are a crowd. */
static void run_region(struct be_pool *p, be_pool_fn fn, struct job *j)
{
    be_pool_begin(p);
    be_pool_run_each(p, fn, j);
    be_pool_run_each(p, fn, j);
    be_pool_end(p);
}

TEST(a_crowd_is_noticed_and_forgotten)
{
    struct be_pool   *p;
    static struct job j;
    memset(&j, 0, sizeof j);
    j.n_slice = 2;
    if (os_cpu_count() < 2)
        SKIP("two processors are needed");
    CHECK(be_pool_open(&p, 2) == OK);
    CHECK(!be_pool_is_crowded(p));
    for (int k = 0; k < 50 && !be_pool_is_crowded(p); k++)
        run_region(p, late_slice, &j);
    CHECK(be_pool_is_crowded(p));
    for (int k = 0; k < 1000 && be_pool_is_crowded(p); k++)
        run_region(p, count_slice, &j);
    CHECK(!be_pool_is_crowded(p));
    be_pool_close(&p);
}

TEST(more_threads_than_processors_are_a_crowd)
{
    struct be_pool *p;
    int             n = os_cpu_count() + 1;
    if (n > BE_POOL_MAX)
        SKIP("this machine has too many processors");
    CHECK(be_pool_open(&p, n) == OK);
    CHECK(be_pool_is_crowded(p));
    be_pool_close(&p);
}

/* Several regions in one, woken ahead or not: every slice runs once. */
TEST(a_held_pool_runs_every_region)
{
    struct be_pool   *p;
    static struct job j;
    memset(&j, 0, sizeof j);
    j.n_slice = 2;
    CHECK(be_pool_open(&p, 2) == OK);
    for (int k = 0; k < 30; k++) {
        if (k % 3 == 0)
            be_pool_rouse(p);
        if (k % 7 == 0)
            os_sleep_until_ns(os_now_ns() + 300000);
        be_pool_hold(p);
        for (int region = 0; region < 4; region++) {
            be_pool_begin(p);
            be_pool_run(p, count_slice, &j);
            be_pool_end(p);
        }
        be_pool_release(p);
    }
    CHECK_INT(j.n_run[0], 120);
    CHECK_INT(j.n_run[1], 120);
    be_pool_close(&p);
}

/* Which threads ran slice 1, by whether it was who posted. */
struct shared {
    struct os_thread *thread;
    uintptr_t         poster;
    int               n_stood_in, n_own;
    int               n_each; /* of jobs whose slices want threads of their own */
};

static uintptr_t here(void)
{
    static _Thread_local char mark;
    return (uintptr_t)&mark;
}

static void who_runs(void *arg, int i, int n)
{
    struct shared *s = arg;
    if (i == 0)
        return;
    if (here() == s->poster)
        s->n_stood_in++;
    else
        s->n_own++;
}

static void share_a_processor(void *arg)
{
    struct shared  *s = arg;
    struct be_pool *p;
    s->poster = here();
    os_pin(0); /* the worker, too, which begins as this one is */
    CHECK(be_pool_open(&p, 2) == OK);
    be_pool_begin(p);
    for (int k = 0; k < 500; k++)
        be_pool_run(p, who_runs, s);
    CHECK_INT(s->n_stood_in + s->n_own, 500);
    s->n_each = s->n_own;
    for (int k = 0; k < 20; k++)
        be_pool_run_each(p, who_runs, s);
    s->n_each = s->n_own - s->n_each;
    be_pool_end(p);
    be_pool_close(&p);
}

/* A thread of its own, so that no other test is pinned. */
TEST(a_worker_that_does_not_come_is_stood_in_for)
{
    struct shared s = { 0 };
    CHECK(os_thread_start(&s.thread, "sharing", share_a_processor, &s) == OK);
    os_thread_join(&s.thread);
    CHECK(s.n_stood_in > 0);
    CHECK_INT(s.n_each, 20);
}

static enum err open_and_close(void)
{
    struct be_pool *p;
    enum err        err = be_pool_open(&p, 3);
    if (!err)
        be_pool_close(&p);
    return err;
}

TEST(out_of_memory_while_threads_start_leaves_none_behind)
{
    CHECK_OOM(open_and_close());
}
