/* SPDX-License-Identifier: MIT */
#include "app/trickle.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "check.h"

/* A pipe without room: whoever writes would wait. */
static void fill(int fd)
{
    static char page[4096];

    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    while (write(fd, page, sizeof page) > 0 || write(fd, page, 1) > 0)
        ;
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
}

static void drain(int fd)
{
    char page[4096];

    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    while (read(fd, page, sizeof page) > 0)
        ;
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
}

TEST(text_goes_out_at_once_where_there_is_room)
{
    struct trickle t;
    int            p[2];
    char           got[16] = "";

    CHECK(pipe(p) == 0);
    trickle_init(&t, p[1], "a pipe");
    CHECK(trickle_add(&t, "one ") == OK && trickle_add(&t, NULL) == OK);
    CHECK(read(p[0], got, sizeof got) == 4 && memcmp(got, "one ", 4) == 0);
    trickle_fini(&t);
    close(p[0]);
    close(p[1]);
}

TEST(nobody_waits_for_a_reader_and_nothing_is_lost)
{
    struct trickle t;
    int            p[2];
    char           got[32] = "";

    CHECK(pipe(p) == 0);
    fill(p[1]);
    trickle_init(&t, p[1], "a pipe");
    int64_t t0_ns = os_now_ns();
    for (int i = 0; i < 5; i++)
        CHECK(trickle_add(&t, "word ") == OK);
    CHECK(os_now_ns() - t0_ns < 500000000);
    drain(p[0]);
    CHECK(trickle_add(&t, NULL) == OK);
    CHECK(read(p[0], got, sizeof got) == 25 && memcmp(got, "word word word word word ", 25) == 0);

    fill(p[1]);
    CHECK(trickle_add(&t, "last") == OK);
    drain(p[0]);
    CHECK(trickle_flush(&t) == OK);
    CHECK(read(p[0], got, sizeof got) == 4 && memcmp(got, "last", 4) == 0);
    trickle_fini(&t);
    close(p[0]);
    close(p[1]);
}

TEST(a_reader_that_has_gone_is_an_error)
{
    struct trickle t;
    int            p[2];

    CHECK(pipe(p) == 0);
    close(p[0]);
    os_guard_streams(); /* no signal for it */
    trickle_init(&t, p[1], "a pipe");
    CHECK(trickle_add(&t, "word") == ERR_IO);
    trickle_fini(&t);
    close(p[1]);
}
