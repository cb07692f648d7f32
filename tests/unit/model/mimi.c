/* SPDX-License-Identifier: MIT */
#include "model/mimi.h"

#include <math.h>

#include "check.h"
#include "model/mimi_config.h"

/* Folders of tests/golden/mimi; the reference's own outputs are in them
 * (tests/oracle/mimi_cases.py). */
static const char *const cases[] = { "plain",
                                     "odd",
                                     "stride1",
                                     "short_context",
                                     "bf16",
                                     "f16",
                                     "in_projs",
                                     "legacy_names",
                                     "replicate",
                                     "weight_norm",
                                     "conv_skip",
                                     "gated",
                                     "transformers_names",
                                     "elu_alpha",
                                     "leaky_relu",
                                     "selu" };
enum { N_CASE = sizeof cases / sizeof *cases };

static struct be *open_be_as(bool is_exact)
{
    struct be              *be = NULL;
    const struct be_options o = { .device = "cpu", .n_thread = 2, .is_exact = is_exact };

    CHECK(be_open(&be, &o) == OK);
    return be;
}

static struct be *open_be(void)
{
    return open_be_as(true);
}

/* |have - want| over the largest |want|. */
static double difference(const struct safetensors_entry *have, const struct safetensors_entry *want)
{
    double worst = 0, largest = 1e-30;

    for (size_t i = 0; i < want->size / sizeof(float); i++) {
        float x, y;
        memcpy(&x, (const float *)have->data + i, sizeof x);
        memcpy(&y, (const uint8_t *)want->data + i * sizeof y, sizeof y);
        double d = isfinite(x) ? fabs((double)x - y) : INFINITY;
        worst = d > worst ? d : worst;
        largest = fabs((double)y) > largest ? fabs((double)y) : largest;
    }
    return worst / largest;
}

static void compare(const struct probe_io *io, const char *dir, const char *out_name)
{
    struct safetensors *want = NULL;
    char                path[512];

    snprintf(path, sizeof path, "%s/%s", dir, out_name);
    CHECK(safetensors_open(&want, path) == OK);
    CHECK_INT(io->n_out, safetensors_count(want));
    for (int i = 0; i < io->n_out; i++) {
        const struct safetensors_entry *w = safetensors_find(want, io->out[i].name);
        CHECK(w && w->dtype == io->out[i].dtype && w->size == io->out[i].size);
        CHECK(memcmp(w->n, io->out[i].n, sizeof w->n) == 0);
        double d = w->dtype == DT_F32 ? difference(&io->out[i], w)
                                      : memcmp(io->out[i].data, w->data, w->size) != 0;
        printf("# %s %s: %.1e\n", dir + sizeof "tests/golden/mimi", io->out[i].name, d);
        CHECK(d <= 1e-4);
    }
    safetensors_close(&want);
}

static const struct family *find_family(void)
{
    for (int i = 0; families[i]; i++)
        if (strcmp(families[i]->name, "mimi") == 0)
            return families[i];
    return NULL;
}

/* The model in dir on the tensors of another folder. */
static void probe_with(const char *dir, const char *io_dir, const char *in_name,
                       const char *out_name)
{
    struct model_files  *files = NULL;
    struct probe_io      io = { 0 };
    struct safetensors  *in = NULL;
    struct model_options o = { .be = open_be(), .n_lane = 1 };
    char                 path[512];

    snprintf(path, sizeof path, "%s/%s", io_dir, in_name);
    CHECK(model_files_open(&files, dir) == OK);
    CHECK(safetensors_open(&in, path) == OK);
    io.in = in;
    CHECK(find_family()->claims(files, in, "auto"));
    CHECK(find_family()->probe(files, &io, &o) == OK);
    compare(&io, io_dir, out_name);
    probe_fini(&io);
    safetensors_close(&in);
    model_files_close(&files);
    be_close(&o.be);
}

static void probe(const char *dir, const char *in_name, const char *out_name)
{
    probe_with(dir, dir, in_name, out_name);
}

TEST(mimi_gives_the_codes_and_latents_of_the_reference)
{
    char dir[256];

    for (int i = 0; i < N_CASE; i++) {
        snprintf(dir, sizeof dir, "tests/golden/mimi/%s", cases[i]);
        probe(dir, "in.safetensors", "out.safetensors");
    }
}

TEST(mimi_gives_the_sound_of_the_reference)
{
    char dir[256];

    for (int i = 0; i < N_CASE; i++) {
        snprintf(dir, sizeof dir, "tests/golden/mimi/%s", cases[i]);
        probe(dir, "in2.safetensors", "out2.safetensors");
    }
}

/* The part's answer in the fast mode against the reference's: the error's power over the power. */
static double fast_noise(const char *dir, const char *in_name, const char *out_name,
                         const char *tensor)
{
    struct model_files  *files = NULL;
    struct probe_io      io = { 0 };
    struct safetensors  *in = NULL, *want = NULL;
    struct model_options o = { .be = open_be_as(false), .n_lane = 1 };
    double               noise = 0, power = 1e-30;
    char                 path[512];

    CHECK(model_files_open(&files, dir) == OK);
    snprintf(path, sizeof path, "%s/%s", dir, in_name);
    CHECK(safetensors_open(&in, path) == OK);
    snprintf(path, sizeof path, "%s/%s", dir, out_name);
    CHECK(safetensors_open(&want, path) == OK);
    io.in = in;
    CHECK(find_family()->probe(files, &io, &o) == OK);
    const struct safetensors_entry *w = safetensors_find(want, tensor);
    for (int i = 0; i < io.n_out; i++)
        for (size_t k = 0; !strcmp(io.out[i].name, tensor) && k < w->size / sizeof(float); k++) {
            float x, y;
            memcpy(&x, (const float *)io.out[i].data + k, sizeof x);
            memcpy(&y, (const uint8_t *)w->data + k * sizeof y, sizeof y);
            noise += ((double)x - y) * ((double)x - y);
            power += (double)y * y;
        }
    probe_fini(&io);
    safetensors_close(&in);
    safetensors_close(&want);
    model_files_close(&files);
    be_close(&o.be);
    printf("# %s %s, fast: %.1f dB\n", dir + sizeof "tests/golden/mimi", tensor,
           10 * log10(power / (noise + 1e-30)));
    return noise / power;
}

/* bf16 weights and keys: 30 dB under latent and sound at least, and not exact by mistake. */
TEST(mimi_in_the_fast_mode_is_near_the_reference)
{
    char   dir[256];
    double worst = 0;

    for (int i = 0; i < N_CASE; i++) {
        snprintf(dir, sizeof dir, "tests/golden/mimi/%s", cases[i]);
        double latent = fast_noise(dir, "in.safetensors", "out.safetensors", "latent");
        double sound = fast_noise(dir, "in2.safetensors", "out2.safetensors", "pcm");
        CHECK(latent < 1e-3 && sound < 1e-3);
        worst = sound > worst ? sound : worst;
    }
    CHECK(worst > 1e-8);
}

/* kyutai/mimi as the transformers library has it: one config.json, model.safetensors. */
TEST(mimi_reads_the_config_of_transformers)
{
    static const char hf[] =
        "{\"model_type\": \"mimi\", \"sampling_rate\": 8000, \"hidden_size\": 16, "
        "\"num_filters\": 4, \"upsampling_ratios\": [4, 2], \"kernel_size\": 3, "
        "\"codebook_dim\": 8, \"codebook_size\": 32, \"num_quantizers\": 4, "
        "\"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"num_key_value_heads\": 2, "
        "\"intermediate_size\": 32, \"sliding_window\": 9, \"norm_eps\": 1e-05, "
        "\"frame_rate\": %s, \"hidden_act\": \"%s\"}";
    static const char *const rates[] = { "500.0", "null" };
    const char              *golden = "tests/golden/mimi/transformers_names";
    struct model_files      *files = NULL;
    struct mimi_config       c;

    CHECK(system("rm -rf \"$PARLEY_TEST_TMP/hf\" && mkdir \"$PARLEY_TEST_TMP/hf\" && cp "
                 "tests/golden/mimi/transformers_names/mimi.safetensors "
                 "\"$PARLEY_TEST_TMP/hf/model.safetensors\"") == 0);
    for (int i = 0; i < 3; i++) {
        FILE *f = fopen(check_tmp("hf/config.json"), "wb");
        CHECK(f && fprintf(f, hf, rates[i % 2], i < 2 ? "gelu" : "relu") > 0 && fclose(f) == 0);
        if (i < 2) {
            probe_with(check_tmp("hf"), golden, "in.safetensors", "out.safetensors");
            probe_with(check_tmp("hf"), golden, "in2.safetensors", "out2.safetensors");
        }
    }
    CHECK(model_files_open(&files, check_tmp("hf")) == OK);
    CHECK(mimi_config_read(&c, files) == ERR_FORMAT);
    CHECK(strstr(err_text(ERR_FORMAT), "hidden_act"));
    model_files_close(&files);
}

/* Steps. */

/* n_spoken: what a language model beside the codec says and hears, or 0: there is none. */
static struct mimi *open_mimi(struct be *be, const char *dir, int n_lane, enum mimi_parts parts,
                              int n_spoken)
{
    struct model_files        *files = NULL;
    struct mimi               *m = NULL;
    const struct model_options o = { .be = be, .n_lane = n_lane };

    CHECK(model_files_open(&files, dir) == OK);
    if (n_spoken) {
        files->is_codec_only = false;
        CHECK(json_object_set_new(files->config, "n_q", json_integer(2 * n_spoken)) == 0);
        CHECK(json_object_set_new(files->config, "dep_q", json_integer(n_spoken)) == 0);
    }
    CHECK(mimi_open(&m, files, &o, parts) == OK);
    model_files_close(&files);
    return m;
}

/* Some sound that differs from lane to lane and frame to frame. */
static void make_pcm(float *pcm, int n, int lane, int frame)
{
    uint32_t x = 12345u + 777u * (uint32_t)lane + 99u * (uint32_t)frame;

    for (int i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        pcm[i] = ((float)(x >> 8) / (float)(1 << 24) - 0.5f) * 0.6f;
    }
}

enum { MAX_FRAME = 4096, MAX_CODE = 64, N_LANE = 3, N_FRAME = 12 };

/* One lane through a codec: frame in, codes and sound out. */
static void step_lane(struct mimi *m, const struct step *s, const int *frame,
                      int32_t (*codes)[MAX_CODE], float (*sound)[MAX_FRAME])
{
    const struct mimi_info *info = mimi_info(m);
    static float            in[N_LANE][MAX_FRAME];
    const float            *in_p[N_LANE];
    int32_t                *code_p[N_LANE];
    float                  *sound_p[N_LANE];

    CHECK(info->frame_size <= MAX_FRAME && info->n_codebook <= MAX_CODE);
    for (int a = 0; a < s->n_lane; a++) {
        make_pcm(in[a], info->frame_size, s->lane[a], frame[a]);
        in_p[a] = in[a];
        code_p[a] = codes[a];
        sound_p[a] = sound[a];
    }
    CHECK(mimi_encode_step(m, s, in_p, code_p, NULL) == OK);
    CHECK(mimi_decode_step(m, s, (const int32_t *const *)code_p, info->n_codebook, sound_p) == OK);
}

static float   want_sound[N_LANE][N_FRAME][MAX_FRAME], sound[N_LANE][MAX_FRAME];
static int32_t want_codes[N_LANE][N_FRAME][MAX_CODE], codes[N_LANE][MAX_CODE];

/* Each lane alone, on one thread. */
static void compute_want(const char *dir)
{
    struct be              *be = NULL;
    const struct be_options o = { .device = "cpu", .n_thread = 1, .is_exact = true };

    CHECK(be_open(&be, &o) == OK);
    for (int lane = 0; lane < N_LANE; lane++) {
        struct mimi      *m = open_mimi(be, dir, N_LANE, MIMI_BOTH, 0);
        const struct step s = { 1, &lane };
        for (int f = 0; f < N_FRAME; f++) {
            step_lane(m, &s, &f, codes, sound);
            memcpy(want_codes[lane][f], codes[0], sizeof codes[0]);
            memcpy(want_sound[lane][f], sound[0], sizeof sound[0]);
        }
        mimi_close(&m);
    }
    be_close(&be);
}

static void check_lane(const struct mimi *m, int a, int lane, int frame)
{
    const struct mimi_info *info = mimi_info(m);

    CHECK(memcmp(codes[a], want_codes[lane][frame], (size_t)info->n_codebook * 4) == 0);
    CHECK(memcmp(sound[a], want_sound[lane][frame], (size_t)info->frame_size * 4) == 0);
}

TEST(mimi_lanes_do_not_see_each_other_and_threads_do_not_show)
{
    static const char *const dirs[] = { "tests/golden/mimi/odd", "tests/golden/mimi/replicate" };

    for (int d = 0; d < 2; d++) {
        compute_want(dirs[d]);
        struct be              *be = NULL;
        const struct be_options o = { .device = "cpu", .n_thread = 3, .is_exact = true };
        CHECK(be_open(&be, &o) == OK);
        struct mimi *m = open_mimi(be, dirs[d], N_LANE, MIMI_BOTH, 0);
        int          at[N_LANE] = { 0 };
        for (uint32_t tick = 1; at[0] < N_FRAME || at[1] < N_FRAME || at[2] < N_FRAME; tick++) {
            int         lane[N_LANE], frame[N_LANE];
            struct step s = { 0, lane };
            for (int l = 0; l < N_LANE; l++)
                if (at[l] < N_FRAME && (tick * 2654435761u >> (10 + l)) % 3 != 0) {
                    frame[s.n_lane] = at[l];
                    lane[s.n_lane++] = l;
                }
            if (s.n_lane == 0)
                continue;
            step_lane(m, &s, frame, codes, sound);
            for (int a = 0; a < s.n_lane; a++)
                check_lane(m, a, lane[a], at[lane[a]]++);
        }
        mimi_close(&m);
        be_close(&be);
    }
}

TEST(mimi_starts_anew_after_a_reset_of_one_lane)
{
    struct be        *be = open_be();
    struct mimi      *m;
    const int         both[] = { 0, 2 };
    const struct step s = { 2, both };

    compute_want("tests/golden/mimi/odd");
    m = open_mimi(be, "tests/golden/mimi/odd", N_LANE, MIMI_BOTH, 0);
    for (int f = 0; f < N_FRAME; f++) {
        const int frame[] = { f < 5 ? f : f - 5, f };
        if (f == 5) {
            mimi_reset_encoder(m, 0);
            mimi_reset_decoder(m, 0);
        }
        step_lane(m, &s, frame, codes, sound);
        check_lane(m, 0, 0, frame[0]);
        check_lane(m, 1, 2, frame[1]);
    }
    mimi_close(&m);
    be_close(&be);
}

TEST(mimi_refuses_codes_out_of_range_and_moves_nothing)
{
    struct be           *be = open_be();
    struct mimi         *m = open_mimi(be, "tests/golden/mimi/plain", 1, MIMI_DECODER, 0);
    const struct step    s = { 1, &(int){ 0 } };
    int32_t              good[6] = { 0, 1, 2, 3, 4, 39 }, bad[6] = { 0, 1, 2, 3, 4, 40 };
    const int32_t *const g = good, *const b = bad;
    static float first[1920], again[1920];

    CHECK_INT(mimi_info(m)->n_codebook_max, 6);
    CHECK_INT(mimi_info(m)->frame_size, 1920);
    CHECK(mimi_decode_step(m, &s, &b, 6, &(float *){ first }) == ERR_USAGE);
    CHECK(mimi_decode_step(m, &s, &g, 0, &(float *){ first }) == ERR_USAGE);
    CHECK(mimi_decode_step(m, &s, &g, 7, &(float *){ first }) == ERR_USAGE);
    bad[5] = -1;
    CHECK(mimi_decode_step(m, &s, &b, 6, &(float *){ first }) == ERR_USAGE);
    CHECK(mimi_decode_step(m, &s, &g, 6, &(float *){ first }) == OK);
    mimi_reset_decoder(m, 0);
    CHECK(mimi_decode_step(m, &s, &b, 6, &(float *){ again }) == ERR_USAGE);
    CHECK(mimi_decode_step(m, &s, &g, 6, &(float *){ again }) == OK);
    CHECK(memcmp(first, again, sizeof first) == 0);
    CHECK(mimi_decode_step(m, &s, &g, 1, &(float *){ again }) == OK); /* one codebook is enough */
    mimi_close(&m);
    be_close(&be);
}

/* Fewer codebooks are the first of all: the levels before one do not depend on it. */
TEST(mimi_encodes_fewer_codebooks_the_same)
{
    struct be        *be = open_be();
    struct mimi      *all = open_mimi(be, "tests/golden/mimi/plain", 1, MIMI_ENCODER, 0);
    struct mimi      *two = open_mimi(be, "tests/golden/mimi/plain", 1, MIMI_ENCODER, 2);
    const struct step s = { 1, &(int){ 0 } };
    static float      pcm[1920];

    CHECK_INT(mimi_info(two)->n_codebook, 2);
    for (int f = 0; f < 4; f++) {
        int32_t a[6], b[2];
        make_pcm(pcm, 1920, 0, f);
        CHECK(mimi_encode_step(all, &s, &(const float *){ pcm }, &(int32_t *){ a }, NULL) == OK);
        CHECK(mimi_encode_step(two, &s, &(const float *){ pcm }, &(int32_t *){ b }, NULL) == OK);
        CHECK(memcmp(a, b, sizeof b) == 0);
    }
    mimi_close(&all);
    mimi_close(&two);
    be_close(&be);
}

TEST(mimi_allocates_nothing_once_warm)
{
    struct be        *be = open_be();
    struct mimi      *m = open_mimi(be, "tests/golden/mimi/plain", N_LANE, MIMI_BOTH, 0);
    const int         lanes[] = { 0, 1, 2 }, frame[] = { 0, 1, 2 };
    const struct step s = { N_LANE, lanes };

    step_lane(m, &s, frame, codes, sound);
    step_lane(m, &s, frame, codes, sound);
    size_t n = mem_forbidden_count();
    mem_forbid(true);
    step_lane(m, &s, frame, codes, sound);
    mem_forbid(false);
    CHECK_INT(mem_forbidden_count(), n);
    mimi_close(&m);
    be_close(&be);
}

/* Strict loading. */

enum damage { DROP, RENAME, RESHAPE, RETYPE, ADD };

/* The golden codec with one thing wrong at tensor `name`, in a folder of its own. */
static const char *damaged(enum damage what, const char *name)
{
    static char                     dir[4096];
    static struct safetensors_entry e[512];
    static const uint32_t           zeros[65536];
    struct safetensors             *good = NULL;
    char                            path[4200];
    int                             n = 0;

    snprintf(dir, sizeof dir, "%s", check_tmp("damaged"));
    CHECK(system("rm -rf \"$PARLEY_TEST_TMP/damaged\" && cp -r tests/golden/mimi/plain "
                 "\"$PARLEY_TEST_TMP/damaged\"") == 0);
    CHECK(safetensors_open(&good, "tests/golden/mimi/plain/mimi.safetensors") == OK);
    for (int i = 0; i < safetensors_count(good); i++) {
        e[n] = *safetensors_at(good, i);
        bool is_it = strcmp(e[n].name, name) == 0;
        if (is_it && what == RENAME)
            e[n].name = "another.name";
        if (is_it && what == RESHAPE) {
            int64_t swap = e[n].n[0];
            e[n].n[0] = e[n].n[1];
            e[n].n[1] = swap;
        }
        if (is_it && what == RETYPE) {
            e[n].dtype = DT_I32;
            e[n].data = zeros;
            CHECK(e[n].size <= sizeof zeros);
        }
        n += !(is_it && what == DROP);
    }
    if (what == ADD)
        e[n++] = (struct safetensors_entry){
            .name = name, .dtype = DT_F32, .n_dim = 1, .n = { 1 }, .data = zeros, .size = 4
        };
    snprintf(path, sizeof path, "%s/mimi.safetensors", dir);
    CHECK(safetensors_write(path, e, n) == OK);
    safetensors_close(&good);
    return dir;
}

/* Refused whatever part is asked for, with a sentence that names file and tensor. */
static void refuse(const char *dir, const char *name)
{
    struct be                 *be = open_be();
    const struct model_options o = { .be = be, .n_lane = 1 };

    for (int parts = MIMI_ENCODER; parts <= MIMI_BOTH; parts++) {
        struct model_files *files = NULL;
        struct mimi        *m = NULL;
        CHECK(model_files_open(&files, dir) == OK);
        enum err err = mimi_open(&m, files, &o, (enum mimi_parts)parts);
        if (err != ERR_FORMAT || !strstr(err_text(err), name))
            printf("# %s: %s\n", name, err_text(err));
        CHECK(err == ERR_FORMAT && !m);
        CHECK(strstr(err_text(err), name) != NULL);
        CHECK(strstr(err_text(err), "mimi.safetensors") != NULL);
        model_files_close(&files);
    }
    be_close(&be);
}

TEST(mimi_refuses_weights_that_are_not_the_config_s)
{
    static const char *const names[] = {
        "encoder.model.3.conv.conv.weight",
        "decoder.model.2.convtr.convtr.weight",
        "decoder.model.0.conv.conv.bias",
        "encoder_transformer.transformer.layers.1.self_attn.in_proj_weight",
        "decoder_transformer.transformer.layers.0.linear1.weight",
        "encoder_transformer.transformer.layers.0.layer_scale_1.scale",
        "downsample.conv.conv.conv.weight",
        "upsample.convtr.convtr.convtr.weight",
        "quantizer.rvq_first.input_proj.weight",
        "quantizer.rvq_rest.vq.layers.4._codebook.embedding_sum",
        "quantizer.rvq_first.vq.layers.0._codebook.cluster_usage",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        refuse(damaged(DROP, names[i]), names[i]);
        refuse(damaged(RETYPE, names[i]), names[i]);
    }
    refuse(damaged(RESHAPE, "encoder.model.3.conv.conv.weight"),
           "encoder.model.3.conv.conv.weight");
    refuse(damaged(RESHAPE, "upsample.convtr.convtr.convtr.weight"),
           "upsample.convtr.convtr.convtr.weight");
    refuse(damaged(RESHAPE, "decoder_transformer.transformer.layers.0.linear1.weight"),
           "decoder_transformer.transformer.layers.0.linear1.weight");
    refuse(damaged(ADD, "left.over"), "left.over");
    refuse(damaged(RENAME, "decoder.model.0.conv.conv.bias"), "decoder.model.0.conv.conv.bias");
}

/* Configs. */

/* The golden config with `key` of `section` set to `value`. */
static enum err open_with(const char *section, const char *key, const char *value)
{
    struct be                 *be = open_be();
    const struct model_options o = { .be = be, .n_lane = 1 };
    struct model_files        *files = NULL;
    struct mimi               *m = NULL;

    CHECK(model_files_open(&files, "tests/golden/mimi/plain") == OK);
    json_t *v = json_loads(value, JSON_DECODE_ANY, NULL);
    json_t *obj = section ? json_object_get(files->codec_config, section) : files->codec_config;
    CHECK(v && obj);
    CHECK(json_object_set_new(obj, key, v) == 0);
    enum err err = mimi_open(&m, files, &o, MIMI_BOTH);
    if (err && !strstr(err_text(err), "mimi_config.json"))
        printf("# %s %s: %s\n", key, value, err_text(err));
    CHECK(!err || strstr(err_text(err), "mimi_config.json"));
    mimi_close(&m);
    model_files_close(&files);
    be_close(&be);
    return err;
}

TEST(mimi_refuses_configs_that_no_codec_has)
{
    static const char *const bad[][3] = {
        { NULL, "seanet", "3" },
        { NULL, "sample_rate", "0" },
        { NULL, "channels", "2" },
        { NULL, "frame_rate", "0" },
        { NULL, "frame_rate", "-1" },
        { NULL, "frame_rate", "10" },
        { NULL, "frame_rate", "1e-300" },
        { NULL, "frame_rate", "\"x\"" },
        { "seanet", "ratios", "[]" },
        { "seanet", "ratios", "[8, 6, 5, 0]" },
        { "seanet", "ratios", "[1000, 1000, 1000]" },
        { "seanet", "ratios", "[2,2,2,2,2,2,2,2,2,2,2,2,2]" },
        { "seanet", "ratios", "[1.5]" },
        { "seanet", "ratios", "7" },
        { "seanet", "causal", "false" },
        { "seanet", "pad_mode", "\"reflect\"" },
        { "seanet", "activation", "\"Step\"" },
        { "seanet", "activation_params", "{\"alpha\": 2e6}" },
        { "seanet", "activation_params", "{\"negative_slope\": 0.2}" },
        { "seanet", "activation_params", "[]" },
        { "seanet", "norm", "\"time_group_norm\"" },
        { "seanet", "compress", "0" },
        { "seanet", "compress", "99" },
        { "seanet", "kernel_size", "-3" },
        { "seanet", "n_filters", "60000" },
        { "seanet", "dimension", "1e9" },
        { "seanet", "n_residual_layers", "99" },
        { "quantizer", "n_q", "1" },
        { "quantizer", "n_q_semantic", "6" },
        { "quantizer", "bins", "0" },
        { "quantizer", "input_dimension", "25" },
        { "quantizer", "output_dimension", "25" },
        { "transformer", "num_heads", "5" },
        { "transformer", "num_heads", "0" },
        { "transformer", "num_layers", "0" },
        { "transformer", "context", "null" },
        { "transformer", "context", "1" },
        { "transformer", "causal", "false" },
        { "transformer", "conv_layout", "false" },
        { "transformer", "norm", "\"batch\"" },
        { "transformer", "gating", "\"maybe\"" },
        { "transformer", "positional_embedding", "\"alibi\"" },
        { "transformer", "max_period", "0" },
        { "transformer", "kv_repeat", "2" },
        { "transformer", "layer_scale", "\"x\"" },
        { "transformer", "input_dimension", "12" },
        { "transformer", "output_dimensions", "[24, 24]" },
        { "transformer", "output_dimensions", "[12]" },
        { "transformer", "weights_per_step", "4" },
        { "transformer", "cross_attention", "true" },
        { "transformer", "d_model", "null" },
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum err err = open_with(bad[i][0], bad[i][1], bad[i][2]);
        if (err != ERR_FORMAT)
            printf("# %s: %s\n", bad[i][1], bad[i][2]);
        CHECK(err == ERR_FORMAT);
    }
    CHECK(open_with("transformer", "context", "2") == OK); /* just a frame's two latent steps */
}

static enum err open_and_close(struct be *be, struct model_files *files)
{
    const struct model_options o = { .be = be, .n_lane = 2 };
    struct mimi               *m = NULL;
    enum err                   err = mimi_open(&m, files, &o, MIMI_BOTH);

    mimi_close(&m);
    return err;
}

TEST(mimi_survives_running_out_of_memory)
{
    struct be          *be = open_be();
    struct model_files *files = NULL;

    CHECK(model_files_open(&files, "tests/golden/mimi/gated") == OK);
    CHECK_OOM(open_and_close(be, files));
    model_files_close(&files);
    be_close(&be);
}
