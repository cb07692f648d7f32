/* SPDX-License-Identifier: MIT */
#include "text/sentencepiece.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "text/sentencepiece_ids.h"
#include "text/sentencepiece_model.h"

/* Room for a text after its rules; what one call may cost, not what a talk needs. */
#define TEXT_CAP (64u << 20)

struct sentencepiece {
    struct sentencepiece_model m;
};

enum err sentencepiece_open(struct sentencepiece **out, struct bytes model, const char *what)
{
    struct sentencepiece *s = mem_zalloc(sizeof *s);
    if (!s)
        return ERR_NOMEM;
    enum err err = sentencepiece_model_open(&s->m, model, what);
    if (err) {
        mem_free(s);
        return err;
    }
    *out = s;
    return OK;
}

void sentencepiece_close(struct sentencepiece **s)
{
    if (!*s)
        return;
    sentencepiece_model_close(&(*s)->m);
    mem_free(*s);
    *s = NULL;
}

int sentencepiece_count(const struct sentencepiece *s)
{
    return s->m.n_piece;
}

/* Text to ids. */

static void cut_chars(struct sentencepiece_ids *out, const struct sentencepiece_model *m,
                      struct bytes text)
{
    for (size_t n; text.len > 0; text = bytes_of(text.p + n, text.len - n)) {
        n = sentencepiece_index_longest(&m->kept, text);
        if (n == 0)
            n = sentencepiece_ids_char_len(text);
        struct bytes piece = bytes_of(text.p, n);
        sentencepiece_ids_add(out, m, piece, sentencepiece_model_find(m, piece));
    }
}

/* A word begins at each U+2581. */
static void cut_words(struct sentencepiece_ids *out, const struct sentencepiece_model *m,
                      struct bytes text)
{
    for (size_t n; text.len > 0; text = bytes_of(text.p + n, text.len - n)) {
        for (n = 1; n < text.len; n++)
            if (text.len - n >= SENTENCEPIECE_BLANK_LEN &&
                memcmp(text.p + n, SENTENCEPIECE_BLANK, SENTENCEPIECE_BLANK_LEN) == 0)
                break;
        struct bytes piece = bytes_of(text.p, n);
        sentencepiece_ids_add(out, m, piece, sentencepiece_model_find(m, piece));
    }
}

static enum err cut(struct sentencepiece_ids *out, const struct sentencepiece_model *m,
                    struct bytes text)
{
    if (text.len == 0)
        return OK;
    switch (m->algorithm) {
    case SENTENCEPIECE_UNIGRAM: return sentencepiece_unigram_cut(out, m, text);
    case SENTENCEPIECE_BPE: return sentencepiece_bpe_cut(out, m, text);
    case SENTENCEPIECE_WORD: cut_words(out, m, text); break;
    case SENTENCEPIECE_CHAR: cut_chars(out, m, text); break;
    }
    return out->err;
}

static enum err encode(struct sentencepiece_ids *out, const struct sentencepiece *s,
                       struct bytes text)
{
    struct buf normal;

    buf_init(&normal, TEXT_CAP);
    sentencepiece_rules_apply(&s->m.normal, &normal, text);
    enum err err = buf_err(&normal);
    if (!err)
        err = cut(out, &s->m, buf_view(&normal));
    else if (err == ERR_LIMIT)
        err = err_set(ERR_LIMIT, "the text of %zu bytes is too long", text.len);
    buf_fini(&normal);
    return err;
}

enum err sentencepiece_encode(const struct sentencepiece *s, int *ids, int *n, int n_cap,
                              struct bytes text)
{
    struct sentencepiece_ids out = { .id = ids, .n_cap = n_cap };
    enum err                 err = encode(&out, s, text);

    *n = out.n;
    return err;
}

enum err sentencepiece_encode_new(const struct sentencepiece *s, int **ids, int *n,
                                  struct bytes text)
{
    struct sentencepiece_ids out = { .can_grow = true };
    enum err                 err = encode(&out, s, text);

    if (err) {
        mem_free(out.id);
        return err;
    }
    *ids = out.id;
    *n = out.n;
    return OK;
}

/* Ids to text. */

static bool has_blank(struct bytes t)
{
    return t.len >= SENTENCEPIECE_BLANK_LEN &&
           memcmp(t.p, SENTENCEPIECE_BLANK, SENTENCEPIECE_BLANK_LEN) == 0;
}

static void add_with_blanks(struct buf *out, struct bytes t)
{
    while (t.len > 0) {
        size_t n = has_blank(t) ? SENTENCEPIECE_BLANK_LEN : 1;
        if (n > 1)
            buf_add_byte(out, ' ');
        else
            buf_add_byte(out, t.p[0]);
        t = bytes_of(t.p + n, t.len - n);
    }
}

/* What an id is decoded as: a reserved piece of the same text goes before it. */
static const struct sentencepiece_entry *found(const struct sentencepiece_model *m, int id)
{
    return &m->piece[m->piece[id].id_found];
}

/* The characters of a run of byte pieces; a byte that belongs to none is U+FFFD. */
static void add_byte_run(struct buf *out, const struct sentencepiece_model *m, const int *ids,
                         int n)
{
    for (int i = 0, len; i < n; i += len) {
        uint8_t c[4];
        size_t  n_c = 0;
        for (; n_c < 4 && i + (int)n_c < n; n_c++)
            c[n_c] = found(m, ids[i + (int)n_c])->byte;
        len = (int)utf8_len(bytes_of(c, n_c));
        if (len > 0)
            buf_add(out, c, (size_t)len);
        else
            buf_add_str(out, UTF8_BAD);
        len = len > 0 ? len : 1;
    }
}

/* One piece that is no byte. is_begin: nothing was written before it. Gives whether the blank of
 * the beginning has been taken off for good. */
static bool add_piece(struct buf *out, const struct sentencepiece_model *m,
                      const struct sentencepiece_entry *e, bool is_begin)
{
    const struct sentencepiece_rules *r = &m->normal;
    struct bytes                      t = e->text;
    bool                              took_blank = false;

    if (e->kind == SENTENCEPIECE_CONTROL)
        return false;
    if (e->kind == SENTENCEPIECE_UNKNOWN) {
        buf_add(out, m->unknown.p, m->unknown.len);
        return false;
    }
    if (is_begin && (r->has_dummy_prefix || r->removes_blanks) && has_blank(t)) {
        t = bytes_of(t.p + SENTENCEPIECE_BLANK_LEN, t.len - SENTENCEPIECE_BLANK_LEN);
        took_blank = !r->removes_blanks; /* else all blanks of the beginning go */
    }
    add_with_blanks(out, t);
    return took_blank;
}

static void decode(struct buf *out, const struct sentencepiece_model *m, const int *ids, int n)
{
    size_t from = out->len;
    bool   is_begin = true, took_blank = false;

    for (int i = 0, n_byte; i < n; i += n_byte + 1) {
        for (n_byte = 0; i + n_byte < n; n_byte++)
            if (found(m, ids[i + n_byte])->kind != SENTENCEPIECE_BYTE)
                break;
        add_byte_run(out, m, ids + i, n_byte);
        if (i + n_byte == n)
            break;
        is_begin = is_begin && !took_blank && out->len == from;
        took_blank = add_piece(out, m, found(m, ids[i + n_byte]), is_begin);
    }
}

enum err sentencepiece_decode(const struct sentencepiece *s, struct buf *out, const int *ids, int n)
{
    struct buf plain;

    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= s->m.n_piece)
            return err_set(ERR_USAGE, "id %d is not in the tokenizer: it has 0 to %d", ids[i],
                           s->m.n_piece - 1);
    if (!s->m.has_denormal) {
        decode(out, &s->m, ids, n);
        return buf_err(out);
    }
    buf_init(&plain, TEXT_CAP);
    decode(&plain, &s->m, ids, n);
    enum err err = buf_err(&plain);
    if (!err)
        sentencepiece_rules_apply(&s->m.denormal, out, buf_view(&plain));
    buf_fini(&plain);
    return err ? err : buf_err(out);
}

static const struct sentencepiece_entry *entry(const struct sentencepiece *s, int id)
{
    static const struct sentencepiece_entry none;
    return id >= 0 && id < s->m.n_piece ? &s->m.piece[id] : &none;
}

struct bytes sentencepiece_piece(const struct sentencepiece *s, int id)
{
    return entry(s, id)->text;
}

bool sentencepiece_is_control(const struct sentencepiece *s, int id)
{
    return entry(s, id)->kind == SENTENCEPIECE_CONTROL;
}

/* Words as they are spoken. */

void sentencepiece_stream_init(struct sentencepiece_stream *st, const struct sentencepiece *s)
{
    *st = (struct sentencepiece_stream){ .s = s };
}

static size_t put(char *out, size_t at, const void *p, size_t len)
{
    memcpy(out + at, p, len);
    return at + len;
}

/* Gives out what is whole or broken among the held bytes; keeps the beginning of a character
 * unless nothing may follow. */
static size_t release(struct sentencepiece_stream *st, char *out, bool is_end)
{
    size_t n_out = 0;

    while (st->n_held > 0) {
        struct bytes held = bytes_of(st->held, (size_t)st->n_held);
        size_t       n = utf8_len(held);
        if (n == 0 && !is_end && utf8_is_partial(held))
            break;
        if (n > 0)
            n_out = put(out, n_out, st->held, n);
        else
            n_out = put(out, n_out, UTF8_BAD, sizeof UTF8_BAD - 1);
        n = n > 0 ? n : 1;
        st->n_held -= (int)n;
        memmove(st->held, st->held + n, (size_t)st->n_held);
    }
    return n_out;
}

size_t sentencepiece_stream_step(struct sentencepiece_stream *st, int id,
                                 char out[SENTENCEPIECE_STREAM_MAX])
{
    const struct sentencepiece_entry *e = entry(st->s, id);

    if (e->text.len == 0)
        return 0;
    if (e->kind == SENTENCEPIECE_BYTE) {
        st->held[st->n_held++] = e->byte;
        return release(st, out, false);
    }
    size_t n_out = release(st, out, true);
    for (struct bytes t = e->text; t.len > 0;) {
        size_t n = has_blank(t) ? SENTENCEPIECE_BLANK_LEN : 1;
        out[n_out++] = n > 1 ? ' ' : (char)t.p[0];
        t = bytes_of(t.p + n, t.len - n);
    }
    return n_out;
}
