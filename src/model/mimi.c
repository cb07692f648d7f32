/* SPDX-License-Identifier: MIT */
#include "model/mimi.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/mimi_config.h"

struct mimi {
    struct be         *be;
    struct arena      *arena;
    struct weights    *weights;
    struct mimi_info   info;
    struct mimi_config config;
    enum mimi_parts    parts;
    struct rvq         rvq;
    struct seanet      encoder, decoder;
    struct transformer encoder_transformer, decoder_transformer;
    struct conv_layer down, up; /* between latent steps and frames; unused when they are the same */
};

/* Opening. */

static bool is_resampled(const struct mimi *m)
{
    return m->config.stride > 1;
}

static void load_encoder(struct mimi *m, const struct source *from)
{
    const struct mimi_config *c = &m->config;
    const struct conv         down = { .n_in = c->seanet.d_latent,
                                       .n_out = c->seanet.d_latent,
                                       .kernel = 2 * c->stride,
                                       .stride = c->stride,
                                       .dilation = 1,
                                       .groups = 1,
                                       .pad = CONV_PAD_REPLICATE };

    seanet_load_encoder(&m->encoder, from, &c->seanet);
    transformer_load(&m->encoder_transformer, from, &c->transformer, "encoder_transformer");
    if (is_resampled(m))
        conv_layer_load(&m->down, from, &down, false,
                        from->is_hf ? "downsample.conv" : "downsample.conv.conv.conv");
}

static void load_decoder(struct mimi *m, const struct source *from)
{
    const struct mimi_config *c = &m->config;
    int                       d = c->seanet.d_latent;
    const struct conv         up = { .n_in = d,
                                     .n_out = d,
                                     .kernel = 2 * c->stride,
                                     .stride = c->stride,
                                     .dilation = 1,
                                     .groups = d,
                                     .is_transposed = true };

    seanet_load_decoder(&m->decoder, from, &c->seanet);
    transformer_load(&m->decoder_transformer, from, &c->transformer, "decoder_transformer");
    if (is_resampled(m))
        conv_layer_load(&m->up, from, &up, false,
                        from->is_hf ? "upsample.conv" : "upsample.convtr.convtr.convtr");
}

/* A decoder takes any number of codebooks, an encoder gives n_codebook. */
static void load_parts(struct mimi *m, enum mimi_parts parts)
{
    struct weights     *w = m->weights;
    const struct source from = { .w = w,
                                 .arena = m->arena,
                                 .be = m->be,
                                 .is_hf = weights_has(w, "encoder.layers.0.conv.weight") ||
                                          weights_has(w, "decoder.layers.0.conv.weight") };
    int n_table = parts & MIMI_DECODER ? m->info.n_codebook_max : m->info.n_codebook;
    int n_search = parts & MIMI_ENCODER ? m->info.n_codebook : 0;

    rvq_load(&m->rvq, &from, &m->config.rvq, n_table, n_search);
    if (parts & MIMI_ENCODER)
        load_encoder(m, &from);
    if (parts & MIMI_DECODER)
        load_decoder(m, &from);
}

static enum err open_states(struct mimi *m, int n_lane)
{
    enum err err = OK;

    if (m->parts & MIMI_ENCODER) {
        err = seanet_open(&m->encoder, n_lane);
        if (!err)
            err = transformer_open(&m->encoder_transformer, n_lane, be_kv_dtype(m->be));
        if (!err && is_resampled(m))
            err = conv_layer_open(&m->down, n_lane);
    }
    if (!err && m->parts & MIMI_DECODER) {
        err = seanet_open(&m->decoder, n_lane);
        if (!err)
            err = transformer_open(&m->decoder_transformer, n_lane, be_kv_dtype(m->be));
        if (!err && is_resampled(m))
            err = conv_layer_open(&m->up, n_lane);
    }
    return err;
}

/* How many codes the folder's language model speaks and hears: the reference's rule. */
static enum err count_for_lm(int *out, const struct model_files *f)
{
    int64_t  n_q, dep_q;
    bool     is_multistream = false;
    json_t  *tts = json_object_get(f->config, "tts_config");
    enum err err = json_get_int(&n_q, f->config, "n_q", 8, 1, RVQ_MAX_LEVEL, f->config_path);

    if (!err)
        err = json_get_int(&dep_q, f->config, "dep_q", 8, 0, RVQ_MAX_LEVEL, f->config_path);
    if (!err && json_is_object(tts))
        err = json_get_bool(&is_multistream, tts, "multistream", false, f->config_path);
    if (err)
        return err;
    *out = (int)(dep_q > n_q - dep_q ? dep_q : n_q - dep_q) / (is_multistream ? 2 : 1);
    return OK;
}

static enum err set_info(struct mimi *m, const struct model_files *f)
{
    const struct mimi_config *c = &m->config;
    int                       n = c->rvq.n_q;
    enum err                  err = f->is_codec_only ? OK : count_for_lm(&n, f);

    if (err)
        return err;
    if (n < c->rvq.n_semantic || n > c->rvq.n_q)
        return err_set(ERR_FORMAT, "%s: %d codebooks are asked for, the codec has %d to %d",
                       f->config_path, n, c->rvq.n_semantic, c->rvq.n_q);
    m->info = (struct mimi_info){ .rate_hz = c->rate_hz,
                                  .frame_rate_hz = c->frame_rate_hz,
                                  .frame_size = c->frame_size,
                                  .n_codebook = n,
                                  .n_codebook_max = c->rvq.n_q,
                                  .n_bin = c->rvq.n_bin,
                                  .d_latent = c->seanet.d_latent };
    return OK;
}

/* Asks for every name and shape of the whole file; what is wrong is held by the weights. */
static enum err rehearse(struct mimi **out, const struct model_files *f,
                         const struct model_options *o, enum mimi_parts parts)
{
    struct weights_options wo = { .quant = WEIGHTS_QUANT_NONE,
                                  .is_float_only = true, /* no published codec is quantised */
                                  .is_exact = be_is_exact(o->be),
                                  .load = o->load,
                                  .is_noise = f->is_noise };
    struct mimi           *m = mem_zalloc(sizeof *m);
    enum err               err;

    if (!m)
        return err_set(ERR_NOMEM, "%s: out of memory", f->dir);
    *out = m;
    m->be = o->be;
    m->parts = parts;
    err = mimi_config_read(&m->config, f);
    if (!err)
        err = set_info(m, f);
    if (!err)
        err = arena_open(&m->arena, 4 << 20);
    wo.arena = m->arena;
    wo.n_search = be_is_exact(o->be) ? 0 : m->info.n_codebook;
    if (!err)
        err = weights_open(&m->weights, f->codec_path, &wo);
    if (err)
        return err;
    weights_rehearse(m->weights);
    load_parts(m, MIMI_BOTH);
    return OK;
}

enum err mimi_open(struct mimi **out, const struct model_files *f, const struct model_options *o,
                   enum mimi_parts parts)
{
    struct mimi *m = NULL;
    enum err     err = rehearse(&m, f, o, parts);

    if (!err)
        err = weights_perform(m->weights);
    if (!err) {
        load_parts(m, parts);
        err = weights_finish_part(m->weights);
    }
    if (!err)
        err = open_states(m, o->n_lane);
    if (err) {
        mimi_close(&m);
        return err;
    }
    *out = m;
    return OK;
}

enum err mimi_check(struct mimi_info *out, const struct model_files *f,
                    const struct model_options *o)
{
    struct mimi *m = NULL;
    enum err     err = rehearse(&m, f, o, MIMI_BOTH);

    if (!err)
        err = weights_finish(m->weights);
    if (!err)
        *out = m->info;
    mimi_close(&m);
    return err;
}

void mimi_close(struct mimi **mp)
{
    struct mimi *m = *mp;

    if (!m)
        return;
    seanet_close(&m->encoder);
    seanet_close(&m->decoder);
    transformer_close(&m->encoder_transformer);
    transformer_close(&m->decoder_transformer);
    conv_layer_close(&m->down);
    conv_layer_close(&m->up);
    weights_close(&m->weights);
    arena_close(&m->arena);
    mem_free(m);
    *mp = NULL;
}

const struct mimi_info *mimi_info(const struct mimi *m)
{
    return &m->info;
}

void mimi_reset_encoder(struct mimi *m, int lane)
{
    must(m->parts & MIMI_ENCODER);
    seanet_reset(&m->encoder, lane);
    transformer_reset(&m->encoder_transformer, lane);
    if (is_resampled(m))
        conv_layer_reset(&m->down, lane);
}

void mimi_reset_decoder(struct mimi *m, int lane)
{
    must(m->parts & MIMI_DECODER);
    seanet_reset(&m->decoder, lane);
    transformer_reset(&m->decoder_transformer, lane);
    if (is_resampled(m))
        conv_layer_reset(&m->up, lane);
}

void mimi_warm(struct mimi *m, int lane)
{
    if (m->parts & MIMI_ENCODER)
        transformer_warm(&m->encoder_transformer, lane);
    if (m->parts & MIMI_DECODER)
        transformer_warm(&m->decoder_transformer, lane);
}

/* Steps. */

/* Rows of t, one lane after the other, from or to the callers' pointers. After a failure t may have
 * fewer rows than asked for. */
static void put_lanes(struct tensor *t, const float *const *from, int n_lane)
{
    size_t n = (size_t)(t->n_row / n_lane) * (size_t)t->n_col;

    for (int a = 0; a < n_lane; a++)
        memcpy(t->p + (size_t)a * n, from[a], n * sizeof *t->p);
}

static void get_lanes(float *const *to, const struct tensor *t, int n_lane)
{
    size_t n = (size_t)(t->n_row / n_lane) * (size_t)t->n_col;

    for (int a = 0; a < n_lane; a++)
        memcpy(to[a], t->p + (size_t)a * n, n * sizeof *t->p);
}

/* docs/models/mimi.md, "A frame". */
enum err mimi_encode_step(struct mimi *m, const struct step *s, const float *const *pcm,
                          int32_t *const *codes, float *const *latent)
{
    must(m->parts & MIMI_ENCODER);
    be_begin(m->be, s);
    struct tensor *x = be_scratch(m->be, s->n_lane * m->info.frame_size, 1);

    put_lanes(x, pcm, s->n_lane);
    x = seanet_encode(m->be, &m->encoder, x);
    x = transformer_run(m->be, &m->encoder_transformer, x);
    if (is_resampled(m))
        x = conv_layer_run(m->be, &m->down, x, NULL, CONV_SUM, ACT_NONE).sum;
    if (latent)
        get_lanes(latent, x, s->n_lane);
    rvq_encode(m->be, &m->rvq, x, codes, m->info.n_codebook);
    return be_end(m->be);
}

static enum err check_codes(const struct mimi *m, const struct step *s, const int32_t *const *codes,
                            int n_q)
{
    if (n_q < 1 || n_q > m->info.n_codebook_max)
        return err_set(ERR_USAGE, "%d codes a frame: the codec has 1 to %d codebooks", n_q,
                       m->info.n_codebook_max);
    for (int a = 0; a < s->n_lane; a++)
        for (int q = 0; q < n_q; q++)
            if (codes[a][q] < 0 || codes[a][q] >= m->info.n_bin)
                return err_set(ERR_USAGE, "code %d of codebook %d is not in 0 .. %d", codes[a][q],
                               q, m->info.n_bin - 1);
    return OK;
}

enum err mimi_decode_step(struct mimi *m, const struct step *s, const int32_t *const *codes,
                          int n_q, float *const *pcm)
{
    enum err err = check_codes(m, s, codes, n_q);

    must(m->parts & MIMI_DECODER);
    if (err)
        return err;
    be_begin(m->be, s);
    struct tensor *x = rvq_decode(m->be, &m->rvq, codes, n_q);
    if (is_resampled(m))
        x = conv_layer_run(m->be, &m->up, x, NULL, CONV_SUM, ACT_NONE).sum;
    x = transformer_run(m->be, &m->decoder_transformer, x);
    x = seanet_decode(m->be, &m->decoder, x);
    get_lanes(pcm, x, s->n_lane);
    return be_end(m->be);
}
