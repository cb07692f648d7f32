/* SPDX-License-Identifier: MIT */
#include "server/chat_codec.h"

#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/ring.h"
#include "base/trace.h"
#include "media/opus.h"

#define N_DOOR     512
#define N_HEARD    16
#define N_SAID     8
#define HEARD_CAP  8192 /* of a packet: 120 ms at any bit rate take less */
#define SAMPLES_MS 1400
#define MAX_MS     120 /* of a packet */
#define AT_ONCE    4   /* packets of one line before the others have their turn */

struct heard {
    size_t  len;
    uint8_t p[HEARD_CAP];
};

struct said {
    bool  has_sound;
    char  text[CHAT_TEXT_CAP];
    float pcm[]; /* [frame_size] */
};

struct made {
    char     text[CHAT_TEXT_CAP];
    int      n_packet;
    size_t   len;
    uint16_t size[]; /* [max_packet], then the packets' bytes */
};

struct chat_line {
    /* fixed after open */
    struct chat_codec *codec;
    int                frame_size, packet_smp, n_48k, max_packet, max_smp, lane;
    size_t             said_size, made_size;
    struct ring       *heard, *samples, *said, *packets;
    /* io only */
    struct heard     *heard_out; /* what is pushed next */
    struct said      *said_out;
    struct made      *made_in;
    struct chat_said *view;
    /* codec only */
    struct chat_line *next;
    struct opus_enc  *enc;
    struct opus_dec  *dec;
    struct heard     *heard_in;
    struct said      *said_in;
    struct made      *made_out;
    float            *pcm;  /* [max_smp] */
    float            *rest; /* [frame_size + packet_smp]: sound that is not a packet yet */
    int               n_rest;
    int64_t           n_heard, n_said;
    /* io -> codec */
    atomic_bool is_closed;
};

struct chat_codec {
    /* fixed after open */
    void (*wake)(void *arg);
    void             *wake_arg;
    struct mailbox   *doors; /* io -> codec: a new line; the bell of all lines */
    struct os_thread *thread;
    /* codec only */
    struct chat_line *lines;
    /* any thread */
    atomic_bool is_stopping;
};

/* Codec thread. */

static void free_line(struct chat_line *l)
{
    ring_close(&l->heard);
    ring_close(&l->samples);
    ring_close(&l->said);
    ring_close(&l->packets);
    opus_enc_close(&l->enc);
    opus_dec_close(&l->dec);
    mem_free(l->heard_out);
    mem_free(l->said_out);
    mem_free(l->made_in);
    mem_free(l->view);
    mem_free(l->heard_in);
    mem_free(l->said_in);
    mem_free(l->made_out);
    mem_free(l->pcm);
    mem_free(l->rest);
    mem_free(l);
}

static bool has_room_for_samples(const struct chat_line *l)
{
    size_t n_cap = (size_t)l->max_smp * SAMPLES_MS / MAX_MS;
    return ring_count(l->samples) + (size_t)l->max_smp <= n_cap;
}

/* A packet that is none is a gap, as on any network. */
static void decode(struct chat_line *l)
{
    int64_t  t0_ns = os_now_ns();
    int      n_smp = 0;
    enum err err = opus_dec_step(l->dec, l->pcm, &n_smp,
                                 bytes_of(l->heard_in->p, l->heard_in->len));

    if (!err)
        must(ring_push(l->samples, l->pcm, (size_t)n_smp) == (size_t)n_smp);
    trace_span(TRACE_CODEC, "opus decode", trace_lane(l->lane), l->n_heard++, t0_ns, os_now_ns());
}

/* Cuts the sound that there is into packets. */
static void encode_rest(struct chat_line *l, struct made *m)
{
    uint8_t *to = (uint8_t *)(m->size + l->max_packet);
    int      at = 0;

    for (; l->n_rest - at >= l->packet_smp; at += l->packet_smp) {
        size_t   len = 0;
        enum err err = opus_enc_step(l->enc, to + m->len, &len, l->rest + at, l->packet_smp);
        if (err) {
            log_error("sound not sent reason=%s", err_text(err));
            continue;
        }
        m->size[m->n_packet++] = (uint16_t)len;
        m->len += len;
    }
    l->n_rest -= at;
    memmove(l->rest, l->rest + at, (size_t)l->n_rest * sizeof *l->rest);
}

static void encode(struct chat_line *l)
{
    struct made *m = l->made_out;
    int64_t      t0_ns = os_now_ns();

    m->n_packet = 0;
    m->len = 0;
    memcpy(m->text, l->said_in->text, sizeof m->text);
    if (l->said_in->has_sound) {
        memcpy(l->rest + l->n_rest, l->said_in->pcm, (size_t)l->frame_size * sizeof *l->rest);
        l->n_rest += l->frame_size;
        encode_rest(l, m);
        trace_span(TRACE_CODEC, "opus encode", trace_lane(l->lane), l->n_said++, t0_ns,
                   os_now_ns());
    }
    must(ring_push(l->packets, m, 1) == 1);
}

/* Is there more to do, and was anything done? */
static bool work(struct chat_line *l, bool *is_done)
{
    int n = 0;

    for (; n < AT_ONCE && ring_count(l->packets) < N_SAID && ring_pop(l->said, l->said_in, 1); n++)
        encode(l);
    for (; n < 2 * AT_ONCE && has_room_for_samples(l) && ring_pop(l->heard, l->heard_in, 1); n++)
        decode(l);
    *is_done |= n > 0;
    return n >= AT_ONCE;
}

/* One turn of every line. true: somebody has more to do. */
static bool serve_lines(struct chat_codec *c)
{
    bool has_more = false, is_done = false;

    for (struct chat_line **at = &c->lines, *l; (l = *at);) {
        if (atomic_load(&l->is_closed)) {
            *at = l->next;
            free_line(l);
            continue;
        }
        has_more |= work(l, &is_done);
        at = &l->next;
    }
    if (is_done)
        c->wake(c->wake_arg);
    return has_more;
}

static void take_new(struct chat_codec *c)
{
    struct chat_line *l;

    while (mailbox_take(c->doors, &l) == OK) {
        l->next = c->lines;
        c->lines = l;
    }
}

static void codec_main(void *arg)
{
    struct chat_codec *c = arg;

    while (!atomic_load(&c->is_stopping)) {
        take_new(c);
        if (!serve_lines(c))
            mailbox_wait(c->doors, INT64_MAX);
    }
}

/* io thread. */

enum err chat_codec_open(struct chat_codec **out, void (*wake)(void *arg), void *wake_arg)
{
    struct chat_codec *c = mem_zalloc(sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->wake = wake;
    c->wake_arg = wake_arg;
    enum err err = mailbox_open(&c->doors, N_DOOR, sizeof(struct chat_line *));
    if (!err)
        err = os_thread_start(&c->thread, "opus", codec_main, c);
    if (err)
        chat_codec_close(&c);
    else
        *out = c;
    return err;
}

void chat_codec_stop(struct chat_codec *c)
{
    if (!c->thread)
        return;
    atomic_store(&c->is_stopping, true);
    mailbox_wake(c->doors);
    os_thread_join(&c->thread);
}

void chat_codec_close(struct chat_codec **cp)
{
    struct chat_codec *c = *cp;
    if (!c)
        return;
    chat_codec_stop(c);
    if (c->doors)
        take_new(c);
    for (struct chat_line *l = c->lines, *next; l; l = next) {
        next = l->next;
        must(atomic_load(&l->is_closed));
        free_line(l);
    }
    mailbox_close(&c->doors);
    mem_free(c);
    *cp = NULL;
}

static enum err open_rings(struct chat_line *l)
{
    enum err err = ring_open(&l->heard, N_HEARD, sizeof(struct heard));
    if (!err)
        err = ring_open(&l->samples, (size_t)l->max_smp * SAMPLES_MS / MAX_MS, sizeof(float));
    if (!err)
        err = ring_open(&l->said, N_SAID, l->said_size);
    return err ? err : ring_open(&l->packets, N_SAID, l->made_size);
}

static enum err open_room(struct chat_line *l)
{
    size_t n_rest = (size_t)(l->frame_size + l->packet_smp), n_packet = (size_t)l->max_packet;

    l->said_size = sizeof(struct said) + (size_t)l->frame_size * sizeof(float);
    l->made_size = sizeof(struct made) + n_packet * (sizeof(uint16_t) + OPUS_MAX_PACKET);
    l->made_size = (l->made_size + 7) / 8 * 8;
    l->heard_out = mem_zalloc(sizeof *l->heard_out);
    l->heard_in = mem_zalloc(sizeof *l->heard_in);
    l->said_out = mem_zalloc(l->said_size);
    l->said_in = mem_zalloc(l->said_size);
    l->made_out = mem_zalloc(l->made_size);
    l->made_in = mem_zalloc(l->made_size);
    l->view = mem_zalloc(sizeof *l->view + n_packet * sizeof *l->view->packet);
    l->pcm = mem_zalloc(mem_size((size_t)l->max_smp, sizeof *l->pcm));
    l->rest = mem_zalloc(mem_size(n_rest, sizeof *l->rest));
    if (!l->heard_out || !l->heard_in || !l->said_out || !l->said_in || !l->made_out ||
        !l->made_in || !l->view || !l->pcm || !l->rest)
        return ERR_NOMEM;
    return open_rings(l);
}

enum err chat_line_open(struct chat_line **out, struct chat_codec *c, int rate_hz, int frame_size,
                        int lane)
{
    if (rate_hz != 8000 && rate_hz != 12000 && rate_hz != 16000 && rate_hz != 24000 &&
        rate_hz != 48000)
        return err_set(ERR_FAIL, "this model's sound of %d Hz cannot be sent as Opus", rate_hz);
    struct chat_line *l = mem_zalloc(sizeof *l);
    if (!l)
        return ERR_NOMEM;
    l->codec = c;
    l->lane = lane;
    l->frame_size = frame_size;
    /* What the reference sends: 40 ms, two to a frame. Other frames are cut in 20 ms. */
    l->packet_smp = frame_size % (rate_hz / 25) == 0 ? rate_hz / 25 : rate_hz / 50;
    l->n_48k = (int)((int64_t)l->packet_smp * 48000 / rate_hz);
    l->max_packet = frame_size / l->packet_smp + 1;
    l->max_smp = rate_hz / 1000 * MAX_MS;
    enum err err = open_room(l);
    if (!err)
        err = opus_dec_open(&l->dec, rate_hz);
    if (!err)
        err = opus_enc_open(&l->enc, rate_hz);
    if (!err)
        err = mailbox_post(c->doors, &l);
    if (err)
        free_line(l);
    else
        *out = l;
    return err;
}

void chat_line_close(struct chat_line **lp)
{
    struct chat_line *l = *lp;
    if (!l)
        return;
    struct chat_codec *c = l->codec;
    atomic_store(&l->is_closed, true); /* from here on it is the codec's, which frees it */
    mailbox_wake(c->doors);
    *lp = NULL;
}

bool chat_line_can_hear(const struct chat_line *l)
{
    return ring_count(l->heard) < N_HEARD;
}

void chat_line_hear(struct chat_line *l, struct bytes packet)
{
    if (packet.len > HEARD_CAP)
        return;
    l->heard_out->len = packet.len;
    memcpy(l->heard_out->p, packet.p, packet.len);
    must(ring_push(l->heard, l->heard_out, 1) == 1);
    mailbox_wake(l->codec->doors);
}

size_t chat_line_pop_samples(struct chat_line *l, float *pcm, size_t n)
{
    n = ring_pop(l->samples, pcm, n);
    if (n > 0 && ring_count(l->heard) > 0)
        mailbox_wake(l->codec->doors);
    return n;
}

bool chat_line_can_say(const struct chat_line *l)
{
    return ring_count(l->said) < N_SAID;
}

void chat_line_say(struct chat_line *l, const float *frame, const char *text)
{
    struct said *s = l->said_out;
    size_t       len = strnlen(text, sizeof s->text - 1);

    s->has_sound = frame != NULL;
    memcpy(s->text, text, len);
    s->text[len] = 0;
    if (frame)
        memcpy(s->pcm, frame, (size_t)l->frame_size * sizeof *frame);
    must(ring_push(l->said, s, 1) == 1);
    mailbox_wake(l->codec->doors);
}

const struct chat_said *chat_line_pop(struct chat_line *l)
{
    const struct made *m = l->made_in;
    struct chat_said  *view = l->view;

    if (ring_pop(l->packets, l->made_in, 1) == 0)
        return NULL;
    if (ring_count(l->said) > 0)
        mailbox_wake(l->codec->doors);
    const uint8_t *p = (const uint8_t *)(m->size + l->max_packet);
    *view = (struct chat_said){ .text = m->text, .n_packet = m->n_packet, .n_48k = l->n_48k };
    for (int i = 0; i < m->n_packet; p += m->size[i++])
        view->packet[i] = bytes_of(p, m->size[i]);
    return view;
}
