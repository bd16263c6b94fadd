/*
 * reader.h - the reading end of a spool. One at a time has the folder (reader.lock). The writer may be at work beside
 * it, in this process or another, appending and dropping old segments.
 *
 * It hands out the records that count (format.h) in order, from behind the cursor on. What was handed out is finished
 * by the caller in order; finishing is made durable by psa_spool_commit: cursor.tmp written, synced, renamed to
 * cursor, the folder synced, and only then segments unlinked whose records are all finished. The newest segment
 * always stays.
 *
 * A lost or damaged cursor is rebuilt from the oldest segment: duplicates rather than loss. Damage is set aside in a
 * file of its own before the cursor may pass it, and counted; sequence numbers that never come are counted as missing.
 *
 * A segment that the disk fails to read is damage that may pass: a loose plug, a file system mounted read-only, a bad
 * sector that reads at the tenth attempt. The reader goes no further for as long as it lasts, and says which segment
 * it is. To go past it for good would be to lose what may be in it without being told to; a person can move it away,
 * and its numbers count as missing then.
 */
#ifndef PSA_SPOOL_READER_H
#define PSA_SPOOL_READER_H

#include "spool/disk.h"
#include "spool/format.h"
#include "spool/writer.h"

struct psa_spool_reader;

/* max_age_ms: records taken longer ago are passed over and counted as expired, 0: none; never those with
 * PSA_SPOOL_UNSYNCED. */
int psa_spool_reader_open(struct psa_spool_reader **reader, const struct psa_disk *disk, int64_t max_age_ms,
                          const struct psa_spool_say *to, struct psa_error *error);
/* Close without committing. */
void psa_spool_reader_close(struct psa_spool_reader *reader);

/* The record behind the one last handed out; its text is valid until the next call. 0: here it is. 1: there is none now
 * (a line still being written does not count). -1: the disk failed in a way that trying again may cure. */
int psa_spool_next(struct psa_spool_reader *reader, int64_t now_ms, struct psa_spool_record *record,
                   struct psa_error *error);
/* Hand out again from behind the last finished record on. */
void psa_spool_rewind(struct psa_spool_reader *reader);

/* Everything up to seq is finished: in memory only, until the commit. Also past records that were passed over: with the
 * caller having nothing unfinished, seq may be psa_spool_looked_at(). What is beyond that is not: seq is cut to it. */
void psa_spool_finish(struct psa_spool_reader *reader, uint64_t seq);
/* The last sequence number that was handed out or passed over. */
uint64_t psa_spool_looked_at(const struct psa_spool_reader *reader);
/* Note the checkpoint; committed with the cursor. */
void psa_spool_set_checkpoint(struct psa_spool_reader *reader, uint64_t id);
/* Store a record among the dead letters, durably, before anything finishes it. When `dead` has max_bytes, it is not
 * stored: 1. A repeated seq is stored again. A reason with which the line would be too long to be valid is left out. On
 * a full disk the reserve is given up for it. */
int psa_spool_bury(struct psa_spool_reader *reader, const struct psa_spool_record *record, int64_t max_bytes,
                   struct psa_error *error);
/* Make the cursor durable and unlink what is finished. On a full disk the reserve is given up for it. Does nothing when
 * nothing has changed, except for the first time: the cursor that was found may not be on the disk. */
int psa_spool_commit(struct psa_spool_reader *reader, struct psa_error *error);

struct psa_spool_cursor psa_spool_cursor_of(const struct psa_spool_reader *reader);
/* Bytes and syncs that commits and dead letters have cost. */
struct psa_spool_totals psa_spool_reader_totals(const struct psa_spool_reader *reader);

#endif
