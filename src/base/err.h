/* SPDX-License-Identifier: MIT */
/* err: how a call says that it failed, and the one sentence that a person gets to read.
 *
 * The code travels as the return value. The sentence (at most 300 characters, no newline) is kept
 * for the calling thread by the place that knows the reason; whoever ends the command or the
 * request takes it from there. A later failure on the same thread replaces it.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum err {
    OK = 0,
    ERR_AGAIN,       /* bring more input, or make room; nothing was consumed */
    ERR_FAIL,        /* run-time failure without a better name       exit 1 */
    ERR_IO,          /* read or write failed, disk full              exit 1 */
    ERR_USAGE,       /* the caller's words or values are off         exit 2 */
    ERR_MISSING,     /* file, model, voice not found                 exit 3 */
    ERR_AUTH,        /* key missing or wrong                         exit 4 */
    ERR_NET,         /* connection failed, port in use               exit 5 */
    ERR_FORMAT,      /* broken or inconsistent bytes                 exit 6 */
    ERR_LIMIT,       /* over a declared limit, capacity              exit 7 */
    ERR_NOMEM,       /*                                              exit 7 */
    ERR_HARDWARE,    /* this machine cannot                          exit 8 */
    ERR_INTERRUPTED, /*                                              exit 130 */
};

#define ERR_TEXT_CAP 301

/* Keeps the sentence for this thread and gives code back: return err_set(ERR_IO, "%s: ...", path);
 * Line breaks and control characters become blanks; of what is too long both ends stay. */
enum err err_set(enum err code, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum err err_vset(enum err code, const char *fmt, va_list args) PRINTF_LIKE(2, 0);

/* This thread's sentence; the name of the code when none was kept for it. Never NULL. */
const char *err_text(enum err code);
const char *err_name(enum err code); /* "usage", "broken file", ... */
int         err_exit_code(enum err code);

/* Our own mistakes that would touch memory they should not; stays on in release builds. */
_Noreturn void err_must_failed(const char *what, const char *file, int line);
#define must(x) ((x) ? (void)0 : err_must_failed(#x, __FILE__, __LINE__))

#endif
