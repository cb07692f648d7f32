/* SPDX-License-Identifier: MIT */
/* weight: a matrix's numbers as f32, however they are stored. Any thread. */
#ifndef BACKEND_WEIGHT_H
#define BACKEND_WEIGHT_H

#include "backend/be.h"

/* n numbers from the element `at` on; w is F32, BF16 or F16. */
void weight_floats(float *out, const struct weight *w, size_t at, int n);
/* One row [n_in] of any matrix, tiles too, with its scale. */
void weight_row(float *out, const struct weight *w, int row);

#endif
