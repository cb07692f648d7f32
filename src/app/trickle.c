/* SPDX-License-Identifier: MIT */
#include "app/trickle.h"

#include <string.h>

#include "base/os.h"

void trickle_init(struct trickle *t, int fd, const char *name)
{
    *t = (struct trickle){ .fd = fd, .name = name };
    buf_init(&t->kept, TRICKLE_CAP);
}

void trickle_fini(struct trickle *t)
{
    buf_fini(&t->kept);
}

enum err trickle_add(struct trickle *t, const char *text)
{
    size_t   len = text ? strlen(text) : 0, n = 0;
    enum err err = t->kept.len + len > TRICKLE_CAP ? trickle_flush(t) : OK;

    if (err)
        return err;
    if (len)
        buf_add(&t->kept, text, len);
    err = buf_err(&t->kept);
    if (!err && t->kept.len)
        err = os_stream_try(t->fd, t->kept.p, t->kept.len, &n, t->name);
    buf_drop_front(&t->kept, n);
    return err;
}

enum err trickle_flush(struct trickle *t)
{
    enum err err = t->kept.len ? os_stream_write(t->fd, t->kept.p, t->kept.len, t->name) : OK;

    buf_clear(&t->kept);
    return err;
}
