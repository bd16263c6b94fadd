/*
 * faulty_io.c - preloaded into a program: makes the disk under a folder misbehave.
 *
 *     FAULTY_UNDER=FOLDER FAULTY_SEED=N LD_PRELOAD=faulty_io.so program
 *
 *     FAULTY_SYNC=P    of 1000 file syncs P fail with EIO. As the kernel does, the next one then succeeds although the data
 *                      is gone: what was written since the last good sync is overwritten with NULs at once, the worst case
 *     FAULTY_SHORT=P   of 1000 writes P write only a part
 *     FAULTY_WRITE=P   of 1000 writes P fail, with EIO or ENOSPC in turn
 *
 * The same seed makes the same choices in the same order of calls.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char under[PATH_MAX];
static uint64_t random_state;
static unsigned faults;
static struct {
    ino_t inode;
    off_t synced;
} files[FILES]; /* a ring: how much of a file the last good sync covered */
static unsigned newest;

#define REAL(function) ((__typeof__(&(function)))dlsym(RTLD_NEXT, #function))

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("FAULTY_UNDER"), *seed = getenv("FAULTY_SEED");
    if (folder) snprintf(under, sizeof under, "%s", folder);
    random_state = seed ? strtoull(seed, NULL, 10) : 1;
}

static int is_ours(int fd, struct stat *st)
{
    char link[64], path[PATH_MAX];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = under[0] ? readlink(link, path, sizeof path - 1) : 0;
    path[n > 0 ? n : 0] = '\0';
    int ours = n > 0 && strncmp(path, under, strlen(under)) == 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode);
    errno = saved;
    return ours;
}

static int strikes(const char *name)
{
    const char *part = getenv(name);
    return part && next_random() % 1000 < strtoull(part, NULL, 10);
}

/* How much of the file is covered by a good sync: all that was there when it is first written to. With the lock held. */
static off_t *synced_of(const struct stat *st)
{
    for (unsigned i = 0; i < FILES; i++)
        if (files[i].inode == st->st_ino) return &files[i].synced;
    newest = (newest + 1) % FILES;
    files[newest].inode = st->st_ino;
    files[newest].synced = st->st_size;
    return &files[newest].synced;
}

ssize_t write(int fd, const void *from, size_t n)
{
    struct stat st;
    if (!is_ours(fd, &st)) return REAL(write)(fd, from, n);
    pthread_mutex_lock(&lock);
    synced_of(&st);
    int fail = strikes("FAULTY_WRITE"), cut = strikes("FAULTY_SHORT");
    int error = faults++ % 2 ? EIO : ENOSPC;
    size_t part = n > 1 ? 1 + next_random() % (n - 1) : n;
    pthread_mutex_unlock(&lock);
    if (fail) {
        errno = error;
        return -1;
    }
    return REAL(write)(fd, from, cut ? part : n);
}

static void throw_away(int fd, off_t from, off_t to)
{
    static const char nothing[4096];
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* opened anew: O_APPEND would write at the end */
    FILE *file = fopen(link, "r+");
    if (!file || fseeko(file, from, SEEK_SET) != 0) abort();
    for (; from < to; from += (off_t)sizeof nothing)
        fwrite(nothing, 1, (size_t)(to - from < (off_t)sizeof nothing ? to - from : (off_t)sizeof nothing), file);
    fclose(file);
}

static int sync_with(int (*sync)(int), int fd)
{
    struct stat st;
    if (!is_ours(fd, &st)) return sync(fd);
    pthread_mutex_lock(&lock);
    off_t *synced = synced_of(&st);
    int fail = strikes("FAULTY_SYNC");
    if (fail && *synced < st.st_size) throw_away(fd, *synced, st.st_size);
    *synced = st.st_size;
    pthread_mutex_unlock(&lock);
    if (!fail) return sync(fd);
    errno = EIO;
    return -1;
}

int fsync(int fd)
{
    return sync_with(REAL(fsync), fd);
}
int fdatasync(int fd)
{
    return sync_with(REAL(fdatasync), fd);
}
