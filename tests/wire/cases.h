/* SPDX-License-Identifier: MIT */
/* cases: text files of bytes and of what must be read from them, tests/wire/<proto>/NAME.txt.
 *
 *     # what this is
 *     in 81 "hello\r\n" 3*00        bytes: hex, text with C's escapes, N*one of both, - for none
 *     some fact                     one line a fact about the bytes above; the test knows the words
 *
 * tests/fuzz/seeds.py reads the same files. Include it once a program, behind check.h.
 */
#ifndef TESTS_WIRE_CASES_H
#define TESTS_WIRE_CASES_H

#include "base/buf.h"
#include "check.h"

static int cases_hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character behind a backslash; p ends on its last. */
static uint8_t cases_escape(const char **p)
{
    static const char from[] = "rnt\\\"", to[] = "\r\n\t\\\"";
    const char       *at = strchr(from, **p);

    if (**p == 'x') {
        *p += 2;
        return (uint8_t)(cases_hex((*p)[-1]) << 4 | cases_hex((*p)[0]));
    }
    must(at && *at);
    return (uint8_t)to[at - from];
}

/* One word of bytes, hex or "text", from *p on. */
static void cases_word(struct buf *out, const char **p)
{
    if (**p == '-') {
        ++*p;
    } else if (**p == '"') {
        for (++*p; **p != '"'; ++*p) {
            must(**p);
            if (**p == '\\')
                ++*p;
            buf_add_byte(out, (*p)[-1] == '\\' ? cases_escape(p) : (uint8_t) * *p);
        }
        ++*p;
    } else {
        for (; **p && **p != ' '; *p += 2) {
            must(cases_hex((*p)[0]) >= 0 && cases_hex((*p)[1]) >= 0);
            buf_add_byte(out, (uint8_t)(cases_hex((*p)[0]) << 4 | cases_hex((*p)[1])));
        }
    }
}

/* Every word of a line. */
static void cases_bytes(struct buf *out, const char *p)
{
    while (*(p += strspn(p, " "))) {
        int  n_digit = (int)strspn(p, "0123456789");
        long n = n_digit && p[n_digit] == '*' ? strtol(p, NULL, 10) : 1;
        p += n_digit && p[n_digit] == '*' ? n_digit + 1 : 0;
        size_t at = out->len;
        cases_word(out, &p);
        size_t len = out->len - at;
        while (--n > 0) {
            /* Its own bytes move when it grows: one by one. */
            for (size_t i = 0; i < len; i++)
                buf_add_byte(out, out->p[at + i]);
        }
    }
    must(buf_err(out) == OK);
}

/* Hands every fact with its bytes to check; the bytes end where the heap block ends, so that the
 * sanitizer sees one too far. Fails when there are fewer than n_want facts. */
static void cases_run(const char *path, int n_want,
                      void (*check)(const char *fact, struct bytes in))
{
    static char line[1 << 16];
    char        note[160] = "";
    int         n = 0;
    struct buf  in;

    FILE *f = fopen(path, "r");
    CHECK(f);
    buf_init(&in, 8 << 20);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#') {
            snprintf(note, sizeof note, "%.150s", line + 1);
        } else if (strncmp(line, "in ", 3) == 0) {
            buf_clear(&in);
            cases_bytes(&in, line + 3);
        } else if (line[0]) {
            printf("# %s:%s: %.200s\n", path, note, line);
            uint8_t *copy = mem_alloc(in.len ? in.len : 1);
            must(copy);
            if (in.len)
                memcpy(copy, in.p, in.len);
            check(line, bytes_of(copy, in.len));
            mem_free(copy);
            n++;
        }
    }
    fclose(f);
    buf_fini(&in);
    CHECK(n >= n_want);
}

#endif
