/* SPDX-License-Identifier: MIT */
#include "base/os_cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"

#define CAP 4096

/* A file of a machine that is laid out under root, with the folders above it. */
static void lay(const char *root, const char *path, const char *text)
{
    char  full[CAP + 256];
    FILE *f;

    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(full, 0700);
    }
    f = fopen(full, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void begin(char *root)
{
    snprintf(root, CAP, "%s", check_tmp("cgroup-XXXXXX"));
    CHECK(mkdtemp(root));
}

TEST(a_machine_without_groups_has_no_limit)
{
    char root[CAP];

    begin(root);
    CHECK_INT(os_cgroup_cpus(root), INT_MAX);
    lay(root, "/proc/self/cgroup", "0::/\n");
    CHECK_INT(os_cgroup_cpus(root), INT_MAX);
    lay(root, "/sys/fs/cgroup/cpu.max", "max 100000\n");
    CHECK_INT(os_cgroup_cpus(root), INT_MAX);
}

TEST(a_container_s_limit_is_at_its_root)
{
    char root[CAP];

    begin(root);
    lay(root, "/proc/self/cgroup", "0::/\n");
    lay(root, "/sys/fs/cgroup/cpu.max", "250000 100000\n");
    CHECK_INT(os_cgroup_cpus(root), 3);
}

TEST(a_unit_s_limit_is_the_least_of_its_groups)
{
    char root[CAP];

    begin(root);
    lay(root, "/proc/self/cgroup", "0::/system.slice/parley.service\n");
    lay(root, "/sys/fs/cgroup/system.slice/parley.service/cpu.max", "400000 100000\n");
    CHECK_INT(os_cgroup_cpus(root), 4);
    lay(root, "/sys/fs/cgroup/system.slice/cpu.max", "200000 100000\n");
    CHECK_INT(os_cgroup_cpus(root), 2);
}

TEST(version_1_has_a_tree_for_the_controller)
{
    char root[CAP];

    begin(root);
    lay(root, "/proc/self/cgroup",
        "12:cpuset:/a\n4:cpu,cpuacct:/docker/0123\n1:name=systemd:/docker/0123\n");
    lay(root, "/sys/fs/cgroup/cpu,cpuacct/docker/0123/cpu.cfs_quota_us", "150000\n");
    lay(root, "/sys/fs/cgroup/cpu,cpuacct/docker/0123/cpu.cfs_period_us", "100000\n");
    lay(root, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    lay(root, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    CHECK_INT(os_cgroup_cpus(root), 2);
}
