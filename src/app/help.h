/* SPDX-License-Identifier: MIT */
/* help: --help and the man page, both from the rows of commands.c and options.def. */
#ifndef APP_HELP_H
#define APP_HELP_H

#include "app/app.h"

void help_overview(struct buf *out);
void help_command(struct buf *out, const struct command *c);
void help_man_page(struct buf *out); /* roff, section 1 */

#endif
