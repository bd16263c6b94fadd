/*
 * disk.c - see disk.h. Every name is resolved below the descriptor of the folder, so that the spool stays the same one
 * when the working directory changes or the folder is renamed.
 */
#include "io/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/number.h"
#include "io/fault_points.h"

/* A lock is asked for a hundred times, every 10 ms. */
enum { LOCK_TRIES = 100, LOCK_WAIT_US = 10000 };

enum {
    FILE_MODE = 0640,  /* what sensors said is not for everyone */
    FOLDER_MODE = 0750 /* likewise */
};

struct folder {
    int fd;
};

static int folder_fd(void *ctx)
{
    return ((struct folder *)ctx)->fd;
}

static int disk_result(int result)
{
    return result < 0 ? -errno : result;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int open_flags(enum psa_disk_open how)
{
    switch (how) {
    case PSA_DISK_READ: return O_RDONLY;
    case PSA_DISK_APPEND: return O_RDWR | O_APPEND | O_CREAT;
    case PSA_DISK_NEW: return O_RDWR | O_APPEND | O_CREAT | O_EXCL;
    case PSA_DISK_FRESH: return O_RDWR | O_APPEND | O_CREAT | O_TRUNC;
    }
    return O_RDONLY;
}

static int open_file(int folder, const char *name, int flags)
{
    int fd;

    /* O_NONBLOCK: a FIFO that someone put there would keep us waiting. It means nothing to a file. O_NOFOLLOW: nor is a link to
     * be written through to whatever it names. */
    do fd = openat(folder, name, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW, FILE_MODE);
    while (fd < 0 && errno == EINTR);
    return disk_result(fd);
}

/* The spool's folder itself, or the one above it, may well be a link. */
static int open_folder(const char *path)
{
    int fd;

    do fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return disk_result(fd);
}

static int disk_open(void *ctx, const char *point, const char *name, enum psa_disk_open how)
{
    int fault = PSA_FAULT_BEGIN(point), fd;

    if (fault < 0) return fault;
    fd = open_file(folder_fd(ctx), name, open_flags(how));
    PSA_FAULT_END(fault);
    return fd;
}

/* Nothing depends on close: what has to last was synced, and an EINTR leaves the descriptor closed on Linux. */
static void disk_close(void *ctx, int fd)
{
    (void)ctx;
    (void)close(fd);
}

static int64_t disk_read(void *ctx, int fd, int64_t offset, char *to, size_t n)
{
    ssize_t got;

    (void)ctx;
    do got = pread(fd, to, n, offset);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static int64_t append(int fd, const char *from, size_t n)
{
    ssize_t written;

    do written = write(fd, from, n);
    while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : written;
}

static int64_t disk_write(void *ctx, const char *point, int fd, const char *from, size_t n)
{
    int fault = PSA_FAULT_BEGIN(point);
    int64_t written;

    (void)ctx;
    if (fault < 0) return fault;
    if (fault == PSA_FAULT_HALF || fault == PSA_FAULT_SHORT) n = (n + 1) / 2;
    written = append(fd, from, n);
    PSA_FAULT_END(fault);
    return written;
}

static int disk_truncate(void *ctx, const char *point, int fd, int64_t size)
{
    int fault = PSA_FAULT_BEGIN(point), result;

    (void)ctx;
    if (fault < 0) return fault;
    do result = ftruncate(fd, size);
    while (result < 0 && errno == EINTR);
    result = disk_result(result);
    PSA_FAULT_END(fault);
    return result;
}

static bool disk_linked(void *ctx, int fd)
{
    struct stat there;

    (void)ctx;
    return fstat(fd, &there) == 0 && there.st_nlink > 0;
}

/* fdatasync leaves out the times of the file and nothing else: the size, like all that is needed to read the bytes
 * back, is synced (POSIX, "synchronized I/O data integrity completion"). It saves the journal a commit where a segment
 * has not grown. */
static int disk_sync(void *ctx, const char *point, int fd)
{
    int fault = PSA_FAULT_BEGIN(point), result;

    if (fault < 0) return fault;
    if (fault == PSA_FAULT_SKIP) return 0;
    do result = fdatasync(fd);
    while (result < 0 && errno == EINTR);
    result = disk_result(result);
    if (result == 0 && !disk_linked(ctx, fd)) result = -ENOENT; /* someone removed it: synced, and lost all the same */
    PSA_FAULT_END(fault);
    return result;
}

/* Some file systems have folders that cannot be synced, and say EINVAL: there nothing better can be done. */
static int sync_entries(int fd)
{
    int result;

    do result = fsync(fd);
    while (result < 0 && errno == EINTR);
    return result < 0 && errno != EINVAL ? -errno : 0;
}

static int disk_sync_folder(void *ctx, const char *point)
{
    int fault = PSA_FAULT_BEGIN(point), result;

    if (fault < 0) return fault;
    if (fault == PSA_FAULT_SKIP) return 0;
    result = sync_entries(folder_fd(ctx));
    PSA_FAULT_END(fault);
    return result;
}

static int64_t disk_size(void *ctx, int fd)
{
    struct stat there;

    (void)ctx;
    return fstat(fd, &there) < 0 ? -errno : (int64_t)there.st_size;
}

static int disk_rename(void *ctx, const char *point, const char *from, const char *to)
{
    int fault = PSA_FAULT_BEGIN(point), result;

    if (fault < 0) return fault;
    result = disk_result(renameat(folder_fd(ctx), from, folder_fd(ctx), to));
    PSA_FAULT_END(fault);
    return result;
}

static int disk_unlink(void *ctx, const char *point, const char *name)
{
    int fault = PSA_FAULT_BEGIN(point), result;

    if (fault < 0) return fault;
    result = disk_result(unlinkat(folder_fd(ctx), name, 0));
    PSA_FAULT_END(fault);
    return result;
}

/* Blocks for a file system without fallocate: zeros up to that size. */
static int write_zeros(int fd, int64_t bytes)
{
    static const char zeros[64 * 1024];
    int64_t size = disk_size(NULL, fd);

    while (size >= 0 && size < bytes) {
        int64_t left = bytes - size;
        int64_t n = append(fd, zeros, left < (int64_t)sizeof zeros ? (size_t)left : sizeof zeros);

        if (n <= 0) return n < 0 ? (int)n : -EIO;
        size += n;
    }
    return size < 0 ? (int)size : 0;
}

static int disk_reserve(void *ctx, const char *point, int fd, int64_t bytes)
{
    int fault = PSA_FAULT_BEGIN(point), result;

    (void)ctx;
    if (fault < 0) return fault;
    do result = fallocate(fd, 0, 0, bytes);
    while (result < 0 && errno == EINTR);
    result = disk_result(result);
    if (result == -EOPNOTSUPP || result == -ENOSYS) result = write_zeros(fd, bytes);
    PSA_FAULT_END(fault);
    return result;
}

/* Files only: a folder (lost+found) or a socket is nothing to the spool. */
static int disk_list(void *ctx, int (*each)(void *arg, const char *name, int64_t bytes), void *arg)
{
    int fd = open_file(folder_fd(ctx), ".", O_RDONLY | O_DIRECTORY), result = 0;
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!entries) {
        result = fd < 0 ? fd : -errno;
        if (fd >= 0) (void)close(fd);
        return result;
    }
    while (result == 0 && (errno = 0, entry = readdir(entries))) {
        struct stat there;

        if (fstatat(fd, entry->d_name, &there, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno != ENOENT) result = -errno; /* gone since: as if it had not been listed */
        } else if (S_ISREG(there.st_mode)) {
            result = each(arg, entry->d_name, (int64_t)there.st_size);
        }
    }
    if (result == 0 && errno != 0 && errno != ENOENT) result = -errno;
    (void)closedir(entries);
    return result;
}

/* ---- locks ------------------------------------------------------------------------------------------------------- */

static int64_t read_holder(int fd)
{
    char text[PSA_NUMBER_MAX];
    int64_t n = disk_read(NULL, fd, 0, text, sizeof text), pid;

    while (n > 0 && text[n - 1] == '\n') n--;
    return n > 0 && psa_int_parse(text, text + n, &pid) && pid > 0 ? pid : 0;
}

/* A full disk must not keep the spool from being emptied, so a lock file without its pid will do. */
static void write_holder(int fd)
{
    char text[PSA_NUMBER_MAX + 1];
    size_t n = psa_int_format(getpid(), text);

    text[n++] = '\n';
    if (ftruncate(fd, 0) == 0) (void)append(fd, text, n);
}

/* flock belongs to the open file: it goes when the process dies, however that happens, and no stale lock is left. But a child
 * that the dead one had just forked holds it until its exec, so a lock that is held is asked for a second long. */
static int lock_soon(int fd)
{
    for (int tries = 0;; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
        if (errno != EINTR && (errno != EWOULDBLOCK || tries >= LOCK_TRIES)) return -errno;
        usleep(LOCK_WAIT_US);
    }
}

static int disk_lock(void *ctx, const char *name, int64_t *holder)
{
    int fd = open_file(folder_fd(ctx), name, O_RDWR | O_APPEND | O_CREAT), result;

    if (fd < 0) return fd;
    result = lock_soon(fd);
    if (result < 0) {
        if (holder) *holder = read_holder(fd);
        (void)close(fd);
        return result;
    }
    write_holder(fd);
    return fd;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

static bool parent_of(const char *folder, char parent[PATH_MAX])
{
    size_t n = strlen(folder);

    while (n > 1 && folder[n - 1] == '/') n--;
    while (n > 0 && folder[n - 1] != '/') n--;
    while (n > 1 && folder[n - 1] == '/') n--;
    return snprintf(parent, PATH_MAX, "%.*s", n ? (int)n : 1, n ? folder : ".") < PATH_MAX;
}

/* Is it worth a restart? A full disk, or one that is mounted late or read-only for a while, may be well again soon. */
static int status_of(int cause)
{
    return cause == EACCES || cause == EPERM || cause == ENOTDIR || cause == ELOOP || cause == ENAMETOOLONG
               ? PSA_EXIT_PERMANENT
               : PSA_EXIT_RUNTIME;
}

/* Make the folder and sync its entry. An old one's entry is synced too: who made it may have died before doing so;
 * there a parent that may not be read is no reason to refuse. */
static int make_folder(const char *folder, struct psa_error *error)
{
    char parent[PATH_MAX];
    bool made = mkdir(folder, FOLDER_MODE) == 0;
    int cause = made ? 0 : errno, fault, fd, result;

    if (!parent_of(folder, parent)) return psa_fail(error, PSA_EXIT_PERMANENT, "'%s': the name is too long", folder);
    if (cause == ENOENT)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: cannot be made: there is no folder '%s'; make that one first",
                        folder, parent);
    if (!made && cause != EEXIST)
        return psa_fail(error, status_of(cause), "%s: cannot be made: %s", folder, strerror(cause));
    fault = PSA_FAULT_BEGIN("folder.sync-parent");
    fd = fault < 0 ? fault : open_folder(parent);
    result = fd < 0 ? fd : fault == PSA_FAULT_SKIP ? 0 : sync_entries(fd);
    if (fd >= 0) (void)close(fd);
    PSA_FAULT_END(fault);
    if (result < 0 && made)
        return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot sync the folder: %s", parent, strerror(-result));
    return 0;
}

int psa_disk_open(struct psa_disk *disk, const char *folder, bool create, struct psa_error *error)
{
    struct folder *ctx;
    int fd;

    *disk = (struct psa_disk){ 0 };
    if (create && make_folder(folder, error) != 0) return -1;
    fd = open_folder(folder);
    if (fd == -ENOENT) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: there is no such folder", folder);
    if (fd == -ENOTDIR) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: is no folder", folder);
    if (fd < 0) return psa_fail(error, status_of(-fd), "%s: cannot be opened: %s", folder, strerror(-fd));
    ctx = malloc(sizeof *ctx);
    if (!ctx) {
        (void)close(fd);
        return psa_fail_memory(error, "opening a folder");
    }
    ctx->fd = fd;
    *disk = (struct psa_disk){
        .ctx = ctx,
        .open = disk_open,
        .close = disk_close,
        .read = disk_read,
        .write = disk_write,
        .truncate = disk_truncate,
        .sync = disk_sync,
        .sync_folder = disk_sync_folder,
        .size = disk_size,
        .linked = disk_linked,
        .rename = disk_rename,
        .unlink = disk_unlink,
        .reserve = disk_reserve,
        .list = disk_list,
        .lock = disk_lock,
    };
    return 0;
}

void psa_disk_close(struct psa_disk *disk)
{
    struct folder *folder = disk->ctx;

    if (folder) (void)close(folder->fd);
    free(folder);
    *disk = (struct psa_disk){ 0 };
}

int psa_disk_folder_fd(const struct psa_disk *disk)
{
    return folder_fd(disk->ctx);
}

bool psa_disk_is_gone(const struct psa_disk *disk)
{
    struct stat status;

    return fstat(psa_disk_folder_fd(disk), &status) == 0 && status.st_nlink == 0;
}
