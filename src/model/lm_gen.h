/* SPDX-License-Identifier: MIT */
/* lm_gen: one generation step exactly as the reference's LMGen: initial tokens, delays, the cut of
 * the first frames, sampling. docs/models/moshi.md, "The generation step". Engine thread only.
 */
#ifndef MODEL_LM_GEN_H
#define MODEL_LM_GEN_H

#include "model/moshi.h"

struct lm_gen;

struct lm_gen_options {
    float    temp, temp_text; /* <= 0: greedy */
    int      top_k, top_k_text;
    uint64_t seed;
};
/* What the model's config says (lm_gen_config), seed 42424242. */
struct lm_gen_options lm_gen_defaults(const struct moshi *m);

enum err lm_gen_open(struct lm_gen **out, struct moshi *m, int n_lane) MUST_CHECK;
void     lm_gen_close(struct lm_gen **g);
/* A fresh lane: also resets the model's lane. The same options give the same tokens again. */
void lm_gen_reset(struct lm_gen *g, int lane, const struct lm_gen_options *o);

struct lm_gen_frame {
    bool    is_ready;                /* false for the first max(delays) steps */
    int32_t text;                    /* time-aligned text token */
    int32_t audio[MOSHI_MAX_STREAM]; /* [dep_q] time-aligned codes of the model's voice */
    int32_t text_now;                /* what this very step sampled, before the alignment */
};

/* user[a]: n_user codes (n_q - dep_q are used, more are cut, fewer is ERR_USAGE). forced_text[a]:
 * -1 samples, else the text token of this step; NULL: none. out: [n_lane]. */
enum err lm_gen_step(struct lm_gen *g, const struct step *s, const int32_t *const *user, int n_user,
                     const int32_t *forced_text, struct lm_gen_frame *out) MUST_CHECK;

/* Time of the parts of the last step, ns; the rest is negligible. */
struct lm_gen_times {
    int64_t temporal_ns; /* until the text token is drawn */
    int64_t depth_ns;
};
struct lm_gen_times lm_gen_last_times(const struct lm_gen *g);

#endif
