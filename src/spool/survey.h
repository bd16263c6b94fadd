/*
 * survey.h - looking at a whole spool without taking it: what stat, dump and check print, and repair. A writer and a
 * reader may be at work meanwhile, except for repair.
 */
#ifndef PSA_SPOOL_SURVEY_H
#define PSA_SPOOL_SURVEY_H

#include "spool/disk.h"
#include "spool/format.h"
#include "spool/writer.h"

enum psa_spool_cursor_state { PSA_SPOOL_CURSOR_GOOD, PSA_SPOOL_CURSOR_NONE, PSA_SPOOL_CURSOR_DAMAGED };

struct psa_spool_survey {
    struct psa_spool_cursor cursor; /* not GOOD: one before the oldest segment, where the reader would begin */
    enum psa_spool_cursor_state cursor_state;
    uint64_t first, last;            /* sequence numbers of the records that count; 0: there are none */
    uint64_t records;                /* that count */
    uint64_t backlog;                /* of them not finished */
    uint64_t repeated;               /* valid lines that do not count (format.h) */
    uint64_t missing;                /* unfinished sequence numbers that are not there */
    uint64_t damaged, damaged_bytes; /* stretches of damage now in the segments, or that cannot be read */
    uint64_t torn_bytes;             /* torn tails */
    uint64_t segments, bytes;        /* of segments */
    uint64_t dead, dead_damaged;     /* valid lines of dead, and stretches of it that are none */
    uint64_t set_aside;              /* .damaged files */
    uint64_t strays;                 /* files that are none of the spool's */
    int64_t oldest_taken_ms;         /* of the backlog's first record; PSA_SPOOL_UNSYNCED when unknown or none */
};

/* `what` of a torn tail: a trace of a kill or a power cut, no damage. */
#define PSA_SPOOL_TORN "torn tail"

/* What a survey comes by; each may be NULL. Non-zero stops it, and is what it returns; it should not be -1, which says
 * that *error is set. `what` is "damage", "torn tail", or "cannot be read: ..." for the rest of a file behind a place
 * that the disk fails to read: the survey goes on with the next file. What it says of records is then of those that it
 * could read; a reader waits in front of such a place. */
struct psa_spool_visitor {
    void *ctx;
    int (*record)(void *ctx, const struct psa_spool_record *record, bool finished); /* that count, in order */
    int (*dead)(void *ctx, const struct psa_spool_record *record);
    int (*damage)(void *ctx, const char *file, int64_t offset, int64_t bytes, const char *what);
};

int psa_spool_survey(const struct psa_disk *disk, const struct psa_spool_visitor *visitor,
                     struct psa_spool_survey *survey, struct psa_error *error);

/* Take both locks; set damage aside, cut torn tails (whole lines in one are set aside first), write a lost or damaged
 * cursor anew, take cursor.tmp away. After it a survey finds nothing wrong. Every valid line stays where it is, so the
 * same ones count. A file that the disk fails to read is left as it is; the others are repaired, and it returns -1.
 * *survey is what was found before. */
int psa_spool_repair(const struct psa_disk *disk, const struct psa_spool_say *say, struct psa_spool_survey *survey,
                     struct psa_error *error);

/* Give every valid dead letter back to the writer, each sequence number once, in order, as new records (with their old
 * TAKEN); when all are taken, remove `dead` (invalid lines of it are set aside first). *n of them. The reader's lock is
 * taken, so that none is buried meanwhile. */
int psa_spool_retry_dead(const struct psa_disk *disk, struct psa_spool_writer *writer, const struct psa_spool_say *say,
                         uint64_t *n, struct psa_error *error);

#endif
