/* SPDX-License-Identifier: MIT */
/* metric: counters, gauges and histograms of times; rows in metrics.def. Any thread, lock-free. */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stdint.h>

#include "base/buf.h"

enum metric {
#define METRIC(symbol, name, kind, help) symbol,
#include "base/metrics.def"
#undef METRIC
    METRIC_COUNT
};

void    metric_inc(enum metric m);
void    metric_add(enum metric m, int64_t v); /* gauges may go down */
void    metric_set(enum metric m, int64_t v); /* gauges */
void    metric_observe_ns(enum metric m, int64_t ns);
int64_t metric_get(enum metric m);                  /* a histogram gives its count */
double  metric_mean_s(enum metric m);               /* of a histogram; 0 without a value */
double  metric_last_s(enum metric m);               /* what was observed last */
double  metric_quantile_s(enum metric m, double q); /* seconds, from the histogram's buckets */
void    metric_write(struct buf *out);              /* Prometheus text format 0.0.4, all rows */

#endif
