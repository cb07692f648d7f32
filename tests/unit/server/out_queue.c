/* SPDX-License-Identifier: MIT */
#include "server/out_queue.h"

#include "check.h"

static enum err push(struct out_queue *q, enum conn_class class, const char *text, int64_t at_ns)
{
    return out_queue_push(q, class, bytes_str(text), bytes_of(NULL, 0), at_ns);
}

/* Everything in the queue, in its order, with blanks between. */
static const char *empty_it(struct out_queue *q)
{
    static char  text[256];
    size_t       len = 0;
    struct bytes front;

    text[0] = 0;
    while (out_queue_front(q, &front)) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s", len ? " " : "",
                                (int)front.len, (const char *)front.p);
        out_queue_pop(q);
    }
    return text;
}

TEST(out_queue_keeps_the_order)
{
    struct out_queue q;
    struct bytes     front;

    out_queue_init(&q, 100);
    CHECK(!out_queue_front(&q, &front));
    CHECK(push(&q, CONN_AUDIO, "a", 1) == OK && push(&q, CONN_MUST, "b", 2) == OK);
    CHECK(out_queue_push(&q, CONN_PARTIAL, bytes_str("c"), bytes_str("d"), 3) == OK);
    CHECK_INT(q.n_byte, 4);
    CHECK_STR(empty_it(&q), "a b cd");
    CHECK_INT(q.n_byte, 0);
    CHECK(push(&q, CONN_MUST, "e", 4) == OK);
    CHECK_STR(empty_it(&q), "e");
    out_queue_fini(&q);
}

TEST(out_queue_drops_partials_then_sound_that_are_old)
{
    struct out_queue q;

    out_queue_init(&q, 100);
    CHECK(push(&q, CONN_MUST, "m0", 0) == OK && push(&q, CONN_AUDIO, "a1", 1) == OK);
    CHECK(push(&q, CONN_PARTIAL, "p1", 1) == OK && push(&q, CONN_MUST, "m1", 1) == OK);
    CHECK(push(&q, CONN_AUDIO, "a5", 5) == OK && push(&q, CONN_PARTIAL, "p5", 5) == OK);
    out_queue_drop_old(&q, 5);
    CHECK(q.n_dropped_audio == 1 && q.n_dropped_partial == 1);
    CHECK_INT(q.n_byte, 8);
    CHECK_STR(empty_it(&q), "m0 m1 a5 p5");
    out_queue_fini(&q);
}

TEST(out_queue_never_drops_its_front)
{
    struct out_queue q;

    out_queue_init(&q, 100);
    CHECK(push(&q, CONN_AUDIO, "half", 1) == OK && push(&q, CONN_AUDIO, "gone", 1) == OK);
    out_queue_drop_old(&q, 100);
    CHECK(push(&q, CONN_MUST, "new", 101) == OK); /* the last one fell: the end is in its place */
    CHECK_STR(empty_it(&q), "half new");
    out_queue_fini(&q);
}

TEST(out_queue_makes_room_or_says_that_it_is_full)
{
    struct out_queue q;

    out_queue_init(&q, 10);
    CHECK(push(&q, CONN_MUST, "1234", 1) == OK && push(&q, CONN_AUDIO, "5678", 2) == OK);
    CHECK(push(&q, CONN_MUST, "9abc", 3) == OK);
    CHECK_INT(q.n_dropped_audio, 1);
    CHECK(push(&q, CONN_MUST, "def", 4) == ERR_LIMIT);
    CHECK(push(&q, CONN_MUST, "de", 4) == OK);
    CHECK_STR(empty_it(&q), "1234 9abc de");
    out_queue_fini(&q);
}

static enum err fill_once(void)
{
    struct out_queue q;

    out_queue_init(&q, 100);
    enum err err = push(&q, CONN_MUST, "a", 1);
    if (!err)
        err = push(&q, CONN_MUST, "b", 1);
    out_queue_fini(&q);
    return err;
}

TEST(out_queue_survives_out_of_memory)
{
    CHECK_OOM(fill_once());
}
