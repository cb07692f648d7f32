/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "backend/be_impl.h"

extern const struct be_row be_cpu;

const struct be_row *const backends[] = { &be_cpu, NULL };
