/* SPDX-License-Identifier: MIT */
/* reason: what a client may read of why there are no talks. Pure, any thread. */
#ifndef SERVER_REASON_H
#define SERVER_REASON_H

#include "base/err.h"

/* The sentence with file names where it has paths: where the operator keeps models is nobody's
 * business. The log has it whole. */
void reason_for_clients(char out[ERR_TEXT_CAP], const char *reason);

#endif
