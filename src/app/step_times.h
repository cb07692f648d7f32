/* SPDX-License-Identifier: MIT */
/* step_times: durations of steps, and their quantiles. */
#ifndef APP_STEP_TIMES_H
#define APP_STEP_TIMES_H

#include <stdint.h>

#include "base/err.h"

/* Grows as it goes; the caller of a benchmark is not a tick. */
struct step_times {
    int64_t *ns;
    int      n, room;
};

enum err step_times_add(struct step_times *t, int64_t ns) MUST_CHECK;
double   step_times_ms(struct step_times *t, double q); /* sorts; 0 when empty */
double   step_times_mean_ms(const struct step_times *t);
void     step_times_fini(struct step_times *t);

#endif
