/* SPDX-License-Identifier: MIT */
/* The verbs, in the order of --help. To add one: write cmd_<verb>.c, add its row here. */
#include <stddef.h>

#include "app/app.h"

extern const struct command cmd_talk, cmd_serve, cmd_codec, cmd_probe, cmd_tokenize, cmd_bench,
    cmd_doctor, cmd_config;

const struct command *const commands[] = { &cmd_talk,   &cmd_serve,    &cmd_codec,
                                           &cmd_probe,  &cmd_tokenize, &cmd_bench,
                                           &cmd_doctor, &cmd_config,   NULL };
