/* A disk that fails: preloaded into a process (LD_PRELOAD), it counts the calls that change files below one folder and lets one of them fail.

What it is to do stands in a file that FAULTY_DISK names, a `struct orders`, shared with whoever started the process; write_faults.py writes it. Calls from
Python, SQLite and Arrow alike go through the C library, so none is missed.
*/

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_CALLS 8192
#define MAX_NAME 120
#define KILL (-1)

struct orders {
    long calls;   /* so far */
    long fail_at; /* the number of the call that fails, from 1; 0: none */
    long code;    /* errno, or KILL: the process is killed */
    long lasting; /* whether all later calls fail as well */
    long armed;   /* nothing is counted while it is 0 */
    char folder[1024];
    char names[MAX_CALLS][MAX_NAME]; /* what each call was, `write /path` */
};

static struct orders *orders;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTY_DISK");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *memory = mmap(NULL, sizeof(struct orders), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED) orders = memory;
}

/* Whether this call is to fail; errno is set then. A process that is to be killed never returns. */
static int fails(const char *call, const char *path) {
    size_t length = orders && orders->armed ? strlen(orders->folder) : 0;
    if (!length || strncmp(path, orders->folder, length) != 0 || (path[length] && path[length] != '/' && path[length] != ' ')) return 0;
    long number = __atomic_add_fetch(&orders->calls, 1, __ATOMIC_SEQ_CST);
    if (number <= MAX_CALLS) snprintf(orders->names[number - 1], MAX_NAME, "%s %s", call, path + length);
    if (!orders->fail_at || number < orders->fail_at || (number > orders->fail_at && !orders->lasting)) return 0;
    if (orders->code == KILL && strcmp(call, "write") != 0) kill(getpid(), SIGKILL);
    errno = orders->code == KILL ? EINTR : (int)orders->code;
    return 1;
}

static int fails_at(const char *call, int folder, const char *name) {
    char path[PATH_MAX] = "", link[64];
    if (name[0] == '/' || folder == AT_FDCWD) return fails(call, name);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || length + strlen(name) + 2 > sizeof path) return 0;
    if (name[0]) snprintf(path + length, sizeof path - length, "/%s", name);
    return fails(call, path);
}

static int fails_on(const char *call, int file) {
    int before = errno, failing = fails_at(call, file, "");
    if (!failing) errno = before;
    return failing;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRITES(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))
#define MODE(flags, mode)                      \
    mode_t mode = 0;                           \
    if ((flags) & (O_CREAT | O_TMPFILE)) {     \
        va_list rest;                          \
        va_start(rest, flags);                 \
        mode = va_arg(rest, mode_t);           \
        va_end(rest);                          \
    }

#define OPEN(name)                                                     \
    int name(const char *path, int flags, ...) {                       \
        MODE(flags, mode)                                              \
        if (WRITES(flags) && fails("open", path)) return -1;           \
        return REAL(name)(path, flags, mode);                          \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                   \
    int name(int folder, const char *path, int flags, ...) {           \
        MODE(flags, mode)                                              \
        if (WRITES(flags) && fails_at("open", folder, path)) return -1; \
        return REAL(name)(folder, path, flags, mode);                  \
    }
OPENAT(openat)
OPENAT(openat64)

/* A write that fails leaves half of its bytes behind. */
ssize_t write(int file, const void *data, size_t size) {
    if (!fails_on("write", file)) return REAL(write)(file, data, size);
    int code = errno;
    REAL(write)(file, data, size / 2);
    if (orders->code == KILL) kill(getpid(), SIGKILL);
    errno = code;
    return -1;
}

#define PWRITE(name, offset_type)                                                   \
    ssize_t name(int file, const void *data, size_t size, offset_type offset) {     \
        if (!fails_on("write", file)) return REAL(name)(file, data, size, offset);  \
        int code = errno;                                                           \
        REAL(name)(file, data, size / 2, offset);                                   \
        if (orders->code == KILL) kill(getpid(), SIGKILL);                          \
        errno = code;                                                               \
        return -1;                                                                  \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int file, const struct iovec *pieces, int count) {
    if (!fails_on("write", file)) return REAL(writev)(file, pieces, count);
    if (orders->code == KILL) kill(getpid(), SIGKILL);
    return -1;
}

#define ON_FILE(name, call)                          \
    int name(int file) {                             \
        if (fails_on(call, file)) return -1;         \
        return REAL(name)(file);                     \
    }
ON_FILE(fsync, "fsync")
ON_FILE(fdatasync, "fsync")

#define TRUNCATE(name, offset_type)                      \
    int name(int file, offset_type size) {               \
        if (fails_on("truncate", file)) return -1;       \
        return REAL(name)(file, size);                   \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int rename(const char *from, const char *to) { return fails("rename", to) ? -1 : REAL(rename)(from, to); }
int link(const char *from, const char *to) { return fails("link", to) ? -1 : REAL(link)(from, to); }
int unlink(const char *path) { return fails("unlink", path) ? -1 : REAL(unlink)(path); }
int rmdir(const char *path) { return fails("rmdir", path) ? -1 : REAL(rmdir)(path); }
int mkdir(const char *path, mode_t mode) { return fails("mkdir", path) ? -1 : REAL(mkdir)(path, mode); }
int symlink(const char *target, const char *path) { return fails("symlink", path) ? -1 : REAL(symlink)(target, path); }
int mkdirat(int folder, const char *path, mode_t mode) { return fails_at("mkdir", folder, path) ? -1 : REAL(mkdirat)(folder, path, mode); }
int unlinkat(int folder, const char *path, int flags) { return fails_at("unlink", folder, path) ? -1 : REAL(unlinkat)(folder, path, flags); }
int renameat(int a, const char *from, int b, const char *to) { return fails_at("rename", b, to) ? -1 : REAL(renameat)(a, from, b, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) { return fails_at("link", b, to) ? -1 : REAL(linkat)(a, from, b, to, flags); }
