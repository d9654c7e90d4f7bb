/* Faults of the operating system, for a process that is started with this library preloaded.

   FAULT holds them, separated by ';', each as CALL:PATH:NTH:WHAT
     CALL   open (of a file that is to be written), write, sync, rename or unlink
     PATH   a part of the file's path
     NTH    which of these calls it is, from 1; with + behind it that one and all later ones
     WHAT   the number of an error, or `kill` (SIGKILL before the call), `after` (SIGKILL after it), `stop` (SIGSTOP before it)
   FAULT_CLOCK holds seconds that the clock is ahead (behind, if negative) of what it is, from the moment it is set.
   Both are looked at again in every call, so that a process may set them for itself.  */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define MOST 16

static int counts[MOST];

/* Whether a fault is due: 0 for none, else the error, or -1 for a kill after the call. */
static int due(const char *call, const char *path)
{
    const char *all = getenv("FAULT");
    if (!all || !*all || !path) return 0;
    char text[2048];
    strncpy(text, all, sizeof text - 1);
    text[sizeof text - 1] = 0;
    char *save = NULL;
    int number = 0;
    for (char *one = strtok_r(text, ";", &save); one && number < MOST; one = strtok_r(NULL, ";", &save), number++) {
        char *in = NULL;
        char *wanted = strtok_r(one, ":", &in), *part = strtok_r(NULL, ":", &in);
        char *nth = strtok_r(NULL, ":", &in), *what = strtok_r(NULL, ":", &in);
        if (!what || strcmp(wanted, call) || !strstr(path, part)) continue;
        int turn = __sync_add_and_fetch(&counts[number], 1), from = atoi(nth);
        if (turn != from && !(turn > from && strchr(nth, '+'))) continue;
        if (!strcmp(what, "kill")) kill(getpid(), SIGKILL);
        if (!strcmp(what, "stop")) { kill(getpid(), SIGSTOP); continue; }
        return !strcmp(what, "after") ? -1 : atoi(what);
    }
    return 0;
}

static int due_fd(const char *call, int fd)
{
    if (!getenv("FAULT")) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return due(call, path);
}

#define ANSWER(type, fault, doing) do { \
    int fault_ = (fault); \
    if (fault_ > 0) { errno = fault_; return -1; } \
    type result_ = (doing); \
    if (fault_ < 0) kill(getpid(), SIGKILL); \
    return result_; } while (0)

ssize_t write(int fd, const void *data, size_t size) { REAL(write); ANSWER(ssize_t, due_fd("write", fd), real(fd, data, size)); }
ssize_t pwrite(int fd, const void *d, size_t n, off_t at) { REAL(pwrite); ANSWER(ssize_t, due_fd("write", fd), real(fd, d, n, at)); }
ssize_t pwrite64(int fd, const void *d, size_t n, off64_t at) { REAL(pwrite64); ANSWER(ssize_t, due_fd("write", fd), real(fd, d, n, at)); }
ssize_t writev(int fd, const struct iovec *v, int n) { REAL(writev); ANSWER(ssize_t, due_fd("write", fd), real(fd, v, n)); }
int fsync(int fd) { REAL(fsync); ANSWER(int, due_fd("sync", fd), real(fd)); }
int fdatasync(int fd) { REAL(fdatasync); ANSWER(int, due_fd("sync", fd), real(fd)); }
int rename(const char *from, const char *to) { REAL(rename); ANSWER(int, due("rename", to), real(from, to)); }
int unlink(const char *path) { REAL(unlink); ANSWER(int, due("unlink", path), real(path)); }

#define WRITES(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT))
#define MODE(flags) mode_t mode = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { REAL(open); MODE(flags) ANSWER(int, WRITES(flags) ? due("open", path) : 0, real(path, flags, mode)); }
int open64(const char *path, int flags, ...) { REAL(open64); MODE(flags) ANSWER(int, WRITES(flags) ? due("open", path) : 0, real(path, flags, mode)); }
int openat(int at, const char *path, int flags, ...) { REAL(openat); MODE(flags) ANSWER(int, WRITES(flags) ? due("open", path) : 0, real(at, path, flags, mode)); }
int openat64(int at, const char *path, int flags, ...) { REAL(openat64); MODE(flags) ANSWER(int, WRITES(flags) ? due("open", path) : 0, real(at, path, flags, mode)); }

static long ahead(void) { const char *text = getenv("FAULT_CLOCK"); return text ? atol(text) : 0; }

int clock_gettime(clockid_t clock, struct timespec *now)
{
    REAL(clock_gettime);
    int result = real(clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead();
    return result;
}
int gettimeofday(struct timeval *now, void *zone)
{
    static int (*real)(struct timeval *, void *);
    if (!real) real = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(now, zone);
    if (!result) now->tv_sec += ahead();
    return result;
}
time_t time(time_t *where)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}
