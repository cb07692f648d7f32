/* SPDX-License-Identifier: MIT */
#include "kernel/isas.h"

#include <stddef.h>

extern const struct kern isa_c;

const struct isa isas[] = {
    { &isa_c, 0 },
    { NULL, 0 },
};

void isas_overlay(struct kern *out, int i)
{
    *out = *isas[0].kern;
    for (int j = 1; j <= i; j++) {
        const struct kern *k = isas[j].kern;
        if (isas[j].needs & ~isas[i].needs) /* not a subset: of another family */
            continue;
        out->name = k->name;
#define K(type, name, args) \
    if (k->name)            \
        out->name = k->name;
        KERN_LIST(K)
#undef K
    }
}
