/* SPDX-License-Identifier: MIT */
/* How many processors' time the control groups that this process is in allow it: version 2 has one
 * tree with a file cpu.max in each group, version 1 one of its own for the controller cpu. */
#include "base/os_cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Rounded up; INT_MAX: no limit. */
static int cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota / period >= 4096)
        return INT_MAX;
    return (int)((quota + period - 1) / period);
}

/* The first numbers of a file; those that are missing stay as they are. */
static void read_numbers(const char *folder, const char *name, long long *a, long long *b)
{
    char  path[2 * OS_CGROUP_CAP];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "re");
    if (!f)
        return;
    if (fscanf(f, "%lld %lld", a, b) < 1)
        *a = 0; /* "max" */
    fclose(f);
}

static int limit_at(const char *folder)
{
    long long max = 0, max_period = 0, quota = 0, period = 0, ignored = 0;

    read_numbers(folder, "cpu.max", &max, &max_period);
    read_numbers(folder, "cpu.cfs_quota_us", &quota, &ignored);
    read_numbers(folder, "cpu.cfs_period_us", &period, &ignored);
    int a = cpus_of(max, max_period), b = cpus_of(quota, period);
    return a < b ? a : b;
}

/* The least of a group and all above it, up to the root of its tree. */
static int limit_of(const char *tree, const char *group)
{
    char folder[OS_CGROUP_CAP];
    int  least = INT_MAX;

    if (snprintf(folder, sizeof folder, "%s%s", tree, group) >= (int)sizeof folder)
        return INT_MAX;
    for (size_t len = strlen(folder); len >= strlen(tree);) {
        folder[len] = '\0';
        int n = limit_at(folder);
        least = n < least ? n : least;
        while (len > 0 && folder[--len] != '/')
            ;
    }
    return least;
}

static bool is_of_cpu(const char *controllers)
{
    for (const char *at = controllers; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == 3 && strncmp(at, "cpu", 3) == 0)
            return true;
    return false;
}

int os_cgroup_cpus(const char *root)
{
    char  line[OS_CGROUP_CAP], path[OS_CGROUP_CAP], tree[OS_CGROUP_CAP];
    int   least = INT_MAX;
    FILE *f;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) { /* "0::/group", "4:cpu,cpuacct:/group" */
        char *controllers = strchr(line, ':'), *group = NULL;
        if (controllers)
            group = strchr(++controllers, ':');
        if (!group)
            continue;
        *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        bool is_v2 = !*controllers;
        if (!is_v2 && !is_of_cpu(controllers))
            continue;
        snprintf(tree, sizeof tree, "%s/sys/fs/cgroup%s%s", root, is_v2 ? "" : "/", controllers);
        int n = limit_of(tree, group);
        least = n < least ? n : least;
    }
    if (f)
        fclose(f);
    return least;
}
