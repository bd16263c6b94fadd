/*
 * writer.h - the writing end of a spool. One at a time has the folder (writer.lock).
 *
 * A line put in goes through three steps:
 *
 *     put      it has a sequence number and is in memory
 *     written  it is in the segment's file, where a kill of this process cannot harm it, and the reader sees it
 *     taken    its segment and the folder's entry of it are synced: a power cut cannot harm it; it may be acknowledged
 *
 * Syncing may be done by another thread, so that writing goes on meanwhile and the next group gathers:
 *
 *     if (psa_spool_sync_begin(w, &job))  { psa_spool_sync_run(disk, &job);  psa_spool_sync_end(w, &job, error); }
 *
 * sync_run touches nothing but the disk and the job. What is not taken stays in memory until it is, because a sync that
 * failed must not be tried again on the same file: the kernel marks the pages clean and the second sync lies
 * (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). sync_end then goes on in a new
 * segment with everything that is not taken, under the same sequence numbers; the reader passes over the second copies.
 * When the failed segment itself begins with the first record that is not taken, the new file (PSA_SPOOL_SEGMENT_TMP
 * until it is written) is renamed over it.
 *
 * A full disk (ENOSPC, EDQUOT) is the same as a full spool (max_size). A write that was cut short is not cut back: it
 * goes on where it stopped, so that no line which a reader may have seen ever disappears.
 */
#ifndef PSA_SPOOL_WRITER_H
#define PSA_SPOOL_WRITER_H

#include "spool/disk.h"
#include "spool/format.h"

struct psa_spool_limits {
    int64_t max_size;     /* bytes of all segments together */
    int64_t segment_size; /* a segment that has reached this is followed by another */
    bool drop_oldest;     /* full: remove the oldest segment instead of taking nothing */
};

/* Segments of an eighth of the spool, between 64 KiB and 16 MiB: freed soon, and not too many of them. */
int64_t psa_spool_segment_size(int64_t max_size);

/* A line longer than this part of max_size is refused for good. */
#define PSA_SPOOL_LINE_PART 4

/* A segment being written anew after a failed sync. Of no use to anybody once the writer is gone. */
#define PSA_SPOOL_SEGMENT_TMP "segment.tmp"

struct psa_spool_totals {
    uint64_t put, taken;                /* records */
    uint64_t dropped, dropped_segments; /* by drop_oldest: records not yet finished according to the cursor */
    uint64_t bytes, writes, syncs;      /* of segments and cursors alike: what the flash had to bear */
    uint64_t sync_errors, cut_bytes;    /* failed syncs; bytes of torn tails */
};

/* What is worth telling a person: one sentence, lower case, no full stop. `cause` groups them. */
struct psa_spool_say {
    void *ctx;
    void (*say)(void *ctx, const char *cause, const char *text);
};

struct psa_spool_writer;

/*
 * Take the lock and recover: find the segments, cut the torn tail of the last, and go on behind it, in a synced copy
 * of it when it is short, else in a new one: a sync of it may have failed in a process before. The next sequence
 * number is behind every record, the cursor, and what was damaged at the end. Never fails because of what the files
 * contain, nor because the disk fails to read a segment: that is left as it is, and as many numbers are left out as it
 * can hold at most. Files that are not the spool's are left alone. `to` and `disk` must outlive the writer.
 */
int psa_spool_writer_open(struct psa_spool_writer **writer, const struct psa_disk *disk,
                          const struct psa_spool_limits *limits, const struct psa_spool_say *to,
                          struct psa_error *error);
/* Close without syncing; what was not taken may or may not be there. */
void psa_spool_writer_close(struct psa_spool_writer *writer);

enum psa_spool_put {
    PSA_SPOOL_PUT,
    PSA_SPOOL_FULL,     /* no room now: nothing happened; try again when the reader has freed some, or reject it */
    PSA_SPOOL_TOO_LONG, /* longer than max_size / PSA_SPOOL_LINE_PART or PSA_SPOOL_TEXT_MAX: it will never fit */
    PSA_SPOOL_FAILED    /* memory is out */
};
/* Put a line (no LF) in. *seq (may be NULL) is its sequence number. */
enum psa_spool_put psa_spool_put(struct psa_spool_writer *writer, struct psa_str text, int64_t taken_ms, uint64_t *seq);

/* Write what is in memory. 0: written. 1: could not now (disk full, I/O error): said, all of it is still in memory;
 * call again later. Puts are refused as FULL meanwhile. */
int psa_spool_write(struct psa_spool_writer *writer);

struct psa_spool_sync {
    int fd;           /* of the segment; stays open until sync_end */
    bool folder;      /* the segment is new: its entry is synced too */
    uint64_t through; /* what a success makes taken */
    int result;       /* 0 or -errno, set by sync_run */
    int syncs; /* that were made, set by sync_run; 0 in a job that was not run: its result is as the caller says */
};
/* Write what is in memory; true: there is something written and not taken; the job says what to sync. Only one job at a
 * time. Writing and putting may go on until sync_end; a segment that is full meanwhile is grown past its size instead
 * of rotated. */
bool psa_spool_sync_begin(struct psa_spool_writer *writer, struct psa_spool_sync *job);
void psa_spool_sync_run(const struct psa_disk *disk, struct psa_spool_sync *job);
/* Count the group as taken, or go on in a new segment. */
void psa_spool_sync_end(struct psa_spool_writer *writer, const struct psa_spool_sync *job);

uint64_t psa_spool_last_put(const struct psa_spool_writer *writer);
uint64_t psa_spool_last_written(const struct psa_spool_writer *writer);
uint64_t psa_spool_last_taken(const struct psa_spool_writer *writer);
/* Bytes put and not taken: what memory is held for. */
size_t psa_spool_untaken_bytes(const struct psa_spool_writer *writer);
/* Look again how much the folder holds: the reader may have freed some. Called when full; costs a listing. */
void psa_spool_writer_look(struct psa_spool_writer *writer);
struct psa_spool_totals psa_spool_writer_totals(const struct psa_spool_writer *writer);

/* What both ends need. Read the cursor: 0, 1: there is none, 2: it is damaged, or -errno; then all is zero. */
int psa_spool_read_cursor(const struct psa_disk *disk, struct psa_spool_cursor *cursor);
/* Make the reserve, when it is not there: room for a cursor on a full disk. 0 or -errno. */
int psa_spool_make_reserve(const struct psa_disk *disk);

#endif
