/* SPDX-License-Identifier: MIT */
/* log: lines for people, on stderr; any thread, nobody waits for it.
 *
 * error: someone must act. warn: we coped. info: life. debug: per message. trace: per frame, which
 * nothing logs: --trace is for frames.
 * Words, then key=value. Lines go through one queue of 1,024 that never makes a writer wait or
 * allocate; the keeper prints them (log_start), a full queue drops and counts. Before log_start and
 * after log_stop lines are written at once.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_NONE = -1, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/* Level and colour (ANSI when stderr is a terminal and NO_COLOR is not set) are process-wide. */
void     log_set_level(enum log_level level);
enum err log_parse_level(enum log_level *out, const char *name) MUST_CHECK;
enum err log_start(void) MUST_CHECK; /* starts the keeper's drain */
void     log_stop(void);             /* drains what is left */

void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool log_is_on(enum log_level level);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) (log_is_on(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)

#endif
