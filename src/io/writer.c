/* writer.c - see writer.h. */
#include "io/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

static const char temporary_suffix[] = ".tmp"; /* of a file that is not whole yet */

void psa_writer_init(struct psa_writer *writer, int fd, const char *name)
{
    *writer = (struct psa_writer){ .fd = fd, .name = name };
}

int psa_write_all(int fd, const char *name, const char *p, size_t n, struct psa_error *error)
{
    while (n) {
        ssize_t written = write(fd, p, n);

        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && errno == EAGAIN) { /* someone we share it with made it non-blocking */
            (void)poll(&(struct pollfd){ fd, POLLOUT, 0 }, 1, -1);
            continue;
        }
        if (written < 0 && errno == EPIPE) return psa_fail(error, PSA_BROKEN_PIPE, "%s: the reader has gone", name);
        if (written < 0) return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot write: %s", name, strerror(errno));
        p += written;
        n -= (size_t)written;
    }
    return 0;
}

int psa_writer_added(struct psa_writer *writer, struct psa_error *error)
{
    if (writer->buf.failed) return psa_fail_memory(error, "writing");
    return writer->buf.n >= PSA_WRITER_BYTES ? psa_writer_flush(writer, error) : 0;
}

int psa_writer_flush(struct psa_writer *writer, struct psa_error *error)
{
    size_t n = writer->buf.n;

    if (writer->buf.failed) return psa_fail_memory(error, "writing");
    writer->buf.n = 0;
    return n ? psa_write_all(writer->fd, writer->name, writer->buf.p, n, error) : 0;
}

int psa_writer_close(struct psa_writer *writer, struct psa_error *error)
{
    int status = psa_writer_flush(writer, error);

    psa_buf_free(&writer->buf);
    if (close(writer->fd) != 0 && errno != EINTR && status == 0)
        status = psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot close: %s", writer->name, strerror(errno));
    return status;
}

/* ---- whole files ------------------------------------------------------------------------------------------------------ */

static void folder_of(const char *path, char folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');

    snprintf(folder, PATH_MAX, "%.*s", !slash ? 1 : slash == path ? 1 : (int)(slash - path), slash ? path : ".");
}

int psa_file_check_folder(const char *path, struct psa_error *error)
{
    char folder[PATH_MAX];
    struct stat status;

    if (*path == '\0') return psa_fail(error, PSA_EXIT_PERMANENT, "the name of a file is empty");
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode)) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: is a folder, no file", path);
        if (!S_ISREG(status.st_mode)) return 0; /* it is written to as it is */
    }
    folder_of(path, folder);
    if (access(folder, W_OK | X_OK) == 0) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: cannot be written there: %s: %s", path, folder, strerror(errno));
}

static int sync_folder_of(const char *path, struct psa_error *error)
{
    char folder[PATH_MAX];
    int fd, status = 0;

    folder_of(path, folder);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
        status = psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot sync the folder: %s", folder, strerror(errno));
    if (fd >= 0) close(fd);
    return status;
}

/* No file can be made there, now or later, until somebody does something about it; a disk that is full may have room again. */
static bool is_wrong_place(int why)
{
    return why == ENOENT || why == ENOTDIR || why == EACCES || why == EPERM || why == ELOOP || why == ENAMETOOLONG;
}

static int replace_file(const char *path, struct psa_str text, struct psa_error *error)
{
    char temporary[PATH_MAX];
    int fd, status;

    if (snprintf(temporary, sizeof temporary, "%s%s", path, temporary_suffix) >= (int)sizeof temporary)
        return psa_fail(error, PSA_EXIT_PERMANENT, "'%s': the file name is too long", path);
    /* Whatever stands there, what a killed run left or a link that somebody put there, is not written to. */
    if (unlink(temporary) != 0 && errno != ENOENT)
        return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot remove: %s", temporary, strerror(errno));
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return psa_fail(error, is_wrong_place(errno) ? PSA_EXIT_PERMANENT : PSA_EXIT_RUNTIME, "%s: cannot create: %s",
                        temporary, strerror(errno));
    status = psa_write_all(fd, temporary, text.p, text.n, error);
    if (status == 0 && fsync(fd) != 0)
        status = psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot sync: %s", temporary, strerror(errno));
    if (close(fd) != 0 && status == 0)
        status = psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot close: %s", temporary, strerror(errno));
    if (status == 0 && rename(temporary, path) != 0)
        status = psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot rename to '%s': %s", temporary, path, strerror(errno));
    if (status != 0) {
        unlink(temporary);
        return status;
    }
    return sync_folder_of(path, error);
}

/* A device or a FIFO is written to as it is: renaming over it would put a file in its place. */
static int write_in_place(const char *path, struct psa_str text, struct psa_error *error)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), status;

    if (fd < 0) return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot open: %s", path, strerror(errno));
    status = psa_write_all(fd, path, text.p, text.n, error);
    if (close(fd) != 0 && status == 0)
        status = psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot close: %s", path, strerror(errno));
    return status;
}

int psa_file_replace(const char *path, struct psa_str text, struct psa_error *error)
{
    char target[PATH_MAX];
    struct stat there;

    if (stat(path, &there) == 0) {
        if (!S_ISREG(there.st_mode)) return write_in_place(path, text, error);
        if (realpath(path, target)) path = target; /* through a link: the link stays */
    }
    return replace_file(path, text, error);
}

/* To the end of the file. A folder can be opened, and says what it is when it is read. */
static int read_to_end(int fd, const char *path, int64_t max_bytes, struct psa_buf *text, struct psa_error *error)
{
    int status = 0;

    for (;;) {
        char *room = psa_buf_room(text, PSA_WRITER_BYTES);
        ssize_t n = room ? read(fd, room, PSA_WRITER_BYTES) : 0;

        if (!room) status = psa_fail_memory(error, "reading a file");
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            status = psa_fail(error, errno == EISDIR ? PSA_EXIT_PERMANENT : PSA_EXIT_RUNTIME, "%s: cannot read: %s",
                              path, strerror(errno));
        if (n <= 0) break;
        text->n += (size_t)n;
        if ((int64_t)text->n > max_bytes) {
            status = psa_fail(error, PSA_EXIT_PERMANENT, "%s: larger than %lld bytes", path, (long long)max_bytes);
            break;
        }
    }
    return status;
}

int psa_file_read(const char *path, int64_t max_bytes, struct psa_buf *text, struct psa_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), status;

    if (fd < 0 && errno == ENOENT) return 1;
    if (fd < 0) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: cannot open: %s", path, strerror(errno));
    status = read_to_end(fd, path, max_bytes, text, error);
    close(fd);
    return status;
}

int psa_file_read_plain(const char *path, int64_t max_bytes, struct psa_buf *text, struct psa_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), status;
    struct stat there;

    if (fd < 0 && errno == ENOENT) return 1;
    if (fd < 0) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &there) != 0 || !S_ISREG(there.st_mode))
        status = psa_fail(error, PSA_EXIT_PERMANENT, "%s: is no plain file", path);
    else status = read_to_end(fd, path, max_bytes, text, error);
    close(fd);
    return status;
}

static bool is_greater(const char *number, const char *id)
{
    number += strspn(number, "0");
    id += strspn(id, "0");
    if (strlen(number) != strlen(id)) return strlen(number) > strlen(id);
    return strcmp(number, id) > 0;
}

/* Is what stands behind `PATH.` a number greater than id, or the temporary file of any number? */
static bool is_forgotten(const char *name, const char *id)
{
    size_t digits = strspn(name, "0123456789");

    if (digits > 0 && strcmp(name + digits, temporary_suffix) == 0) return true;
    return digits > 0 && !name[digits] && is_greater(name, id);
}

int psa_file_forget(const char *path, const char *id, struct psa_error *error)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char folder[PATH_MAX];
    struct dirent *entry;
    size_t n = strlen(base);
    int status = 0;
    DIR *dir;

    folder_of(path, folder);
    dir = opendir(folder);
    if (!dir) return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot list: %s", folder, strerror(errno));
    while (status == 0 && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, base, n) != 0 || entry->d_name[n] != '.') continue;
        if (!is_forgotten(entry->d_name + n + 1, id)) continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT)
            status =
                psa_fail(error, PSA_EXIT_RUNTIME, "%s/%s: cannot remove: %s", folder, entry->d_name, strerror(errno));
    }
    closedir(dir);
    return status;
}
