/* SPDX-License-Identifier: MIT */
/* Linear, norms, activations, embeddings: against plain loops in double, the same bits on any
 * number of threads, and the rules of a step. */
#include "backend/ops.h"

#include "kernel/float_bits.h"
#include "scene.h"

/* A random matrix of any kind, and the same in f32. */
struct matrix {
    struct weight w;
    float        *plain;
    void         *data;
    float        *bias, *scale;
};

static struct matrix make_matrix(enum dtype dtype, int n_out, int n_in, int group, bool is_dressed)
{
    size_t        n = (size_t)n_out * (size_t)n_in;
    struct matrix m = { .plain = scene_floats(n) };
    m.w = (struct weight){ .dtype = dtype, .n_out = n_out, .n_in = n_in, .group = group };
    if (dtype == DT_Q8T || dtype == DT_Q4T) {
        struct quant_shape s = { n_out, n_in, dtype == DT_Q8T ? 8 : 4, group };
        m.data = malloc(quant_size(s));
        quant_pack_f32(m.data, s, m.plain, 0, n_out);
        for (int r = 0; r < n_out; r++)
            quant_row(m.plain + (size_t)r * (size_t)n_in, s, m.data, r);
    } else {
        m.data = malloc(n * dtype_size(dtype));
        for (size_t i = 0; i < n; i++) {
            uint16_t h = dtype == DT_BF16 ? bf16_of_float(m.plain[i])
                                          : (uint16_t)(0x2c00 + scene_int(0x1000));
            if (dtype == DT_F32)
                memcpy((float *)m.data + i, &m.plain[i], 4);
            else
                memcpy((uint16_t *)m.data + i, &h, 2);
            if (dtype != DT_F32)
                m.plain[i] = dtype == DT_BF16 ? bf16_float(h) : f16_float(h);
        }
    }
    m.w.data = m.data;
    if (is_dressed) {
        m.w.bias = m.bias = scene_floats((size_t)n_out);
        m.w.row_scale = m.scale = scene_floats((size_t)n_out);
    }
    return m;
}

static void free_matrix(struct matrix *m)
{
    free(m->plain);
    free(m->data);
    free(m->bias);
    free(m->scale);
}

static double linear_exact(const struct matrix *m, const float *x, int row)
{
    double sum = 0;
    for (int k = 0; k < m->w.n_in; k++)
        sum += (double)m->plain[(size_t)row * (size_t)m->w.n_in + (size_t)k] * x[k];
    return sum * (m->scale ? m->scale[row] : 1) + (m->bias ? m->bias[row] : 0);
}

struct linear_case {
    enum dtype dtype;
    int        n_row, n_out, n_in, group;
    bool       is_dressed;
};

static void linear_scene(struct be *be, float *out, size_t *n, const void *arg)
{
    const struct linear_case *c = arg;
    struct matrix             m = make_matrix(c->dtype, c->n_out, c->n_in, c->group, c->is_dressed);
    be_begin(be, &be_one_lane);
    struct tensor *x = scene_tensor(be, c->n_row, c->n_in), *y = be_scratch(be, c->n_row, c->n_out);
    op_linear(be, y, x, &m.w);
    scene_put(out, n, y);
    op_linear_add(be, y, x, &m.w); /* twice as much now */
    scene_put(out, n, y);
    for (int r = 0; r < c->n_row; r += 1 + c->n_row / 7)
        for (int o = 0; o < c->n_out; o++) {
            double want = linear_exact(&m, x->p + r * c->n_in, o);
            float  got = out[(size_t)r * (size_t)c->n_out + (size_t)o];
            CHECK(fabs(got - want) <= 2e-6 * (4 + c->n_in / 16));
            CHECK(fabs(y->p[r * c->n_out + o] - 2 * want) <= 4e-6 * (4 + c->n_in / 16));
        }
    CHECK(be_end(be) == OK);
    free_matrix(&m);
}

TEST(linear_is_right_and_the_same_on_any_number_of_threads)
{
    static const struct linear_case cases[] = {
        { DT_F32, 1, 300, 65, 0, true },    { DT_F32, 3, 17, 128, 0, false },
        { DT_BF16, 1, 129, 96, 0, true },   { DT_F16, 7, 70, 33, 0, true },
        { DT_Q8T, 2, 130, 96, 32, true },   { DT_Q4T, 5, 77, 128, 64, false },
        { DT_F32, 1920, 1, 21, 0, true },   { DT_BF16, 500, 19, 70, 0, false },
        { DT_Q4T, 100, 33, 64, 32, false }, { DT_F32, 4, 40, 600, 0, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0;
        scene_run(linear_scene, &cases[i], &n);
    }
}

TEST(a_row_does_not_feel_the_rows_beside_it)
{
    struct be    *be = scene_open(2);
    struct matrix m = make_matrix(DT_BF16, 50, 70, 0, true);
    float        *x = scene_floats(40 * 70), alone[50];
    for (int n = 1; n <= 40; n += 3)
        for (int r = 0; r < n; r++) {
            be_begin(be, &be_one_lane);
            struct tensor  in = { 1, 70, x + r * 70 }, all = { n, 70, x }, y1 = { 1, 50, alone };
            struct tensor *y = be_scratch(be, n, 50);
            op_linear(be, &y1, &in, &m.w);
            op_linear(be, y, &all, &m.w);
            CHECK(memcmp(alone, y->p + r * 50, sizeof alone) == 0);
            CHECK(be_end(be) == OK);
        }
    free(x);
    free_matrix(&m);
    be_close(&be);
}

/* The fused ops against the ops that they are made of. */
static void fused_scene(struct be *be, float *out, size_t *n, const void *arg)
{
    const struct linear_case *c = arg;
    struct matrix             m = make_matrix(c->dtype, c->n_out, c->n_in, c->group, c->is_dressed);
    float      *nw = scene_floats((size_t)c->n_in), *nb = scene_floats((size_t)c->n_in);
    int         half = c->n_out / 2;
    struct norm norms[] = { { .kind = NORM_NONE },
                            { NORM_RMS, 1e-8f, c->n_in, nw, NULL },
                            { NORM_LAYER, 1e-5f, c->n_in, nw, nb } };
    be_begin(be, &be_one_lane);
    struct tensor *x = scene_tensor(be, c->n_row, c->n_in), *h = be_like(be, x);
    for (int k = 0; k < 3; k++) {
        struct tensor *want = be_scratch(be, c->n_row, c->n_out), *got = be_like(be, want);
        struct tensor *want_glu = be_scratch(be, c->n_row, half), *got_glu = be_like(be, want_glu);
        op_norm(be, h, x, &norms[k]);
        op_linear(be, want, h, &m.w);
        op_glu(be, want_glu, want, ACT_SILU);
        op_norm_linear(be, got, x, &norms[k], &m.w);
        op_glu_linear(be, got_glu, x, &norms[k], &m.w, ACT_SILU);
        for (int i = 0; i < c->n_row * c->n_out; i++)
            CHECK(fabsf(want->p[i] - got->p[i]) <= 1e-6f * (1 + fabsf(want->p[i])));
        for (int i = 0; i < c->n_row * half; i++)
            CHECK(fabsf(want_glu->p[i] - got_glu->p[i]) <= 1e-6f * (1 + fabsf(want_glu->p[i])));
        scene_put(out, n, got);
        scene_put(out, n, got_glu);
    }
    CHECK(be_end(be) == OK);
    free_matrix(&m);
    free(nw);
    free(nb);
}

static const struct linear_case fused_cases[] = {
    { DT_F32, 1, 300, 65, 0, true },    { DT_F32, 3, 18, 128, 0, false },
    { DT_BF16, 1, 130, 96, 0, true },   { DT_F16, 7, 70, 33, 0, true },
    { DT_Q8T, 2, 130, 96, 32, true },   { DT_Q4T, 5, 78, 128, 64, false },
    { DT_Q4T, 1, 640, 192, 32, true },  { DT_Q8T, 1, 1000, 64, 64, false },
    { DT_BF16, 40, 96, 256, 0, false }, { DT_Q4T, 70, 64, 64, 32, false },
};

TEST(fused_linear_is_what_its_parts_give)
{
    for (size_t i = 0; i < sizeof fused_cases / sizeof *fused_cases; i++) {
        size_t n = 0;
        scene_run(fused_scene, &fused_cases[i], &n);
    }
}

/* Activations of eight bits: near the exact product, and the same bits alone and among others. */
static void fast_scene(struct be *be, float *out, size_t *n, const void *arg)
{
    const struct linear_case *c = arg;
    struct matrix             m = make_matrix(c->dtype, c->n_out, c->n_in, c->group, c->is_dressed);
    CHECK(!be_is_exact(be));
    be_begin(be, &be_one_lane);
    struct tensor *x = scene_tensor(be, c->n_row, c->n_in), *y = be_scratch(be, c->n_row, c->n_out);
    struct tensor *alone = be_scratch(be, 1, c->n_out);
    op_linear(be, y, x, &m.w);
    scene_put(out, n, y);
    for (int r = 0; r < c->n_row; r++) {
        struct tensor row = { 1, c->n_in, x->p + r * c->n_in };
        double        error = 0, size = 0;
        op_linear(be, alone, &row, &m.w);
        CHECK(memcmp(alone->p, y->p + r * c->n_out, sizeof(float) * (size_t)c->n_out) == 0);
        for (int o = 0; o < c->n_out; o++) {
            double want = linear_exact(&m, row.p, o);
            error += (want - alone->p[o]) * (want - alone->p[o]);
            size += want * want;
        }
        CHECK(error <= 1e-4 * size);
    }
    op_linear_add(be, y, x, &m.w);
    for (size_t i = 0; i < (size_t)c->n_row * (size_t)c->n_out; i++)
        CHECK(y->p[i] == out[i] + out[i]);
    CHECK(be_end(be) == OK);
    free_matrix(&m);
}

TEST(fast_linear_is_near_and_does_not_feel_its_company)
{
    scene_is_fast = true;
    for (size_t i = 0; i < sizeof fused_cases / sizeof *fused_cases; i++) {
        size_t n = 0;
        scene_run(fast_scene, &fused_cases[i], &n);
        n = 0;
        scene_run(fused_scene, &fused_cases[i], &n);
    }
    scene_is_fast = false;
}

static void rows_scene(struct be *be, float *out, size_t *n, const void *arg)
{
    int         n_row = ((const int *)arg)[0], n_col = ((const int *)arg)[1];
    float      *w = scene_floats((size_t)n_col), *b = scene_floats((size_t)n_col);
    struct norm rms = { NORM_RMS, 1e-8f, n_col, w, NULL };
    struct norm layer = { NORM_LAYER, 1e-5f, n_col, w, b }, none = { .kind = NORM_NONE };
    be_begin(be, &be_one_lane);
    struct tensor *x = scene_tensor(be, n_row, n_col), *y = be_like(be, x);
    struct tensor *u = scene_tensor(be, n_row, 2 * n_col);
    op_norm(be, y, x, &rms);
    scene_put(out, n, y);
    op_norm(be, y, x, &layer);
    scene_put(out, n, y);
    op_norm(be, y, x, &none);
    CHECK(memcmp(y->p, x->p, sizeof(float) * (size_t)n_row * (size_t)n_col) == 0);
    op_act(be, y, x, ACT_ELU);
    scene_put(out, n, y);
    op_act(be, y, y, ACT_GELU);
    scene_put(out, n, y);
    op_glu(be, y, u, ACT_SILU);
    scene_put(out, n, y);
    for (int r = 0; r < n_row; r++)
        for (int c = 0; c < n_col; c++) {
            double a = u->p[r * 2 * n_col + c], g = u->p[r * 2 * n_col + n_col + c];
            CHECK(fabs(y->p[r * n_col + c] - a / (1 + exp(-a)) * g) < 1e-6);
        }
    op_add(be, y, x);
    scene_put(out, n, y);
    op_scale_add(be, y, x, w);
    for (int r = 0; r < n_row; r++)
        for (int c = 0; c < n_col; c++) {
            double want = (double)out[*n - (size_t)(n_row - r) * (size_t)n_col + (size_t)c] +
                          (double)x->p[r * n_col + c] * w[c];
            CHECK(fabs(y->p[r * n_col + c] - want) < 1e-6);
        }
    scene_put(out, n, y);
    CHECK(be_end(be) == OK);
    free(w);
    free(b);
}

TEST(ops_on_rows_are_the_same_on_any_number_of_threads)
{
    static const int shapes[][2] = { { 1, 40 }, { 3, 1000 }, { 50, 17 }, { 7, 5 }, { 1, 9000 } };
    for (int i = 0; i < 5; i++) {
        size_t n = 0;
        scene_run(rows_scene, shapes[i], &n);
    }
}

TEST(norms_are_right)
{
    struct be  *be = scene_open(1);
    float       w[37], b[37];
    struct norm rms = { NORM_RMS, 1e-2f, 37, w, NULL }, layer = { NORM_LAYER, 1e-2f, 37, w, b };
    scene_fill(w, 37);
    scene_fill(b, 37);
    be_begin(be, &be_one_lane);
    struct tensor *x = scene_tensor(be, 2, 37), *y = be_like(be, x), *z = be_like(be, x);
    op_norm(be, y, x, &rms);
    op_norm(be, z, x, &layer);
    for (int r = 0; r < 2; r++) {
        double mean = 0, square = 0, var = 0;
        for (int i = 0; i < 37; i++) {
            mean += x->p[r * 37 + i] / 37.0;
            square += (double)x->p[r * 37 + i] * x->p[r * 37 + i] / 37;
        }
        for (int i = 0; i < 37; i++)
            var += pow(x->p[r * 37 + i] - mean, 2) / 37;
        for (int i = 0; i < 37; i++) {
            double v = x->p[r * 37 + i];
            CHECK(fabs(y->p[r * 37 + i] - v * w[i] / sqrt(square + 1e-2)) < 1e-6);
            CHECK(fabs(z->p[r * 37 + i] - ((v - mean) / sqrt(var + 1e-2) * w[i] + b[i])) < 1e-6);
        }
    }
    CHECK(be_end(be) == OK);
    be_close(&be);
}

TEST(embeddings_come_from_any_table)
{
    static const enum dtype dtypes[] = { DT_F32, DT_BF16, DT_F16, DT_Q8T, DT_Q4T };
    static const int32_t    ids[] = { 0, -1, 18, 7, -1 };
    struct be              *be = scene_open(2);
    for (int d = 0; d < 5; d++) {
        struct matrix m = make_matrix(dtypes[d], 19, 64, 32, false);
        be_begin(be, &be_one_lane);
        struct tensor *y = scene_tensor(be, 5, 64), *z = scene_tensor(be, 5, 64),
                      *z0 = be_like(be, z);
        memcpy(z0->p, z->p, 5 * 64 * sizeof(float));
        op_embed(be, y, &m.w, ids);
        op_embed_add(be, z, &m.w, ids);
        for (int i = 0; i < 5 * 64; i++) {
            float want = ids[i / 64] < 0 ? 0 : m.plain[ids[i / 64] * 64 + i % 64];
            CHECK(y->p[i] == want);
            CHECK(z->p[i] == z0->p[i] + want);
        }
        CHECK(be_end(be) == OK);
        free_matrix(&m);
    }
    be_close(&be);
}

TEST(an_id_out_of_range_is_an_error_and_the_first_one_is_kept)
{
    struct be    *be = scene_open(2);
    struct matrix m = make_matrix(DT_F32, 19, 8, 0, false);
    int32_t       id = 19;
    be_begin(be, &be_one_lane);
    struct tensor *y = scene_tensor(be, 1, 8);
    float          before = y->p[0];
    op_embed(be, y, &m.w, &id);
    be_fail(be, ERR_IO);
    id = 0;
    op_embed(be, y, &m.w, &id); /* nothing happens after a failure */
    CHECK(y->p[0] == before);
    CHECK(be_scratch(be, 3, 5)->n_row == 3);
    CHECK(be_end(be) == ERR_USAGE);
    be_begin(be, &be_one_lane);
    y = be_scratch(be, 1, 8);
    op_embed(be, y, &m.w, &id);
    CHECK(y->p[0] == m.plain[0]);
    CHECK(be_end(be) == OK);
    free_matrix(&m);
    be_close(&be);
}

/* A backend that brings only what it must gets the rest composed. */
TEST(composed_ops_give_what_own_ops_give)
{
    struct be           *be = scene_open(2);
    struct be_row        poor = *be->row;
    const struct be_row *rich = be->row;
    struct matrix        m = make_matrix(DT_F32, 30, 20, 0, true);
    struct norm          norm = { NORM_LAYER, 1e-5f, 20, m.plain, m.plain + 20 };
    int32_t              ids[3] = { 4, -1, 29 };
    float                want[5][3 * 40];
    poor.linear_add = NULL;
    poor.norm_linear = NULL;
    poor.glu_linear = NULL;
    poor.glu = NULL;
    poor.embed_add = NULL;
    for (int turn = 0; turn < 2; turn++) {
        be->row = turn ? &poor : rich;
        scene_seed = 9;
        be_begin(be, &be_one_lane);
        struct tensor *x = scene_tensor(be, 3, 20), *y = scene_tensor(be, 3, 30);
        struct tensor *u = scene_tensor(be, 3, 40), *g = be_scratch(be, 3, 20);
        struct tensor *e = scene_tensor(be, 3, 20), *nl = be_like(be, y);
        struct tensor *gl = be_scratch(be, 3, 15), *all[5] = { y, g, e, nl, gl };
        op_linear_add(be, y, x, &m.w);
        op_glu(be, g, u, ACT_GELU);
        op_embed_add(be, e, &m.w, ids);
        op_norm_linear(be, nl, x, &norm, &m.w);
        op_glu_linear(be, gl, x, &norm, &m.w, ACT_SILU);
        CHECK(be->err == OK);
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 3 * all[i]->n_col; j++)
                if (turn)
                    CHECK(fabsf(want[i][j] - all[i]->p[j]) < 1e-6f);
                else
                    want[i][j] = all[i]->p[j];
        CHECK(be_end(be) == OK);
    }
    be->row = rich;
    free_matrix(&m);
    be_close(&be);
}

static void some_step(struct be *be, int n_lane, const struct matrix *m, struct kv *kv)
{
    static const int    lanes[] = { 0, 1, 2, 3 };
    const struct attend a = {
        .n_head = 2, .context = 6, .scale = 0.5f, .rope = { ROPE_INTERLEAVED, 10000, 1 }
    };
    be_begin(be, &(struct step){ n_lane, lanes });
    struct tensor *x = scene_tensor(be, n_lane, 48), *y = be_scratch(be, n_lane, 3 * 48);
    op_linear(be, y, x, &m->w);
    op_attend(be, x, y, kv, &a);
    be_scratch(be, 1000 * n_lane, 100);
    CHECK(be_end(be) == OK);
}

TEST(steps_allocate_nothing_once_the_largest_was_seen)
{
    struct be    *be = scene_open(3);
    struct matrix m = make_matrix(DT_F32, 3 * 48, 48, 0, false);
    struct kv     kv;
    CHECK(kv_open(&kv, 4, 2, 24, 6, DT_F32) == OK);
    some_step(be, 4, &m, &kv);
    size_t n_live = mem_live_count();
    mem_forbid(true);
    for (int i = 0; i < 40; i++)
        some_step(be, 1 + i % 4, &m, &kv);
    mem_forbid(false);
    CHECK(mem_live_count() <= n_live);
    kv_close(&kv);
    free_matrix(&m);
    be_close(&be);
}

static enum err step_without_memory(void)
{
    struct be        *be;
    struct be_options o = { .device = "cpu", .n_thread = 2 };
    enum err          err = be_open(&be, &o);
    if (err)
        return err;
    be_begin(be, &be_one_lane);
    struct tensor *x = be_scratch(be, 300, 400), *y = be_like(be, x),
                  *z = be_scratch(be, 2000, 400);
    memset(x->p, 0, 300 * 400 * sizeof(float));
    memset(z->p, 0, 2000 * 400 * sizeof(float));
    op_act(be, y, x, ACT_SILU);
    CHECK(be_like(be, z)->n_col == 400);
    err = be_end(be);
    be_close(&be);
    return err;
}

/* A step of one lane makes its vector ready once for each thread: with many threads, many layers
 * and few lanes that was more than a step of all lanes took. */
TEST(a_step_of_one_lane_takes_no_more_than_one_of_two)
{
    scene_is_fast = true;
    struct be    *be = scene_open(24);
    struct matrix m = make_matrix(DT_Q4T, 64, 512, 64, false);
    scene_is_fast = false;
    size_t n_forbidden = mem_forbidden_count();
    for (int n_lane = 2; n_lane >= 1; n_lane--) {
        struct step s = { n_lane, (const int[]){ 0, 1 } };
        mem_forbid(n_lane == 1);
        for (int again = 0; again < 2; again++) {
            be_begin(be, &s);
            struct tensor *x = scene_tensor(be, n_lane, 512);
            for (int layer = 0; layer < 200; layer++)
                op_linear(be, be_scratch(be, n_lane, 64), x, &m.w);
            CHECK(be_end(be) == OK);
        }
        mem_forbid(false);
    }
    CHECK(mem_forbidden_count() == n_forbidden);
    free_matrix(&m);
    be_close(&be);
}

TEST(out_of_memory_inside_a_step_is_told_once)
{
    CHECK_OOM(step_without_memory());
}

static enum err open_states(void)
{
    struct kv         kv;
    struct conv_state s;
    struct conv c = { .n_in = 3, .n_out = 4, .kernel = 5, .stride = 2, .dilation = 1, .groups = 1 };
    enum err    err = kv_open(&kv, 2, 2, 4, 8, DT_I8);
    if (err)
        return err;
    err = conv_state_open(&s, &c, 2);
    kv_close(&kv);
    if (!err)
        conv_state_close(&s);
    return err;
}

TEST(out_of_memory_when_states_open_leaves_nothing)
{
    CHECK_OOM(open_states());
}

TEST(more_than_the_machine_has_is_refused)
{
    struct kv kv;
    CHECK(kv_open(&kv, 1 << 20, 1 << 20, 1 << 10, 1 << 20, DT_F32) == ERR_NOMEM);
    CHECK(!kv.k && !kv.v && !kv.n_seen);
}

TEST(devices_are_chosen_by_name)
{
    struct be        *be = NULL;
    struct be_options o = { .device = "cuda", .n_thread = 1 };
    CHECK(be_open(&be, &o) == ERR_HARDWARE && !be);
    o.device = "abacus";
    CHECK(be_open(&be, &o) == ERR_USAGE && !be);
    o.device = "auto";
    CHECK(be_open(&be, &o) == OK);
    CHECK_STR(be->row->name, "cpu");
    CHECK(!be_is_exact(be));
    be_close(&be);
}

static void count_calls(void *arg, int i)
{
    atomic_fetch_add(&((atomic_int *)arg)[i], 1);
}

TEST(parallel_runs_each_part_once)
{
    for (int t = 0; t < 4; t++) {
        struct be        *be = scene_open(scene_threads[t]);
        static atomic_int calls[100];
        memset(calls, 0, sizeof calls);
        be_begin(be, &be_one_lane);
        for (int n = 0; n <= 100; n += 10)
            be_parallel(be, count_calls, calls, n);
        CHECK(be_end(be) == OK);
        for (int i = 0; i < 100; i++)
            CHECK_INT(calls[i], 10 - i / 10);
        be_close(&be);
    }
}

struct denormal {
    float      tiny;
    atomic_int n_kept;
};
static void multiply_tiny(void *arg, int i)
{
    struct denormal *d = arg;
    volatile float   x = d->tiny;
    if (x * 0.5f != 0)
        atomic_fetch_add(&d->n_kept, 1);
}

/* Denormals once cost a frame more than half of its time. */
TEST(denormals_are_zero_on_every_thread)
{
    struct be      *be = scene_open(5);
    struct denormal d = { .tiny = 0x1p-126f };
    be_begin(be, &be_one_lane);
    be_parallel(be, multiply_tiny, &d, 100);
    CHECK(be_end(be) == OK);
    CHECK_INT(d.n_kept, 0);
    be_close(&be);
}
