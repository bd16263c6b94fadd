/*
 * recorder.c - preloaded into a program: writes down, in order, what it does to the files under a folder, and what it and
 * its children tell the world on stdout and stderr. tests/fault/power_cut.py derives from it what a power cut may leave.
 *
 *     RECORD_UNDER=FOLDER RECORD_LOG=FILE LD_PRELOAD=recorder.so program
 *
 * The log is a row of entries in the machine's byte order: struct entry, then `text` bytes (a path or data), then `more`
 * bytes (a rename's second path). Each goes out in one appending writev, so entries of threads and processes never mix.
 *
 * An operation is written down when it has returned, for only then is it certain; a sync when it begins, too, for only
 * what was there then is covered. What is said on stdout and stderr is written down before it is said: nobody can have acted on
 * it earlier.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    START = 'S',      /* text: the program's name */
    CREATE = 'C',     /* text: path; inode: a file that was not there */
    OPEN = 'O',       /* text: path; inode: a file or folder that was there */
    MKDIR = 'M',      /* text: path; inode */
    WRITE = 'W',      /* text: data, at `at` of the inode */
    TRUNCATE = 'T',   /* the inode to `at` bytes */
    ALLOCATE = 'A',   /* the inode to at least `at` bytes */
    SYNC_BEGIN = '(', /* of the inode, file or folder, by the thread `at` */
    SYNC_END = ')',   /* the same; result */
    RENAME = 'R',     /* text: from, more: to */
    UNLINK = 'U',     /* text: path */
    SAY = '1',        /* text: what goes to stdout */
    SAY_ERROR = '2'   /* text: what goes to stderr */
};

struct entry {
    uint32_t kind, process, text, more;
    uint64_t inode;
    int64_t at, result;
};

static int record_log = -1;
static char under[PATH_MAX];

#define REAL(function) ((__typeof__(&(function)))real(#function))

static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

static void record(enum kind kind, uint64_t inode, int64_t at, int64_t result, const void *text, size_t n,
                   const char *more)
{
    struct entry entry = {
        kind, (uint32_t)getpid(), (uint32_t)n, more ? (uint32_t)strlen(more) : 0, inode, at, result
    };
    struct iovec parts[3] = { { &entry, sizeof entry },
                              { (void *)(uintptr_t)text, n },
                              { (void *)(uintptr_t)more, entry.more } };
    int saved = errno;
    if (record_log >= 0 && REAL(writev)(record_log, parts, 3) != (ssize_t)(sizeof entry + n + entry.more)) abort();
    errno = saved;
}

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("RECORD_LOG"), *folder = getenv("RECORD_UNDER");
    if (!log || !folder) return;
    snprintf(under, sizeof under, "%s", folder);
    int fd = REAL(open)(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    record_log = fcntl(fd, F_DUPFD_CLOEXEC, 900); /* where no program looks */
    if (record_log < 0) abort();
    REAL(close)(fd);
    record(START, 0, 0, 0, program_invocation_short_name, strlen(program_invocation_short_name), NULL);
}

/* ---- which files ------------------------------------------------------------------------------------------------- */

static int is_under(const char *path)
{
    size_t n = strlen(under);
    return record_log >= 0 && n > 0 && strncmp(path, under, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static const char *path_of_fd(int fd, char path[PATH_MAX])
{
    char link[64];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    errno = saved;
    return path;
}

static const char *path_at(int folder, const char *name, char path[PATH_MAX])
{
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
    } else {
        char base[PATH_MAX];
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) base[0] = '\0';
        } else {
            path_of_fd(folder, base);
        }
        if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) abort();
    }
    return path;
}

/* The inode of an open file under the folder; 0: it is not there. */
static uint64_t inode_of(int fd)
{
    char path[PATH_MAX];
    struct stat st;
    int saved = errno;
    uint64_t inode = is_under(path_of_fd(fd, path)) && fstat(fd, &st) == 0 ? st.st_ino : 0;
    errno = saved;
    return inode;
}

/* ---- operations on names ------------------------------------------------------------------------------------------ */

static int open_at(int folder, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    struct stat st;
    int saved = errno;
    int ours = is_under(path_at(folder, name, path)), there = ours && fstatat(folder, name, &st, 0) == 0;
    errno = saved;
    int fd = REAL(openat)(folder, name, flags, mode);
    if (fd < 0 || !ours) return fd;
    if (fstat(fd, &st) != 0) abort();
    record(there ? OPEN : CREATE, st.st_ino, 0, 0, path, strlen(path), NULL);
    if (there && (flags & O_TRUNC)) record(TRUNCATE, st.st_ino, 0, 0, "", 0, NULL);
    return fd;
}

#define OPEN_LIKE(...)                                                      \
    va_list args;                                                           \
    va_start(args, flags);                                                  \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0; \
    va_end(args);                                                           \
    return open_at(__VA_ARGS__, flags, mode)

int open(const char *name, int flags, ...)
{
    OPEN_LIKE(AT_FDCWD, name);
}
int open64(const char *name, int flags, ...)
{
    OPEN_LIKE(AT_FDCWD, name);
}
int openat(int folder, const char *name, int flags, ...)
{
    OPEN_LIKE(folder, name);
}
int openat64(int folder, const char *name, int flags, ...)
{
    OPEN_LIKE(folder, name);
}
int creat(const char *name, mode_t mode)
{
    return open_at(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int mkdirat(int folder, const char *name, mode_t mode)
{
    char path[PATH_MAX];
    struct stat st;
    int result = REAL(mkdirat)(folder, name, mode);
    if (result == 0 && is_under(path_at(folder, name, path)) && fstatat(folder, name, &st, 0) == 0)
        record(MKDIR, st.st_ino, 0, 0, path, strlen(path), NULL);
    return result;
}

int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    char old[PATH_MAX], new[PATH_MAX];
    int result = REAL(renameat2)(from_folder, from, to_folder, to, flags);
    if (result == 0 && is_under(path_at(to_folder, to, new))) {
        path_at(from_folder, from, old);
        record(RENAME, 0, 0, 0, old, strlen(old), new);
    }
    return result;
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return renameat2(from_folder, from, to_folder, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int folder, const char *name, int flags)
{
    char path[PATH_MAX];
    int result = REAL(unlinkat)(folder, name, flags);
    if (result == 0 && is_under(path_at(folder, name, path))) record(UNLINK, 0, 0, 0, path, strlen(path), NULL);
    return result;
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

/* ---- operations on content ---------------------------------------------------------------------------------------- */

static void say(int fd, const void *from, size_t n)
{
    if ((fd == 1 || fd == 2) && record_log >= 0) record(fd == 1 ? SAY : SAY_ERROR, 0, 0, 0, from, n, NULL);
}

static ssize_t wrote(int fd, const void *from, ssize_t n, off_t at)
{
    uint64_t inode = n > 0 ? inode_of(fd) : 0;
    if (inode) record(WRITE, inode, at >= 0 ? at : lseek(fd, 0, SEEK_CUR) - n, 0, from, (size_t)n, NULL);
    return n;
}

ssize_t write(int fd, const void *from, size_t n)
{
    say(fd, from, n);
    return wrote(fd, from, REAL(write)(fd, from, n), -1);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    return wrote(fd, from, REAL(pwrite)(fd, from, n, at), at);
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at)
{
    return wrote(fd, from, REAL(pwrite64)(fd, from, n, at), at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (fd != 1 && fd != 2 && !inode_of(fd)) return REAL(writev)(fd, parts, count);
    size_t n = 0, at = 0;
    for (int i = 0; i < count; i++) n += parts[i].iov_len;
    char *flat = malloc(n + 1);
    if (!flat) abort();
    for (int i = 0; i < count; at += parts[i].iov_len, i++) memcpy(flat + at, parts[i].iov_base, parts[i].iov_len);
    ssize_t result = write(fd, flat, n);
    free(flat);
    return result;
}

int ftruncate(int fd, off_t size)
{
    int result = REAL(ftruncate)(fd, size);
    uint64_t inode = result == 0 ? inode_of(fd) : 0;
    if (inode) record(TRUNCATE, inode, size, 0, "", 0, NULL);
    return result;
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

static int allocated(int fd, int mode, off_t end, int result)
{
    uint64_t inode = result == 0 && mode == 0 ? inode_of(fd) : 0;
    if (inode) record(ALLOCATE, inode, end, 0, "", 0, NULL);
    return result;
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
    return allocated(fd, mode, at + n, REAL(fallocate)(fd, mode, at, n));
}
int fallocate64(int fd, int mode, off64_t at, off64_t n)
{
    return fallocate(fd, mode, at, n);
}
int posix_fallocate(int fd, off_t at, off_t n)
{
    return allocated(fd, 0, at + n, REAL(posix_fallocate)(fd, at, n));
}
int posix_fallocate64(int fd, off64_t at, off64_t n)
{
    return posix_fallocate(fd, at, n);
}

static int sync_with(int (*sync)(int), int fd)
{
    uint64_t inode = inode_of(fd);
    int64_t thread = syscall(SYS_gettid);
    if (inode) record(SYNC_BEGIN, inode, thread, 0, "", 0, NULL);
    int result = sync(fd);
    if (inode) record(SYNC_END, inode, thread, result, "", 0, NULL);
    return result;
}

int fsync(int fd)
{
    return sync_with(REAL(fsync), fd);
}
int fdatasync(int fd)
{
    return sync_with(REAL(fdatasync), fd);
}
