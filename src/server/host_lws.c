/* SPDX-License-Identifier: MIT */
#include "server/host.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "server/conn.h"
#include "server/server.h"

#define TICK_US     (100 * LWS_US_PER_MS)
#define DRAIN_NS    2000000000LL
#define CHUNK       8192 /* small enough to go out whole when the socket can take anything */
#define DISCARD_MAX 1024 /* chunks that a connection that ends may still have said */
#define READ_SIZE   65536
#define CONN_MAX    1024

/* One accepted socket; or, with a listener and without a host, a listening one. */
struct session {
    struct session        *next, *prev;
    const struct listener *listener;
    struct host           *host;
    struct lws            *wsi;
    struct conn           *conn;
    size_t                 n_sent; /* of the front message */
    bool                   is_reading;
};

struct host {
    struct lws_context    *context;
    struct lws_vhost      *vhost;
    struct server_state   *state;
    const struct listener *listeners;
    int                    n_listener;
    struct lws            *listening[SERVER_MAX_LISTEN]; /* n_listener */
    bool                   is_accepting;
    struct session        *sessions; /* accepted ones */
    int                    n_session;
    lws_sorted_usec_list_t tick;
    int64_t                drain_until_ns;
    uint8_t                chunk[LWS_PRE + CHUNK];
    atomic_bool            is_stopping, is_woken;
};

static void want_write(void *wsi)
{
    lws_callback_on_writable(wsi);
}

static void set_reading(void *wsi, bool on)
{
    struct session *s = lws_wsi_user(wsi);

    if (s->is_reading == on)
        return;
    s->is_reading = on;
    lws_rx_flow_control(wsi, on);
}

static void link_session(struct host *h, struct session *s)
{
    s->next = h->sessions;
    if (s->next)
        s->next->prev = s;
    h->sessions = s;
    h->n_session++;
}

static void unlink_session(struct session *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        s->host->sessions = s->next;
    if (s->next)
        s->next->prev = s->prev;
    s->host->n_session--;
}

static void kill_later(struct session *s)
{
    lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static int adopt(struct host *h, int fd, const struct listener *l)
{
    int                   on = 1, idle_s = 20, probe_s = 5, gone_ms = 30000;
    lws_sock_file_fd_type desc = { .sockfd = fd };

    /* Keep-alive finds clients that are gone without a word, the user timeout those that something
     * is on its way to. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &gone_ms, sizeof gone_ms);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe_s, sizeof probe_s);
    struct lws *wsi = lws_adopt_descriptor_vhost(h->vhost, LWS_ADOPT_SOCKET, desc, "parley", NULL);
    if (!wsi)
        return -1; /* closed by the library */
    struct session  *s = lws_wsi_user(wsi);
    struct conn_host ch = { wsi, l->port, want_write, set_reading };
    *s = (struct session){ .host = h, .wsi = wsi, .is_reading = true };
    link_session(h, s);
    if (conn_open(&s->conn, h->state, &ch) != OK)
        kill_later(s);
    return 0;
}

static void set_accepting(struct host *h, bool on)
{
    h->is_accepting = on;
    for (int i = 0; i < h->n_listener; i++)
        lws_rx_flow_control(h->listening[i], on);
}

/* Who asks for nothing, silent for longest; NULL: all are busy. */
static struct session *most_silent(struct host *h)
{
    int64_t         now_ns = os_now_ns(), longest_ns = -1;
    struct session *found = NULL;

    for (struct session *s = h->sessions; s; s = s->next) {
        int64_t silent_ns = s->conn ? conn_idle_in_ns(s->conn, now_ns) : 0;
        if (s->conn && conn_is_idle(s->conn) && silent_ns > longest_ns) {
            longest_ns = silent_ns;
            found = s;
        }
    }
    return found;
}

/* A crowd that says nothing must not shut out who has something to ask. */
static bool make_room(struct host *h)
{
    struct session *s = most_silent(h);

    if (!s)
        return false;
    log_warn("silent connection closed for a new one open=%d", h->n_session);
    lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
    return true;
}

/* The kernel says that it is out of descriptors before it looks whether somebody waits. */
static bool is_shut_out(const struct listener *l)
{
    struct pollfd fd = { .fd = l->fd, .events = POLLIN };

    return (errno == EMFILE || errno == ENFILE) && poll(&fd, 1, 0) == 1;
}

static int accept_one(struct host *h, const struct listener *l)
{
    for (;;) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0 || !is_shut_out(l) || !make_room(h))
            return fd;
    }
}

static void accept_all(struct host *h, const struct listener *l)
{
    for (;;) {
        int fd = accept_one(h, l);
        if (fd < 0) {
            /* Out of descriptors: who waits outside would wake us again and again. */
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                log_warn("no connection accepted reason=%s", strerror(errno));
                set_accepting(h, false);
            }
            return;
        }
        if (h->n_session >= CONN_MAX && !make_room(h)) {
            log_warn("connection refused open=%d", h->n_session);
            close(fd);
        } else {
            adopt(h, fd, l);
        }
    }
}

/* Writes as long as the socket takes whole chunks. -1: close it. */
static int write_some(struct session *s)
{
    struct bytes out;

    while (conn_take_output(s->conn, &out)) {
        if (lws_send_pipe_choked(s->wsi)) {
            lws_callback_on_writable(s->wsi);
            return 0;
        }
        size_t n = out.len - s->n_sent < CHUNK ? out.len - s->n_sent : CHUNK;
        memcpy(s->host->chunk + LWS_PRE, out.p + s->n_sent, n);
        if (lws_write(s->wsi, s->host->chunk + LWS_PRE, n, LWS_WRITE_RAW) < 0)
            return -1;
        s->n_sent += n;
        if (s->n_sent < out.len)
            continue;
        s->n_sent = 0;
        if (!conn_output_done(s->conn))
            return -1;
    }
    return 0;
}

static void wake_all(struct host *h)
{
    if (!atomic_exchange(&h->is_woken, false))
        return;
    for (struct session *s = h->sessions, *next; s; s = next) {
        next = s->next;
        if (s->conn)
            conn_on_wake(s->conn);
    }
}

/* What arrived and was not read makes the kernel end a connection by a reset, and the peer then
 * loses what is still on its way to it: the last words and why it ends. */
static void discard_input(struct session *s)
{
    int fd = lws_get_socket_fd(s->wsi);

    for (int i = 0; i < DISCARD_MAX; i++)
        if (recv(fd, s->host->chunk, sizeof s->host->chunk, MSG_DONTWAIT) <= 0)
            return;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct session *s = user;
    struct host    *h = wsi ? lws_context_user(lws_get_context(wsi)) : NULL;

    switch (reason) {
    case LWS_CALLBACK_RAW_RX_FILE: accept_all(h, s->listener); return 0;
    case LWS_CALLBACK_RAW_RX:
        /* The answer goes out at once: of a client that has closed its side no more is heard. */
        return s && s->conn && conn_on_bytes(s->conn, bytes_of(in, len)) ? write_some(s) : -1;
    case LWS_CALLBACK_RAW_WRITEABLE: return s && s->conn ? write_some(s) : 0;
    case LWS_CALLBACK_RAW_CLOSE:
        if (s && s->host) {
            conn_close(&s->conn);
            discard_input(s);
            unlink_session(s);
            s->host = NULL;
        }
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        if (h)
            wake_all(h);
        return 0;
    default: return 0;
    }
}

static void on_tick(lws_sorted_usec_list_t *sul)
{
    struct host *h = lws_container_of(sul, struct host, tick);
    int64_t      now_ns = os_now_ns();

    if (!h->is_accepting)
        set_accepting(h, true);
    for (struct session *s = h->sessions, *next; s; s = next) {
        next = s->next;
        if (s->conn && !conn_on_tick(s->conn, now_ns))
            kill_later(s);
    }
    lws_sul_schedule(h->context, 0, &h->tick, on_tick, TICK_US);
}

static void on_library_log(int level, const char *line)
{
    log_debug("libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

static const struct lws_protocols protocols[] = {
    { "parley", on_event, sizeof(struct session), READ_SIZE, 0, NULL, 0 },
    { 0 },
};

static enum err watch_listeners(struct host *h)
{
    for (int i = 0; i < h->n_listener; i++) {
        /* The library closes what it watches; the listener keeps its own descriptor. */
        lws_sock_file_fd_type desc = { .filefd = dup(h->listeners[i].fd) };
        struct lws *wsi = lws_adopt_descriptor_vhost(h->vhost, LWS_ADOPT_RAW_FILE_DESC, desc,
                                                     "parley", NULL);
        if (!wsi)
            return err_set(ERR_NET, "cannot watch %s", h->listeners[i].url);
        ((struct session *)lws_wsi_user(wsi))->listener = &h->listeners[i];
        h->listening[i] = wsi;
    }
    h->is_accepting = true;
    return OK;
}

enum err host_open(struct host **out, struct server_state *state, const struct listener *listeners,
                   int n_listener)
{
    struct host *h = mem_zalloc(sizeof *h);
    if (!h)
        return ERR_NOMEM;
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .pt_serv_buf_size = READ_SIZE,
        .gid = -1,
        .uid = -1,
        .user = h,
    };
    enum err err = OK;

    lws_set_log_level(LLL_ERR | LLL_WARN, on_library_log);
    h->state = state;
    h->listeners = listeners;
    h->n_listener = n_listener;
    h->context = lws_create_context(&info);
    h->vhost = h->context ? lws_create_vhost(h->context, &info) : NULL;
    if (!h->vhost)
        err = err_set(ERR_FAIL, "cannot start the event loop");
    if (!err)
        err = watch_listeners(h);
    if (err) {
        host_close(&h);
        return err;
    }
    lws_sul_schedule(h->context, 0, &h->tick, on_tick, TICK_US);
    *out = h;
    return OK;
}

void host_wake(void *host)
{
    struct host *h = host;

    /* One ring is enough until it was heard. */
    if (!atomic_exchange(&h->is_woken, true))
        lws_cancel_service(h->context);
}

void host_stop(void *host)
{
    struct host *h = host;

    atomic_store(&h->is_stopping, true);
    lws_cancel_service(h->context);
}

static bool is_over(struct host *h)
{
    if (!atomic_load(&h->is_stopping))
        return false;
    if (!h->state->is_draining) {
        h->state->is_draining = true;
        h->drain_until_ns = os_now_ns() + DRAIN_NS;
        engine_drain(h->state->engine);
        log_info("draining connections=%d", h->n_session);
    }
    return h->n_session == 0 || os_now_ns() >= h->drain_until_ns;
}

enum err host_run(struct host *h)
{
    while (!is_over(h))
        if (lws_service(h->context, 0) < 0)
            return err_set(ERR_FAIL, "the event loop failed");
    return OK;
}

/* The engine rings our bell until it has seen that its talks are over. */
static void leave_engine(struct host *h)
{
    struct engine_info info = { .n_talk = h->state->engine ? 1 : 0 };

    for (struct session *s = h->sessions; s; s = s->next)
        conn_close(&s->conn);
    while (info.n_talk > 0) {
        engine_info(h->state->engine, &info);
        os_sleep_until_ns(os_now_ns() + 1000000);
    }
}

void host_close(struct host **hp)
{
    struct host *h = *hp;
    if (!h)
        return;
    leave_engine(h);
    if (h->context) {
        lws_sul_cancel(&h->tick);
        lws_context_destroy(h->context);
    }
    mem_free(h);
    *hp = NULL;
}
