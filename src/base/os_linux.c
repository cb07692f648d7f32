/* SPDX-License-Identifier: MIT */
#include "base/os.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
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
static struct {
    pthread_once_t once;
    cpu_set_t     *set; /* NULL: not known */
    size_t         size;
    int            n; /* not 0 */
} given = { .once = PTHREAD_ONCE_INIT };

static atomic_bool was_pinned; /* any thread, ever */

/* The kernel refuses a set that is smaller than its own: machines with thousands of processors. */
static void read_given(void)
{
    for (int n_cpu = CPU_SETSIZE; n_cpu <= 1 << 20; n_cpu *= 2) {
        given.size = CPU_ALLOC_SIZE(n_cpu);
        given.set = CPU_ALLOC(n_cpu);
        if (given.set && sched_getaffinity(0, given.size, given.set) == 0) {
            given.n = CPU_COUNT_S(given.size, given.set);
            return;
        }
        int why = errno;
        CPU_FREE(given.set);
        given.set = NULL;
        if (why != EINVAL)
            break;
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    given.n = n > 0 && n < INT_MAX ? (int)n : 1;
}

int os_cpu_count(void)
{
    int n_quota = os_cgroup_cpus("");
    pthread_once(&given.once, read_given);
    return given.n < n_quota ? given.n : n_quota;
}

/* Not sysconf(): it multiplies by what shares a cache, and is wrong on virtual machines. */
size_t os_cache_size(void)
{
    size_t most = 0;

    for (int i = 0; i < 8; i++) {
        char   path[80], unit = 0;
        size_t size = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        FILE *file = fopen(path, "re");
        int   n = file ? fscanf(file, "%9zu%c", &size, &unit) : 0;
        if (file)
            fclose(file);
        size <<= n == 2 && unit == 'K' ? 10 : n == 2 && unit == 'M' ? 20 : 0;
        most = size > most ? size : most;
    }
    return most;
}

void os_pin(int i)
{
    pthread_once(&given.once, read_given);
    cpu_set_t *one = given.set ? CPU_ALLOC(8 * given.size) : NULL;
    if (!one)
        return;
    i %= given.n;
    CPU_ZERO_S(given.size, one);
    for (size_t cpu = 0; cpu < 8 * given.size; cpu++)
        if (CPU_ISSET_S(cpu, given.size, given.set) && i-- == 0)
            CPU_SET_S(cpu, given.size, one);
    /* A wish: it runs anywhere else as well. */
    if (sched_setaffinity(0, given.size, one) == 0)
        atomic_store(&was_pinned, true);
    CPU_FREE(one);
}

/* Where nothing is ever pinned the kernel is not asked: a filter of system calls may end the
 * process for it. */
void os_unpin(void)
{
    if (atomic_load(&was_pinned) && sched_setaffinity(0, given.size, given.set) != 0)
        return;
}

int os_cpu(void)
{
    return sched_getcpu();
}

void os_keep_off(int cpu)
{
    cpu_set_t others; /* enough but for machines with thousands, where nobody is in anybody's way */
    pthread_once(&given.once, read_given);
    if (atomic_load(&was_pinned) || !given.set || given.size > sizeof others || cpu < 0)
        return;
    memset(&others, 0, sizeof others);
    memcpy(&others, given.set, given.size);
    CPU_CLR_S((size_t)cpu, given.size, &others);
    /* A wish, too. */
    if (CPU_COUNT_S(given.size, &others) > 0 && sched_setaffinity(0, given.size, &others) != 0)
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
