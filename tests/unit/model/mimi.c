/* SPDX-License-Identifier: MIT */
#include "model/mimi.h"

#include <math.h>

#include "check.h"

/* Folders of tests/golden/mimi; the reference's own outputs are in them (tests/oracle/mimi_cases.py). */
static const char *const cases[] = {
    "plain",     "odd",      "stride1",           "short_context", "bf16",
    "f16",       "in_projs", "legacy_names",      "replicate",     "weight_norm",
    "conv_skip", "gated",    "transformers_names"
};
enum { N_CASE = sizeof cases / sizeof *cases };

static struct be *open_be(void)
{
    struct be              *be = NULL;
    const struct be_options o = { .device = "cpu", .n_thread = 2, .is_exact = true };

    CHECK(be_open(&be, &o) == OK);
    return be;
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

static void probe(const char *dir, const char *in_name, const char *out_name)
{
    struct model_files  *files = NULL;
    struct probe_io      io = { 0 };
    struct safetensors  *in = NULL;
    struct model_options o = { .be = open_be(), .n_lane = 1 };
    char                 path[512];

    snprintf(path, sizeof path, "%s/%s", dir, in_name);
    CHECK(model_files_open(&files, dir) == OK);
    CHECK(safetensors_open(&in, path) == OK);
    io.in = in;
    CHECK(families[0]->claims(files, in, "auto"));
    CHECK(families[0]->probe(files, &io, &o) == OK);
    compare(&io, dir, out_name);
    probe_fini(&io);
    safetensors_close(&in);
    model_files_close(&files);
    be_close(&o.be);
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
