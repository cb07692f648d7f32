/* SPDX-License-Identifier: MIT */
#include "server/health.h"

#include <stdio.h>
#include <string.h>

#include "base/metric.h"
#include "base/os.h"
#include "server/reason.h"
#include "server/server_state.h"
#include "talk/engine.h"

static const char *state_name(const struct engine_info *info)
{
    switch (info->state) {
    case ENGINE_LOADING: return "loading";
    case ENGINE_DEGRADED: return "degraded";
    case ENGINE_DRAINING: return "draining";
    case ENGINE_READY: break;
    }
    return info->is_full ? "full" : "ready";
}

static void add_text(struct buf *out, const char *name, const char *value)
{
    buf_add_fmt(out, "\"%s\": ", name);
    buf_add_json(out, value, strlen(value));
}

static void add_state(struct buf *out, const struct engine_info *info)
{
    char reason[ERR_TEXT_CAP];

    reason_for_clients(reason, info->reason);
    add_text(out, "state", state_name(info));
    buf_add_str(out, ", ");
    add_text(out, "reason", reason);
}

static void add_stage(struct buf *out, const char *name, enum metric m)
{
    buf_add_fmt(out, "\"%s\": {\"count\": %lld, \"avgMs\": %.3f, \"lastMs\": %.3f", name,
                (long long)metric_get(m), metric_mean_s(m) * 1e3, metric_last_s(m) * 1e3);
}

/* What SolaceLive's server tells under the same names: its pages and probes read it. */
static void add_solace(struct buf *out, const struct engine_info *info, int n_client)
{
    bool        is_loaded = info->state == ENGINE_READY || info->state == ENGINE_DRAINING;
    const char *yes = is_loaded ? "true" : "false";
    int64_t     n_waiting = metric_get(M_MIC_QUEUE_FRAMES);

    buf_add_fmt(out, "\"clients\": %d, \"readiness\": {\"lm\": %s, \"mimi\": %s}, ", n_client, yes,
                yes);
    buf_add_fmt(out, "\"metrics\": {\"__lm\": %s, \"__mimi\": %s, ", yes, yes);
    add_stage(out, "encode", M_ENCODE_SECONDS);
    buf_add_str(out, "}, ");
    add_stage(out, "step", M_STEP_SECONDS);
    buf_add_fmt(out, ", \"overBudget\": %lld, \"budgetMs\": %.0f, \"underruns\": %lld}, ",
                (long long)metric_get(M_TICKS_LATE_TOTAL),
                info->frame_rate_hz > 0 ? 1e3 / info->frame_rate_hz : 80,
                (long long)metric_get(M_UNDERRUNS_TOTAL));
    add_stage(out, "decode", M_DECODE_SECONDS);
    buf_add_fmt(out, "}, \"queue\": {\"clients\": %d, \"backlogStepsAvg\": %.2f, ", info->n_talk,
                info->n_talk > 0 ? (double)n_waiting / info->n_talk : 0);
    buf_add_fmt(out, "\"backlogStepsMin\": %d, \"backlogStepsMax\": %d}}, ", info->least_waiting,
                info->most_waiting);
}

/* The page asks here for the state: the 503 of /readyz would be an error in a browser's console. */
void health_get(struct conn *c, const struct http_head *h)
{
    struct server_state *s = conn_server(c);
    struct engine_info   info;
    struct buf           out;

    engine_info(s->engine, &info);
    buf_init(&out, 8192);
    buf_add_str(&out, "{\"status\": \"healthy\", \"version\": \"" PARLEY_VERSION "\", ");
    add_state(&out, &info);
    buf_add_str(&out, ", ");
    add_text(&out, "model", info.model);
    buf_add_fmt(&out, ", \"talks\": %d, \"max_talks\": %d, ", info.n_talk, info.n_lane);
    buf_add_fmt(&out, "\"sample_rate\": %d, \"frame_samples\": %d, \"frame_rate\": %g, ",
                info.rate_hz, info.frame_size, info.frame_rate_hz);
    buf_add_fmt(&out, "\"step_p50_ms\": %.3f, \"step_p95_ms\": %.3f, ",
                metric_quantile_s(M_TICK_SECONDS, 0.5) * 1e3,
                metric_quantile_s(M_TICK_SECONDS, 0.95) * 1e3);
    add_solace(&out, &info, s->n_client);
    buf_add_fmt(&out, "\"uptime\": %.3f}\n", (double)(os_now_ns() - s->opened_ns) * 1e-9);
    conn_reply(c, 200, "application/json", "Cache-Control: no-store\r\n", buf_view(&out));
    buf_fini(&out);
}

void health_get_ready(struct conn *c, const struct http_head *h)
{
    struct engine_info info;
    struct buf         out;
    char               extra[80] = "Cache-Control: no-store\r\n";

    engine_info(conn_server(c)->engine, &info);
    bool is_ready = info.state == ENGINE_READY && !info.is_full;
    buf_init(&out, 8192);
    buf_add_fmt(&out, "{\"ready\": %s, ", is_ready ? "true" : "false");
    add_state(&out, &info);
    buf_add_fmt(&out, ", \"talks\": %d, \"max_talks\": %d}\n", info.n_talk, info.n_lane);
    if (!is_ready)
        snprintf(extra, sizeof extra, "Cache-Control: no-store\r\nRetry-After: %d\r\n",
                 info.retry_after_s);
    conn_reply(c, is_ready ? 200 : 503, "application/json", extra, buf_view(&out));
    buf_fini(&out);
}

void health_get_metrics(struct conn *c, const struct http_head *h)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    metric_write(&out);
    conn_reply(c, 200, "text/plain; version=0.0.4; charset=utf-8", "Cache-Control: no-store\r\n",
               buf_view(&out));
    buf_fini(&out);
}
