/*
 * reader.c - see reader.h.
 *
 * A pass begins at the oldest segment there is, since what is finished is unlinked, and goes through the segments in
 * the order of their names; finished records are passed over. That needs no knowledge of which segment holds which
 * numbers, and it finds records that stand in two segments wherever they survived.
 *
 * What was read to its end and is finished stays so over a rewind: the next pass begins behind it. So a commit that
 * comes after a rewind still unlinks it.
 *
 * A segment is complete when a later one exists: the writer appends to its newest only. So the end of a segment is
 * looked at once more after a later one was seen, and only then left. A listing may show a new segment and not the
 * one made just before it; where a number would be missing, a second listing decides.
 *
 * The totals in the cursor belong to the records up to `done`. What is passed over beyond it (numbers missing, damage,
 * expired records) is kept as a loss with the numbers it belongs to, and moves into the totals when `done` comes past
 * it. A later pass over the same records adds only what was no loss before; a restart finds what is beyond `done`
 * again. Thus nothing is counted twice.
 */
#include "spool/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "spool/scan.h"

enum {
    DAMAGED_MAX = 1000, /* files of damage: more help nobody, and would fill a folder */
    BLOCK_BYTES = 4096,
    LOSSES_A_STEP = 3, /* a line can bring damage, missing numbers and an expired record to light, */
    SENTENCE = 256
};

enum loss_kind { LOSS_MISSING, LOSS_DAMAGED, LOSS_EXPIRED };

/* Numbers from..to are missing or expired; or a stretch of damage that is past when `to` is finished. */
struct loss {
    enum loss_kind kind;
    uint64_t from, to;
};

/* A segment read to its end, all of it past when `last` is finished. */
struct passed {
    uint64_t first, last;
};

/* Behind the last line of a segment up to which a pass saw finished records only: where the next pass may begin. */
struct pin {
    uint64_t segment, before, in_segment;
    int64_t offset;
};

struct psa_spool_reader {
    const struct psa_disk *disk;
    const struct psa_spool_say *say;
    int64_t max_age_ms;
    struct psa_spool_totals totals;
    int lock;

    struct psa_spool_cursor cursor, stored; /* now, and as it is on the disk */
    bool known;                             /* cursor.done is; otherwise the oldest segment will tell */
    bool changed;                           /* the file has to be written though the two are the same */
    bool safe;                              /* a cursor with stored.done, or a later one, is on the disk for sure */
    bool reserve_given, dead_entry_safe;

    int fd;           /* of the segment being read, or -1 */
    uint64_t segment; /* its first number, */
    uint64_t from;    /* or: the next one to open is the first from this number on; 0 begins a pass */
    bool complete;    /* a later segment has been seen */
    struct psa_spool_scan scan;
    uint64_t before;     /* number of the last valid line of this pass, counting or not, */
    uint64_t in_segment; /* and of the current segment */
    uint64_t looked;     /* the last number handed out or passed over; at least cursor.done */
    uint64_t looked_ever;
    int64_t damage_at, damage_bytes;   /* found in front of the next line; damage_bytes 0: none */
    int64_t doubted_at, doubted_bytes; /* damage seen once: the writer may have been at work in it */
    uint64_t damaged_segment;          /* the last damage that was counted: this segment, */
    int64_t damaged_end;               /* up to here */
    struct pin pin;

    struct loss *loss;
    size_t n_loss, cap_loss;
    struct passed *passed;
    size_t n_passed, cap_passed;
    struct psa_buf line; /* of the cursor and of dead letters */
};

static void say(const struct psa_spool_reader *r, const char *cause, const char *text)
{
    if (r->say && r->say->say) r->say->say(r->say->ctx, cause, text);
}

static bool is_full(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

int psa_spool_reader_open(struct psa_spool_reader **reader, const struct psa_disk *disk, int64_t max_age_ms,
                          const struct psa_spool_say *to, struct psa_error *error)
{
    struct psa_spool_reader *r = calloc(1, sizeof *r);
    int64_t holder = 0;
    int result;

    *reader = NULL;
    if (!r) return psa_fail_memory(error, "opening the spool");
    *r = (struct psa_spool_reader){ .disk = disk, .say = to, .max_age_ms = max_age_ms, .fd = -1 };
    r->lock = disk->lock(disk->ctx, PSA_SPOOL_READER_LOCK, &holder);
    if (r->lock < 0) {
        result = r->lock;
        free(r);
        if (result != -EWOULDBLOCK)
            return psa_fail(error, PSA_EXIT_RUNTIME, "cannot lock the spool: %s", strerror(-result));
        return psa_fail(error, PSA_EXIT_RUNTIME, "the spool is being read by process %" PRId64, holder);
    }
    result = psa_spool_read_cursor(disk, &r->stored);
    if (result < 0) {
        psa_spool_reader_close(r);
        return psa_fail(error, PSA_EXIT_RUNTIME, "cannot read the cursor: %s", strerror(-result));
    }
    if (result == 2) say(r, "cursor", "the cursor is damaged; beginning at the oldest record there is");
    r->cursor = r->stored;
    r->known = result == 0;
    /* What is read may be of a process that was killed before it synced the folder: the first commit writes it anew. */
    r->changed = result != 1;
    r->looked = r->looked_ever = r->cursor.done;
    *reader = r;
    return 0;
}

static void close_segment(struct psa_spool_reader *r, uint64_t from)
{
    if (r->fd >= 0) r->disk->close(r->disk->ctx, r->fd);
    r->fd = -1;
    r->from = from;
    r->complete = false;
    r->damage_bytes = r->doubted_bytes = 0;
}

void psa_spool_reader_close(struct psa_spool_reader *r)
{
    if (!r) return;
    close_segment(r, 0);
    r->disk->close(r->disk->ctx, r->lock);
    psa_spool_scan_free(&r->scan);
    psa_buf_free(&r->line);
    free(r->loss);
    free(r->passed);
    free(r);
}

void psa_spool_rewind(struct psa_spool_reader *r)
{
    const struct pin *pin = &r->pin;
    size_t kept = 0;

    r->looked = r->cursor.done;
    if (r->fd < 0 || r->segment != pin->segment || !r->disk->linked(r->disk->ctx, r->fd)) {
        while (kept < r->n_passed && r->passed[kept].last <= r->cursor.done) kept++;
        r->n_passed = kept;
        close_segment(r, kept ? r->passed[kept - 1].first + 1 : 0);
        if (kept) r->before = r->passed[kept - 1].last;
        return;
    }
    r->before = pin->before;
    r->in_segment = pin->in_segment;
    r->complete = false;
    r->damage_bytes = r->doubted_bytes = 0;
    psa_spool_scan_start(&r->scan, r->disk, r->fd, false, pin->offset);
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

/* Room for what one line can bring: of missing numbers there may be as many pieces as there are losses between them. */
static bool room_for_losses(struct psa_spool_reader *r)
{
    size_t need = 2 * r->n_loss + LOSSES_A_STEP;
    struct loss *grown;

    if (r->cap_loss >= need) return true;
    grown = realloc(r->loss, 2 * need * sizeof *grown);
    if (!grown) return false;
    r->loss = grown;
    r->cap_loss = 2 * need;
    return true;
}

static void add_loss(struct psa_spool_reader *r, enum loss_kind kind, uint64_t from, uint64_t to)
{
    if (r->n_loss > 0 && kind != LOSS_DAMAGED) {
        struct loss *last = &r->loss[r->n_loss - 1];

        if (last->kind == kind && last->to + 1 == from) {
            last->to = to;
            return;
        }
    }
    r->loss[r->n_loss++] = (struct loss){ kind, from, to };
}

/* The same for numbers that may be lost already, for this or the other reason. */
static void add_numbers(struct psa_spool_reader *r, enum loss_kind kind, uint64_t from, uint64_t to)
{
    size_t n = from > r->looked_ever ? 0 : r->n_loss;

    while (from <= to) {
        uint64_t end = to, skip = 0;

        for (size_t i = 0; i < n && !skip; i++) {
            if (r->loss[i].kind == LOSS_DAMAGED) continue;
            if (r->loss[i].from <= from && r->loss[i].to >= from) skip = r->loss[i].to;
            else if (r->loss[i].from > from && r->loss[i].from <= end) end = r->loss[i].from - 1;
        }
        if (!skip) add_loss(r, kind, from, end);
        from = (skip ? skip : end) + 1;
    }
}

/* Move what is finished into the totals. */
static void count_losses(struct psa_spool_reader *r)
{
    uint64_t done = r->cursor.done;
    size_t kept = 0;

    for (size_t i = 0; i < r->n_loss; i++) {
        struct loss loss = r->loss[i];
        uint64_t to = loss.to < done ? loss.to : done;

        if (loss.kind == LOSS_DAMAGED) r->cursor.damaged += loss.to <= done;
        else if (loss.from <= to && loss.kind == LOSS_MISSING) r->cursor.missing += to - loss.from + 1;
        else if (loss.from <= to) r->cursor.expired += to - loss.from + 1;
        if (loss.to <= done) continue;
        if (loss.kind != LOSS_DAMAGED && loss.from <= done) loss.from = done + 1;
        r->loss[kept++] = loss;
    }
    r->n_loss = kept;
}

static int count_damaged(void *arg, const char *name, int64_t bytes)
{
    static const char end[] = ".damaged";
    size_t n = strlen(name);

    (void)bytes;
    if (n >= sizeof end && !strcmp(name + n - (sizeof end - 1), end)) ++*(int *)arg;
    return 0;
}

/* Damage: set aside, and counted as past when number `to` is. 0, or -errno when it could not be set aside now and
 * nothing has been counted. */
static int take_damage(struct psa_spool_reader *r, int64_t at, int64_t bytes, uint64_t to)
{
    char name[PSA_SPOOL_NAME_MAX], text[SENTENCE];
    const char *where = "set aside";
    int files = 0, result = 0;

    if (to <= r->cursor.done || r->segment < r->damaged_segment) return 0;
    if (r->segment == r->damaged_segment && at < r->damaged_end) return 0;
    psa_spool_segment_name(r->segment, name);
    (void)r->disk->list(r->disk->ctx, count_damaged, &files);
    if (files >= DAMAGED_MAX) where = "not set aside, there are too many such files";
    else result = psa_spool_set_aside(r->disk, name, r->fd, at, bytes);
    /* Space comes from the reader going on; it must not wait for it. */
    if (is_full(result)) where = "not set aside, the disk is full";
    else if (result < 0) return result;
    snprintf(text, sizeof text, "%" PRId64 " damaged bytes at %" PRId64 " of %s; %s", bytes, at, name, where);
    say(r, "damaged", text);
    add_loss(r, LOSS_DAMAGED, to, to);
    r->damaged_segment = r->segment;
    r->damaged_end = at + bytes;
    return 0;
}

static void take_missing(struct psa_spool_reader *r, uint64_t from, uint64_t to)
{
    char text[SENTENCE];

    add_numbers(r, LOSS_MISSING, from, to);
    if (to <= r->looked_ever) return;
    snprintf(text, sizeof text, "%" PRIu64 " records are missing, %" PRIu64 " to %" PRIu64, to - from + 1, from, to);
    say(r, "missing", text);
}

/* ---- from segment to segment ------------------------------------------------------------------------------------- */

struct search {
    uint64_t from, first;
    bool found;
};

static int search_segment(void *arg, const char *name, int64_t bytes)
{
    struct search *search = arg;
    uint64_t first;

    (void)bytes;
    if (!psa_spool_is_segment(name, &first) || first < search->from) return 0;
    if (search->found && search->first <= first) return 0;
    search->found = true;
    search->first = first;
    return 0;
}

/* The first segment whose number is not below `from`: 1, 0 when there is none, or -errno. */
static int find_segment(const struct psa_spool_reader *r, uint64_t from, uint64_t *first)
{
    struct search search = { .from = from };
    int result = r->disk->list(r->disk->ctx, search_segment, &search);

    *first = search.first;
    return result < 0 ? result : search.found;
}

/* Open the next segment: 1, 0 when there is none, or -errno. */
static int open_segment(struct psa_spool_reader *r)
{
    char name[PSA_SPOOL_NAME_MAX];
    uint64_t first;
    int result = find_segment(r, r->from, &first);

    if (result == 1 && first > r->looked + 1) result = find_segment(r, r->from, &first);
    if (result <= 0) return result;
    psa_spool_segment_name(first, name);
    r->fd = r->disk->open(r->disk->ctx, "segment.open", name, PSA_DISK_READ);
    if (r->fd == -ENOENT) return open_segment(r); /* dropped since; the listing will not show it again */
    if (r->fd < 0) {
        result = r->fd;
        r->fd = -1;
        return result;
    }
    if (r->from == 0) r->before = first - 1;
    if (!r->known) {
        r->cursor.done = r->looked = r->looked_ever = first - 1;
        r->known = true;
    }
    r->segment = first;
    r->in_segment = 0;
    psa_spool_scan_start(&r->scan, r->disk, r->fd, false, 0);
    return 1;
}

/* Unlink the segments that the cursor on the disk is past. */
static void unlink_finished(struct psa_spool_reader *r)
{
    char name[PSA_SPOOL_NAME_MAX];
    size_t kept = 0;

    for (size_t i = 0; i < r->n_passed; i++) {
        int failed = -EAGAIN;

        /* In order: a segment stays as long as one before it does. */
        if (r->safe && kept == 0 && r->passed[i].last <= r->stored.done) {
            psa_spool_segment_name(r->passed[i].first, name);
            failed = r->disk->unlink(r->disk->ctx, "segment.unlink", name);
        }
        if (failed < 0 && failed != -ENOENT) r->passed[kept++] = r->passed[i];
    }
    r->n_passed = kept;
}

/* The current segment is read to its end, where `tail` bytes are no valid line, and the segment numbered `later`
 * follows. */
static int pass_segment(struct psa_spool_reader *r, int64_t tail, uint64_t later)
{
    uint64_t last = r->in_segment;

    if (!room_for_losses(r)) return -ENOMEM;
    if (r->n_passed == r->cap_passed) {
        size_t cap = r->cap_passed ? r->cap_passed * 2 : 16;
        struct passed *grown = realloc(r->passed, cap * sizeof *grown);

        if (!grown) return -ENOMEM;
        r->passed = grown;
        r->cap_passed = cap;
    }
    /* A name says which numbers were given before it. When they are all here the tail is an append that was cut off. */
    if (tail && psa_spool_is_lost_tail(r->before, later)) {
        int result = take_damage(r, r->scan.at, tail, later - 1);

        if (result < 0) return result;
        if (last < later - 1) last = later - 1;
    }
    r->passed[r->n_passed++] = (struct passed){ r->segment, last };
    close_segment(r, r->segment + 1);
    unlink_finished(r);
    return 0;
}

/* The end of what there is in the current segment: 1 to read on, 0 when there is nothing more now, or -errno. */
static int at_end(struct psa_spool_reader *r, int64_t tail)
{
    uint64_t later;
    int result = find_segment(r, r->segment + 1, &later);

    if (result < 0) return result;
    if (!r->disk->linked(r->disk->ctx, r->fd)) {
        /* Dropped, or replaced by a file of the same name that begins with the same records. */
        close_segment(r, r->segment);
        return 1;
    }
    if (result == 0) return 0;
    if (!r->complete) {
        r->complete = true;
        return 1;
    }
    if (later > r->before + 1) result = find_segment(r, r->segment + 1, &later);
    if (result <= 0) return result;
    result = pass_segment(r, tail, later);
    return result < 0 ? result : 1;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* Leave this segment for a later one (format.h, rule 2) in front of the line numbered seq? 1: that was done; 0; or
 * -errno. */
static int leave_segment(struct psa_spool_reader *r, uint64_t seq)
{
    uint64_t later = 0;
    int result;

    if (seq <= r->looked + 1) return 0; /* nothing is missing: that spares the listing */
    result = find_segment(r, r->segment + 1, &later);
    if (result <= 0 || !psa_spool_is_continued(r->looked, seq, later)) return result < 0 ? result : 0;
    result = pass_segment(r, 0, later);
    return result < 0 ? result : 1;
}

/* A valid line: 1 when it is a record to hand out, 0 when it is passed over, or -errno, and it will come again. */
static int take_line(struct psa_spool_reader *r, int64_t now_ms)
{
    const struct psa_spool_record *record = &r->scan.record;
    bool counts = record->seq > r->looked;
    bool expired = r->max_age_ms > 0 && record->taken_ms >= 0 && record->taken_ms < now_ms - r->max_age_ms;
    int left = counts ? leave_segment(r, record->seq) : 0;

    if (left) return left < 0 ? left : 0;
    if (!room_for_losses(r)) return -ENOMEM;
    if (r->damage_bytes) {
        /* It took the place of the numbers between the two lines; where there are none it goes with the next record. */
        uint64_t to = record->seq > r->before + 2 ? record->seq - 1 : r->before + 1;
        int result = take_damage(r, r->damage_at, r->damage_bytes, to);

        if (result < 0) return result;
        r->damage_bytes = 0;
    }
    if (record->seq > r->before) r->before = record->seq;
    if (record->seq > r->in_segment) r->in_segment = record->seq;
    if (r->before <= r->cursor.done)
        r->pin = (struct pin){ r->segment, r->before, r->in_segment, r->scan.at + r->scan.bytes };
    if (!counts) return 0;
    if (record->seq > r->looked + 1) take_missing(r, r->looked + 1, record->seq - 1);
    if (expired) add_numbers(r, LOSS_EXPIRED, record->seq, record->seq);
    r->looked = record->seq;
    if (r->looked_ever < r->looked) r->looked_ever = r->looked;
    return !expired;
}

/* Look at damage twice: what is read while the writer cuts a tail and writes on can seem to be some. */
static void doubt_damage(struct psa_spool_reader *r)
{
    if (r->doubted_bytes == r->scan.bytes && r->doubted_at == r->scan.at) {
        r->damage_at = r->scan.at;
        r->damage_bytes = r->scan.bytes;
        return;
    }
    r->doubted_at = r->scan.at;
    r->doubted_bytes = r->scan.bytes;
    psa_spool_scan_start(&r->scan, r->disk, r->fd, false, r->doubted_at);
}

/* One step: 1 a record, 0 nothing now, -errno, or AGAIN. */
enum { AGAIN = 2 };
static int step(struct psa_spool_reader *r, int64_t now_ms)
{
    int64_t back;
    int result;

    if (r->fd < 0) {
        result = open_segment(r);
        return result == 1 ? AGAIN : result;
    }
    switch (psa_spool_scan_next(&r->scan)) {
    case PSA_SPOOL_SCAN_LINE:
        back = r->damage_bytes ? r->damage_at : r->scan.at;
        result = take_line(r, now_ms);
        if (result >= 0) return result ? 1 : AGAIN;
        r->damage_bytes = r->doubted_bytes = 0;
        psa_spool_scan_start(&r->scan, r->disk, r->fd, false, back);
        return result;
    case PSA_SPOOL_SCAN_DAMAGE: doubt_damage(r); return AGAIN;
    case PSA_SPOOL_SCAN_TAIL:
    case PSA_SPOOL_SCAN_END: result = at_end(r, r->scan.bytes); return result == 1 ? AGAIN : result;
    case PSA_SPOOL_SCAN_FAILED:
    default: return r->scan.result;
    }
}

static int fail_to_read(const struct psa_spool_reader *r, int result, struct psa_error *error)
{
    char name[PSA_SPOOL_NAME_MAX];

    if (r->fd < 0) return psa_fail(error, PSA_EXIT_RUNTIME, "cannot read the spool: %s", strerror(-result));
    psa_spool_segment_name(r->segment, name);
    return psa_fail(error, PSA_EXIT_RUNTIME, "cannot read the spool: %s: %s", name, strerror(-result));
}

int psa_spool_next(struct psa_spool_reader *r, int64_t now_ms, struct psa_spool_record *record, struct psa_error *error)
{
    int result;

    do result = step(r, now_ms);
    while (result == AGAIN);
    if (result < 0) return fail_to_read(r, result, error);
    if (result == 0) return 1;
    *record = r->scan.record;
    return 0;
}

void psa_spool_finish(struct psa_spool_reader *r, uint64_t seq)
{
    if (seq > r->looked) seq = r->looked; /* nobody can have finished what was not handed out */
    if (seq <= r->cursor.done) return;
    r->cursor.done = seq;
    count_losses(r);
}

uint64_t psa_spool_looked_at(const struct psa_spool_reader *r)
{
    return r->looked;
}

void psa_spool_set_checkpoint(struct psa_spool_reader *r, uint64_t id)
{
    r->cursor.has_checkpoint = true;
    r->cursor.checkpoint = id;
}

struct psa_spool_cursor psa_spool_cursor_of(const struct psa_spool_reader *r)
{
    return r->cursor;
}

struct psa_spool_totals psa_spool_reader_totals(const struct psa_spool_reader *r)
{
    return r->totals;
}

/* ---- writing: the cursor and dead letters ------------------------------------------------------------------------ */

/* Write r->line to the end of the file: 0 or -errno. */
static int write_line(struct psa_spool_reader *r, const char *point, int fd)
{
    for (size_t written = 0; written < r->line.n;) {
        int64_t n = r->disk->write(r->disk->ctx, point, fd, r->line.p + written, r->line.n - written);

        if (n <= 0) return n < 0 ? (int)n : -EIO;
        written += (size_t)n;
        r->totals.writes++;
        r->totals.bytes += (uint64_t)n;
    }
    return 0;
}

/* The cursor there is stays whole until the new one is: written, synced, renamed over it, the folder synced. */
static int store_cursor(struct psa_spool_reader *r)
{
    const struct psa_disk *disk = r->disk;
    int fd = disk->open(disk->ctx, "cursor.create", PSA_SPOOL_CURSOR_TMP, PSA_DISK_FRESH), result;

    if (fd < 0) return fd;
    result = write_line(r, "cursor.write", fd);
    if (result >= 0) {
        result = disk->sync(disk->ctx, "cursor.sync", fd);
        r->totals.syncs++;
    }
    disk->close(disk->ctx, fd);
    if (result >= 0) result = disk->rename(disk->ctx, "cursor.rename", PSA_SPOOL_CURSOR_TMP, PSA_SPOOL_CURSOR);
    if (result < 0) return result;
    r->totals.syncs++;
    return disk->sync_folder(disk->ctx, "cursor.folder-sync");
}

static bool same_cursor(const struct psa_spool_cursor *a, const struct psa_spool_cursor *b)
{
    return a->done == b->done && a->has_checkpoint == b->has_checkpoint && a->checkpoint == b->checkpoint &&
           a->missing == b->missing && a->damaged == b->damaged && a->expired == b->expired;
}

/* The disk is full: give up the reserve. true: there is room now that was not there before. */
static bool give_reserve(struct psa_spool_reader *r)
{
    if (r->disk->unlink(r->disk->ctx, "reserve.give", PSA_SPOOL_RESERVE) != 0) return false;
    r->reserve_given = true;
    return true;
}

/* The disk is full and the reserve is gone. The cursor that was found needs no room to be made safe, and what it covers
 * can go then. It was synced before it was renamed, whoever did that; only the folder's entry may not be on the disk.
 * true: a segment was unlinked. */
static bool make_room(struct psa_spool_reader *r)
{
    size_t before = r->n_passed;

    if (!r->safe && r->stored.done > 0) {
        r->totals.syncs++;
        r->safe = r->disk->sync_folder(r->disk->ctx, "cursor.folder-sync") >= 0;
    }
    unlink_finished(r);
    return r->n_passed < before;
}

/* The last resort: the cursor is written over, in the room it has. Cut off in the middle it is a damaged cursor, which is
 * rebuilt from the oldest segment: duplicates rather than a queue that can never be emptied. */
static int rewrite_cursor(struct psa_spool_reader *r)
{
    const struct psa_disk *disk = r->disk;
    int fd, result;

    (void)disk->unlink(disk->ctx, "cursor.tidy", PSA_SPOOL_CURSOR_TMP);
    fd = disk->open(disk->ctx, "cursor.rewrite-open", PSA_SPOOL_CURSOR, PSA_DISK_FRESH);
    if (fd < 0) return fd;
    result = write_line(r, "cursor.rewrite", fd);
    if (result >= 0) {
        result = disk->sync(disk->ctx, "cursor.rewrite-sync", fd);
        r->totals.syncs++;
    }
    disk->close(disk->ctx, fd);
    if (result < 0) return result;
    r->totals.syncs++;
    return disk->sync_folder(disk->ctx, "cursor.folder-sync"); /* the name may be from a rename that was not synced */
}

int psa_spool_commit(struct psa_spool_reader *r, struct psa_error *error)
{
    int result;

    if (!r->known || (!r->changed && same_cursor(&r->cursor, &r->stored))) {
        unlink_finished(r);
        return 0;
    }
    r->line.n = 0;
    psa_spool_format_cursor(&r->line, &r->cursor);
    if (r->line.failed) {
        r->line.failed = false;
        return psa_fail_memory(error, "writing the cursor");
    }
    result = store_cursor(r);
    if (is_full(result) && give_reserve(r)) result = store_cursor(r);
    if (is_full(result) && make_room(r)) result = store_cursor(r);
    if (is_full(result)) result = rewrite_cursor(r);
    if (result < 0) {
        /* It may have been renamed and not be on the disk: it is written again, whatever it would hold. */
        r->changed = true;
        return psa_fail(error, PSA_EXIT_RUNTIME, "cannot write the cursor: %s", strerror(-result));
    }
    r->stored = r->cursor;
    r->changed = false;
    r->safe = true;
    unlink_finished(r);
    if (r->reserve_given && psa_spool_make_reserve(r->disk) >= 0) r->reserve_given = false;
    return 0;
}

/* Where the last whole line of the file ends; or -errno. */
static int64_t end_of_lines(const struct psa_disk *disk, int fd)
{
    char block[BLOCK_BYTES];
    int64_t end = disk->size(disk->ctx, fd);

    while (end > 0) {
        int64_t from = end < BLOCK_BYTES ? 0 : end - BLOCK_BYTES;
        int64_t n = disk->read(disk->ctx, fd, from, block, (size_t)(end - from));
        const char *lf;

        if (n < 0) return n;
        lf = memrchr(block, '\n', (size_t)n);
        if (lf) return from + (lf - block) + 1;
        end = from;
    }
    return end;
}

/* Append r->line to the open `dead` and sync it. What goes wrong half-way is cut off again, so that neither a torn line
 * nor bytes a failed sync has lost come to stand in front of the next. 1: it would be too long. */
static int append_dead(struct psa_spool_reader *r, int fd, int64_t max_bytes)
{
    const struct psa_disk *disk = r->disk;
    int64_t size = disk->size(disk->ctx, fd), end = end_of_lines(disk, fd);
    int result;

    if (size < 0 || end < 0) return (int)(size < 0 ? size : end);
    if (end + (int64_t)r->line.n > max_bytes) return 1;
    result = end < size ? disk->truncate(disk->ctx, "dead.cut", fd, end) : 0;
    if (result < 0) return result;
    result = write_line(r, "dead.write", fd);
    if (result >= 0) {
        result = disk->sync(disk->ctx, "dead.sync", fd);
        r->totals.syncs++;
    }
    if (result < 0) (void)disk->truncate(disk->ctx, "dead.cut", fd, end);
    return result;
}

static int store_dead(struct psa_spool_reader *r, int64_t max_bytes)
{
    int fd = r->disk->open(r->disk->ctx, "dead.open", PSA_SPOOL_DEAD, PSA_DISK_APPEND), result;

    if (fd < 0) return fd;
    result = append_dead(r, fd, max_bytes);
    r->disk->close(r->disk->ctx, fd);
    return result;
}

int psa_spool_bury(struct psa_spool_reader *r, const struct psa_spool_record *record, int64_t max_bytes,
                   struct psa_error *error)
{
    int result;

    r->line.n = 0;
    psa_spool_format_line(&r->line, record);
    if (!r->line.failed && r->line.n > PSA_SPOOL_LINE_MAX) {
        struct psa_spool_record shorter = *record;

        r->line.n = 0;
        shorter.reason = psa_str_of("\"\"");
        psa_spool_format_line(&r->line, &shorter);
    }
    if (r->line.failed) {
        r->line.failed = false;
        return psa_fail_memory(error, "writing a dead letter");
    }
    result = store_dead(r, max_bytes);
    if (is_full(result) && give_reserve(r)) result = store_dead(r, max_bytes);
    if (result == 0 && !r->dead_entry_safe) {
        /* Also when the file was there: a process before this one may have made it and come no further. */
        result = r->disk->sync_folder(r->disk->ctx, "dead.folder-sync");
        r->totals.syncs++;
        if (result >= 0) r->dead_entry_safe = true;
    }
    if (result < 0) return psa_fail(error, PSA_EXIT_RUNTIME, "cannot store a dead letter: %s", strerror(-result));
    return result;
}
