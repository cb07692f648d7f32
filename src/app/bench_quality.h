/* SPDX-License-Identifier: MIT */
/* bench_quality: what fast arithmetic changes, beside exact mode, frame by frame.
 *
 * The exact model draws; the fast one is told what was drawn and says what it would have thought.
 * Two exact models are asked: one with the same weights, which shows what arithmetic alone costs
 * (int8 activations, keys in 8 or 16 bits), and one with the weights as they are stored, which
 * shows what --quant costs on top.
 */
#ifndef APP_BENCH_QUALITY_H
#define APP_BENCH_QUALITY_H

#include "app/bench_rig.h"

/* Of one distribution to another, over many. */
struct bench_gap {
    int64_t n;
    int64_t n_same;         /* the same token is the likeliest */
    double  kl_sum, kl_max; /* nats, of exact to fast */
};

enum bench_exact { BENCH_SAME_WEIGHTS, BENCH_STORED_WEIGHTS, BENCH_EXACT_COUNT };

struct bench_quality {
    struct bench_gap text[BENCH_EXACT_COUNT];  /* n = 0: not measured */
    struct bench_gap audio[BENCH_EXACT_COUNT]; /* all codebooks */
    int64_t          n_code, n_same_code;      /* the codec's, of the same sound */
    double           sound_power, gap_power;   /* the codec's sound from the same codes */
    int64_t          n_frame;
};

/* sound: a file that is heard over and over, or NULL for noise. Uses model_dir or shape, be
 * (without is_exact), quant, n_step of the setup. */
enum err bench_quality_run(struct bench_quality *out, const struct bench_setup *s,
                           const char *sound) MUST_CHECK;
void     bench_quality_report(struct buf *out, const struct bench_quality *q, bool as_json);

#endif
