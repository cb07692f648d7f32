/* SPDX-License-Identifier: MIT */
/* Hostile tokenizer files, and hostile text through a good one. Seeds: tests/golden/tokenizer. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/utf8.h"
#include "text/sentencepiece.h"

#define TEXT_LEN 256 /* a model's first bytes as text: more only makes the round slower */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static const char *const good_files[] = { "tests/golden/tokenizer/unigram_rules.model",
                                          "tests/golden/tokenizer/bpe_unused.model" };

/* Ids there and back, whole and piece by piece: the stream never gives half a character. */
static void use(const struct sentencepiece *s, struct bytes text)
{
    struct sentencepiece_stream st;
    struct buf                  whole;
    static char                 out[SENTENCEPIECE_STREAM_MAX];
    int                        *ids, n;

    if (sentencepiece_encode_new(s, &ids, &n, text) != OK)
        return;
    buf_init(&whole, 16 << 20);
    must(sentencepiece_decode(s, &whole, ids, n) != ERR_USAGE);
    sentencepiece_stream_init(&st, s);
    for (int i = 0; i < n; i++) {
        size_t len = sentencepiece_stream_step(&st, ids[i], out);
        must(len <= SENTENCEPIECE_STREAM_MAX);
        must(utf8_is_valid(bytes_of(out, len)));
        must(st.n_held < (int)sizeof st.held);
    }
    buf_fini(&whole);
    mem_free(ids);
}

static void use_every_id(const struct sentencepiece *s)
{
    struct sentencepiece_stream st;
    static char                 out[SENTENCEPIECE_STREAM_MAX];

    sentencepiece_stream_init(&st, s);
    for (int id = -1; id <= sentencepiece_count(s); id++)
        must(utf8_is_valid(bytes_of(out, sentencepiece_stream_step(&st, id, out))));
}

static struct sentencepiece *open_good(const char *path)
{
    struct sentencepiece *s;
    struct os_map         map;

    must(os_map_open(&map, path) == OK);
    must(sentencepiece_open(&s, map.view, path) == OK);
    os_map_close(&map);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    static struct sentencepiece *good[2];
    struct sentencepiece        *s;
    struct bytes                 text = bytes_of(p, len < TEXT_LEN ? len : TEXT_LEN);

    for (int i = 0; i < 2; i++) {
        if (!good[i])
            good[i] = open_good(good_files[i]);
        use(good[i], text);
    }
    if (sentencepiece_open(&s, bytes_of(p, len), "fuzz") != OK)
        return 0;
    use(s, bytes_str("hello there  \xE2\x96\x81 \xC3\xA9 abab \xFF 3.14\t\xF0\x9F\x98\x80"));
    use(s, text);
    use_every_id(s);
    sentencepiece_close(&s);
    return 0;
}
