/* SPDX-License-Identifier: MIT */
#include "backend/be.h"

#include <string.h>

#include "backend/be_impl.h"
#include "base/mem.h"

#define DUMMY_SIZE (16 << 20) /* virtual until touched, and only after a failure */

const struct step be_one_lane = { 1, &(const int){ 0 } };

/* The row of a device's name; "auto" is the first that opens. */
static enum err open_row(struct be *be, const struct be_options *o)
{
    const char *name = o->device && *o->device ? o->device : "auto";
    bool        is_auto = strcmp(name, "auto") == 0;
    enum err    err = OK;
    for (int i = 0; backends[i]; i++) {
        if (!is_auto && strcmp(name, backends[i]->name) != 0)
            continue;
        be->row = backends[i];
        err = be->row->open(be, o);
        if (!err || !is_auto)
            return err;
    }
    be->row = NULL;
    if (err)
        return err;
    if (strcmp(name, "cuda") == 0)
        return err_set(ERR_HARDWARE, "this Parley was built without cuda: use the device cpu");
    return err_set(ERR_USAGE, "unknown device '%s'", name);
}

static enum err choose_kv(struct be *be, const char *name)
{
    static const struct {
        const char *name;
        enum dtype  dtype;
    } known[] = { { "f32", DT_F32 }, { "bf16", DT_BF16 }, { "int8", DT_I8 } };

    be->kv_dtype = be->is_exact ? DT_F32 : DT_BF16;
    if (!name || !*name || strcmp(name, "auto") == 0)
        return OK;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) {
            be->kv_dtype = known[i].dtype;
            return OK;
        }
    return err_set(ERR_USAGE, "unknown kind of keys and values '%s'", name);
}

enum err be_open(struct be **out, const struct be_options *o)
{
    struct be *be = mem_zalloc(sizeof *be);
    if (!be)
        return err_set(ERR_NOMEM, "out of memory");
    be->is_exact = o->is_exact;
    enum err err = choose_kv(be, o->kv);
    be->dummy.p = mem_alloc(DUMMY_SIZE);
    if (!err && !be->dummy.p)
        err = err_set(ERR_NOMEM, "out of memory");
    if (!err)
        err = open_row(be, o);
    if (err) {
        be->row = NULL;
        be_close(&be);
        return err;
    }
    *out = be;
    return OK;
}

void be_close(struct be **be)
{
    if (!*be)
        return;
    if ((*be)->row)
        (*be)->row->close(*be);
    be_arena_fini(&(*be)->arena);
    be_arena_fini(&(*be)->lasting);
    mem_free((*be)->dummy.p);
    mem_free(*be);
    *be = NULL;
}

int be_thread_count(const struct be *be)
{
    return be->n_thread;
}

bool be_is_exact(const struct be *be)
{
    return be->is_exact;
}

enum dtype be_kv_dtype(const struct be *be)
{
    return be->kv_dtype;
}

void be_hold(struct be *be)
{
    must(!be->is_in_step);
    if (be->n_hold++ == 0 && be->row->hold)
        be->row->hold(be);
}

void be_release(struct be *be)
{
    must(!be->is_in_step && be->n_hold > 0);
    if (--be->n_hold == 0 && be->row->release)
        be->row->release(be);
}

void be_rouse(struct be *be)
{
    if (be->row->rouse)
        be->row->rouse(be);
}

void be_begin(struct be *be, const struct step *s)
{
    must(!be->is_in_step && s->n_lane > 0);
    for (int a = 1; a < s->n_lane; a++)
        must(s->lane[a - 1] < s->lane[a]);
    be->step = *s;
    be->err = OK;
    be->is_in_step = true;
    be->angles = NULL;
    be_arena_reset(&be->arena);
    be_arena_reset(&be->lasting);
    if (be->row->begin)
        be->row->begin(be);
}

enum err be_end(struct be *be)
{
    must(be->is_in_step);
    be->is_in_step = false;
    if (be->row->end)
        be->row->end(be);
    be_arena_settle(&be->arena);
    be_arena_settle(&be->lasting);
    return be->err;
}

void be_fail(struct be *be, enum err err)
{
    if (!be->err)
        be->err = err;
}

bool be_has_failed(const struct be *be)
{
    return be->err != OK;
}

const struct step *be_step(const struct be *be)
{
    return &be->step;
}

static void fail_memory(struct be *be)
{
    if (!be->err)
        be_fail(be, err_set(ERR_NOMEM, "out of memory inside a step"));
}

void *be_lasting(struct be *be, size_t size)
{
    void *p = be->err ? NULL : be_arena_take(&be->lasting, size);
    if (!p)
        fail_memory(be);
    return p;
}

void *be_scratch_bytes(struct be *be, size_t size)
{
    void *p = be->err ? NULL : be_arena_take(&be->arena, size);
    if (p)
        return p;
    fail_memory(be);
    return size <= DUMMY_SIZE ? be->dummy.p : NULL;
}

struct tensor *be_scratch(struct be *be, int n_row, int n_col)
{
    must(be->is_in_step && n_row > 0 && n_col > 0);
    size_t         size = mem_size(mem_size((size_t)n_row, (size_t)n_col), sizeof(float));
    struct tensor *t = be->err ? NULL : be_arena_take(&be->arena, sizeof *t);
    float         *p = t ? be_arena_take(&be->arena, size) : NULL;
    if (p) {
        *t = (struct tensor){ n_row, n_col, p };
        return t;
    }
    fail_memory(be);
    size_t room = DUMMY_SIZE / sizeof(float) / (size_t)n_col;
    be->dummy.n_row = (size_t)n_row < room ? n_row : (int)room;
    be->dummy.n_col = n_col;
    return &be->dummy;
}

struct tensor *be_like(struct be *be, const struct tensor *x)
{
    return be_scratch(be, x->n_row > 0 ? x->n_row : 1, x->n_col);
}

struct be_arena_mark be_mark(const struct be *be)
{
    return be_arena_mark(&be->arena);
}

void be_back(struct be *be, struct be_arena_mark mark)
{
    be_arena_back(&be->arena, mark);
}

struct parallel {
    void (*fn)(void *arg, int i);
    void *arg;
    int   n;
};

static void run_parallel(void *arg, int i, int n)
{
    const struct parallel *p = arg;
    int                    end = (int)((int64_t)p->n * (i + 1) / n);
    for (int j = (int)((int64_t)p->n * i / n); j < end; j++)
        p->fn(p->arg, j);
}

void be_parallel(struct be *be, void (*fn)(void *arg, int i), void *arg, int n)
{
    struct parallel p = { fn, arg, n };
    if (be->err)
        return;
    if (be->row->run)
        be->row->run(be, run_parallel, &p);
    else
        run_parallel(&p, 0, 1);
}
