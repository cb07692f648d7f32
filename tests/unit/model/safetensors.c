/* SPDX-License-Identifier: MIT */
#include "model/safetensors.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/os.h"
#include "check.h"

/* The contract's 2 s; a sanitised build is ten times slower. */
#ifdef __SANITIZE_ADDRESS__
#define LIMIT_NS 20000000000
#else
#define LIMIT_NS 2000000000
#endif

/* A file with this header and n_data bytes 0, 1, 2, ... after it. */
static const char *file_with(const char *name, const char *head, size_t n_data)
{
    const char    *path = check_tmp(name);
    struct os_out *o = NULL;
    uint8_t        len[8];

    bytes_put_le(len, strlen(head), 8);
    CHECK(os_out_open(&o, path) == OK);
    CHECK(os_out_write(o, len, 8) == OK && os_out_write(o, head, strlen(head)) == OK);
    for (size_t i = 0; i < n_data; i++) {
        uint8_t v = (uint8_t)i;
        CHECK(os_out_write(o, &v, 1) == OK);
    }
    CHECK(os_out_commit(&o) == OK);
    return path;
}

/* Refused as broken, with a sentence that names the file and has `word` in it. */
static void refuse(const char *head, size_t n_data, const char *word)
{
    struct safetensors *s = NULL;
    const char         *path = file_with("broken.safetensors", head, n_data);
    enum err            err = safetensors_open(&s, path);

    if (err != ERR_FORMAT || !strstr(err_text(err), word) || !strstr(err_text(err), path))
        printf("# %s: %s\n", head, err_text(err));
    CHECK(err == ERR_FORMAT);
    CHECK(!s);
    CHECK(strstr(err_text(err), path) != NULL);
    CHECK(strstr(err_text(err), word) != NULL);
}

#define T(dtype, shape, offsets) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

TEST(safetensors_reads_tensors_in_any_order)
{
    static const char head[] =
        "{\"__metadata__\":{\"format\":\"pt\",\"\\u00e9\":\"\\ud83d\\ude00\"},"
        "\"b\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[6,10]} , "
        "\"a.\\u0062\\/\":{\"dtype\":\"F16\",\"shape\":[3,1],\"data_offsets\":[0,6]},"
        "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[10,10]},"
        "\"one\":{\"shape\":[],\"data_offsets\":[10,11],\"dtype\":\"U8\"}}   \n";
    struct safetensors *s = NULL;
    const char         *path = file_with("good.safetensors", head, 11);

    CHECK(safetensors_open(&s, path) == OK);
    CHECK_INT(safetensors_count(s), 4);
    const struct safetensors_entry *e = safetensors_find(s, "a.b/");
    CHECK(e && e->dtype == DT_F16 && e->n_dim == 2 && e->n[0] == 3 && e->n[1] == 1);
    CHECK_INT(e->size, 6);
    CHECK(((const uint8_t *)e->data)[5] == 5);
    CHECK_STR(safetensors_path(s, e), path);
    e = safetensors_find(s, "one");
    CHECK(e && e->n_dim == 0 && e->size == 1 && ((const uint8_t *)e->data)[0] == 10);
    e = safetensors_find(s, "empty");
    CHECK(e && e->size == 0 && e->n[1] == 7);
    CHECK(!safetensors_find(s, "c"));
    safetensors_close(&s);
    CHECK(!s);
}

TEST(safetensors_reads_every_known_dtype)
{
    static const char *const names[] = { "BOOL", "U8",  "I8",  "I16", "U16", "F16",
                                         "BF16", "I32", "U32", "F32", "F64", "I64" };
    static const int         sizes[] = { 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8 };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct safetensors *s = NULL;
        char                head[128];
        snprintf(head, sizeof head,
                 "{\"x\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]}}", names[i],
                 3 * sizes[i]);
        CHECK(safetensors_open(&s, file_with("dtype.safetensors", head, 3 * (size_t)sizes[i])) ==
              OK);
        safetensors_close(&s);
    }
}

TEST(safetensors_refuses_what_the_grammar_does_not_have)
{
    refuse("", 0, "'{'");
    refuse(" {}", 0, "'{'");
    refuse("[]", 0, "'{'");
    refuse("{", 0, "string");
    refuse("{}x", 0, "follow");
    refuse("{} {}", 0, "follow");
    refuse("{\"a\"", 0, "':'");
    refuse("{\"a\":" T("U8", "[1]", "[0,1]"), 1, "end");
    refuse("{\"a\":" T("U8", "[1]", "[0,1]") ",}", 1, "string");
    refuse("{\"a\":[[[[[[", 0, "'a'");
    refuse("{\"a\":null}", 0, "'a'");
    refuse("{\"a\":{}}", 0, "'a'");
    refuse("{\"a\":" T("U8", "[1", "[0,1]") "}", 1, "'a'");
    refuse("{\"a\":" T("U8", "[1,]", "[0,1]") "}", 1, "'a'");
    refuse("{\"a\":" T("U8", "[-1]", "[0,1]") "}", 1, "'a'");
    refuse("{\"a\":" T("U8", "[1.0]", "[0,1]") "}", 1, "'a'");
    refuse("{\"a\":" T("U8", "[1e0]", "[0,1]") "}", 1, "'a'");
    refuse("{\"a\":" T("U8", "[01]", "[0,1]") "}", 1, "'a'");
    refuse("{\"a\":" T("U8", "\"1\"", "[0,1]") "}", 1, "'a'");
    refuse("{\"a\":" T("U8", "[1]", "[0]") "}", 1, "'a'");
    refuse("{\"a\":" T("U8", "[1]", "[0,1,2]") "}", 1, "'a'");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "'a'");
    refuse("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
           "twice");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1, "'a'");
    refuse("{\"a\":" T("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "'a'");
}

TEST(safetensors_refuses_unknown_dtypes)
{
    refuse("{\"a\":" T("F8_E4M3", "[1]", "[0,1]") "}", 1, "F8_E4M3");
    refuse("{\"a\":" T("F8_E5M2", "[1]", "[0,1]") "}", 1, "F8_E5M2");
    refuse("{\"a\":" T("f32", "[1]", "[0,4]") "}", 4, "'a'");
    refuse("{\"a\":" T("", "[1]", "[0,4]") "}", 4, "'a'");
    refuse("{\"a\":" T("Q8T", "[1]", "[0,4]") "}", 4, "'a'");
    refuse("{\"a\":" T("F32F32F32F32F32F32F32", "[1]", "[0,4]") "}", 4, "'a'");
    refuse("{\"a\":{\"dtype\":3,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "'a'");
}

TEST(safetensors_refuses_ranges_that_do_not_fit)
{
    refuse("{\"a\":" T("F32", "[2]", "[0,4]") "}", 4, "'a'");
    refuse("{\"a\":" T("F32", "[1]", "[0,8]") "}", 8, "'a'");
    refuse("{\"a\":" T("U8", "[4]", "[4,0]") "}", 4, "'a'");
    refuse("{\"a\":" T("U8", "[5]", "[0,5]") "}", 4, "'a'");
    refuse("{\"a\":" T("U8", "[4]", "[1,5]") "}", 4, "'a'");
    refuse("{\"a\":" T("F32", "[4294967296,4294967296]", "[0,0]") "}", 0, "'a'");
    refuse("{\"a\":" T("F64", "[2305843009213693952]", "[0,0]") "}", 0, "'a'");
    refuse("{\"a\":" T("U8", "[99999999999999999999]", "[0,0]") "}", 0, "'a'");
    refuse("{\"a\":" T("U8", "[18446744073709551615]", "[0,18446744073709551615]") "}", 0, "'a'");
}

TEST(safetensors_refuses_holes_overlap_and_trailing_bytes)
{
    refuse("{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[1,3]") "}", 3, "'b'");
    refuse("{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[0,2]") "}", 2, "overlap");
    refuse("{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[3,5]") "}", 5, "'b'");
    refuse("{\"b\":" T("U8", "[2]", "[1,3]") "}", 3, "'b'");
    refuse("{\"a\":" T("U8", "[2]", "[0,2]") "}", 3, "1 bytes");
    refuse("{}", 1, "1 bytes");
}

TEST(safetensors_refuses_a_name_that_comes_twice)
{
    refuse("{\"a\":" T("U8", "[1]", "[0,1]") ",\"a\":" T("U8", "[1]", "[1,2]") "}", 2, "'a'");
    refuse("{\"a\":" T("U8", "[1]", "[0,1]") ",\"\\u0061\":" T("U8", "[1]", "[1,2]") "}", 2, "'a'");
    refuse("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice");
}

TEST(safetensors_refuses_text_that_is_not_utf8)
{
    refuse("{\"\xff\":" T("U8", "[1]", "[0,1]") "}", 1, "UTF-8");
    refuse("{\"\xc0\xaf\":" T("U8", "[1]", "[0,1]") "}", 1, "UTF-8");
    refuse("{\"\xed\xa0\x80\":" T("U8", "[1]", "[0,1]") "}", 1, "UTF-8");
    refuse("{\"\xf4\x90\x80\x80\":" T("U8", "[1]", "[0,1]") "}", 1, "UTF-8");
    refuse("{\"\xe2\x82\":" T("U8", "[1]", "[0,1]") "}", 1, "UTF-8");
    refuse("{\"\\ud800\":" T("U8", "[1]", "[0,1]") "}", 1, "UTF-8");
    refuse("{\"\\u0000\":" T("U8", "[1]", "[0,1]") "}", 1, "UTF-8");
    refuse("{\"a\n\":" T("U8", "[1]", "[0,1]") "}", 1, "UTF-8");
    refuse("{\"\\x\":" T("U8", "[1]", "[0,1]") "}", 1, "UTF-8");
    refuse("{\"__metadata__\":{\"a\":\"\xff\"}}", 0, "UTF-8");
}

TEST(safetensors_takes_metadata_of_strings_only)
{
    struct safetensors *s = NULL;

    CHECK(safetensors_open(&s, file_with("null.safetensors", "{\"__metadata__\": null}", 0)) == OK);
    safetensors_close(&s); /* MLX writes null when there is none */
    refuse("{\"__metadata__\":nul}", 0, "__metadata__");
    refuse("{\"__metadata__\":[]}", 0, "__metadata__");
    refuse("{\"__metadata__\":{\"a\":1}}", 0, "header");
    refuse("{\"__metadata__\":{\"a\":{}}}", 0, "header");
    refuse("{\"__metadata__\":{\"a\":\"b\"", 0, "__metadata__");
}

/* Truncations and lengths that lie: the eight bytes of the length and what follows. */
TEST(safetensors_refuses_a_header_that_leaves_the_file)
{
    static const uint64_t lens[] = { 3, 100000000, 100000001, UINT64_MAX, UINT64_MAX - 7 };
    struct safetensors   *s = NULL;
    const char           *path = check_tmp("short.safetensors");

    for (size_t n = 0; n < 8; n++) {
        struct os_out *o = NULL;
        CHECK(os_out_open(&o, path) == OK && os_out_write(o, "\2\0\0\0\0\0\0\0", n) == OK);
        CHECK(os_out_commit(&o) == OK);
        CHECK(safetensors_open(&s, path) == ERR_FORMAT);
    }
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct os_out *o = NULL;
        uint8_t        b[10] = { [8] = '{', [9] = '}' };
        bytes_put_le(b, lens[i], 8);
        CHECK(os_out_open(&o, path) == OK && os_out_write(o, b, sizeof b) == OK);
        CHECK(os_out_commit(&o) == OK);
        CHECK(safetensors_open(&s, path) == ERR_FORMAT);
        CHECK(strstr(err_text(ERR_FORMAT), path) != NULL);
    }
}

TEST(safetensors_opens_regular_files_only)
{
    struct safetensors *s = NULL;
    char                path[4096];

    snprintf(path, sizeof path, "%s", check_tmp("fifo.safetensors"));
    unlink(path);
    CHECK(mkfifo(path, 0600) == 0);
    CHECK(safetensors_open(&s, path) == ERR_FORMAT);
    unlink(path);
    CHECK(safetensors_open(&s, "/dev/null") == ERR_FORMAT);
    CHECK(safetensors_open(&s, "/") == ERR_FORMAT);
    CHECK(safetensors_open(&s, check_tmp("none.safetensors")) == ERR_MISSING);
    CHECK(strstr(err_text(ERR_MISSING), "none.safetensors") != NULL);
}

/* Not os_out: its flush to the disk would be most of the test. */
static void write_large(const char *path, const struct buf *b)
{
    FILE *f = fopen(path, "wb");

    CHECK(f && buf_err(b) == OK);
    bytes_put_le(b->p, b->len - 8, 8);
    CHECK(fwrite(b->p, 1, b->len, f) == b->len);
    CHECK(fclose(f) == 0);
}

/* A large header must be refused at the first byte that is wrong, or cost no document. */
TEST(safetensors_refuses_hostile_headers_in_little_time_and_memory)
{
    static const char *const hostile[][2] = { { "{\"a\":", "[" },
                                              { "{\"a\":", "{\"a\":" },
                                              { "{\"__metadata__\":{\"k\":\"", "x" },
                                              { "{\"__metadata__\":{\"k\":\"\"", ",\"\":\"\"" },
                                              { "{\"", "x" } };
    const char              *path = check_tmp("huge.safetensors");

    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct safetensors *s = NULL;
        struct buf          b;
        buf_init(&b, 30000000);
        buf_add_str(&b, "12345678");
        buf_add_str(&b, hostile[i][0]);
        while (b.len < 29000000)
            buf_add_str(&b, hostile[i][1]);
        write_large(path, &b);
        buf_fini(&b);
        int64_t t0_ns = os_now_ns();
        CHECK(safetensors_open(&s, path) == ERR_FORMAT);
        CHECK(os_now_ns() - t0_ns < LIMIT_NS);
    }
    unlink(path);
}

/* As many tensors as fit 100 MB: over the limit of tensors, refused before they fill the memory. */
TEST(safetensors_bounds_the_number_of_tensors)
{
    const char         *path = check_tmp("many.safetensors");
    struct safetensors *s = NULL;
    struct buf          b;

    buf_init(&b, 100000000);
    buf_add_str(&b, "12345678{");
    for (int i = 0; i < 1000000; i++)
        buf_add_fmt(&b, "%s\"%d\":" T("U8", "[0]", "[0,0]"), i ? "," : "", i);
    buf_add_str(&b, "}");
    write_large(path, &b);
    buf_fini(&b);
    int64_t t0_ns = os_now_ns();
    CHECK(safetensors_open(&s, path) == ERR_FORMAT);
    CHECK(strstr(err_text(ERR_FORMAT), "more than") != NULL);
    CHECK(os_now_ns() - t0_ns < LIMIT_NS);
    unlink(path);
}

TEST(safetensors_written_is_safetensors_read)
{
    static const float       x[] = { 1, 2, 3, 4, 5, 6 };
    static const int64_t     y[] = { -1 };
    static const uint8_t     z[] = { 7, 8, 9 };
    struct safetensors_entry e[] = {
        { .name = "z \"quoted\"", .dtype = DT_U8, .n_dim = 1, .n = { 3 }, .data = z, .size = 3 },
        { .name = "x", .dtype = DT_F32, .n_dim = 2, .n = { 2, 3 }, .data = x, .size = 24 },
        { .name = "y", .dtype = DT_I64, .n_dim = 0, .data = y, .size = 8 },
        { .name = "e", .dtype = DT_I32, .n_dim = 2, .n = { 4, 0 }, .size = 0 },
    };
    struct safetensors *s = NULL;
    const char         *path = check_tmp("written.safetensors");

    CHECK(safetensors_write(path, e, 4) == OK);
    CHECK(safetensors_open(&s, path) == OK);
    CHECK_INT(safetensors_count(s), 4);
    for (int i = 0; i < 4; i++) {
        const struct safetensors_entry *r = safetensors_find(s, e[i].name);
        CHECK(r && r->dtype == e[i].dtype && r->n_dim == e[i].n_dim && r->size == e[i].size);
        CHECK(memcmp(r->n, e[i].n, sizeof r->n) == 0);
        CHECK(r->size == 0 || memcmp(r->data, e[i].data, r->size) == 0);
    }
    safetensors_close(&s);
    CHECK(safetensors_write(path, NULL, 0) == OK);
    CHECK(safetensors_open(&s, path) == OK);
    CHECK_INT(safetensors_count(s), 0);
    safetensors_close(&s);
    CHECK(safetensors_write("/nowhere/x.safetensors", e, 4) != OK);
}

/* Shards: m.safetensors.index.json beside a.safetensors {x, y} and b.safetensors {z}. */
static const char *shards(const char *map)
{
    static char    path[4096];
    struct os_out *o = NULL;
    char           index[4200];

    snprintf(path, sizeof path, "%s", check_tmp("shards"));
    mkdir(path, 0700);
    file_with("shards/a.safetensors",
              "{\"x\":" T("U8", "[1]", "[0,1]") ",\"y\":" T("U8", "[1]", "[1,2]") "}", 2);
    file_with("shards/b.safetensors", "{\"z\":" T("U8", "[3]", "[0,3]") "}", 3);
    snprintf(path, sizeof path, "%s", check_tmp("shards/m.safetensors"));
    snprintf(index, sizeof index, "%s.index.json", path);
    CHECK(os_out_open(&o, index) == OK && os_out_write(o, map, strlen(map)) == OK);
    CHECK(os_out_commit(&o) == OK);
    return path;
}

static void refuse_shards(const char *map, enum err want, const char *word)
{
    struct safetensors *s = NULL;
    enum err            err = safetensors_open(&s, shards(map));

    if (err != want || !strstr(err_text(err), word))
        printf("# %s: %s\n", map, err_text(err));
    CHECK(err == want);
    CHECK(strstr(err_text(err), word) != NULL);
    CHECK(!s);
}

TEST(safetensors_follows_an_index)
{
    struct safetensors *s = NULL;
    const char         *path = shards("{\"metadata\":{\"total_size\":5},\"weight_map\":{"
                                              "\"z\":\"b.safetensors\",\"x\":\"a.safetensors\","
                                              "\"y\":\"a.safetensors\"}}");

    CHECK(safetensors_open(&s, path) == OK);
    CHECK_INT(safetensors_count(s), 3);
    const struct safetensors_entry *z = safetensors_find(s, "z");
    CHECK(z && z->size == 3 && strstr(safetensors_path(s, z), "shards/b.safetensors"));
    safetensors_close(&s);
}

TEST(safetensors_refuses_an_index_that_does_not_match)
{
#define A "\"x\":\"a.safetensors\",\"y\":\"a.safetensors\""
    refuse_shards("{\"weight_map\":{" A ",\"z\":\"b.safetensors\",\"w\":\"b.safetensors\"}}",
                  ERR_FORMAT, "'w'");
    refuse_shards("{\"weight_map\":{" A ",\"z\":\"a.safetensors\"}}", ERR_FORMAT, "'z'");
    refuse_shards("{\"weight_map\":{\"x\":\"a.safetensors\",\"z\":\"b.safetensors\"}}", ERR_FORMAT,
                  "'y'");
    refuse_shards("{\"weight_map\":{" A ",\"z\":\"c.safetensors\"}}", ERR_MISSING, "c.safetensors");
    refuse_shards("{\"weight_map\":{" A ",\"z\":3}}", ERR_FORMAT, "'z'");
    refuse_shards("{\"weight_map\":{}}", ERR_FORMAT, "weight_map");
    refuse_shards("{\"weight_map\":[]}", ERR_FORMAT, "weight_map");
    refuse_shards("{}", ERR_FORMAT, "weight_map");
    refuse_shards("[1]", ERR_FORMAT, "weight_map");
    refuse_shards("{", ERR_FORMAT, "index.json");
}

TEST(safetensors_keeps_shards_inside_the_folder)
{
    char path[4096], outside[4096], link_path[4096];

    refuse_shards("{\"weight_map\":{\"x\":\"../b.safetensors\"}}", ERR_FORMAT, "../b");
    refuse_shards("{\"weight_map\":{\"x\":\"/etc/passwd\"}}", ERR_FORMAT, "/etc/passwd");
    refuse_shards("{\"weight_map\":{\"x\":\"\"}}", ERR_FORMAT, "folder");
    refuse_shards("{\"weight_map\":{\"x\":\"a/../../b.safetensors\"}}", ERR_FORMAT, "folder");
    snprintf(outside, sizeof outside, "%s",
             file_with("outside.safetensors", "{\"x\":" T("U8", "[1]", "[0,1]") "}", 1));
    snprintf(path, sizeof path, "%s", shards("{\"weight_map\":{\"x\":\"l.safetensors\"}}"));
    snprintf(link_path, sizeof link_path, "%s", check_tmp("shards/l.safetensors"));
    unlink(link_path);
    CHECK(symlink(outside, link_path) == 0);
    struct safetensors *s = NULL;
    CHECK(safetensors_open(&s, path) == ERR_FORMAT);
    CHECK(strstr(err_text(ERR_FORMAT), "link") != NULL);
    unlink(link_path);
    CHECK(symlink("b.safetensors", link_path) == 0); /* inside: followed */
    refuse_shards("{\"weight_map\":{\"z\":\"l.safetensors\",\"q\":\"l.safetensors\"}}", ERR_FORMAT,
                  "'q'");
    CHECK(safetensors_open(&s, shards("{\"weight_map\":{\"z\":\"l.safetensors\"}}")) == OK);
    safetensors_close(&s);
    unlink(link_path);
}

/* The index of shards/m.safetensors becomes a link. */
static void refuse_link(const char *to, enum err want, const char *word)
{
    struct safetensors *s = NULL;
    const char         *path = shards("{\"weight_map\":{\"z\":\"b.safetensors\"}}");
    char                index[4200];

    snprintf(index, sizeof index, "%s.index.json", path);
    unlink(index);
    CHECK(symlink(to, index) == 0);
    CHECK_INT(safetensors_open(&s, path), want);
    printf("# %s\n", err_text(want));
    CHECK(strstr(err_text(want), "m.safetensors.index.json") && strstr(err_text(want), word));
    unlink(index);
}

TEST(safetensors_keeps_the_index_inside_the_folder)
{
    char                path[4096], index[4200], outside[4096], inside[4096];
    struct safetensors *s = NULL;

    snprintf(path, sizeof path, "%s", shards("{\"weight_map\":{\"z\":\"b.safetensors\"}}"));
    snprintf(index, sizeof index, "%s.index.json", path);
    snprintf(outside, sizeof outside, "%s", check_tmp("outside.json"));
    CHECK(rename(index, outside) == 0);
    refuse_link(outside, ERR_FORMAT, "leaves the model folder");
    refuse_link("/etc/passwd", ERR_FORMAT, "leaves the model folder");
    refuse_link("nowhere.json", ERR_MISSING, "not there");
    snprintf(inside, sizeof inside, "%s", check_tmp("shards/own.json"));
    CHECK(rename(outside, inside) == 0 && symlink("own.json", index) == 0);
    CHECK(safetensors_open(&s, path) == OK); /* inside: followed */
    safetensors_close(&s);
    unlink(index);
    unlink(inside);
}

static enum err open_and_close(const char *path)
{
    struct safetensors *s = NULL;
    enum err            err = safetensors_open(&s, path);

    safetensors_close(&s);
    return err;
}

TEST(safetensors_survives_running_out_of_memory)
{
    char path[4096];

    snprintf(path, sizeof path, "%s",
             file_with("oom.safetensors", "{\"a\":" T("U8", "[1]", "[0,1]") "}", 1));
    CHECK_OOM(open_and_close(path));
    snprintf(path, sizeof path, "%s", shards("{\"weight_map\":{\"z\":\"b.safetensors\"}}"));
    CHECK_OOM(open_and_close(path));
}
