/* SPDX-License-Identifier: MIT */
#include "text/sentencepiece.h"

#include "base/buf.h"
#include "base/os.h"
#include "base/utf8.h"
#include "check.h"

#define FOLDER  "tests/golden/tokenizer/"
#define IDS_CAP 4096

/* Goldens of tests/oracle/sentencepiece_goldens.py. */

static struct sentencepiece *open_file(const char *path)
{
    struct sentencepiece *s = NULL;
    struct os_map         map;

    CHECK(os_map_open(&map, path) == OK);
    enum err err = sentencepiece_open(&s, map.view, path);
    if (err)
        printf("# %s\n", err_text(err));
    CHECK(err == OK);
    os_map_close(&map);
    return s;
}

static struct sentencepiece *open_golden(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, FOLDER "%s.model", name);
    return open_file(path);
}

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* One line: kind, text in hexadecimal or -, ids. Gives the start of the next line. */
static const char *read_case(char *kind, struct buf *text, int *ids, int *n, const char *p)
{
    buf_clear(text);
    *kind = *p;
    p += 2;
    if (*p == '-')
        p++;
    for (; *p != ' ' && *p != '\n'; p += 2)
        buf_add_byte(text, (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1])));
    for (*n = 0; *p == ' ';) {
        char *end;
        CHECK(*n < IDS_CAP);
        ids[(*n)++] = (int)strtol(p, &end, 10);
        p = end;
    }
    return p + 1;
}

static bool is_encoded_as(const struct sentencepiece *s, struct bytes text, const int *ids, int n)
{
    static int got[IDS_CAP];
    int       *grown, n_got, n_grown;

    CHECK(sentencepiece_encode(s, got, &n_got, IDS_CAP, text) == OK);
    CHECK(sentencepiece_encode_new(s, &grown, &n_grown, text) == OK);
    bool is_equal = n_got == n && n_grown == n;
    for (int i = 0; is_equal && i < n; i++)
        is_equal = got[i] == ids[i] && grown[i] == ids[i];
    mem_free(grown);
    return is_equal;
}

static bool is_decoded_as(const struct sentencepiece *s, struct bytes text, const int *ids, int n)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    CHECK(sentencepiece_decode(s, &out, ids, n) == OK);
    bool is_equal = bytes_equal(buf_view(&out), text);
    buf_fini(&out);
    return is_equal;
}

static void check_golden(const char *name, struct sentencepiece *s)
{
    char          path[256], kind;
    static int    ids[IDS_CAP];
    int           n, n_encode = 0, n_decode = 0;
    struct buf    text;
    struct os_map map;

    snprintf(path, sizeof path, FOLDER "%s.cases", name);
    CHECK(os_map_open(&map, path) == OK);
    buf_init(&text, 1 << 20);
    const char *p = (const char *)map.view.p, *end = p + map.view.len;
    for (int line = 1; p < end; line++) {
        p = read_case(&kind, &text, ids, &n, p);
        bool ok = kind == 'e' ? is_encoded_as(s, buf_view(&text), ids, n)
                              : is_decoded_as(s, buf_view(&text), ids, n);
        if (!ok)
            printf("# %s:%d\n", path, line);
        CHECK(ok);
        n_encode += kind == 'e';
        n_decode += kind == 'd';
    }
    printf("# %s: %d strings, %d lists of ids\n", name, n_encode, n_decode);
    CHECK(n_encode >= 40 && n_decode >= 40);
    buf_fini(&text);
    os_map_close(&map);
    sentencepiece_close(&s);
    CHECK(!s);
}

#define GOLDEN(name)                             \
    TEST(sentencepiece_golden_##name)            \
    {                                            \
        check_golden(#name, open_golden(#name)); \
    }

GOLDEN(unigram_plain)
GOLDEN(unigram_bytes)
GOLDEN(unigram_rules)
GOLDEN(unigram_symbols)
GOLDEN(unigram_no_prefix)
GOLDEN(unigram_blanks)
GOLDEN(unigram_blanks_no_prefix)
GOLDEN(unigram_suffix)
GOLDEN(unigram_digits)
GOLDEN(unigram_unused)
GOLDEN(unigram_positive)
GOLDEN(unigram_flat)
GOLDEN(unigram_denormal)
GOLDEN(unigram_raw_blanks)
GOLDEN(bpe_bytes)
GOLDEN(bpe_plain)
GOLDEN(bpe_symbols)
GOLDEN(bpe_unused)
GOLDEN(bpe_ties)
GOLDEN(bpe_gemma)
GOLDEN(char)
GOLDEN(word)

TEST(sentencepiece_golden_tiny_voice)
{
    check_golden("tiny-voice", open_file("models/tiny-voice/tokenizer.model"));
}

/* Models made here. */

static void add_varint(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_add_byte(b, (uint8_t)(v | 0x80));
    buf_add_byte(b, (uint8_t)v);
}

static void add_part(struct buf *b, int number, struct bytes part)
{
    add_varint(b, (uint64_t)number << 3 | 2);
    add_varint(b, part.len);
    buf_add(b, part.p, part.len);
}

static void add_number(struct buf *b, int number, uint64_t v)
{
    add_varint(b, (uint64_t)number << 3);
    add_varint(b, v);
}

static void add_piece(struct buf *b, struct bytes text, float score, int kind)
{
    struct buf piece;
    uint8_t    le[4];
    uint32_t   bits;

    buf_init(&piece, 1 << 20);
    add_part(&piece, 1, text);
    memcpy(&bits, &score, sizeof bits);
    bytes_put_le(le, bits, 4);
    add_varint(&piece, 2 << 3 | 5);
    buf_add(&piece, le, 4);
    add_number(&piece, 3, (uint64_t)kind);
    add_part(b, 1, buf_view(&piece));
    buf_fini(&piece);
}

static void add_word(struct buf *b, const char *text, float score, int kind)
{
    add_piece(b, bytes_str(text), score, kind);
}

static void add_flags(struct buf *b, int part, const int *pairs, int n_pair)
{
    struct buf flags;

    buf_init(&flags, 1024);
    for (int i = 0; i < n_pair; i++)
        add_number(&flags, pairs[2 * i], (uint64_t)pairs[2 * i + 1]);
    add_part(b, part, buf_view(&flags));
    buf_fini(&flags);
}

/* <unk> 0, </s> 1, bytes 2 .. 257, then "a" 258, U+2581 259, U+2581"hi" 260. */
static struct buf byte_model(void)
{
    struct buf b;
    char       name[8];

    buf_init(&b, 1 << 20);
    add_word(&b, "<unk>", 0, 2);
    add_word(&b, "</s>", 0, 3);
    for (int i = 0; i < 256; i++) {
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);
        add_word(&b, name, 0, 6);
    }
    add_word(&b, "a", -1, 1);
    add_word(&b, "\xE2\x96\x81", -2, 1);
    add_word(&b, "\xE2\x96\x81hi", -1, 1);
    add_flags(&b, 2, (int[]){ 3, 1, 35, 1 }, 2);
    return b;
}

static struct sentencepiece *open_bytes(struct buf *b)
{
    struct sentencepiece *s = NULL;

    CHECK(buf_err(b) == OK);
    CHECK(sentencepiece_open(&s, buf_view(b), "made here") == OK);
    buf_fini(b);
    return s;
}

static const char *step(struct sentencepiece_stream *st, int id)
{
    static char out[SENTENCEPIECE_STREAM_MAX + 1];
    size_t      n = sentencepiece_stream_step(st, id, out);

    out[n] = 0;
    return out;
}

#define BYTE(v) (2 + (v))

TEST(sentencepiece_stream_prints_blanks_and_control_pieces)
{
    struct buf                  b = byte_model();
    struct sentencepiece       *s = open_bytes(&b);
    struct sentencepiece_stream st;

    sentencepiece_stream_init(&st, s);
    CHECK_STR(step(&st, 260), " hi");
    CHECK_STR(step(&st, 258), "a");
    CHECK_STR(step(&st, 1), "</s>");
    CHECK_STR(step(&st, 0), "<unk>");
    CHECK_STR(step(&st, 261), "");
    CHECK_STR(step(&st, INT32_MAX), "");
    CHECK_STR(step(&st, -1), "");
    sentencepiece_close(&s);
}

TEST(sentencepiece_stream_holds_a_split_character_back)
{
    struct buf                  b = byte_model();
    struct sentencepiece       *s = open_bytes(&b);
    struct sentencepiece_stream st;

    sentencepiece_stream_init(&st, s);
    mem_forbid(true);
    CHECK_STR(step(&st, BYTE(0xF0)), "");
    CHECK_STR(step(&st, BYTE(0x9F)), "");
    CHECK_STR(step(&st, BYTE(0x98)), "");
    CHECK_STR(step(&st, BYTE(0x80)), "\xF0\x9F\x98\x80");
    CHECK_STR(step(&st, BYTE('x')), "x");
    mem_forbid(false);
    sentencepiece_close(&s);
}

TEST(sentencepiece_stream_replaces_what_cannot_become_a_character)
{
    struct buf                  b = byte_model();
    struct sentencepiece       *s = open_bytes(&b);
    struct sentencepiece_stream st;

    sentencepiece_stream_init(&st, s);
    CHECK_STR(step(&st, BYTE(0xC3)), "");
    CHECK_STR(step(&st, 260), UTF8_BAD " hi"); /* a word cuts it off */
    CHECK_STR(step(&st, BYTE(0xE2)), "");
    CHECK_STR(step(&st, BYTE(0x82)), "");
    CHECK_STR(step(&st, BYTE(0xC3)), UTF8_BAD UTF8_BAD); /* another one begins */
    CHECK_STR(step(&st, BYTE(0xA9)), "\xC3\xA9");
    CHECK_STR(step(&st, BYTE(0xFF)), UTF8_BAD);
    CHECK_STR(step(&st, BYTE(0xED)), "");
    CHECK_STR(step(&st, BYTE(0xA0)), UTF8_BAD UTF8_BAD); /* a surrogate */
    CHECK_STR(step(&st, BYTE(0xF0)), "");
    CHECK_STR(step(&st, BYTE(0x9F)), "");
    CHECK_STR(step(&st, -1), ""); /* no id at all leaves them waiting */
    CHECK_STR(step(&st, 258), UTF8_BAD UTF8_BAD "a");
    sentencepiece_close(&s);
}

/* Whatever comes, the stream says what decode says of the same bytes. */
TEST(sentencepiece_stream_of_bytes_equals_decode)
{
    struct buf                  b = byte_model(), out, got;
    struct sentencepiece       *s = open_bytes(&b);
    struct sentencepiece_stream st;
    const uint8_t               pool[] = { 0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x98, 0x80,
                                           0xED, 0xA0, 0xF4, 0x90, 0xFF, 0xC0, 'a',  0xBF, 0xE0 };
    uint32_t                    rnd = 1;
    int                         ids[13] = { [12] = 258 }; /* a word: nothing is held after it */

    buf_init(&out, 4096);
    buf_init(&got, 4096);
    sentencepiece_stream_init(&st, s);
    for (int round = 0; round < 20000; round++) {
        buf_clear(&out);
        buf_clear(&got);
        for (int i = 0; i < 13; i++) {
            rnd = rnd * 1664525u + 1013904223u;
            if (i < 12)
                ids[i] = BYTE(pool[(rnd >> 16) % sizeof pool]);
            const char *text = step(&st, ids[i]);
            CHECK(utf8_is_valid(bytes_str(text)));
            buf_add_str(&got, text);
        }
        CHECK(sentencepiece_decode(s, &out, ids, 13) == OK);
        CHECK(bytes_equal(buf_view(&out), buf_view(&got)));
    }
    buf_fini(&out);
    buf_fini(&got);
    sentencepiece_close(&s);
}

TEST(sentencepiece_answers_about_pieces)
{
    struct buf            b = byte_model();
    struct sentencepiece *s = open_bytes(&b);

    CHECK_INT(sentencepiece_count(s), 261);
    CHECK(bytes_equal(sentencepiece_piece(s, 260), bytes_str("\xE2\x96\x81hi")));
    CHECK(sentencepiece_piece(s, -1).len == 0);
    CHECK(sentencepiece_piece(s, 261).len == 0);
    sentencepiece_close(&s);
}

TEST(sentencepiece_decode_refuses_an_id_that_is_not_there)
{
    struct buf            b = byte_model(), out;
    struct sentencepiece *s = open_bytes(&b);

    buf_init(&out, 4096);
    CHECK(sentencepiece_decode(s, &out, (int[]){ 258, 261 }, 2) == ERR_USAGE);
    CHECK(strstr(err_text(ERR_USAGE), "261"));
    CHECK(sentencepiece_decode(s, &out, (int[]){ -1 }, 1) == ERR_USAGE);
    CHECK(out.len == 0);
    buf_fini(&out);
    sentencepiece_close(&s);
}

TEST(sentencepiece_encode_says_when_the_room_is_too_small)
{
    struct buf            b = byte_model();
    struct sentencepiece *s = open_bytes(&b);
    int                   ids[3], n;

    CHECK(sentencepiece_encode(s, ids, &n, 3, bytes_str("aa")) == OK);
    CHECK_INT(n, 3);
    CHECK(sentencepiece_encode(s, ids, &n, 3, bytes_str("aaa")) == ERR_LIMIT);
    sentencepiece_close(&s);
}

TEST(sentencepiece_encodes_a_megabyte_of_one_letter)
{
    struct sentencepiece *s = open_golden("bpe_bytes");
    const size_t          len = 1 << 20;
    char                 *text = mem_alloc(len);
    int                  *ids, n;
    struct buf            out;

    memset(text, 'o', len);
    buf_init(&out, 2 << 20);
    CHECK(sentencepiece_encode_new(s, &ids, &n, bytes_of(text, len)) == OK);
    CHECK(sentencepiece_decode(s, &out, ids, n) == OK);
    CHECK(bytes_equal(buf_view(&out), bytes_of(text, len)));
    mem_free(ids);
    mem_free(text);
    buf_fini(&out);
    sentencepiece_close(&s);
}

static enum err open_and_close(struct bytes model)
{
    struct sentencepiece *s = NULL;
    enum err              err = sentencepiece_open(&s, model, "made here");

    CHECK(err ? !s : s != NULL);
    sentencepiece_close(&s);
    return err;
}

static void check_refused(struct buf *b, const char *why)
{
    CHECK(buf_err(b) == OK);
    CHECK(open_and_close(buf_view(b)) == ERR_FORMAT);
    if (!strstr(err_text(ERR_FORMAT), why))
        printf("# got: %s\n", err_text(ERR_FORMAT));
    CHECK(strstr(err_text(ERR_FORMAT), why));
    CHECK(strstr(err_text(ERR_FORMAT), "made here"));
    buf_fini(b);
}

TEST(sentencepiece_refuses_pieces_that_contradict_each_other)
{
    struct buf b;

    buf_init(&b, 1 << 20);
    check_refused(&b, "not a SentencePiece model");
    add_word(&b, "<unk>", 0, 2);
    add_word(&b, "a", 0, 1);
    check_refused(&b, "trainer's part is missing");
    add_word(&b, "a", 0, 1);
    add_flags(&b, 2, (int[]){ 3, 1 }, 1);
    check_refused(&b, "no unknown piece");
    add_word(&b, "<unk>", 0, 2);
    add_word(&b, "<unk2>", 0, 2);
    check_refused(&b, "both the unknown piece");
    add_word(&b, "<unk>", 0, 2);
    add_flags(&b, 2, (int[]){ 3, 1 }, 1);
    check_refused(&b, "no piece to cut");
    add_word(&b, "<unk>", 0, 2);
    add_word(&b, "a", 0, 1);
    add_word(&b, "a", 0, 4);
    add_flags(&b, 2, (int[]){ 3, 1 }, 1);
    check_refused(&b, "piece 2 is there twice");
    add_word(&b, "", 0, 1);
    check_refused(&b, "piece 0 has 0 bytes");
    add_word(&b, "\xFF", 0, 1);
    check_refused(&b, "not UTF-8");
    add_word(&b, "a", 0, 7);
    check_refused(&b, "piece type 7");
    add_word(&b, "a", 1e30f * 1e30f, 1);
    check_refused(&b, "score");
    add_word(&b, "<0x41>", 0, 6);
    check_refused(&b, "byte_fallback is off");
    add_word(&b, "<unk>", 0, 2);
    add_word(&b, "a", 0, 1);
    add_word(&b, "<0x41>", 0, 6);
    add_flags(&b, 2, (int[]){ 35, 1 }, 1);
    check_refused(&b, "<0x00> is missing");
    add_word(&b, "<0xzz>", 0, 6);
    add_flags(&b, 2, (int[]){ 35, 1 }, 1);
    check_refused(&b, "not written");
    add_word(&b, "a", 0, 1);
    add_flags(&b, 2, (int[]){ 3, 9 }, 1);
    check_refused(&b, "model type 9");
}

TEST(sentencepiece_refuses_a_piece_above_its_limit)
{
    struct buf b;
    char       text[SENTENCEPIECE_PIECE_MAX + 1];

    memset(text, 'x', sizeof text);
    buf_init(&b, 1 << 20);
    add_piece(&b, bytes_of(text, sizeof text), 0, 1);
    check_refused(&b, "1025 bytes");
}

/* <unk> and "a", with a normaliser table of n_unit units and the given replacements. */
static struct buf rules_model(const uint32_t *unit, uint32_t n_unit, const char *words, size_t len)
{
    struct buf b, map, spec;
    uint8_t    le[4];

    buf_init(&b, 1 << 20);
    buf_init(&map, 1 << 20);
    buf_init(&spec, 1 << 20);
    add_word(&b, "<unk>", 0, 2);
    add_word(&b, "a", 0, 1);
    add_flags(&b, 2, (int[]){ 3, 1 }, 1);
    bytes_put_le(le, n_unit * 4, 4);
    buf_add(&map, le, 4);
    for (uint32_t i = 0; i < n_unit; i++) {
        bytes_put_le(le, unit[i], 4);
        buf_add(&map, le, 4);
    }
    buf_add(&map, words, len);
    add_part(&spec, 2, buf_view(&map));
    add_part(&b, 3, buf_view(&spec));
    buf_fini(&map);
    buf_fini(&spec);
    return b;
}

#define UNIT(label, offset)       ((uint32_t)(offset) << 10 | (uint32_t)(label))
#define UNIT_VALUE(label, offset) (UNIT(label, offset) | 1u << 8)
#define VALUE(v)                  ((uint32_t)(v) | 1u << 31)

/* One rule: b becomes the first word. The root's children lie at 1 ^ label, b's value at
 * (1 ^ 'b') ^ 1 = 'b'; a unit that is not used is nobody's child. */
static void make_rule(uint32_t unit[128])
{
    for (int i = 0; i < 128; i++)
        unit[i] = VALUE(0);
    unit[0] = UNIT(0, 1);
    unit[1 ^ 'b'] = UNIT_VALUE('b', 1);
}

TEST(sentencepiece_rules_rewrite_by_the_table)
{
    uint32_t unit[128];
    int      ids[8], n;

    make_rule(unit);
    struct buf            b = rules_model(unit, 128, "aa", 3);
    struct sentencepiece *s = open_bytes(&b);
    CHECK(sentencepiece_encode(s, ids, &n, 8, bytes_str("b")) == OK);
    CHECK_INT(n, 3); /* U+2581 is unknown here */
    CHECK(ids[0] == 0 && ids[1] == 1 && ids[2] == 1);
    sentencepiece_close(&s);
}

TEST(sentencepiece_refuses_a_broken_table)
{
    uint32_t   unit[128];
    struct buf b;

    make_rule(unit);
    unit['b'] = VALUE(3);
    b = rules_model(unit, 128, "aa", 3);
    check_refused(&b, "replacement lies outside");
    unit['b'] = VALUE(0);
    b = rules_model(unit, 128, "aa", 2);
    check_refused(&b, "no end");
    unit[1 ^ 'b'] = UNIT_VALUE('b', 1 << 20);
    b = rules_model(unit, 128, "aa", 3);
    check_refused(&b, "value lies outside");
    unit[1 ^ 'b'] = UNIT('b', ('b' ^ 1) ^ 1); /* after b comes what comes at the root: b */
    b = rules_model(unit, 128, "aa", 3);
    check_refused(&b, "circle");
    b = rules_model(unit, 0, "aa", 3);
    check_refused(&b, "cut or misaligned");
    b = rules_model(unit, 128, "", 0);
    check_refused(&b, "cut or misaligned");
}

TEST(sentencepiece_survives_every_cut_and_every_wrong_byte)
{
    struct os_map map;
    int           n_open = 0;

    CHECK(os_map_open(&map, FOLDER "unigram_rules.model") == OK);
    uint8_t *copy = mem_alloc(map.view.len);
    memcpy(copy, map.view.p, map.view.len);
    for (size_t len = 0; len < map.view.len; len++) {
        enum err err = open_and_close(bytes_of(copy, len));
        CHECK(err == OK || err == ERR_FORMAT);
        n_open += err == OK;
    }
    /* Whole only where the normaliser, the last part, is missing as a whole. */
    printf("# %d of %zu cuts still make a model\n", n_open, map.view.len);
    CHECK(n_open <= 3);
    for (size_t i = 0; i < map.view.len; i++) {
        copy[i] ^= (uint8_t)(1 + i % 255);
        enum err err = open_and_close(bytes_of(copy, map.view.len));
        CHECK(err == OK || err == ERR_FORMAT);
        copy[i] = map.view.p[i];
    }
    mem_free(copy);
    os_map_close(&map);
}

static enum err use_all(struct bytes model)
{
    struct sentencepiece *s = NULL;
    struct buf            out;
    int                  *ids = NULL, n = 0;
    enum err              err = sentencepiece_open(&s, model, "made here");

    if (err)
        return err;
    buf_init(&out, 4096);
    err = sentencepiece_encode_new(s, &ids, &n, bytes_str("hello abab there"));
    if (!err)
        err = sentencepiece_decode(s, &out, ids, n);
    mem_free(ids);
    buf_fini(&out);
    sentencepiece_close(&s);
    return err;
}

static void check_out_of_memory(const char *path)
{
    struct os_map map;

    CHECK(os_map_open(&map, path) == OK);
    CHECK_OOM(use_all(map.view));
    os_map_close(&map);
}

TEST(sentencepiece_survives_out_of_memory)
{
    check_out_of_memory(FOLDER "unigram_rules.model");
    check_out_of_memory(FOLDER "unigram_denormal.model");
    check_out_of_memory(FOLDER "bpe_unused.model");
}
