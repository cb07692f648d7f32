/* SPDX-License-Identifier: MIT */
#include "base/os.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

#define MS 1000000

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    must(f);
    fputs(text, f);
    fclose(f);
}

static bool has(const char *path, const char *text)
{
    struct buf b;

    buf_init(&b, 1000);
    bool is_equal = os_read_file(&b, path) == OK && bytes_equal(buf_view(&b), bytes_str(text));
    buf_fini(&b);
    return is_equal;
}

TEST(os_maps_a_file)
{
    struct os_map m;

    put(check_tmp("map"), "hello");
    CHECK(os_map_open(&m, check_tmp("map")) == OK);
    CHECK(bytes_equal(m.view, bytes_str("hello")));
    os_map_close(&m);
    put(check_tmp("map"), "");
    CHECK(os_map_open(&m, check_tmp("map")) == OK && m.view.len == 0);
    os_map_close(&m);
}

TEST(os_reads_only_regular_files_and_never_waits_for_a_fifo)
{
    struct os_map m;

    CHECK(mkfifo(check_tmp("fifo"), 0600) == 0);
    CHECK(os_map_open(&m, check_tmp("fifo")) == ERR_FORMAT);
    CHECK(os_map_open(&m, "/") == ERR_FORMAT);
    CHECK(os_map_open(&m, "/dev/zero") == ERR_FORMAT);
    CHECK(os_map_open(&m, "/nowhere") == ERR_MISSING);
    CHECK(strstr(err_text(ERR_MISSING), "/nowhere"));
}

TEST(os_read_file_stops_at_the_cap)
{
    struct buf b;

    put(check_tmp("ten"), "0123456789");
    buf_init(&b, 9);
    CHECK(os_read_file(&b, check_tmp("ten")) == ERR_LIMIT);
    buf_fini(&b);
}

TEST(os_out_file_appears_whole_or_not_at_all)
{
    struct os_out *o;
    char           path[PATH_MAX];

    snprintf(path, sizeof path, "%s", check_tmp("out"));
    put(path, "before");
    CHECK(os_out_open(&o, path) == OK);
    CHECK(os_out_write(o, "xxter", 5) == OK);
    CHECK(has(path, "before"));
    CHECK(os_out_seek(o, 0) == OK);
    CHECK(os_out_write(o, "af", 2) == OK);
    CHECK(os_out_commit(&o) == OK && !o);
    CHECK(has(path, "after"));
    CHECK(os_out_open(&o, path) == OK);
    CHECK(os_out_write(o, "half", 4) == OK);
    os_out_cancel(&o);
    CHECK(!o && has(path, "after"));
}

TEST(os_out_leaves_no_other_file)
{
    struct os_out *o;
    char           dir[PATH_MAX], path[PATH_MAX + 8];

    snprintf(dir, sizeof dir, "%s", check_tmp("alone"));
    snprintf(path, sizeof path, "%s/x", dir);
    CHECK(mkdir(dir, 0700) == 0);
    CHECK(os_out_open(&o, path) == OK);
    CHECK(os_out_write(o, "x", 1) == OK);
    os_out_cancel(&o);
    CHECK(rmdir(dir) == 0); /* only an empty folder goes */
}

TEST(os_out_writes_through_a_link_and_into_a_device)
{
    struct os_out *o;
    char           link[PATH_MAX], path[PATH_MAX];
    struct stat    st;

    snprintf(link, sizeof link, "%s", check_tmp("link"));
    snprintf(path, sizeof path, "%s", check_tmp("target"));
    put(path, "old");
    CHECK(symlink(path, link) == 0);
    CHECK(os_out_open(&o, link) == OK);
    CHECK(os_out_write(o, "new", 3) == OK);
    CHECK(os_out_commit(&o) == OK);
    CHECK(lstat(link, &st) == 0 && S_ISLNK(st.st_mode) && has(path, "new"));
    CHECK(os_out_open(&o, "/dev/null") == OK);
    CHECK(os_out_write(o, "x", 1) == OK);
    CHECK(os_out_commit(&o) == OK);
    CHECK(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
}

TEST(os_out_makes_what_a_link_points_to)
{
    struct os_out *o = NULL;
    char           link[PATH_MAX], path[PATH_MAX];
    struct stat    st;

    snprintf(link, sizeof link, "%s", check_tmp("link.to.nothing"));
    snprintf(path, sizeof path, "%s", check_tmp("not.yet"));
    CHECK(symlink(strrchr(path, '/') + 1, link) == 0);
    CHECK(os_out_open(&o, link) == OK && os_out_write(o, "new", 3) == OK);
    CHECK(os_out_commit(&o) == OK);
    CHECK(lstat(link, &st) == 0 && S_ISLNK(st.st_mode) && has(path, "new"));
    CHECK(unlink(link) == 0 && symlink(link, link) == 0);
    CHECK(os_out_open(&o, link) == ERR_MISSING && !o);
}

TEST(os_out_writes_where_a_descriptor_of_ours_is)
{
    struct os_out *o = NULL;
    char           path[PATH_MAX], name[64];

    snprintf(path, sizeof path, "%s", check_tmp("shared"));
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0 && write(fd, "before ", 7) == 7);
    snprintf(name, sizeof name, "/dev/fd/%d", fd);
    CHECK(os_out_open(&o, name) == OK && os_out_write(o, "xxside", 6) == OK);
    CHECK(os_out_seek(o, 0) == OK && os_out_write(o, "in", 2) == OK);
    CHECK(os_out_commit(&o) == OK && write(fd, " after", 6) == 6);
    CHECK(has(path, "before inside after"));
    CHECK(fcntl(fd, F_SETFL, O_APPEND) == 0);
    CHECK(os_out_open(&o, name) == OK && os_out_write(o, "!", 1) == OK);
    CHECK(os_out_seek(o, 0) == ERR_IO);
    CHECK(os_out_commit(&o) == OK && has(path, "before inside after!"));
    close(fd);
    CHECK(os_out_open(&o, name) == ERR_MISSING && !o);
}

TEST(os_knows_one_place_under_two_names)
{
    char path[PATH_MAX], other[PATH_MAX], dir[PATH_MAX];

    snprintf(path, sizeof path, "%s", check_tmp("place"));
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    snprintf(other, sizeof other, "%.*s/./%s", PATH_MAX / 2, dir, "place");
    CHECK(!os_is_file(path) && os_is_same_place(path, other));
    CHECK(!os_is_same_place(path, "/place"));
    CHECK(!os_is_same_place("/nowhere/a", "/nowhere/a/.."));
    snprintf(other, sizeof other, "%s", check_tmp("place.link"));
    CHECK(symlink(path, other) == 0 && os_is_same_place(path, other));
    CHECK(os_is_same_place("/dev/stdout", "/dev/fd/1"));
}

TEST(os_out_says_why_it_cannot_write)
{
    struct os_out *o = NULL;

    CHECK(os_out_open(&o, "/nowhere/x.wav") == ERR_MISSING && !o);
    CHECK(os_out_open(&o, "/") == ERR_IO && !o);
    CHECK(os_out_open(&o, "/dev/full") == OK);
    CHECK(os_out_write(o, "x", 1) == ERR_IO);
    os_out_cancel(&o);
}

static enum err write_a_file(void)
{
    struct os_out *o = NULL;
    enum err       err = os_out_open(&o, check_tmp("oom"));
    if (!err)
        err = os_out_commit(&o);
    return err;
}

TEST(os_out_survives_out_of_memory)
{
    CHECK_OOM(write_a_file());
}

TEST(os_join_puts_one_slash)
{
    char s[8];

    CHECK(os_join(s, sizeof s, "a", "b") == OK);
    CHECK_STR(s, "a/b");
    CHECK(os_join(s, sizeof s, "a/", "b") == OK);
    CHECK_STR(s, "a/b");
    CHECK(os_join(s, sizeof s, "abcd", "efgh") == ERR_LIMIT);
}

TEST(os_tells_a_link_from_what_it_leads_to)
{
    char file[4096], link[4096];

    snprintf(link, sizeof link, "%s", check_tmp("own-link"));
    snprintf(file, sizeof file, "%s", check_tmp("linked"));
    unlink(link);
    CHECK(symlink(file, link) == 0);
    CHECK(os_is_link(link) && !os_is_file(link)); /* to no file yet */
    put(file, "x");
    CHECK(os_is_link(link) && os_is_file(link) && !os_is_link(file));
    unlink(link);
    CHECK(!os_is_link(link));
}

TEST(os_knows_where_the_program_is)
{
    char dir[PATH_MAX], real[PATH_MAX];

    CHECK(os_exe_dir(dir, sizeof dir) == OK && os_is_dir(dir));
    CHECK(os_real_path(real, sizeof real, "/proc/self/exe") == OK);
    CHECK(strncmp(real, dir, strlen(dir)) == 0 && os_is_file(real));
    CHECK(os_real_path(real, sizeof real, "/nowhere") == ERR_MISSING);
}

static int64_t fixed_clock(void)
{
    return 42;
}

TEST(os_clock_can_be_owned_by_a_test)
{
    os_set_clock(fixed_clock);
    int64_t t = os_now_ns();
    os_set_clock(NULL);
    CHECK_INT(t, 42);
    CHECK(os_now_ns() != 42);
}

TEST(os_sleeps_until_the_deadline)
{
    int64_t deadline = os_now_ns() + 5 * MS;
    os_sleep_until_ns(deadline);
    CHECK(os_now_ns() >= deadline);
}

static float product(float a, float b)
{
    volatile float x = a, y = b;
    return x * y;
}

static void multiply_flushed(void *arg)
{
    os_flush_denormals();
    CHECK(product(1e-30f, 1e-10f) == 0); /* the result is denormal */
    CHECK(product(1e-40f, 1e10f) == 0);  /* an input is */
}

TEST(os_flushes_denormals_on_the_calling_thread_only)
{
    struct os_thread *t;

    CHECK(os_thread_start(&t, "flush", multiply_flushed, NULL) == OK);
    os_thread_join(&t);
    CHECK(product(1e-30f, 1e-10f) != 0);
}

static void wake_after_a_while(void *arg)
{
    _Atomic uint32_t *word = arg;

    os_sleep_until_ns(os_now_ns() + 10 * MS);
    atomic_store(word, 1);
    os_futex_wake(word, INT_MAX);
}

TEST(os_futex_sleeps_until_woken_or_late)
{
    _Atomic uint32_t  word = 0;
    struct os_thread *t;

    int64_t t0 = os_now_ns();
    while (os_now_ns() < t0 + 5 * MS)
        os_futex_wait(&word, 0, t0 + 5 * MS);
    os_futex_wait(&word, 7, INT64_MAX); /* another value: no sleep */
    CHECK(os_thread_start(&t, "waker", wake_after_a_while, &word) == OK);
    while (atomic_load(&word) == 0)
        os_futex_wait(&word, 0, INT64_MAX);
    os_thread_join(&t);
}

static volatile atomic_int stop_flag;
static volatile int        n_wake;

static void on_wake(void *arg)
{
    n_wake += *(int *)arg;
}

TEST(os_stop_signals_set_the_flag_and_wake)
{
    static int one = 1;

    os_on_stop_signals(&stop_flag, on_wake, &one);
    raise(SIGTERM);
    CHECK_INT(stop_flag, SIGTERM);
    raise(SIGINT);
    CHECK_INT(stop_flag, SIGINT);
    CHECK_INT(n_wake, 2);
    os_guard_streams();
    raise(SIGPIPE); /* ignored */
}

/* The signal is there before the wait begins: nothing will interrupt it. */
TEST(a_stop_signal_ends_who_waits_for_a_pipe)
{
    static uint8_t all[1 << 20];
    struct os_out *o = NULL;
    int            fd[2];
    char           fifo[PATH_MAX], got[8];
    size_t         n = 0;

    snprintf(fifo, sizeof fifo, "%s", check_tmp("nobody.reads"));
    CHECK(mkfifo(fifo, 0600) == 0 && pipe(fd) == 0);
    os_on_stop_signals(&stop_flag, NULL, NULL);
    stop_flag = 0;
    CHECK(!os_stop_came());
    CHECK(os_stream_write(fd[1], "four", 4, "pipe") == OK);
    CHECK(os_stream_read(fd[0], got, sizeof got, &n, "pipe") == OK && n == 4);
    raise(SIGINT);
    CHECK(os_stop_came());
    CHECK(os_stream_read(fd[0], got, sizeof got, &n, "pipe") == ERR_INTERRUPTED);
    CHECK(os_stream_write(fd[1], "who reads gets it", 17, "pipe") == OK);
    CHECK(os_stream_write(fd[1], all, sizeof all, "pipe") == ERR_INTERRUPTED);
    CHECK(strstr(err_text(ERR_INTERRUPTED), "pipe"));
    CHECK(os_out_open(&o, fifo) == ERR_INTERRUPTED && !o);
    CHECK(os_out_open(&o, check_tmp("whole")) == OK); /* a file waits for nobody */
    CHECK(os_out_write(o, all, sizeof all) == OK && os_out_commit(&o) == OK);
    stop_flag = 0;
    close(fd[0]);
    close(fd[1]);
}

TEST(os_loads_the_first_library_that_is_there)
{
    static const char *const names[] = { "libnowhere.so.9", "libm.so.6", NULL }, *const none[] = {
        "libnowhere.so", NULL
    };
    struct os_lib *l = NULL;

    CHECK(os_lib_open(&l, names) == OK);
    CHECK(os_lib_symbol(l, "cos") && !os_lib_symbol(l, "no_such_name"));
    os_lib_close(&l);
    CHECK(!l && os_lib_open(&l, none) == ERR_MISSING);
}

TEST(os_random_bytes_differ)
{
    uint8_t a[32] = { 0 }, b[32] = { 0 };

    CHECK(os_random(a, sizeof a) == OK && os_random(b, sizeof b) == OK);
    CHECK(memcmp(a, b, sizeof a) != 0);
}

static void keep_off(void *arg)
{
    cpu_set_t *set = arg;
    for (int k = 0; k < 2; k++) { /* another one the second time, if there are several */
        int cpu = os_cpu();
        os_keep_off(cpu);
        sched_getaffinity(0, sizeof *set, set);
        CHECK(CPU_ISSET(os_cpu(), set));
        CHECK(!CPU_ISSET(cpu, set) || os_cpu_count() == 1);
    }
}

/* Before anything is pinned: later it stays where it is. */
TEST(a_thread_keeps_off_a_processor)
{
    struct os_thread *t;
    cpu_set_t         all, set;

    sched_getaffinity(0, sizeof all, &all);
    CHECK(os_thread_start(&t, "aside", keep_off, &set) == OK);
    os_thread_join(&t);
    CHECK(CPU_COUNT(&all) == 1 || CPU_COUNT(&set) == CPU_COUNT(&all) - 1);
}

/* What a pinned thread sees, and after it was let go. */
struct pinned {
    cpu_set_t first, second, after;
    int       n_cpu;
};

static void pin_thread(void *arg)
{
    struct pinned *p = arg;

    os_pin(0);
    sched_getaffinity(0, sizeof p->first, &p->first);
    os_pin(1);
    sched_getaffinity(0, sizeof p->second, &p->second);
    p->n_cpu = os_cpu_count();
    os_unpin();
    sched_getaffinity(0, sizeof p->after, &p->after);
}

TEST(a_pinned_thread_knows_the_other_processors)
{
    struct os_thread *t;
    struct pinned     p;
    int               n_before = os_cpu_count();

    CHECK(os_thread_start(&t, "pinned", pin_thread, &p) == OK);
    os_thread_join(&t);
    CHECK(CPU_COUNT(&p.first) == 1 && CPU_COUNT(&p.second) == 1);
    CHECK(CPU_EQUAL(&p.first, &p.second) == (CPU_COUNT(&p.after) == 1));
    CHECK(p.n_cpu == n_before && os_cpu_count() == n_before);
    CHECK(CPU_COUNT(&p.after) >= n_before);
}

/* Pages that were never written, with what they hold afterwards. */
TEST(touched_memory_keeps_its_bytes)
{
    static uint8_t p[3 * 4096 + 5];

    memset(p, 0x5a, sizeof p);
    os_touch(p + 1, sizeof p - 1);
    os_touch(p, 0);
    for (size_t i = 0; i < sizeof p; i++)
        CHECK(p[i] == 0x5a);
}

TEST(os_counts_at_least_one_processor)
{
    CHECK(os_cpu_count() >= 1);
}
