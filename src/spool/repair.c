/*
 * repair.c - the part of survey.h that changes a spool at rest: repair, and giving dead letters back.
 *
 * Nothing is taken away before what replaces it is safe: damage is copied and synced before the segment is rewritten,
 * the new segment is synced before it takes the old one's name, and dead letters are removed when the writer has all of
 * them durably. So a repair that was cut off anywhere is finished by the next one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "spool/folder.h"
#include "spool/scan.h"
#include "spool/survey.h"

struct mending {
    const struct psa_disk *disk;
    const struct psa_spool_say *say;
    struct psa_spool_scan scan;
    struct psa_buf block; /* bytes on their way into a file */
    int fresh;            /* the file being written, -1: none */
    uint64_t before;      /* the greatest number of a line so far, */
    uint64_t later;       /* and in the name of the segment behind this one, 0: there is none */
};

static void tell(const struct mending *m, const char *cause, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(const struct mending *m, const char *cause, const char *format, ...)
{
    char text[256];
    va_list arguments;

    if (!m->say || !m->say->say) return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    m->say->say(m->say->ctx, cause, text);
}

static int fail_with(struct psa_error *error, const char *file, const char *what, int64_t result)
{
    return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot be %s: %s", file, what, strerror((int)-result));
}

static int take_lock(const struct psa_disk *disk, const char *name, struct psa_error *error)
{
    int64_t holder = 0;
    int fd = disk->lock(disk->ctx, name, &holder);

    if (fd == -EWOULDBLOCK && holder)
        return psa_fail(error, PSA_EXIT_RUNTIME, "%s: held by process %" PRId64 "; stop it first", name, holder);
    if (fd == -EWOULDBLOCK)
        return psa_fail(error, PSA_EXIT_RUNTIME, "%s: held by another process; stop it first", name);
    return fd < 0 ? fail_with(error, name, "taken", fd) : fd;
}

/* ---- the file that takes another's place ------------------------------------------------------------------------- */

static int begin_fresh(struct mending *m)
{
    int fd;

    if (m->fresh >= 0) return 0;
    fd = m->disk->open(m->disk->ctx, "repair.create", PSA_SPOOL_REPAIR_TMP, PSA_DISK_FRESH);
    if (fd < 0) return fd;
    m->fresh = fd;
    return 0;
}

static int write_fresh(struct mending *m, const char *p, size_t n)
{
    while (n) {
        int64_t written = m->disk->write(m->disk->ctx, "repair.write", m->fresh, p, n);

        if (written <= 0) return written < 0 ? (int)written : -EIO;
        p += written;
        n -= (size_t)written;
    }
    return 0;
}

static void close_fresh(struct mending *m)
{
    if (m->fresh >= 0) m->disk->close(m->disk->ctx, m->fresh);
    m->fresh = -1;
}

/* Let it take the name, durably. */
static int end_fresh(struct mending *m, const char *name)
{
    int result = m->disk->sync(m->disk->ctx, "repair.sync", m->fresh);

    close_fresh(m);
    if (result == 0) result = m->disk->rename(m->disk->ctx, "repair.rename", PSA_SPOOL_REPAIR_TMP, name);
    return result < 0 ? result : m->disk->sync_folder(m->disk->ctx, "repair.sync-folder");
}

enum { BLOCK_BYTES = 64 * 1024 };

static int copy_range(struct mending *m, int fd, int64_t from, int64_t to)
{
    m->block.n = 0;
    if (!psa_buf_room(&m->block, BLOCK_BYTES)) return -ENOMEM;
    while (from < to) {
        size_t want = to - from < BLOCK_BYTES ? (size_t)(to - from) : BLOCK_BYTES;
        int64_t n = m->disk->read(m->disk->ctx, fd, from, m->block.p, want);
        int result;

        if (n <= 0) return n < 0 ? (int)n : -EIO;
        result = write_fresh(m, m->block.p, (size_t)n);
        if (result < 0) return result;
        from += n;
    }
    return 0;
}

/* ---- one file of lines ------------------------------------------------------------------------------------------- */

/* Set the damage aside that the scan has found, and copy what is valid before it. */
static int leave_out(struct mending *m, const char *file, int fd, int64_t valid_from)
{
    int64_t at = m->scan.at, bytes = m->scan.bytes;
    int result = psa_spool_set_aside(m->disk, file, fd, at, bytes);

    if (result == 0) result = begin_fresh(m);
    if (result == 0) result = copy_range(m, fd, valid_from, at);
    if (result == 0)
        tell(m, "damage", "%s: %" PRId64 " damaged bytes at offset %" PRId64 " set aside", file, bytes, at);
    return result;
}

/* Does the stretch hold a whole line? 1, 0, or -errno. */
static int holds_line(struct mending *m, int fd, int64_t from, int64_t bytes)
{
    m->block.n = 0;
    if (!psa_buf_room(&m->block, BLOCK_BYTES)) return -ENOMEM;
    while (bytes > 0) {
        int64_t n =
            m->disk->read(m->disk->ctx, fd, from, m->block.p, bytes < BLOCK_BYTES ? (size_t)bytes : BLOCK_BYTES);

        if (n <= 0) return (int)n;
        if (memchr(m->block.p, '\n', (size_t)n)) return 1;
        from += n;
        bytes -= n;
    }
    return 0;
}

/* Behind `end` only a tail is left, or nothing. Whole lines in it may be records that were taken once, and so may a
 * piece of one where numbers are missing: set aside, as by the writer and the reader. */
static int finish_file(struct mending *m, const char *file, int fd, int64_t valid_from, int64_t end, int64_t torn)
{
    int lines = holds_line(m, fd, end, torn), result = lines < 0 ? lines : 0;

    if (torn && lines == 0) lines = psa_spool_is_lost_tail(m->before, m->later);
    if (lines == 1) result = psa_spool_set_aside(m->disk, file, fd, end, torn);
    if (result < 0) return result;
    if (m->fresh >= 0) {
        result = copy_range(m, fd, valid_from, end);
        if (result == 0) result = end_fresh(m, file);
    } else if (torn) {
        result = m->disk->truncate(m->disk->ctx, "repair.truncate", fd, end);
        if (result == 0) result = m->disk->sync(m->disk->ctx, "repair.sync", fd);
    }
    if (result == 0 && torn)
        tell(m, "torn", "%s: a torn tail of %" PRId64 " bytes %s", file, torn, lines ? "set aside" : "cut off");
    return result;
}

static int mend_lines(struct mending *m, const char *file, int fd, bool dead)
{
    int64_t valid_from = 0;

    psa_spool_scan_start(&m->scan, m->disk, fd, dead, 0);
    for (;;) {
        int result;

        switch (psa_spool_scan_next(&m->scan)) {
        case PSA_SPOOL_SCAN_LINE:
            if (!dead && m->scan.record.seq > m->before) m->before = m->scan.record.seq;
            break;
        case PSA_SPOOL_SCAN_DAMAGE:
            result = leave_out(m, file, fd, valid_from);
            if (result < 0) return result;
            valid_from = m->scan.at + m->scan.bytes;
            break;
        case PSA_SPOOL_SCAN_TAIL:
        case PSA_SPOOL_SCAN_END: return finish_file(m, file, fd, valid_from, m->scan.at, m->scan.bytes);
        case PSA_SPOOL_SCAN_FAILED: return m->scan.result;
        }
    }
}

/* 0, -1, or 1 when the disk fails to read it: it is left as it is, and *error says so as well. */
static int mend_file(struct mending *m, const char *file, bool dead, struct psa_error *error)
{
    int fd = m->disk->open(m->disk->ctx, "repair.open", file, PSA_DISK_APPEND), result;
    bool unreadable = psa_spool_is_unreadable(fd);

    if (fd >= 0) {
        result = mend_lines(m, file, fd, dead);
        unreadable = result < 0 && psa_spool_is_unreadable(m->scan.result);
        close_fresh(m);
        m->disk->close(m->disk->ctx, fd);
        if (result == 0) return 0;
        (void)fail_with(error, file, "repaired", result);
    } else {
        (void)fail_with(error, file, "opened", fd);
    }
    if (!unreadable) return -1;
    tell(m, "unreadable", "%s; left as it is", error->text);
    return 1;
}

/* ---- repair ------------------------------------------------------------------------------------------------------ */

static int mend_cursor(struct mending *m, const struct psa_spool_survey *survey, struct psa_error *error)
{
    bool none = survey->cursor_state == PSA_SPOOL_CURSOR_NONE;
    int result;

    if (survey->cursor_state == PSA_SPOOL_CURSOR_GOOD || (none && survey->segments == 0)) return 0;
    m->block.n = 0;
    psa_spool_format_cursor(&m->block, &survey->cursor);
    if (m->block.failed) return psa_fail_memory(error, "writing the cursor");
    result = begin_fresh(m);
    if (result == 0) result = write_fresh(m, m->block.p, m->block.n);
    if (result == 0) result = end_fresh(m, PSA_SPOOL_CURSOR);
    close_fresh(m);
    if (result < 0) return fail_with(error, PSA_SPOOL_CURSOR, "written", result);
    tell(m, "cursor", "the cursor was %s and is written anew, before the oldest segment; records may be sent twice",
         none ? "not there" : "damaged");
    return 0;
}

/* What earlier work has left half done. */
static int remove_leftovers(struct mending *m, struct psa_error *error)
{
    static const char *const leftovers[] = { PSA_SPOOL_CURSOR_TMP, PSA_SPOOL_REPAIR_TMP };
    bool removed = false;

    for (size_t i = 0; i < sizeof leftovers / sizeof *leftovers; i++) {
        int result = m->disk->unlink(m->disk->ctx, "repair.unlink", leftovers[i]);

        if (result < 0 && result != -ENOENT) return fail_with(error, leftovers[i], "removed", result);
        removed |= result == 0;
    }
    if (!removed) return 0;
    int result = m->disk->sync_folder(m->disk->ctx, "repair.sync-folder");
    return result < 0 ? psa_fail(error, PSA_EXIT_RUNTIME, "the folder cannot be synced: %s", strerror(-result)) : 0;
}

static int mend_all(struct mending *m, struct psa_spool_survey *survey, struct psa_error *error)
{
    struct psa_spool_folder folder = { 0 };
    char name[PSA_SPOOL_NAME_MAX];
    int result = psa_spool_survey(m->disk, NULL, survey, error);
    bool all = true;

    if (result == 0) result = psa_spool_list(m->disk, &folder, error);
    m->before = folder.n ? folder.segment[0] - 1 : 0;
    for (size_t i = 0; i < folder.n && result >= 0; i++) {
        m->later = i + 1 < folder.n ? folder.segment[i + 1] : 0;
        psa_spool_segment_name(folder.segment[i], name);
        result = mend_file(m, name, false, error);
        all &= result == 0;
    }
    if (result >= 0 && folder.has_dead) {
        result = mend_file(m, PSA_SPOOL_DEAD, true, error);
        all &= result == 0;
    }
    if (result >= 0) result = mend_cursor(m, survey, error);
    if (result >= 0) result = remove_leftovers(m, error);
    psa_spool_folder_free(&folder);
    return result == 0 && all ? 0 : -1;
}

static void release(struct mending *m)
{
    close_fresh(m);
    psa_spool_scan_free(&m->scan);
    psa_buf_free(&m->block);
}

int psa_spool_repair(const struct psa_disk *disk, const struct psa_spool_say *say, struct psa_spool_survey *survey,
                     struct psa_error *error)
{
    struct mending m = { .disk = disk, .say = say, .fresh = -1 };
    int reader, writer, result = -1;

    *survey = (struct psa_spool_survey){ .oldest_taken_ms = PSA_SPOOL_UNSYNCED };
    reader = take_lock(disk, PSA_SPOOL_READER_LOCK, error);
    if (reader < 0) return -1;
    writer = take_lock(disk, PSA_SPOOL_WRITER_LOCK, error);
    if (writer >= 0) {
        result = mend_all(&m, survey, error);
        disk->close(disk->ctx, writer);
    }
    disk->close(disk->ctx, reader);
    release(&m);
    return result;
}

/* ---- dead letters ------------------------------------------------------------------------------------------------ */

struct letter {
    uint64_t seq;
    int64_t offset;
};

struct letters {
    struct letter *item;
    size_t n, cap;
};

static int add_letter(struct letters *letters, uint64_t seq, int64_t offset)
{
    if (letters->n == letters->cap) {
        size_t cap = letters->cap ? letters->cap * 2 : 64;
        struct letter *grown = realloc(letters->item, cap * sizeof *grown);

        if (!grown) return -ENOMEM;
        letters->item = grown;
        letters->cap = cap;
    }
    letters->item[letters->n++] = (struct letter){ seq, offset };
    return 0;
}

static int by_seq_and_offset(const void *a, const void *b)
{
    const struct letter *x = a, *y = b;

    if (x->seq != y->seq) return x->seq < y->seq ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Find the letters, each sequence number once and in order. What is no letter is set aside, for the file will go. */
static int find_letters(struct mending *m, int fd, struct letters *letters)
{
    enum psa_spool_scan_kind kind = PSA_SPOOL_SCAN_LINE;
    size_t n = 0;

    psa_spool_scan_start(&m->scan, m->disk, fd, true, 0);
    while (kind == PSA_SPOOL_SCAN_LINE || kind == PSA_SPOOL_SCAN_DAMAGE) {
        int result = 0;

        kind = psa_spool_scan_next(&m->scan);
        if (kind == PSA_SPOOL_SCAN_FAILED) return m->scan.result;
        if (kind == PSA_SPOOL_SCAN_LINE) result = add_letter(letters, m->scan.record.seq, m->scan.at);
        if (kind == PSA_SPOOL_SCAN_DAMAGE || kind == PSA_SPOOL_SCAN_TAIL)
            result = psa_spool_set_aside(m->disk, PSA_SPOOL_DEAD, fd, m->scan.at, m->scan.bytes);
        if (result < 0) return result;
    }
    if (letters->n) qsort(letters->item, letters->n, sizeof *letters->item, by_seq_and_offset);
    for (size_t i = 0; i < letters->n; i++)
        if (i == 0 || letters->item[i].seq != letters->item[i - 1].seq) letters->item[n++] = letters->item[i];
    letters->n = n;
    return 0;
}

/* Attempts at syncing: each failed one goes on in a new segment, which may have better luck. */
enum { SYNC_ATTEMPTS = 3 };

/* Memory that is held before what was put is synced. */
#define UNTAKEN_BYTES ((size_t)1 << 20)

/* Everything put is taken. */
static int settle(const struct psa_disk *disk, struct psa_spool_writer *writer, struct psa_error *error)
{
    struct psa_spool_sync job;

    for (int attempt = 0; attempt < SYNC_ATTEMPTS; attempt++) {
        if (psa_spool_write(writer) != 0) break;
        while (psa_spool_sync_begin(writer, &job)) {
            psa_spool_sync_run(disk, &job);
            psa_spool_sync_end(writer, &job);
            if (job.result < 0) break;
        }
        if (psa_spool_last_taken(writer) == psa_spool_last_put(writer)) return 0;
    }
    return psa_fail(error, PSA_EXIT_RUNTIME, "dead letters cannot be written to a segment; they stay in '%s'",
                    PSA_SPOOL_DEAD);
}

/* It can never go back: it is kept as what it is. */
static int keep_letter(struct mending *m, const struct psa_spool_record *record, struct psa_error *error)
{
    int result = begin_fresh(m);

    m->block.n = 0;
    psa_spool_format_line(&m->block, record);
    if (m->block.failed) return psa_fail_memory(error, "keeping a dead letter");
    if (result == 0) result = write_fresh(m, m->block.p, m->block.n);
    if (result < 0) return fail_with(error, PSA_SPOOL_DEAD, "rewritten", result);
    tell(m, "too-long", "dead letter %" PRIu64 " is too long for this spool and stays dead", record->seq);
    return 0;
}

static int give_back(struct mending *m, struct psa_spool_writer *writer, const struct psa_spool_record *record,
                     uint64_t *n, struct psa_error *error)
{
    enum psa_spool_put put = psa_spool_put(writer, record->text, record->taken_ms, NULL);

    if (put == PSA_SPOOL_FULL) { /* what was put may be what is in the way, and the reader may have freed some since */
        if (settle(m->disk, writer, error) != 0) return -1;
        psa_spool_writer_look(writer);
        put = psa_spool_put(writer, record->text, record->taken_ms, NULL);
    }
    switch (put) {
    case PSA_SPOOL_PUT: ++*n; break;
    case PSA_SPOOL_TOO_LONG: return keep_letter(m, record, error);
    case PSA_SPOOL_FAILED: return psa_fail_memory(error, "giving dead letters back");
    case PSA_SPOOL_FULL:
        return psa_fail(error, PSA_EXIT_RUNTIME,
                        "the spool is full: %" PRIu64 " dead letters were given back, and all stay in '%s'", *n,
                        PSA_SPOOL_DEAD);
    }
    return psa_spool_untaken_bytes(writer) < UNTAKEN_BYTES ? 0 : settle(m->disk, writer, error);
}

static int give_all_back(struct mending *m, struct psa_spool_writer *writer, int fd, uint64_t *n,
                         struct psa_error *error)
{
    struct letters letters = { 0 };
    int result = find_letters(m, fd, &letters);

    if (result < 0) result = fail_with(error, PSA_SPOOL_DEAD, "read", result);
    psa_spool_scan_start(&m->scan, m->disk, fd, true, 0);
    for (size_t i = 0; i < letters.n && result == 0; i++) {
        if (m->scan.offset != letters.item[i].offset)
            psa_spool_scan_start(&m->scan, m->disk, fd, true, letters.item[i].offset);
        if (psa_spool_scan_next(&m->scan) == PSA_SPOOL_SCAN_LINE)
            result = give_back(m, writer, &m->scan.record, n, error);
        else result = fail_with(error, PSA_SPOOL_DEAD, "read", m->scan.result < 0 ? m->scan.result : -EIO);
    }
    free(letters.item);
    return result == 0 ? settle(m->disk, writer, error) : result;
}

/* All are given back: what could not be stays, or the file goes. */
static int replace_dead(struct mending *m, struct psa_error *error)
{
    int result;

    if (m->fresh >= 0) {
        result = end_fresh(m, PSA_SPOOL_DEAD);
    } else {
        result = m->disk->unlink(m->disk->ctx, "retry.unlink", PSA_SPOOL_DEAD);
        if (result == 0) result = m->disk->sync_folder(m->disk->ctx, "retry.sync-folder");
    }
    return result < 0 ? fail_with(error, PSA_SPOOL_DEAD, "removed", result) : 0;
}

int psa_spool_retry_dead(const struct psa_disk *disk, struct psa_spool_writer *writer, const struct psa_spool_say *say,
                         uint64_t *n, struct psa_error *error)
{
    struct mending m = { .disk = disk, .say = say, .fresh = -1 };
    int lock = take_lock(disk, PSA_SPOOL_READER_LOCK, error), fd, result;

    *n = 0;
    if (lock < 0) return -1;
    fd = disk->open(disk->ctx, "retry.open", PSA_SPOOL_DEAD, PSA_DISK_READ);
    if (fd == -ENOENT) {
        result = 0;
    } else if (fd < 0) {
        result = fail_with(error, PSA_SPOOL_DEAD, "opened", fd);
    } else {
        result = give_all_back(&m, writer, fd, n, error);
        disk->close(disk->ctx, fd);
        if (result == 0) result = replace_dead(&m, error);
    }
    disk->close(disk->ctx, lock);
    release(&m);
    return result;
}
