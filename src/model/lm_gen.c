/* SPDX-License-Identifier: MIT */
#include "model/lm_gen.h"

#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "model/sampler.h"

enum { UNGENERATED = -2, DEFAULT_SEED = 42424242 };

struct lane {
    struct lm_gen_options o;
    int64_t               n_step; /* since the reset */
    int32_t              *cache;  /* [1 + n_q, n_slot] */
};

struct lm_gen {
    struct moshi            *m;
    const struct moshi_info *info;
    int                      n_lane;
    int                      n_slot; /* max delay + 2 */
    struct lane             *lane;   /* [n_lane] */
    struct lm_gen_times      times;
    /* room for one step, by active lane */
    int32_t        *input;  /* [n_lane, 1 + n_q] */
    int32_t        *now;    /* [n_lane, 1 + dep_q]: what this step samples */
    const int32_t **tokens; /* [n_lane]: rows of input */
    const float   **logits; /* [n_lane] */
    int32_t        *before; /* [n_lane]: what a depth step sees */
    float          *room;   /* [n_lane, n_vocab]: the sampler's */
    int             n_vocab;
};

/* Open, close. */

struct lm_gen_options lm_gen_defaults(const struct moshi *m)
{
    const struct moshi_info *info = moshi_info(m);

    return (struct lm_gen_options){ .temp = info->temp,
                                    .temp_text = info->temp_text,
                                    .top_k = info->top_k,
                                    .top_k_text = info->top_k_text,
                                    .seed = DEFAULT_SEED };
}

static bool open_room(struct lm_gen *g)
{
    size_t n = (size_t)g->n_lane, n_stream = 1 + (size_t)g->info->n_q;

    g->n_vocab = g->info->card > g->info->text_card_out ? g->info->card : g->info->text_card_out;
    g->lane = mem_zalloc(mem_size(n, sizeof *g->lane));
    g->input = mem_zalloc(mem_size(n, n_stream * sizeof *g->input));
    g->now = mem_zalloc(mem_size(n, n_stream * sizeof *g->now));
    g->tokens = mem_zalloc(mem_size(n, sizeof *g->tokens));
    g->logits = mem_zalloc(mem_size(n, sizeof *g->logits));
    g->before = mem_zalloc(mem_size(n, sizeof *g->before));
    g->room = mem_zalloc(mem_size(mem_size(n, (size_t)g->n_vocab), sizeof *g->room));
    bool is_open = g->lane && g->input && g->now && g->tokens && g->logits && g->before && g->room;
    for (size_t i = 0; i < n && is_open; i++) {
        g->lane[i].cache = mem_zalloc(mem_size(n_stream, (size_t)g->n_slot * sizeof(int32_t)));
        is_open = g->lane[i].cache != NULL;
    }
    return is_open;
}

enum err lm_gen_open(struct lm_gen **out, struct moshi *m, int n_lane)
{
    struct lm_gen *g = mem_zalloc(sizeof *g);

    if (!g)
        return err_set(ERR_NOMEM, "out of memory");
    g->m = m;
    g->info = moshi_info(m);
    g->n_lane = n_lane;
    g->n_slot = g->info->max_delay + 2;
    if (!open_room(g)) {
        lm_gen_close(&g);
        return err_set(ERR_NOMEM, "out of memory for the tokens of %d talks", n_lane);
    }
    struct lm_gen_options o = lm_gen_defaults(m);
    for (int i = 0; i < n_lane; i++)
        lm_gen_reset(g, i, &o);
    *out = g;
    return OK;
}

void lm_gen_close(struct lm_gen **gp)
{
    struct lm_gen *g = *gp;

    if (!g)
        return;
    for (int i = 0; g->lane && i < g->n_lane; i++)
        mem_free(g->lane[i].cache);
    mem_free(g->lane);
    mem_free(g->input);
    mem_free(g->now);
    mem_free(g->tokens);
    mem_free(g->logits);
    mem_free(g->before);
    mem_free(g->room);
    mem_free(g);
    *gp = NULL;
}

void lm_gen_reset(struct lm_gen *g, int lane, const struct lm_gen_options *o)
{
    struct lane *l = &g->lane[lane];

    must(lane >= 0 && lane < g->n_lane);
    l->o = *o;
    l->n_step = 0;
    for (int i = 0; i < (1 + g->info->n_q) * g->n_slot; i++)
        l->cache[i] = UNGENERATED;
    moshi_reset(g->m, lane);
}

/* A step. */

static int32_t *slot(const struct lm_gen *g, const struct lane *l, int stream, int64_t step)
{
    return &l->cache[stream * g->n_slot + (int)(step % g->n_slot)];
}

static enum err check_user(const struct lm_gen *g, const struct step *s, const int32_t *const *user,
                           int n_user)
{
    int n = g->info->n_q - g->info->dep_q;

    if (n_user < n)
        return err_set(ERR_USAGE, "%d codes of the user a step, %d are needed", n_user, n);
    for (int a = 0; a < s->n_lane; a++)
        for (int q = 0; q < n; q++)
            if (user[a][q] < -1 || user[a][q] > g->info->card)
                return err_set(ERR_USAGE, "code %d of the user's codebook %d is outside -1 .. %d",
                               user[a][q], q, g->info->card);
    return OK;
}

/* Keeps the user's codes where their delay puts them and reads what the model sees now: the initial
 * token as long as nothing of a stream can have arrived. */
static void gather(struct lm_gen *g, const struct step *s, const int32_t *const *user)
{
    const struct moshi_info *info = g->info;

    for (int a = 0; a < s->n_lane; a++) {
        struct lane *l = &g->lane[s->lane[a]];
        int32_t     *in = g->input + (size_t)a * (size_t)(1 + info->n_q);
        for (int q = 1 + info->dep_q; q <= info->n_q; q++)
            *slot(g, l, q, l->n_step + info->delays[q]) = user[a][q - 1 - info->dep_q];
        for (int q = 0; q <= info->n_q; q++) {
            int32_t initial = q == 0 ? info->text_card : info->card;
            in[q] = l->n_step <= info->delays[q] ? initial : *slot(g, l, q, l->n_step);
        }
        g->tokens[a] = in;
    }
}

/* One stream of all lanes. */
struct draw {
    struct lm_gen     *g;
    const struct step *s;
    int                stream, n_vocab;
    const int32_t     *forced; /* by active lane, below 0: sample; or NULL */
};

static int32_t *drawn(const struct draw *d, int a)
{
    return d->g->now + (size_t)a * (size_t)(1 + d->g->info->n_q) + d->stream;
}

/* Draws are numbered by step and stream, so a forced token moves nobody's noise. */
static void draw_lane(void *arg, int a)
{
    const struct draw           *d = arg;
    const struct lane           *l = &d->g->lane[d->s->lane[a]];
    const struct lm_gen_options *o = &l->o;

    if (d->forced && d->forced[a] >= 0)
        *drawn(d, a) = d->forced[a];
    else
        *drawn(d, a) = sampler_draw(d->g->logits[a], d->n_vocab, d->stream ? o->temp : o->temp_text,
                                    d->stream ? o->top_k : o->top_k_text, o->seed,
                                    (uint64_t)l->n_step * MOSHI_MAX_STREAM + (uint64_t)d->stream,
                                    d->g->room + (size_t)a * (size_t)d->g->n_vocab);
}

static enum err draw(struct lm_gen *g, const struct step *s, int stream, int n_vocab,
                     const int32_t *forced)
{
    struct draw d = { g, s, stream, n_vocab, forced };

    if (s->n_lane == 1)
        draw_lane(&d, 0);
    else
        be_parallel(moshi_be(g->m), draw_lane, &d, s->n_lane);
    for (int a = 0; a < s->n_lane; a++)
        if (*drawn(&d, a) < 0)
            return err_set(ERR_FAIL, "the model's logits are not numbers (stream %d)", stream);
    return OK;
}

static enum err generate(struct lm_gen *g, const struct step *s, const int32_t *forced)
{
    const struct moshi_info *info = g->info;
    int64_t                  t0_ns = os_now_ns();
    enum err                 err = moshi_step(g->m, s, g->tokens, g->logits);

    if (!err)
        err = draw(g, s, 0, moshi_word_count(info), forced);
    int64_t t1_ns = os_now_ns();
    for (int k = 0; k < info->dep_q && !err; k++) {
        for (int a = 0; a < s->n_lane; a++)
            g->before[a] = g->now[(size_t)a * (size_t)(1 + info->n_q) + (size_t)k];
        err = moshi_depth_step(g->m, s, k, g->before, g->logits);
        if (!err)
            err = draw(g, s, 1 + k, info->card, NULL);
    }
    g->times = (struct lm_gen_times){ t1_ns - t0_ns, os_now_ns() - t1_ns };
    return err;
}

struct lm_gen_times lm_gen_last_times(const struct lm_gen *g)
{
    return g->times;
}

/* Generated tokens are kept at the step that makes them and leave aligned in time. */
static void scatter(struct lm_gen *g, const struct step *s, struct lm_gen_frame *out)
{
    const struct moshi_info *info = g->info;

    for (int a = 0; a < s->n_lane; a++) {
        struct lane   *l = &g->lane[s->lane[a]];
        const int32_t *now = g->now + (size_t)a * (size_t)(1 + info->n_q);
        l->n_step++;
        for (int q = 0; q <= info->dep_q; q++)
            *slot(g, l, q, l->n_step) = now[q];
        out[a].text_now = now[0];
        out[a].is_ready = l->n_step > info->max_delay;
        if (!out[a].is_ready)
            continue;
        out[a].text = *slot(g, l, 0, l->n_step - info->max_delay + info->delays[0]);
        for (int q = 1; q <= info->dep_q; q++)
            out[a].audio[q - 1] = *slot(g, l, q, l->n_step - info->max_delay + info->delays[q]);
    }
}

enum err lm_gen_step(struct lm_gen *g, const struct step *s, const int32_t *const *user, int n_user,
                     const int32_t *forced_text, struct lm_gen_frame *out)
{
    enum err err = check_user(g, s, user, n_user);

    if (err)
        return err;
    gather(g, s, user);
    be_hold(moshi_be(g->m)); /* the chain of codebooks is one region: nobody goes to sleep in it */
    err = generate(g, s, forced_text);
    be_release(moshi_be(g->m));
    if (err)
        return err;
    scatter(g, s, out);
    return OK;
}
