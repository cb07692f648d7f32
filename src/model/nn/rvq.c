/* SPDX-License-Identifier: MIT */
#include "model/nn/rvq.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/float_bits.h"

/* A search is cut into pieces of this many rows, whatever the number of threads: 256 KB each. */
enum { SLICE = 256, MAX_SLICE = 256 };

/* Loading. */

/* The name of a codebook's tensor: today's, or that of an older file where the file has it. */
static const char *book_name(const struct weights *w, const char *book, const char *name,
                             const char *old, const char *older)
{
    if (weights_has(w, "%s.%s", book, old))
        return old;
    return older && weights_has(w, "%s.%s", book, older) ? older : name;
}

/* sum / max(usage, 1e-5), row by row: what the file holds are running sums. */
static void divide(float *row, const float *sum, const float *usage, const struct rvq_shape *s)
{
    for (int i = 0; i < s->n_bin; i++) {
        float n = usage[i] < 1e-5f ? 1e-5f : usage[i];
        for (int j = 0; j < s->dim; j++)
            *row++ = *sum++ / n;
    }
}

/* A codebook beyond those in use is checked and left in the file. */
static void load_table(struct weight *table, struct weights *w, const struct rvq_shape *s,
                       const char *book, bool is_used)
{
    const char *usage_name = book_name(w, book, "cluster_usage", "cluster_size", NULL);
    const char *sum_name = book_name(w, book, "embedding_sum", "embed_sum", "embed_avg");
    const char *flag = book_name(w, book, "_initialized", "initialized", "inited");
    size_t      size = mem_size((size_t)s->n_bin, (size_t)s->dim * sizeof(float));

    *table = (struct weight){ .dtype = DT_F32, .n_out = s->n_bin, .n_in = s->dim };
    weights_skip(w, "%s.%s", book, flag);
    void *to = is_used ? weights_room(w, table, size, book) : NULL; /* none in the rehearsal */
    if (!to && !weights_is_rehearsal(w)) {
        weights_skip(w, "%s.%s", book, usage_name);
        weights_skip(w, "%s.%s", book, sum_name);
        return;
    }
    weights_scratch(w, true);
    const float *usage = weights_vector(w, s->n_bin, "%s.%s", book, usage_name);
    const float *sum = weights_floats(w, s->n_bin, s->dim, 0, "%s.%s", book, sum_name);
    if (usage && sum) {
        divide(to, sum, usage, s);
        weights_made(w, table, to, book);
    }
    weights_scratch(w, false);
}

/* -|e|^2 / 2 of each row e. */
static void half_squares(float *out, const struct weight *table, enum dtype rounded)
{
    const float *e = table->data;

    for (int i = 0; i < table->n_out; i++, e += table->n_in) {
        double sum = 0;
        for (int k = 0; k < table->n_in; k++) {
            float v = rounded == DT_BF16 ? bf16_float(bf16_of_float(e[k])) : e[k];
            sum += (double)v * v;
        }
        out[i] = (float)(-sum / 2);
    }
}

/* The rows as the search will see them: distances to what is rounded are compared fairly. */
static void load_score(struct conv *score, const struct source *from, const struct weight *table,
                       const char *book)
{
    struct weight bias = { .dtype = DT_F32, .n_out = table->n_out, .n_in = 1 };
    char          key[160];

    conv_layer_of_matrix(score, from, table, book);
    snprintf(key, sizeof key, "%s/half-squares", book);
    void *to = weights_room(from->w, &bias, (size_t)bias.n_out * sizeof(float), key);
    if (to) {
        half_squares(to, table, score->w.dtype);
        weights_made(from->w, &bias, to, key);
    }
    score->bias = bias.data;
}

/* How many levels of a half are used and searched. */
struct wanted {
    int n_used, n_search;
};

static void load_half(struct rvq_half *h, const struct source *from, const struct rvq_shape *s,
                      struct wanted n, const char *name)
{
    const char *layers = from->is_hf ? "%s.layers.%d.codebook" : "%s.vq.layers.%d._codebook";
    char        book[128];

    if (!from->is_hf || s->dim != s->d_latent) { /* transformers has none of equal widths */
        conv_layer_linear(&h->in, from, s->dim, s->d_latent, name, "input_proj");
        conv_layer_linear(&h->out, from, s->d_latent, s->dim, name, "output_proj");
    }
    if (!h->table)
        h->table = source_take(from, (size_t)h->n_level, sizeof *h->table);
    if (!h->score)
        h->score = source_take(from, (size_t)h->n_level, sizeof *h->score);
    for (int i = 0; h->table && h->score && i < h->n_level; i++) {
        snprintf(book, sizeof book, layers, name, i);
        load_table(&h->table[i], from->w, s, book, i < n.n_used);
        if (i < n.n_search && !be_is_exact(from->be))
            load_score(&h->score[i], from, &h->table[i], book);
    }
}

void rvq_load(struct rvq *q, const struct source *from, const struct rvq_shape *s, int n_level,
              int n_search)
{
    struct wanted first = { n_level, n_search };
    struct wanted rest = { n_level - s->n_semantic, n_search - s->n_semantic };

    q->shape = *s;
    q->first.n_level = s->n_semantic;
    q->rest.n_level = s->n_q - s->n_semantic;
    load_half(&q->first, from, s, first,
              from->is_hf ? "quantizer.semantic_residual_vector_quantizer" : "quantizer.rvq_first");
    load_half(&q->rest, from, s, rest,
              from->is_hf ? "quantizer.acoustic_residual_vector_quantizer" : "quantizer.rvq_rest");
}

/* Encoding. */

/* One level of all lanes: the nearest row in each slice of the table, then the nearest of those. */
struct search {
    const float *table;
    int          n_bin, dim, n_slice;
    const float *x;   /* [n_lane, dim] */
    int         *row; /* [n_lane, n_slice] */
};

static void search_slice(void *arg, int i)
{
    struct search *s = arg;
    int            slice = i % s->n_slice, lane = i / s->n_slice;
    int            from = (int)((int64_t)s->n_bin * slice / s->n_slice);
    int            to = (int)((int64_t)s->n_bin * (slice + 1) / s->n_slice);

    s->row[i] = from + kern.nearest_f32(s->x + (size_t)lane * (size_t)s->dim,
                                        s->table + (size_t)from * (size_t)s->dim, to - from,
                                        s->dim);
}

static double distance(const float *x, const float *y, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        double d = (double)x[i] - y[i];
        sum += d * d;
    }
    return sum;
}

static int nearest_of(const struct search *s, int lane)
{
    const int   *row = s->row + (size_t)lane * (size_t)s->n_slice;
    const float *x = s->x + (size_t)lane * (size_t)s->dim;
    double       best = DBL_MAX;
    int          at = row[0];

    for (int i = 0; i < s->n_slice && s->n_slice > 1; i++) {
        double d = distance(x, s->table + (size_t)row[i] * (size_t)s->dim, s->dim);
        if (d < best) {
            best = d;
            at = row[i];
        }
    }
    return at;
}

/* One level by scores; y [n_lane, n_bin] is for them. */
static void find_fast(struct be *be, const struct conv *score, int *found, const struct tensor *x,
                      struct tensor *y)
{
    op_conv(be, &(struct conv_out){ .y = y }, x, score, NULL);
    for (int a = 0; a < x->n_row && a < y->n_row; a++)
        found[a] = kern.argmax_f32(y->p + (size_t)a * (size_t)y->n_col, y->n_col);
}

/* One level by exact distances: what the reference's ties ask for. */
static void find_exact(struct be *be, struct search *s, int *found, int n_lane)
{
    be_parallel(be, search_slice, s, n_lane * s->n_slice);
    for (int a = 0; a < n_lane; a++)
        found[a] = nearest_of(s, a);
}

/* Codes of one half into codes[a][at .. at+n-1]. */
static void encode_half(struct be *be, const struct rvq_shape *shape, const struct rvq_half *h,
                        const struct tensor *latent, int32_t *const *codes, int at, int n)
{
    int            n_lane = latent->n_row;
    struct tensor *r = be_scratch(be, n_lane, shape->dim);
    struct tensor *y = be_is_exact(be) ? r : be_scratch(be, n_lane, shape->n_bin);
    struct search  s = { .n_bin = shape->n_bin, .dim = shape->dim, .x = r->p };

    s.n_slice = (shape->n_bin + SLICE - 1) / SLICE;
    s.n_slice = s.n_slice < MAX_SLICE ? s.n_slice : MAX_SLICE;
    s.row = be_scratch_bytes(be, (size_t)n_lane * (size_t)s.n_slice * sizeof *s.row);
    int *found = be_scratch_bytes(be, (size_t)n_lane * sizeof *found);
    if (h->in.n_out)
        op_conv(be, &(struct conv_out){ .y = r }, latent, &h->in, NULL);
    else if (!be_has_failed(be))
        memcpy(r->p, latent->p, (size_t)n_lane * (size_t)shape->dim * sizeof *r->p);
    for (int level = 0; level < n && !be_has_failed(be); level++) {
        s.table = h->table[level].data;
        if (y != r)
            find_fast(be, &h->score[level], found, r, y);
        else
            find_exact(be, &s, found, n_lane);
        for (int a = 0; a < n_lane; a++) {
            codes[a][at + level] = found[a];
            kern.axpy_f32(r->p + (size_t)a * (size_t)s.dim, -1,
                          s.table + (size_t)found[a] * (size_t)s.dim, s.dim);
        }
    }
}

void rvq_encode(struct be *be, const struct rvq *q, const struct tensor *latent,
                int32_t *const *codes, int n_q)
{
    int n_first = n_q < q->first.n_level ? n_q : q->first.n_level;

    encode_half(be, &q->shape, &q->first, latent, codes, 0, n_first);
    if (n_q > n_first)
        encode_half(be, &q->shape, &q->rest, latent, codes, n_first, n_q - n_first);
}

/* Decoding. */

static struct tensor *decode_half(struct be *be, const struct rvq_shape *shape,
                                  const struct rvq_half *h, const int32_t *const *codes, int at,
                                  int n)
{
    int            n_lane = be_step(be)->n_lane;
    struct tensor *sum = be_scratch(be, n_lane, shape->dim);
    struct tensor *y = be_scratch(be, n_lane, shape->d_latent);

    for (int level = 0; level < n; level++) {
        int32_t *ids = be_scratch_bytes(be, (size_t)n_lane * sizeof *ids);
        for (int a = 0; a < n_lane && ids; a++)
            ids[a] = codes[a][at + level];
        if (level == 0)
            op_embed(be, sum, &h->table[level], ids);
        else
            op_embed_add(be, sum, &h->table[level], ids);
    }
    if (!h->out.n_out)
        return sum;
    op_conv(be, &(struct conv_out){ .y = y }, sum, &h->out, NULL);
    return y;
}

struct tensor *rvq_decode(struct be *be, const struct rvq *q, const int32_t *const *codes, int n_q)
{
    int            n_first = n_q < q->first.n_level ? n_q : q->first.n_level;
    struct tensor *y = decode_half(be, &q->shape, &q->first, codes, 0, n_first);

    if (n_q > n_first)
        op_add(be, y, decode_half(be, &q->shape, &q->rest, codes, n_first, n_q - n_first));
    return y;
}
