/* SPDX-License-Identifier: MIT */
#include "backend/be_pool.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/os.h"

#define LINE            64      /* each side's word on a cache line of its own */
#define SPINS_A_LOOK    64      /* spins between two looks at the clock */
#define SPINS_MAX       400000  /* about 10 ms: also ends a spin when a test owns the clock */
#define LINGER_NS       50000   /* spinning after a region */
#define ROUSED_NS       1000000 /* spinning after be_pool_rouse() */
#define ROUSING_NS      150000  /* that it takes at most */
#define LATE_NS         2000000 /* a wait inside a region: our processor is taken */
#define CROWDED_NS      5000    /* spinning while the machine is crowded */
#define LATE_MAX        4       /* late waits in a row of regions that make a crowd */
#define CROWDED_REGIONS 16      /* of a whole frame each */
#define MOVE_NS         1000000 /* between two moves of a worker out of the way */
#define GRACE_SPINS     32      /* a microsecond or two: who is awake has come by then */
#define STACK_SIZE      98304   /* more than any kernel takes */

/* A thread that waits, and what it asks for meanwhile: its part of `what`, of which it has asked
 * for `at`. */
struct waiter {
    struct ahead what;
    uint32_t     n_known; /* when it was copied */
    int          i;       /* the thread */
    size_t       at;
    int64_t      moved_ns; /* when it last made way */
};

struct worker {
    char              pad[LINE];
    _Atomic uint32_t  taken; /* the last job of which somebody took its slice */
    _Atomic uint32_t  done;  /* and of which it is done */
    struct be_pool   *pool;
    struct waiter     waiter;
    struct os_thread *thread;
};

struct be_pool {
    /* fixed after open */
    int  n;
    bool is_crowded_always; /* more threads than processors */
    /* poster only */
    int             n_late;
    bool            is_held;
    struct be_ahead trail;
    struct waiter   waiter;
    /* the poster writes, then counts epoch up; workers read after they have seen it */
    be_pool_fn   fn;
    void        *arg;
    struct ahead ahead;   /* after this job, or after the last one that said where it reads */
    uint32_t     n_known; /* jobs that did */
    bool         is_closing;
    /* any of them */
    char             pad_a[LINE];
    _Atomic uint32_t epoch; /* jobs posted */
    char             pad_b[LINE];
    _Atomic uint32_t is_in_region;
    _Atomic int      poster_cpu; /* when it last began a region or woke somebody */
    _Atomic int64_t  roused_ns;  /* until when idle workers spin */
    _Atomic int      crowded;    /* regions until spinning is tried again */
    _Atomic int      n_asleep;   /* workers asleep on epoch */
    _Atomic uint32_t is_poster_asleep;
    char             pad_c[LINE];
    struct worker    worker[]; /* [n - 1] */
};

bool be_pool_is_crowded(const struct be_pool *p)
{
    return p->is_crowded_always || atomic_load_explicit(&p->crowded, memory_order_relaxed) > 0;
}

/* A thread has done its part of the job: what it is going to read next. */
static void look_ahead(const struct be_pool *p, struct waiter *me)
{
    if (me->n_known == p->n_known)
        return;
    me->n_known = p->n_known;
    me->what = p->ahead;
    me->at = 0;
}

/* Where two share a processor, one spins while the other could compute. Systems like to wake a
 * thread beside who wakes it, virtual ones even if another processor sleeps: a worker that finds
 * itself there keeps off it from then on. */
static void make_way(struct be_pool *p, struct waiter *me)
{
    int cpu = os_cpu();
    if (cpu < 0 || cpu != atomic_load_explicit(&p->poster_cpu, memory_order_relaxed))
        return;
    int64_t now_ns = os_now_ns();
    if (now_ns - me->moved_ns < MOVE_NS)
        return;
    me->moved_ns = now_ns;
    os_keep_off(cpu);
}

/* Spins until *word is not old. False: time to sleep. */
static bool spin(struct be_pool *p, _Atomic uint32_t *word, uint32_t old, struct waiter *me)
{
    bool    is_worker = me->i > 0;
    int64_t t0_ns = os_now_ns();
    for (int i = 1; i <= SPINS_MAX; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != old)
            return true;
        if (!be_ahead_ask(&me->what, me->i, &me->at))
            os_cpu_relax();
        if (i % SPINS_A_LOOK)
            continue;
        if (is_worker)
            make_way(p, me);
        int64_t now_ns = os_now_ns(), spent_ns = now_ns - t0_ns;
        bool    idle = is_worker && !atomic_load_explicit(&p->is_in_region, memory_order_relaxed);
        if (idle && now_ns < atomic_load_explicit(&p->roused_ns, memory_order_relaxed))
            continue;
        if (spent_ns > (be_pool_is_crowded(p) ? CROWDED_NS : idle ? LINGER_NS : LATE_NS))
            return false;
    }
    return false;
}

/* Sleeping and waking are Dekker's handshake: each side first says what it does, then looks at the
 * other's word, both sequentially consistent; the futex compares once more. */
static void wait_job(struct be_pool *p, uint32_t seen, struct waiter *me)
{
    while (!spin(p, &p->epoch, seen, me)) {
        atomic_fetch_add(&p->n_asleep, 1);
        if (atomic_load(&p->epoch) == seen)
            os_futex_wait(&p->epoch, seen, INT64_MAX);
        make_way(p, me);
        atomic_fetch_sub(&p->n_asleep, 1);
    }
}

/* Of each slice of job `epoch` one thread becomes the one that runs it. */
static bool take(struct worker *w, uint32_t epoch)
{
    uint32_t before = epoch - 1;
    return atomic_compare_exchange_strong(&w->taken, &before, epoch);
}

/* Who was late for all of the warm-up finds the pages of its stack in a frame, else. */
static void touch_stack(void)
{
    volatile uint8_t page[STACK_SIZE];

    for (size_t i = 0; i < sizeof page; i += 4096)
        page[i] = 0;
}

static void work(void *arg)
{
    struct worker  *w = arg;
    struct be_pool *p = w->pool;
    os_flush_denormals();
    touch_stack();
    mem_forbid(true); /* it does slices of steps and nothing else */
    for (uint32_t seen = 0;;) {
        wait_job(p, seen, &w->waiter);
        seen = atomic_load_explicit(&p->epoch, memory_order_acquire);
        if (!take(w, seen))
            continue; /* it has been done, and `p` may be about another job already */
        if (p->is_closing)
            return;
        p->fn(p->arg, w->waiter.i, p->n);
        look_ahead(p, &w->waiter);
        atomic_store(&w->done, seen);
        if (atomic_load(&p->is_poster_asleep))
            os_futex_wake(&w->done, 1);
    }
}

static void note_late(struct be_pool *p)
{
    if (!be_pool_is_crowded(p) && ++p->n_late >= LATE_MAX) {
        p->n_late = 0;
        atomic_store_explicit(&p->crowded, CROWDED_REGIONS, memory_order_relaxed);
    }
}

static void wait_worker(struct be_pool *p, struct worker *w, uint32_t epoch)
{
    while (!spin(p, &w->done, epoch - 1, &p->waiter)) {
        note_late(p);
        atomic_store(&p->is_poster_asleep, 1);
        if (atomic_load(&w->done) != epoch)
            os_futex_wait(&w->done, epoch - 1, INT64_MAX);
        atomic_store(&p->is_poster_asleep, 0);
    }
}

/* The slice of a worker that has not come. False: it has. */
static bool stand_in(struct be_pool *p, struct worker *w, uint32_t epoch)
{
    for (int i = 0; i < GRACE_SPINS; i++) {
        if (atomic_load_explicit(&w->taken, memory_order_relaxed) == epoch)
            return false;
        os_cpu_relax();
    }
    if (!take(w, epoch))
        return false;
    p->fn(p->arg, w->waiter.i, p->n);
    atomic_store_explicit(&w->done, epoch, memory_order_relaxed);
    return true;
}

static void wake(struct be_pool *p)
{
    if (atomic_load(&p->n_asleep) == 0)
        return;
    atomic_store_explicit(&p->poster_cpu, os_cpu(), memory_order_relaxed);
    os_futex_wake(&p->epoch, INT_MAX);
}

static void post(struct be_pool *p)
{
    atomic_fetch_add(&p->epoch, 1);
    wake(p);
}

enum err be_pool_open(struct be_pool **out, int n_thread)
{
    must(n_thread >= 1 && n_thread <= BE_POOL_MAX);
    struct be_pool *p = mem_zalloc(sizeof *p +
                                   mem_size((size_t)n_thread - 1, sizeof(struct worker)));
    if (!p)
        return err_set(ERR_NOMEM, "out of memory for %d threads", n_thread);
    p->n = 1;
    p->is_crowded_always = n_thread > os_cpu_count();
    /* Workers read n in a job; none is posted before all have started. */
    for (; p->n < n_thread; p->n++) {
        struct worker *w = &p->worker[p->n - 1];
        w->pool = p;
        w->waiter.i = p->n;
        enum err err = os_thread_start(&w->thread, "parley-pool", work, w);
        if (err) {
            be_pool_close(&p);
            return err;
        }
    }
    *out = p;
    return OK;
}

void be_pool_close(struct be_pool **out)
{
    struct be_pool *p = *out;
    if (!p)
        return;
    p->is_closing = true;
    post(p);
    for (int i = 0; i < p->n - 1; i++)
        os_thread_join(&p->worker[i].thread);
    mem_free(p);
    *out = NULL;
}

static void enter(struct be_pool *p)
{
    atomic_store_explicit(&p->is_in_region, 1, memory_order_relaxed);
    int crowded = atomic_load_explicit(&p->crowded, memory_order_relaxed);
    if (crowded > 0)
        atomic_store_explicit(&p->crowded, crowded - 1, memory_order_relaxed);
    if (p->n_late > 0)
        p->n_late--;
    atomic_store_explicit(&p->poster_cpu, os_cpu(), memory_order_relaxed);
    wake(p);
}

static void leave(struct be_pool *p)
{
    atomic_store_explicit(&p->is_in_region, 0, memory_order_relaxed);
}

void be_pool_begin(struct be_pool *p)
{
    if (p->n > 1 && !p->is_held)
        enter(p);
}

void be_pool_end(struct be_pool *p)
{
    if (!p->is_held)
        leave(p);
}

void be_pool_hold(struct be_pool *p)
{
    be_pool_begin(p);
    p->is_held = true;
}

void be_pool_release(struct be_pool *p)
{
    p->is_held = false;
    be_pool_end(p);
}

void be_pool_rouse(struct be_pool *p)
{
    if (p->n == 1 || be_pool_is_crowded(p))
        return;
    int64_t t0_ns = os_now_ns();
    atomic_store_explicit(&p->roused_ns, t0_ns + ROUSED_NS, memory_order_relaxed);
    wake(p);
    /* Whoever goes to sleep now leaves a processor to wake on, and takes it back a moment later:
     * this one is kept busy until they are awake, elsewhere. */
    for (int i = 1; i <= SPINS_MAX && atomic_load(&p->n_asleep) > 0; i++) {
        os_cpu_relax();
        if (i % SPINS_A_LOOK == 0 && os_now_ns() - t0_ns > ROUSING_NS)
            return;
    }
}

static void run(struct be_pool *p, be_pool_fn fn, void *arg, bool stands_in)
{
    if (p->n == 1) {
        fn(arg, 0, 1);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    post(p);
    fn(arg, 0, p->n);
    look_ahead(p, &p->waiter);
    uint32_t epoch = atomic_load_explicit(&p->epoch, memory_order_relaxed);
    for (int i = 0; i < p->n - 1; i++)
        if (!stands_in || !stand_in(p, &p->worker[i], epoch))
            wait_worker(p, &p->worker[i], epoch);
}

void be_pool_run(struct be_pool *p, be_pool_fn fn, void *arg)
{
    run(p, fn, arg, true);
}

void be_pool_run_each(struct be_pool *p, be_pool_fn fn, void *arg)
{
    run(p, fn, arg, false);
}

void be_pool_run_ahead(struct be_pool *p, be_pool_fn fn, void *arg, const struct ahead *own)
{
    p->ahead = be_ahead_next(&p->trail, own);
    p->n_known++;
    be_pool_run(p, fn, arg);
}
