/* SPDX-License-Identifier: MIT */
#include "text/sentencepiece_index.h"

#include <stdlib.h>

#include "base/mem.h"

static int compare(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int    d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : (a.len > b.len) - (a.len < b.len);
}

static int compare_keys(const void *a, const void *b)
{
    const struct sentencepiece_key *x = a, *y = b;
    int                             d = compare(x->text, y->text);
    return d ? d : (x->id > y->id) - (x->id < y->id);
}

enum err sentencepiece_index_open(struct sentencepiece_index *x, int n_cap)
{
    *x = (struct sentencepiece_index){ 0 };
    x->key = mem_alloc(mem_size((size_t)n_cap + 1, sizeof *x->key));
    return x->key ? OK : ERR_NOMEM;
}

void sentencepiece_index_close(struct sentencepiece_index *x)
{
    mem_free(x->key);
    *x = (struct sentencepiece_index){ 0 };
}

void sentencepiece_index_add(struct sentencepiece_index *x, struct bytes text, int id)
{
    must(text.len > 0);
    x->key[x->n_key++] = (struct sentencepiece_key){ text, id };
}

int sentencepiece_index_finish(struct sentencepiece_index *x)
{
    int twice = -1;

    qsort(x->key, (size_t)x->n_key, sizeof *x->key, compare_keys);
    for (int i = 1; i < x->n_key && twice < 0; i++)
        if (bytes_equal(x->key[i - 1].text, x->key[i].text))
            twice = x->key[i].id;
    for (int c = 0, i = 0; c <= 256; c++) {
        while (i < x->n_key && x->key[i].text.p[0] < c)
            i++;
        x->first[c] = i;
    }
    return twice;
}

int sentencepiece_index_find(const struct sentencepiece_index *x, struct bytes text)
{
    if (text.len == 0)
        return -1;
    int lo = x->first[text.p[0]], hi = x->first[text.p[0] + 1];
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        int d = compare(x->key[mid].text, text);
        if (d == 0)
            return x->key[mid].id;
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

/* The first of the keys lo .. hi-1 whose byte at depth is c or more; one that ends there is less
 * than any byte. */
static int find_byte(const struct sentencepiece_index *x, int lo, int hi, int depth, int c)
{
    while (lo < hi) {
        int          mid = lo + (hi - lo) / 2;
        struct bytes t = x->key[mid].text;
        if (t.len <= (size_t)depth || t.p[depth] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool sentencepiece_index_step(int *id, const struct sentencepiece_index *x,
                              struct sentencepiece_walk *w, uint8_t c)
{
    if (w->depth == 0) {
        w->lo = x->first[c];
        w->hi = x->first[c + 1];
    } else {
        w->lo = find_byte(x, w->lo, w->hi, w->depth, c);
        w->hi = find_byte(x, w->lo, w->hi, w->depth, c + 1);
    }
    w->depth++;
    if (w->lo >= w->hi)
        return false;
    const struct sentencepiece_key *k = &x->key[w->lo];
    *id = k->text.len == (size_t)w->depth ? k->id : -1;
    return true;
}

size_t sentencepiece_index_longest(const struct sentencepiece_index *x, struct bytes text)
{
    struct sentencepiece_walk w = { 0 };
    size_t                    longest = 0;

    for (size_t i = 0; i < text.len; i++) {
        int id;
        if (!sentencepiece_index_step(&id, x, &w, text.p[i]))
            break;
        if (id >= 0)
            longest = i + 1;
    }
    return longest;
}
