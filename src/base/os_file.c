/* SPDX-License-Identifier: MIT */
/* Files: mapped, read whole, written so that they appear whole. */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#ifndef MADV_POPULATE_READ /* Linux 5.14; C libraries came to know it later */
#define MADV_POPULATE_READ 22
#endif

/* The sentence and the code of a system call on path that failed with errno e. */
static enum err fail_with(int e, const char *path)
{
    if (e == ENOENT || e == ENOTDIR || e == ELOOP || e == ENAMETOOLONG)
        return err_set(ERR_MISSING, "%s: no such file or folder", path);
    if (e == ENOMEM)
        return err_set(ERR_NOMEM, "%s: out of memory", path);
    return err_set(ERR_IO, "%s: %s", path, strerror(e));
}

/* Opens a regular file for reading. O_NONBLOCK: a FIFO without a writer must not hold us up. */
static enum err open_regular(int *fd, struct stat *st, const char *path)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return fail_with(errno, path);
    if (fstat(*fd, st) != 0) {
        enum err err = fail_with(errno, path);
        close(*fd);
        return err;
    }
    if (!S_ISREG(st->st_mode)) {
        close(*fd);
        return err_set(ERR_FORMAT, "%s: %s, not a file", path,
                       S_ISDIR(st->st_mode) ? "a folder" : "a device or pipe");
    }
    return OK;
}

enum err os_map_open(struct os_map *out, const char *path)
{
    int         fd;
    struct stat st;

    enum err err = open_regular(&fd, &st, path);
    if (err)
        return err;
    size_t size = (size_t)st.st_size;
    void  *p = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (p == MAP_FAILED)
        err = fail_with(errno, path);
    else
        *out = (struct os_map){ bytes_of(p, size),
                                st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec };
    close(fd);
    return err;
}

void os_map_close(struct os_map *m)
{
    if (m->view.len)
        munmap((void *)(uintptr_t)m->view.p, m->view.len);
    *m = (struct os_map){ 0 };
}

/* The whole pages among len bytes at p (is_inside), or those that have any of them. */
static struct bytes pages_of(const void *p, size_t len, bool is_inside)
{
    uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)p, to = from + len;

    from = (is_inside ? from + size - 1 : from) / size * size;
    to = (is_inside ? to : to + size - 1) / size * size;
    return from < to ? bytes_of((const void *)from, to - from) : (struct bytes){ 0 };
}

void os_map_fill(const void *p, size_t len)
{
    struct bytes     b = pages_of(p, len, false);
    volatile uint8_t sum = 0;

    if (len == 0 || madvise((void *)(uintptr_t)b.p, b.len, MADV_POPULATE_READ) == 0)
        return;
    for (size_t i = 0; i < len; i += 4096) /* before Linux 5.14 */
        sum = (uint8_t)(sum + ((const uint8_t *)p)[i]);
}

void os_map_drop(const void *p, size_t len)
{
    struct bytes b = pages_of(p, len, true);

    if (b.len)
        madvise((void *)(uintptr_t)b.p, b.len, MADV_DONTNEED);
}

enum err os_read_file(struct buf *b, const char *path)
{
    uint8_t     chunk[16384];
    int         fd;
    struct stat st;
    ssize_t     n;

    enum err err = open_regular(&fd, &st, path);
    if (err)
        return err;
    int64_t size = st.st_size;
    if (size > 0 && (uint64_t)size > b->cap - b->len)
        err = err_set(ERR_LIMIT, "%s: %lld bytes, at most %zu are read", path, (long long)size,
                      b->cap - b->len);
    while (!err) {
        n = read(fd, chunk, sizeof chunk);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err = fail_with(errno, path);
            break;
        }
        buf_add(b, chunk, (size_t)n);
        if (buf_err(b))
            err = err_set(buf_err(b), "%s: %s", path, err_name(buf_err(b)));
    }
    close(fd);
    return err;
}

#define MAX_HOP      40 /* links behind each other, as the kernel has it */
#define FIFO_LOOK_MS 20

/* The descriptor that base in the folder dir stands for, if dir is where ours are listed; else -1.
 * /dev/fd and what /dev/stdout points to are there, too. */
static int own_descriptor(const char *dir, const char *base)
{
    char   own[PATH_MAX];
    size_t len = strspn(base, "0123456789");

    if (len == 0 || len > 9 || base[len] || !realpath("/proc/self/fd", own) ||
        strcmp(dir, own) != 0)
        return -1;
    return (int)strtol(base, NULL, 10);
}

/* Where the file called path is or would be: all links followed, also the last when what it points
 * to is not there yet. *fd: the descriptor of ours that it stands for, else -1. False: errno. */
static bool find_place(char place[PATH_MAX], int *fd, const char *path)
{
    char at[PATH_MAX], dir[PATH_MAX], to[PATH_MAX];
    int  n = snprintf(at, sizeof at, "%s", path);

    for (int n_hop = 0; n_hop < MAX_HOP && n >= 0 && n < PATH_MAX; n_hop++) {
        char *slash = strrchr(at, '/'), *base = slash ? slash + 1 : at;
        int   n_dir = slash && slash != at ? (int)(slash - at) : 1;
        snprintf(place, PATH_MAX, "%.*s", n_dir, slash ? at : ".");
        if (!realpath(place, dir))
            return false;
        *fd = own_descriptor(dir, base);
        n = snprintf(place, PATH_MAX, "%s/%s", dir[1] ? dir : "", base);
        if (n < 0 || n >= PATH_MAX)
            break;
        ssize_t len = *fd < 0 ? readlink(place, to, sizeof to - 1) : -1;
        if (len < 0)
            return true;
        to[len] = '\0';
        n = snprintf(at, sizeof at, "%s%s%s", *to == '/' ? "" : dir, *to == '/' ? "" : "/", to);
    }
    errno = ELOOP;
    return false;
}

struct os_out {
    int     fd;
    char   *path;      /* what it is called in the end */
    char   *part;      /* what it is called until then; NULL: written in place */
    bool    is_shared; /* a descriptor of ours by another number: others write there, too */
    int64_t base;      /* shared: where it was; before that nothing is ours */
    int64_t at, end;   /* from there */
};

/* A name beside path that nobody uses: its own and more, or a short one where that is too long. */
static enum err open_part(struct os_out *o, mode_t mode)
{
    const char *slash = strrchr(o->path, '/');
    size_t      n_folder = slash ? (size_t)(slash - o->path) + 1 : 0, cap = strlen(o->path) + 32;
    const char *name = o->path + n_folder;
    uint64_t    r;

    if (strlen(name) > NAME_MAX - 14)
        name = ".parley";
    o->part = mem_alloc(cap);
    if (!o->part)
        return ERR_NOMEM;
    for (int n_try = 0; n_try < 16; n_try++) {
        enum err err = os_random(&r, sizeof r);
        if (err)
            return err;
        snprintf(o->part, cap, "%.*s%s.%08x.part", (int)n_folder, o->path, name,
                 (unsigned)(r & 0xffffffff));
        o->fd = open(o->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (o->fd >= 0)
            return OK;
        if (errno != EEXIST)
            break;
    }
    enum err err = fail_with(errno, o->path);
    mem_free(o->part);
    o->part = NULL;
    return err;
}

/* Not by its name: that would be the file behind it from the start, or a new one in its place. */
static enum err open_shared(struct os_out *o, int fd)
{
    o->fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (o->fd < 0)
        return fail_with(errno == EBADF ? ENOENT : errno, o->path);
    o->is_shared = true;
    /* Opened with O_APPEND: cannot be rewound. */
    o->base = fcntl(o->fd, F_GETFL) & O_APPEND ? -1 : lseek(o->fd, 0, SEEK_CUR);
    return OK;
}

/* A FIFO that nobody reads is waited for, until a stop signal. */
static enum err open_in_place(struct os_out *o, bool is_fifo)
{
    int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY | (is_fifo ? O_NONBLOCK : 0);

    while ((o->fd = open(o->path, flags)) < 0) {
        if (errno != EINTR && !(is_fifo && errno == ENXIO))
            return fail_with(errno, o->path);
        if (os_stop_came())
            return err_set(ERR_INTERRUPTED, "%s: interrupted", o->path);
        poll(NULL, 0, FIFO_LOOK_MS);
    }
    return OK;
}

static enum err open_path(struct os_out *o)
{
    struct stat st;

    if (stat(o->path, &st) != 0)
        return open_part(o, 0666);
    if (S_ISDIR(st.st_mode))
        return err_set(ERR_IO, "%s: a folder, not a file", o->path);
    if (!S_ISREG(st.st_mode))
        return open_in_place(o, S_ISFIFO(st.st_mode));
    if (access(o->path, W_OK) != 0)
        return fail_with(errno, o->path); /* a read-only file stays as it is */
    return open_part(o, 0666);
}

enum err os_out_open(struct os_out **out, const char *path)
{
    char        place[PATH_MAX];
    struct stat st;
    int         fd = -1;

    /* A link keeps pointing where it points: the file behind it is made or replaced. */
    bool is_link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
    if (is_link && !find_place(place, &fd, path))
        return fail_with(errno, path);
    struct os_out *o = mem_zalloc(sizeof *o);
    if (!o)
        return ERR_NOMEM;
    o->fd = -1;
    o->path = mem_strdup(is_link && fd < 0 ? place : path);
    enum err err = !o->path ? ERR_NOMEM : fd >= 0 ? open_shared(o, fd) : open_path(o);
    if (err) {
        os_out_cancel(&o);
        return err;
    }
    *out = o;
    return OK;
}

enum err os_out_open_private(struct os_out **out, const char *path, int64_t size)
{
    struct os_out *o = mem_zalloc(sizeof *o);
    if (!o)
        return ERR_NOMEM;
    o->fd = -1;
    o->path = mem_strdup(path);
    enum err err = o->path ? open_part(o, 0600) : ERR_NOMEM;
    int      e = err ? 0 : posix_fallocate(o->fd, 0, size);
    if (e)
        err = fail_with(e, path);
    if (err)
        os_out_cancel(&o);
    else
        *out = o;
    return err;
}

enum err os_out_write(struct os_out *o, const void *p, size_t len)
{
    enum err err = os_stream_write(o->fd, p, len, o->path);

    o->at += err ? 0 : (int64_t)len;
    o->end = o->at > o->end ? o->at : o->end;
    return err;
}

enum err os_out_seek(struct os_out *o, int64_t at)
{
    if (o->base < 0)
        return fail_with(ESPIPE, o->path);
    if (lseek(o->fd, o->base + at, SEEK_SET) < 0)
        return fail_with(errno, o->path);
    o->at = at;
    return OK;
}

enum err os_out_flush(struct os_out *o)
{
    return fdatasync(o->fd) != 0 && errno != EINVAL ? fail_with(errno, o->path) : OK;
}

/* Who writes there next does it behind us, wherever we went back to. */
static void leave_shared(const struct os_out *o)
{
    if (o->is_shared && o->at < o->end)
        lseek(o->fd, o->base + o->end, SEEK_SET);
}

enum err os_out_commit(struct os_out **out)
{
    struct os_out *o = *out;
    enum err       err = OK;

    /* The data before the name: after a power cut the name never stands for half a file. */
    if (o->part)
        err = os_out_flush(o);
    leave_shared(o);
    int code = close(o->fd);
    o->fd = -1;
    if (!err && code != 0)
        err = fail_with(errno, o->path);
    if (!err && o->part && rename(o->part, o->path) != 0)
        err = fail_with(errno, o->path);
    if (!err) {
        mem_free(o->part);
        o->part = NULL;
    }
    os_out_cancel(out);
    return err;
}

void os_out_cancel(struct os_out **o)
{
    if (!*o)
        return;
    if ((*o)->fd >= 0) {
        leave_shared(*o);
        close((*o)->fd);
    }
    if ((*o)->part)
        unlink((*o)->part);
    mem_free((*o)->part);
    mem_free((*o)->path);
    mem_free(*o);
    *o = NULL;
}

bool os_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool os_is_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

bool os_is_same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

bool os_is_same_place(const char *a, const char *b)
{
    char place_a[PATH_MAX], place_b[PATH_MAX];
    int  fd;

    return os_is_same_file(a, b) || (find_place(place_a, &fd, a) && find_place(place_b, &fd, b) &&
                                     strcmp(place_a, place_b) == 0);
}

bool os_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum err os_join(char *out, size_t cap, const char *dir, const char *name)
{
    size_t      len = strlen(dir);
    const char *slash = len && dir[len - 1] == '/' ? "" : "/";
    int         n = snprintf(out, cap, "%s%s%s", dir, slash, name);
    if (n < 0 || (size_t)n >= cap)
        return err_set(ERR_LIMIT, "%s: path too long", name);
    return OK;
}

enum err os_real_path(char *out, size_t cap, const char *path)
{
    char real[PATH_MAX];
    if (!realpath(path, real))
        return fail_with(errno, path);
    if (strlen(real) >= cap)
        return err_set(ERR_LIMIT, "%s: path too long", path);
    memcpy(out, real, strlen(real) + 1);
    return OK;
}
