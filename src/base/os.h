/* SPDX-License-Identifier: MIT */
/* os: what we ask of the operating system. Files are in os_file.c, folders in os_dir.c, pipes in
 * os_stream.c, what only Linux has in os_linux.c, what a processor has of its own in os_x86.c,
 * os_arm.c or os_generic_cpu.c, all else in os_posix.c. */
#ifndef BASE_OS_H
#define BASE_OS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Monotonic nanoseconds; tests may own the clock with os_set_clock(). */
int64_t os_now_ns(void);
int64_t os_wall_ms(void);                      /* since the Unix epoch */
void    os_set_clock(int64_t (*now_ns)(void)); /* NULL: the real one */
void    os_sleep_until_ns(int64_t deadline_ns);

/* A file mapped read-only. Only regular files (links are followed): a directory, a FIFO or a
 * device is refused without waiting for it. Empty files give len 0. */
struct os_map {
    struct bytes view;
    int64_t      mtime_ns; /* of the very file that is mapped */
};
enum err os_map_open(struct os_map *out, const char *path) MUST_CHECK;
void     os_map_close(struct os_map *m);
/* Advice about len bytes inside a mapping; nothing breaks where the system does not take it. */
void os_map_fill(const void *p, size_t len); /* waits until they are in memory: no faults later */
void os_map_drop(const void *p, size_t len); /* nobody reads them soon; whole pages only */
/* A whole regular file appended to b; ERR_LIMIT when it is longer than b may still grow. */
enum err os_read_file(struct buf *b, const char *path) MUST_CHECK;

/* A file that appears whole under its name or not at all: written beside it, renamed by commit.
 * A path that exists and is not a regular file (/dev/null, a FIFO) is written in place; one that
 * stands for a descriptor of ours (/dev/stdout, /dev/fd/3) is written there, from where that is. */
struct os_out;
enum err os_out_open(struct os_out **out, const char *path) MUST_CHECK;
/* For its owner alone, and with room for size bytes from the start. */
enum err os_out_open_private(struct os_out **out, const char *path, int64_t size) MUST_CHECK;
enum err os_out_write(struct os_out *o, const void *p, size_t len) MUST_CHECK;
enum err os_out_seek(struct os_out *o, int64_t at) MUST_CHECK; /* from the beginning */
enum err os_out_flush(struct os_out *o) MUST_CHECK;   /* waits for the disk; commit does it too */
enum err os_out_commit(struct os_out **o) MUST_CHECK; /* flushed, renamed; closes */
void     os_out_cancel(struct os_out **o);            /* leaves nothing behind; closes */

/* Folders, and files as their folders see them. Bodies in os_dir.c. */
struct os_file_info {
    int64_t size, mtime_ns;
};
bool     os_file_info(struct os_file_info *out, const char *path); /* false: no such file */
enum err os_private_dir(const char *path) MUST_CHECK; /* makes it, and its parents; ours alone */
void     os_each_file(const char *dir, void (*fn)(void *arg, const char *path), void *arg);
void     os_remove_file(const char *path);
void     os_touch_file(const char *path); /* its time becomes now */

bool os_is_file(const char *path);
bool os_is_dir(const char *path);
bool os_is_link(const char *path);                   /* symbolic, wherever it leads */
bool os_is_same_file(const char *a, const char *b);  /* both are there, under whatever names */
bool os_is_same_place(const char *a, const char *b); /* or would be, once they are written */
/* Directory and name joined into out (cap bytes). ERR_LIMIT when too long. */
enum err os_join(char *out, size_t cap, const char *dir, const char *name) MUST_CHECK;
/* The real path with links followed; ERR_MISSING when it does not exist. */
enum err os_real_path(char *out, size_t cap, const char *path) MUST_CHECK;
enum err os_exe_dir(char *out, size_t cap) MUST_CHECK; /* folder of the running binary */

/* Threads. name: at most 15 bytes. Compute threads set FTZ/DAZ with os_flush_denormals(). */
struct os_thread;
enum err os_thread_start(struct os_thread **out, const char *name, void (*fn)(void *), void *arg)
    MUST_CHECK;
void os_thread_join(struct os_thread **t);
void os_lower_priority(void);  /* calling thread: after everyone else */
void os_flush_denormals(void); /* calling thread: denormals are zero, in and out */
/* Processors the process was given, >= 1: the first call of these looks, whatever is pinned
 * later. */
int  os_cpu_count(void);
void os_pin(int i);  /* calling thread: stays on the i-th of them, modulo their number */
void os_unpin(void); /* calling thread: anywhere among them again */
int  os_cpu(void);   /* where the calling thread runs, -1: not known; it may be moved at any time */
/* calling thread, unless one is pinned: anywhere among them but on `cpu`, if there is another */
void os_keep_off(int cpu);
/* Bytes of the largest cache that processor 0 reads through; 0: not known. */
size_t os_cache_size(void);

struct os_mutex;
enum err os_mutex_open(struct os_mutex **out) MUST_CHECK;
void     os_mutex_close(struct os_mutex **m);
void     os_mutex_lock(struct os_mutex *m);
void     os_mutex_unlock(struct os_mutex *m);

/* Sleeps while *word == expect, until woken or deadline_ns (INT64_MAX: none). May wake early. */
void os_futex_wait(_Atomic uint32_t *word, uint32_t expect, int64_t deadline_ns);
void os_futex_wake(_Atomic uint32_t *word, int n); /* INT_MAX: all */
bool os_allow_tiles(void);                         /* AMX, for this process; x86 alone has it */
void os_cpu_relax(void);                           /* in a spin loop */

/* Makes the memory of our own pages be there: each is written once, with what it holds. Nobody else
 * may write there meanwhile. */
void os_touch(void *p, size_t len);

enum err os_random(void *p, size_t len) MUST_CHECK;
bool     os_is_terminal(int fd);
int      os_terminal_width(void);
/* SIGINT and SIGTERM set *flag to the signal's number and call wake(arg), which must be
 * async-signal-safe; NULL: none. */
void os_on_stop_signals(volatile atomic_int *flag, void (*wake)(void *), void *arg);
bool os_stop_came(void); /* *flag is set */

/* Pipes and terminals, which may let whoever writes or reads wait without end: a stop signal ends
 * that with ERR_INTERRUPTED, a write a moment later, for who still reads. name: for the sentence.
 * Regular files are written whole all the same. Bodies in os_stream.c. */
enum err os_stream_write(int fd, const void *p, size_t len, const char *name) MUST_CHECK;
/* As much of it as fd takes at once, perhaps nothing: *n bytes. Never waits. */
enum err os_stream_try(int fd, const void *p, size_t len, size_t *n, const char *name) MUST_CHECK;
/* At most cap bytes; *n 0: the end. */
enum err os_stream_read(int fd, void *p, size_t cap, size_t *n, const char *name) MUST_CHECK;

/* First thing in main: a full disk and a closed pipe become errors of the write instead of signals,
 * and no file that is opened later becomes standard output because that was closed. */
void os_guard_streams(void);
/* stderr goes nowhere between the two: JACK, PortAudio and mpg123 talk there on their own. By one
 * thread, the one that has something to say there itself. */
int  os_hush(void);
void os_unhush(int kept);

/* A shared library loaded at run time; os_lib_symbol gives NULL when it lacks the name. */
struct os_lib;
enum err os_lib_open(struct os_lib **out, const char *const *names) MUST_CHECK; /* NULL-ended */
void     os_lib_close(struct os_lib **l);
void    *os_lib_symbol(struct os_lib *l, const char *name);

#endif
