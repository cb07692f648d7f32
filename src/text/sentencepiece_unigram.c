/* SPDX-License-Identifier: MIT */
/* The most probable pieces of a text, when each piece has a probability of its own: Viterbi over
 * the ends of pieces. Sums and comparisons are f32 and in the library's order (0.2.3), so that
 * ties and near ties fall the same way. */
#include "base/mem.h"
#include "text/sentencepiece_ids.h"

#define UNKNOWN_PENALTY 10.0f

struct end { /* the best way to cut everything up to a place */
    float score;
    int   begin; /* of its last piece; -1: no way yet */
    int   id;
};

static void offer(struct end *e, float score, int begin, int id)
{
    if (e->begin >= 0 && !(score > e->score))
        return;
    e->score = score;
    e->begin = begin;
    e->id = id;
}

/* A user-defined piece beats what a trained model knows: its logarithms are below zero, this is
 * not. The library's figure, whatever score the file has. */
static float score_of(const struct sentencepiece_model *m, int id, size_t len)
{
    if (m->piece[id].kind == SENTENCEPIECE_USER_DEFINED)
        return (float)(0.1 * (double)(len - 1));
    return m->piece[id].score;
}

/* Offers every piece that begins at place begin to the place where it ends. */
static void extend(struct end *end, const struct sentencepiece_model *m, struct bytes text,
                   size_t begin, size_t char_len)
{
    struct sentencepiece_walk w = { 0 };
    float                     before = end[begin].score;
    bool                      has_char = false;

    for (size_t i = begin; i < text.len; i++) {
        int id;
        if (!sentencepiece_index_step(&id, &m->words, &w, text.p[i]))
            break;
        if (id < 0 || m->piece[id].kind == SENTENCEPIECE_UNUSED)
            continue;
        size_t len = i + 1 - begin;
        offer(&end[i + 1], score_of(m, id, len) + before, (int)begin, id);
        has_char = has_char || len == char_len;
    }
    if (!has_char) {
        float score = (m->score_min - UNKNOWN_PENALTY) + before;
        offer(&end[begin + char_len], score, (int)begin, m->unknown_id);
    }
}

enum err sentencepiece_unigram_cut(struct sentencepiece_ids         *out,
                                   const struct sentencepiece_model *m, struct bytes text)
{
    struct end *end = mem_alloc(mem_size(text.len + 1, sizeof *end));
    if (!end)
        return ERR_NOMEM;
    for (size_t i = 0; i <= text.len; i++)
        end[i] = (struct end){ 0, -1, -1 };

    for (size_t at = 0, n; at < text.len; at += n) {
        n = sentencepiece_ids_char_len(bytes_of(text.p + at, text.len - at));
        extend(end, m, text, at, n);
    }

    /* Backwards, then forwards: each end learns where the piece after it ends. */
    int to = (int)text.len;
    for (int at = to, begin; at > 0; at = begin) {
        begin = end[at].begin;
        end[at].begin = to;
        to = at;
    }
    for (int from = 0; from < (int)text.len; from = to, to = end[to].begin)
        sentencepiece_ids_add(out, m, bytes_of(text.p + from, (size_t)(to - from)), end[to].id);
    mem_free(end);
    return out->err;
}
