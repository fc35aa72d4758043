/* Power loss, made visible: what a program syncs is copied to a second folder; what it only writes is not.
 *
 * Loaded with LD_PRELOAD. When a file below $POWER_LIVE is synced, its content at that moment is put, whole and at once, under the
 * same name into $POWER_DURABLE. After the program is killed that folder holds what a disk without a write cache of its own
 * would hold after a power loss. While there is a file $POWER_FAULT, nothing is synced: the disk says that
 * it failed, or, if something stands in the file, that it succeeded.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether nothing is synced, and what the disk says of it. */
static int faulty(int *said)
{
    const char *fault = getenv("POWER_FAULT");
    struct stat state;
    if (!fault || stat(fault, &state))
        return 0;
    errno = EIO;
    *said = state.st_size ? 0 : -1;
    return 1;
}

static void keep(int fd)
{
    const char *live = getenv("POWER_LIVE"), *durable = getenv("POWER_DURABLE");
    char link[64], path[4096], part[4200], whole[4200], buffer[65536];
    struct stat state;
    if (!live || !durable || fstat(fd, &state) || !S_ISREG(state.st_mode))
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return;
    path[length] = 0;
    if (strncmp(path, live, strlen(live)) || path[strlen(live)] != '/')
        return;
    const char *name = strrchr(path, '/') + 1;
    snprintf(part, sizeof part, "%s/%s.part", durable, name);
    snprintf(whole, sizeof whole, "%s/%s", durable, name);
    int in = open(path, O_RDONLY); /* the program's own descriptor may be for writing only */
    if (in < 0) /* removed meanwhile: nothing to keep */
        return;
    int out = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (out < 0)
        abort();
    off_t offset = 0;
    for (ssize_t got; (got = pread(in, buffer, sizeof buffer, offset)) > 0; offset += got)
        if (write(out, buffer, got) != got)
            abort();
    close(in);
    close(out);
    if (rename(part, whole))
        abort();
}

int fsync(int fd)
{
    int said;
    if (faulty(&said))
        return said;
    keep(fd);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int fdatasync(int fd)
{
    int said;
    if (faulty(&said))
        return said;
    keep(fd);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
