/* SPDX-License-Identifier: MIT */
#include "kernel/kern.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "kernel/isas.h"
#include "kernel/kern_test.h"

#define MAX_ISA 8
#define AUTO    "auto"

struct kern kern;

static enum { UNTESTED, RIGHT, WRONG } verdict[MAX_ISA]; /* of the self-test */
static int  in_use;
static bool is_chosen;

/* Before kern_choose() the definition must be there already: tests and tools may ask for
 * nothing. */
__attribute__((constructor)) static void start_with_c(void)
{
    isas_overlay(&kern, 0);
}

static bool is_supported(int i)
{
    return (isas[i].needs & ~cpu_features()) == 0;
}

static bool passes(int i)
{
    if (verdict[i] == UNTESTED) {
        struct kern k;
        isas_overlay(&k, i);
        const char *bad = kern_test(&k);
        verdict[i] = bad ? WRONG : RIGHT;
        if (bad)
            log_warn("switched off a wrong instruction set isa=%s kernel=%s", isas[i].kern->name,
                     bad);
    }
    return verdict[i] == RIGHT;
}

static enum err choose_named(int *out, const char *name)
{
    char known[128] = AUTO;
    for (int i = 0; isas[i].kern; i++) {
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, ", %s", isas[i].kern->name);
        if (strcmp(name, isas[i].kern->name) != 0)
            continue;
        *out = i;
        for (unsigned f = 1; f; f <<= 1)
            if (isas[i].needs & f & ~cpu_features())
                return err_set(ERR_HARDWARE, "this CPU cannot run %s: it lacks %s", name,
                               cpu_feature_name(f));
        if (!passes(i))
            return err_set(ERR_HARDWARE, "%s computes wrongly on this CPU (self-test failed)",
                           name);
        return OK;
    }
    return err_set(ERR_USAGE, "unknown instruction set '%s'; known: %s", name, known);
}

enum err kern_choose(const char *name)
{
    int i = 0;
    cpu_ask();
    if (name && *name && strcmp(name, AUTO) != 0) {
        enum err err = choose_named(&i, name);
        if (err)
            return err;
    } else {
        while (isas[i + 1].kern)
            i++;
        while (i > 0 && !(is_supported(i) && passes(i)))
            i--;
    }
    isas_overlay(&kern, i);
    in_use = i;
    is_chosen = true;
    return OK;
}

static const char *why_of(int i)
{
    static _Thread_local char why[96];
    for (unsigned f = 1; f; f <<= 1)
        if (isas[i].needs & f & ~cpu_features()) {
            snprintf(why, sizeof why, "not in this CPU: needs %s", cpu_feature_name(f));
            return why;
        }
    if (!passes(i))
        return "self-test failed";
    if (!is_chosen || i != in_use)
        return i < in_use ? "works; a better one is in use" : "works; not in use";
    for (int j = i + 1; isas[j].kern; j++)
        if (is_supported(j) && verdict[j] != WRONG)
            return "in use: chosen by name";
    return "in use: best of this CPU";
}

int kern_in_use(void)
{
    return in_use;
}

bool kern_describe(struct kern_info *out, int i)
{
    for (int j = 0; j <= i; j++)
        if (!isas[j].kern)
            return false;
    out->name = isas[i].kern->name;
    out->is_fit = is_supported(i) && passes(i);
    out->why = why_of(i);
    return true;
}
