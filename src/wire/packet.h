/* SPDX-License-Identifier: MIT */
/* packet: SolaceLive voice packets, one a binary WebSocket message (docs/protocol.md, "Packets").
 *
 * Pure functions of bytes: no socket, no clock, no state but what the caller hands in. Sequence
 * numbers, queues and acknowledgement are the room's. Any thread. A packet is a 17-byte
 * little-endian head and a payload that runs to the end of the message.
 */
#ifndef WIRE_PACKET_H
#define WIRE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define PACKET_HEAD_LEN    17
#define PACKET_PAYLOAD_MAX 65535 /* we never send more; a client may, its length field wraps */

enum packet_type {
    PACKET_HEARTBEAT = 0x01,
    PACKET_ACK = 0x02,
    PACKET_AUDIO_CHUNK = 0x10, /* f32 mono at 24 kHz */
    PACKET_TEXT_PARTIAL = 0x20,
    PACKET_TEXT_FINAL = 0x21, /* the only one of ours that asks for an ACK */
    PACKET_METADATA = 0x30,   /* one JSON object */
};

struct packet_head {
    uint8_t      type; /* any value: a client may have other types */
    uint8_t      priority;
    bool         wants_ack;
    uint32_t     seq;
    double       time_ms;   /* sender's clock, may be anything, NaN too */
    uint32_t     acked_seq; /* ACK only */
    struct bytes payload;   /* borrowed from in, not aligned */
};

/* Reads one whole message. ERR_FORMAT: malformed, to be counted and ignored: shorter than a head,
 * a length that is not the payload's size modulo 65536, audio that is not whole samples, an ACK
 * that is not 4 bytes. Unknown types and priorities are well formed: other clients send them. */
enum err packet_read_head(struct packet_head *h, struct bytes in) MUST_CHECK;

/* Appends one packet to out; priority and wants_ack are what the type asks for. payload is at
 * most PACKET_PAYLOAD_MAX bytes, else nothing is written: ERR_LIMIT. */
enum err packet_write(struct buf *out, enum packet_type type, uint32_t seq, double time_ms,
                      struct bytes payload) MUST_CHECK;
enum err packet_write_ack(struct buf *out, uint32_t seq, double time_ms, uint32_t acked_seq)
    MUST_CHECK;
/* n_smp <= PACKET_PAYLOAD_MAX / 4; what is not finite goes out as 0, the rest within -1..1. */
enum err packet_write_audio(struct buf *out, uint32_t seq, double time_ms, const float *smp,
                            int n_smp) MUST_CHECK;

/* Samples of an AUDIO_CHUNK payload from sample `at` on: at most n_cap of them, not finite becomes
 * 0, the rest is clamped to -1..1. Gives how many were copied. */
int packet_copy_samples(float *out, int n_cap, struct bytes payload, size_t at);

/* Text of decimal numbers and blanks only is text-token ids to force. OK: *n >= 1 of them.
 * ERR_FORMAT: ordinary text, *n is 0. ERR_LIMIT: numbers, but more than n_cap, of which the first
 * n_cap are given, or one above 2^31-1: *n is 0. */
enum err packet_read_ids(int *ids, int *n, int n_cap, struct bytes text) MUST_CHECK;

/* More than 100 malformed packets in 10 s close a connection. Zeroed at birth. */
#define PACKET_FAULTS_MAX       100
#define PACKET_FAULTS_WINDOW_NS 10000000000LL

struct packet_faults {
    int64_t  at_ns[PACKET_FAULTS_MAX];
    uint64_t n;
};
/* Counts one; true: that is too many, close with 1007. */
bool packet_faults_add(struct packet_faults *f, int64_t now_ns);

/* METADATA a client sends. */
enum packet_meta_kind {
    PACKET_META_BROKEN, /* not a JSON object; acknowledged like the others */
    PACKET_META_OTHER,  /* an object of a type we do not know */
    PACKET_META_START,  /* conversation_start */
    PACKET_META_STATS,  /* stats_request */
};
enum packet_text_mode { PACKET_TEXT_IDS, PACKET_TEXT_PIECES, PACKET_TEXT_BOTH };

struct packet_meta {
    enum packet_meta_kind kind;
    /* START; what is absent or null has the default */
    int                   rate_hz; /* 24000; 0: something that is no rate */
    bool                  is_pcm;  /* true; false: a format that is not pcm or pcm_f32 */
    enum packet_text_mode text;    /* ids; also for a mode that nobody knows */
};
/* Never fails: whatever was sent, the answer is conversation_acknowledged. Allocates while it
 * parses. */
void        packet_read_meta(struct packet_meta *m, struct bytes payload);
const char *packet_text_mode_name(enum packet_text_mode mode); /* "ids", "pieces", "both" */

/* METADATA we send: each appends one JSON object to out, the payload of a packet_write(). Ask
 * buf_err() in the end. Strings are UTF-8, bad bytes are replaced. */
struct packet_welcome {
    double                time_ms;
    int                   rate_hz, frame_smp, n_q;
    enum packet_text_mode text;
    const char           *client_id;
    size_t                message_cap; /* bytes */
};
/* connection_established */
void packet_add_welcome(struct buf *out, const struct packet_welcome *w);

struct packet_caps {
    bool                  mlx, moshi, mimi; /* a GPU computes; models that are loaded */
    enum packet_text_mode text;
};
void packet_add_caps(struct buf *out, const struct packet_caps *c); /* conversation_acknowledged */
void packet_add_degraded(struct buf *out, bool lm, bool mimi, const char *reason);
void packet_add_error(struct buf *out, const char *code, const char *message);

struct packet_stats {
    int64_t frames_in, steps, audio_sent, partial_sent;
    int64_t input_dropped, malformed; /* of what came; nothing that goes out is dropped */
    int     remainder_smp;            /* samples that wait for a whole frame */
    int     delay_frames;             /* effective delay of the sound */
    int     lag_ms;                   /* from the last answered frame's arrival to its answer */
    int     step_ms;                  /* one frame's computing, median */
    int     frames_waiting;           /* whole ones that came and that no step has taken */
};
void packet_add_stats(struct buf *out, const struct packet_stats *s);

#endif
