/* SPDX-License-Identifier: MIT */
/* Byte pair encoding: the neighbours whose join has the highest score are joined, the leftmost of
 * equals first, until no join is a piece. */
#include <limits.h>

#include "base/mem.h"
#include "text/sentencepiece_ids.h"

struct symbol {
    uint32_t at, len;    /* in the text; len 0: joined to the left */
    int      prev, next; /* -1: none */
    bool     is_frozen;  /* a user-defined piece stays whole */
};

struct join { /* an offer; stale when the two no longer have this length */
    float    score;
    int      left, right;
    uint32_t len;
};

struct bpe {
    const struct sentencepiece_model *m;
    struct bytes                      text;
    struct symbol                    *sym; /* [n_sym] */
    int                               n_sym;
    struct join                      *heap; /* [n_heap], the next join on top */
    size_t                            n_heap;
    uint32_t                         *left_len; /* [n_piece], how an unused piece was joined; 0 */
};

static bool is_before(const struct join *a, const struct join *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static void heap_push(struct bpe *b, struct join j)
{
    size_t at = b->n_heap++;
    for (; at > 0 && is_before(&j, &b->heap[(at - 1) / 2]); at = (at - 1) / 2)
        b->heap[at] = b->heap[(at - 1) / 2];
    b->heap[at] = j;
}

static struct join heap_pop(struct bpe *b)
{
    struct join top = b->heap[0], last = b->heap[--b->n_heap];
    size_t      at = 0;

    for (size_t child; (child = 2 * at + 1) < b->n_heap; at = child) {
        if (child + 1 < b->n_heap && is_before(&b->heap[child + 1], &b->heap[child]))
            child++;
        if (!is_before(&b->heap[child], &last))
            break;
        b->heap[at] = b->heap[child];
    }
    b->heap[at] = last;
    return top;
}

static void offer(struct bpe *b, int left, int right)
{
    if (left < 0 || right < 0 || b->sym[left].is_frozen || b->sym[right].is_frozen)
        return;
    const struct symbol *l = &b->sym[left], *r = &b->sym[right];
    struct bytes         text = bytes_of(b->text.p + l->at, (size_t)l->len + r->len);
    int                  id = sentencepiece_index_find(&b->m->words, text);
    if (id < 0)
        return;
    heap_push(b, (struct join){ b->m->piece[id].score, left, right, l->len + r->len });
    if (b->left_len && b->m->piece[id].kind == SENTENCEPIECE_UNUSED)
        b->left_len[id] = l->len;
}

static void split_chars(struct bpe *b)
{
    for (size_t at = 0, n; at < b->text.len; at += n) {
        struct bytes rest = bytes_of(b->text.p + at, b->text.len - at);
        size_t       kept = sentencepiece_index_longest(&b->m->kept, rest);
        n = kept ? kept : sentencepiece_ids_char_len(rest);
        b->sym[b->n_sym] = (struct symbol){ (uint32_t)at, (uint32_t)n, b->n_sym - 1, b->n_sym + 1,
                                            kept > 0 };
        b->n_sym++;
    }
    b->sym[b->n_sym - 1].next = -1;
}

static void join_all(struct bpe *b)
{
    for (int i = 1; i < b->n_sym; i++)
        offer(b, i - 1, i);
    while (b->n_heap > 0) {
        struct join    j = heap_pop(b);
        struct symbol *l = &b->sym[j.left], *r = &b->sym[j.right];
        if (l->len == 0 || r->len == 0 || l->len + r->len != j.len)
            continue;
        l->len += r->len;
        l->next = r->next;
        if (r->next >= 0)
            b->sym[r->next].prev = j.left;
        r->len = 0;
        offer(b, l->prev, j.left);
        offer(b, j.left, l->next);
    }
}

/* An unused piece is taken apart again the way it was joined, never deeper than it has bytes; a
 * single character that is unused is unknown. */
static void emit(const struct bpe *b, struct sentencepiece_ids *out, struct bytes piece)
{
    int id = sentencepiece_model_find(b->m, piece);

    if (b->m->piece[id].kind != SENTENCEPIECE_UNUSED) {
        sentencepiece_ids_add(out, b->m, piece, id);
        return;
    }
    uint32_t n = b->left_len[id];
    if (n == 0 || n >= piece.len) {
        sentencepiece_ids_add(out, b->m, piece, b->m->unknown_id);
        return;
    }
    emit(b, out, bytes_of(piece.p, n));
    emit(b, out, bytes_of(piece.p + n, piece.len - n));
}

enum err sentencepiece_bpe_cut(struct sentencepiece_ids *out, const struct sentencepiece_model *m,
                               struct bytes text)
{
    struct bpe b = { .m = m, .text = text };
    enum err   err = ERR_NOMEM;

    /* Each join ends one symbol and offers two more: at most 3 offers a symbol. */
    b.sym = mem_alloc(mem_size(text.len, sizeof *b.sym));
    b.heap = mem_alloc(mem_size(text.len, 3 * sizeof *b.heap));
    if (m->n_unused > 0)
        b.left_len = mem_zalloc(mem_size((size_t)m->n_piece, sizeof *b.left_len));
    if (b.sym && b.heap && (b.left_len || m->n_unused == 0)) {
        split_chars(&b);
        join_all(&b);
        for (int i = 0; i >= 0; i = b.sym[i].next)
            emit(&b, out, bytes_of(text.p + b.sym[i].at, b.sym[i].len));
        err = out->err;
    }
    mem_free(b.left_len);
    mem_free(b.heap);
    mem_free(b.sym);
    return err;
}
