/* SPDX-License-Identifier: MIT */
#include "app/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/options.h"
#include "base/log.h"
#include "base/os.h"
#include "hub/registry.h"

const char *app_str(const struct app *app, enum option o)
{
    const struct option_value *v = &app->value[o];
    return v->n && *v->text[0] ? v->text[0] : NULL;
}

int64_t app_int(const struct app *app, enum option o)
{
    return (int64_t)app->value[o].num;
}
double app_num(const struct app *app, enum option o)
{
    return app->value[o].num;
}
bool app_flag(const struct app *app, enum option o)
{
    return app->value[o].n > 0;
}
bool app_is_set(const struct app *app, enum option o)
{
    return app->value[o].from != FROM_DEFAULT;
}

int app_list_count(const struct app *app, enum option o)
{
    return app->value[o].n;
}

const char *app_list_at(const struct app *app, enum option o, int i)
{
    return i < app->value[o].n ? app->value[o].text[i] : NULL;
}

int app_operand_count(const struct app *app)
{
    return app->n_operand;
}

const char *app_operand(const struct app *app, int i)
{
    return i < app->n_operand ? app->operand[i] : NULL;
}

enum err app_print(struct bytes data)
{
    return os_stream_write(1, data.p, data.len, "standard output");
}

static bool has_said;

void app_say(const char *fmt, ...)
{
    va_list args;

    has_said = true;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

bool app_has_said(void)
{
    return has_said;
}

void app_progress(const char *what, int64_t done, int64_t total)
{
    static int64_t drawn_ns;
    int64_t        now_ns = os_now_ns();

    if (!os_is_terminal(2) || total <= 0 || (done < total && now_ns - drawn_ns < 100000000))
        return;
    drawn_ns = now_ns;
    int width = os_terminal_width() - (int)strlen(what) - 10;
    width = width < 10 ? 10 : width > 50 ? 50 : width;
    int full = (int)(done * width / total);
    fprintf(stderr, "\r%s [", what);
    for (int i = 0; i < width; i++)
        fputc(i < full ? '=' : ' ', stderr);
    fprintf(stderr, "] %3d%%%s", (int)(done * 100 / total), done >= total ? "\n" : "");
    fflush(stderr);
}

static volatile atomic_int stop_signal;

void app_catch_signals(void (*wake)(void *), void *arg)
{
    os_on_stop_signals(&stop_signal, wake, arg);
}

int app_stop_signal(void)
{
    return atomic_load(&stop_signal);
}

enum err app_go_on(void)
{
    return app_stop_signal() ? err_set(ERR_INTERRUPTED, "interrupted") : OK;
}

enum err app_model_dir(const struct app *app, char *out, size_t cap)
{
    const char *name = app_str(app, OPT_MODEL);
    return app_find_model(name ? name : "", out, cap);
}

enum err app_find_model(const char *name, char *out, size_t cap)
{
    return registry_find(out, cap, name);
}

static int  n_thread_asked; /* when it was more than there are processors */
static bool was_warned;     /* of that */

/* Threads beyond the processors only take turns, and wait for each other's. */
static int thread_count(const struct app *app)
{
    int n = (int)app_int(app, OPT_THREADS), n_cpu = os_cpu_count();

    if (n <= n_cpu)
        return n;
    n_thread_asked = n;
    return n_cpu;
}

void app_warn_threads(void)
{
    was_warned = n_thread_asked > 0 && log_is_on(LOG_WARN);
    if (was_warned)
        log_warn("more threads than processors threads=%d used=%d", n_thread_asked, os_cpu_count());
}

void app_say_threads(void)
{
    if (n_thread_asked && !was_warned)
        app_say("%d threads were asked for, %d computed: there are no more processors",
                n_thread_asked, os_cpu_count());
}

enum err app_be_options(const struct app *app, struct be_options *out, bool is_exact)
{
    out->device = app_str(app, OPT_DEVICE);
    out->n_thread = thread_count(app);
    out->is_exact = is_exact;
    out->is_pinned = app_flag(app, OPT_PIN);
    out->kv = app_str(app, OPT_KV);
    if (strcmp(out->device, "cuda") != 0)
        return OK;
    /* What this machine has not is said before a model is looked for. */
    struct be *be = NULL;
    enum err   err = be_open(&be, out);
    if (!err)
        be_close(&be);
    return err;
}

enum weights_quant app_quant(const struct app *app)
{
    const char *name = app_str(app, OPT_QUANT);

    return strcmp(name, "q4") == 0   ? WEIGHTS_QUANT_Q4
           : strcmp(name, "q8") == 0 ? WEIGHTS_QUANT_Q8
                                     : WEIGHTS_QUANT_NONE;
}
