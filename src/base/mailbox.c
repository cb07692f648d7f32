/* SPDX-License-Identifier: MIT */
#include "base/mailbox.h"

#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"

struct mailbox {
    struct os_mutex *lock;
    size_t           n_cap, item_size;
    /* under lock */
    size_t   head, count;
    uint8_t *items; /* [n_cap, item_size] */
    /* any thread */
    _Atomic uint32_t n_bell; /* rings of the bell; the word that the taker sleeps on */
    atomic_size_t    n_item; /* equals count, readable without the lock */
    atomic_bool      is_woken;
};

enum err mailbox_open(struct mailbox **out, size_t n_cap, size_t item_size)
{
    struct mailbox *m = mem_zalloc(sizeof *m);
    if (!m)
        return ERR_NOMEM;
    m->n_cap = n_cap;
    m->item_size = item_size;
    m->items = mem_zalloc(mem_size(n_cap, item_size));
    enum err err = m->items ? os_mutex_open(&m->lock) : ERR_NOMEM;
    if (err) {
        mailbox_close(&m);
        return err;
    }
    *out = m;
    return OK;
}

void mailbox_close(struct mailbox **m)
{
    if (!*m)
        return;
    os_mutex_close(&(*m)->lock);
    mem_free((*m)->items);
    mem_free(*m);
    *m = NULL;
}

static void ring_bell(struct mailbox *m)
{
    atomic_fetch_add(&m->n_bell, 1);
    os_futex_wake(&m->n_bell, INT_MAX);
}

enum err mailbox_post(struct mailbox *m, const void *item)
{
    os_mutex_lock(m->lock);
    bool is_full = m->count == m->n_cap;
    if (!is_full) {
        size_t at = (m->head + m->count) % m->n_cap;
        memcpy(m->items + at * m->item_size, item, m->item_size);
        atomic_store(&m->n_item, ++m->count);
    }
    os_mutex_unlock(m->lock);
    if (is_full)
        return ERR_AGAIN;
    ring_bell(m);
    return OK;
}

void mailbox_wake(struct mailbox *m)
{
    atomic_store(&m->is_woken, true);
    ring_bell(m);
}

enum err mailbox_take(struct mailbox *m, void *item)
{
    /* The engine asks at every tick: an empty mailbox must not cost it a lock. */
    if (atomic_load(&m->n_item) == 0)
        return ERR_AGAIN;
    os_mutex_lock(m->lock);
    memcpy(item, m->items + m->head * m->item_size, m->item_size);
    m->head = (m->head + 1) % m->n_cap;
    atomic_store(&m->n_item, --m->count);
    os_mutex_unlock(m->lock);
    return OK;
}

void mailbox_wait(struct mailbox *m, int64_t deadline_ns)
{
    for (;;) {
        /* The bell is read before the reasons to stay awake: a ring in between changes it. */
        uint32_t n_bell = atomic_load(&m->n_bell);
        if (atomic_exchange(&m->is_woken, false) || atomic_load(&m->n_item) > 0)
            return;
        if (deadline_ns != INT64_MAX && os_now_ns() >= deadline_ns)
            return;
        os_futex_wait(&m->n_bell, n_bell, deadline_ns);
    }
}
