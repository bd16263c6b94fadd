/*
 * disk.h - what the spool needs of a folder of files, as a table of functions. io/disk.c gives the real one; the unit
 * tests give one in memory.
 *
 * Every call that changes or secures something names the point it is made at ("segment.write", "cursor.rename"). The
 * real disk ignores the names; built with -DPSA_FAULT_POINTS it can be told to die or fail at each of them, so the
 * list of points is the list of what the crash tests have to go through.
 *
 * Names are file names within the one folder. Calls return a value >= 0, or -errno.
 */
#ifndef PSA_SPOOL_DISK_H
#define PSA_SPOOL_DISK_H

#include "psa.h"

enum psa_disk_open {
    PSA_DISK_READ,   /* an existing file, to read */
    PSA_DISK_APPEND, /* an existing or new file, to read and to write at its end */
    PSA_DISK_NEW,    /* a file that must not exist yet (-EEXIST) */
    PSA_DISK_FRESH   /* a new file, or an old one emptied */
};

struct psa_disk {
    void *ctx;
    int (*open)(void *ctx, const char *point, const char *name, enum psa_disk_open how); /* a descriptor */
    void (*close)(void *ctx, int fd);
    int64_t (*read)(void *ctx, int fd, int64_t offset, char *to, size_t n);             /* bytes; 0 at the end */
    int64_t (*write)(void *ctx, const char *point, int fd, const char *from, size_t n); /* at the end; may be short */
    int (*truncate)(void *ctx, const char *point, int fd, int64_t size);
    int (*sync)(void *ctx, const char *point, int fd); /* the file's content and size; from any thread */
    int (*sync_folder)(void *ctx, const char *point);  /* the folder's entries; from any thread */
    int64_t (*size)(void *ctx, int fd);
    bool (*linked)(void *ctx, int fd); /* does the open file still have a name? */
    int (*rename)(void *ctx, const char *point, const char *from, const char *to);
    int (*unlink)(void *ctx, const char *point, const char *name);
    int (*reserve)(void *ctx, const char *point, int fd, int64_t bytes); /* give the file real blocks (fallocate) */
    /* Call each(arg, name, bytes) for every file; stops at the first value other than 0 and returns it. */
    int (*list)(void *ctx, int (*each)(void *arg, const char *name, int64_t bytes), void *arg);
    /* Take the lock file of that name for this process: a descriptor to close, or -EWOULDBLOCK with *holder (may be
     * NULL) the process id of who has it, 0 when unknown. */
    int (*lock)(void *ctx, const char *name, int64_t *holder);
};

#endif
