/* SPDX-License-Identifier: MIT */
#include "base/os.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/os_cgroup.h"

enum err os_exe_dir(char *out, size_t cap)
{
    char    path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n < 0)
        return err_set(ERR_IO, "/proc/self/exe: %s", strerror(errno));
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    if (strlen(path) >= cap)
        return err_set(ERR_LIMIT, "%s: path too long", path);
    memcpy(out, path, strlen(path) + 1);
    return OK;
}

/* The processors that the process was given, before any of its threads was pinned. */
static pthread_once_t given_once = PTHREAD_ONCE_INIT;
static cpu_set_t      given;

static void read_given(void)
{
    if (sched_getaffinity(0, sizeof given, &given) != 0)
        CPU_ZERO(&given);
}

int os_cpu_count(void)
{
    int n_quota = os_cgroup_cpus("");
    pthread_once(&given_once, read_given);
    int n = CPU_COUNT(&given) < n_quota ? CPU_COUNT(&given) : n_quota;
    return n > 0 ? n : 1;
}

void os_pin(int i)
{
    cpu_set_t one;
    pthread_once(&given_once, read_given);
    if (CPU_COUNT(&given) == 0)
        return;
    i %= CPU_COUNT(&given);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &given) && i-- == 0)
            CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) /* a wish: it runs anywhere else as well */
        return;
}

void os_unpin(void)
{
    pthread_once(&given_once, read_given);
    if (CPU_COUNT(&given) > 0 && sched_setaffinity(0, sizeof given, &given) != 0)
        return;
}

void os_lower_priority(void)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19); /* Linux has it for each thread */
}

void os_futex_wait(_Atomic uint32_t *word, uint32_t expect, int64_t deadline_ns)
{
    struct timespec left, *timeout = NULL;
    if (deadline_ns != INT64_MAX) {
        /* Relative, so that a clock owned by a test stays the judge of the deadline. */
        int64_t ns = deadline_ns - os_now_ns();
        if (ns <= 0)
            return;
        left = (struct timespec){ ns / 1000000000, ns % 1000000000 };
        timeout = &left;
    }
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expect, timeout, NULL, 0);
}

void os_futex_wake(_Atomic uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

enum err os_random(void *p, size_t len)
{
    uint8_t *at = p;
    while (len) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(ERR_IO, "no random bytes: %s", strerror(errno));
        at += n;
        len -= (size_t)n;
    }
    return OK;
}
