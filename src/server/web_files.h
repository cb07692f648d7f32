/* SPDX-License-Identifier: MIT */
/* web_files: the files under web/, embedded by scripts/embed-web.sh. Fixed, any thread. */
#ifndef SERVER_WEB_FILES_H
#define SERVER_WEB_FILES_H

#include <stddef.h>

struct web_file {
    const char          *name; /* path below web/: "index.html" */
    const char          *type; /* for Content-Type */
    const unsigned char *p;
    size_t               len;
    const char          *etag; /* quoted hash of the bytes, as the header wants it */
};

extern const struct web_file web_files[]; /* ends with a NULL name */

#endif
