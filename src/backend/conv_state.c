/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/ops.h"
#include "base/mem.h"

int conv_n_tap(const struct conv *c)
{
    return c->is_transposed ? (c->kernel + c->stride - 1) / c->stride : c->kernel;
}

int conv_step(const struct conv *c)
{
    return c->is_transposed ? 1 : c->stride;
}

int conv_n_state(const struct conv *c)
{
    return (conv_n_tap(c) - 1) * c->dilation + 1 - conv_step(c);
}

enum err conv_state_open(struct conv_state *s, const struct conv *c, int n_lane)
{
    must(n_lane > 0 && c->kernel > 0 && c->stride > 0 && conv_n_state(c) >= 0);
    must(!c->is_transposed || (c->kernel >= c->stride && c->dilation == 1));
    *s = (struct conv_state){ .n_lane = n_lane, .n_row = conv_n_state(c), .n_col = c->n_in };
    size_t n = mem_size(mem_size((size_t)s->n_row, (size_t)s->n_col), (size_t)n_lane);
    s->p = mem_zalloc(mem_size(n, sizeof *s->p));
    s->is_first = mem_zalloc(mem_size((size_t)n_lane, sizeof *s->is_first));
    if (!s->p || !s->is_first) {
        conv_state_close(s);
        return err_set(ERR_NOMEM, "out of memory for the state of a convolution");
    }
    for (int lane = 0; lane < n_lane; lane++)
        s->is_first[lane] = true;
    return OK;
}

void conv_state_close(struct conv_state *s)
{
    mem_free(s->p);
    mem_free(s->is_first);
    s->p = NULL;
    s->is_first = NULL;
}

void conv_state_reset(struct conv_state *s, int lane)
{
    must(lane >= 0 && lane < s->n_lane);
    size_t n = (size_t)s->n_row * (size_t)s->n_col;
    if (n)
        memset(s->p + (size_t)lane * n, 0, n * sizeof *s->p);
    s->is_first[lane] = true;
}
