/* SPDX-License-Identifier: MIT */
#include "server/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Sentences about a file begin with its path and a colon. One from the root, or whose front was cut
 * off, may have blanks in it. 0: there is none. */
static size_t len_of_subject(const char *s)
{
    const char *colon = strstr(s, ": ");
    size_t      len = colon ? (size_t)(colon - s) : 0;
    bool        is_path = s[0] == '/' || strncmp(s, "...", 3) == 0 || strcspn(s, " '\"") >= len;

    return is_path ? len : 0;
}

/* Of a path from the root within a sentence. 0: there is none. */
static size_t len_of_path(const char *s, char before)
{
    if (s[0] != '/' || !strchr(" '\"(=", before))
        return 0;
    return before == '\'' || before == '"' ? strcspn(s, "'\"") : strcspn(s, " '\"),:;");
}

/* Where the last name of the path at s begins. */
static size_t last_name(const char *s, size_t len)
{
    while (len > 0 && s[len - 1] == '/')
        len--;
    while (len > 0 && s[len - 1] != '/')
        len--;
    return len;
}

void reason_for_clients(char out[ERR_TEXT_CAP], const char *reason)
{
    size_t len = strnlen(reason, ERR_TEXT_CAP - 1), n = 0;

    for (size_t i = 0; i < len; i++) {
        size_t n_path = i == 0 ? len_of_subject(reason) : len_of_path(reason + i, reason[i - 1]);
        i += last_name(reason + i, n_path);
        out[n++] = reason[i];
    }
    out[n] = 0;
}
