/* SPDX-License-Identifier: MIT */
/* Hostile messages and queries of the chat. Seeds: tests/wire/moshi_chat. */
#include <math.h>

#include "base/mem.h"
#include "wire/moshi_chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void check_query(const struct moshi_chat_query *q)
{
    must(isnan(q->text_temperature) || (q->text_temperature >= 0 && q->text_temperature <= 10));
    must(isnan(q->audio_temperature) || (q->audio_temperature >= 0 && q->audio_temperature <= 10));
    must(q->text_topk == -1 || (q->text_topk >= 1 && q->text_topk <= 1000000));
    must(q->audio_topk == -1 || (q->audio_topk >= 1 && q->audio_topk <= 1000000));
    must(q->text_seed >= -1 && q->audio_seed >= -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    struct moshi_chat_query q;
    struct bytes            payload;
    int                     kind = -1;

    moshi_chat_read_query(&q, bytes_of(p, len));
    check_query(&q);
    must((moshi_chat_read(&kind, &payload, bytes_of(p, len)) == OK) == (len > 0));
    must(len == 0 || (kind >= 0 && kind <= 255 && payload.len == len - 1));
    return 0;
}
