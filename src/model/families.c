/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "model/model.h"

extern const struct family mimi_probe, moshi_probe;

const struct family *const families[] = { &mimi_probe, &moshi_probe, NULL };
