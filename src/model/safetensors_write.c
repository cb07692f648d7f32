/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "model/safetensors.h"

enum { MAX_HEAD = 1 << 20 };

/* Widest types first, so that every tensor is aligned to its own size, as readers that map like. */
static void order_by_width(int *order, const struct safetensors_entry *e, int n)
{
    int n_done = 0;

    for (size_t width = 8; width >= 1; width /= 2)
        for (int i = 0; i < n; i++)
            if (dtype_size(e[i].dtype) == width)
                order[n_done++] = i;
    must(n_done == n);
}

static void add_head(struct buf *b, const struct safetensors_entry *e, const int *order, int n)
{
    uint64_t at = 0;

    buf_add(b, "\0\0\0\0\0\0\0\0", 8); /* the length, filled in at the end */
    buf_add_byte(b, '{');
    for (int i = 0; i < n; i++) {
        const struct safetensors_entry *t = &e[order[i]];
        buf_add_str(b, i ? "," : "");
        buf_add_json(b, t->name, strlen(t->name));
        buf_add_fmt(b, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(t->dtype));
        for (int d = 0; d < t->n_dim; d++)
            buf_add_fmt(b, "%s%lld", d ? "," : "", (long long)t->n[d]);
        buf_add_fmt(b, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                    (unsigned long long)(at + t->size));
        at += t->size;
    }
    buf_add_byte(b, '}');
    while (b->len % 8 && !buf_err(b))
        buf_add_byte(b, ' ');
    if (!buf_err(b))
        bytes_put_le(b->p, b->len - 8, 8);
}

static enum err write_all(struct os_out *o, const struct buf *head,
                          const struct safetensors_entry *e, const int *order, int n)
{
    enum err err = os_out_write(o, head->p, head->len);

    for (int i = 0; i < n && !err; i++)
        if (e[order[i]].size > 0)
            err = os_out_write(o, e[order[i]].data, e[order[i]].size);
    return err;
}

enum err safetensors_write(const char *path, const struct safetensors_entry *e, int n)
{
    struct os_out *o = NULL;
    struct buf     head;
    int           *order = mem_alloc(mem_size((size_t)n + 1, sizeof *order));
    enum err       err;

    if (!order)
        return err_set(ERR_NOMEM, "%s: out of memory", path);
    buf_init(&head, MAX_HEAD);
    order_by_width(order, e, n);
    add_head(&head, e, order, n);
    err = buf_err(&head);
    if (!err)
        err = os_out_open(&o, path);
    if (!err)
        err = write_all(o, &head, e, order, n);
    if (!err)
        err = os_out_commit(&o);
    os_out_cancel(&o);
    buf_fini(&head);
    mem_free(order);
    return err;
}
