/* SPDX-License-Identifier: MIT */
/* opus: one mono Opus stream each way (libopus). rate_hz: 8000, 12000, 16000, 24000 or 48000. */
#ifndef MEDIA_OPUS_H
#define MEDIA_OPUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define OPUS_MAX_PACKET 4000

struct opus_enc;
struct opus_dec;

enum err opus_enc_open(struct opus_enc **out, int rate_hz) MUST_CHECK;
void     opus_enc_close(struct opus_enc **e);
/* n_smp: 2.5, 5, 10, 20, 40 or 60 ms of samples. packet has room for OPUS_MAX_PACKET bytes. */
enum err opus_enc_step(struct opus_enc *e, uint8_t *packet, size_t *len, const float *pcm,
                       int n_smp) MUST_CHECK;

enum err opus_dec_open(struct opus_dec **out, int rate_hz) MUST_CHECK;
void     opus_dec_close(struct opus_dec **d);
/* At most 120 ms come out: pcm has room for rate_hz * 120 / 1000 samples. A broken packet is
 * ERR_FORMAT and changes nothing that matters. */
enum err opus_dec_step(struct opus_dec *d, float *pcm, int *n_smp, struct bytes packet) MUST_CHECK;

#endif
