/* SPDX-License-Identifier: MIT */
/* os_cgroup: the share of the processors that a container or a unit of systemd leaves to this
 * process. Private to base/. */
#ifndef BASE_OS_CGROUP_H
#define BASE_OS_CGROUP_H

#include <stdbool.h>

#define OS_CGROUP_CAP 1024 /* longer paths are taken for no limit */

/* Processors' time that the groups of this process allow, rounded up; INT_MAX: as much as there is.
 * root: "" or, for tests, where proc and sys lie. */
int os_cgroup_cpus(const char *root);

#endif
