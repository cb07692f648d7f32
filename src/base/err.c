/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static const struct {
    const char *name;
    int         exit_code;
} kinds[] = {
    [OK] = { "ok", 0 },
    [ERR_AGAIN] = { "not ready", 1 },
    [ERR_FAIL] = { "failed", 1 },
    [ERR_IO] = { "read or write failed", 1 },
    [ERR_USAGE] = { "usage", 2 },
    [ERR_MISSING] = { "not found", 3 },
    [ERR_AUTH] = { "key missing or wrong", 4 },
    [ERR_NET] = { "network", 5 },
    [ERR_FORMAT] = { "broken file", 6 },
    [ERR_LIMIT] = { "over a limit", 7 },
    [ERR_NOMEM] = { "out of memory", 7 },
    [ERR_HARDWARE] = { "this machine cannot", 8 },
    [ERR_INTERRUPTED] = { "interrupted", 130 },
};

#define N_KIND ((int)(sizeof kinds / sizeof kinds[0]))

static _Thread_local char     kept[ERR_TEXT_CAP];
static _Thread_local enum err kept_code;

/* A sentence that was cut keeps whole UTF-8 characters: a lone lead byte would be shown as junk. */
static void drop_cut_character(char *s)
{
    size_t len = strlen(s), at = len;
    while (at > 0 && len - at < 3 && ((unsigned char)s[at - 1] & 0xc0) == 0x80)
        at--;
    if (at == 0)
        return;
    unsigned char lead = (unsigned char)s[at - 1];
    size_t        need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (len - (at - 1) < need)
        s[at - 1] = '\0';
}

/* What is too long is usually a name: both of its ends stay, and the reason behind it. */
static void cut_middle(char out[ERR_TEXT_CAP], const char *whole, size_t len)
{
    static const char gap[] = "...";
    const size_t      n_front = 150;
    const char       *back = whole + len - (ERR_TEXT_CAP - 1 - n_front - strlen(gap));

    memcpy(out, whole, n_front);
    out[n_front] = '\0';
    drop_cut_character(out);
    while (((unsigned char)*back & 0xc0) == 0x80)
        back++;
    memcpy(out + strlen(out), gap, sizeof gap);
    memcpy(out + strlen(out), back, strlen(back) + 1);
}

/* Names are cut, and may be anything: what is no character becomes a question mark. */
static void mend_utf8(char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n;) {
        size_t len = utf8_len(bytes_of(text + i, n - i));
        if (len == 0)
            text[i] = '?';
        i += len ? len : 1;
    }
}

enum err err_vset(enum err code, const char *fmt, va_list args)
{
    /* Not straight into kept: the arguments may hold the sentence that it replaces. */
    char whole[8192], text[ERR_TEXT_CAP] = "";
    int  n = vsnprintf(whole, sizeof whole, fmt, args);

    if (n >= (int)sizeof text)
        cut_middle(text, whole, strlen(whole));
    else if (n > 0)
        memcpy(text, whole, (size_t)n + 1);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    mend_utf8(text);
    memcpy(kept, text, sizeof kept);
    kept_code = code;
    return code;
}

enum err err_set(enum err code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    enum err err = err_vset(code, fmt, args);
    va_end(args);
    return err;
}

const char *err_text(enum err code)
{
    return kept_code == code && kept[0] ? kept : err_name(code);
}

const char *err_name(enum err code)
{
    return (int)code >= 0 && (int)code < N_KIND ? kinds[code].name : "unknown error";
}

int err_exit_code(enum err code)
{
    return (int)code >= 0 && (int)code < N_KIND ? kinds[code].exit_code : 1;
}

_Noreturn void err_must_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "parley: %s:%d: this must hold and does not: %s\n", file, line, what);
    abort();
}
