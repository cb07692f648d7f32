/* SPDX-License-Identifier: MIT */
/* mailbox: fixed-size messages from many threads to one.
 *
 * Posting takes a short lock and never waits for room: a full mailbox answers ERR_AGAIN. The
 * taker may sleep until a message comes, a deadline passes or somebody wakes it.
 */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct mailbox;

enum err mailbox_open(struct mailbox **out, size_t n_cap, size_t item_size) MUST_CHECK;
void     mailbox_close(struct mailbox **m);
enum err mailbox_post(struct mailbox *m, const void *item) MUST_CHECK; /* any thread */
void     mailbox_wake(struct mailbox *m);                              /* any thread */
enum err mailbox_take(struct mailbox *m, void *item) MUST_CHECK;       /* taker; ERR_AGAIN: empty */
/* Sleeps until a message is there, mailbox_wake() was called since the last wait, or deadline_ns
 * (os_now_ns() time; INT64_MAX: no deadline) has come. Taker only. */
void mailbox_wait(struct mailbox *m, int64_t deadline_ns);

#endif
