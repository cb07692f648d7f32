/* SPDX-License-Identifier: MIT */
#include "app/step_times.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

enum err step_times_add(struct step_times *t, int64_t ns)
{
    if (t->n == t->room) {
        int      room = t->room ? 2 * t->room : 256;
        int64_t *grown = mem_realloc(t->ns, mem_size((size_t)room, sizeof *grown));
        if (!grown)
            return ERR_NOMEM;
        t->ns = grown;
        t->room = room;
    }
    t->ns[t->n++] = ns;
    return OK;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

double step_times_ms(struct step_times *t, double q)
{
    if (t->n == 0)
        return 0;
    qsort(t->ns, (size_t)t->n, sizeof *t->ns, compare);
    int rank = (int)ceil(q * t->n); /* of those, so many are no longer */
    return (double)t->ns[rank > 0 ? rank - 1 : 0] / 1e6;
}

double step_times_mean_ms(const struct step_times *t)
{
    double sum = 0;

    for (int i = 0; i < t->n; i++)
        sum += (double)t->ns[i];
    return t->n ? sum / t->n / 1e6 : 0;
}

void step_times_fini(struct step_times *t)
{
    mem_free(t->ns);
    *t = (struct step_times){ 0 };
}
