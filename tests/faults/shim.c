/* Counts a process's calls of the C library about files below a folder, shared memory, processes, threads and
   semaphores, and makes one of them fail, be cut short, or be the last one. Loaded by LD_PRELOAD, so that what C and
   Rust libraries call is seen too. Nothing is counted before faults_arm.

   The log has a line a call: kind, inode, path, second path or flags, offset, length, result, separated by tabs; behind
   a write's line come its bytes where they are asked for. Python's side is calls.py, which has the same kinds. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HANDLES 4096
#define LENGTH 2048

enum { OPEN, CREATE, READ, WRITE, FSYNC, RENAME, CLOSE, UNLINK, MKDIR, MAP, SHARE, TRUNCATE, CHMOD, LOCK, LIST, FORK,
       SEMAPHORE, PIPE, THREAD, ALLOCATE };
static const char *const NAMES[] = {
    "open", "create", "read", "write", "fsync", "rename", "close", "unlink", "mkdir", "map", "share", "truncate",
    "chmod", "lock", "list", "fork", "semaphore", "pipe", "thread", "allocate"};
enum { NOTHING, FAIL, FAIL_ON, SHORT, KILL_BEFORE, KILL_AFTER, INTERRUPT };

static char scope[LENGTH];
static char *paths[HANDLES];
static int log_handle = -1, with_data, role, forks, action, error_number;
static unsigned fail_on;
static size_t smallest;
static volatile int counting;
static volatile long count, at;

/* What the calls are really done by. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Begin: `folder`: whose files are counted; `of`: 0 for this process, else the number of the process that is forked
   from it; `which` call is dealt with as `how` says, with this errno, and with FAIL_ON all later ones of the kinds in
   `kinds` (bits); where `least` is not 0, allocations of so many bytes are counted, and nothing else. */
void faults_arm(const char *folder, int log, int data, int of, long which, int how, int number, unsigned kinds,
                size_t least) {
    snprintf(scope, sizeof scope, "%s", folder);
    log_handle = log, with_data = data, role = of, at = which, action = how, error_number = number, fail_on = kinds;
    smallest = least;
    forks = 0;
    count = 0;
    counting = of == 0;
}

/* Count what is done with a handle that is open already. */
void faults_watch(int handle, const char *name) { paths[handle] = strdup(name); }

static void absolute(int folder, const char *path, char *found) {
    char base[LENGTH], link[64];
    if (path[0] == '/' || path[0] == 0) {
        snprintf(found, LENGTH, "%s", path);
        return;
    }
    base[0] = 0;
    if (folder == AT_FDCWD) {
        if (syscall(SYS_getcwd, base, sizeof base) < 0) base[0] = 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        long size = syscall(SYS_readlink, link, base, sizeof base - 1);
        base[size < 0 ? 0 : size] = 0;
    }
    if (strcmp(path, ".") == 0)
        snprintf(found, LENGTH, "%s", base);
    else
        snprintf(found, LENGTH, "%.1000s/%.1000s", base, path);
}

static int in_scope(const char *path) {
    size_t size = strlen(scope);
    if (strncmp(path, "/dev/shm/", 9) == 0) return 1;
    return strncmp(path, scope, size) == 0 && (path[size] == 0 || path[size] == '/');
}

static const char *path_of(int handle) { return handle >= 0 && handle < HANDLES ? paths[handle] : NULL; }

static long inode_of(int handle) {
    struct stat status;
    return fstat(handle, &status) == 0 ? (long)status.st_ino : 0;
}

static void note(int kind, long inode, const char *path, const char *more, long offset, long length, long result,
                 const void *data) {
    char line[2 * LENGTH + 200];
    int number = errno;
    if (log_handle >= 0) {
        int size = snprintf(line, sizeof line, "%s\t%ld\t%s\t%s\t%ld\t%ld\t%ld\n", NAMES[kind], inode, path, more,
                            offset, length, result);
        syscall(SYS_write, log_handle, line, size);
        if (with_data && data && result > 0) syscall(SYS_write, log_handle, data, result);
    }
    errno = number;
}

/* Whether a call is the one: -1 and errno where it is to fail, SHORT where it is to do half, else 0. */
static int begin(int kind, const char *path) {
    if (smallest > 0 && kind != ALLOCATE) return 0;
    long number = __sync_add_and_fetch(&count, 1);
    int failing = action == FAIL_ON && number > at && (fail_on >> kind & 1);
    if (number != at && !failing) return 0;
    if (number == at) note(kind, 0, path, "HERE", 0, 0, number, NULL);
    switch (action) {
    case FAIL:
    case FAIL_ON: errno = error_number; return -1;
    case SHORT: return SHORT;
    case KILL_BEFORE: syscall(SYS_kill, getpid(), SIGKILL); return 0;
    case INTERRUPT: syscall(SYS_kill, getpid(), SIGINT); return 0;
    default: return 0;
    }
}

static void end(void) {
    if (action == KILL_AFTER && count == at) syscall(SYS_kill, getpid(), SIGKILL);
}

/* -- opening -------------------------------------------------------------------------------------------------- */

static int opened(int folder, const char *path, int flags, mode_t mode) {
    char whole[LENGTH], said[32];
    if (!counting) return syscall(SYS_openat, folder, path, flags, mode);
    absolute(folder, path, whole);
    if (!in_scope(whole)) return syscall(SYS_openat, folder, path, flags, mode);
    int kind = flags & O_CREAT ? CREATE : OPEN;
    if (begin(kind, whole) < 0) return -1;
    int before = kind == CREATE && syscall(SYS_faccessat, folder, path, F_OK) == 0;
    int handle = syscall(SYS_openat, folder, path, flags, mode);
    if (handle >= 0 && handle < HANDLES) {
        free(paths[handle]);
        paths[handle] = strdup(whole);
    }
    snprintf(said, sizeof said, "%s%s", kind == CREATE && !before ? "new" : "", flags & O_TRUNC ? " empty" : "");
    note(kind, handle < 0 ? 0 : inode_of(handle), whole, said, 0, 0, handle, NULL);
    end();
    return handle;
}

#define OPENING(name)                                                                                                  \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                                        \
        va_end(more);                                                                                                  \
        return opened(AT_FDCWD, path, flags, mode);                                                                    \
    }
#define OPENING_AT(name)                                                                                               \
    int name(int folder, const char *path, int flags, ...) {                                                           \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                                        \
        va_end(more);                                                                                                  \
        return opened(folder, path, flags, mode);                                                                      \
    }
OPENING(open)
OPENING(open64)
OPENING_AT(openat)
OPENING_AT(openat64)

int close(int handle) {
    const char *path = path_of(handle);
    if (handle == log_handle && handle >= 0) return 0;
    if (!counting || !path) return syscall(SYS_close, handle);
    int how = begin(CLOSE, path), number = errno;
    int result = syscall(SYS_close, handle);
    note(CLOSE, 0, path, "", 0, 0, result, NULL);
    if (handle > 2) {
        free(paths[handle]);
        paths[handle] = NULL;
    }
    end();
    if (how < 0) {
        errno = number;
        return -1;
    }
    return result;
}

DIR *opendir(const char *path) {
    char whole[LENGTH];
    if (!counting) return REAL(opendir)(path);
    absolute(AT_FDCWD, path, whole);
    if (!in_scope(whole)) return REAL(opendir)(path);
    if (begin(LIST, whole) < 0) return NULL;
    DIR *found = REAL(opendir)(path);
    note(LIST, 0, whole, "", 0, 0, found ? 0 : -1, NULL);
    end();
    return found;
}

/* -- reading and writing --------------------------------------------------------------------------------------- */

#define HALF(size) ((size) > 1 ? (size) / 2 : (size))

ssize_t read(int handle, void *data, size_t size) {
    const char *path = path_of(handle);
    if (!counting || !path) return syscall(SYS_read, handle, data, size);
    int how = begin(READ, path);
    if (how < 0) return -1;
    ssize_t result = syscall(SYS_read, handle, data, how == SHORT ? HALF(size) : size);
    note(READ, inode_of(handle), path, "", 0, size, result, NULL);
    end();
    return result;
}

ssize_t pread64(int handle, void *data, size_t size, off64_t offset) {
    const char *path = path_of(handle);
    if (!counting || !path) return syscall(SYS_pread64, handle, data, size, offset);
    if (begin(READ, path) < 0) return -1;
    ssize_t result = syscall(SYS_pread64, handle, data, size, offset);
    note(READ, inode_of(handle), path, "", offset, size, result, NULL);
    end();
    return result;
}
ssize_t pread(int handle, void *data, size_t size, off_t offset) { return pread64(handle, data, size, offset); }

ssize_t write(int handle, const void *data, size_t size) {
    const char *path = path_of(handle);
    if (!counting || !path) return syscall(SYS_write, handle, data, size);
    int how = begin(WRITE, path);
    if (how < 0) return -1;
    ssize_t result = syscall(SYS_write, handle, data, how == SHORT ? HALF(size) : size);
    int number = errno;
    long offset = result > 0 ? (long)lseek(handle, 0, SEEK_CUR) - result : 0;
    errno = number;
    note(WRITE, inode_of(handle), path, "", offset, size, result, data);
    end();
    return result;
}

#define ON_HANDLE(name, kind, arguments, given, call, said, length)                                                    \
    int name arguments {                                                                                               \
        const char *path = path_of(handle);                                                                            \
        if (!counting || !path) return call;                                                                           \
        if (begin(kind, path) < 0) return -1;                                                                          \
        int result = call;                                                                                             \
        note(kind, inode_of(handle), path, said, 0, length, result, NULL);                                             \
        end();                                                                                                         \
        return result;                                                                                                 \
    }
ON_HANDLE(fsync, FSYNC, (int handle), (handle), syscall(SYS_fsync, handle), "", 0)
ON_HANDLE(fdatasync, FSYNC, (int handle), (handle), syscall(SYS_fdatasync, handle), "", 0)
ON_HANDLE(ftruncate, TRUNCATE, (int handle, off_t size), (handle, size), syscall(SYS_ftruncate, handle, size), "", size)
ON_HANDLE(ftruncate64, TRUNCATE, (int handle, off64_t size), (handle, size), syscall(SYS_ftruncate, handle, size), "",
          size)
ON_HANDLE(fchmod, CHMOD, (int handle, mode_t mode), (handle, mode), syscall(SYS_fchmod, handle, mode), "", mode)
ON_HANDLE(flock, LOCK, (int handle, int how), (handle, how), syscall(SYS_flock, handle, how), "", 0)

/* -- names ----------------------------------------------------------------------------------------------------- */

static int named(int kind, int folder, const char *path, const char *more, long call, long second, long third,
                 long fourth) {
    char whole[LENGTH], other[LENGTH] = "";
    if (counting) {
        absolute(folder, path, whole);
        if (more) absolute(AT_FDCWD, more, other);
    }
    if (!counting || !(in_scope(whole) || in_scope(other))) return syscall(call, folder, second, third, fourth);
    if (begin(kind, whole) < 0) return -1;
    int result = syscall(call, folder, second, third, fourth);
    note(kind, 0, whole, other, 0, 0, result, NULL);
    end();
    return result;
}

int rename(const char *old, const char *new) {
    return named(RENAME, AT_FDCWD, old, new, SYS_renameat, (long)old, AT_FDCWD, (long)new);
}
int renameat(int from, const char *old, int to, const char *new) {
    return named(RENAME, from, old, new, SYS_renameat, (long)old, to, (long)new);
}
int unlink(const char *path) { return named(UNLINK, AT_FDCWD, path, NULL, SYS_unlinkat, (long)path, 0, 0); }
int unlinkat(int folder, const char *path, int flags) {
    return named(UNLINK, folder, path, NULL, SYS_unlinkat, (long)path, flags, 0);
}
int rmdir(const char *path) { return named(UNLINK, AT_FDCWD, path, NULL, SYS_unlinkat, (long)path, AT_REMOVEDIR, 0); }
int mkdir(const char *path, mode_t mode) {
    return named(MKDIR, AT_FDCWD, path, NULL, SYS_mkdirat, (long)path, mode, 0);
}
int mkdirat(int folder, const char *path, mode_t mode) {
    return named(MKDIR, folder, path, NULL, SYS_mkdirat, (long)path, mode, 0);
}

/* -- memory ---------------------------------------------------------------------------------------------------- */

void *mmap64(void *address, size_t size, int protection, int flags, int handle, off64_t offset) {
    const char *path = flags & MAP_ANONYMOUS ? NULL : path_of(handle);
    int shared = (flags & MAP_ANONYMOUS) && (flags & MAP_SHARED);
    if (!counting || !(path || shared))
        return (void *)syscall(SYS_mmap, address, size, protection, flags, handle, offset);
    if (begin(shared ? SHARE : MAP, path ? path : "") < 0) return MAP_FAILED;
    void *result = (void *)syscall(SYS_mmap, address, size, protection, flags, handle, offset);
    note(shared ? SHARE : MAP, 0, path ? path : "", "", offset, size, result == MAP_FAILED ? -1 : 0, NULL);
    end();
    return result;
}
void *mmap(void *address, size_t size, int protection, int flags, int handle, off_t offset) {
    return mmap64(address, size, protection, flags, handle, offset);
}

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);

/* Whether this allocation is to fail. */
static int refused(size_t size) {
    if (!counting || smallest == 0 || size < smallest) return 0;
    if (begin(ALLOCATE, "") < 0) return 1;
    note(ALLOCATE, 0, "", "", 0, size, 0, NULL);
    return 0;
}
void *malloc(size_t size) { return refused(size) ? NULL : __libc_malloc(size); }
void *calloc(size_t number, size_t size) { return refused(number * size) ? NULL : __libc_calloc(number, size); }
void *realloc(void *old, size_t size) { return refused(size) ? NULL : __libc_realloc(old, size); }
void *memalign(size_t alignment, size_t size) { return refused(size) ? NULL : __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void **found, size_t alignment, size_t size) {
    if (refused(size)) return ENOMEM;
    *found = __libc_memalign(alignment, size);
    return *found ? 0 : ENOMEM;
}

/* -- processes, threads, semaphores, pipes ----------------------------------------------------------------------- */

pid_t fork(void) {
    if (counting && begin(FORK, "") < 0) return -1;
    int number = ++forks, counted = counting;
    pid_t result = REAL(fork)();
    if (result == 0) {
        counting = role == number;
        if (role == number) count = 0;
    } else if (counted) {
        note(FORK, 0, "", "", 0, 0, result, NULL);
        end();
    }
    return result;
}

int pipe2(int handles[2], int flags) {
    if (counting && begin(PIPE, "") < 0) return -1;
    int result = syscall(SYS_pipe2, handles, flags);
    if (counting) {
        note(PIPE, 0, "", "", 0, 0, result, NULL);
        end();
    }
    return result;
}
int pipe(int handles[2]) { return pipe2(handles, 0); }

int socketpair(int domain, int type, int protocol, int handles[2]) {
    if (counting && begin(PIPE, "") < 0) return -1;
    int result = syscall(SYS_socketpair, domain, type, protocol, handles);
    if (counting) {
        note(PIPE, 0, "", "", 0, 0, result, NULL);
        end();
    }
    return result;
}

sem_t *sem_open(const char *name, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    unsigned value = flags & O_CREAT ? va_arg(more, unsigned) : 0;
    va_end(more);
    if (counting && begin(SEMAPHORE, name) < 0) return SEM_FAILED;
    sem_t *found = REAL(sem_open)(name, flags, mode, value);
    if (counting) {
        note(SEMAPHORE, 0, name, "", 0, 0, found == SEM_FAILED ? -1 : 0, NULL);
        end();
    }
    return found;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    if (counting && begin(THREAD, "") < 0) return errno;
    int result = REAL(pthread_create)(thread, attributes, start, argument);
    if (counting) {
        note(THREAD, 0, "", "", 0, 0, result, NULL);
        end();
    }
    return result;
}
