/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "model/model.h"

extern const struct probe_row mimi_probe, moshi_probe;

const struct probe_row *const probes[] = { &mimi_probe, &moshi_probe, NULL };
