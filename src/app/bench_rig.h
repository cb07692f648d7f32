/* SPDX-License-Identifier: MIT */
/* bench_rig: a part of Parley on noise, frame after frame, and how long each stage took. */
#ifndef APP_BENCH_RIG_H
#define APP_BENCH_RIG_H

#include "app/app.h"
#include "app/step_times.h"
#include "model/moshi_cost.h"

/* The language model alone (on zero codes), the codec alone, the full duplex frame. */
enum bench_what { BENCH_LM, BENCH_CODEC, BENCH_TALK };

enum bench_stage {
    BENCH_CAPTURE, /* the frame through the ring of the microphone */
    BENCH_ENCODE,
    BENCH_TEMPORAL,
    BENCH_DEPFORMER,
    BENCH_LM_FRAME, /* temporal and depformer together */
    BENCH_DECODE,
    BENCH_PLAY, /* the frame through the ring of the loudspeaker */
    BENCH_FRAME,
    BENCH_STAGE_COUNT
};
extern const char *const bench_stage_names[BENCH_STAGE_COUNT];

struct bench_setup {
    const char                *model_dir; /* or */
    const char                *shape;     /* noise of this shape */
    struct be_options          be;
    enum weights_quant         quant;
    const struct weights_load *load; /* or NULL */
    int                        n_lane, n_step;
    int64_t                    context; /* steps that each lane has behind it */
    bool                       is_cold; /* caches are emptied between frames */
    bool                       is_paced;
};

struct bench_result {
    struct step_times times[BENCH_STAGE_COUNT]; /* those that were measured */
    int               n_thread;
    int64_t           context;  /* as far as the model looks */
    double            frame_ms; /* what a frame may take; 0: no such limit */
    struct moshi_cost cost;     /* at the last step; zero for the codec */
    /* Each language model's frame as a multiple of its floor, its bytes at the pace of reading just
     * before and after it, in millionths; none of models that caches hold, or of paced frames. */
    struct step_times beside;
};

/* Stops early, with what there is, when a stop signal has come. */
enum err bench_rig_run(struct bench_result *out, const struct bench_setup *s, enum bench_what what)
    MUST_CHECK;
void bench_rig_fini(struct bench_result *r);

#endif
