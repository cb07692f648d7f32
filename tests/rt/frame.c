/* SPDX-License-Identifier: MIT */
/* A frame of a talk, the first one included, allocates nothing, locks nothing and waits for no page
 * of memory, on any thread that computes it. The C library's own doors are watched: malloc,
 * mutexes, and the page faults that the kernel counts for the process. */
#include <dlfcn.h>
#include <pthread.h>
#include <sys/resource.h>

#include "base/os.h"
#include "check.h"
#include "rt/watch.h"
#include "talk/duplex.h"

/* Sanitizers take minutes for what they cannot watch: a few frames there. */
#define N_FRAME  (IS_WATCHED ? 250 : 5)
#define N_AGAIN  2 /* measurements more, after one with a fault */
#define MAX_LANE 3

static atomic_bool is_in_frame;
static atomic_int  n_malloc, n_lock;

#if IS_WATCHED
static void note(atomic_int *n)
{
    if (atomic_load(&is_in_frame))
        atomic_fetch_add(n, 1);
}

static void watch_malloc(void)
{
    note(&n_malloc);
}

int pthread_mutex_lock(pthread_mutex_t *m)
{
    static int (*real)(pthread_mutex_t *);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    note(&n_lock);
    return real(m);
}
#endif

struct talkers {
    struct duplex      *duplex;
    struct step         s;
    int                 lane[MAX_LANE];
    struct duplex_frame frame[MAX_LANE];
    float              *pcm;
    size_t              n_smp;
    uint32_t            seed;
};

static void open_talkers(struct talkers *t, const char *shape, enum weights_quant quant, int n_lane,
                         int n_thread)
{
    struct duplex_options o = { .shape = shape,
                                .be = { .device = "cpu", .n_thread = n_thread },
                                .quant = quant,
                                .n_lane = n_lane };

    *t = (struct talkers){ .s = { n_lane, t->lane }, .seed = 1 };
    CHECK(duplex_open(&t->duplex, &o) == OK);
    t->n_smp = (size_t)duplex_codec(t->duplex)->frame_size;
    t->pcm = mem_zalloc(mem_size((size_t)(2 * n_lane), t->n_smp * sizeof *t->pcm));
    CHECK(t->pcm);
}

static void close_talkers(struct talkers *t)
{
    duplex_close(&t->duplex);
    mem_free(t->pcm);
}

/* What the engine does before a tick: sound comes, memory is made ready. */
static void prepare(struct talkers *t)
{
    for (int a = 0; a < t->s.n_lane; a++) {
        float *in = t->pcm + (size_t)(2 * a) * t->n_smp;
        for (size_t i = 0; i < t->n_smp; i++) {
            t->seed = t->seed * 1664525u + 1013904223u;
            in[i] = (float)(int32_t)t->seed * 0x1p-34f;
        }
        t->lane[a] = a;
        t->frame[a] = (struct duplex_frame){ .mic = in,
                                             .speaker = in + t->n_smp,
                                             .forced_text = -1 };
        duplex_warm(t->duplex, a);
    }
}

static int64_t n_fault(void)
{
    struct rusage u;

    CHECK(getrusage(RUSAGE_SELF, &u) == 0);
    return u.ru_minflt + u.ru_majflt;
}

/* Page faults of all threads in so many frames. */
static int64_t run(struct talkers *t, int n)
{
    int64_t n_all = 0;

    for (int i = 0; i < n; i++) {
        prepare(t);
        int64_t n_before = n_fault();
        atomic_store(&is_in_frame, true);
        enum err err = duplex_step(t->duplex, &t->s, t->frame);
        atomic_store(&is_in_frame, false);
        n_all += n_fault() - n_before;
        CHECK(err == OK);
    }
    return n_all;
}

static void check_frames(const char *shape, enum weights_quant quant, int n_lane, int n_thread)
{
    struct talkers t;

    setenv("PARLEY_MEM_STRICT", "1", 1);
    open_talkers(&t, shape, quant, n_lane, n_thread);
    atomic_store(&n_malloc, 0);
    atomic_store(&n_lock, 0);
    mem_forbid(true);
    int64_t n = run(&t, N_FRAME);
    /* the system may take a page of the program away meanwhile; what is ours comes again */
    for (int i = 0; IS_WATCHED && n > 0 && i < N_AGAIN; i++)
        n = run(&t, N_FRAME);
    mem_forbid(false);
    printf("# %d lanes, %d threads: %lld page faults, %d allocations, %d locks in %d frames\n",
           n_lane, n_thread, (long long)n, atomic_load(&n_malloc), atomic_load(&n_lock), N_FRAME);
    CHECK_INT(atomic_load(&n_malloc), 0);
    CHECK_INT(atomic_load(&n_lock), 0);
    if (IS_WATCHED) /* a sanitizer's shadow is memory too */
        CHECK_INT(n, 0);
    close_talkers(&t);
}

TEST(what_is_watched_is_noticed)
{
    static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    size_t                 size = (size_t)4 << 20;

    if (!IS_WATCHED)
        SKIP("malloc and mutexes belong to the sanitizer here");
    int64_t n_before = n_fault();
    atomic_store(&is_in_frame, true);
    uint8_t *volatile p = malloc(size);
    pthread_mutex_lock(&m);
    pthread_mutex_unlock(&m);
    atomic_store(&is_in_frame, false);
    for (size_t i = 0; i < size; i += 4096)
        p[i] = 1;
    free(p);
    CHECK(atomic_exchange(&n_malloc, 0) == 1);
    CHECK(atomic_exchange(&n_lock, 0) == 1);
    CHECK(n_fault() > n_before);
}

TEST(a_frame_costs_no_allocation_lock_or_page)
{
    check_frames("models/tiny-voice", WEIGHTS_QUANT_NONE, 1, 2);
}

TEST(nor_do_frames_of_many_lanes)
{
    check_frames("models/tiny-voice", WEIGHTS_QUANT_NONE, 3, 3);
}

TEST(nor_do_frames_of_quantised_weights)
{
    check_frames("models/tiny-voice", WEIGHTS_QUANT_Q4, 1, 1);
    check_frames("models/tiny-voice", WEIGHTS_QUANT_Q8, 2, 2);
}
