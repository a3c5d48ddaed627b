/* A disk without room, for one process: loaded ahead of libc, it counts what is written below a folder.
 *
 * FULL_DISK_CONTROL names a file of three 64-bit numbers that the test maps too: how many writes there is room
 * for (negative: for all), how many were made, and the process that counts: the first one that sees 0 there.
 * Counted are bytes written, files made longer, synced, made or renamed; of a write that has no room, the first
 * half is written where that is possible. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static volatile int64_t *control;
static const char *folder;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FULL_DISK_CONTROL");
    folder = getenv("FULL_DISK_FOLDER");
    int handle = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (handle < 0 || !folder) return;
    void *mapped = mmap(NULL, 3 * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
    close(handle);
    if (mapped == MAP_FAILED) return;
    control = mapped;
    if (control[2] == 0) control[2] = getpid();
}

static int is_below(const char *path) {
    return path && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_ours(int handle) {
    char link[64], path[4096];
    if (!control || control[2] != getpid()) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static int has_room(void) {
    int64_t count = __sync_add_and_fetch(&control[1], 1);
    return control[0] < 0 || count <= control[0];
}

#define NEXT(name) __typeof__(name) *next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define REFUSE do { errno = ENOSPC; return -1; } while (0)

ssize_t write(int handle, const void *content, size_t size) {
    NEXT(write);
    if (is_ours(handle) && !has_room()) {
        if (size < 2) REFUSE;
        return next(handle, content, size / 2);
    }
    return next(handle, content, size);
}

ssize_t pwrite(int handle, const void *content, size_t size, off_t at) {
    NEXT(pwrite);
    if (is_ours(handle) && !has_room()) {
        if (size > 1) next(handle, content, size / 2, at);
        REFUSE;
    }
    return next(handle, content, size, at);
}

ssize_t pwrite64(int handle, const void *content, size_t size, off64_t at) {
    NEXT(pwrite64);
    if (is_ours(handle) && !has_room()) {
        if (size > 1) next(handle, content, size / 2, at);
        REFUSE;
    }
    return next(handle, content, size, at);
}

ssize_t writev(int handle, const struct iovec *parts, int count) {
    NEXT(writev);
    if (is_ours(handle) && !has_room()) REFUSE;
    return next(handle, parts, count);
}

int ftruncate(int handle, off_t size) {
    NEXT(ftruncate);
    if (is_ours(handle) && size > 0 && !has_room()) REFUSE;
    return next(handle, size);
}

int ftruncate64(int handle, off64_t size) {
    NEXT(ftruncate64);
    if (is_ours(handle) && size > 0 && !has_room()) REFUSE;
    return next(handle, size);
}

int posix_fallocate(int handle, off_t from, off_t size) {
    NEXT(posix_fallocate);
    if (is_ours(handle) && !has_room()) return ENOSPC;
    return next(handle, from, size);
}

int fsync(int handle) {
    NEXT(fsync);
    if (is_ours(handle) && !has_room()) REFUSE;
    return next(handle);
}

int fdatasync(int handle) {
    NEXT(fdatasync);
    if (is_ours(handle) && !has_room()) REFUSE;
    return next(handle);
}

int rename(const char *from, const char *to) {
    NEXT(rename);
    if (control && control[2] == getpid() && is_below(to) && !has_room()) REFUSE;
    return next(from, to);
}

#define OPEN(name)                                                                                             \
    int name(const char *path, int flags, ...) {                                                               \
        int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);        \
        va_list rest;                                                                                          \
        va_start(rest, flags);                                                                                 \
        int mode = (flags & O_CREAT) ? va_arg(rest, int) : 0;                                                  \
        va_end(rest);                                                                                          \
        if ((flags & O_CREAT) && control && control[2] == getpid() && is_below(path) && access(path, F_OK)     \
            && !has_room())                                                                                    \
            REFUSE;                                                                                            \
        return next(path, flags, mode);                                                                        \
    }
OPEN(open)
OPEN(open64)
