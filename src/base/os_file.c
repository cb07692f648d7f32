/* SPDX-License-Identifier: MIT */
/* Files: mapped, read whole, written so that they appear whole. */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

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

struct os_out {
    int   fd;
    char *path; /* what it is called in the end */
    char *part; /* what it is called until then; NULL: written in place */
};

/* A name beside path that nobody uses. */
static enum err open_part(struct os_out *o, mode_t mode)
{
    size_t   cap = strlen(o->path) + 24;
    uint64_t r;

    o->part = mem_alloc(cap);
    if (!o->part)
        return ERR_NOMEM;
    for (int n_try = 0; n_try < 16; n_try++) {
        enum err err = os_random(&r, sizeof r);
        if (err)
            return err;
        snprintf(o->part, cap, "%s.%08x.part", o->path, (unsigned)(r & 0xffffffff));
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

enum err os_out_open(struct os_out **out, const char *path)
{
    char        real[PATH_MAX];
    struct stat st;

    struct os_out *o = mem_zalloc(sizeof *o);
    if (!o)
        return ERR_NOMEM;
    o->fd = -1;
    bool exists = stat(path, &st) == 0;
    /* A link keeps pointing where it points: the file behind it is replaced. */
    o->path = mem_strdup(exists && S_ISREG(st.st_mode) && realpath(path, real) ? real : path);
    enum err err = o->path ? OK : ERR_NOMEM;
    if (!err && exists && S_ISDIR(st.st_mode))
        err = err_set(ERR_IO, "%s: a folder, not a file", path);
    if (!err && exists && !S_ISREG(st.st_mode)) {
        o->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (o->fd < 0)
            err = fail_with(errno, path);
    } else if (!err && exists && access(path, W_OK) != 0) {
        err = fail_with(errno, path); /* a read-only file stays as it is */
    } else if (!err) {
        err = open_part(o, 0666);
    }
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
    const uint8_t *at = p;
    while (len) {
        ssize_t n = write(o->fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_with(errno, o->path);
        at += n;
        len -= (size_t)n;
    }
    return OK;
}

enum err os_out_seek(struct os_out *o, int64_t at)
{
    return lseek(o->fd, at, SEEK_SET) < 0 ? fail_with(errno, o->path) : OK;
}

enum err os_out_flush(struct os_out *o)
{
    return fdatasync(o->fd) != 0 && errno != EINVAL ? fail_with(errno, o->path) : OK;
}

enum err os_out_commit(struct os_out **out)
{
    struct os_out *o = *out;
    enum err       err = OK;

    /* The data before the name: after a power cut the name never stands for half a file. */
    if (o->part)
        err = os_out_flush(o);
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
    if ((*o)->fd >= 0)
        close((*o)->fd);
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

bool os_is_same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
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
