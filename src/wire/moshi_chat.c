/* SPDX-License-Identifier: MIT */
#include "wire/moshi_chat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEED_MAX 9007199254740991.0 /* whole numbers are exact up to here */

enum err moshi_chat_read(int *kind, struct bytes *payload, struct bytes message)
{
    if (message.len == 0)
        return ERR_FORMAT;
    *kind = message.p[0];
    *payload = bytes_of(message.p + 1, message.len - 1);
    return OK;
}

void moshi_chat_write_handshake(struct buf *out)
{
    /* Protocol and model version, u32 each: 0 and 0. */
    static const uint8_t handshake[9] = { MOSHI_CHAT_HANDSHAKE };
    buf_add(out, handshake, sizeof handshake);
}

void moshi_chat_write_kind(struct buf *out, enum moshi_chat_kind kind)
{
    buf_add_byte(out, (uint8_t)kind);
}

void moshi_chat_write_text(struct buf *out, struct bytes utf8)
{
    buf_add_byte(out, MOSHI_CHAT_TEXT);
    buf_add(out, utf8.p, utf8.len);
}

/* A whole decimal number between min and max, else NAN. */
static double read_number(const char *text, double min, double max)
{
    char *end = NULL;

    if (!*text || strlen(text) > 32 || text[strspn(text, "0123456789+-.eE")])
        return NAN;
    double v = strtod(text, &end);
    return *end || !isfinite(v) || v < min || v > max ? NAN : v;
}

/* The same of a number without a fraction, else -1. */
static int64_t read_whole(const char *text, double min, double max)
{
    double v = read_number(text, min, max);
    return isnan(v) || v != floor(v) ? -1 : (int64_t)v;
}

static void read_pair(struct moshi_chat_query *q, const char *name, const char *value)
{
    if (strcmp(name, "text_temperature") == 0)
        q->text_temperature = read_number(value, 0, 10);
    else if (strcmp(name, "audio_temperature") == 0)
        q->audio_temperature = read_number(value, 0, 10);
    else if (strcmp(name, "text_topk") == 0)
        q->text_topk = (int)read_whole(value, 1, 1e6);
    else if (strcmp(name, "audio_topk") == 0)
        q->audio_topk = (int)read_whole(value, 1, 1e6);
    else if (strcmp(name, "text_seed") == 0)
        q->text_seed = read_whole(value, 0, SEED_MAX);
    else if (strcmp(name, "audio_seed") == 0)
        q->audio_seed = read_whole(value, 0, SEED_MAX);
}

void moshi_chat_read_query(struct moshi_chat_query *q, struct bytes query)
{
    const char *at = (const char *)query.p, *end = at + query.len;

    *q = (struct moshi_chat_query){ .text_temperature = NAN,
                                    .audio_temperature = NAN,
                                    .text_topk = -1,
                                    .audio_topk = -1,
                                    .text_seed = -1,
                                    .audio_seed = -1 };
    while (at < end) {
        char        pair[96]; /* a longer one is nothing that we know */
        const char *next = memchr(at, '&', (size_t)(end - at));
        size_t      len = (size_t)((next ? next : end) - at);
        if (len < sizeof pair) {
            memcpy(pair, at, len);
            pair[len] = 0;
            char *equals = strchr(pair, '=');
            if (equals) {
                *equals = 0;
                read_pair(q, pair, equals + 1);
            }
        }
        at += len + (next != NULL);
    }
}
