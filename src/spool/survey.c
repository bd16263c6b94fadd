/*
 * survey.c - see survey.h. The order in which a survey looks keeps what others do meanwhile from seeming wrong: first
 * the folder, then the cursor, then the segments. A reader commits before it unlinks, so the cursor explains every
 * segment that was gone before the folder was listed, and is read again when one is gone since.
 */
#include "spool/survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "spool/folder.h"
#include "spool/scan.h"

/* How often the end of the newest segment is looked at before what stands there is called torn: it may be a line that
 * is being written at this moment. */
enum { LOOKS = 3 };

struct looking {
    const struct psa_disk *disk;
    const struct psa_spool_visitor *visitor;
    struct psa_spool_survey *survey;
    struct psa_spool_folder folder;
    struct psa_spool_scan scan;
    uint64_t done;
    uint64_t later;  /* number in the name of the segment behind the one being looked at; 0: there is none */
    uint64_t before; /* the greatest number of a valid line so far */
    bool left;       /* the lines that are left of it do not count: format.h, rule 2 */
};

/* ---- the cursor -------------------------------------------------------------------------------------------------- */

static int fail_at(struct psa_error *error, const char *file, int64_t result)
{
    return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot be read: %s", file, strerror((int)-result));
}

/* A cursor that is not there or not valid counts as standing before the oldest segment, as for the reader. */
static int look_at_cursor(struct looking *l, struct psa_error *error)
{
    struct psa_spool_survey *survey = l->survey;
    int result = psa_spool_read_cursor(l->disk, &survey->cursor);

    if (result < 0) return fail_at(error, PSA_SPOOL_CURSOR, result);
    survey->cursor_state = result == 0   ? PSA_SPOOL_CURSOR_GOOD
                           : result == 1 ? PSA_SPOOL_CURSOR_NONE
                                         : PSA_SPOOL_CURSOR_DAMAGED;
    if (result > 0 && l->folder.n) survey->cursor.done = l->folder.segment[0] - 1;
    if (survey->cursor.done > l->done) l->done = survey->cursor.done;
    return 0;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static int count_record(struct looking *l, const struct psa_spool_record *record)
{
    struct psa_spool_survey *survey = l->survey;
    uint64_t before = survey->last > l->done ? survey->last : l->done;
    bool finished = record->seq <= l->done;

    if (record->seq > l->before) l->before = record->seq;
    l->left |= psa_spool_is_continued(before, record->seq, l->later);
    if (l->left || record->seq <= survey->last) {
        survey->repeated++;
        return 0;
    }
    if (record->seq > before) survey->missing += record->seq - before - 1;
    if (survey->records++ == 0) survey->first = record->seq;
    survey->last = record->seq;
    if (!finished && survey->backlog++ == 0) survey->oldest_taken_ms = record->taken_ms;
    return l->visitor->record ? l->visitor->record(l->visitor->ctx, record, finished) : 0;
}

/* Where a reader finds damage: not in front of what is finished. */
static const char *tail_word(const struct looking *l, bool dead)
{
    bool lost = !dead && !l->left && psa_spool_is_lost_tail(l->before, l->later) && l->later - 1 > l->done;

    return lost ? "damage" : PSA_SPOOL_TORN;
}

static int count_dead(struct looking *l, const struct psa_spool_record *record)
{
    l->survey->dead++;
    return l->visitor->dead ? l->visitor->dead(l->visitor->ctx, record) : 0;
}

static int count_damage(struct looking *l, const char *file, bool dead, int64_t at, int64_t bytes, const char *what)
{
    struct psa_spool_survey *survey = l->survey;

    if (dead) {
        survey->dead_damaged++;
    } else if (strcmp(what, PSA_SPOOL_TORN) == 0) {
        survey->torn_bytes += (uint64_t)bytes;
    } else {
        survey->damaged++;
        survey->damaged_bytes += (uint64_t)bytes;
    }
    return l->visitor->damage ? l->visitor->damage(l->visitor->ctx, file, at, bytes, what) : 0;
}

/* What is left of the file from there on cannot be read. */
static int count_unreadable(struct looking *l, const char *file, bool dead, int64_t from, int64_t bytes, int failed,
                            struct psa_error *error)
{
    char what[128];

    if (!psa_spool_is_unreadable(failed)) return fail_at(error, file, failed);
    (void)snprintf(what, sizeof what, "cannot be read: %s", strerror(-failed));
    return count_damage(l, file, dead, from, bytes > from ? bytes - from : 0, what);
}

/* Look through the open file: 0, the visitor's value, or -1. */
static int look_at_lines(struct looking *l, const char *file, bool dead, int looks, struct psa_error *error)
{
    const struct psa_spool_scan *scan = &l->scan;

    for (;;) {
        int result = 0;

        switch (psa_spool_scan_next(&l->scan)) {
        case PSA_SPOOL_SCAN_LINE: result = dead ? count_dead(l, &scan->record) : count_record(l, &scan->record); break;
        case PSA_SPOOL_SCAN_DAMAGE: result = count_damage(l, file, dead, scan->at, scan->bytes, "damage"); break;
        case PSA_SPOOL_SCAN_TAIL:
            if (--looks > 0) break;
            return count_damage(l, file, dead, scan->at, scan->bytes, tail_word(l, dead));
        case PSA_SPOOL_SCAN_END: return 0;
        case PSA_SPOOL_SCAN_FAILED:
            return count_unreadable(l, file, dead, scan->at, l->disk->size(l->disk->ctx, scan->fd), scan->result,
                                    error);
        }
        if (result != 0) return result;
    }
}

/* 0, the visitor's value, or -1; *gone: there is no such file. */
static int look_at_file(struct looking *l, const char *file, bool dead, int looks, bool *gone, struct psa_error *error)
{
    int fd = l->disk->open(l->disk->ctx, "survey.open", file, PSA_DISK_READ), result;

    *gone = fd == -ENOENT;
    if (*gone) return 0;
    if (fd < 0) return count_unreadable(l, file, dead, 0, 0, fd, error);
    psa_spool_scan_start(&l->scan, l->disk, fd, dead, 0);
    result = look_at_lines(l, file, dead, looks, error);
    l->disk->close(l->disk->ctx, fd);
    return result;
}

static int look_at_all(struct looking *l, struct psa_error *error)
{
    char name[PSA_SPOOL_NAME_MAX];
    bool gone;

    if (look_at_cursor(l, error) != 0) return -1;
    if (l->folder.n) l->before = l->folder.segment[0] - 1;
    for (size_t i = 0; i < l->folder.n; i++) {
        int result;

        l->left = false;
        l->later = i + 1 < l->folder.n ? l->folder.segment[i + 1] : 0;
        psa_spool_segment_name(l->folder.segment[i], name);
        result = look_at_file(l, name, false, i + 1 == l->folder.n ? LOOKS : 1, &gone, error);
        if (result == 0 && gone) result = look_at_cursor(l, error);
        if (result != 0) return result;
    }
    return look_at_file(l, PSA_SPOOL_DEAD, true, LOOKS, &gone, error);
}

int psa_spool_survey(const struct psa_disk *disk, const struct psa_spool_visitor *visitor,
                     struct psa_spool_survey *survey, struct psa_error *error)
{
    static const struct psa_spool_visitor nobody;
    struct looking l = { .disk = disk, .visitor = visitor ? visitor : &nobody, .survey = survey };
    int result;

    *survey = (struct psa_spool_survey){ .oldest_taken_ms = PSA_SPOOL_UNSYNCED };
    result = psa_spool_list(disk, &l.folder, error);
    if (result == 0) {
        survey->segments = l.folder.n;
        survey->bytes = l.folder.bytes;
        survey->set_aside = l.folder.set_aside;
        survey->strays = l.folder.strays;
        result = look_at_all(&l, error);
    }
    psa_spool_scan_free(&l.scan);
    psa_spool_folder_free(&l.folder);
    return result;
}
