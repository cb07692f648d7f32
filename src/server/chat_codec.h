/* SPDX-License-Identifier: MIT */
/* chat_codec: Opus for the talks of /api/chat, on a thread of its own.
 *
 * A frame of a talk costs about a millisecond of Opus, which the sockets of everybody would wait
 * for: the io thread hands packets and steps to this thread and gets samples and packets back,
 * each in order. A line is a talk's place here; all of its calls come from the io thread.
 *
 * | queue   | pusher -> popper | item                   | room  | when full                       |
 * | heard   | io -> codec      | Opus packet            | 16    | can_hear(): the room reads less |
 * | samples | codec -> io      | sample                 | 1.4 s | packets wait in heard           |
 * | said    | io -> codec      | frame, words of a step | 8     | can_say(): the lane waits       |
 * | packets | codec -> io      | packets, words of it   | 8     | steps wait in said              |
 * | doors   | io -> codec      | a new line             | 512   | chat_line_open() fails          |
 */
#ifndef SERVER_CHAT_CODEC_H
#define SERVER_CHAT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define CHAT_TEXT_CAP 256

struct chat_codec;
struct chat_line;

/* wake is called on the codec's thread when there is something to pop, or room again. */
enum err chat_codec_open(struct chat_codec **out, void (*wake)(void *arg), void *wake_arg)
    MUST_CHECK;
/* Ends the thread: wake is not called any more; lines may still be closed. */
void chat_codec_stop(struct chat_codec *c);
void chat_codec_close(struct chat_codec **c); /* every line closed before */

/* ERR_FAIL: Opus does not know this rate. */
enum err chat_line_open(struct chat_line **out, struct chat_codec *c, int rate_hz, int frame_size,
                        int lane) MUST_CHECK;
void     chat_line_close(struct chat_line **l); /* never waits */

bool   chat_line_can_hear(const struct chat_line *l);
void   chat_line_hear(struct chat_line *l, struct bytes packet); /* when it can; broken: a gap */
size_t chat_line_pop_samples(struct chat_line *l, float *pcm, size_t n);

bool chat_line_can_say(const struct chat_line *l);
/* When it can: a frame, or NULL, and words, or "". */
void chat_line_say(struct chat_line *l, const float *frame, const char *text);

/* What a step has become: packets of packet_smp samples each, and its words. */
struct chat_said {
    const char  *text;     /* "" when there are none */
    int          n_packet; /* 0 without sound, and while a packet is not full */
    int          n_48k;    /* duration of each at 48 kHz */
    struct bytes packet[]; /* [n_packet] */
};
/* A view until the next call; NULL: nothing is ready. */
const struct chat_said *chat_line_pop(struct chat_line *l);

#endif
