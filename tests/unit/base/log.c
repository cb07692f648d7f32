/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <unistd.h>

#include "base/metric.h"
#include "base/os.h"
#include "check.h"

/* What fn writes to stderr, as one string. */
static const char *capture(void (*fn)(void))
{
    static char text[1 << 20];
    char        path[4096];

    snprintf(path, sizeof path, "%s", check_tmp("log.txt"));
    int   saved = dup(2);
    FILE *f = fopen(path, "w+");
    must(saved >= 0 && f);
    dup2(fileno(f), 2);
    fn();
    dup2(saved, 2);
    close(saved);
    rewind(f);
    size_t len = fread(text, 1, sizeof text - 1, f);
    text[len] = '\0';
    fclose(f);
    return text;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

static void one_of_each(void)
{
    log_error("e");
    log_info("opened mode=%s lane=%d", "duplex", 3);
    log_debug("d");
}

TEST(log_writes_lines_up_to_its_level)
{
    log_set_level(LOG_INFO);
    const char *text = capture(one_of_each);
    CHECK(strstr(text, " error e\n"));
    CHECK(strstr(text, " info  opened mode=duplex lane=3\n"));
    CHECK(!strstr(text, "debug"));
    log_set_level(LOG_DEBUG);
    CHECK(strstr(capture(one_of_each), "debug d\n"));
    log_set_level(LOG_INFO);
}

static void forge(void)
{
    log_info("name=%s", "x\n12:00:00.000 error forged");
}

TEST(log_keeps_what_a_client_sent_in_one_line)
{
    CHECK_INT(count(capture(forge), "\n"), 1);
}

static void write_many(void *arg)
{
    for (int i = 0; i < 200; i++)
        log_info("line thread=%c n=%d", *(char *)arg, i);
}

static void write_from_threads(void)
{
    struct os_thread *t[4];

    CHECK(log_start() == OK);
    for (int i = 0; i < 4; i++)
        CHECK(os_thread_start(&t[i], "writer", write_many, &"abcd"[i]) == OK);
    for (int i = 0; i < 4; i++)
        os_thread_join(&t[i]);
    log_stop();
}

TEST(log_prints_each_threads_lines_whole_and_in_order)
{
    const char *text = capture(write_from_threads);
    CHECK_INT(count(text, "line thread="), 800);
    CHECK_INT(count(text, "\n"), 800);
    for (int k = 0; k < 4; k++) {
        const char *at = text;
        char        want[64];
        for (int i = 0; i < 200; i++) {
            snprintf(want, sizeof want, "line thread=%c n=%d\n", "abcd"[k], i);
            at = strstr(at, want);
            CHECK(at);
        }
    }
}

/* stderr is a full pipe: the keeper hangs in its write, the others must not. */
static void flood(void *arg)
{
    for (int i = 0; i < 5000; i++)
        log_info("flood n=%d %0200d", i, 0);
}

TEST(log_drops_and_counts_when_nobody_reads)
{
    int     pipe_fd[2], saved = dup(2);
    char    sink[65536];
    int64_t n_before = metric_get(M_LOG_DROPPED_TOTAL);

    CHECK(saved >= 0 && pipe(pipe_fd) == 0);
    dup2(pipe_fd[1], 2);
    close(pipe_fd[1]);
    CHECK(log_start() == OK);
    flood(NULL); /* a log that waits would hang here */
    int64_t           n_dropped = metric_get(M_LOG_DROPPED_TOTAL) - n_before;
    struct os_thread *stopper;
    CHECK(os_thread_start(&stopper, "stopper", (void (*)(void *))log_stop, NULL) == OK);
    size_t n_read = 0;
    while (n_read < 1000 * 200) {
        ssize_t n = read(pipe_fd[0], sink, sizeof sink);
        CHECK(n > 0);
        n_read += (size_t)n;
    }
    dup2(saved, 2);
    while (read(pipe_fd[0], sink, sizeof sink) > 0)
        ;
    os_thread_join(&stopper);
    close(pipe_fd[0]);
    close(saved);
    CHECK(n_dropped > 3000);
}

static void log_when_forbidden(void)
{
    mem_forbid(true);
    log_info("from inside a tick");
    mem_forbid(false);
    log_stop();
}

TEST(log_allocates_nothing_for_a_line)
{
    CHECK(log_start() == OK);
    CHECK(strstr(capture(log_when_forbidden), "from inside a tick"));
}

TEST(log_level_has_a_name)
{
    enum log_level level;

    CHECK(log_parse_level(&level, "debug") == OK && level == LOG_DEBUG);
    CHECK(log_parse_level(&level, "loud") == ERR_USAGE);
    CHECK(log_parse_level(&level, "none") == OK && level == LOG_NONE);
    CHECK(strstr(err_text(ERR_USAGE), "loud"));
}

static enum err start_and_stop(void)
{
    enum err err = log_start();
    log_stop();
    return err;
}

TEST(log_start_survives_out_of_memory)
{
    CHECK_OOM(start_and_stop());
}
