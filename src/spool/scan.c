/*
 * scan.c - see scan.h. One line at a time is looked for in a buffer of blocks. A stretch of invalid lines is only known
 * as damage or as a torn tail when a valid line or the end of the file comes: until then its place is remembered, not
 * its bytes, so that a file of garbage costs no memory.
 */
#include "spool/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What one read asks for: large enough that the calls cost little, small beside the memory of a small computer. */
enum { BLOCK_BYTES = 64 * 1024 };

void psa_spool_scan_start(struct psa_spool_scan *scan, const struct psa_disk *disk, int fd, bool dead, int64_t offset)
{
    struct psa_buf buf = scan->buf;

    buf.n = 0;
    *scan = (struct psa_spool_scan){
        .offset = offset, .disk = disk, .fd = fd, .dead = dead, .damage_from = -1, .buf = buf
    };
}

void psa_spool_scan_free(struct psa_spool_scan *scan)
{
    psa_buf_free(&scan->buf);
}

bool psa_spool_is_unreadable(int64_t error)
{
    /* A bad sector; a failed checksum or a broken tree of the file system; what the block layer says of some media. */
    return error == -EIO || error == -EBADMSG || error == -EUCLEAN || error == -ENODATA || error == -EILSEQ;
}

static void forget(struct psa_spool_scan *scan)
{
    scan->buf.n = scan->begin = scan->searched = 0;
    scan->skipping = false;
}

/* Go on behind n bytes of the buffer, which stand at scan->offset. */
static void pass(struct psa_spool_scan *scan, size_t n)
{
    scan->begin += n;
    scan->searched = scan->begin;
    scan->offset += (int64_t)n;
}

/* The same, with bytes that make no valid line. */
static void pass_invalid(struct psa_spool_scan *scan, size_t n)
{
    if (scan->damage_from < 0) scan->damage_from = scan->offset;
    pass(scan, n);
}

/* Can a valid line begin like this and be this long? What cannot need not be kept until its LF comes. */
static bool may_be_valid(const struct psa_spool_scan *scan)
{
    char first = scan->buf.p[scan->begin];

    return first >= '1' && first <= '9' && scan->buf.n - scan->begin <= PSA_SPOOL_LINE_MAX;
}

/* Read one block more: its bytes, 0 at the end of the file, or -errno. */
static int64_t read_more(struct psa_spool_scan *scan)
{
    struct psa_buf *buf = &scan->buf;
    size_t kept = buf->n - scan->begin;
    int64_t n;

    if (scan->begin) {
        memmove(buf->p, buf->p + scan->begin, kept);
        scan->searched -= scan->begin;
        scan->begin = 0;
        buf->n = kept;
    }
    if (!psa_buf_room(buf, BLOCK_BYTES)) {
        buf->failed = false;
        return -ENOMEM;
    }
    n = scan->disk->read(scan->disk->ctx, scan->fd, scan->offset + (int64_t)kept, buf->p + kept, BLOCK_BYTES);
    if (n > 0) buf->n += (size_t)n;
    return n;
}

/* Find the LF of the line that begins at scan->offset: its length, LF included, 0 at the end of the file, or -errno. */
static int64_t find_line(struct psa_spool_scan *scan)
{
    for (;;) {
        size_t left = scan->buf.n - scan->searched;
        const char *lf = left ? memchr(scan->buf.p + scan->searched, '\n', left) : NULL;
        int64_t n;

        if (lf) return lf + 1 - (scan->buf.p + scan->begin);
        scan->searched = scan->buf.n;
        if (scan->buf.n > scan->begin && (scan->skipping || !may_be_valid(scan))) {
            scan->skipping = true;
            pass_invalid(scan, scan->buf.n - scan->begin);
        }
        n = read_more(scan);
        if (n <= 0) return n;
    }
}

static enum psa_spool_scan_kind give(struct psa_spool_scan *scan, enum psa_spool_scan_kind kind, int64_t at,
                                     int64_t bytes)
{
    scan->at = at;
    scan->bytes = bytes;
    return kind;
}

static enum psa_spool_scan_kind give_line(struct psa_spool_scan *scan)
{
    int64_t at = scan->offset;

    scan->pending = false;
    pass(scan, (size_t)scan->line_bytes);
    return give(scan, PSA_SPOOL_SCAN_LINE, at, scan->line_bytes);
}

/* The end of the file, or a failure: the next call begins behind the last valid line, with what is in the file then. */
static enum psa_spool_scan_kind give_end(struct psa_spool_scan *scan, int64_t result)
{
    int64_t end = scan->offset + (int64_t)(scan->buf.n - scan->begin);

    if (scan->damage_from >= 0) scan->offset = scan->damage_from;
    scan->damage_from = -1;
    forget(scan);
    scan->result = (int)result;
    if (result < 0) return give(scan, PSA_SPOOL_SCAN_FAILED, scan->offset, 0);
    if (end == scan->offset) return give(scan, PSA_SPOOL_SCAN_END, end, 0);
    return give(scan, PSA_SPOOL_SCAN_TAIL, scan->offset, end - scan->offset);
}

enum psa_spool_scan_kind psa_spool_scan_next(struct psa_spool_scan *scan)
{
    if (scan->pending) return give_line(scan);
    for (;;) {
        int64_t n = find_line(scan), from = scan->damage_from;
        struct psa_str line;

        if (n <= 0) return give_end(scan, n);
        line = (struct psa_str){ scan->buf.p + scan->begin, (size_t)n - 1 };
        if (scan->skipping || !psa_spool_parse_line(line, scan->dead, &scan->record)) {
            scan->skipping = false;
            pass_invalid(scan, (size_t)n);
            continue;
        }
        scan->line_bytes = n;
        if (from < 0) return give_line(scan);
        scan->pending = true;
        scan->damage_from = -1;
        return give(scan, PSA_SPOOL_SCAN_DAMAGE, from, scan->offset - from);
    }
}

/* ---- setting damage aside ---------------------------------------------------------------------------------------- */

/* Compare the copy from its start with the stretch it may be a copy of: 1 when it holds the same bytes as far as it
 * goes, 0 when not, or -errno. *bytes is how far it goes. */
static int is_copy(const struct psa_disk *disk, int copy, int fd, int64_t offset, int64_t *bytes)
{
    char was[4096], is[sizeof was];
    int64_t done = 0, n, m;

    while ((n = disk->read(disk->ctx, copy, done, was, sizeof was)) > 0) {
        int64_t got = 0;

        for (; got < n; got += m) {
            m = disk->read(disk->ctx, fd, offset + done + got, is + got, (size_t)(n - got));
            if (m < 0) return (int)m;
            if (m == 0) return 0;
        }
        if (memcmp(was, is, (size_t)n) != 0) return 0;
        done += n;
    }
    *bytes = done;
    return n < 0 ? (int)n : 1;
}

/* Append the stretch to the copy. */
static int copy_stretch(const struct psa_disk *disk, int copy, int fd, int64_t offset, int64_t bytes)
{
    char block[4096];

    while (bytes > 0) {
        size_t want = bytes < (int64_t)sizeof block ? (size_t)bytes : sizeof block;
        int64_t n = disk->read(disk->ctx, fd, offset, block, want), written = 0;

        if (n <= 0) return n < 0 ? (int)n : -EIO; /* it was there when it was found */
        while (written < n) {
            int64_t m = disk->write(disk->ctx, "damaged.write", copy, block + written, (size_t)(n - written));

            if (m <= 0) return m < 0 ? (int)m : -EIO;
            written += m;
        }
        offset += n;
        bytes -= n;
    }
    return 0;
}

/* `<file>-<offset>.damaged`, from the second attempt on `<file>-<offset>-<attempt>.damaged`. */
static void damaged_name(const char *file, int64_t offset, int attempt, char name[PSA_SPOOL_NAME_MAX])
{
    if (attempt < 2) snprintf(name, PSA_SPOOL_NAME_MAX, "%s-%" PRId64 ".damaged", file, offset);
    else snprintf(name, PSA_SPOOL_NAME_MAX, "%s-%" PRId64 "-%d.damaged", file, offset, attempt);
}

enum { ATTEMPTS = 99 };

int psa_spool_set_aside(const struct psa_disk *disk, const char *file, int fd, int64_t offset, int64_t bytes)
{
    char name[PSA_SPOOL_NAME_MAX];
    int result = -EEXIST, copy = -EEXIST;

    for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
        int64_t there = 0;

        damaged_name(file, offset, attempt, name);
        copy = disk->open(disk->ctx, "damaged.open", name, PSA_DISK_APPEND);
        if (copy < 0) return copy;
        result = is_copy(disk, copy, fd, offset, &there);
        if (result == 1 && there <= bytes) {
            result = copy_stretch(disk, copy, fd, offset + there, bytes - there);
            break;
        }
        disk->close(disk->ctx, copy);
        if (result < 0) return result;
        result = copy = -EEXIST;
    }
    if (copy < 0) return copy;
    if (result == 0) result = disk->sync(disk->ctx, "damaged.sync", copy);
    disk->close(disk->ctx, copy);
    return result < 0 ? result : disk->sync_folder(disk->ctx, "damaged.sync-folder");
}
