/* SPDX-License-Identifier: MIT */
#include "base/mailbox.h"

#include "base/os.h"
#include "check.h"

#define MS 1000000

TEST(mailbox_answers_again_when_full_and_when_empty)
{
    struct mailbox *m;
    int             x = 0;

    CHECK(mailbox_open(&m, 2, sizeof x) == OK);
    CHECK(mailbox_take(m, &x) == ERR_AGAIN);
    for (x = 1; x <= 2; x++)
        CHECK(mailbox_post(m, &x) == OK);
    CHECK(mailbox_post(m, &x) == ERR_AGAIN);
    CHECK(mailbox_take(m, &x) == OK && x == 1);
    CHECK(mailbox_take(m, &x) == OK && x == 2);
    CHECK(mailbox_take(m, &x) == ERR_AGAIN);
    mailbox_close(&m);
    CHECK(!m);
}

TEST(mailbox_wait_ends_at_its_deadline)
{
    struct mailbox *m;

    CHECK(mailbox_open(&m, 2, 4) == OK);
    int64_t t0 = os_now_ns();
    mailbox_wait(m, t0 + 20 * MS);
    CHECK(os_now_ns() >= t0 + 20 * MS);
    mailbox_close(&m);
}

TEST(mailbox_wait_does_not_sleep_over_a_message_or_an_earlier_wake)
{
    struct mailbox *m;
    int             x = 1;

    CHECK(mailbox_open(&m, 2, sizeof x) == OK);
    mailbox_wake(m);
    mailbox_wait(m, INT64_MAX); /* would hang */
    CHECK(mailbox_post(m, &x) == OK);
    mailbox_wait(m, INT64_MAX);
    mailbox_close(&m);
}

static void wake_later(void *arg)
{
    os_sleep_until_ns(os_now_ns() + 10 * MS);
    mailbox_wake(arg);
}

TEST(mailbox_wake_ends_a_wait)
{
    struct mailbox   *m;
    struct os_thread *t;

    CHECK(mailbox_open(&m, 2, 4) == OK);
    CHECK(os_thread_start(&t, "waker", wake_later, m) == OK);
    mailbox_wait(m, INT64_MAX);
    os_thread_join(&t);
    mailbox_close(&m);
}

struct poster {
    struct mailbox *m;
    uint32_t        id;
};

#define N_POST 20000

static void post_all(void *arg)
{
    struct poster *p = arg;
    for (uint32_t i = 0; i < N_POST;) {
        uint32_t item[2] = { p->id, i };
        if (mailbox_post(p->m, item) == OK)
            i++;
    }
}

TEST(mailbox_keeps_each_poster_in_order)
{
    struct mailbox   *m;
    struct os_thread *t[3];
    struct poster     p[3];
    uint32_t          next[3] = { 0 }, item[2];

    CHECK(mailbox_open(&m, 16, sizeof item) == OK);
    for (uint32_t i = 0; i < 3; i++) {
        p[i] = (struct poster){ m, i };
        CHECK(os_thread_start(&t[i], "poster", post_all, &p[i]) == OK);
    }
    for (int n = 0; n < 3 * N_POST; n++) {
        while (mailbox_take(m, item) == ERR_AGAIN)
            mailbox_wait(m, INT64_MAX);
        CHECK(item[0] < 3 && item[1] == next[item[0]]);
        next[item[0]]++;
    }
    for (int i = 0; i < 3; i++)
        os_thread_join(&t[i]);
    mailbox_close(&m);
}

static enum err open_and_close(void)
{
    struct mailbox *m = NULL;
    enum err        err = mailbox_open(&m, 4, 4);
    mailbox_close(&m);
    return err;
}

TEST(mailbox_survives_out_of_memory)
{
    CHECK_OOM(open_and_close());
}
