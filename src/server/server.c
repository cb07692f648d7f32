/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "server/host.h"

struct server {
    struct server_state state;
    struct listener     listener[SERVER_MAX_LISTEN];
    int                 port[SERVER_MAX_LISTEN];
    bool                is_public[SERVER_MAX_LISTEN];
    int                 n_listener;
    struct host        *host;
};

static enum err check_addresses(const struct server_options *o)
{
    for (int i = 0; i < o->n_listen; i++) {
        bool     is_loopback = false;
        enum err err = listener_check(&is_loopback, o->listen[i]);
        if (err)
            return err;
        if (!is_loopback && !o->key)
            return err_set(ERR_AUTH, "%s is not loopback: a key is needed (--key-file)",
                           o->listen[i]);
    }
    return OK;
}

enum err server_open(struct server **out, const struct server_options *o)
{
    struct server *s = mem_zalloc(sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->state = (struct server_state){
        .access = { .key = o->key,
                    .hosts = o->hosts,
                    .n_host = o->n_host,
                    .origins = o->origins,
                    .n_origin = o->n_origin,
                    .ports = s->port,
                    .is_public = s->is_public },
        .tune = o->tune,
        .tune_arg = o->tune_arg,
        .opened_ns = os_now_ns(),
    };
    enum err err = check_addresses(o);
    for (int i = 0; !err && i < o->n_listen; i++) {
        err = listener_open(&s->listener[i], o->listen[i]);
        s->port[i] = s->listener[i].port;
        s->is_public[i] = !s->listener[i].is_loopback;
        s->n_listener += !err;
    }
    s->state.access.n_port = s->n_listener;
    if (!err)
        err = host_open(&s->host, &s->state, s->listener, s->n_listener);
    s->state.wake = host_wake;
    s->state.wake_arg = s->host;
    if (!err)
        err = chat_codec_open(&s->state.codec, host_wake, s->host);
    if (err)
        server_close(&s);
    else
        *out = s;
    return err;
}

const char *server_url(const struct server *s, int i)
{
    return i < s->n_listener ? s->listener[i].url : NULL;
}

enum err server_run(struct server *s, struct engine *e)
{
    s->state.engine = e;
    log_info("serving listeners=%d", s->n_listener);
    return host_run(s->host);
}

void server_stop(void *server)
{
    struct server *s = server;
    host_stop(s->host);
}

void server_close(struct server **sp)
{
    struct server *s = *sp;
    if (!s)
        return;
    /* The codec wakes the host until it has ended; rooms close their lines with the host. */
    if (s->state.codec)
        chat_codec_stop(s->state.codec);
    host_close(&s->host);
    chat_codec_close(&s->state.codec);
    for (int i = 0; i < s->n_listener; i++)
        listener_close(&s->listener[i]);
    mem_free(s);
    *sp = NULL;
}
