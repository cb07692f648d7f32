/* SPDX-License-Identifier: MIT */
/* duplex: hear, think, speak: one frame of sound in, one frame of sound and a word out.
 *
 * The synchronous heart of every talk: codec encode, language model step, codec decode, for all
 * ready lanes in one pass over the weights. Knows no sockets, devices or threads. `parley talk
 * --in` calls it directly, the engine calls it for its lanes. One thread.
 */
#ifndef TALK_DUPLEX_H
#define TALK_DUPLEX_H

#include "model/lm_gen.h"
#include "model/mimi.h"
#include "model/moshi.h"
#include "text/sentencepiece.h"

struct duplex;

struct duplex_options {
    const char *model_dir;
    const char *shape; /* not NULL: instead of model_dir, noise of this shape (model_shape.h) */
    struct be_options          be;
    enum weights_quant         quant;
    int                        n_lane;
    const struct weights_load *load; /* or NULL; outlives the duplex */
};

/* Loads and checks everything and steps all lanes once to warm up; lanes are fresh afterwards. */
enum err duplex_open(struct duplex **out, const struct duplex_options *o) MUST_CHECK;
void     duplex_close(struct duplex **d);

const struct mimi_info     *duplex_codec(const struct duplex *d);
const struct moshi_info    *duplex_lm(const struct duplex *d);
const struct sentencepiece *duplex_tokenizer(const struct duplex *d); /* NULL: noise has none */
struct moshi               *duplex_model(struct duplex *d); /* between steps, for measuring */
const char                 *duplex_model_type(const struct duplex *d);
struct lm_gen_options       duplex_defaults(const struct duplex *d);

void duplex_reset(struct duplex *d, int lane, const struct lm_gen_options *o);
/* Between steps: the memory of the lane's next frames is there, so that no step waits for pages. */
void duplex_warm(struct duplex *d, int lane);
/* A step comes within a millisecond: its threads wake up now. */
void duplex_rouse(struct duplex *d);

/* One frame of lane s->lane[a]. */
struct duplex_frame {
    /* in */
    const float *mic; /* [frame_size]; NULL: the codec's end-of-input code in every stream */
    int32_t      forced_text; /* -1: sample */
    /* The reference's two ways with the first frame of a talk, which the codec hears as the end
     * of a long silence: from a file it is stepped before it is stepped; the chat server steps
     * it once and lets the codec begin anew with the next. */
    bool is_heard_twice;
    bool is_lead_in;
    /* out */
    float  *speaker;   /* [frame_size], the caller's; written when has_sound */
    bool    has_sound; /* false for the first max(delays) steps and for models that are silent */
    int32_t text;      /* aligned with the sound; valid when is_ready */
    bool    is_ready;
    int32_t text_now; /* sampled in this very step */
};
enum err duplex_step(struct duplex *d, const struct step *s, struct duplex_frame *f) MUST_CHECK;
/* Is a text token something to show? The end of padding and padding are not, whatever the config
 * calls its padding: the reference's programs test these two numbers. */
static inline bool duplex_is_word(int32_t text)
{
    return text != 0 && text != 3;
}

/* Time of the parts of the last step, ns. */
struct duplex_times {
    int64_t encode_ns, temporal_ns, depth_ns, decode_ns;
};
struct duplex_times duplex_last_times(const struct duplex *d);

#endif
