/* SPDX-License-Identifier: MIT */
#include "base/trace.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "check.h"

/* Opens a trace in a file of its own. */
static void open_trace(char path[64])
{
    memcpy(path, "/tmp/parley-trace-XXXXXX", 25);
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    CHECK(trace_open(path) == OK);
}

static json_t *read_trace(const char *path)
{
    json_t *v = NULL;

    CHECK(json_read_file(&v, path, 64 << 20) == OK);
    unlink(path);
    return v;
}

/* The n-th event of this name; NULL past the last. */
static json_t *event(json_t *trace, const char *name, int n)
{
    json_t *all = json_object_get(trace, "traceEvents"), *e;
    size_t  i;

    json_array_foreach(all, i,
                       e) if (strcmp(json_string_value(json_object_get(e, "name")), name) == 0 &&
                              n-- == 0) return e;
    return NULL;
}

static const char *phase(json_t *e)
{
    return json_string_value(json_object_get(e, "ph"));
}

static json_t *arg(json_t *e, const char *name)
{
    return json_object_get(json_object_get(e, "args"), name);
}

static double at_us(json_t *e)
{
    return json_real_value(json_object_get(e, "ts"));
}

TEST(nothing_is_traced_until_a_trace_is_open)
{
    CHECK(!trace_is_on());
    trace_span(TRACE_ENGINE, "encode", 1, 0, 1, 2);
    trace_instant(TRACE_IO, "lag", 1, 0);
    trace_count(TRACE_IO, "queue", 3);
    CHECK(trace_close() == OK);
}

TEST(a_span_is_a_pair_with_its_frame_and_lane)
{
    char    path[64];
    int64_t t0_ns = os_now_ns();

    open_trace(path);
    trace_span(TRACE_ENGINE, "encode", trace_lane(3), 17, t0_ns + 5000000, t0_ns + 7000000);
    trace_span(TRACE_ENGINE, "step", trace_lane(0) | trace_lane(2), 17, t0_ns + 7000000,
               t0_ns + 8000000);
    CHECK(trace_close() == OK);
    CHECK(!trace_is_on());

    json_t *trace = read_trace(path);
    json_t *b = event(trace, "encode", 0), *e = event(trace, "encode", 1);
    CHECK(strcmp(phase(b), "B") == 0 && strcmp(phase(e), "E") == 0);
    CHECK(at_us(e) - at_us(b) > 1999.9 && at_us(e) - at_us(b) < 2000.1);
    CHECK(json_equal(json_object_get(b, "tid"), json_object_get(e, "tid")));
    CHECK_INT(json_integer_value(arg(b, "frame")), 17);
    CHECK_INT(json_integer_value(arg(b, "lane")), 3);
    json_t *lanes = arg(event(trace, "step", 0), "lanes");
    CHECK_INT((int)json_array_size(lanes), 2);
    CHECK_INT(json_integer_value(json_array_get(lanes, 1)), 2);
    CHECK(!event(trace, "encode", 2));
    json_decref(trace);
}

TEST(counts_and_instants_have_their_own_phases)
{
    char path[64];

    open_trace(path);
    trace_count(TRACE_ENGINE, "mic queue", 4);
    trace_instant(TRACE_IO, "lag", 0, 9);
    CHECK(trace_close() == OK);

    json_t *trace = read_trace(path);
    CHECK(strcmp(phase(event(trace, "mic queue", 0)), "C") == 0);
    CHECK_INT(json_integer_value(arg(event(trace, "mic queue", 0), "n")), 4);
    CHECK(strcmp(phase(event(trace, "lag", 0)), "i") == 0);
    CHECK(!arg(event(trace, "lag", 0), "lane"));
    CHECK(strcmp(json_string_value(arg(event(trace, "thread_name", 0), "name")), "engine") == 0);
    json_decref(trace);
}

/* More at once than a ring holds: what is lost is counted, and the file is whole. */
TEST(a_flood_is_counted)
{
    char path[64];
    int  n = 200000, n_kept = 0;

    open_trace(path);
    mem_forbid(true);
    for (int i = 0; i < n; i++)
        trace_count(TRACE_ENGINE, "flood", i);
    mem_forbid(false);
    CHECK(trace_close() == OK);

    json_t *trace = read_trace(path), *e;
    size_t  i;
    json_array_foreach(json_object_get(trace, "traceEvents"), i, e)
        n_kept += strcmp(phase(e), "C") == 0;
    json_t *dropped = json_object_get(json_object_get(trace, "otherData"), "dropped");
    CHECK(n_kept >= 16384);
    CHECK_INT(n_kept + (int)json_integer_value(dropped), n);
    json_decref(trace);
}

TEST(a_file_that_cannot_be_written_is_told)
{
    CHECK(trace_open("/nowhere/at/all") != OK);
    CHECK(!trace_is_on());
}

TEST(out_of_memory_opens_no_trace)
{
    char path[64] = "/dev/null";

    for (long n = 0; n < 50; n++) {
        mem_fail_after(n);
        enum err err = trace_open(path);
        mem_fail_after(-1);
        if (!err) {
            CHECK(trace_close() == OK);
            return;
        }
        CHECK(!trace_is_on());
    }
    CHECK(false);
}
