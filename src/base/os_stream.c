/* SPDX-License-Identifier: MIT */
#include "base/os.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_MS 20          /* a signal just before a wait does not end it: it is looked for */
#define LAST_NS 250000000LL /* what a reader gets after the signal: Ctrl-C ends all in a second */
#define CHUNK   ((size_t)4096) /* a pipe that is ready takes that much without waiting */

/* True when fd is ready. False when last_ns have passed since a stop signal; *end_ns keeps that
 * deadline (0: no signal yet). What is wrong with fd is told by the call that follows. */
static bool wait_ready(int fd, short events, int64_t last_ns, int64_t *end_ns)
{
    struct pollfd p = { .fd = fd, .events = events };

    for (;;) {
        if (os_stop_came() && *end_ns == 0)
            *end_ns = os_now_ns() + last_ns;
        if (*end_ns && os_now_ns() >= *end_ns)
            return false;
        int n = poll(&p, 1, LOOK_MS);
        if (n > 0 || (n < 0 && errno != EINTR))
            return true;
    }
}

static bool is_passing(int e)
{
    return e == EINTR || e == EAGAIN;
}

enum err os_stream_write(int fd, const void *p, size_t len, const char *name)
{
    const uint8_t *at = p;
    struct stat    st;
    int64_t        end_ns = 0;
    bool           is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

    while (len) {
        if (!is_file && !wait_ready(fd, POLLOUT, LAST_NS, &end_ns))
            return err_set(ERR_INTERRUPTED, "%s: interrupted", name);
        ssize_t n = write(fd, at, is_file || len < CHUNK ? len : CHUNK);
        if (n < 0 && is_passing(errno))
            continue;
        if (n < 0)
            return err_set(ERR_IO, "%s: %s", name, strerror(errno));
        at += n;
        len -= (size_t)n;
    }
    return OK;
}

enum err os_stream_try(int fd, const void *p, size_t len, size_t *n, const char *name)
{
    const uint8_t *at = p;

    for (*n = 0; *n < len;) {
        struct pollfd ready = { .fd = fd, .events = POLLOUT };
        size_t        left = len - *n;
        if (poll(&ready, 1, 0) <= 0)
            return OK;
        ssize_t n_out = write(fd, at + *n, left < CHUNK ? left : CHUNK);
        if (n_out < 0 && is_passing(errno))
            return OK;
        if (n_out < 0)
            return err_set(ERR_IO, "%s: %s", name, strerror(errno));
        *n += (size_t)n_out;
    }
    return OK;
}

enum err os_stream_read(int fd, void *p, size_t cap, size_t *n, const char *name)
{
    int64_t end_ns = 0;

    for (;;) {
        if (!wait_ready(fd, POLLIN, 0, &end_ns))
            return err_set(ERR_INTERRUPTED, "%s: interrupted", name);
        ssize_t n_read = read(fd, p, cap);
        if (n_read < 0 && is_passing(errno))
            continue;
        if (n_read < 0)
            return err_set(ERR_IO, "%s: %s", name, strerror(errno));
        *n = (size_t)n_read;
        return OK;
    }
}
