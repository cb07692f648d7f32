/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

TEST(mem_size_of_an_overflow_is_never_granted)
{
    CHECK(mem_size(SIZE_MAX / 2, 3) == SIZE_MAX);
    CHECK(mem_size(7, 6) == 42);
    CHECK(!mem_alloc(mem_size(SIZE_MAX / 2, 3)));
}

TEST(mem_counts_what_lives)
{
    size_t n = mem_live_count();
    void  *p = mem_alloc(10), *q = mem_zalloc(0);
    char  *s = mem_strdup("abc");

    CHECK(p && q && s);
    CHECK_STR(s, "abc");
    CHECK_INT(mem_live_count(), n + 3);
    p = mem_realloc(p, 100000);
    CHECK(p);
    CHECK_INT(mem_live_count(), n + 3);
    mem_free(p);
    mem_free(q);
    mem_free(s);
    mem_free(NULL);
    CHECK_INT(mem_live_count(), n);
}

TEST(mem_fails_from_the_nth_allocation_on)
{
    mem_fail_after(2);
    void *a = mem_alloc(1), *b = mem_alloc(1), *c = mem_alloc(1), *d = mem_realloc(a, 2);
    mem_fail_after(-1);
    void *e = mem_alloc(1);
    CHECK(a && b && !c && !d && e);
    mem_free(a);
    mem_free(b);
    mem_free(e);
}

TEST(mem_dies_on_a_forbidden_allocation_when_strict)
{
    pid_t pid = fork();
    if (pid == 0) {
        setenv("PARLEY_MEM_STRICT", "1", 1);
        fclose(stderr);
        mem_forbid(true);
        _exit(mem_alloc(1) ? 0 : 1);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST(mem_counts_a_forbidden_allocation_when_not_strict)
{
    size_t n = mem_forbidden_count();
    unsetenv("PARLEY_MEM_STRICT");
    mem_forbid(true);
    void *p = mem_alloc(1);
    mem_forbid(false);
    setenv("PARLEY_MEM_STRICT", "1", 1);
    mem_free(p);
    CHECK(p);
    CHECK_INT(mem_forbidden_count(), n + 1);
}

TEST(arena_gives_aligned_zeroed_pieces)
{
    struct arena *a;

    CHECK(arena_open(&a, 1000) == OK);
    for (size_t size = 1; size < 5000; size = size * 3 + 1) {
        uint8_t *p = arena_take(a, size);
        CHECK(p && (uintptr_t)p % 64 == 0);
        for (size_t i = 0; i < size; i++)
            CHECK(p[i] == 0);
        memset(p, 0xff, size);
    }
    arena_close(&a);
    CHECK(!a);
}

TEST(arena_zeroes_again_after_a_reset_without_new_blocks)
{
    struct arena *a;

    CHECK(arena_open(&a, 256) == OK);
    for (int i = 0; i < 10; i++)
        memset(arena_take(a, 200), 0xff, 200);
    CHECK_INT(arena_used(a), 2560);
    size_t n = mem_live_count();
    arena_reset(a);
    CHECK_INT(arena_used(a), 0);
    for (int i = 0; i < 10; i++) {
        uint8_t *p = arena_take(a, 200);
        for (int k = 0; k < 200; k++)
            CHECK(p[k] == 0);
    }
    CHECK_INT(mem_live_count(), n);
    arena_close(&a);
}

TEST(arena_refuses_a_size_that_no_memory_has)
{
    struct arena *a;

    CHECK(arena_open(&a, 256) == OK);
    CHECK(!arena_take(a, SIZE_MAX));
    CHECK(!arena_take(a, SIZE_MAX - 100));
    CHECK(arena_take(a, 1));
    arena_close(&a);
}

static enum err fill_an_arena(void)
{
    struct arena *a = NULL;
    enum err      err = arena_open(&a, 128);

    for (int i = 0; i < 5 && !err; i++)
        err = arena_take(a, 100) ? OK : ERR_NOMEM;
    if (a)
        arena_close(&a);
    return err;
}

TEST(arena_survives_out_of_memory)
{
    CHECK_OOM(fill_an_arena());
}
