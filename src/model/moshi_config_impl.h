/* SPDX-License-Identifier: MIT */
/* moshi_config_impl: what moshi_config.c and moshi_config_condition.c share. Nobody else includes
 * it. */
#ifndef MODEL_MOSHI_CONFIG_IMPL_H
#define MODEL_MOSHI_CONFIG_IMPL_H

#include "model/config_key.h"
#include "model/moshi_config.h"

/* conditioners and fuser, once the widths are known */
void moshi_config_read_conditions(struct moshi_config *c, struct config_key *r,
                                  const char *model_type);

#endif
