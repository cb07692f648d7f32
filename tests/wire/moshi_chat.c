/* SPDX-License-Identifier: MIT */
#include "wire/moshi_chat.h"

#include <math.h>

#include "check.h"
#include "wire/cases.h"

/* Facts about a message: kind N len=N | empty. About a query: tt= at= (temperatures, - when
 * absent), tk= ak= (top-k), ts= as= (seeds). */

static void say_temperature(char out[16], double v)
{
    if (isnan(v))
        snprintf(out, 16, "-");
    else
        snprintf(out, 16, "%g", v);
}

static void say_query(char *out, size_t cap, struct bytes in)
{
    struct moshi_chat_query q;
    char                    tt[16], at[16];

    moshi_chat_read_query(&q, in);
    say_temperature(tt, q.text_temperature);
    say_temperature(at, q.audio_temperature);
    snprintf(out, cap, "tt=%s at=%s tk=%d ak=%d ts=%lld as=%lld", tt, at, q.text_topk, q.audio_topk,
             (long long)q.text_seed, (long long)q.audio_seed);
}

static void check_fact(const char *fact, struct bytes in)
{
    char         got[256];
    struct bytes payload;
    int          kind;

    if (fact[0] == 't')
        say_query(got, sizeof got, in);
    else if (moshi_chat_read(&kind, &payload, in) == OK)
        snprintf(got, sizeof got, "kind %d len=%zu", kind, payload.len);
    else
        snprintf(got, sizeof got, "empty");
    CHECK_STR(got, fact);
}

TEST(moshi_chat_reads_messages)
{
    cases_run("tests/wire/moshi_chat/messages.txt", 10, check_fact);
}

TEST(moshi_chat_reads_what_is_valid_in_a_query)
{
    cases_run("tests/wire/moshi_chat/queries.txt", 20, check_fact);
}

TEST(moshi_chat_without_a_query_wishes_nothing)
{
    struct moshi_chat_query q;

    moshi_chat_read_query(&q, bytes_of(NULL, 0));
    CHECK(isnan(q.text_temperature) && isnan(q.audio_temperature));
    CHECK(q.text_topk == -1 && q.audio_topk == -1 && q.text_seed == -1 && q.audio_seed == -1);
}

/* As the official page's, which sends an image's address and an id along. */
TEST(moshi_chat_finds_wishes_beside_a_long_parameter)
{
    static char             text[20000];
    struct moshi_chat_query q;

    memset(text, 'x', sizeof text);
    memcpy(text, "worker_auth_id=", 15);
    memcpy(text + sizeof text - 19, "&text_temperature=0", 19);
    moshi_chat_read_query(&q, bytes_of(text, sizeof text));
    CHECK(q.text_temperature == 0 && isnan(q.audio_temperature));
}

TEST(moshi_chat_writes_its_messages)
{
    struct buf b;

    buf_init(&b, 64);
    moshi_chat_write_handshake(&b);
    CHECK(bytes_equal(buf_view(&b), bytes_of("\0\0\0\0\0\0\0\0\0", 9)));
    buf_clear(&b);
    moshi_chat_write_text(&b, bytes_str(" caf\xc3\xa9"));
    CHECK(bytes_equal(buf_view(&b), bytes_str("\2 caf\xc3\xa9")));
    buf_clear(&b);
    moshi_chat_write_kind(&b, MOSHI_CHAT_PING);
    CHECK(bytes_equal(buf_view(&b), bytes_of("\6", 1)));
    buf_fini(&b);
}
