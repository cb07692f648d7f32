/* SPDX-License-Identifier: MIT */
/* trickle: text for a descriptor that may take nothing for a while, as a terminal after Ctrl-S or a
 * pipe whose reader rests.
 *
 * Whoever also has a microphone to serve must not wait for it: what does not go out at once is kept
 * and goes out later, in order. Only past TRICKLE_CAP bytes, hours of talk, is it waited for. One
 * thread.
 */
#ifndef APP_TRICKLE_H
#define APP_TRICKLE_H

#include "base/buf.h"

#define TRICKLE_CAP ((size_t)1 << 20)

struct trickle {
    int         fd;
    const char *name; /* for sentences */
    struct buf  kept;
};

void trickle_init(struct trickle *t, int fd, const char *name);
void trickle_fini(struct trickle *t);
/* Adds text (NULL: nothing) and writes what goes out at once. ERR_IO: closed or full. */
enum err trickle_add(struct trickle *t, const char *text) MUST_CHECK;
/* Waits until everything is out; ERR_INTERRUPTED as os_stream_write(). */
enum err trickle_flush(struct trickle *t) MUST_CHECK;

#endif
