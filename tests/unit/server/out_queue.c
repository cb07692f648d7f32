/* SPDX-License-Identifier: MIT */
#include "server/out_queue.h"

#include "check.h"

static enum err push(struct out_queue *q, const char *text)
{
    return out_queue_push(q, bytes_str(text), bytes_of(NULL, 0));
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
    CHECK(push(&q, "a") == OK && push(&q, "b") == OK);
    CHECK(out_queue_push(&q, bytes_str("c"), bytes_str("d")) == OK);
    CHECK_INT(q.n_byte, 4);
    CHECK_STR(empty_it(&q), "a b cd");
    CHECK_INT(q.n_byte, 0);
    CHECK(push(&q, "e") == OK);
    CHECK_STR(empty_it(&q), "e");
    out_queue_fini(&q);
}

TEST(out_queue_keeps_what_it_has_when_it_is_full)
{
    struct out_queue q;

    out_queue_init(&q, 10);
    CHECK(push(&q, "1234") == OK && push(&q, "5678") == OK);
    CHECK(push(&q, "9ab") == ERR_LIMIT);
    CHECK_INT(q.n_byte, 8);
    CHECK(push(&q, "9a") == OK);
    CHECK(push(&q, "b") == ERR_LIMIT);
    CHECK_STR(empty_it(&q), "1234 5678 9a");
    CHECK(push(&q, "b") == OK);
    out_queue_fini(&q);
}

static enum err fill_once(void)
{
    struct out_queue q;

    out_queue_init(&q, 100);
    enum err err = push(&q, "a");
    if (!err)
        err = push(&q, "b");
    out_queue_fini(&q);
    return err;
}

TEST(out_queue_survives_out_of_memory)
{
    CHECK_OOM(fill_once());
}
