/* SPDX-License-Identifier: MIT */
/* Clock, threads, locks, signals, libraries. Files are in os_file.c. */
#include "base/os.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define NS_PER_S   1000000000
#define STACK_SIZE ((size_t)8 << 20) /* of a thread; musl gives 128 KiB, tiles of AMX take half */

typedef int64_t (*clock_fn)(void);

static _Atomic clock_fn owned_clock;

static int64_t real_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t os_now_ns(void)
{
    clock_fn now_ns = atomic_load_explicit(&owned_clock, memory_order_relaxed);
    return now_ns ? now_ns() : real_now_ns();
}

void os_set_clock(int64_t (*now_ns)(void))
{
    atomic_store(&owned_clock, now_ns);
}

int64_t os_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void os_sleep_until_ns(int64_t deadline_ns)
{
    for (;;) {
        int64_t ns = deadline_ns - os_now_ns();
        if (ns <= 0)
            return;
        /* Under a clock owned by a test nothing says when to wake: look every millisecond. */
        if (atomic_load_explicit(&owned_clock, memory_order_relaxed) && ns > 1000000)
            ns = 1000000;
        struct timespec t = { ns / NS_PER_S, ns % NS_PER_S };
        clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
    }
}

struct os_thread {
    pthread_t id;
    char      name[16];
    void (*fn)(void *);
    void *arg;
};

static void *thread_main(void *arg)
{
    struct os_thread *t = arg;
    pthread_setname_np(pthread_self(), t->name);
    t->fn(t->arg);
    return NULL;
}

enum err os_thread_start(struct os_thread **out, const char *name, void (*fn)(void *), void *arg)
{
    struct os_thread *t = mem_zalloc(sizeof *t);
    if (!t)
        return ERR_NOMEM;
    strncpy(t->name, name, sizeof t->name - 1);
    t->fn = fn;
    t->arg = arg;
    /* Stop signals go to the threads that were there first: the main thread. */
    sigset_t stop, before;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGHUP);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    pthread_sigmask(SIG_BLOCK, &stop, &before);
    int code = pthread_create(&t->id, &attr, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (code) {
        mem_free(t);
        return err_set(ERR_FAIL, "cannot start thread %s: %s", name, strerror(code));
    }
    *out = t;
    return OK;
}

void os_thread_join(struct os_thread **t)
{
    if (!*t)
        return;
    pthread_join((*t)->id, NULL);
    mem_free(*t);
    *t = NULL;
}

struct os_mutex {
    pthread_mutex_t m;
};

enum err os_mutex_open(struct os_mutex **out)
{
    struct os_mutex *m = mem_zalloc(sizeof *m);
    if (!m)
        return ERR_NOMEM;
    pthread_mutex_init(&m->m, NULL);
    *out = m;
    return OK;
}

void os_mutex_close(struct os_mutex **m)
{
    if (!*m)
        return;
    pthread_mutex_destroy(&(*m)->m);
    mem_free(*m);
    *m = NULL;
}

void os_mutex_lock(struct os_mutex *m)
{
    must(pthread_mutex_lock(&m->m) == 0);
}

void os_mutex_unlock(struct os_mutex *m)
{
    must(pthread_mutex_unlock(&m->m) == 0);
}

bool os_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

int os_terminal_width(void)
{
    struct winsize w = { 0 };
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0)
        return 80;
    return w.ws_col;
}

/* The handlers may be there already when who is woken changes. */
static volatile atomic_int *stop_flag;
static void (*volatile stop_wake)(void *);
static void *volatile stop_wake_arg;

static void on_stop(int sig)
{
    int saved = errno;
    void (*wake)(void *) = stop_wake;
    *stop_flag = sig;
    if (wake)
        wake(stop_wake_arg);
    errno = saved;
}

void os_on_stop_signals(volatile atomic_int *flag, void (*wake)(void *), void *arg)
{
    stop_flag = flag;
    stop_wake = NULL; /* never one function with another's argument */
    stop_wake_arg = arg;
    stop_wake = wake;
    /* No SA_RESTART: a read that waits must come back when somebody presses Ctrl-C. */
    struct sigaction stop = { .sa_handler = on_stop };
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    /* A terminal that is closed; who began with nohup stays. */
    struct sigaction before;
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &stop, NULL);
}

bool os_stop_came(void)
{
    return stop_flag && *stop_flag;
}

void os_guard_streams(void)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    sigemptyset(&ignore.sa_mask);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
    /* Opened for the wrong direction, so that using one still fails. */
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
            return;
}

int os_hush(void)
{
    fflush(stderr);
    int kept = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (kept >= 0 && null >= 0)
        dup2(null, STDERR_FILENO);
    if (null >= 0)
        close(null);
    return kept;
}

void os_unhush(int kept)
{
    if (kept < 0)
        return;
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
}

void os_touch(void *p, size_t len)
{
    enum { PAGE = 4096 }; /* the smallest there is */
    uint8_t *at = p;
    /* In one access: a read and then a write are two faults, the first for the page of zeros. */
    for (size_t i = 0; i < len; i += PAGE)
        __atomic_fetch_or(&at[i], 0, __ATOMIC_RELAXED);
    if (len > 0)
        __atomic_fetch_or(&at[len - 1], 0, __ATOMIC_RELAXED);
}

struct os_lib {
    void *handle;
};

enum err os_lib_open(struct os_lib **out, const char *const *names)
{
    struct os_lib *l = mem_zalloc(sizeof *l);
    if (!l)
        return ERR_NOMEM;
    for (const char *const *name = names; *name && !l->handle; name++)
        l->handle = dlopen(*name, RTLD_NOW | RTLD_LOCAL);
    if (!l->handle) {
        mem_free(l);
        return err_set(ERR_MISSING, "%s: library not found", names[0]);
    }
    *out = l;
    return OK;
}

void os_lib_close(struct os_lib **l)
{
    if (!*l)
        return;
    dlclose((*l)->handle);
    mem_free(*l);
    *l = NULL;
}

void *os_lib_symbol(struct os_lib *l, const char *name)
{
    return dlsym(l->handle, name);
}
