/* SPDX-License-Identifier: MIT */
/* bench_report: what was measured, for people or as members of a JSON object. */
#ifndef APP_BENCH_REPORT_H
#define APP_BENCH_REPORT_H

#include "app/bench_rig.h"

/* Stages with their quantiles, then what the bytes and the arithmetic come to. read_gb_s: of the
 * read loop of the same run. JSON: members, each after a comma. */
void bench_report_stages(struct buf *out, struct bench_result *r, double read_gb_s, bool as_json);

#endif
