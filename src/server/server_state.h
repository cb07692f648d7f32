/* SPDX-License-Identifier: MIT */
/* server_state: what the rooms and routes of one server share. io thread only. */
#ifndef SERVER_SERVER_STATE_H
#define SERVER_SERVER_STATE_H

#include "server/access.h"
#include "server/chat_codec.h"
#include "talk/engine.h"

struct server_state {
    struct engine     *engine;
    struct chat_codec *codec;
    struct access      access;
    void (*wake)(void *arg); /* any thread: the io thread looks at all rooms */
    void *wake_arg;
    void (*tune)(struct lm_gen_options *gen, const void *arg);
    const void *tune_arg;
    bool        is_draining;
    int         n_client; /* connections that are in a room */
    int64_t     opened_ns;
};

#endif
