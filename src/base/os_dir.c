/* SPDX-License-Identifier: MIT */
/* Folders; their contract is in os.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"

bool os_file_info(struct os_file_info *out, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    *out = (struct os_file_info){ st.st_size,
                                  st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec };
    return true;
}

enum err os_private_dir(const char *path)
{
    char   part[PATH_MAX];
    size_t len = strlen(path);

    if (len >= sizeof part)
        return err_set(ERR_LIMIT, "%.100s: path too long", path);
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return err_set(ERR_IO, "%s: %s", part, strerror(errno));
        part[i] = path[i];
    }
    return os_is_dir(path) ? OK : err_set(ERR_IO, "%s: not a folder", path);
}

void os_each_file(const char *dir, void (*fn)(void *arg, const char *path), void *arg)
{
    char           path[PATH_MAX];
    struct dirent *e;
    DIR           *d = opendir(dir);

    while (d && (e = readdir(d)))
        if (os_join(path, sizeof path, dir, e->d_name) == OK && os_is_file(path))
            fn(arg, path);
    if (d)
        closedir(d);
}

void os_remove_file(const char *path)
{
    unlink(path);
}

void os_touch_file(const char *path)
{
    utimensat(AT_FDCWD, path, NULL, 0);
}
