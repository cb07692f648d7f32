/* SPDX-License-Identifier: MIT */
#include "text/sentencepiece_rules.h"

#include "base/mem.h"
#include "base/utf8.h"

/* Limits of our own, far above any published table (nmt_nfkc has 60 thousand units). */
#define KEY_LEN_MAX  256
#define WORD_LEN_MAX 1024
#define UNITS_MAX    (1u << 20)

/* One unit of the double array: label in the low byte, bit 8 "a value is below", bit 9 and 10..31
 * the offset to what is below; a value has bit 31 and is never anyone's label. */
static uint32_t unit_label(uint32_t u)
{
    return u & 0x800000FFu;
}
static bool unit_has_value(uint32_t u)
{
    return u >> 8 & 1;
}
static uint32_t unit_value(uint32_t u)
{
    return u & 0x7FFFFFFFu;
}
static uint32_t unit_offset(uint32_t u)
{
    return (u >> 10) << (u >> 6 & 8);
}

enum { UNSEEN, OPEN, DONE };

struct check {
    const struct sentencepiece_rules *r;
    uint8_t                          *state; /* [n_unit] */
    struct {
        uint32_t unit;
        int      c; /* next label to look at */
    } path[KEY_LEN_MAX + 1];
    int n_path;
};

/* Enters the node at, whose children lie around base. */
static const char *enter(struct check *k, uint32_t at)
{
    const struct sentencepiece_rules *r = k->r;
    uint32_t                          base = at ^ unit_offset(r->unit[at]);

    if (k->n_path > KEY_LEN_MAX)
        return "a rule is too long";
    if (unit_has_value(r->unit[at])) {
        if (base >= r->n_unit)
            return "a value lies outside";
        uint32_t v = unit_value(r->unit[base]);
        if (v >= r->words.len)
            return "a replacement lies outside";
        if (!memchr(r->words.p + v, 0, r->words.len - v))
            return "a replacement has no end";
        if (strlen((const char *)r->words.p + v) > WORD_LEN_MAX)
            return "a replacement is too long";
    }
    k->state[at] = OPEN;
    k->path[k->n_path].unit = at;
    k->path[k->n_path++].c = 0;
    return NULL;
}

/* Walks everything that can be reached, each unit once: branches may join again, but never form
 * a circle, and end inside. */
static const char *walk_all(struct check *k)
{
    const struct sentencepiece_rules *r = k->r;
    const char                       *fault = enter(k, 0);

    while (!fault && k->n_path > 0) {
        uint32_t at = k->path[k->n_path - 1].unit;
        int      c = k->path[k->n_path - 1].c++;
        if (c > 255) {
            k->state[at] = DONE;
            k->n_path--;
            continue;
        }
        uint32_t next = at ^ unit_offset(r->unit[at]) ^ (uint32_t)c;
        if (next >= r->n_unit || unit_label(r->unit[next]) != (uint32_t)c || next == 0)
            continue;
        if (k->state[next] == OPEN)
            return "the table runs in a circle";
        if (k->state[next] == UNSEEN)
            fault = enter(k, next);
    }
    return fault;
}

static enum err check_all(const struct sentencepiece_rules *r, const char *what)
{
    struct check *k = mem_zalloc(sizeof *k);
    enum err      err = ERR_NOMEM;

    if (k) {
        k->r = r;
        k->state = mem_zalloc(r->n_unit);
    }
    if (k && k->state) {
        const char *fault = walk_all(k);
        err = fault ? err_set(ERR_FORMAT, "%s: normaliser: %s", what, fault) : OK;
        mem_free(k->state);
    }
    mem_free(k);
    return err;
}

enum err sentencepiece_rules_open(struct sentencepiece_rules *r, const char *what)
{
    struct bytes m = r->charsmap;

    if (m.len == 0)
        return OK;
    uint64_t n = m.len >= 4 ? bytes_le(m.p, 4) : 0;
    if (m.len <= 4 || n == 0 || n % 4 != 0 || n >= m.len - 4)
        return err_set(ERR_FORMAT, "%s: normaliser: the table of %zu bytes is cut or misaligned",
                       what, m.len);
    if (n / 4 > UNITS_MAX)
        return err_set(ERR_FORMAT, "%s: normaliser: the table is absurdly large", what);
    r->n_unit = (uint32_t)(n / 4);
    r->words = bytes_of(m.p + 4 + n, m.len - 4 - (size_t)n);
    r->unit = mem_alloc((size_t)n);
    if (!r->unit)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < r->n_unit; i++)
        r->unit[i] = (uint32_t)bytes_le(m.p + 4 + 4 * (size_t)i, 4);
    return check_all(r, what);
}

void sentencepiece_rules_close(struct sentencepiece_rules *r)
{
    mem_free(r->unit);
    r->unit = NULL;
    r->n_unit = 0;
}

/* The longest rule that in begins with: its length, 0 when there is none. */
static size_t find_rule(const struct sentencepiece_rules *r, struct bytes *word, struct bytes in)
{
    size_t   n = 0;
    uint32_t at = 0;

    for (size_t i = 0; r->n_unit && i < in.len && i < KEY_LEN_MAX; i++) {
        uint32_t next = at ^ unit_offset(r->unit[at]) ^ in.p[i];
        if (next >= r->n_unit || unit_label(r->unit[next]) != in.p[i] || next == 0)
            break;
        at = next;
        if (unit_has_value(r->unit[at])) {
            uint32_t v = unit_value(r->unit[at ^ unit_offset(r->unit[at])]);
            n = i + 1;
            *word = bytes_str((const char *)r->words.p + v);
        }
    }
    return n;
}

/* What the front of in, not empty, becomes; *n_used bytes of it. */
static struct bytes rewrite(const struct sentencepiece_rules *r, size_t *n_used, struct bytes in)
{
    struct bytes word = { 0 };

    *n_used = r->kept ? sentencepiece_index_longest(r->kept, in) : 0;
    if (*n_used)
        return bytes_of(in.p, *n_used);
    *n_used = find_rule(r, &word, in);
    if (*n_used)
        return word;
    *n_used = utf8_len(in);
    if (*n_used)
        return bytes_of(in.p, *n_used);
    *n_used = 1;
    return bytes_str(UTF8_BAD);
}

static struct bytes skip(struct bytes in, size_t n)
{
    return bytes_of(in.p + n, in.len - n);
}

static void add_blank(const struct sentencepiece_rules *r, struct buf *out)
{
    if (r->escapes_blanks)
        buf_add(out, SENTENCEPIECE_BLANK, SENTENCEPIECE_BLANK_LEN);
    else
        buf_add_byte(out, ' ');
}

static void add_word(const struct sentencepiece_rules *r, struct buf *out, struct bytes word)
{
    while (word.len > 0) {
        const uint8_t *blank = memchr(word.p, ' ', word.len);
        size_t         n = blank ? (size_t)(blank - word.p) : word.len;
        buf_add(out, word.p, n);
        if (blank)
            add_blank(r, out);
        word = skip(word, blank ? n + 1 : n);
    }
}

static void drop_trailing_blanks(const struct sentencepiece_rules *r, struct buf *out, size_t from)
{
    const char *blank = r->escapes_blanks ? SENTENCEPIECE_BLANK : " ";
    size_t      n = strlen(blank);

    while (out->len - from >= n && memcmp(out->p + out->len - n, blank, n) == 0)
        out->len -= n;
}

void sentencepiece_rules_apply(const struct sentencepiece_rules *r, struct buf *out,
                               struct bytes text)
{
    size_t       from = out->len, n;
    struct bytes blank = bytes_str(" ");

    while (r->removes_blanks && text.len > 0 && bytes_equal(rewrite(r, &n, text), blank))
        text = skip(text, n);
    if (text.len == 0)
        return;
    if (r->has_dummy_prefix && !r->blank_is_suffix)
        add_blank(r, out);

    for (bool was_blank = r->removes_blanks; text.len > 0; text = skip(text, n)) {
        struct bytes word = rewrite(r, &n, text);
        while (was_blank && word.len > 0 && word.p[0] == ' ')
            word = skip(word, 1);
        if (word.len > 0) {
            add_word(r, out, word);
            was_blank = r->removes_blanks && word.p[word.len - 1] == ' ';
        }
    }

    if (r->removes_blanks)
        drop_trailing_blanks(r, out, from);
    if (r->has_dummy_prefix && r->blank_is_suffix)
        add_blank(r, out);
}
