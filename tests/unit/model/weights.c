/* SPDX-License-Identifier: MIT */
#include "model/weights.h"

#include <math.h>
#include <unistd.h>

#include "check.h"
#include "kernel/quant.h"

/* Files. */

enum { N_ENTRY = 16 };

struct file {
    struct safetensors_entry e[N_ENTRY];
    int                      n;
};

static size_t count(const struct safetensors_entry *e)
{
    size_t n = 1;
    for (int i = 0; i < e->n_dim; i++)
        n *= (size_t)e->n[i];
    return n;
}

/* n1 = 0: one dimension. */
static void put(struct file *f, const char *name, enum dtype dtype, int64_t n0, int64_t n1,
                const void *data)
{
    struct safetensors_entry *e = &f->e[f->n++];

    *e = (struct safetensors_entry){
        .name = name, .dtype = dtype, .n_dim = n1 ? 2 : 1, .n = { n0, n1 }, .data = data
    };
    e->size = count(e) * dtype_size(dtype);
}

static const char *write_file(const struct file *f, const char *what)
{
    static char path[4][4200];
    static int  at;
    char        name[64];

    at = (at + 1) % 4;
    snprintf(name, sizeof name, "weights-%d-%s.safetensors", (int)getpid(), what);
    snprintf(path[at], sizeof path[at], "%s", check_tmp(name));
    CHECK(safetensors_write(path[at], f->e, f->n) == OK);
    return path[at];
}

static struct arena *arena;
static struct be    *threads; /* that conversions run on */

static struct weights *open_with(const struct file *f, enum weights_quant quant, const char *lora)
{
    struct weights              *w = NULL;
    const struct weights_options o = { .arena = arena,
                                       .be = threads,
                                       .quant = quant,
                                       .lora_path = lora,
                                       .lora_scaling = 1.5,
                                       .is_exact = true };

    CHECK(weights_open(&w, write_file(f, "model"), &o) == OK);
    return w;
}

static void begin(void)
{
    const struct be_options o = { .device = "cpu", .n_thread = 3, .is_exact = true };

    if (!threads)
        CHECK(be_open(&threads, &o) == OK);
    arena_close(&arena);
    CHECK(arena_open(&arena, 4096) == OK);
}

__attribute__((destructor)) static void end(void)
{
    arena_close(&arena);
    be_close(&threads);
}

/* Row r of a weight, as numbers. */
static void weight_row(float *out, const struct weight *w, int r)
{
    size_t at = (size_t)r * (size_t)w->n_in;

    switch (w->dtype) {
    case DT_F32: memcpy(out, (const float *)w->data + at, (size_t)w->n_in * 4); break;
    case DT_BF16: kern.bf16_to_f32(out, (const uint16_t *)w->data + at, w->n_in); break;
    case DT_F16: kern.f16_to_f32(out, (const uint16_t *)w->data + at, w->n_in); break;
    default:
        quant_row(out,
                  (struct quant_shape){ w->n_out, w->n_in, w->dtype == DT_Q4T ? 4 : 8, w->group },
                  w->data, r);
    }
    for (int i = 0; w->row_scale && i < w->n_in; i++)
        out[i] *= w->row_scale[r];
}

static float wave(int i)
{
    return sinf(0.7f * (float)i) * 2;
}

/* The call must fail with ERR_FORMAT, naming the file and the tensor and saying `word`. */
static void check_refused(struct weights *w, const char *tensor, const char *word)
{
    CHECK_INT(weights_finish(w), ERR_FORMAT);
    const char *text = err_text(ERR_FORMAT);
    printf("# %s\n", text);
    CHECK(strstr(text, ".safetensors") && strstr(text, tensor) && strstr(text, word));
    CHECK(strlen(text) <= 300);
    weights_close(&w);
}

/* As stored. */

TEST(weights_gives_matrices_as_they_are_stored)
{
    float         x[12], row[4];
    uint16_t      bf16[12];
    const uint8_t pad[3] = { 1, 2, 3 };
    struct file   f = { 0 };
    struct weight a, b, c;

    for (int i = 0; i < 12; i++)
        x[i] = wave(i);
    kern.f32_to_bf16(bf16, x, 12);
    begin();
    put(&f, "odd", DT_U8, 3, 0, pad); /* what follows lies at odd places */
    put(&f, "p.weight", DT_F32, 3, 4, x);
    put(&f, "q.weight", DT_BF16, 3, 4, bf16);
    struct weights *w = open_with(&f, WEIGHTS_QUANT_NONE, NULL);
    weights_skip(w, "odd");
    weights_matrix(w, &a, 3, 4, "%s.weight", "p");
    weights_matrix_rows(w, &b, 1, 2, 3, 4, "q.weight");
    weights_table(w, &c, 3, 4, true, "p.weight");
    CHECK(weights_finish(w) == OK);
    CHECK(a.dtype == DT_F32 && a.n_out == 3 && a.n_in == 4 && !a.bias && !a.row_scale);
    CHECK((uintptr_t)a.data % 4 == 0 && (uintptr_t)b.data % 2 == 0);
    weight_row(row, &a, 2);
    CHECK(memcmp(row, x + 8, sizeof row) == 0);
    CHECK(b.dtype == DT_BF16);
    weight_row(row, &b, 0);
    for (int i = 0; i < 4; i++)
        CHECK(fabsf(row[i] - x[4 + i]) < 0.01f);
    weights_close(&w);
}

TEST(weights_gives_vectors_as_floats)
{
    uint16_t        half[4] = { 0x3c00, 0xc000, 0x3800, 0x0000 }; /* 1, -2, 0.5, 0 */
    struct file     f = { 0 };
    struct weights *w;

    begin();
    put(&f, "v", DT_F16, 4, 0, half);
    put(&f, "norm.alpha", DT_F16, 4, 0, half);
    f.e[1].n_dim = 3;
    f.e[1].n[0] = f.e[1].n[1] = 1;
    f.e[1].n[2] = 4;
    w = open_with(&f, WEIGHTS_QUANT_NONE, NULL);
    const float *v = weights_vector(w, 4, "v");
    const float *m = weights_vector(w, 4, "norm.alpha");
    CHECK(m && weights_floats(w, 4, 0, 0, "v"));
    CHECK(weights_finish(w) == OK);
    CHECK(v[0] == 1 && v[1] == -2 && v[2] == 0.5f && v[3] == 0);
    CHECK(memcmp(v, m, 16) == 0);
    weights_close(&w);
}

/* Refused. */

static struct weights *open_plain(void)
{
    static float x[24];
    struct file  f = { 0 };

    begin();
    put(&f, "a.weight", DT_F32, 4, 6, x);
    put(&f, "b", DT_F32, 6, 0, x);
    put(&f, "c", DT_I32, 6, 0, x);
    return open_with(&f, WEIGHTS_QUANT_NONE, NULL);
}

TEST(weights_names_a_missing_tensor)
{
    struct weight   a;
    struct weights *w = open_plain();

    weights_matrix(w, &a, 4, 6, "layers.%d.weight", 7);
    check_refused(w, "layers.7.weight", "missing");
    w = open_plain();
    CHECK(weights_vector(w, 6, "gone") == NULL);
    check_refused(w, "gone", "missing");
}

TEST(weights_names_a_tensor_of_another_shape)
{
    struct weight   a;
    struct weights *w = open_plain();

    weights_matrix(w, &a, 6, 4, "a.weight");
    check_refused(w, "a.weight", "[4, 6], the config asks for [6, 4]");
    w = open_plain();
    weights_matrix_rows(w, &a, 0, 4, 8, 6, "a.weight");
    check_refused(w, "a.weight", "[4, 6]");
    w = open_plain();
    weights_vector(w, 5, "b");
    check_refused(w, "b", "[6], the config asks for [5]");
    w = open_plain();
    weights_floats(w, 2, 3, 0, "b");
    check_refused(w, "b", "[2, 3]");
}

/* A file with one tensor of six numbers. */
static struct weights *open_shaped(const char *name, int n_dim, int64_t n0, int64_t n1, int64_t n2)
{
    static float x[6];
    struct file  f = { 0 };

    begin();
    put(&f, name, DT_F32, 6, 0, x);
    f.e[0].n_dim = n_dim;
    f.e[0].n[0] = n0;
    f.e[0].n[1] = n1;
    f.e[0].n[2] = n2;
    return open_with(&f, WEIGHTS_QUANT_NONE, NULL);
}

TEST(weights_names_a_vector_of_another_shape_with_as_many_numbers)
{
    static const struct {
        const char *name;
        int         n_dim;
        int64_t     n[3];
    } wrong[] = { { "bias", 2, { 1, 6 } },      { "bias", 2, { 6, 1 } },
                  { "bias", 2, { 2, 3 } },      { "bias", 3, { 1, 1, 6 } },
                  { "x.alpha", 2, { 1, 6 } },   { "x.alpha", 3, { 1, 6, 1 } },
                  { "x.alpha", 3, { 6, 1, 1 } } };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const int64_t  *n = wrong[i].n;
        struct weights *w = open_shaped(wrong[i].name, wrong[i].n_dim, n[0], n[1], n[2]);
        CHECK(!weights_vector(w, 6, "%s", wrong[i].name));
        check_refused(w, wrong[i].name, "], the config asks for [6]");
    }
}

TEST(weights_takes_a_third_dimension_of_the_quantizer_alone)
{
    static const char *const names[] = { "quantizer.output_proj.weight", "linear.weight" };
    struct weight            a;

    for (int i = 0; i < 2; i++) {
        struct weights *w = open_shaped(names[i], 3, 2, 3, 1);
        weights_matrix(w, &a, 2, 3, "%s", names[i]);
        if (i) {
            check_refused(w, names[i], "[2, 3, 1], the config asks for [2, 3]");
            continue;
        }
        CHECK(weights_finish(w) == OK);
        weights_close(&w);
    }
    struct weights *w = open_shaped(names[0], 3, 2, 1, 3);
    weights_matrix(w, &a, 2, 3, "%s", names[0]);
    check_refused(w, names[0], "[2, 1, 3]");
}

TEST(weights_names_a_tensor_of_another_dtype)
{
    struct weight   a;
    struct weights *w = open_plain();

    weights_vector(w, 6, "c");
    check_refused(w, "c", "I32");
    w = open_plain();
    weights_matrix(w, &a, 6, 1, "c");
    check_refused(w, "c", "I32");
}

TEST(weights_names_a_tensor_that_nobody_asked_for)
{
    struct weight   a;
    struct weights *w = open_plain();

    weights_matrix(w, &a, 4, 6, "a.weight");
    weights_vector(w, 6, "b");
    check_refused(w, "c", "not part of this model");
    w = open_plain();
    weights_skip(w, "c");
    check_refused(w, "a.weight", "1 more");
}

TEST(weights_keeps_the_first_failure)
{
    struct weight   a;
    struct weights *w = open_plain();

    weights_matrix(w, &a, 4, 6, "first.weight");
    weights_matrix(w, &a, 4, 6, "second.weight");
    weights_fail(w, ERR_NOMEM);
    check_refused(w, "first.weight", "missing");
}

TEST(weights_rehearses_without_touching_numbers)
{
    struct weight   a;
    struct weights *w = open_plain();

    weights_rehearse(w);
    CHECK(weights_is_rehearsal(w));
    weights_matrix(w, &a, 4, 6, "a.weight");
    CHECK(a.data == NULL && a.n_out == 4);
    CHECK(weights_vector(w, 6, "b") == NULL);
    weights_skip(w, "c");
    CHECK_INT(arena_used(arena), 0);
    CHECK(weights_perform(w) == OK);
    weights_matrix(w, &a, 4, 6, "a.weight");
    CHECK(a.data != NULL);
    check_refused(w, "b", "1 more"); /* marks begin again */
}

/* Quantised. */

/* An MLX triple of 5 rows and 64 columns with known codes. */
struct triple {
    uint32_t words[5 * 16];
    uint16_t scales[5 * 2], biases[5 * 2];
    float    scales_f32[5 * 2], biases_f32[5 * 2];
    float    want[5 * 64];
};

static void make_triple(struct triple *t, int bits, int group)
{
    int per_word = 32 / bits, n_group = 64 / group;

    memset(t, 0, sizeof *t);
    for (int r = 0; r < 5; r++) {
        for (int c = 0; c < 64; c++) {
            unsigned q = (unsigned)(r * 31 + c * 7) % (1u << bits);
            int      g = r * n_group + c / group;
            float    s = (g % 2 ? -1 : 1) * 0.125f, b = 0.5f * (float)g; /* exact as bf16 */
            t->words[r * 64 / per_word + c / per_word] |= q << c % per_word * bits;
            t->scales_f32[g] = s;
            t->biases_f32[g] = b;
            t->want[r * 64 + c] = s * (float)q + b;
        }
    }
    kern.f32_to_bf16(t->scales, t->scales_f32, 10);
    kern.f32_to_bf16(t->biases, t->biases_f32, 10);
}

static void check_rows(const struct weight *a, const float *want, int n_row, double tolerance)
{
    float row[256];

    for (int r = 0; r < n_row; r++) {
        weight_row(row, a, r);
        for (int c = 0; c < a->n_in; c++)
            CHECK(fabs((double)row[c] - want[r * a->n_in + c]) <= tolerance);
    }
}

TEST(weights_reads_mlx_triples)
{
    static const int kinds[][2] = { { 4, 32 }, { 4, 64 }, { 8, 32 }, { 8, 64 } };
    struct triple    t;
    struct weight    a, b;

    for (int i = 0; i < 4; i++) {
        int         bits = kinds[i][0], group = kinds[i][1];
        struct file f = { 0 };
        make_triple(&t, bits, group);
        begin();
        put(&f, "m.weight", DT_U32, 5, 2 * bits, t.words);
        put(&f, "m.scales", DT_BF16, 5, 64 / group, t.scales);
        put(&f, "m.biases", DT_BF16, 5, 64 / group, t.biases);
        struct weights *w = open_with(&f, WEIGHTS_QUANT_Q8, NULL);
        weights_matrix(w, &a, 5, 64, "m.weight");
        weights_matrix_rows(w, &b, 3, 2, 5, 64, "m.weight");
        CHECK(weights_finish(w) == OK);
        CHECK(a.dtype == (bits == 4 ? DT_Q4T : DT_Q8T) && a.group == group);
        check_rows(&a, t.want, 5, 0);
        check_rows(&b, t.want + 3 * 64, 2, 0);
        weights_close(&w);
    }
}

TEST(weights_expands_triples_whose_scales_are_not_bf16)
{
    struct triple t;
    struct file   f = { 0 };
    struct weight a;

    make_triple(&t, 4, 32);
    for (int i = 0; i < 10; i++)
        t.scales_f32[i] *= 1.001f;
    for (int i = 0; i < 5 * 64; i++)
        t.want[i] += 0.001f * (t.want[i] - t.biases_f32[i / 32]);
    begin();
    put(&f, "m.weight", DT_U32, 5, 8, t.words);
    put(&f, "m.scales", DT_F32, 5, 2, t.scales_f32);
    put(&f, "m.biases", DT_F32, 5, 2, t.biases_f32);
    struct weights *w = open_with(&f, WEIGHTS_QUANT_NONE, NULL);
    weights_matrix(w, &a, 5, 64, "m.weight");
    CHECK(weights_finish(w) == OK);
    CHECK(a.dtype == DT_F32);
    check_rows(&a, t.want, 5, 1e-5);
    weights_close(&w);
}

TEST(weights_refuses_triples_that_do_not_fit)
{
    struct triple t;
    struct weight a;

    make_triple(&t, 4, 32);
    struct file no_biases = { 0 }, odd_group = { 0 }, no_bits = { 0 }, other_rows = { 0 };
    begin();
    put(&no_biases, "m.weight", DT_U32, 5, 8, t.words);
    put(&no_biases, "m.scales", DT_BF16, 5, 2, t.scales);
    struct weights *w = open_with(&no_biases, WEIGHTS_QUANT_NONE, NULL);
    weights_matrix(w, &a, 5, 64, "m.weight");
    check_refused(w, "m.biases", "missing");

    put(&odd_group, "m.weight", DT_U32, 5, 8, t.words);
    put(&odd_group, "m.scales", DT_BF16, 5, 1, t.scales);
    put(&odd_group, "m.biases", DT_BF16, 5, 2, t.biases);
    w = open_with(&odd_group, WEIGHTS_QUANT_NONE, NULL);
    weights_matrix(w, &a, 5, 64, "m.weight");
    check_refused(w, "m.biases", "[5, 2]");

    put(&no_bits, "m.weight", DT_U32, 5, 3, t.words);
    put(&no_bits, "m.scales", DT_BF16, 5, 2, t.scales);
    put(&no_bits, "m.biases", DT_BF16, 5, 2, t.biases);
    w = open_with(&no_bits, WEIGHTS_QUANT_NONE, NULL);
    weights_matrix(w, &a, 5, 64, "m.weight");
    check_refused(w, "m.weight", "3 words");

    put(&other_rows, "m.weight", DT_U32, 5, 8, t.words);
    put(&other_rows, "m.scales", DT_BF16, 4, 2, t.scales);
    put(&other_rows, "m.biases", DT_BF16, 5, 2, t.biases);
    w = open_with(&other_rows, WEIGHTS_QUANT_NONE, NULL);
    weights_matrix(w, &a, 5, 64, "m.weight");
    check_refused(w, "m.scales", "[4, 2]");
}

static void check_int8(int n_in, enum dtype dtype)
{
    int8_t        q[18 * 64];
    float         scb[18], want[18 * 64];
    struct file   f = { 0 };
    struct weight a, b;

    for (int i = 0; i < 18 * n_in; i++)
        q[i] = (int8_t)((i * 37) % 255 - 127);
    for (int r = 0; r < 18; r++)
        scb[r] = 0.3f + (float)r;
    for (int i = 0; i < 18 * n_in; i++)
        want[i] = (float)q[i] * scb[i / n_in] / 127;
    begin();
    put(&f, "in_proj_weight", DT_I8, 18, n_in, q);
    put(&f, "in_proj_weight_scb", DT_F32, 18, 0, scb);
    struct weights *w = open_with(&f, WEIGHTS_QUANT_Q4, NULL); /* what is quantised stays */
    weights_matrix(w, &a, 18, n_in, "in_proj_weight");
    weights_matrix_rows(w, &b, 9, 9, 18, n_in, "in_proj_weight");
    CHECK(weights_finish(w) == OK);
    CHECK(a.dtype == dtype && a.row_scale != NULL);
    check_rows(&a, want, 18, 1e-5);
    check_rows(&b, want + 9 * n_in, 9, 1e-5);
    weights_close(&w);
}

TEST(weights_reads_int8_rows)
{
    check_int8(64, DT_Q8T);
    check_int8(20, DT_BF16);
}

TEST(weights_refuses_int8_rows_without_their_maxima)
{
    int8_t        q[6] = { 0 };
    float         scb[2] = { 1, 1 };
    struct file   f = { 0 }, g = { 0 };
    struct weight a;

    begin();
    put(&f, "m.weight", DT_I8, 3, 2, q);
    struct weights *w = open_with(&f, WEIGHTS_QUANT_NONE, NULL);
    weights_matrix(w, &a, 3, 2, "m.weight");
    check_refused(w, "m.weight_scb", "missing");
    put(&g, "m.weight", DT_I8, 3, 2, q);
    put(&g, "m.weight_scb", DT_F32, 2, 0, scb);
    w = open_with(&g, WEIGHTS_QUANT_NONE, NULL);
    weights_matrix(w, &a, 3, 2, "m.weight");
    check_refused(w, "m.weight_scb", "[2]");
}

TEST(weights_quantises_linear_matrices_that_divide_into_groups)
{
    static float  x[20 * 96];
    struct file   f = { 0 };
    struct weight a, b, c;

    for (int i = 0; i < 20 * 96; i++)
        x[i] = wave(i);
    begin();
    put(&f, "a.weight", DT_F32, 20, 96, x);
    put(&f, "t.weight", DT_F32, 20, 96, x);
    struct weights *w = open_with(&f, WEIGHTS_QUANT_Q4, NULL);
    weights_matrix(w, &a, 20, 96, "a.weight");
    weights_table(w, &b, 20, 96, true, "t.weight");
    CHECK(weights_finish(w) == OK);
    CHECK(a.dtype == DT_Q4T && a.group == 32); /* 64 does not divide 96 columns */
    check_rows(&a, x, 20,
               4.0 / 15); /* MLX moves the grid to hold one end: up to a step at the other */
    CHECK(b.dtype == DT_Q4T && b.group == 32);
    weights_close(&w);
    w = open_with(&f, WEIGHTS_QUANT_Q4, NULL);
    weights_matrix(w, &a, 20, 96, "a.weight");
    weights_table(w, &b, 20, 96, false, "t.weight"); /* something follows it */
    CHECK(weights_finish(w) == OK);
    CHECK(b.dtype == DT_F32);
    weights_close(&w);
    w = open_with(&f, WEIGHTS_QUANT_Q8, NULL); /* groups of 64: 96 columns do not divide */
    weights_matrix(w, &a, 20, 96, "a.weight");
    weights_matrix(w, &c, 20, 96, "t.weight");
    CHECK(weights_finish(w) == OK);
    CHECK(a.dtype == DT_F32);
    weights_close(&w);
}

TEST(weights_quantises_4_bits_in_groups_of_64_where_they_divide)
{
    static float  x[15 * 128];
    struct file   f = { 0 };
    struct weight a;

    for (int i = 0; i < 15 * 128; i++)
        x[i] = wave(i);
    begin();
    put(&f, "a.weight", DT_F32, 15, 128, x);
    struct weights *w = open_with(&f, WEIGHTS_QUANT_Q4, NULL);
    weights_matrix(w, &a, 15, 128, "a.weight");
    CHECK(weights_finish(w) == OK);
    CHECK(a.dtype == DT_Q4T && a.group == 64);
    check_rows(&a, x, 15, 4.0 / 15);
    weights_close(&w);
}

/* LoRA. */

enum { OUT = 6, IN = 5, RANK = 2 };

struct adapter {
    float w[2 * OUT * IN], a[2 * RANK * IN], b[2 * OUT * RANK];
    float want[2 * OUT * IN]; /* two sets */
};

static void make_adapter(struct adapter *t)
{
    for (int i = 0; i < 2 * OUT * IN; i++)
        t->w[i] = wave(i);
    for (int i = 0; i < 2 * RANK * IN; i++)
        t->a[i] = wave(3 * i + 1);
    for (int i = 0; i < 2 * OUT * RANK; i++)
        t->b[i] = wave(5 * i + 2);
    for (int set = 0; set < 2; set++) {
        for (int o = 0; o < OUT; o++) {
            for (int i = 0; i < IN; i++) {
                float sum = 0;
                for (int k = 0; k < RANK; k++)
                    sum += t->b[(set * OUT + o) * RANK + k] * t->a[(set * RANK + k) * IN + i];
                t->want[(set * OUT + o) * IN + i] = t->w[(set * OUT + o) * IN + i] + 1.5f * sum;
            }
        }
    }
}

TEST(weights_folds_adapters_of_either_naming)
{
    struct adapter t;
    struct weight  x, y;

    make_adapter(&t);
    for (int kind = 0; kind < 4; kind++) {
        struct file f = { 0 }, l = { 0 };
        begin();
        if (kind & 1) {
            put(&f, "p.in_proj_weight", DT_F32, 2 * OUT, IN, t.w);
        } else {
            put(&f, "p.in_projs.0.weight", DT_F32, OUT, IN, t.w);
            put(&f, "p.in_projs.1.weight", DT_F32, OUT, IN, t.w + OUT * IN);
        }
        if (kind & 2) {
            put(&l, "p.in_proj.lora_A.weight", DT_F32, 2 * RANK, IN, t.a);
            put(&l, "p.in_proj.lora_B.weight", DT_F32, 2 * OUT, RANK, t.b);
        } else {
            put(&l, "p.in_projs.0.lora_A.weight", DT_F32, RANK, IN, t.a);
            put(&l, "p.in_projs.0.lora_B.weight", DT_F32, OUT, RANK, t.b);
            put(&l, "p.in_projs.1.lora_A.weight", DT_F32, RANK, IN, t.a + RANK * IN);
            put(&l, "p.in_projs.1.lora_B.weight", DT_F32, OUT, RANK, t.b + OUT * RANK);
        }
        struct weights *w = open_with(&f, WEIGHTS_QUANT_NONE, write_file(&l, "lora"));
        if (kind & 1) {
            weights_matrix_rows(w, &x, 0, OUT, 2 * OUT, IN, "p.in_proj_weight");
            weights_matrix_rows(w, &y, OUT, OUT, 2 * OUT, IN, "p.in_proj_weight");
        } else {
            weights_matrix(w, &x, OUT, IN, "p.in_projs.0.weight");
            weights_matrix(w, &y, OUT, IN, "p.in_projs.1.weight");
        }
        CHECK(weights_finish(w) == OK);
        check_rows(&x, t.want, OUT, 1e-5);
        check_rows(&y, t.want + OUT * IN, OUT, 1e-5);
        weights_close(&w);
    }
}

/* The queries, and the keys with the values, of a cross-attention: rows of one module. */
TEST(weights_folds_an_adapter_into_rows_of_one_module)
{
    struct adapter t;
    struct weight  x, y;
    float          want[2 * OUT * IN];
    const int      n_row[2] = { 4, 2 * OUT - 4 };

    make_adapter(&t);
    for (int i = 0; i < 2 * OUT * IN; i++) {
        float sum = 0;
        for (int k = 0; k < RANK; k++)
            sum += t.b[i / IN * RANK + k] * t.a[k * IN + i % IN];
        want[i] = t.w[i] + 1.5f * sum;
    }
    for (int kind = 0; kind < 4; kind++) {
        struct file f = { 0 }, l = { 0 };
        begin();
        put(&f, kind & 1 ? "p.in_proj_weight" : "p.in_projs.0.weight", DT_F32, 2 * OUT, IN, t.w);
        put(&l, kind & 2 ? "p.in_proj.lora_A.weight" : "p.in_projs.0.lora_A.weight", DT_F32, RANK,
            IN, t.a);
        put(&l, kind & 2 ? "p.in_proj.lora_B.weight" : "p.in_projs.0.lora_B.weight", DT_F32,
            2 * OUT, RANK, t.b);
        struct weights *w = open_with(&f, WEIGHTS_QUANT_NONE, write_file(&l, "lora"));
        weights_matrix_cut(w, &x, 0, n_row[0], 2 * OUT, IN, "%s", f.e[0].name);
        weights_matrix_cut(w, &y, n_row[0], n_row[1], 2 * OUT, IN, "%s", f.e[0].name);
        CHECK(weights_finish(w) == OK);
        check_rows(&x, want, n_row[0], 1e-5);
        check_rows(&y, want + n_row[0] * IN, n_row[1], 1e-5);
        weights_close(&w);
    }
}

TEST(weights_takes_whole_tensors_from_an_adapter)
{
    struct adapter t;
    float          other[OUT * IN] = { 42 };
    struct file    f = { 0 }, l = { 0 };
    struct weight  x, y;

    make_adapter(&t);
    begin();
    put(&f, "emb.weight", DT_F32, OUT, IN, t.w);
    put(&f, "lin.weight", DT_F32, OUT, IN, other);
    put(&l, "emb.weight", DT_F32, OUT, IN, other);
    put(&l, "lin.frozen_W.weight", DT_F32, OUT, IN, t.w);
    put(&l, "lin.lora_A.weight", DT_F32, RANK, IN, t.a);
    put(&l, "lin.lora_B.weight", DT_F32, OUT, RANK, t.b);
    struct weights *w = open_with(&f, WEIGHTS_QUANT_NONE, write_file(&l, "lora"));
    weights_table(w, &x, OUT, IN, true, "emb.weight");
    weights_matrix(w, &y, OUT, IN, "lin.weight");
    CHECK(weights_finish(w) == OK);
    check_rows(&x, other, OUT, 0);
    check_rows(&y, t.want, OUT, 1e-5);
    weights_close(&w);
}

TEST(weights_refuses_adapters_that_do_not_fit)
{
    struct adapter t;
    struct weight  x;
    struct file    f = { 0 }, half = { 0 }, extra = { 0 }, shape = { 0 };

    make_adapter(&t);
    begin();
    put(&f, "lin.weight", DT_F32, OUT, IN, t.w);
    put(&half, "lin.lora_A.weight", DT_F32, RANK, IN, t.a);
    struct weights *w = open_with(&f, WEIGHTS_QUANT_NONE, write_file(&half, "lora"));
    weights_matrix(w, &x, OUT, IN, "lin.weight");
    check_refused(w, "lin.lora_B.weight", "missing");

    put(&extra, "lin.lora_A.weight", DT_F32, RANK, IN, t.a);
    put(&extra, "lin.lora_B.weight", DT_F32, OUT, RANK, t.b);
    put(&extra, "other.lora_B.weight", DT_F32, OUT, RANK, t.b);
    w = open_with(&f, WEIGHTS_QUANT_NONE, write_file(&extra, "lora"));
    weights_matrix(w, &x, OUT, IN, "lin.weight");
    check_refused(w, "other.lora_B.weight", "not part");

    put(&shape, "lin.lora_A.weight", DT_F32, RANK, IN, t.a);
    put(&shape, "lin.lora_B.weight", DT_F32, OUT + 1, RANK, t.b);
    w = open_with(&f, WEIGHTS_QUANT_NONE, write_file(&shape, "lora"));
    weights_matrix(w, &x, OUT, IN, "lin.weight");
    check_refused(w, "lin.lora_B.weight", "[7, 2]");
}

static enum err quantise_and_close(void)
{
    static float           x[20 * 64];
    static const char     *path;
    struct arena          *a = NULL;
    struct weights        *w = NULL;
    struct weight          out;
    struct weights_options o = { .quant = WEIGHTS_QUANT_Q8 };
    struct file            f = { 0 };

    put(&f, "a.weight", DT_F32, 20, 64, x);
    if (!path) {
        mem_fail_after(-1);
        path = write_file(&f, "oom");
        mem_fail_after(0);
    }
    enum err err = arena_open(&a, 4096);
    o.arena = a;
    if (!err)
        err = weights_open(&w, path, &o);
    if (!err) {
        weights_matrix(w, &out, 20, 64, "a.weight");
        err = weights_finish(w);
    }
    weights_close(&w);
    arena_close(&a);
    return err;
}

/* Numbers that are none. */

static struct weights *ask(const struct file *f, enum weights_quant quant, const char *lora)
{
    struct weight   m;
    struct weights *w = open_with(f, quant, lora);

    weights_matrix(w, &m, f->e[0].n[0] == 5 ? 5 : OUT, f->e[0].n[0] == 5 ? 64 : IN, "m.weight");
    return w;
}

TEST(weights_refuses_floats_that_are_no_numbers)
{
    static const uint32_t   infinite[3] = { 0xff800000, 0x7f80, 0xfc00 };
    static const enum dtype dtypes[3] = { DT_F32, DT_BF16, DT_F16 };
    uint8_t                 data[5 * 64 * 4];
    struct weight           m;

    for (int k = 0; k < 3; k++) {
        size_t size = dtype_size(dtypes[k]);
        memset(data, 0, sizeof data);
        memcpy(data + 319 * size, &infinite[k], size); /* the last one */
        for (int odd = 0; odd < 2; odd++) {
            struct file f = { 0 };
            put(&f, "m.weight", dtypes[k], 5, 64, data);
            if (odd) /* moves the other to an odd place */
                put(&f, "a.weight_scb", DT_I8, 1, 0, "x");
            begin();
            struct weights *w = ask(&f, WEIGHTS_QUANT_NONE, NULL);
            weights_skip(w, "a.weight_scb");
            check_refused(w, "'m.weight'", "infinite");
            w = ask(&f, WEIGHTS_QUANT_Q8, NULL);
            check_refused(w, "'m.weight'", "infinite");
        }
        struct file f = { 0 }, v = { 0 };
        put(&f, "m.weight", dtypes[k], 5, 64, data);
        put(&v, "v", dtypes[k], 5 * 64, 0, data);
        struct weights *w = open_with(&v, WEIGHTS_QUANT_NONE, NULL);
        CHECK(!weights_vector(w, 5 * 64, "v"));
        check_refused(w, "'v'", "infinite");
        w = open_with(&f, WEIGHTS_QUANT_NONE, NULL);
        weights_matrix(w, &m, 5, 64, "m.weight");
        weights_leave(w, &m, true); /* it became something else */
        check_refused(w, "'m.weight'", "infinite");
        w = open_with(&f, WEIGHTS_QUANT_NONE, NULL);
        weights_matrix_rows(w, &m, 0, 4, 5, 64, "m.weight"); /* what is not used is not read */
        CHECK(weights_finish(w) == OK);
        weights_close(&w);
    }
}

TEST(weights_refuses_scales_that_are_no_numbers)
{
    float         scb[5] = { 1, 1, 1, 1, NAN };
    int8_t        q[5 * 64] = { 0 };
    struct triple t;

    for (int k = 0; k < 4; k++) {
        struct file f = { 0 };
        bool        is_bf16 = k & 1, is_bias = k & 2;
        make_triple(&t, 4, 32);
        (is_bias ? t.biases_f32 : t.scales_f32)[9] = NAN;
        (is_bias ? t.biases : t.scales)[9] = 0x7fc0;
        put(&f, "m.weight", DT_U32, 5, 8, t.words);
        put(&f, "m.scales", is_bf16 ? DT_BF16 : DT_F32, 5, 2,
            is_bf16 ? (void *)t.scales : t.scales_f32);
        put(&f, "m.biases", is_bf16 ? DT_BF16 : DT_F32, 5, 2,
            is_bf16 ? (void *)t.biases : t.biases_f32);
        begin();
        check_refused(ask(&f, WEIGHTS_QUANT_NONE, NULL), is_bias ? "'m.biases'" : "'m.scales'",
                      "infinite");
    }
    struct file f = { 0 };
    put(&f, "m.weight", DT_I8, 5, 64, q);
    put(&f, "m.weight_scb", DT_F32, 5, 0, scb);
    check_refused(ask(&f, WEIGHTS_QUANT_NONE, NULL), "'m.weight_scb'", "infinite");
}

TEST(weights_refuses_adapters_that_are_no_numbers)
{
    static const char *const who[] = { "m.weight", "m.lora_A.weight", "m.lora_B.weight" };
    struct adapter           t;

    for (int k = 0; k < 4; k++) {
        struct file f = { 0 }, l = { 0 };
        char        name[40];
        make_adapter(&t);
        if (k < 3)
            (k == 0 ? t.w : k == 1 ? t.a : t.b)[3] = NAN;
        else
            t.a[0] = t.b[0] = 3e38f; /* numbers, their product is none */
        put(&f, "m.weight", DT_F32, OUT, IN, t.w);
        put(&l, "m.lora_A.weight", DT_F32, RANK, IN, t.a);
        put(&l, "m.lora_B.weight", DT_F32, OUT, RANK, t.b);
        begin();
        snprintf(name, sizeof name, "'%s'", who[k % 3]);
        check_refused(ask(&f, WEIGHTS_QUANT_NONE, write_file(&l, "lora")), name,
                      k == 3 ? "adapter" : "infinite");
    }
}

TEST(weights_survives_out_of_memory)
{
    CHECK_OOM(quantise_and_close());
}
