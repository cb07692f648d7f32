/* SPDX-License-Identifier: MIT */
#include "model/nn/rvq.h"

#include <float.h>
#include <stdio.h>

#include "base/mem.h"

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
static void divide(float *sum, const float *usage, const struct rvq_shape *s)
{
    for (int i = 0; i < s->n_bin; i++) {
        float n = usage[i] < 1e-5f ? 1e-5f : usage[i];
        for (int j = 0; j < s->dim; j++)
            sum[(size_t)i * (size_t)s->dim + (size_t)j] /= n;
    }
}

/* A codebook beyond those in use is checked and left in the file. */
static void load_table(struct weight *table, struct weights *w, const struct rvq_shape *s,
                       const char *book, bool is_used)
{
    const char *usage_name = book_name(w, book, "cluster_usage", "cluster_size", NULL);
    const char *sum_name = book_name(w, book, "embedding_sum", "embed_sum", "embed_avg");
    const char *flag = book_name(w, book, "_initialized", "initialized", "inited");

    *table = (struct weight){ .dtype = DT_F32, .n_out = s->n_bin, .n_in = s->dim };
    weights_skip(w, "%s.%s", book, flag);
    if (!is_used && !weights_is_rehearsal(w)) {
        weights_skip(w, "%s.%s", book, usage_name);
        weights_skip(w, "%s.%s", book, sum_name);
        return;
    }
    const float *usage = weights_vector(w, s->n_bin, "%s.%s", book, usage_name);
    float       *sum = weights_floats(w, s->n_bin, s->dim, 0, "%s.%s", book, sum_name);
    if (usage && sum)
        divide(sum, usage, s);
    table->data = sum;
}

static void load_half(struct rvq_half *h, struct weights *w, struct arena *arena,
                      const struct rvq_shape *s, int n_used, const char *name, bool is_hf)
{
    char book[128];

    weights_matrix(w, &h->in, s->dim, s->d_latent, "%s.input_proj.weight", name);
    weights_matrix(w, &h->out, s->d_latent, s->dim, "%s.output_proj.weight", name);
    if (!h->table)
        h->table = arena_take(arena, (size_t)h->n_level * sizeof *h->table);
    if (!h->table) {
        weights_fail(w, err_set(ERR_NOMEM, "%s: out of memory", weights_path(w)));
        return;
    }
    for (int i = 0; i < h->n_level; i++) {
        snprintf(book, sizeof book, is_hf ? "%s.layers.%d.codebook" : "%s.vq.layers.%d._codebook",
                 name, i);
        load_table(&h->table[i], w, s, book, i < n_used);
    }
}

void rvq_load(struct rvq *q, struct weights *w, struct arena *arena, const struct rvq_shape *s,
              int n_level, bool is_hf)
{
    q->shape = *s;
    q->first.n_level = s->n_semantic;
    q->rest.n_level = s->n_q - s->n_semantic;
    load_half(&q->first, w, arena, s, n_level,
              is_hf ? "quantizer.semantic_residual_vector_quantizer" : "quantizer.rvq_first",
              is_hf);
    load_half(&q->rest, w, arena, s, n_level - s->n_semantic,
              is_hf ? "quantizer.acoustic_residual_vector_quantizer" : "quantizer.rvq_rest", is_hf);
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

/* Codes of one half into codes[a][0 .. n-1]. */
static void encode_half(struct be *be, const struct rvq_shape *shape, const struct rvq_half *h,
                        const struct tensor *latent, int32_t *const *codes, int at, int n)
{
    struct tensor *r = be_scratch(be, latent->n_row, shape->dim);
    struct search  s = { .n_bin = shape->n_bin, .dim = shape->dim, .x = r->p };

    s.n_slice = (shape->n_bin + SLICE - 1) / SLICE;
    s.n_slice = s.n_slice < MAX_SLICE ? s.n_slice : MAX_SLICE;
    s.row = be_scratch_bytes(be, (size_t)latent->n_row * (size_t)s.n_slice * sizeof *s.row);
    /* After a failure both are the same dummy, and what lies there is no row of a table. */
    bool is_dummy = !s.row || (void *)s.row == (void *)r->p;
    op_linear(be, r, latent, &h->in);
    for (int level = 0; level < n && !is_dummy; level++) {
        s.table = h->table[level].data;
        be_parallel(be, search_slice, &s, r->n_row * s.n_slice);
        for (int a = 0; a < r->n_row; a++) {
            int code = nearest_of(&s, a);
            codes[a][at + level] = code;
            kern.axpy_f32(r->p + (size_t)a * (size_t)s.dim, -1,
                          s.table + (size_t)code * (size_t)s.dim, s.dim);
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
    op_linear(be, y, sum, &h->out);
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
