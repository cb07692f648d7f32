/* SPDX-License-Identifier: MIT */
/* moshi_chat: the messages of Kyutai's /api/chat as functions of bytes (docs/protocol.md, "Kyutai
 * chat"). */
#ifndef WIRE_MOSHI_CHAT_H
#define WIRE_MOSHI_CHAT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum moshi_chat_kind {
    MOSHI_CHAT_HANDSHAKE = 0,
    MOSHI_CHAT_AUDIO = 1,
    MOSHI_CHAT_TEXT = 2,
    MOSHI_CHAT_CONTROL = 3,
    MOSHI_CHAT_METADATA = 4,
    MOSHI_CHAT_ERROR = 5,
    MOSHI_CHAT_PING = 6,
    MOSHI_CHAT_COLORED = 7,
};

/* One message from a client. ERR_FORMAT: empty. Unknown kinds are given too: ignore. */
enum err moshi_chat_read(int *kind, struct bytes *payload, struct bytes message) MUST_CHECK;

/* Messages to a client, appended to out; audio takes the kind byte only, pages follow. */
void moshi_chat_write_handshake(struct buf *out); /* 9 bytes */
void moshi_chat_write_kind(struct buf *out, enum moshi_chat_kind kind);
void moshi_chat_write_text(struct buf *out, struct bytes utf8);

/* The query of the upgrade: what is present and valid; unknown names and bad values are
 * ignored. NAN / -1 where absent. */
struct moshi_chat_query {
    double  text_temperature, audio_temperature; /* 0 .. 10 */
    int     text_topk, audio_topk;               /* 1 .. 1,000,000 */
    int64_t text_seed, audio_seed;               /* >= 0 */
};
void moshi_chat_read_query(struct moshi_chat_query *q, struct bytes query);

#endif
