/* SPDX-License-Identifier: MIT */
/* moshi_config: config.json of the Moshi family, read with the reference's defaults.
 *
 * Every number is checked against a range and against the others before anybody allocates from it;
 * each violation is one sentence that names the key (ERR_FORMAT).
 */
#ifndef MODEL_MOSHI_CONFIG_H
#define MODEL_MOSHI_CONFIG_H

#include "backend/ops.h"
#include "model/moshi.h"

#define MOSHI_MAX_CONDITION      8
#define MOSHI_CONDITION_NAME_CAP 64

enum moshi_norm {
    MOSHI_NORM_NONE,
    MOSHI_NORM_LAYER,     /* eps 1e-5; weight, bias */
    MOSHI_NORM_LAYER_F32, /* eps 1e-8 */
    MOSHI_NORM_RMS,       /* eps 1e-5; alpha */
    MOSHI_NORM_RMS_F32,   /* eps 1e-8 */
};

/* One transformer: the temporal one, or the depth transformer. */
struct moshi_stack {
    int            dim, n_layer, n_head, n_kv_head;
    int            n_set;                      /* weight sets; 1 for the temporal one */
    int            n_hidden[MOSHI_MAX_STREAM]; /* feed-forward width of each set */
    bool           is_gated;
    enum act       act;
    enum rope_kind rope;
    bool           has_sin;
    float          max_period, sin_scale;
    bool           has_layer_scale;
    int            context; /* keys that a query sees, and slots of the ring */
};

struct moshi_condition {
    char name[MOSHI_CONDITION_NAME_CAP];
    bool is_lut;              /* else a tensor */
    int  n_bin, n_value, dim; /* n_value: ids that have a name; n_bin without a list */
    bool has_projection, has_padding;
    int  dflt; /* what holds when nothing is set: an index, or -1 */
};

struct moshi_config {
    struct moshi_info  info;
    struct moshi_stack main, depth; /* depth.n_layer is 0 without a depth transformer */
    enum moshi_norm    norm, depth_norm;
    bool               has_norm_emb, has_bias, is_demux;
    bool               is_per_step;     /* weight sets, even if it is one */
    bool               is_multi_linear; /* a depformer_in for each set or step */
    int                n_depth;         /* codebooks of the depth transformer: dep_q of the file */
    int                set[MOSHI_MAX_STREAM];    /* weight set of each depth step */
    int                in_set[MOSHI_MAX_STREAM]; /* depformer_in of each depth step */
    int                n_in;                     /* how many there are */
    int                low_rank;                 /* 0: none */
    bool               has_cross;
    bool               is_eos_pad; /* Hibiki: token 2 reads as 3 */
    int unused_depth_dim;          /* width of the one depformer_in of a file without depth steps */

    struct moshi_condition cond[MOSHI_MAX_CONDITION];
    int                    n_cond;
    int                    sum[MOSHI_MAX_CONDITION], n_sum; /* indices into cond, in order */
    int                    cross[MOSHI_MAX_CONDITION], n_cross;
    bool                   has_cross_pos;
    float                  cross_pos_scale;

    bool   has_lora;
    int    lora_rank; /* 0: the config does not say */
    double lora_scaling;
};

enum err moshi_config_read(struct moshi_config *out, const struct model_files *f) MUST_CHECK;
/* Into the log: keys of the file that nobody reads. */
void moshi_config_warn_unknown(const struct model_files *f);

#endif
