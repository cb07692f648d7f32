/* SPDX-License-Identifier: MIT */
/* page: the files of web/, embedded in the binary. */
#ifndef SERVER_PAGE_H
#define SERVER_PAGE_H

#include "server/conn.h"

bool page_has(struct bytes path);
void page_get(struct conn *c, const struct http_head *h);

#endif
