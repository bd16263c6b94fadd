/*
 * writer.c - see writer.h.
 *
 * What is guaranteed: a record that was taken is in a segment's file, on the disk, under a name that is on the disk;
 * its number was never given to another record, and no later step of the writer takes it away, except drop_oldest,
 * which says so.
 *
 * Why the order of the steps gives it:
 *
 *  1. Taken is only what was wholly written before a sync of its file that succeeded, followed, when the segment's
 *     entry may be new, by a sync of the folder that succeeded. After a restart every entry may be new: the process
 *     before may have been killed between creating a segment and syncing the folder.
 *  2. After a failed sync nothing is believed about that file's unsynced bytes. Everything untaken is still in memory
 *     and is written again, under the same numbers, into a new file. That file is a segment named by the first
 *     untaken record; when the failed segment has that very name, nothing in it is taken, and the new file is written
 *     beside it (segment.tmp) and renamed over it. So no line that a reader may have seen is ever taken out of its
 *     sight, and no number that it may have seen comes to mean another record.
 *  3. For the same reason a write that was cut short is not cut back: the file is left as it is and the write goes on
 *     where it stopped. The unfinished line is a torn tail to everybody until it is whole. Only recovery cuts a tail,
 *     when nobody is left who could finish it, and it looks at no valid line.
 *  4. A segment is synced before the next one is begun, so a segment's name says that all before it is on the disk.
 *     After a power cut no number is missing that is below a number that is there.
 *  5. A restart builds on nothing that a sync which failed before may have lost: the last segment is copied when it
 *     is short (the copy synced before it takes the name), and otherwise left for a new one.
 *  6. Recovery goes on behind the cursor, behind every valid line of every segment and not before any segment's name: a
 *     number whose record was lost untaken but may have been finished, or seen, is not given again. (A power cut may
 *     lose an untaken record that only a reader that is gone as well has seen; its number may be given again.) Of bytes
 *     that the disk fails to read it takes it that they are as many lines as ever fit into them.
 */
#include "spool/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "spool/scan.h"

enum {
    SEGMENT_MIN = 64 * 1024,        /* below it a segment is mostly the cost of a file */
    SEGMENT_MAX = 16 * 1024 * 1024, /* above it freeing is slow to show, and nothing is gained */
    SEGMENT_PARTS = 8,
    LINE_OVERHEAD = 2 * 21 + 9 + 1, /* SEQ, TAKEN and CRC with their spaces, LF, at most */
    REWRITE_BYTES = 64 * 1024,      /* a segment longer than this is not written anew at a start but left */
    RESERVE_BYTES = 64 * 1024,      /* a cursor, the folder's growth, and file systems that count in large blocks */
    CURSOR_BYTES = 512,             /* longer than any valid cursor */
    TAIL_BYTES = 4096,              /* first look at a segment's end */
    SENTENCE = 256
};

struct segment {
    uint64_t first; /* the number in its name */
    int64_t bytes;
};

struct segments {
    struct segment *at;
    size_t n, cap;
};

/* Lines that are not all taken, in order. 0 <= taken <= mark <= whole <= written <= lines.n */
struct group {
    struct psa_buf lines;
    uint64_t last;  /* number of its last line */
    size_t written; /* bytes in the current segment, */
    size_t whole;   /* of them those that are whole lines for sure, */
    size_t mark;    /* of them those that the sync job under way will make taken, */
    size_t taken;   /* of them those that are */
};

struct psa_spool_writer {
    const struct psa_disk *disk;
    const struct psa_spool_say *say;
    struct psa_spool_limits limits;
    struct psa_spool_totals totals;
    int lock;

    struct segments segments; /* in order; the last is the one written to, if fd >= 0 */
    int64_t held;             /* bytes of all of them */
    int fd;                   /* -1: the next write begins a segment */
    bool entry_new;           /* the folder's entry of the current segment may not be on the disk */
    bool recovered;           /* it may have unsynced lines of a process before this one */
    bool leave;               /* a write to it failed: go on in another file as soon as no job holds it */

    struct group group[2]; /* what a job covers, and what came since */
    bool job;
    int stuck; /* -errno for which nothing could be written; 0: writing goes on */
    uint64_t last_put, last_written, placed, last_taken; /* placed: wholly in the current file, or taken */
};

/* ---- what both ends need ----------------------------------------------------------------------------------------- */

int psa_spool_read_cursor(const struct psa_disk *disk, struct psa_spool_cursor *cursor)
{
    char text[CURSOR_BYTES];
    int fd = disk->open(disk->ctx, "cursor.open", PSA_SPOOL_CURSOR, PSA_DISK_READ);
    int64_t n = 0;
    size_t got = 0;

    *cursor = (struct psa_spool_cursor){ 0 };
    if (fd == -ENOENT) return 1;
    if (fd < 0) return fd;
    while (got < sizeof text && (n = disk->read(disk->ctx, fd, (int64_t)got, text + got, sizeof text - got)) > 0)
        got += (size_t)n;
    disk->close(disk->ctx, fd);
    if (n < 0) return (int)n;
    if (psa_spool_parse_cursor((struct psa_str){ text, got }, cursor)) return 0;
    *cursor = (struct psa_spool_cursor){ 0 };
    return 2;
}

int psa_spool_make_reserve(const struct psa_disk *disk)
{
    int fd = disk->open(disk->ctx, "reserve.make", PSA_SPOOL_RESERVE, PSA_DISK_APPEND), result;

    if (fd < 0) return fd;
    result = disk->reserve(disk->ctx, "reserve.make", fd, RESERVE_BYTES);
    disk->close(disk->ctx, fd);
    /* A reserve without blocks would only pretend. */
    if (result < 0) (void)disk->unlink(disk->ctx, "reserve.make", PSA_SPOOL_RESERVE);
    return result;
}

static bool is_full(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

static void say(const struct psa_spool_writer *w, const char *cause, const char *text)
{
    if (w->say && w->say->say) w->say->say(w->say->ctx, cause, text);
}

/* ---- the list of segments ---------------------------------------------------------------------------------------- */

static bool add_segment(struct segments *segments, uint64_t first, int64_t bytes)
{
    if (!segments->at || segments->n == segments->cap) {
        size_t cap = segments->cap ? segments->cap * 2 : 16;
        struct segment *grown = realloc(segments->at, cap * sizeof *grown);

        if (!grown) return false;
        segments->at = grown;
        segments->cap = cap;
    }
    segments->at[segments->n++] = (struct segment){ first, bytes };
    return true;
}

static int list_segment(void *arg, const char *name, int64_t bytes)
{
    uint64_t first;

    if (!psa_spool_is_segment(name, &first)) return 0;
    return add_segment(arg, first, bytes) ? 0 : -ENOMEM;
}

static int by_first(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

static int list_segments(const struct psa_disk *disk, struct segments *segments)
{
    int result = disk->list(disk->ctx, list_segment, segments);

    if (segments->n) qsort(segments->at, segments->n, sizeof *segments->at, by_first);
    return result;
}

static struct segment *current(struct psa_spool_writer *w)
{
    return w->segments.n ? &w->segments.at[w->segments.n - 1] : NULL;
}

static void count_held(struct psa_spool_writer *w)
{
    w->held = 0;
    for (size_t i = 0; i < w->segments.n; i++) w->held += w->segments.at[i].bytes;
}

void psa_spool_writer_look(struct psa_spool_writer *w)
{
    struct segments there = { 0 };
    const struct segment *own = current(w);
    size_t kept = 0;

    if (!own || list_segments(w->disk, &there) < 0) {
        free(there.at);
        return;
    }
    /* Of the current one the writer knows better. A segment behind it is none of ours. */
    while (kept < there.n && there.at[kept].first < own->first) kept++;
    there.n = kept;
    if (add_segment(&there, own->first, own->bytes)) {
        free(w->segments.at);
        w->segments = there;
        count_held(w);
    } else {
        free(there.at);
    }
}

/* Write n bytes: 0, or -errno with *written saying how far it came. */
static int write_bytes(struct psa_spool_writer *w, int fd, const char *p, size_t n, size_t *written)
{
    for (*written = 0; *written < n;) {
        int64_t some = w->disk->write(w->disk->ctx, "segment.write", fd, p + *written, n - *written);

        if (some <= 0) return some < 0 ? (int)some : -EIO;
        w->totals.writes++;
        w->totals.bytes += (uint64_t)some;
        *written += (size_t)some;
    }
    return 0;
}

/* ---- recovery ---------------------------------------------------------------------------------------------------- */

/* As many numbers further, as far as there are any. */
static uint64_t add_numbers(uint64_t seq, uint64_t n)
{
    return PSA_SPOOL_SEQ_MAX - seq < n ? PSA_SPOOL_SEQ_MAX : seq + n;
}

/* The number of the last valid line among these bytes, which end where a file ends, and how many bytes are behind it;
 * 0: there is none. The first line is passed over unless the bytes begin where the file does. */
static uint64_t last_number(const char *bytes, size_t n, bool whole, int64_t *behind)
{
    struct psa_spool_record record;
    size_t end = n;

    while (end > 0) {
        const char *lf = memrchr(bytes, '\n', end), *before;
        size_t begin;

        if (!lf) return 0;
        end = (size_t)(lf - bytes);
        before = end ? memrchr(bytes, '\n', end) : NULL;
        if (!before && !whole) return 0;
        begin = before ? (size_t)(before - bytes) + 1 : 0;
        *behind = (int64_t)(n - end - 1);
        if (psa_spool_parse_line((struct psa_str){ bytes + begin, end - begin }, false, &record)) return record.seq;
        end = begin;
    }
    return 0;
}

/* The same of a whole segment. Only the segment behind may be begun before what stands at its end was taken, so its
 * end is all there is to look at; more of it when the end is damaged. 0 or -errno. */
static int end_of_segment(const struct psa_disk *disk, const struct segment *segment, uint64_t *last, int64_t *behind)
{
    char name[PSA_SPOOL_NAME_MAX];
    struct psa_buf bytes = { 0 };
    int64_t size, n = 0;
    int fd;

    psa_spool_segment_name(segment->first, name);
    fd = disk->open(disk->ctx, "segment.open", name, PSA_DISK_READ);
    if (fd == -ENOENT) return 0; /* the reader was done with it */
    if (fd < 0) return fd;
    size = disk->size(disk->ctx, fd);
    *last = 0;
    for (int64_t look = TAIL_BYTES; size > 0 && n >= 0 && !*last; look *= 8) {
        int64_t from = look < size ? size - look : 0;
        char *place;

        bytes.n = 0;
        place = psa_buf_room(&bytes, (size_t)(size - from));
        if (!place) n = -ENOMEM;
        while (n >= 0 && (int64_t)bytes.n < size - from) {
            n = disk->read(disk->ctx, fd, from + (int64_t)bytes.n, place + bytes.n, (size_t)(size - from) - bytes.n);
            if (n == 0) break;
            if (n > 0) bytes.n += (size_t)n;
        }
        if (n >= 0) *last = last_number(place, bytes.n, from == 0, behind);
        if (from == 0) break;
    }
    psa_buf_free(&bytes);
    disk->close(disk->ctx, fd);
    return n < 0 ? (int)n : size < 0 ? (int)size : 0;
}

/* The number of the last valid line in front of what cannot be read, and how many bytes are behind it. */
static uint64_t front_of_segment(const struct psa_disk *disk, const struct segment *segment, int64_t *behind)
{
    struct psa_spool_scan scan = { 0 };
    enum psa_spool_scan_kind kind;
    char name[PSA_SPOOL_NAME_MAX];
    uint64_t last = 0;
    int fd;

    *behind = segment->bytes;
    psa_spool_segment_name(segment->first, name);
    fd = disk->open(disk->ctx, "segment.open", name, PSA_DISK_READ);
    if (fd < 0) return 0;
    psa_spool_scan_start(&scan, disk, fd, false, 0);
    while ((kind = psa_spool_scan_next(&scan)) == PSA_SPOOL_SCAN_LINE || kind == PSA_SPOOL_SCAN_DAMAGE)
        if (kind == PSA_SPOOL_SCAN_LINE && scan.record.seq > last) last = scan.record.seq;
    *behind -= scan.at < segment->bytes ? scan.at : segment->bytes;
    psa_spool_scan_free(&scan);
    disk->close(disk->ctx, fd);
    return last;
}

/* The disk fails to read the segment: move *next behind every number that may be in it. Where its end can be read
 * that is the last line; otherwise, behind what can be read, as many of the shortest lines as fit, numbered from
 * there or from *next on. */
static void pass_unreadable(struct psa_spool_writer *w, const struct segment *segment, int failed, uint64_t *next)
{
    char name[PSA_SPOOL_NAME_MAX], text[SENTENCE];
    uint64_t last = 0;
    int64_t behind = 0;

    if (end_of_segment(w->disk, segment, &last, &behind) < 0 || last == 0)
        last = front_of_segment(w->disk, segment, &behind);
    if (last < segment->first - 1) last = segment->first - 1;
    if (last > *next) *next = last;
    *next = add_numbers(*next, (uint64_t)behind / PSA_SPOOL_LINE_MIN);
    psa_spool_segment_name(segment->first, name);
    snprintf(text, sizeof text, "cannot read %s: %s; it is left as it is, and the next number is %" PRIu64 " or higher",
             name, strerror(-failed), *next + 1);
    say(w, "damaged", text);
}

/* How many whole lines, valid or not, stand in these bytes of the file; or -errno. */
static int64_t count_lines(const struct psa_disk *disk, int fd, int64_t offset, int64_t bytes)
{
    char block[4096];
    int64_t lines = 0;

    while (bytes > 0) {
        size_t want = bytes < (int64_t)sizeof block ? (size_t)bytes : sizeof block;
        int64_t n = disk->read(disk->ctx, fd, offset, block, want);

        if (n < 0) return n;
        if (n == 0) break;
        for (int64_t i = 0; i < n; i++) lines += block[i] == '\n';
        offset += n;
        bytes -= n;
    }
    return lines;
}

/* Cut the tail. Whole lines in it are no unfinished append but damage to records that may have been taken: they are set
 * aside, and *last, the number of the last line, is moved behind as many numbers. false: the segment must be left. */
static bool cut_tail(struct psa_spool_writer *w, const struct psa_spool_scan *tail, uint64_t *last)
{
    struct segment *segment = current(w);
    int64_t lines = count_lines(w->disk, w->fd, tail->at, tail->bytes);
    char name[PSA_SPOOL_NAME_MAX], text[SENTENCE];
    int failed = lines < 0 ? (int)lines : 0;

    psa_spool_segment_name(segment->first, name);
    if (lines < 0) *last = add_numbers(*last, (uint64_t)tail->bytes / PSA_SPOOL_LINE_MIN);
    if (lines > 0) {
        *last = add_numbers(*last, (uint64_t)lines);
        failed = psa_spool_set_aside(w->disk, name, w->fd, tail->at, tail->bytes);
        snprintf(text, sizeof text, "%" PRId64 " damaged lines at the end of %s; %s", lines, name,
                 failed < 0 ? "cannot set them aside, left where they are" : "set aside");
        say(w, "damaged", text);
    }
    if (!failed) failed = w->disk->truncate(w->disk->ctx, "segment.cut", w->fd, tail->at);
    if (failed < 0) return false;
    w->totals.cut_bytes += (uint64_t)tail->bytes;
    segment->bytes = tail->at;
    return true;
}

/* Put a synced copy of the current segment in its place. false: it could not be done, and nothing has changed. */
static bool rewrite_segment(struct psa_spool_writer *w)
{
    const struct psa_disk *disk = w->disk;
    int fd = disk->open(disk->ctx, "segment.create", PSA_SPOOL_SEGMENT_TMP, PSA_DISK_FRESH), failed = 0;
    char name[PSA_SPOOL_NAME_MAX], block[4096];
    int64_t done = 0, n = 0;
    size_t written;

    if (fd < 0) return false;
    while (!failed && (n = disk->read(disk->ctx, w->fd, done, block, sizeof block)) > 0) {
        failed = write_bytes(w, fd, block, (size_t)n, &written);
        done += n;
    }
    if (n < 0 || done != current(w)->bytes) failed = -EIO;
    if (!failed) failed = disk->sync(disk->ctx, "segment.sync", fd);
    w->totals.syncs++;
    psa_spool_segment_name(current(w)->first, name);
    if (failed >= 0) failed = disk->rename(disk->ctx, "segment.replace", PSA_SPOOL_SEGMENT_TMP, name);
    if (failed < 0) {
        disk->close(disk->ctx, fd);
        (void)disk->unlink(disk->ctx, "segment.tidy", PSA_SPOOL_SEGMENT_TMP);
        return false;
    }
    disk->close(disk->ctx, w->fd);
    w->fd = fd;
    return true;
}

/* Open the last segment and go through it: *last becomes the number behind which to go on. *good: it can be gone on
 * with. 0 or -errno; then w->fd may be open or not. */
static int recover_segment(struct psa_spool_writer *w, uint64_t *last, bool *good)
{
    struct psa_spool_scan scan = { 0 };
    enum psa_spool_scan_kind kind;
    char name[PSA_SPOOL_NAME_MAX];
    int64_t bytes;

    *good = false;
    *last = current(w)->first - 1;
    psa_spool_segment_name(current(w)->first, name);
    w->fd = w->disk->open(w->disk->ctx, "segment.open", name, PSA_DISK_APPEND);
    if (w->fd < 0) return w->fd;
    *good = true;
    psa_spool_scan_start(&scan, w->disk, w->fd, false, 0);
    while ((kind = psa_spool_scan_next(&scan)) == PSA_SPOOL_SCAN_LINE || kind == PSA_SPOOL_SCAN_DAMAGE) {
        if (kind == PSA_SPOOL_SCAN_LINE && scan.record.seq > *last) *last = scan.record.seq;
        if (kind == PSA_SPOOL_SCAN_DAMAGE) *good = false; /* where the damage is it stays, for the reader */
    }
    psa_spool_scan_free(&scan);
    if (kind == PSA_SPOOL_SCAN_FAILED) {
        *good = false;
        return scan.result;
    }
    current(w)->bytes = scan.at + scan.bytes;
    if (kind == PSA_SPOOL_SCAN_TAIL) *good &= cut_tail(w, &scan, last);
    bytes = current(w)->bytes;
    /* A sync of it may have failed in the process before, and its pages count as clean: to append would be to build on
     * bytes that are not on the disk. A short one is copied, so that many starts do not make many segments. */
    if (bytes > REWRITE_BYTES || bytes >= w->limits.segment_size) *good = false;
    if (*good && bytes > 0) *good = rewrite_segment(w);
    return 0;
}

/* Go on in a new segment: nothing is to be written behind what stands in the last one. */
static void go_on_behind(struct psa_spool_writer *w, uint64_t *next)
{
    if (w->fd >= 0) {
        struct psa_spool_sync last_one = { .fd = w->fd, .folder = true };

        /* Whether that works or not, there is nothing better to do. */
        psa_spool_sync_run(w->disk, &last_one);
        w->disk->close(w->disk->ctx, w->fd);
    }
    w->fd = -1;
    w->recovered = false;
    /* The next segment must have a name of its own. */
    if (current(w)->first > *next) *next = current(w)->first;
}

static int recover(struct psa_spool_writer *w)
{
    struct psa_spool_cursor cursor;
    int result = psa_spool_read_cursor(w->disk, &cursor);
    uint64_t next = cursor.done, last = 0;
    int64_t behind;
    bool good = false;

    if (result >= 0) result = list_segments(w->disk, &w->segments);
    for (size_t i = 0; result >= 0 && i < w->segments.n; i++) {
        const struct segment *segment = &w->segments.at[i];
        bool newest = i + 1 == w->segments.n;

        result = newest ? recover_segment(w, &last, &good) : end_of_segment(w->disk, segment, &last, &behind);
        /* Without a line in it a name that is too low would say nothing true. */
        if (good && segment->bytes == 0 && segment->first <= next) good = false;
        if (last > next) next = last;
        if (!psa_spool_is_unreadable(result)) continue;
        pass_unreadable(w, segment, result, &next);
        result = 0;
    }
    if (result >= 0 && w->segments.n) {
        w->recovered = w->entry_new = true;
        if (!good) go_on_behind(w, &next);
    }
    count_held(w);
    w->last_put = w->last_written = w->placed = w->last_taken = next;
    return result < 0 ? result : 0;
}

int64_t psa_spool_segment_size(int64_t max_size)
{
    int64_t size = max_size / SEGMENT_PARTS;

    return size < SEGMENT_MIN ? SEGMENT_MIN : size > SEGMENT_MAX ? SEGMENT_MAX : size;
}

int psa_spool_writer_open(struct psa_spool_writer **writer, const struct psa_disk *disk,
                          const struct psa_spool_limits *limits, const struct psa_spool_say *to,
                          struct psa_error *error)
{
    struct psa_spool_writer *w = calloc(1, sizeof *w);
    int64_t holder = 0;
    int result;

    *writer = NULL;
    if (!w) return psa_fail_memory(error, "opening the spool");
    *w = (struct psa_spool_writer){ .disk = disk, .say = to, .limits = *limits, .fd = -1 };
    w->lock = disk->lock(disk->ctx, PSA_SPOOL_WRITER_LOCK, &holder);
    if (w->lock < 0) {
        result = w->lock;
        free(w);
        if (result != -EWOULDBLOCK)
            return psa_fail(error, PSA_EXIT_RUNTIME, "cannot lock the spool: %s", strerror(-result));
        return psa_fail(error, PSA_EXIT_RUNTIME, "the spool is being written to by process %" PRId64, holder);
    }
    (void)disk->unlink(disk->ctx, "segment.tidy", PSA_SPOOL_SEGMENT_TMP);
    result = recover(w);
    if (result < 0) {
        psa_spool_writer_close(w);
        return psa_fail(error, PSA_EXIT_RUNTIME, "cannot recover the spool: %s", strerror(-result));
    }
    (void)psa_spool_make_reserve(disk);
    *writer = w;
    return 0;
}

void psa_spool_writer_close(struct psa_spool_writer *w)
{
    if (!w) return;
    if (w->fd >= 0) w->disk->close(w->disk->ctx, w->fd);
    w->disk->close(w->disk->ctx, w->lock);
    for (int i = 0; i < 2; i++) psa_buf_free(&w->group[i].lines);
    free(w->segments.at);
    free(w);
}

/* ---- beginning and leaving segments ------------------------------------------------------------------------------ */

/* Close the current file; what is not taken has to be written to another one. No job may hold it. */
static void leave_segment(struct psa_spool_writer *w)
{
    if (w->fd >= 0) w->disk->close(w->disk->ctx, w->fd);
    w->fd = -1;
    w->leave = w->recovered = false;
    for (int i = 0; i < 2; i++) w->group[i].written = w->group[i].whole = w->group[i].mark = w->group[i].taken;
    w->placed = w->last_taken;
}

static void take_marked(struct psa_spool_writer *w, uint64_t through)
{
    for (int i = 0; i < 2; i++) {
        struct group *group = &w->group[i];

        group->taken = group->mark;
        if (group->taken < group->lines.n) continue;
        group->lines.n = group->taken = group->mark = group->whole = group->written = 0;
    }
    w->totals.taken += through - w->last_taken;
    w->last_taken = through;
    w->entry_new = w->recovered = false;
}

static void mark_whole(struct psa_spool_writer *w)
{
    for (int i = 0; i < 2; i++) w->group[i].mark = w->group[i].whole;
}

static void sync_failed(struct psa_spool_writer *w, int failed)
{
    char name[PSA_SPOOL_NAME_MAX], text[SENTENCE];

    w->totals.sync_errors++;
    psa_spool_segment_name(current(w)->first, name);
    snprintf(text, sizeof text, "cannot sync %s: %s; going on in a new segment", name, strerror(-failed));
    say(w, "sync", text);
    leave_segment(w);
}

/* Write all that is untaken into a new file and put it in the place of the current segment, in which nothing is
 * taken. */
static int replace_segment(struct psa_spool_writer *w)
{
    struct segment *segment = current(w);
    char name[PSA_SPOOL_NAME_MAX];
    int64_t bytes = 0;
    int fd = w->disk->open(w->disk->ctx, "segment.create", PSA_SPOOL_SEGMENT_TMP, PSA_DISK_FRESH), failed = 0;

    if (fd < 0) return fd;
    psa_spool_segment_name(segment->first, name);
    for (int i = 0; i < 2 && !failed; i++) {
        const struct group *group = &w->group[i];
        size_t written = 0, rest = group->lines.n - group->taken;

        if (rest) failed = write_bytes(w, fd, group->lines.p + group->taken, rest, &written);
        bytes += (int64_t)written;
    }
    if (!failed) failed = w->disk->rename(w->disk->ctx, "segment.replace", PSA_SPOOL_SEGMENT_TMP, name);
    if (failed < 0) {
        w->disk->close(w->disk->ctx, fd);
        (void)w->disk->unlink(w->disk->ctx, "segment.tidy", PSA_SPOOL_SEGMENT_TMP);
        return failed;
    }
    w->fd = fd;
    w->entry_new = true;
    w->held += bytes - segment->bytes;
    segment->bytes = bytes;
    for (int i = 0; i < 2; i++) w->group[i].written = w->group[i].whole = w->group[i].lines.n;
    w->placed = w->last_put;
    if (w->last_written < w->placed) w->last_written = w->placed;
    return 0;
}

/* Begin the segment of the first untaken record. No line of it is in the current one, or none that is taken. */
static int begin_segment(struct psa_spool_writer *w)
{
    const struct psa_disk *disk = w->disk;
    uint64_t first = w->last_taken + 1;
    char name[PSA_SPOOL_NAME_MAX], aside[PSA_SPOOL_NAME_MAX + 16], text[SENTENCE];
    int fd;

    if (current(w) && current(w)->first == first) return replace_segment(w);
    if (!add_segment(&w->segments, first, 0)) return -ENOMEM;
    psa_spool_segment_name(first, name);
    fd = disk->open(disk->ctx, "segment.create", name, PSA_DISK_NEW);
    if (fd == -EEXIST) {
        /* Nobody but the writer makes segments, and it knew of all there were when it began. */
        snprintf(aside, sizeof aside, "%s-0.damaged", name);
        snprintf(text, sizeof text, "%s is there already and nobody knows why; renamed to %s", name, aside);
        say(w, "damaged", text);
        if (disk->rename(disk->ctx, "segment.aside", name, aside) == 0)
            fd = disk->open(disk->ctx, "segment.create", name, PSA_DISK_NEW);
    }
    if (fd < 0) {
        w->segments.n--;
        return fd;
    }
    w->fd = fd;
    w->entry_new = true;
    return 0;
}

/* Sync the current segment and leave it; what is not written goes to the next one. No job may hold it. */
static void end_segment(struct psa_spool_writer *w)
{
    int failed = 0;

    if (w->placed > w->last_taken || w->recovered) {
        struct psa_spool_sync job = { .fd = w->fd, .folder = w->entry_new, .through = w->placed };

        psa_spool_sync_run(w->disk, &job);
        w->totals.syncs += (uint64_t)job.syncs;
        failed = job.result;
        mark_whole(w);
        if (!failed) take_marked(w, job.through);
    }
    if (failed) sync_failed(w, failed);
    else leave_segment(w);
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

/* Remove the oldest segment: not the newest. */
static bool drop_oldest(struct psa_spool_writer *w)
{
    struct segment *oldest = w->segments.at;
    char name[PSA_SPOOL_NAME_MAX], text[SENTENCE];
    struct psa_spool_cursor cursor;
    uint64_t from, lost;
    int failed;

    if (w->segments.n < 2) return false;
    (void)psa_spool_read_cursor(w->disk, &cursor);
    from = oldest->first > cursor.done ? oldest->first : cursor.done + 1;
    lost = oldest[1].first > from ? oldest[1].first - from : 0;
    psa_spool_segment_name(oldest->first, name);
    failed = w->disk->unlink(w->disk->ctx, "segment.drop", name);
    if (failed < 0 && failed != -ENOENT) return false;
    w->held -= oldest->bytes;
    w->totals.dropped += lost;
    w->totals.dropped_segments++;
    memmove(oldest, oldest + 1, --w->segments.n * sizeof *oldest);
    snprintf(text, sizeof text, "the spool is full: dropped %s with %" PRIu64 " records not finished", name, lost);
    say(w, "dropped", text);
    return true;
}

/* The newest segment always stays. When it is the only one, nothing can be freed until another is begun. */
static bool give_way(struct psa_spool_writer *w)
{
    if (w->job || w->leave || w->segments.n != 1) return false;
    /* None is written to: it was left, at a start for one, and without this would stay the newest for ever. */
    if (w->fd >= 0 && w->placed >= current(w)->first) end_segment(w);
    return w->fd < 0 && w->last_taken >= current(w)->first && begin_segment(w) == 0;
}

static int64_t unwritten(const struct psa_spool_writer *w)
{
    int64_t bytes = 0;

    for (int i = 0; i < 2; i++) bytes += (int64_t)(w->group[i].lines.n - w->group[i].written);
    return bytes;
}

static bool fits(const struct psa_spool_writer *w, int64_t bytes)
{
    return w->held + unwritten(w) + bytes <= w->limits.max_size;
}

static bool make_room(struct psa_spool_writer *w, int64_t bytes)
{
    if (fits(w, bytes)) return true;
    if (!w->limits.drop_oldest) {
        (void)give_way(w);
        return false;
    }
    psa_spool_writer_look(w); /* the reader may have freed some */
    while (!fits(w, bytes)) {
        (void)give_way(w);
        if (!drop_oldest(w)) return false;
    }
    return true;
}

/* The disk is full. true: something was done about it, trying again makes sense. */
static bool free_space(struct psa_spool_writer *w)
{
    if (w->limits.drop_oldest) {
        psa_spool_writer_look(w);
        return give_way(w) || drop_oldest(w);
    }
    (void)give_way(w);
    return false;
}

/* ---- put, write, sync -------------------------------------------------------------------------------------------- */

enum psa_spool_put psa_spool_put(struct psa_spool_writer *w, struct psa_str text, int64_t taken_ms, uint64_t *seq)
{
    struct psa_spool_record record = { .seq = w->last_put + 1, .taken_ms = taken_ms, .text = text };
    struct group *group = &w->group[1];
    size_t n;

    if (text.n > (uint64_t)w->limits.max_size / PSA_SPOOL_LINE_PART || text.n > PSA_SPOOL_TEXT_MAX)
        return PSA_SPOOL_TOO_LONG;
    if (w->stuck) return PSA_SPOOL_FULL;
    if (w->last_put >= PSA_SPOOL_SEQ_MAX) return PSA_SPOOL_FAILED; /* only a forged cursor or name gets here */
    if (!make_room(w, (int64_t)text.n + LINE_OVERHEAD)) return PSA_SPOOL_FULL;
    n = group->lines.n; /* making room may have had records taken */
    psa_spool_format_line(&group->lines, &record);
    if (group->lines.failed) {
        group->lines.failed = false;
        group->lines.n = n;
        return PSA_SPOOL_FAILED;
    }
    group->last = w->last_put = record.seq;
    w->totals.put++;
    if (seq) *seq = record.seq;
    return PSA_SPOOL_PUT;
}

/* A write was cut short. What is whole of it is in the file all the same, and the reader sees it: it may be synced, and the
 * segment may make way for another. */
static void count_whole_lines(struct psa_spool_writer *w, struct group *group)
{
    const char *p = group->lines.p, *lf = memrchr(p, '\n', group->written), *end = p + group->lines.n;
    size_t whole = lf ? (size_t)(lf - p) + 1 : 0;
    uint64_t behind = 0;

    if (whole <= group->whole) return;
    for (const char *at = p + whole; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) behind++;
    group->whole = whole;
    w->placed = group->last - behind;
    if (w->last_written < w->placed) w->last_written = w->placed;
}

/* One attempt at writing everything: 0 or -errno. */
static int write_all(struct psa_spool_writer *w)
{
    if (w->leave) {
        if (w->job) return -EBUSY;
        end_segment(w);
    }
    if (w->fd >= 0 && !w->job && current(w)->bytes >= w->limits.segment_size) end_segment(w);
    if (w->fd < 0) {
        int failed = begin_segment(w);

        if (failed) return failed;
    }
    for (int i = 0; i < 2; i++) {
        struct group *group = &w->group[i];
        size_t written;
        int failed;

        if (group->written == group->lines.n) continue;
        failed = write_bytes(w, w->fd, group->lines.p + group->written, group->lines.n - group->written, &written);
        group->written += written;
        current(w)->bytes += (int64_t)written;
        w->held += (int64_t)written;
        if (failed) {
            count_whole_lines(w, group);
            return failed;
        }
        group->whole = group->written;
        w->placed = group->last;
        if (w->last_written < w->placed) w->last_written = w->placed;
    }
    return 0;
}

int psa_spool_write(struct psa_spool_writer *w)
{
    bool tried = false;
    char text[SENTENCE];
    int failed;

    if (unwritten(w) == 0) {
        w->stuck = 0;
        return 0;
    }
    while ((failed = write_all(w)) != 0) {
        if (is_full(failed)) {
            if (free_space(w)) continue;
            break;
        }
        if (failed == -EBUSY && w->job) return 1; /* the job holds the file that has to be left; it was said why */
        /* A file that failed once is not trusted again; another one is tried, once. */
        w->leave = true;
        if (w->job || tried) break;
        tried = true;
    }
    if (failed && failed != w->stuck) {
        snprintf(text, sizeof text, "cannot write to the spool: %s; nothing more is taken until it works",
                 strerror(-failed));
        say(w, is_full(failed) ? "full" : "write", text);
    }
    w->stuck = failed;
    return failed ? 1 : 0;
}

bool psa_spool_sync_begin(struct psa_spool_writer *w, struct psa_spool_sync *job)
{
    if (w->job) return false;
    (void)psa_spool_write(w);
    if (w->fd < 0 || w->leave || w->placed <= w->last_taken) return false;
    if (w->group[0].lines.n == 0) {
        struct group empty = w->group[0];

        w->group[0] = w->group[1];
        w->group[1] = empty;
    }
    mark_whole(w);
    *job = (struct psa_spool_sync){ .fd = w->fd, .folder = w->entry_new, .through = w->placed };
    w->job = true;
    return true;
}

void psa_spool_sync_run(const struct psa_disk *disk, struct psa_spool_sync *job)
{
    job->result = disk->sync(disk->ctx, "segment.sync", job->fd);
    job->syncs = 1;
    if (job->result == 0 && job->folder) {
        job->result = disk->sync_folder(disk->ctx, "folder.sync");
        job->syncs++;
    }
    if (job->result > 0) job->result = 0;
}

void psa_spool_sync_end(struct psa_spool_writer *w, const struct psa_spool_sync *job)
{
    w->job = false;
    w->totals.syncs += (uint64_t)job->syncs;
    if (job->result == 0) {
        take_marked(w, job->through);
        return;
    }
    sync_failed(w, job->result);
    (void)psa_spool_write(w);
}

/* ---- how far it is ----------------------------------------------------------------------------------------------- */

uint64_t psa_spool_last_put(const struct psa_spool_writer *w)
{
    return w->last_put;
}

uint64_t psa_spool_last_written(const struct psa_spool_writer *w)
{
    return w->last_written;
}

uint64_t psa_spool_last_taken(const struct psa_spool_writer *w)
{
    return w->last_taken;
}

size_t psa_spool_untaken_bytes(const struct psa_spool_writer *w)
{
    size_t bytes = 0;

    for (int i = 0; i < 2; i++) bytes += w->group[i].lines.n - w->group[i].taken;
    return bytes;
}

struct psa_spool_totals psa_spool_writer_totals(const struct psa_spool_writer *w)
{
    return w->totals;
}
