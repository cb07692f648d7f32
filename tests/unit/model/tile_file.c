/* SPDX-License-Identifier: MIT */
/* The bytes of a file of tiles, and which bytes are refused. */
#include "model/tile_file.h"

#include "check.h"

static struct tile_file plan_of(int n, size_t size, const char *tag)
{
    struct tile_file f;
    char             name[32];

    CHECK(tile_file_init(&f) == OK);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "matrix.%d", i);
        const struct tile_item item = { .name = name,
                                        .dtype = DT_Q4T,
                                        .n_out = 16,
                                        .n_in = 64,
                                        .group = 32,
                                        .size = size + (size_t)i };
        CHECK_INT(tile_file_add(&f, &item), i);
    }
    CHECK(tile_file_seal(&f, "/models/a/model.safetensors", tag) == OK);
    return f;
}

/* The whole file with data that counts up. */
static uint8_t *write_all(const struct tile_file *f)
{
    uint8_t *p = calloc(1, f->size);

    memcpy(p, f->head.p, f->head.len);
    for (size_t i = f->data_at; i < f->size; i++)
        p[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < tile_file_chunks(f); i++) {
        size_t at = f->data_at + i * TILE_FILE_CHUNK, left = f->size - at;
        bytes_put_le(p + f->head.len + 8 * i,
                     tile_file_sum(p + at, left < TILE_FILE_CHUNK ? left : TILE_FILE_CHUNK), 8);
    }
    return p;
}

static bool is_whole(const struct tile_file *f, struct bytes file)
{
    if (tile_file_check(f, file))
        return false;
    for (size_t i = 0; i < tile_file_chunks(f); i++)
        if (!tile_file_check_chunk(f, file, i))
            return false;
    return true;
}

TEST(tile_file_places_matrices_apart_and_aligned)
{
    struct tile_file f = plan_of(300, 1000, "q4");

    CHECK(f.data_at % 4096 == 0 && f.data_at >= f.head.len + 8 * tile_file_chunks(&f));
    for (int i = 0; i < f.n; i++) {
        uint64_t next = i + 1 < f.n ? f.item[i + 1].at : f.size;
        CHECK(f.item[i].at % 64 == 0 && f.item[i].at + f.item[i].size <= next);
        CHECK_INT(tile_file_find(&f, f.item[i].name), i);
    }
    CHECK_INT(tile_file_find(&f, "matrix.300"), -1);
    CHECK_INT(f.item[0].at, f.data_at);
    tile_file_fini(&f);
}

TEST(tile_file_keeps_the_place_of_a_name_that_comes_again)
{
    struct tile_file f;
    struct tile_item item = { "a", DT_BF16, 2, 3, 0, 12, 0 };

    CHECK(tile_file_init(&f) == OK);
    CHECK_INT(tile_file_add(&f, &item), 0);
    CHECK_INT(tile_file_add(&f, &item), 0);
    CHECK_INT(f.n, 1);
    item.n_in = 4; /* the name of another matrix */
    CHECK_INT(tile_file_add(&f, &item), -1);
    tile_file_fini(&f);
}

TEST(tile_file_takes_its_own_bytes_and_no_others)
{
    struct tile_file f = plan_of(5, 400000, "q4"), other = plan_of(5, 400000, "q8"),
                     shape = plan_of(5, 400001, "q4");
    uint8_t     *p = write_all(&f);
    struct bytes file = bytes_of(p, f.size);

    CHECK(is_whole(&f, file));
    CHECK(strstr(tile_file_check(&other, file), "weights"));
    CHECK(strstr(tile_file_check(&shape, file), "weights"));
    for (size_t len = 0; len < f.size; len += len < f.data_at ? 1 : 100003)
        CHECK(tile_file_check(&f, bytes_of(p, len)));
    CHECK(strstr(tile_file_check(&f, bytes_of(p, f.size - 1)), "cut"));
    free(p);
    tile_file_fini(&f);
    tile_file_fini(&other);
    tile_file_fini(&shape);
}

TEST(tile_file_sees_every_flipped_bit)
{
    struct tile_file f = plan_of(3, 700001, "q4");
    uint8_t         *p = write_all(&f);

    for (size_t i = 0; i < f.size; i += i < f.data_at ? 1 : 9973) {
        bool is_padding = i >= f.head.len + 8 * tile_file_chunks(&f) && i < f.data_at;
        p[i] = (uint8_t)(p[i] ^ 1 << i % 8);
        CHECK(is_padding || !is_whole(&f, bytes_of(p, f.size)));
        p[i] = (uint8_t)(p[i] ^ 1 << i % 8);
    }
    CHECK(strstr(tile_file_check(&f, bytes_of((uint8_t[64]){ 0 }, 64)), "no file of tiles"));
    p[8]++;
    CHECK(strstr(tile_file_check(&f, bytes_of(p, f.size)), "version"));
    free(p);
    tile_file_fini(&f);
}

TEST(tile_file_sum_sees_words_that_change_places)
{
    uint8_t p[200], q[200];

    for (int i = 0; i < 200; i++)
        p[i] = (uint8_t)(i * 11);
    for (int i = 0; i + 72 < 200; i++) { /* within a lane and between lanes */
        memcpy(q, p, sizeof q);
        memcpy(q + i, p + i + 64, 8);
        memcpy(q + i + 64, p + i, 8);
        CHECK(tile_file_sum(p, 200) != tile_file_sum(q, 200));
    }
    CHECK(tile_file_sum(p, 64) != tile_file_sum(p, 63));
    memset(p, 0, sizeof p);
    CHECK(tile_file_sum(p, 64) != tile_file_sum(p, 128));
}

TEST(tile_file_says_whose_it_is)
{
    struct tile_file f = plan_of(1, 100, "q4");
    char             path[64];

    CHECK(tile_file_source(path, sizeof path, buf_view(&f.head)));
    CHECK_STR(path, "/models/a/model.safetensors");
    CHECK(!tile_file_source(path, 10, buf_view(&f.head)));
    for (size_t len = 0; len < 44 + 27; len++)
        CHECK(!tile_file_source(path, sizeof path, bytes_of(f.head.p, len)));
    f.head.p[50] = 0; /* a path with an end inside */
    CHECK(!tile_file_source(path, sizeof path, buf_view(&f.head)));
    tile_file_fini(&f);
}

static enum err plan_and_seal(void)
{
    struct tile_file f;
    enum err         err = tile_file_init(&f);
    char             name[16];

    for (int i = 0; !err && i < 300; i++) {
        snprintf(name, sizeof name, "%d", i);
        const struct tile_item item = { .name = name, .dtype = DT_F32, .size = 4 };
        err = tile_file_add(&f, &item) < 0 ? ERR_NOMEM : OK;
    }
    if (!err)
        err = tile_file_seal(&f, "s", "t");
    tile_file_fini(&f);
    return err;
}

TEST(tile_file_survives_out_of_memory)
{
    CHECK_OOM(plan_and_seal());
}
