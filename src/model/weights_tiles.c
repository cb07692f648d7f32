/* SPDX-License-Identifier: MIT */
/* Quantised matrices: MLX triples and PyTorch's int8 rows become tiles (quant.h); --quant makes
 * tiles of float matrices. docs/models/moshi.md, "Weights". */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "kernel/finite.h"
#include "model/weights_impl.h"

enum { BF16_ONE = 0x3f80, BF16_MINUS_128 = 0xc300 };

/* MLX. */

struct triple {
    const struct safetensors_entry *words, *scales, *biases;
    struct quant_shape              s; /* of the part */
};

/* "X.weight" has "X.scales" and "X.biases" beside it. */
static const struct safetensors_entry *beside(struct weights *w, const char *name, const char *what)
{
    char   other[WEIGHTS_NAME_CAP + 16];
    size_t len = strlen(name);

    if (len < 7 || strcmp(name + len - 7, ".weight") != 0) {
        weights_fail_at(w, NULL, name, "is U32, but its name does not end in .weight");
        return NULL;
    }
    snprintf(other, sizeof other, "%.*s.%s", (int)(len - 7), name, what);
    const struct safetensors_entry *e = weights_find(w, other);
    if (!e)
        weights_fail_missing(w, other);
    return e;
}

static bool read_triple(struct weights *w, struct triple *t, const struct weights_part *p,
                        const char *name)
{
    t->words = p->e;
    t->scales = beside(w, name, "scales");
    t->biases = t->scales ? beside(w, name, "biases") : NULL;
    if (!t->biases)
        return false;
    if (t->words->n_dim != 2 || t->scales->n_dim != 2 || t->scales->n[1] < 1) {
        weights_fail_at(w, t->words, name, "and its scales are not matrices");
        return false;
    }
    /* Bits and group follow from the shapes: words hold n_in * bits / 32, scales n_in / group. */
    int64_t bits = t->words->n[1] * 32 / p->n_in, group = p->n_in / t->scales->n[1];
    if ((bits != 4 && bits != 8) || (group != 32 && group != 64)) {
        weights_fail_at(
            w, t->words, name,
            "has %lld words and %lld scales a row: not 4 or 8 bits in groups of 32 or 64 "
            "for %d columns",
            (long long)t->words->n[1], (long long)t->scales->n[1], p->n_in);
        return false;
    }
    t->s = (struct quant_shape){ p->n_out, p->n_in, (int)bits, (int)group };
    if (!weights_has_shape(w, t->words, p->n_total, p->n_in * bits / 32) ||
        !weights_has_shape(w, t->scales, p->n_total, p->n_in / group) ||
        !weights_has_shape(w, t->biases, p->n_total, p->n_in / group))
        return false;
    if (p->n_in % group != 0 || p->n_in * bits % 32 != 0) {
        weights_fail_at(w, t->words, name, "has %d columns, no multiple of its group", p->n_in);
        return false;
    }
    if (!weights_is_float(t->scales->dtype) || t->scales->dtype != t->biases->dtype) {
        weights_fail_at(w, t->scales, t->scales->name, "is %s, its biases are %s",
                        dtype_name(t->scales->dtype), dtype_name(t->biases->dtype));
        return false;
    }
    return true;
}

/* Rows row .. row+n-1 of a matrix as aligned bytes: the file's place may be odd. */
static void copy_rows(void *out, const struct safetensors_entry *e, size_t row, size_t n)
{
    size_t size = (size_t)e->n[1] * dtype_size(e->dtype);

    memcpy(out, (const uint8_t *)e->data + row * size, n * size);
}

/* Where the tiles of a block of rows lie. */
static uint8_t *block_of(void *tiles, struct quant_shape s, int row0)
{
    return (uint8_t *)tiles +
           (size_t)(row0 / QUANT_ROWS) * (size_t)quant_n_tile(s) * quant_tile_size(s.bits, s.group);
}

/* A multiple of 64 bytes for that many. */
static size_t room_for(size_t size)
{
    return (size + 63) / 64 * 64;
}

/* What a matrix is called among all that loading makes: rows of one tensor are several. */
static const char *key_of(char key[WEIGHTS_KEY_CAP], const struct weights_part *p, const char *name)
{
    snprintf(key, WEIGHTS_KEY_CAP, "%s[%d+%d]", name, p->row0, p->n_out);
    return key;
}

/* Rows of a tensor that nobody reads again need not stay in memory. */
static void drop_rows(const struct safetensors_entry *e, const struct weights_part *p)
{
    size_t size = e->size / (size_t)p->n_total;

    os_map_drop((const uint8_t *)e->data + (size_t)p->row0 * size, (size_t)p->n_out * size);
}

struct triple_job {
    const struct triple *t;
    int                  row0; /* of the part */
    void                *tiles;
    atomic_bool          is_broken; /* a scale or bias is no number */
};

/* room holds the words, the scales and the biases of one block. */
static void pack_triple(void *arg, int row0, int row1, void *room)
{
    struct triple_job   *job = arg;
    const struct triple *t = job->t;
    size_t               row = (size_t)(job->row0 + row0), n = (size_t)(row1 - row0);
    uint32_t            *words = room;
    uint16_t            *scales = (uint16_t *)(words + QUANT_ROWS * (size_t)t->words->n[1]);
    uint16_t            *biases = scales + QUANT_ROWS * (size_t)t->scales->n[1];
    size_t               n_scale = n * (size_t)t->scales->n[1];
    struct quant_shape   block = t->s;

    copy_rows(words, t->words, row, n);
    copy_rows(scales, t->scales, row, n);
    copy_rows(biases, t->biases, row, n);
    if (!finite_all(DT_BF16, scales, n_scale) || !finite_all(DT_BF16, biases, n_scale))
        job->is_broken = true;
    block.n_out = (int)n;
    quant_pack_mlx(block_of(job->tiles, t->s, row0), block, words, scales, biases, 0, (int)n);
}

/* Scales that are not bf16 do not fit in tiles: the matrix becomes f32, which keeps every bit. room
 * holds the scales and the biases of a row. */
static void expand_triple(void *arg, int row0, int row1, void *room)
{
    struct triple_job   *job = arg;
    const struct triple *t = job->t;
    size_t               n_word = (size_t)t->words->n[1], n_scale = (size_t)t->scales->n[1];
    size_t               n_in = (size_t)t->s.n_in, row = (size_t)(job->row0 + row0);
    uint32_t             mask = (1u << t->s.bits) - 1;
    int                  per_word = 32 / t->s.bits;
    float               *scale = room, *bias = scale + n_scale;
    float               *out = (float *)job->tiles + (size_t)row0 * n_in;

    for (int r = row0; r < row1; r++, row++) {
        const uint8_t *words = (const uint8_t *)t->words->data + 4 * row * n_word;
        weights_floats_at(scale, t->scales, row * n_scale, n_scale);
        weights_floats_at(bias, t->biases, row * n_scale, n_scale);
        if (!finite_all(DT_F32, scale, 2 * n_scale)) /* the biases lie behind them */
            job->is_broken = true;
        for (int c = 0; c < t->s.n_in; c++) {
            uint32_t word;
            memcpy(&word, words + 4 * (size_t)(c / per_word), 4);
            *out++ = scale[c / t->s.group] * (float)(word >> c % per_word * t->s.bits & mask) +
                     bias[c / t->s.group];
        }
    }
}

/* False and a held failure when blocks were broken; which of the two it was is looked up then. */
static bool is_triple_whole(struct weights *w, const struct triple_job *job)
{
    const struct safetensors_entry *scales = job->t->scales;
    size_t n_scale = (size_t)scales->n[1], from = (size_t)job->row0 * n_scale;

    if (!job->is_broken)
        return true;
    n_scale *= (size_t)job->t->s.n_out;
    return weights_check_finite(w, scales, from, n_scale) &&
           weights_check_finite(w, job->t->biases, from, n_scale);
}

void weights_from_triple(struct weights *w, struct weight *out, const struct weights_part *p,
                         const char *name)
{
    char          key[WEIGHTS_KEY_CAP];
    struct triple t;

    if (!read_triple(w, &t, p, name))
        return;
    bool   is_tiles = t.scales->dtype == DT_BF16;
    size_t n = (size_t)p->n_out * (size_t)p->n_in;
    out->dtype = !is_tiles ? DT_F32 : t.s.bits == 4 ? DT_Q4T : DT_Q8T;
    out->group = is_tiles ? t.s.group : 0;
    void  *data = weights_room(w, out, is_tiles ? quant_size(t.s) : mem_size(n, sizeof(float)),
                               key_of(key, p, name));
    size_t room = room_for(QUANT_ROWS * 4 * (size_t)(t.words->n[1] + t.scales->n[1]));
    struct triple_job job = { .t = &t, .row0 = p->row0, .tiles = data };
    if (!data ||
        !weights_each_block(w, name, p->n_out, room, is_tiles ? pack_triple : expand_triple,
                            &job) ||
        !is_triple_whole(w, &job))
        return;
    drop_rows(t.words, p);
    weights_made(w, out, data, key);
}

/* PyTorch int8. */

struct int8_job {
    struct quant_shape s;
    const int8_t      *rows;
    void              *tiles;
};

/* Rows of int8 are an affine code too: scale 1, bias -128, q = w + 128; every number is exact. */
static void pack_int8(void *arg, int row0, int row1, void *room)
{
    const struct int8_job *job = arg;
    size_t                 n_in = (size_t)job->s.n_in, n_scale = n_in / (size_t)job->s.group;
    uint8_t               *words = room;
    uint16_t              *scales = (uint16_t *)(words + QUANT_ROWS * n_in);
    uint16_t              *biases = scales + QUANT_ROWS * n_scale;
    struct quant_shape     block = job->s;

    block.n_out = row1 - row0;
    for (size_t i = 0; i < QUANT_ROWS * n_scale; i++) {
        scales[i] = BF16_ONE;
        biases[i] = BF16_MINUS_128;
    }
    for (size_t i = 0; i < (size_t)block.n_out * n_in; i++)
        words[i] = (uint8_t)(job->rows[(size_t)row0 * n_in + i] + 128);
    quant_pack_mlx(block_of(job->tiles, job->s, row0), block, (uint32_t *)room, scales, biases, 0,
                   block.n_out);
}

/* room holds a row of numbers. */
static void widen_int8(void *arg, int row0, int row1, void *room)
{
    const struct int8_job *job = arg;
    size_t                 n_in = (size_t)job->s.n_in;
    const int8_t          *from = job->rows + (size_t)row0 * n_in;
    uint16_t              *out = (uint16_t *)job->tiles + (size_t)row0 * n_in;
    float                 *row = room;

    for (int r = row0; r < row1; r++, from += n_in, out += n_in) {
        for (size_t i = 0; i < n_in; i++)
            row[i] = from[i];
        kern.f32_to_bf16(out, row, job->s.n_in);
    }
}

/* Tiles where the columns divide, else bf16, which holds every int8 exactly. */
static void take_int8(struct weights *w, struct weight *out, const struct weights_part *p,
                      const char *name)
{
    char            key[WEIGHTS_KEY_CAP];
    size_t          n_in = (size_t)p->n_in, n = (size_t)p->n_out * n_in;
    struct int8_job job = { .s = { p->n_out, p->n_in, 8, QUANT_COLS },
                            .rows = (const int8_t *)p->e->data + (size_t)p->row0 * n_in };
    bool            is_tiles = out->dtype == DT_Q8T;
    size_t          room = room_for(QUANT_ROWS * (n_in + 4 * (n_in / QUANT_COLS)));

    job.tiles = weights_room(w, out, is_tiles ? quant_size(job.s) : 2 * n, key_of(key, p, name));
    if (!job.tiles ||
        !weights_each_block(w, name, p->n_out, room, is_tiles ? pack_int8 : widen_int8, &job))
        return;
    drop_rows(p->e, p);
    weights_made(w, out, job.tiles, key);
}

void weights_from_int8(struct weights *w, struct weight *out, const struct weights_part *p,
                       const char *name)
{
    char scb_name[WEIGHTS_NAME_CAP + 16];

    snprintf(scb_name, sizeof scb_name, "%s_scb", name);
    const struct safetensors_entry *scb = weights_find(w, scb_name);
    if (!scb) {
        weights_fail_missing(w, scb_name);
        return;
    }
    if (!weights_has_shape(w, p->e, p->n_total, p->n_in) ||
        !weights_has_shape(w, scb, p->n_total, 0))
        return;
    if (!weights_is_float(scb->dtype)) {
        weights_fail_at(w, scb, scb->name, "is %s, not F32", dtype_name(scb->dtype));
        return;
    }
    out->dtype = p->n_in % QUANT_COLS == 0 ? DT_Q8T : DT_BF16;
    out->group = out->dtype == DT_Q8T ? QUANT_COLS : 0;
    if (w->is_rehearsal) {
        take_int8(w, out, p, name);
        return;
    }
    if (!weights_check_finite(w, scb, (size_t)p->row0, (size_t)p->n_out))
        return;
    float *scale = weights_take(w, (size_t)p->n_out * sizeof *scale, name);
    if (!scale)
        return;
    weights_floats_at(scale, scb, (size_t)p->row0, (size_t)p->n_out);
    for (int i = 0; i < p->n_out; i++)
        scale[i] /= 127;
    out->row_scale = scale;
    take_int8(w, out, p, name);
}

/* Float matrices. */

size_t weights_rows_room(const struct weights_rows *r)
{
    return r->fold ? 4 * (size_t)r->fold->rank + 2 * (size_t)r->n_in : 0;
}

void weights_rows_read(float *out, const struct weights_rows *r, int row0, int row1, void *room)
{
    size_t n_in = (size_t)r->n_in, n = (size_t)(row1 - row0) * n_in;

    weights_floats_at(out, &r->e, (size_t)row0 * n_in, n);
    for (int i = row0; r->fold && i < row1; i++)
        weights_fold_row(r->fold, out + (size_t)(i - row0) * n_in, i, room);
}

static void drop_all(const struct weights_rows *r)
{
    size_t n = (size_t)r->n_out * (size_t)r->n_in;

    if (r->is_mapped)
        os_map_drop(r->e.data, n * dtype_size(r->e.dtype));
}

struct rows_job {
    const struct weights_rows *r;
    struct quant_shape         s;
    enum dtype                 dtype;
    void                      *data;
    atomic_bool                is_broken; /* a number is none */
};

/* False and a held failure when blocks were broken; whose fault it was is looked up then. */
static bool is_whole(struct weights *w, const struct rows_job *job)
{
    const struct weights_rows *r = job->r;

    if (!job->is_broken)
        return true;
    if (!r->fold || !finite_all(r->e.dtype, r->e.data, (size_t)r->n_out * (size_t)r->n_in))
        weights_fail_finite(w, r->from);
    else if (weights_check_finite(w, r->fold->b, 0,
                                  r->fold->b->size / dtype_size(r->fold->b->dtype)))
        weights_fail_at(w, r->from, r->from->name, "is not finite with what the adapter adds");
    return false;
}

/* room holds the numbers of one block and what reading them needs. */
static void quantise_block(void *arg, int row0, int row1, void *room)
{
    struct rows_job *job = arg;
    float           *x = room;

    weights_rows_read(x, job->r, row0, row1, x + (size_t)(QUANT_ROWS * job->s.n_in));
    if (!finite_all(DT_F32, x, (size_t)(row1 - row0) * (size_t)job->s.n_in))
        job->is_broken = true;
    quant_pack_f32(job->data, job->s, x, row0, row1);
}

bool weights_quant_shape(const struct weights *w, struct quant_shape *s, int n_out, int n_in)
{
    bool is_q8 = w->o.quant == WEIGHTS_QUANT_Q8;

    /* 64 is what mx.quantize takes when it is not told; 4 bits in groups of 32 cost half a bit a
     * weight more, and rows that 64 does not divide are worth it. */
    *s = (struct quant_shape){ n_out, n_in, is_q8 ? 8 : 4, is_q8 || n_in % 64 == 0 ? 64 : 32 };
    return w->o.quant != WEIGHTS_QUANT_NONE && n_in % s->group == 0;
}

bool weights_quantise(struct weights *w, struct weight *out, const struct weights_rows *r,
                      const char *key)
{
    struct rows_job job = { .r = r };

    if (!weights_quant_shape(w, &job.s, out->n_out, out->n_in))
        return false;
    out->dtype = job.s.bits == 8 ? DT_Q8T : DT_Q4T;
    out->group = job.s.group;
    out->data = NULL;
    job.data = weights_room(w, out, quant_size(job.s), key);
    size_t room = room_for(QUANT_ROWS * sizeof(float) * (size_t)out->n_in + weights_rows_room(r));
    if (job.data && weights_each_block(w, key, out->n_out, room, quantise_block, &job) &&
        is_whole(w, &job)) {
        drop_all(r);
        weights_made(w, out, job.data, key);
    }
    return true;
}

/* room holds the numbers of one row and what reading them needs. */
static void store_block(void *arg, int row0, int row1, void *room)
{
    struct rows_job *job = arg;
    size_t           n_in = (size_t)job->r->n_in;

    for (int i = row0; i < row1; i++) {
        float *x = job->dtype == DT_F32 ? (float *)job->data + (size_t)i * n_in : (float *)room;
        weights_rows_read(x, job->r, i, i + 1, (float *)room + n_in);
        if (!finite_all(DT_F32, x, n_in))
            job->is_broken = true;
        if (job->dtype == DT_BF16)
            kern.f32_to_bf16((uint16_t *)job->data + (size_t)i * n_in, x, job->r->n_in);
    }
}

void weights_store(struct weights *w, struct weight *out, const struct weights_rows *r,
                   const char *key)
{
    struct rows_job job = { .r = r, .dtype = out->dtype };
    size_t          n = (size_t)out->n_out * (size_t)out->n_in;

    out->data = NULL;
    job.data = weights_room(w, out, mem_size(n, dtype_size(out->dtype)), key);
    size_t room = room_for(sizeof(float) * (size_t)out->n_in + weights_rows_room(r));
    if (!job.data || !weights_each_block(w, key, out->n_out, room, store_block, &job) ||
        !is_whole(w, &job))
        return;
    drop_all(r);
    weights_made(w, out, job.data, key);
}
