/* SPDX-License-Identifier: MIT */
/* moshi: the language model of the Moshi family (docs/models/moshi.md): Moshi, Hibiki,
 * PersonaPlex, STT and TTS, all read from config.json.
 *
 * One step reads one token of each stream a lane and gives the text logits; the depth transformer
 * then gives the logits of one audio codebook after the other, each seeing the tokens before it.
 * How tokens are chosen is lm_gen's. Engine thread only.
 */
#ifndef MODEL_MOSHI_H
#define MODEL_MOSHI_H

#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"

#define MOSHI_MAX_STREAM 128 /* 1 + n_q */
#define MOSHI_MAX_HEAD   16

struct moshi;

struct moshi_info {
    int   n_q, dep_q;      /* audio streams in all; those of the model's own voice */
    int   n_depth;         /* codebooks of the depth transformer: dep_q, but PersonaPlex, which also
                              * predicts the user's streams, has n_q */
    int   card, text_card; /* also the initial tokens' ids */
    int   text_card_out;   /* words that it gives logits for; may go beyond text_max */
    int   text_max;    /* the largest id to read: text_card, or the largest pair of two streams */
    int   text_pad_id; /* existing_text_padding_id, 3 */
    int   delays[MOSHI_MAX_STREAM];
    int   max_delay;
    int   dim, context;
    int   n_extra_head, extra_head_dim;
    float temp, temp_text; /* lm_gen_config over the class defaults 0.8, 0.7, 250, 25 */
    int   top_k, top_k_text;
};

/* How many words can be drawn: one that the model could not read would end its talk. */
static inline int moshi_word_count(const struct moshi_info *info)
{
    return info->text_card_out <= info->text_max ? info->text_card_out : info->text_max + 1;
}

enum err moshi_open(struct moshi **out, const struct model_files *f, const struct model_options *o)
    MUST_CHECK;
/* What config.json says, or what is wrong with it; opens no weights. */
enum err moshi_read_info(struct moshi_info *out, const struct model_files *f) MUST_CHECK;
void     moshi_close(struct moshi **m);
const struct moshi_info *moshi_info(const struct moshi *m);
struct be               *moshi_be(const struct moshi *m); /* the one of the options */
void                     moshi_reset(struct moshi *m, int lane);
/* Between steps: the memory of the lane's next steps is there, so that no step waits for pages. */
void moshi_warm(struct moshi *m, int lane);
/* A brief step runs the first layer of each stack alone: what comes of it is nothing, but all that
 * a first step would have to wait for, the weights' own pages aside, is there after it. */
void moshi_set_brief(struct moshi *m, bool is_brief);

/* Conditions hold for the lane until its reset: index -1 is "absent"; the model type's defaults
 * hold for conditions that are not set. ERR_USAGE: no such condition, or out of range. */
enum err moshi_condition_index(struct moshi *m, int lane, const char *name, int index) MUST_CHECK;
enum err moshi_condition_tensor(struct moshi *m, int lane, const char *name, const float *x,
                                int n_step, int dim, const uint8_t *mask) MUST_CHECK;

/* tokens[a]: 1 + n_q ids, text first; -1 embeds to zero. text_logits[a]: view of text_card_out
 * floats of lane s->lane[a], valid until the next call. ERR_USAGE for an id out of range: nothing
 * moves. */
enum err moshi_step(struct moshi *m, const struct step *s, const int32_t *const *tokens,
                    const float **text_logits) MUST_CHECK;
/* After moshi_step: the extra heads of each lane, [n_extra_head, extra_head_dim] after softmax. */
const float *moshi_extra_heads(struct moshi *m, int a);
/* Codebook k = 0 .. n_depth-1 in order, after moshi_step with the same s; k = 0 begins a frame,
 * which need not go to the end. token[a]: the text token for k = 0, else audio token k-1.
 * logits[a]: view of card floats, valid until the next call. */
enum err moshi_depth_step(struct moshi *m, const struct step *s, int k, const int32_t *token,
                          const float **logits) MUST_CHECK;

#endif
