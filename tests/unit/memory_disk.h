/*
 * memory_disk.h - a folder in memory (spool/disk.h) that forgets what was not synced, for the tests of the spool.
 *
 * A file has its content and the content that is safe. The folder has its entries, the entries that are safe, and the
 * operations that lie between the two. memory_disk_cut makes of a disk what a power cut may leave of it:
 *
 *     data      absent; written up to any byte; grown, but NUL from any byte on; all there; or, with HOLES, any piece
 *               of it NUL, which file systems do that write pages back in any order
 *     folder    no operation; the first few; any of them, only those on one name in their order; all
 *
 * A sync that fails behaves as Linux does: the pages that were dirty count as clean from then on, so a later sync of
 * the same file succeeds and what was lost stays lost.
 *
 * A run can be stopped at any call: from the call number `freeze_at` on (counting calls that name a point, from 1)
 * nothing happens any more and everything fails with EIO, like a process that no longer is; then memory_disk_kill or
 * _cut.
 */
#ifndef PSA_TEST_MEMORY_DISK_H
#define PSA_TEST_MEMORY_DISK_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spool/disk.h"

enum { MEMORY_DISK_FDS = 32, MEMORY_DISK_FAULTS = 8, MEMORY_DISK_NAME = 64, MEMORY_DISK_PIECE = 16 };

struct memory_inode {
    char *now, *safe;
    size_t n, cap, safe_n;
    size_t low;                /* the smallest size since the last sync: below it `now` and `safe` are the same */
    size_t lost_from, lost_to; /* bytes of `now` that a failed sync lost: they will never be safe */
    size_t reserved;           /* blocks held (reserve), whatever the size is */
    size_t bad_from, bad_to;   /* bytes that the disk fails to read (memory_disk_spoil) */
};

struct memory_entry {
    char name[MEMORY_DISK_NAME];
    size_t inode;
};

struct memory_folder {
    struct memory_entry *entry;
    size_t n, cap;
};

enum memory_change { MEMORY_CREATE, MEMORY_RENAME, MEMORY_UNLINK };
struct memory_op {
    enum memory_change change;
    char name[MEMORY_DISK_NAME], to[MEMORY_DISK_NAME];
    size_t inode;
};

struct memory_fd {
    bool used;
    size_t inode;
    char lock[MEMORY_DISK_NAME]; /* the lock this descriptor holds, or "" */
};

/* At the Nth to (N + count - 1)th call at the point: fail with this errno; 0: a write writes half of it. */
struct memory_fault {
    const char *point;
    int nth, count, error;
};

enum memory_disk_data {
    MEMORY_DATA_ABSENT,
    MEMORY_DATA_PART,
    MEMORY_DATA_NULS,
    MEMORY_DATA_ALL,
    MEMORY_DATA_HOLES,
    MEMORY_DATA_KINDS
};
enum memory_disk_folder {
    MEMORY_FOLDER_ABSENT,
    MEMORY_FOLDER_FIRST,
    MEMORY_FOLDER_ANY,
    MEMORY_FOLDER_ALL,
    MEMORY_FOLDER_KINDS
};

struct memory_disk {
    struct psa_disk disk; /* hand this to what is tested */

    /* What a test may set. */
    const char *ignore_sync; /* a sync at this point says 0 and does nothing */
    struct memory_fault fault[MEMORY_DISK_FAULTS];
    size_t n_fault;
    size_t freeze_at; /* 0: never */
    bool freeze_half; /* the write that the freeze falls on still writes half */
    size_t space;     /* bytes all files may have together, 0: any number */

    /* What a test may read: the points called, in order; valid as long as the literals that name them. */
    const char **log;
    size_t n_log, cap_log;

    struct memory_inode *inode;
    size_t n_inode, cap_inode;
    struct memory_folder now, safe;
    struct memory_op *op;
    size_t n_op, cap_op;
    struct memory_fd fd[MEMORY_DISK_FDS];
};

/* ---- small things -------------------------------------------------------------------------------------------- */

/* splitmix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014. */
static inline uint64_t memory_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number in [from, to]. */
static inline size_t memory_between(uint64_t *seed, size_t from, size_t to)
{
    return from >= to ? from : from + (size_t)(memory_random(seed) % (to - from + 1));
}

static inline void *memory_grow(void *p, size_t *cap, size_t n, size_t size)
{
    if (n <= *cap) return p;
    *cap = n * 2 + 8;
    p = realloc(p, *cap * size);
    if (!p) abort();
    return p;
}

static inline void memory_name(char to[MEMORY_DISK_NAME], const char *name)
{
    size_t n = strlen(name);

    if (n >= MEMORY_DISK_NAME) abort();
    memcpy(to, name, n + 1);
}

static inline struct memory_entry *memory_find(struct memory_folder *folder, const char *name)
{
    for (size_t i = 0; i < folder->n; i++)
        if (!strcmp(folder->entry[i].name, name)) return &folder->entry[i];
    return NULL;
}

/* Let the name stand for the inode; (size_t)-1: for none. The order of entries changes, as in a real folder. */
static inline void memory_link(struct memory_folder *folder, const char *name, size_t inode)
{
    struct memory_entry *entry = memory_find(folder, name);

    if (inode == (size_t)-1) {
        if (entry) *entry = folder->entry[--folder->n];
        return;
    }
    if (!entry) {
        folder->entry = memory_grow(folder->entry, &folder->cap, folder->n + 1, sizeof *folder->entry);
        entry = &folder->entry[folder->n++];
        memory_name(entry->name, name);
    }
    entry->inode = inode;
}

static inline void memory_apply(struct memory_folder *folder, const struct memory_op *op)
{
    if (op->change == MEMORY_CREATE) memory_link(folder, op->name, op->inode);
    if (op->change == MEMORY_UNLINK) memory_link(folder, op->name, (size_t)-1);
    if (op->change == MEMORY_RENAME) {
        memory_link(folder, op->to, op->inode);
        memory_link(folder, op->name, (size_t)-1);
    }
}

static inline void memory_change(struct memory_disk *m, enum memory_change change, const char *name, const char *to,
                                 size_t inode)
{
    struct memory_op op = { change, "", "", inode };

    memory_name(op.name, name);
    memory_name(op.to, to);
    memory_apply(&m->now, &op);
    m->op = memory_grow(m->op, &m->cap_op, m->n_op + 1, sizeof *m->op);
    m->op[m->n_op++] = op;
}

static inline size_t memory_new_inode(struct memory_disk *m)
{
    m->inode = memory_grow(m->inode, &m->cap_inode, m->n_inode + 1, sizeof *m->inode);
    m->inode[m->n_inode] = (struct memory_inode){ 0 };
    return m->n_inode++;
}

static inline void memory_append(struct memory_inode *inode, const char *from, size_t n)
{
    inode->now = memory_grow(inode->now, &inode->cap, inode->n + n, 1);
    if (n) memcpy(inode->now + inode->n, from, n);
    inode->n += n;
}

static inline void memory_shrink(struct memory_inode *inode, size_t n)
{
    if (n > inode->n) {
        inode->now = memory_grow(inode->now, &inode->cap, n, 1);
        memset(inode->now + inode->n, 0, n - inode->n);
    }
    inode->n = n;
    if (n < inode->low) inode->low = n;
    if (n < inode->lost_to) inode->lost_to = n;
}

static inline size_t memory_used(const struct memory_disk *m)
{
    size_t used = 0;

    for (size_t i = 0; i < m->now.n; i++) {
        const struct memory_inode *inode = &m->inode[m->now.entry[i].inode];

        used += inode->n > inode->reserved ? inode->n : inode->reserved;
    }
    return used;
}

/* A call at a point: 0, or what it has to fail with. *half: write half and then do as the result says. */
static inline int memory_point(struct memory_disk *m, const char *point, bool *half)
{
    int nth = 1;

    *half = false;
    for (size_t i = 0; i < m->n_log; i++) nth += !strcmp(m->log[i], point);
    m->log = memory_grow(m->log, &m->cap_log, m->n_log + 1, sizeof *m->log);
    m->log[m->n_log++] = point;
    if (m->freeze_at && m->n_log >= m->freeze_at) {
        *half = m->n_log == m->freeze_at && m->freeze_half;
        return -EIO;
    }
    for (size_t i = 0; i < m->n_fault; i++) {
        const struct memory_fault *fault = &m->fault[i];

        if (strcmp(fault->point, point) || nth < fault->nth || nth >= fault->nth + fault->count) continue;
        *half = !fault->error;
        return -fault->error;
    }
    return 0;
}

static inline bool memory_frozen(const struct memory_disk *m)
{
    return m->freeze_at && m->n_log >= m->freeze_at;
}

static inline int memory_take_fd(struct memory_disk *m, size_t inode)
{
    for (int fd = 0; fd < MEMORY_DISK_FDS; fd++) {
        if (m->fd[fd].used) continue;
        m->fd[fd] = (struct memory_fd){ .used = true, .inode = inode };
        return fd;
    }
    return -EMFILE;
}

static inline struct memory_inode *memory_of(struct memory_disk *m, int fd)
{
    if (fd < 0 || fd >= MEMORY_DISK_FDS || !m->fd[fd].used) abort(); /* a descriptor used after its close is a bug */
    return &m->inode[m->fd[fd].inode];
}

/* ---- the calls ----------------------------------------------------------------------------------------------- */

static inline int memory_open(void *ctx, const char *point, const char *name, enum psa_disk_open how)
{
    struct memory_disk *m = ctx;
    struct memory_entry *entry = memory_find(&m->now, name);
    bool half;
    int failed = how == PSA_DISK_READ ? (memory_frozen(m) ? -EIO : 0) : memory_point(m, point, &half);

    if (failed) return failed;
    if (!entry && how == PSA_DISK_READ) return -ENOENT;
    if (entry && how == PSA_DISK_NEW) return -EEXIST;
    if (!entry) {
        size_t inode = memory_new_inode(m);

        memory_change(m, MEMORY_CREATE, name, "", inode);
        entry = memory_find(&m->now, name);
    } else if (how == PSA_DISK_FRESH) {
        memory_shrink(&m->inode[entry->inode], 0);
        m->inode[entry->inode].reserved = 0;
    }
    return memory_take_fd(m, entry->inode);
}

static inline void memory_close(void *ctx, int fd)
{
    struct memory_disk *m = ctx;

    (void)memory_of(m, fd);
    m->fd[fd].used = false;
}

static inline int64_t memory_read(void *ctx, int fd, int64_t offset, char *to, size_t n)
{
    struct memory_disk *m = ctx;
    const struct memory_inode *inode = memory_of(m, fd);

    if (memory_frozen(m)) return -EIO;
    if (offset < 0) return -EINVAL;
    if ((uint64_t)offset >= inode->n) return 0;
    if (n > inode->n - (size_t)offset) n = inode->n - (size_t)offset;
    if ((size_t)offset < inode->bad_to && (size_t)offset + n > inode->bad_from) {
        if ((size_t)offset >= inode->bad_from) return -EIO;
        n = inode->bad_from - (size_t)offset; /* up to the bad place it reads */
    }
    memcpy(to, inode->now + offset, n);
    return (int64_t)n;
}

static inline int64_t memory_write(void *ctx, const char *point, int fd, const char *from, size_t n)
{
    struct memory_disk *m = ctx;
    struct memory_inode *inode = memory_of(m, fd);
    size_t used = memory_used(m), room = m->space > used ? m->space - used : 0;
    bool half;
    int failed = memory_point(m, point, &half);

    if (inode->reserved > inode->n) room += inode->reserved - inode->n;
    if (half) n /= 2;
    if (failed && !half) return failed;
    if (m->space && n > room) n = room;
    if (m->space && !n && !failed) return -ENOSPC;
    memory_append(inode, from, n);
    return failed ? failed : (int64_t)n;
}

static inline int memory_truncate(void *ctx, const char *point, int fd, int64_t size)
{
    struct memory_disk *m = ctx;
    bool half;
    int failed = memory_point(m, point, &half);

    if (failed) return failed;
    if (size < 0) return -EINVAL;
    memory_shrink(memory_of(m, fd), (size_t)size);
    return 0;
}

static inline int memory_sync(void *ctx, const char *point, int fd)
{
    struct memory_disk *m = ctx;
    struct memory_inode *inode = memory_of(m, fd);
    bool half;
    int failed = memory_point(m, point, &half);

    if (memory_frozen(m)) return failed;
    if (failed) {
        if (inode->lost_from >= inode->lost_to) inode->lost_from = inode->low;
        inode->lost_to = inode->n;
        return failed;
    }
    if (m->ignore_sync && !strcmp(m->ignore_sync, point)) return 0;
    free(inode->safe);
    inode->safe = malloc(inode->n + 1);
    if (!inode->safe) abort();
    if (inode->n) memcpy(inode->safe, inode->now, inode->n);
    for (size_t i = inode->lost_from; i < inode->lost_to; i++) inode->safe[i] = 0;
    inode->safe_n = inode->low = inode->n;
    return 0;
}

static inline int memory_sync_folder(void *ctx, const char *point)
{
    struct memory_disk *m = ctx;
    bool half;
    int failed = memory_point(m, point, &half);

    if (failed) return failed;
    if (m->ignore_sync && !strcmp(m->ignore_sync, point)) return 0;
    m->safe.n = 0;
    for (size_t i = 0; i < m->now.n; i++) memory_link(&m->safe, m->now.entry[i].name, m->now.entry[i].inode);
    m->n_op = 0;
    return 0;
}

static inline int64_t memory_size(void *ctx, int fd)
{
    struct memory_disk *m = ctx;

    return memory_frozen(m) ? -EIO : (int64_t)memory_of(m, fd)->n;
}

static inline bool memory_linked(void *ctx, int fd)
{
    struct memory_disk *m = ctx;

    (void)memory_of(m, fd);
    for (size_t i = 0; i < m->now.n; i++)
        if (m->now.entry[i].inode == m->fd[fd].inode) return true;
    return false;
}

static inline int memory_rename(void *ctx, const char *point, const char *from, const char *to)
{
    struct memory_disk *m = ctx;
    const struct memory_entry *entry = memory_find(&m->now, from);
    bool half;
    int failed = memory_point(m, point, &half);

    if (failed) return failed;
    if (!entry) return -ENOENT;
    memory_change(m, MEMORY_RENAME, from, to, entry->inode);
    return 0;
}

static inline int memory_unlink(void *ctx, const char *point, const char *name)
{
    struct memory_disk *m = ctx;
    const struct memory_entry *entry = memory_find(&m->now, name);
    bool half;
    int failed = memory_point(m, point, &half);

    if (failed) return failed;
    if (!entry) return -ENOENT;
    memory_change(m, MEMORY_UNLINK, name, "", entry->inode);
    return 0;
}

static inline int memory_reserve(void *ctx, const char *point, int fd, int64_t bytes)
{
    struct memory_disk *m = ctx;
    struct memory_inode *inode = memory_of(m, fd);
    bool half;
    int failed = memory_point(m, point, &half);

    if (failed) return failed;
    if (m->space && memory_used(m) + (size_t)bytes > m->space) return -ENOSPC;
    inode->reserved = (size_t)bytes;
    return 0;
}

static inline int memory_list(void *ctx, int (*each)(void *arg, const char *name, int64_t bytes), void *arg)
{
    struct memory_disk *m = ctx;

    if (memory_frozen(m)) return -EIO;
    for (size_t i = 0; i < m->now.n; i++) {
        struct memory_entry entry = m->now.entry[i];
        int stop = each(arg, entry.name, (int64_t)m->inode[entry.inode].n);

        if (stop) return stop;
    }
    return 0;
}

static inline int memory_lock(void *ctx, const char *name, int64_t *holder)
{
    struct memory_disk *m = ctx;
    struct memory_entry *entry = memory_find(&m->now, name);
    int fd;

    if (holder) *holder = 0;
    for (fd = 0; fd < MEMORY_DISK_FDS; fd++)
        if (m->fd[fd].used && !strcmp(m->fd[fd].lock, name)) return -EWOULDBLOCK;
    if (!entry) {
        size_t inode = memory_new_inode(m);

        memory_change(m, MEMORY_CREATE, name, "", inode);
        entry = memory_find(&m->now, name);
    }
    fd = memory_take_fd(m, entry->inode);
    if (fd >= 0) memory_name(m->fd[fd].lock, name);
    return fd;
}

/* ---- what a test does with a disk ----------------------------------------------------------------------------- */

static inline void memory_disk_init(struct memory_disk *m)
{
    *m = (struct memory_disk){ 0 };
    m->disk = (struct psa_disk){
        .ctx = m,
        .open = memory_open,
        .close = memory_close,
        .read = memory_read,
        .write = memory_write,
        .truncate = memory_truncate,
        .sync = memory_sync,
        .sync_folder = memory_sync_folder,
        .size = memory_size,
        .linked = memory_linked,
        .rename = memory_rename,
        .unlink = memory_unlink,
        .reserve = memory_reserve,
        .list = memory_list,
        .lock = memory_lock,
    };
}

static inline void memory_disk_free(struct memory_disk *m)
{
    for (size_t i = 0; i < m->n_inode; i++) {
        free(m->inode[i].now);
        free(m->inode[i].safe);
    }
    free(m->inode);
    free(m->now.entry);
    free(m->safe.entry);
    free(m->op);
    free(m->log);
    *m = (struct memory_disk){ 0 };
}

/* No faults, no freezing, no ignored syncs, an empty log. */
static inline void memory_disk_calm(struct memory_disk *m)
{
    m->ignore_sync = NULL;
    m->n_fault = 0;
    m->freeze_at = 0;
    m->freeze_half = false;
    m->space = 0;
    m->n_log = 0;
}

static inline void memory_disk_fault(struct memory_disk *m, const char *point, int nth, int count, int error)
{
    if (m->n_fault == MEMORY_DISK_FAULTS) abort();
    m->fault[m->n_fault++] = (struct memory_fault){ point, nth, count, error };
}

/* The process is gone, the machine is not: descriptors and locks are free, nothing else is lost. */
static inline void memory_disk_kill(struct memory_disk *m)
{
    for (int fd = 0; fd < MEMORY_DISK_FDS; fd++) m->fd[fd].used = false;
    memory_disk_calm(m);
}

/* What of a file may be there: see the top. */
static inline void memory_survive(struct memory_inode *to, const struct memory_inode *from, enum memory_disk_data how,
                                  uint64_t *seed)
{
    size_t through = memory_between(seed, from->low, from->n);
    bool longer = memory_random(seed) & 1;

    *to = (struct memory_inode){ .reserved = from->reserved };
    if (how == MEMORY_DATA_ABSENT) {
        memory_append(to, from->safe, from->safe_n);
    } else if (how == MEMORY_DATA_PART) {
        memory_append(to, from->now, through);
        if (longer && from->safe_n > through) memory_append(to, from->safe + through, from->safe_n - through);
    } else {
        memory_append(to, from->now, from->n);
        if (how == MEMORY_DATA_NULS && to->now && through < to->n) memset(to->now + through, 0, to->n - through);
        for (size_t i = from->low, n; how == MEMORY_DATA_HOLES && i < to->n; i += n) {
            n = memory_between(seed, 1, MEMORY_DISK_PIECE);
            if (n > to->n - i) n = to->n - i;
            if (memory_random(seed) & 1) memset(to->now + i, 0, n);
        }
    }
    if (how != MEMORY_DATA_ABSENT)
        for (size_t i = from->lost_from; i < from->lost_to && i < to->n; i++) to->now[i] = 0;
    to->safe = malloc(to->n + 1);
    if (!to->safe) abort();
    if (to->n) memcpy(to->safe, to->now, to->n);
    to->safe_n = to->low = to->n;
}

/* Which of the folder's operations are there. With ANY an operation needs those before it that share a name with it. */
static inline void memory_survive_folder(struct memory_disk *to, const struct memory_disk *from,
                                         enum memory_disk_folder how, uint64_t *seed)
{
    size_t n = how == MEMORY_FOLDER_ABSENT ? 0 : from->n_op;
    struct memory_folder gone = { 0 }; /* names on which an operation is not there */

    if (how == MEMORY_FOLDER_FIRST) n = memory_between(seed, 0, n);
    for (size_t i = 0; i < from->safe.n; i++)
        memory_link(&to->now, from->safe.entry[i].name, from->safe.entry[i].inode);
    for (size_t i = 0; i < n; i++) {
        const struct memory_op *op = &from->op[i];
        bool barred = memory_find(&gone, op->name) || (op->to[0] && memory_find(&gone, op->to));

        if (how == MEMORY_FOLDER_ANY && (barred || memory_random(seed) & 1)) {
            memory_link(&gone, op->name, 0);
            if (op->to[0]) memory_link(&gone, op->to, 0);
        } else {
            memory_apply(&to->now, op);
        }
    }
    for (size_t i = 0; i < to->now.n; i++) memory_link(&to->safe, to->now.entry[i].name, to->now.entry[i].inode);
    free(gone.entry);
}

/* `to` (not initialised) becomes what a power cut now may leave of `from`, which stays as it is. Everything in it is
 * safe, nothing is open, and no faults are set. */
static inline void memory_disk_cut(struct memory_disk *to, const struct memory_disk *from, enum memory_disk_data data,
                                   enum memory_disk_folder folder, uint64_t seed)
{
    memory_disk_init(to);
    for (size_t i = 0; i < from->n_inode; i++) {
        size_t inode = memory_new_inode(to);

        memory_survive(&to->inode[inode], &from->inode[i], data, &seed);
    }
    memory_survive_folder(to, from, folder, &seed);
}

/* Make a file with this content, safe at once; or look at one: its content, NULL when there is none. */
static inline void memory_disk_put(struct memory_disk *m, const char *name, const char *content, size_t n)
{
    size_t inode = memory_new_inode(m);

    memory_append(&m->inode[inode], content, n);
    m->inode[inode].safe = malloc(n + 1);
    if (!m->inode[inode].safe) abort();
    if (n) memcpy(m->inode[inode].safe, content, n);
    m->inode[inode].safe_n = m->inode[inode].low = n;
    memory_link(&m->now, name, inode);
    memory_link(&m->safe, name, inode);
}

static inline char *memory_disk_content(struct memory_disk *m, const char *name, size_t *n)
{
    struct memory_entry *entry = memory_find(&m->now, name);

    if (!entry) return NULL;
    *n = m->inode[entry->inode].n;
    return m->inode[entry->inode].now ? m->inode[entry->inode].now : (char *)(uintptr_t) "";
}

/* From now on the disk fails to read these bytes of the file; from == to: it reads all of it. */
static inline void memory_disk_spoil(struct memory_disk *m, const char *name, size_t from, size_t to)
{
    struct memory_entry *entry = memory_find(&m->now, name);

    if (!entry) abort();
    m->inode[entry->inode].bad_from = from;
    m->inode[entry->inode].bad_to = to;
}

static inline size_t memory_disk_count(const struct memory_disk *m, const char *point)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n_log; i++) n += !strcmp(m->log[i], point);
    return n;
}

#endif
