/* SPDX-License-Identifier: MIT */
#include "text/sentencepiece_model.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/protobuf.h"
#include "text/sentencepiece.h"

/* The largest published vocabulary has 262,144 pieces and 4.7 MB. */
#define FILE_LEN_MAX (32u << 20)
#define PIECES_MAX   (1 << 19)

struct reader {
    struct sentencepiece_model *m;
    const char                 *what;
    bool                        has_trainer;
    enum err                    err;
};

/* Keeps the first fault and its sentence. */
static void fail(struct reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fail(struct reader *r, const char *fmt, ...)
{
    char    text[ERR_TEXT_CAP];
    va_list args;

    if (r->err)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    r->err = err_set(ERR_FORMAT, "%s: %s", r->what, text);
}

/* Fields of a known kind; a wrong one is a fault. */

static bool is_kind(struct reader *r, const struct protobuf_field *f, enum protobuf_kind kind)
{
    if (f->kind != kind)
        fail(r, "field %u has the wrong kind", f->number);
    return f->kind == kind;
}

static void get_bool(struct reader *r, bool *out, const struct protobuf_field *f)
{
    if (is_kind(r, f, PROTOBUF_VARINT))
        *out = f->value != 0;
}

static void get_bytes(struct reader *r, struct bytes *out, const struct protobuf_field *f)
{
    if (is_kind(r, f, PROTOBUF_BYTES))
        *out = f->bytes;
}

static void get_enum(struct reader *r, uint64_t *out, const struct protobuf_field *f, uint64_t max,
                     const char *name)
{
    if (!is_kind(r, f, PROTOBUF_VARINT))
        return;
    if (f->value < 1 || f->value > max)
        fail(r, "%s %llu is not known", name, (unsigned long long)f->value);
    else
        *out = f->value;
}

static void get_score(struct reader *r, float *out, const struct protobuf_field *f)
{
    if (!is_kind(r, f, PROTOBUF_FIXED32))
        return;
    uint32_t bits = (uint32_t)f->value;
    memcpy(out, &bits, sizeof *out);
    if (!isfinite(*out))
        fail(r, "a score is not finite");
}

static bool next_field(struct reader *r, struct protobuf_field *f, struct protobuf *pb)
{
    if (r->err)
        return false;
    if (protobuf_next(f, pb))
        return true;
    if (pb->is_broken)
        fail(r, "not a SentencePiece model, or cut short");
    return false;
}

/* The file's messages; numbers are those of sentencepiece_model.proto. */

static void read_piece(struct reader *r, struct bytes in)
{
    struct sentencepiece_entry *e = &r->m->piece[r->m->n_piece];
    struct protobuf             pb = { in, false };
    struct protobuf_field       f;
    uint64_t                    kind = SENTENCEPIECE_NORMAL;

    *e = (struct sentencepiece_entry){ 0 };
    while (next_field(r, &f, &pb)) {
        if (f.number == 1)
            get_bytes(r, &e->text, &f);
        else if (f.number == 2)
            get_score(r, &e->score, &f);
        else if (f.number == 3)
            get_enum(r, &kind, &f, SENTENCEPIECE_BYTE, "piece type");
    }
    e->kind = (uint8_t)kind;
    if (e->text.len == 0 || e->text.len > SENTENCEPIECE_PIECE_MAX)
        fail(r, "piece %d has %zu bytes, not 1 to %d", r->m->n_piece, e->text.len,
             SENTENCEPIECE_PIECE_MAX);
    else if (!utf8_is_valid(e->text))
        fail(r, "piece %d is not UTF-8", r->m->n_piece);
    r->m->n_piece++;
}

static void read_trainer(struct reader *r, struct bytes in)
{
    struct sentencepiece_model *m = r->m;
    struct protobuf             pb = { in, false };
    struct protobuf_field       f;
    uint64_t                    algorithm = m->algorithm;

    r->has_trainer = true;
    while (next_field(r, &f, &pb)) {
        if (f.number == 3)
            get_enum(r, &algorithm, &f, SENTENCEPIECE_CHAR, "model type");
        else if (f.number == 24)
            get_bool(r, &m->normal.blank_is_suffix, &f);
        else if (f.number == 35)
            get_bool(r, &m->has_bytes, &f);
        else if (f.number == 44)
            get_bytes(r, &m->unknown, &f);
    }
    m->algorithm = (enum sentencepiece_algorithm)algorithm;
}

static void read_rules(struct reader *r, struct sentencepiece_rules *rules, struct bytes in)
{
    struct protobuf       pb = { in, false };
    struct protobuf_field f;

    while (next_field(r, &f, &pb)) {
        if (f.number == 2)
            get_bytes(r, &rules->charsmap, &f);
        else if (f.number == 3)
            get_bool(r, &rules->has_dummy_prefix, &f);
        else if (f.number == 4)
            get_bool(r, &rules->removes_blanks, &f);
        else if (f.number == 5)
            get_bool(r, &rules->escapes_blanks, &f);
    }
}

static int count_pieces(struct bytes in)
{
    struct protobuf       pb = { in, false };
    struct protobuf_field f;
    int                   n = 0;

    while (n <= PIECES_MAX && protobuf_next(&f, &pb))
        n += f.number == 1;
    return n;
}

static void read_file(struct reader *r, struct bytes in)
{
    struct sentencepiece_model *m = r->m;
    struct protobuf             pb = { in, false };
    struct protobuf_field       f;
    struct bytes                part = { 0 };

    while (next_field(r, &f, &pb)) {
        if (f.number < 1 || f.number > 5 || f.number == 4)
            continue; /* 4: the trainer's self-test */
        get_bytes(r, &part, &f);
        if (r->err)
            return;
        if (f.number == 1)
            read_piece(r, part);
        else if (f.number == 2)
            read_trainer(r, part);
        else if (f.number == 3)
            read_rules(r, &m->normal, part);
        else
            read_rules(r, &m->denormal, part);
    }
}

/* What must hold between them. */

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void check_byte(struct reader *r, int id)
{
    struct sentencepiece_entry *e = &r->m->piece[id];
    const uint8_t              *p = e->text.p;
    bool is_byte = e->text.len == 6 && memcmp(p, "<0x", 3) == 0 && hex(p[3]) >= 0 &&
                   hex(p[4]) >= 0 && p[5] == '>';

    if (!r->m->has_bytes)
        fail(r, "piece %d is a byte piece, but byte_fallback is off", id);
    else if (!is_byte)
        fail(r, "piece %d is a byte piece, but is not written <0x00> to <0xFF>", id);
    if (r->err)
        return;
    e->byte = (uint8_t)(hex(p[3]) << 4 | hex(p[4]));
    r->m->byte_id[e->byte] = id;
}

static void sort_in(struct reader *r, int id)
{
    struct sentencepiece_model       *m = r->m;
    const struct sentencepiece_entry *e = &m->piece[id];

    switch ((enum sentencepiece_kind)e->kind) {
    case SENTENCEPIECE_USER_DEFINED: sentencepiece_index_add(&m->kept, e->text, id); break;
    case SENTENCEPIECE_UNUSED: m->n_unused++; break;
    case SENTENCEPIECE_NORMAL: m->score_min = fminf(m->score_min, e->score); break;
    case SENTENCEPIECE_UNKNOWN:
        if (m->unknown_id >= 0)
            fail(r, "pieces %d and %d are both the unknown piece", m->unknown_id, id);
        m->unknown_id = id;
        break;
    case SENTENCEPIECE_BYTE: check_byte(r, id); break;
    case SENTENCEPIECE_CONTROL: break;
    }
    bool is_word = e->kind == SENTENCEPIECE_NORMAL || e->kind == SENTENCEPIECE_USER_DEFINED ||
                   e->kind == SENTENCEPIECE_UNUSED;
    sentencepiece_index_add(is_word ? &m->words : &m->reserved, e->text, id);
}

static void finish_index(struct reader *r, struct sentencepiece_index *x)
{
    int twice = sentencepiece_index_finish(x);
    if (twice >= 0)
        fail(r, "piece %d is there twice", twice);
}

static void check(struct reader *r)
{
    struct sentencepiece_model *m = r->m;

    for (int id = 0; id < m->n_piece && !r->err; id++)
        sort_in(r, id);
    if (r->err)
        return;
    if (!r->has_trainer) /* it comes after the pieces: a file cut between two of them lacks it */
        fail(r, "the trainer's part is missing: not a SentencePiece model, or cut short");
    if (m->unknown_id < 0)
        fail(r, "no unknown piece among %d", m->n_piece);
    for (int i = 0; m->has_bytes && i < 256; i++)
        if (m->byte_id[i] < 0)
            fail(r, "byte_fallback is on, but piece <0x%02X> is missing", (unsigned)i);
    finish_index(r, &m->words);
    finish_index(r, &m->reserved);
    finish_index(r, &m->kept);
    if (m->algorithm == SENTENCEPIECE_UNIGRAM && m->words.n_key == 0)
        fail(r, "no piece to cut text into");
    for (int id = 0; id < m->n_piece && !r->err; id++) {
        int reserved = sentencepiece_index_find(&m->reserved, m->piece[id].text);
        m->piece[id].id_found = reserved >= 0 ? reserved : id;
    }
}

static enum err open_room(struct sentencepiece_model *m, struct bytes file, int n_piece)
{
    m->file = mem_alloc(file.len);
    m->piece = mem_zalloc(mem_size((size_t)n_piece, sizeof *m->piece));
    if (!m->file || !m->piece)
        return ERR_NOMEM;
    memcpy(m->file, file.p, file.len);
    enum err err = sentencepiece_index_open(&m->words, n_piece);
    if (!err)
        err = sentencepiece_index_open(&m->reserved, n_piece);
    if (!err)
        err = sentencepiece_index_open(&m->kept, n_piece);
    return err;
}

static void set_defaults(struct sentencepiece_model *m)
{
    *m = (struct sentencepiece_model){ 0 };
    m->algorithm = SENTENCEPIECE_UNIGRAM;
    m->unknown = bytes_str(" \xE2\x81\x87 "); /* U+2047 */
    m->unknown_id = -1;
    m->score_min = FLT_MAX;
    for (int i = 0; i < 256; i++)
        m->byte_id[i] = -1;
    m->normal = (struct sentencepiece_rules){ .has_dummy_prefix = true,
                                              .removes_blanks = true,
                                              .escapes_blanks = true };
    m->denormal = m->normal;
}

enum err sentencepiece_model_open(struct sentencepiece_model *m, struct bytes file,
                                  const char *what)
{
    struct reader r = { .m = m, .what = what };
    enum err      err;

    set_defaults(m);
    if (file.len > FILE_LEN_MAX)
        return err_set(ERR_FORMAT, "%s: %zu bytes are too many for a tokenizer", what, file.len);
    int n_piece = count_pieces(file);
    if (n_piece == 0 || n_piece > PIECES_MAX)
        return err_set(ERR_FORMAT, "%s: %s", what,
                       n_piece ? "too many pieces" : "not a SentencePiece model");
    err = open_room(m, file, n_piece);
    if (err)
        goto fail;

    read_file(&r, bytes_of(m->file, file.len));
    if (!r.err)
        check(&r);
    err = r.err;
    if (!err)
        err = sentencepiece_rules_open(&m->normal, what);
    if (!err)
        err = sentencepiece_rules_open(&m->denormal, what);
    if (err)
        goto fail;
    m->normal.kept = m->kept.n_key ? &m->kept : NULL;
    m->has_denormal = m->denormal.charsmap.len > 0;
    return OK;

fail:
    sentencepiece_model_close(m);
    return err;
}

void sentencepiece_model_close(struct sentencepiece_model *m)
{
    sentencepiece_rules_close(&m->normal);
    sentencepiece_rules_close(&m->denormal);
    sentencepiece_index_close(&m->words);
    sentencepiece_index_close(&m->reserved);
    sentencepiece_index_close(&m->kept);
    mem_free(m->piece);
    mem_free(m->file);
    *m = (struct sentencepiece_model){ 0 };
}

int sentencepiece_model_find(const struct sentencepiece_model *m, struct bytes text)
{
    int id = sentencepiece_index_find(&m->reserved, text);
    if (id < 0)
        id = sentencepiece_index_find(&m->words, text);
    return id < 0 ? m->unknown_id : id;
}
