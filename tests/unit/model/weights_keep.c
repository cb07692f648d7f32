/* SPDX-License-Identifier: MIT */
/* What loading makes, from one start to the next: mapped when it is of these weights and whole,
 * else made anew; never the wrong numbers. */
#include "model/weights.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "check.h"
#include "kernel/quant.h"

enum { N_OUT = 80, N_IN = 192, N_MATRIX = 3 };

/* A model of bf16 matrices, one of them MLX's and one of int8 rows, in a folder of its own. */
struct fixture {
    char                dir[400], path[480], tiles[480];
    int                 shift; /* of the numbers: another model of the same shapes */
    struct weights_load load;
    struct be          *be;
    /* a start */
    struct arena   *arena;
    struct weights *w;
    struct weight   m[N_MATRIX + 2];
};

static void write_model(const struct fixture *f)
{
    static uint16_t          bf16[N_MATRIX][N_OUT * N_IN], params[2][N_OUT * N_IN / 64];
    static uint32_t          words[N_OUT * N_IN / 8];
    static int8_t            rows[N_OUT * N_IN];
    static float             scb[N_OUT];
    struct safetensors_entry e[N_MATRIX + 5];
    char                     names[N_MATRIX][16];

    for (int k = 0; k < N_MATRIX; k++) {
        for (int i = 0; i < N_OUT * N_IN; i++) {
            float x = sinf((float)(i * (k + 1) + f->shift));
            kern.f32_to_bf16(&bf16[k][i], &x, 1);
        }
        snprintf(names[k], sizeof names[k], "m%d.weight", k);
        e[k] = (struct safetensors_entry){ .name = names[k],
                                           .dtype = DT_BF16,
                                           .n_dim = 2,
                                           .n = { N_OUT, N_IN },
                                           .data = bf16[k],
                                           .size = sizeof bf16[k] };
    }
    for (int i = 0; i < N_OUT * N_IN / 8; i++)
        words[i] = (uint32_t)(i + f->shift) * 2654435761u;
    for (int i = 0; i < N_OUT * N_IN / 64; i++)
        params[0][i] = params[1][i] = (uint16_t)(0x3c00 + i % 99);
    for (int i = 0; i < N_OUT * N_IN; i++)
        rows[i] = (int8_t)(i * 31 + f->shift);
    for (int i = 0; i < N_OUT; i++)
        scb[i] = (float)(i + 1);
    struct safetensors_entry *at = e + N_MATRIX;
    *at++ = (struct safetensors_entry){ "q.weight",          DT_U32, 2,
                                        { N_OUT, N_IN / 8 }, words,  sizeof words };
    *at++ = (struct safetensors_entry){ "q.scales",           DT_BF16,   2,
                                        { N_OUT, N_IN / 64 }, params[0], sizeof params[0] };
    *at++ = (struct safetensors_entry){ "q.biases",           DT_BF16,   2,
                                        { N_OUT, N_IN / 64 }, params[1], sizeof params[1] };
    *at++ = (struct safetensors_entry){ "i.weight", DT_I8, 2, { N_OUT, N_IN }, rows, sizeof rows };
    *at++ = (struct safetensors_entry){ "i.weight_scb", DT_F32, 1, { N_OUT }, scb, sizeof scb };
    CHECK(safetensors_write(f->path, e, N_MATRIX + 5) == OK);
}

static void begin(struct fixture *f, const char *name)
{
    const struct be_options o = { .device = "cpu", .n_thread = 2, .is_exact = true };
    char                    own[64];

    *f = (struct fixture){ .shift = 0 };
    snprintf(own, sizeof own, "keep-%d-%s", (int)getpid(), name);
    snprintf(f->dir, sizeof f->dir, "%.399s", check_tmp(own));
    CHECK(os_private_dir(f->dir) == OK);
    snprintf(f->path, sizeof f->path, "%s/model.safetensors", f->dir);
    snprintf(f->tiles, sizeof f->tiles, "%s/cache/tiles", f->dir);
    f->load = (struct weights_load){ .tile_dir = f->tiles, .tile_min = 1 };
    CHECK(be_open(&f->be, &o) == OK);
    write_model(f);
}

static void ask(struct fixture *f)
{
    for (int k = 0; k < N_MATRIX; k++)
        weights_matrix(f->w, &f->m[k], N_OUT, N_IN, "m%d.weight", k);
    weights_matrix(f->w, &f->m[N_MATRIX], N_OUT, N_IN, "q.weight");
    weights_matrix(f->w, &f->m[N_MATRIX + 1], N_OUT, N_IN, "i.weight");
}

static enum err start(struct fixture *f)
{
    enum err err = arena_open(&f->arena, 4096);
    if (err)
        return err;
    const struct weights_options o = { .arena = f->arena,
                                       .be = f->be,
                                       .quant = WEIGHTS_QUANT_Q4,
                                       .is_exact = true,
                                       .load = &f->load };
    err = weights_open(&f->w, f->path, &o);
    if (err)
        return err;
    weights_rehearse(f->w);
    ask(f);
    err = weights_perform(f->w);
    if (!err)
        ask(f);
    return err ? err : weights_finish(f->w);
}

static void end(struct fixture *f)
{
    weights_close(&f->w); /* waits for the writer */
    arena_close(&f->arena);
}

/* Every number, without a side file's help. */
static uint64_t numbers(const struct fixture *f)
{
    float    row[N_IN];
    uint64_t sum = 1;

    for (int k = 0; k < N_MATRIX + 2; k++)
        for (int r = 0; r < N_OUT; r++) {
            const struct weight *m = &f->m[k];
            struct quant_shape   s = { N_OUT, N_IN, m->dtype == DT_Q4T ? 4 : 8, m->group };
            quant_row(row, s, m->data, r);
            for (int i = 0; i < N_IN; i++) {
                uint32_t bits;
                memcpy(&bits, &row[i], 4);
                sum = (sum ^ bits) * 1099511628211u;
            }
        }
    return sum;
}

/* Starts and ends; was the side file mapped? want 0: no numbers are compared. */
static bool is_mapped(struct fixture *f, uint64_t *got)
{
    CHECK(start(f) == OK);
    *got = numbers(f);
    bool is = arena_used(f->arena) < N_OUT * N_IN / 2; /* a matrix of 4 bits */
    end(f);
    return is;
}

static bool find_tiles(char *path, size_t cap, const char *dir)
{
    DIR           *d = opendir(dir);
    struct dirent *e;
    int            n = 0;

    while (d && (e = readdir(d)))
        if (e->d_name[0] != '.') {
            snprintf(path, cap, "%.400s/%.99s", dir, e->d_name);
            n++;
        }
    if (d)
        closedir(d);
    CHECK(n <= 1);
    return n == 1;
}

static void finish(struct fixture *f)
{
    be_close(&f->be);
}

TEST(weights_are_mapped_at_the_second_start)
{
    struct fixture f;
    uint64_t       first, second, alone;
    char           path[600];
    struct stat    st;

    begin(&f, "second");
    CHECK(!is_mapped(&f, &first));
    CHECK(is_mapped(&f, &second));
    f.load.tile_dir = NULL;
    CHECK(!is_mapped(&f, &alone));
    CHECK(first == second && first == alone);
    CHECK(find_tiles(path, sizeof path, f.tiles));
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK(stat(f.tiles, &st) == 0 && (st.st_mode & 0777) == 0700);
    finish(&f);
}

TEST(weights_of_little_size_leave_no_file)
{
    struct fixture f;
    uint64_t       sum;
    char           path[600];

    begin(&f, "little");
    f.load.tile_min = 0;
    CHECK(!is_mapped(&f, &sum) && !is_mapped(&f, &sum));
    CHECK(!find_tiles(path, sizeof path, f.tiles));
    finish(&f);
}

/* The same size, shapes and names, other numbers. */
TEST(weights_that_changed_are_made_anew)
{
    struct fixture f;
    uint64_t       old, now, then, want;
    char           path[600];

    begin(&f, "changed");
    CHECK(!is_mapped(&f, &old));
    f.shift = 1;
    write_model(&f);
    CHECK(!is_mapped(&f, &now) && now != old);
    CHECK(is_mapped(&f, &then) && then == now);
    f.load.tile_dir = NULL;
    is_mapped(&f, &want);
    CHECK(want == now);
    CHECK(find_tiles(path, sizeof path, f.tiles)); /* one: the old one is gone */
    finish(&f);
}

TEST(weights_with_another_time_are_made_anew)
{
    struct fixture        f;
    uint64_t              sum;
    const struct timespec times[2] = { { 1000000000, 5 }, { 1000000000, 5 } };

    begin(&f, "time");
    CHECK(!is_mapped(&f, &sum) && is_mapped(&f, &sum));
    CHECK(utimensat(0, f.path, times, 0) == 0);
    CHECK(!is_mapped(&f, &sum) && is_mapped(&f, &sum));
    finish(&f);
}

/* As weights out of archives that give every file one time. */
TEST(weights_that_changed_but_not_their_time_are_made_anew)
{
    struct fixture        f;
    uint64_t              old, now;
    const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };

    begin(&f, "same-time");
    CHECK(utimensat(0, f.path, times, 0) == 0);
    CHECK(!is_mapped(&f, &old));
    f.shift = 1;
    write_model(&f);
    CHECK(utimensat(0, f.path, times, 0) == 0);
    CHECK(!is_mapped(&f, &now) && now != old);
    finish(&f);
}

/* The first number of m0.weight becomes none; the file's time and head stay. */
static void spoil(const struct fixture *f)
{
    static const uint16_t nan_bf16 = 0x7fc0;
    struct safetensors   *st_file = NULL;
    struct stat           st;

    CHECK(safetensors_open(&st_file, f->path) == OK && stat(f->path, &st) == 0);
    const uint8_t *data = safetensors_find(st_file, "m0.weight")->data;
    long           at = (long)(data - safetensors_file(st_file, 0).head.p);
    safetensors_close(&st_file);
    const struct timespec times[2] = { st.st_atim, st.st_mtim };
    FILE                 *file = fopen(f->path, "r+b");
    CHECK(file && fseek(file, at, SEEK_SET) == 0 && fwrite(&nan_bf16, 2, 1, file) == 1);
    CHECK(fclose(file) == 0 && utimensat(0, f->path, times, 0) == 0);
}

/* What a side file holds was looked at when it was made: the weights are not read once more. */
TEST(numbers_are_looked_at_where_they_are_read)
{
    struct fixture f;
    uint64_t       sum;

    begin(&f, "numbers");
    CHECK(!is_mapped(&f, &sum));
    spoil(&f);
    CHECK(is_mapped(&f, &sum));
    f.load.tile_dir = NULL;
    CHECK_INT(start(&f), ERR_FORMAT);
    CHECK(strstr(err_text(ERR_FORMAT), "model.safetensors: tensor 'm0.weight'"));
    end(&f);
    finish(&f);
}

static void flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    int   c;

    CHECK(file && fseek(file, at, SEEK_SET) == 0 && (c = fgetc(file)) != EOF);
    CHECK(fseek(file, at, SEEK_SET) == 0 && fputc(c ^ 4, file) != EOF && fclose(file) == 0);
}

TEST(broken_side_files_are_made_anew)
{
    struct fixture f;
    uint64_t       want, got;
    char           path[600];
    struct stat    st;

    begin(&f, "broken");
    CHECK(!is_mapped(&f, &want) && find_tiles(path, sizeof path, f.tiles));
    CHECK(stat(path, &st) == 0);
    const long at[] = { 0, 9, 13, 17, 30, 60, 300, 4096, st.st_size / 2, st.st_size - 64 };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        flip(path, at[i]);
        CHECK(!is_mapped(&f, &got) && got == want);
        CHECK(is_mapped(&f, &got) && got == want);
    }
    const long len[] = { 0, 7, 40, 100, 4095, 4096, st.st_size - 1, st.st_size + 1 };
    for (size_t i = 0; i < sizeof len / sizeof *len; i++) {
        CHECK(truncate(path, len[i]) == 0);
        CHECK(!is_mapped(&f, &got) && got == want);
        CHECK(is_mapped(&f, &got) && got == want);
    }
    finish(&f);
}

TEST(two_starts_at_once_both_succeed)
{
    struct fixture f;
    uint64_t       want, got;
    char           path[600];
    pid_t          child[4];

    begin(&f, "two");
    f.load.tile_dir = NULL;
    is_mapped(&f, &want);
    f.load.tile_dir = f.tiles;
    be_close(&f.be);
    for (int i = 0; i < 4; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            f.be = NULL; /* threads do not come along */
            for (int n = 0; n < 10; n++) {
                if (start(&f) != OK || numbers(&f) != want)
                    _exit(1);
                end(&f);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status;
        CHECK(waitpid(child[i], &status, 0) == child[i] && status == 0);
    }
    CHECK(find_tiles(path, sizeof path, f.tiles)); /* and nothing half-written beside it */
    CHECK(is_mapped(&f, &got) && got == want);
}

TEST(a_folder_that_cannot_be_made_costs_nothing_else)
{
    struct fixture f;
    uint64_t       sum;

    begin(&f, "folder");
    snprintf(f.tiles, sizeof f.tiles, "%.400s/below", f.path); /* below a file */
    CHECK(!is_mapped(&f, &sum) && !is_mapped(&f, &sum));
    finish(&f);
}

static atomic_int n_ask;
static int        ask_limit;

static bool is_enough(void *arg)
{
    return atomic_fetch_add(&n_ask, 1) >= ask_limit;
}

TEST(loading_ends_when_it_is_cancelled)
{
    struct fixture f;
    char           path[600];

    begin(&f, "cancel");
    f.load.is_cancelled = is_enough;
    for (ask_limit = 0; ask_limit < 40; ask_limit++) {
        atomic_store(&n_ask, 0);
        enum err err = start(&f);
        CHECK(err == OK || err == ERR_INTERRUPTED);
        CHECK(ask_limit > 10 || err == ERR_INTERRUPTED);
        end(&f);
    }
    CHECK(!find_tiles(path, sizeof path, f.tiles) || os_is_file(path));
    finish(&f);
}

static int64_t last_done, last_total;

static void on_progress(void *arg, int64_t done, int64_t total)
{
    CHECK(done >= last_done || last_done == last_total);
    CHECK(done <= total);
    last_done = done;
    last_total = total;
}

TEST(progress_ends_at_its_total)
{
    struct fixture f;

    begin(&f, "progress");
    f.load.on_progress = on_progress;
    for (int i = 0; i < 2; i++) { /* made, then mapped */
        last_done = last_total = 0;
        CHECK(start(&f) == OK);
        CHECK(last_total > 0 && last_done == last_total);
        end(&f);
    }
    finish(&f);
}

TEST(tiles_of_weights_that_are_gone_are_removed)
{
    struct fixture f, g;
    uint64_t       sum;
    char           path[600];

    begin(&f, "gone");
    CHECK(!is_mapped(&f, &sum));
    CHECK(unlink(f.path) == 0);
    begin(&g, "stays");
    memcpy(g.tiles, f.tiles, sizeof g.tiles);
    CHECK(!is_mapped(&g, &sum));
    CHECK(find_tiles(path, sizeof path, f.tiles) && strstr(path, "stays"));
    finish(&f);
    finish(&g);
}

static void write_old(char path[600], const struct fixture *f, const char *name)
{
    const struct timespec long_ago[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };

    snprintf(path, 600, "%s/%s", f->tiles, name);
    FILE *file = fopen(path, "w");
    CHECK(file && fputs("mine", file) >= 0 && fclose(file) == 0);
    CHECK(utimensat(AT_FDCWD, path, long_ago, 0) == 0);
}

TEST(what_others_keep_in_the_folder_stays)
{
    static const char *const theirs[] = { "a.tiles", "photo.tiles.part", "x.tiles.d-movie.part",
                                          "0123456789abcdef.tiles" };
    struct fixture           f;
    uint64_t                 sum;
    char                     path[5][600];

    begin(&f, "theirs");
    snprintf(f.tiles, sizeof f.tiles, "%s/my.tiles.d", f.dir);
    CHECK(os_private_dir(f.tiles) == OK);
    for (int i = 0; i < 4; i++)
        write_old(path[i], &f, theirs[i]);
    write_old(path[4], &f, "m-q4-0123456789abcdef.tiles.01234567.part"); /* a dead writer's */
    CHECK(!is_mapped(&f, &sum));
    for (int i = 0; i < 4; i++)
        CHECK(os_is_file(path[i]));
    CHECK(!os_is_file(path[4]));
    finish(&f);
}

/* Only the Hugging Face cache has folders of revisions. */
TEST(folders_called_snapshots_have_files_of_their_own)
{
    struct fixture f[2];
    uint64_t       sum;

    for (int i = 0; i < 2; i++) {
        char dir[480];
        begin(&f[i], i ? "snap-b" : "snap-a");
        snprintf(dir, sizeof dir, "%s/snapshots/%d", f[0].dir, i);
        CHECK(os_private_dir(dir) == OK);
        snprintf(f[i].path, sizeof f[i].path, "%.450s/model.safetensors", dir);
        memcpy(f[i].tiles, f[0].tiles, sizeof f[i].tiles);
        write_model(&f[i]);
        CHECK(!is_mapped(&f[i], &sum));
    }
    CHECK(is_mapped(&f[0], &sum) && is_mapped(&f[1], &sum));
    finish(&f[1]);
    finish(&f[0]);
}

static enum err start_and_end(struct fixture *f)
{
    enum err err = start(f);

    end(f);
    return err;
}

TEST(loading_with_a_side_file_survives_out_of_memory)
{
    struct fixture f;

    begin(&f, "oom");
    CHECK_OOM(start_and_end(&f));
    finish(&f);
}
