/*
 * scan.h - reading a segment or `dead` in blocks: its valid lines, the damage between them, its torn tail (format.h
 * says what these are). For the reader, the survey and repair; also for a file that is being appended to meanwhile.
 *
 *     psa_spool_scan_start(&scan, disk, fd, false, 0);
 *     while ((kind = psa_spool_scan_next(&scan)) == PSA_SPOOL_SCAN_LINE || kind == PSA_SPOOL_SCAN_DAMAGE) ...
 */
#ifndef PSA_SPOOL_SCAN_H
#define PSA_SPOOL_SCAN_H

#include "core/buf.h"
#include "spool/disk.h"
#include "spool/format.h"

enum psa_spool_scan_kind {
    PSA_SPOOL_SCAN_LINE,   /* a valid line: scan->record, valid until the next call */
    PSA_SPOOL_SCAN_DAMAGE, /* bytes up to a valid line, which the next call gives */
    PSA_SPOOL_SCAN_TAIL,   /* bytes up to the end of the file with no valid line behind them */
    PSA_SPOOL_SCAN_END,    /* the end of the file, right behind a valid line (or an empty file) */
    PSA_SPOOL_SCAN_FAILED  /* the disk failed or memory is out: scan->result; calling again tries again */
};

/*
 * Zeroed is a scan without a buffer. After TAIL and END a call looks again at the same place with nothing remembered of
 * it, so that what was appended, or cut off and written anew, is found.
 */
struct psa_spool_scan {
    /* What the last call came by. */
    struct psa_spool_record record;
    int64_t at, bytes; /* where it stands in the file and how long it is, its LF included */
    int result;        /* FAILED: -errno */

    /* Where the next call begins: behind a line or damage, at the start of a tail. */
    int64_t offset;

    const struct psa_disk *disk;
    int fd;
    bool dead;           /* the lines are dead letters */
    bool pending;        /* the line behind the damage that was given last has been parsed already */
    bool skipping;       /* in a line known to be invalid, whose bytes are thrown away up to its LF */
    int64_t damage_from; /* where the invalid bytes before `offset` begin; -1: there are none */
    int64_t line_bytes;  /* of the pending line */
    struct psa_buf buf;  /* bytes of the file from `offset` on: buf.p[begin .. buf.n) */
    size_t begin, searched;
};

/* Begin at the offset of a line's first byte. The buffer of an earlier scan is used again. */
void psa_spool_scan_start(struct psa_spool_scan *scan, const struct psa_disk *disk, int fd, bool dead, int64_t offset);
enum psa_spool_scan_kind psa_spool_scan_next(struct psa_spool_scan *scan);
/* Does this -errno say that the medium has lost the bytes of this file? Others may read well then. */
bool psa_spool_is_unreadable(int64_t error);
/* Give the buffer back; the file stays open. */
void psa_spool_scan_free(struct psa_spool_scan *scan);

/*
 * Copy a damaged stretch of the file of that name, open as fd, to `<file>-<offset>.damaged`, and make that durable.
 * Where it was done before nothing happens; a copy cut short is completed; where that name holds other bytes
 * `<file>-<offset>-<n>.damaged` is taken. Points: damaged.open, damaged.write, damaged.sync, damaged.sync-folder.
 * Returns 0 or -errno.
 */
int psa_spool_set_aside(const struct psa_disk *disk, const char *file, int fd, int64_t offset, int64_t bytes);

#endif
