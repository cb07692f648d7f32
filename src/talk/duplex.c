/* SPDX-License-Identifier: MIT */
#include "talk/duplex.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/trace.h"
#include "model/model_shape.h"

struct duplex {
    struct model_files   *files;
    struct be            *be;
    struct mimi          *codec;
    struct moshi         *lm;
    struct lm_gen        *gen;
    struct sentencepiece *tok;
    struct os_map         tok_map;
    int                   n_lane;
    int                   n_heard; /* codes of the other side that the codec gives */
    struct duplex_times   times;
    int64_t               n_step; /* since the warm-up */
    bool                  is_warm;
    /* scratch of one step, [n_lane] each */
    int                 *lane;  /* lanes of a part of the step */
    int                 *index; /* their places in the step */
    const float        **mic;
    float              **speaker;
    int32_t            **heard; /* [n_lane][n_heard] */
    int32_t            **sub_heard;
    int32_t            **spoken; /* views of frame[].audio */
    int32_t             *forced;
    struct lm_gen_frame *frame;
    int32_t             *codes; /* the heard codes themselves */
};

static enum err open_scratch(struct duplex *d)
{
    size_t n = (size_t)d->n_lane;

    d->lane = mem_zalloc(mem_size(n, sizeof *d->lane));
    d->index = mem_zalloc(mem_size(n, sizeof *d->index));
    d->mic = mem_zalloc(mem_size(n, sizeof *d->mic));
    d->speaker = mem_zalloc(mem_size(n, sizeof *d->speaker));
    d->heard = mem_zalloc(mem_size(n, sizeof *d->heard));
    d->sub_heard = mem_zalloc(mem_size(n, sizeof *d->sub_heard));
    d->spoken = mem_zalloc(mem_size(n, sizeof *d->spoken));
    d->forced = mem_zalloc(mem_size(n, sizeof *d->forced));
    d->frame = mem_zalloc(mem_size(n, sizeof *d->frame));
    d->codes = mem_zalloc(mem_size(mem_size(n, (size_t)d->n_heard), sizeof *d->codes));
    if (!d->lane || !d->index || !d->mic || !d->speaker || !d->heard || !d->sub_heard ||
        !d->spoken || !d->forced || !d->frame || !d->codes)
        return err_set(ERR_NOMEM, "out of memory for %d lanes", d->n_lane);
    for (int a = 0; a < d->n_lane; a++)
        d->heard[a] = d->codes + (size_t)a * (size_t)d->n_heard;
    return OK;
}

static enum err open_tokenizer(struct duplex *d)
{
    if (d->files->is_noise)
        return OK; /* its words mean nothing */
    enum err err = os_map_open(&d->tok_map, d->files->tokenizer_path);
    if (!err)
        err = sentencepiece_open(&d->tok, d->tok_map.view, d->files->tokenizer_path);
    return err;
}

static enum err check_duplex(const struct model_files *f, const struct moshi_info *lm)
{
    if (lm->dep_q == 0)
        return err_set(ERR_USAGE, "%s: a model of type '%s' listens but does not speak", f->dir,
                       f->model_type);
    if (lm->n_q == lm->dep_q)
        return err_set(ERR_USAGE, "%s: a model of type '%s' speaks but does not listen", f->dir,
                       f->model_type);
    return OK;
}

/* The two models must fit each other. */
static enum err check_fit(const struct model_files *f, const struct moshi_info *lm,
                          const struct mimi_info *codec)
{
    if (lm->dep_q > codec->n_codebook_max || lm->n_q - lm->dep_q > codec->n_codebook)
        return err_set(ERR_FORMAT,
                       "%s: the language model speaks %d codebooks and hears %d, the codec has %d "
                       "and gives %d",
                       f->dir, lm->dep_q, lm->n_q - lm->dep_q, codec->n_codebook_max,
                       codec->n_codebook);
    if (lm->card != codec->n_bin)
        return err_set(ERR_FORMAT, "%s: the language model has %d codes, the codec %d", f->dir,
                       lm->card, codec->n_bin);
    return OK;
}

/* Whatever is wrong beside the language model is said before that is read: it can be gigabytes. */
static enum err open_small_parts(struct duplex *d, const struct model_options *o)
{
    struct moshi_info lm;
    struct mimi_info  codec;
    enum err          err = moshi_read_info(&lm, d->files);

    if (!err)
        err = check_duplex(d->files, &lm);
    if (!err)
        err = mimi_check(&codec, d->files, o);
    if (!err)
        err = check_fit(d->files, &lm, &codec);
    return err ? err : open_tokenizer(d);
}

/* A frame of any sound: until the first delays have passed no step speaks. */
static enum err warm_decoder(struct duplex *d, const struct step *s, const struct duplex_frame *f)
{
    int32_t *codes = mem_zalloc(mem_size((size_t)moshi_info(d->lm)->dep_q, sizeof *codes));
    if (!codes)
        return ERR_NOMEM;
    for (int a = 0; a < s->n_lane; a++) {
        d->spoken[a] = codes;
        d->speaker[a] = f[a].speaker;
    }
    enum err err = mimi_decode_step(d->codec, s, (const int32_t *const *)d->spoken,
                                    moshi_info(d->lm)->dep_q, d->speaker);
    mem_free(codes);
    return err;
}

/* Every part of a step once, on all lanes, but of the language model a layer of each kind: scratch
 * memory is there afterwards, and loading has brought the weights in. A whole step of a large one
 * would be a quarter of the time from a start to its first frame. */
static enum err warm_up(struct duplex *d, const struct weights_load *load)
{
    struct lm_gen_options o = lm_gen_defaults(d->lm);
    size_t                n_smp = (size_t)mimi_info(d->codec)->frame_size;
    float *sound = mem_zalloc(mem_size(mem_size(n_smp, (size_t)d->n_lane + 1), sizeof *sound));
    struct duplex_frame *f = mem_zalloc(mem_size((size_t)d->n_lane, sizeof *f));
    int                 *lane = mem_zalloc(mem_size((size_t)d->n_lane, sizeof *lane));
    enum err             err = sound && f && lane ? OK : ERR_NOMEM;
    int64_t              t0_ns = os_now_ns();

    for (int a = 0; !err && a < d->n_lane; a++) {
        lane[a] = a;
        f[a] = (struct duplex_frame){ .mic = sound,
                                      .speaker = sound + n_smp * (size_t)(a + 1),
                                      .forced_text = -1 };
        duplex_reset(d, a, &o);
    }
    struct step s = { d->n_lane, lane };
    if (!err && load && load->is_cancelled && load->is_cancelled(load->arg))
        err = err_set(ERR_INTERRUPTED, "loading was interrupted");
    moshi_set_brief(d->lm, true);
    if (!err)
        err = duplex_step(d, &s, f);
    moshi_set_brief(d->lm, false);
    if (!err)
        err = warm_decoder(d, &s, f);
    for (int a = 0; !err && a < d->n_lane; a++) {
        duplex_reset(d, a, &o);
        duplex_warm(d, a);
    }
    trace_span(TRACE_ENGINE, "warm-up", 0, d->n_step, t0_ns, os_now_ns());
    d->n_step = 0;
    d->is_warm = true;
    mem_free(sound);
    mem_free(f);
    mem_free(lane);
    return err;
}

enum err duplex_open(struct duplex **out, const struct duplex_options *o)
{
    struct duplex *d = mem_zalloc(sizeof *d);
    if (!d)
        return ERR_NOMEM;
    d->n_lane = o->n_lane > 0 ? o->n_lane : 1;

    enum err err = o->shape ? model_shape_open(&d->files, o->shape)
                            : model_files_open(&d->files, o->model_dir);
    if (!err && d->files->is_codec_only)
        err = err_set(ERR_USAGE, "%s: a codec alone cannot talk", d->files->dir);
    if (!err)
        err = be_open(&d->be, &o->be);
    struct model_options mo = { d->be, d->n_lane, o->quant, o->load };
    if (!err)
        err = open_small_parts(d, &mo);
    if (!err)
        err = moshi_open(&d->lm, d->files, &mo);
    if (!err)
        err = mimi_open(&d->codec, d->files, &mo, MIMI_BOTH);
    if (!err)
        err = lm_gen_open(&d->gen, d->lm, d->n_lane);
    if (!err) {
        d->n_heard = mimi_info(d->codec)->n_codebook;
        err = open_scratch(d);
    }
    if (!err)
        err = warm_up(d, o->load);
    if (err)
        duplex_close(&d);
    else
        *out = d;
    return err;
}

void duplex_close(struct duplex **dp)
{
    struct duplex *d = *dp;
    if (!d)
        return;
    lm_gen_close(&d->gen);
    moshi_close(&d->lm);
    mimi_close(&d->codec);
    be_close(&d->be);
    sentencepiece_close(&d->tok);
    os_map_close(&d->tok_map);
    model_files_close(&d->files);
    mem_free(d->lane);
    mem_free(d->index);
    mem_free(d->mic);
    mem_free(d->speaker);
    mem_free(d->heard);
    mem_free(d->sub_heard);
    mem_free(d->spoken);
    mem_free(d->forced);
    mem_free(d->frame);
    mem_free(d->codes);
    mem_free(d);
    *dp = NULL;
}

const struct mimi_info *duplex_codec(const struct duplex *d)
{
    return mimi_info(d->codec);
}
const struct moshi_info *duplex_lm(const struct duplex *d)
{
    return moshi_info(d->lm);
}
struct moshi *duplex_model(struct duplex *d)
{
    return d->lm;
}
const struct sentencepiece *duplex_tokenizer(const struct duplex *d)
{
    return d->tok;
}
const char *duplex_model_type(const struct duplex *d)
{
    return d->files->model_type;
}
struct lm_gen_options duplex_defaults(const struct duplex *d)
{
    return lm_gen_defaults(d->lm);
}
struct duplex_times duplex_last_times(const struct duplex *d)
{
    return d->times;
}

void duplex_reset(struct duplex *d, int lane, const struct lm_gen_options *o)
{
    mimi_reset_encoder(d->codec, lane);
    mimi_reset_decoder(d->codec, lane);
    lm_gen_reset(d->gen, lane, o);
}

/* The lanes of s for which want(f) holds, and their places, into d->lane and d->index. */
static struct step select_lanes(struct duplex *d, const struct step *s,
                                const struct duplex_frame *f,
                                bool (*want)(const struct duplex_frame *f))
{
    int n = 0;
    for (int a = 0; a < s->n_lane; a++) {
        if (!want(&f[a]))
            continue;
        d->index[n] = a;
        d->lane[n++] = s->lane[a];
    }
    return (struct step){ n, d->lane };
}

static bool has_mic(const struct duplex_frame *f)
{
    return f->mic;
}
static bool is_heard_twice(const struct duplex_frame *f)
{
    return f->is_heard_twice;
}
static bool has_sound(const struct duplex_frame *f)
{
    return f->has_sound;
}

static enum err hear(struct duplex *d, const struct step *s, const struct duplex_frame *f)
{
    struct step with_mic = select_lanes(d, s, f, has_mic);

    for (int a = 0; a < s->n_lane; a++)
        for (int q = 0; !f[a].mic && q < d->n_heard; q++)
            d->heard[a][q] = mimi_info(d->codec)->n_bin;
    for (int i = 0; i < with_mic.n_lane; i++) {
        d->mic[i] = f[d->index[i]].mic;
        d->sub_heard[i] = d->heard[d->index[i]];
    }
    if (with_mic.n_lane == 0)
        return OK;
    enum err err = mimi_encode_step(d->codec, &with_mic, d->mic, d->sub_heard, NULL);
    for (int a = 0; !err && a < s->n_lane; a++)
        if (f[a].is_lead_in)
            mimi_reset_encoder(d->codec, s->lane[a]);
    return err;
}

static enum err think(struct duplex *d, const struct step *s, struct duplex_frame *f)
{
    struct step twice = select_lanes(d, s, f, is_heard_twice);

    for (int i = 0; i < twice.n_lane; i++)
        d->sub_heard[i] = d->heard[d->index[i]];
    if (twice.n_lane > 0) {
        enum err err = lm_gen_step(d->gen, &twice, (const int32_t *const *)d->sub_heard, d->n_heard,
                                   NULL, d->frame);
        if (err)
            return err;
    }
    for (int a = 0; a < s->n_lane; a++)
        d->forced[a] = f[a].forced_text;
    enum err err = lm_gen_step(d->gen, s, (const int32_t *const *)d->heard, d->n_heard, d->forced,
                               d->frame);
    for (int a = 0; !err && a < s->n_lane; a++) {
        f[a].is_ready = d->frame[a].is_ready;
        f[a].has_sound = d->frame[a].is_ready;
        f[a].text = d->frame[a].text;
        f[a].text_now = d->frame[a].text_now;
    }
    return err;
}

static enum err speak(struct duplex *d, const struct step *s, const struct duplex_frame *f)
{
    struct step with_sound = select_lanes(d, s, f, has_sound);

    for (int i = 0; i < with_sound.n_lane; i++) {
        d->spoken[i] = d->frame[d->index[i]].audio;
        d->speaker[i] = f[d->index[i]].speaker;
    }
    if (with_sound.n_lane == 0)
        return OK;
    return mimi_decode_step(d->codec, &with_sound, (const int32_t *const *)d->spoken,
                            moshi_info(d->lm)->dep_q, d->speaker);
}

void duplex_warm(struct duplex *d, int lane)
{
    mimi_warm(d->codec, lane);
    moshi_warm(d->lm, lane);
}

void duplex_rouse(struct duplex *d)
{
    be_rouse(d->be);
}

/* The parts of the step that began then, one after the other. */
static void trace_step(const struct duplex *d, const struct step *s, int64_t t0_ns)
{
    const struct {
        const char *name;
        int64_t     ns;
    } parts[] = { { "encode", d->times.encode_ns },
                  { "step", d->times.temporal_ns },
                  { "depformer", d->times.depth_ns },
                  { "decode", d->times.decode_ns } };
    uint64_t lanes = 0;

    if (!trace_is_on() || !d->is_warm)
        return;
    for (int a = 0; a < s->n_lane; a++)
        lanes |= trace_lane(s->lane[a]);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; t0_ns += parts[i++].ns)
        trace_span(TRACE_ENGINE, parts[i].name, lanes, d->n_step, t0_ns, t0_ns + parts[i].ns);
}

enum err duplex_step(struct duplex *d, const struct step *s, struct duplex_frame *f)
{
    be_hold(d->be);
    int64_t  t0_ns = os_now_ns();
    enum err err = hear(d, s, f);
    int64_t  t1_ns = os_now_ns();
    if (!err)
        err = think(d, s, f);
    int64_t t2_ns = os_now_ns();
    if (!err)
        err = speak(d, s, f);
    struct lm_gen_times lm = lm_gen_last_times(d->gen);
    d->times = (struct duplex_times){ t1_ns - t0_ns, t2_ns - t1_ns - lm.depth_ns, lm.depth_ns,
                                      os_now_ns() - t2_ns };
    trace_step(d, s, t0_ns);
    d->n_step++;
    be_release(d->be);
    return err;
}
