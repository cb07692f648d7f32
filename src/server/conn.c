/* SPDX-License-Identifier: MIT */
#include "server/conn.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/os.h"
#include "server/digest.h"
#include "server/out_queue.h"
#include "server/reason.h"
#include "server/routes.h"
#include "server/server_state.h"
#include "wire/ws.h"

#define MESSAGE_MAX     (1 << 20)
#define OUT_MAX         (1 << 20)
#define REQUEST_NS      15000000000LL /* an idle or slow HTTP connection */
#define STALL_NS        2000000000LL  /* without an answer that went out: not read */
#define CLOSE_NS        1000000000LL  /* for the other side's close frame */
#define FAREWELL_NS     10000000000LL /* for what is queued before it, and why it is over */
#define REASON_MAX      120
#define WANTS_WEBSOCKET "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"

enum conn_phase {
    CONN_HTTP,    /* reading requests */
    CONN_WS,      /* in a room */
    CONN_CLOSING, /* our close frame is out or queued; waiting for theirs */
    CONN_LEAVING, /* closes when the output is written */
};

struct conn {
    struct server_state *server;
    struct conn_host     host;
    enum conn_phase      phase;
    struct buf           in;
    size_t               in_at; /* bytes of in that are used up */
    struct ws_reader     reader;
    const struct room   *room;
    void                *room_state;
    struct out_queue     out;
    bool                 is_paused; /* by the room */
    bool                 is_deaf;   /* broke the protocol: nothing it says is read any more */
    bool                 is_head;   /* the current request is HEAD */
    bool                 keeps_alive;
    struct bytes         origin; /* whose page may read the answer; a view while answering */
    int64_t              last_in_ns, last_out_ns, deadline_ns;
    int64_t              moved_ns; /* a message went out whole, or the first was queued */
};

enum err conn_open(struct conn **out, struct server_state *server, const struct conn_host *host)
{
    struct conn *c = mem_zalloc(sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->server = server;
    c->host = *host;
    c->last_in_ns = c->last_out_ns = os_now_ns();
    c->deadline_ns = c->last_in_ns + REQUEST_NS;
    buf_init(&c->in, MESSAGE_MAX + 128 * 1024);
    ws_reader_init(&c->reader, MESSAGE_MAX);
    /* Room for a page and for the close frame above what rooms may queue. */
    out_queue_init(&c->out, OUT_MAX + 256 * 1024);
    metric_add(M_CONNECTIONS, 1);
    *out = c;
    return OK;
}

/* A room may end its connection in the middle of what it does; it is closed when that is over. */
static void leave_room_if_over(struct conn *c)
{
    if (!c->room || c->phase == CONN_WS)
        return;
    c->room->close(c->room_state);
    mem_free(c->room_state);
    c->room = NULL;
    c->room_state = NULL;
    c->server->n_client--;
}

static void process(struct conn *c);

void conn_close(struct conn **cp)
{
    struct conn *c = *cp;
    if (!c)
        return;
    c->phase = CONN_LEAVING;
    leave_room_if_over(c);
    buf_fini(&c->in);
    ws_reader_fini(&c->reader);
    out_queue_fini(&c->out);
    mem_free(c);
    metric_add(M_CONNECTIONS, -1);
    *cp = NULL;
}

struct server_state *conn_server(const struct conn *c)
{
    return c->server;
}
bool conn_is_backed_up(const struct conn *c)
{
    return c->out.n_byte > OUT_MAX / 2;
}
int64_t conn_idle_out_ns(const struct conn *c, int64_t now_ns)
{
    return now_ns - c->last_out_ns;
}
int64_t conn_idle_in_ns(const struct conn *c, int64_t now_ns)
{
    return now_ns - c->last_in_ns;
}
bool conn_is_idle(const struct conn *c)
{
    bool is_stalled = c->out.n_byte > 0 && os_now_ns() - c->moved_ns > STALL_NS;

    return c->phase == CONN_HTTP ? c->out.n_byte == 0 || is_stalled
                                 : c->phase != CONN_WS && is_stalled;
}

/* Output. */

static void push(struct conn *c, struct bytes head, struct bytes body)
{
    if (c->out.n_byte == 0)
        c->moved_ns = os_now_ns();
    if (out_queue_push(&c->out, head, body) != OK) {
        log_warn("connection closed: its client reads too slowly queued=%zu", c->out.n_byte);
        c->phase = CONN_LEAVING;
    }
    c->host.want_write(c->host.wsi);
}

static void send_frame(struct conn *c, enum ws_opcode opcode, struct bytes payload)
{
    uint8_t head[10];
    size_t  n = ws_write_head(head, opcode, payload.len);

    push(c, bytes_of(head, n), payload);
}

void conn_send(struct conn *c, struct bytes message)
{
    if (c->phase != CONN_WS)
        return;
    if (c->out.n_byte + message.len > OUT_MAX)
        conn_end(c, WS_CODE_POLICY, "reads too slowly");
    else
        send_frame(c, WS_BINARY, message);
    c->last_out_ns = os_now_ns();
}

static void send_close(struct conn *c, int code, const char *reason)
{
    uint8_t payload[2 + REASON_MAX];
    size_t  len = strnlen(reason, REASON_MAX);

    bytes_put_be(payload, (uint64_t)code, 2);
    memcpy(payload + 2, reason, len);
    send_frame(c, WS_CLOSE, bytes_of(payload, 2 + len));
}

/* How long a client that is told goodbye may take for the next message that waits for it. Who
 * shuts us down does not wait for those that do not read. */
static int64_t farewell_ns(const struct conn *c)
{
    return c->out.n_byte > 0 && !c->server->is_draining ? FAREWELL_NS : CLOSE_NS;
}

void conn_end(struct conn *c, int code, const char *reason)
{
    if (c->phase != CONN_WS)
        return;
    log_debug("closing code=%d reason=%s", code, reason);
    send_close(c, code, reason);
    if (c->phase == CONN_WS)
        c->phase = CONN_CLOSING;
    c->deadline_ns = os_now_ns() + farewell_ns(c);
}

bool conn_take_output(struct conn *c, struct bytes *out)
{
    return out_queue_front(&c->out, out);
}

bool conn_output_done(struct conn *c)
{
    struct bytes more;

    out_queue_pop(&c->out);
    c->moved_ns = os_now_ns();
    int64_t later_ns = c->moved_ns + farewell_ns(c);
    /* Who still reads gets all that was queued, and then why it is over. */
    if (c->phase != CONN_WS && (c->phase != CONN_HTTP || c->deadline_ns < later_ns))
        c->deadline_ns = later_ns;
    if (c->phase == CONN_HTTP) {
        process(c);
        leave_room_if_over(c); /* entered and left in what had waited */
    }
    if (conn_take_output(c, &more)) {
        c->host.want_write(c->host.wsi);
        return true;
    }
    conn_on_wake(c);
    return c->phase != CONN_LEAVING || conn_take_output(c, &more);
}

/* HTTP. */

static const char *reason_of(int status)
{
    switch (status) {
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 421: return "Misdirected Request";
    case 426: return "Upgrade Required";
    case 431: return "Request Header Fields Too Large";
    default: return "Service Unavailable";
    }
}

void conn_reply(struct conn *c, int status, const char *type, const char *extra, struct bytes body)
{
    struct buf head;

    buf_init(&head, 4096 + HTTP_HEAD_MAX);
    buf_add_fmt(&head, "HTTP/1.1 %d %s\r\n", status, reason_of(status));
    if (c->origin.len > 0)
        buf_add_fmt(&head, "Access-Control-Allow-Origin: %.*s\r\nVary: Origin\r\n",
                    (int)c->origin.len, (const char *)c->origin.p);
    if (status != 204 && status != 304) /* the one has none; of the other nothing is known */
        buf_add_fmt(&head, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, body.len);
    buf_add_fmt(&head, "Connection: %s\r\n%s\r\n", c->keeps_alive ? "keep-alive" : "close", extra);
    if (c->is_head)
        body.len = 0;
    if (!c->keeps_alive)
        c->phase = CONN_LEAVING;
    push(c, buf_view(&head), body);
    buf_fini(&head);
}

void conn_reply_text(struct conn *c, int status, const char *extra, const char *fmt, ...)
{
    struct buf body;
    char       text[512];
    va_list    args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_init(&body, 1024);
    buf_add_fmt(&body, "%s\n", text);
    conn_reply(c, status, "text/plain; charset=utf-8", extra, buf_view(&body));
    buf_fini(&body);
}

static void refuse(struct conn *c, int status, const char *extra, const char *why)
{
    c->keeps_alive = false;
    conn_reply_text(c, status, extra, "%s", why);
}

static bool is_method(const struct http_head *h, const char *name)
{
    return bytes_equal(h->method, bytes_str(name)); /* case counts: RFC 9110 9.1 */
}

/* Sixteen bytes in base64. */
static bool is_key(struct bytes key)
{
    if (key.len != 24 || memcmp(key.p + 22, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < 22; i++)
        if (!isalnum(key.p[i]) && key.p[i] != '+' && key.p[i] != '/')
            return false;
    return true;
}

/* RFC 6455 4.2.1: what a client's opening handshake must have. */
static bool is_handshake(const struct http_head *h)
{
    return h->minor == 1 && http_header_count(h, "sec-websocket-key") == 1 &&
           is_key(http_header(h, "sec-websocket-key")) &&
           http_has_token(h, "connection", "upgrade") && is_method(h, "GET");
}

/* The status that a body, or a doubtful length of one, deserves; 0: there is none. Two lengths of
 * which a proxy believes the other would let a body pass for the next request. */
static int check_body(const struct http_head *h)
{
    struct bytes length = http_header(h, "content-length");
    int          n = http_header_count(h, "content-length"), status = 0;

    for (size_t i = 0; i < length.len; i++)
        if (!isdigit(length.p[i]))
            return 400;
        else if (length.p[i] != '0')
            status = 413;
    if (n > 1 || (n == 1 && length.len == 0))
        return 400;
    return http_header_count(h, "transfer-encoding") ? 413 : status;
}

/* A browser asks so before a request that a page may not simply make, one with our key. */
static bool is_preflight(const struct http_head *h)
{
    return is_method(h, "OPTIONS") && http_header_count(h, "origin") > 0 &&
           http_header_count(h, "access-control-request-method") > 0;
}

static void answer_preflight(struct conn *c)
{
    conn_reply(c, 204, "",
               "Access-Control-Allow-Methods: GET, HEAD\r\n"
               "Access-Control-Allow-Headers: Authorization, kyutai-api-key\r\n"
               "Access-Control-Max-Age: 600\r\n",
               bytes_of(NULL, 0));
}

static void refuse_room(struct conn *c, enum err err)
{
    struct engine_info info;
    char               extra[40], why[ERR_TEXT_CAP];

    reason_for_clients(why, err_text(err));
    engine_info(c->server->engine, &info);
    snprintf(extra, sizeof extra, "Retry-After: %d\r\n", info.retry_after_s);
    metric_inc(M_TALKS_REFUSED_TOTAL);
    refuse(c, 503, extra, why);
}

static void upgrade(struct conn *c, const struct http_head *h, const struct route *route)
{
    char accept[32], text[256];

    if (!http_is_word(http_header(h, "sec-websocket-version"), "13")) {
        refuse(c, 426, WANTS_WEBSOCKET, "WebSocket version 13 is spoken here");
        return;
    }
    if (!is_handshake(h)) {
        refuse(c, 400, "", "not a WebSocket handshake");
        return;
    }
    void    *state = mem_zalloc(route->room->state_size);
    enum err err = state ? route->room->open(state, c, h->query) : ERR_NOMEM;
    if (err) {
        mem_free(state);
        refuse_room(c, err);
        return;
    }
    digest_accept(accept, http_header(h, "sec-websocket-key"));
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    c->room = route->room;
    c->room_state = state;
    c->server->n_client++;
    c->phase = CONN_WS;
    log_info("room entered room=%s", c->room->name);
    push(c, bytes_of(text, (size_t)n), bytes_of(NULL, 0));
    if (c->phase == CONN_WS)
        c->room->begin(c->room_state);
}

static void answer(struct conn *c, const struct http_head *h)
{
    bool                is_upgrade = http_has_token(h, "upgrade", "websocket");
    bool                is_get = is_method(h, "GET") || is_method(h, "HEAD");
    int                 body_status = check_body(h);
    const struct route *route = routes_find(h->path, c->host.port, is_upgrade);

    c->is_head = is_method(h, "HEAD");
    c->keeps_alive = h->minor == 1 && !http_has_token(h, "connection", "close");
    bool wants_key = is_get && (!route || route->wants_key); /* preflights cannot carry one */
    int  status = access_check(&c->server->access, h, c->host.port, wants_key);
    if (status == 0 || status == 401)
        c->origin = http_header(h, "origin");
    if (status == 401)
        refuse(c, 401, "WWW-Authenticate: Bearer\r\n", "the key is missing or wrong");
    else if (status == 421)
        refuse(c, 421, "", "this Host is not served here");
    else if (status)
        refuse(c, status, "", status == 403 ? "this Origin may not connect" : "bad Host");
    else if (body_status == 400)
        refuse(c, 400, "", "bad Content-Length");
    else if (is_preflight(h) && !body_status)
        answer_preflight(c);
    else if (!is_get)
        refuse(c, 405, "Allow: GET, HEAD\r\n", "only GET and HEAD are answered");
    else if (body_status)
        refuse(c, 413, "", "no request here has a body");
    else if (!route)
        conn_reply_text(c, 404, "", "nothing is at this path");
    else if (is_upgrade && route->room)
        upgrade(c, h, route);
    else if (route->get)
        route->get(c, h);
    else
        refuse(c, 426, WANTS_WEBSOCKET, "this path speaks WebSocket");
}

/* false: bring more. */
static bool read_request(struct conn *c, struct bytes in)
{
    struct http_head head;
    size_t           n_used = 0;
    enum err         err = http_read_head(&head, &n_used, in);

    if (err == ERR_AGAIN)
        return false;
    c->in_at += n_used;
    c->deadline_ns = os_now_ns() + REQUEST_NS;
    c->is_head = false;
    if (err)
        refuse(c, err == ERR_LIMIT ? 431 : 400, "", "the request could not be read");
    else
        answer(c, &head);
    c->origin = bytes_of(NULL, 0);
    return true;
}

/* WebSocket. */

static void on_peer_close(struct conn *c, struct bytes payload)
{
    int code;

    if (ws_read_close(&code, payload) != OK) {
        if (c->phase == CONN_WS)
            send_close(c, WS_CODE_PROTOCOL, "bad close");
    } else if (c->phase == CONN_WS) {
        send_frame(c, WS_CLOSE, bytes_of(payload.p, payload.len < 2 ? 0 : 2));
    }
    c->phase = CONN_LEAVING;
    c->deadline_ns = os_now_ns() + farewell_ns(c);
    c->host.want_write(c->host.wsi);
}

/* false: bring more. */
static bool read_frame(struct conn *c, struct bytes in)
{
    enum ws_opcode opcode = WS_BINARY;
    struct bytes   payload = { 0 };
    size_t         n_used = 0;
    int            code = 0;
    enum err       err = ws_read(&c->reader, &opcode, &payload, &n_used, &code, in);

    c->in_at += n_used;
    if (err == ERR_AGAIN)
        return false;
    if (err) {
        conn_end(c, code, code == WS_CODE_TOO_BIG ? "message above 1 MiB" : "protocol error");
        c->is_deaf = true;
        return false;
    }
    if (opcode == WS_CLOSE)
        on_peer_close(c, payload);
    else if (opcode == WS_PING && c->phase == CONN_WS && c->out.n_byte < OUT_MAX)
        send_frame(c, WS_PONG, payload);
    else if (opcode <= WS_BINARY && c->phase == CONN_WS)
        c->room->on_message(c->room_state, opcode == WS_BINARY, payload);
    return true;
}

/* A client that asks faster than it reads its answers is made to wait; in a room, when the room
 * says so. */
static bool is_waiting(const struct conn *c)
{
    return c->phase == CONN_WS ? c->is_paused : c->phase == CONN_HTTP && conn_is_backed_up(c);
}

/* Works through what has come. Waiting keeps the rest, and the socket is not read meanwhile. */
static void process(struct conn *c)
{
    bool goes_on = true;

    while (goes_on && c->phase != CONN_LEAVING && !c->is_deaf && !is_waiting(c)) {
        struct bytes in = bytes_of(c->in.p + c->in_at, c->in.len - c->in_at);
        goes_on = in.len > 0 && (c->phase == CONN_HTTP ? read_request(c, in) : read_frame(c, in));
    }
    if (c->is_deaf || c->phase == CONN_LEAVING)
        c->in_at = c->in.len;
    buf_drop_front(&c->in, c->in_at);
    c->in_at = 0;
    /* The library closes as soon as it reads that a client has closed its side: what that one has
     * asked for goes out before we look for more. */
    bool is_answering = (c->phase == CONN_HTTP || c->phase == CONN_LEAVING) && c->out.n_byte > 0;
    c->host.set_reading(c->host.wsi, !is_waiting(c) && !is_answering);
}

bool conn_on_bytes(struct conn *c, struct bytes in)
{
    c->last_in_ns = os_now_ns();
    if (c->phase == CONN_LEAVING || c->is_deaf)
        return true;
    buf_add(&c->in, in.p, in.len);
    if (buf_err(&c->in)) {
        log_warn("connection closed: more than its buffer holds len=%zu", c->in.len);
        return false;
    }
    process(c);
    leave_room_if_over(c);
    return true;
}

void conn_pause(struct conn *c, bool on)
{
    c->is_paused = on;
}

/* After a room callback: resume reading if its pause ended; free the room if it ended the
 * connection. That one is read to its end, too, or its close would become a reset. */
static void settle(struct conn *c, bool was_paused)
{
    if (was_paused && !is_waiting(c))
        process(c);
    leave_room_if_over(c);
}

void conn_on_wake(struct conn *c)
{
    bool was_paused = c->is_paused;

    if (!c->room || c->phase != CONN_WS)
        return;
    c->room->on_wake(c->room_state);
    settle(c, was_paused);
}

/* A request has begun, and it is not our answers to others that keep us from reading its end. */
static bool is_half_asked(const struct conn *c)
{
    return c->phase == CONN_HTTP && c->in.len > 0 && c->out.n_byte == 0;
}

bool conn_on_tick(struct conn *c, int64_t now_ns)
{
    bool         was_paused = c->is_paused;
    struct bytes out;

    if (c->phase == CONN_WS) {
        if (c->server->is_draining)
            conn_end(c, WS_CODE_GOING_AWAY, "the server is shutting down");
        else
            c->room->on_tick(c->room_state, now_ns);
        settle(c, was_paused);
        return true;
    }
    if (now_ns >= c->deadline_ns && is_half_asked(c)) {
        c->is_head = false; /* of the request before */
        refuse(c, 408, "", "the request was not whole in time");
        c->deadline_ns = now_ns + CLOSE_NS;
    }
    if (c->server->is_draining && c->deadline_ns > now_ns + CLOSE_NS)
        c->deadline_ns = now_ns + CLOSE_NS;
    bool is_done = c->phase == CONN_LEAVING || (c->phase == CONN_HTTP && c->server->is_draining);
    if (is_done && !conn_take_output(c, &out))
        return false;
    return now_ns < c->deadline_ns;
}
