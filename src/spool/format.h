/*
 * format.h - the spool's files as text: names, lines, the cursor. Pure.
 *
 * A spool is a folder:
 *
 *     00000000000000000001.seg    segments, named by the sequence number of their first record (20 digits)
 *     00000000000000004711.seg
 *     cursor                      how far the reader has come
 *     dead                        dead letters: records that can never be delivered
 *     <segment>-<offset>.damaged  bytes that were no valid line, set aside
 *     reserve                     room for the cursor when the disk is full
 *     writer.lock, reader.lock    held by the one writer and the one reader
 *
 * A segment's lines are
 *
 *     SEQ TAKEN CRC TEXT LF
 *     42 1710000000123 1a2b3c4d {"sensor_type":"accel_gyro",...}
 *
 * SEQ    sequence number, decimal without leading zeros, from 1 to 2^64 - 2: there is always a number behind it
 * TAKEN  when the record was taken, Unix milliseconds, or - when the clock was not synchronised then
 * CRC    CRC-32C (RFC 3720 B.4) of "SEQ TAKEN TEXT", eight lower-case hexadecimal digits
 * TEXT   the input line as it came, any bytes but LF
 *
 * A line is valid if and only if it ends in LF, has this form with single spaces, and the CRC is right. Lines are taken
 * in the order of the segments' names and of their places in them. Let LAST be the greatest of the cursor's DONE and of
 * the SEQs that have counted so far. A valid line counts if and only if
 *
 *  1. its SEQ is greater than that of every line that counted before it. Others repeat what was written twice, after a
 *     failed sync.
 *  2. its segment has not been left: where numbers are missing before a line, SEQ > LAST + 1, and a later segment's
 *     name is not greater than LAST + 1, the segment is left, and neither this line nor those behind it in the segment
 *     count (psa_spool_is_continued). After a failed sync the disk may hold a line and not the ones before it; those
 *     that were taken stand in that later segment, and the line would hide them.
 *
 * The bytes behind the last valid line of a segment are a torn tail: an append that power or a kill cut off. It was
 * never acknowledged. Invalid bytes with a valid line behind them in the same segment are damage, and so is a tail when
 * the next segment's name says that numbers were given which no line up to there has (psa_spool_is_lost_tail).
 *
 * A line of `dead` is the same with a reason, a JSON string, before TEXT, the CRC being of "SEQ TAKEN REASON TEXT".
 *
 * The cursor is one line, valid under the same rule, CRC of everything before its space:
 *
 *     psa-spool-cursor 1 done=DONE checkpoint=ID missing=N damaged=N expired=N CRC LF
 *
 * DONE  every record up to this one is finished: delivered, dead, expired or missing; 0, or as SEQ
 * ID    the last checkpoint that reached the sink, or - before the first (digits otherwise)
 * N     totals of the reader over the spool's life, see struct psa_spool_cursor
 */
#ifndef PSA_SPOOL_FORMAT_H
#define PSA_SPOOL_FORMAT_H

#include "core/buf.h"
#include "psa.h"

#define PSA_SPOOL_CURSOR "cursor"
#define PSA_SPOOL_CURSOR_TMP "cursor.tmp"
#define PSA_SPOOL_DEAD "dead"
#define PSA_SPOOL_RESERVE "reserve"
#define PSA_SPOOL_WRITER_LOCK "writer.lock"
#define PSA_SPOOL_READER_LOCK "reader.lock"

/* The largest sequence number, also in a segment's name and in the cursor. */
#define PSA_SPOOL_SEQ_MAX (UINT64_MAX - 1)

/* Bytes of the longest name, its NUL included. */
#define PSA_SPOOL_NAME_MAX 64

/* A longer line, LF not counted, is not valid: what a reader needs memory for. */
#define PSA_SPOOL_LINE_MAX ((size_t)64 << 20)

/* A longer TEXT is refused, so that as a dead letter, with a reason of its own, it still makes a valid line. */
#define PSA_SPOOL_TEXT_MAX (PSA_SPOOL_LINE_MAX - 4096)

/* Bytes of the shortest valid line, LF included: "1 - 12345678 \n". */
#define PSA_SPOOL_LINE_MIN 14

/* TAKEN of a record whose clock was not synchronised. */
#define PSA_SPOOL_UNSYNCED INT64_C(-1)

struct psa_spool_record {
    uint64_t seq;
    int64_t taken_ms;      /* or PSA_SPOOL_UNSYNCED */
    struct psa_str reason; /* dead letters: JSON text of a string; otherwise .p == NULL */
    struct psa_str text;   /* without LF; points into what was parsed */
};

struct psa_spool_cursor {
    uint64_t done;
    bool has_checkpoint;
    uint64_t checkpoint;
    uint64_t missing; /* sequence numbers that were never there: dropped by the writer, or damaged */
    uint64_t damaged; /* stretches of bytes set aside */
    uint64_t expired; /* older than --max-age */
};

/* Append the record as a line. */
void psa_spool_format_line(struct psa_buf *out, const struct psa_spool_record *record);
/* Read one line, given without its LF, of a segment (dead: of the dead letters). false: it is not valid. */
bool psa_spool_parse_line(struct psa_str line, bool dead, struct psa_spool_record *record);

void psa_spool_format_cursor(struct psa_buf *out, const struct psa_spool_cursor *cursor);
bool psa_spool_parse_cursor(struct psa_str text, struct psa_spool_cursor *cursor);

void psa_spool_segment_name(uint64_t first, char name[PSA_SPOOL_NAME_MAX]);
/* Is this a segment's name? Then *first is the number in it. */
bool psa_spool_is_segment(const char *name, uint64_t *first);

/* Rule 2 of what counts (see above): does the line numbered seq, with LAST before it, leave its segment? `later` is the
 * lowest number in the name of a segment behind it, 0 when there is none. */
bool psa_spool_is_continued(uint64_t last, uint64_t seq, uint64_t later);
/* Is a segment's tail damage? `before` is the greatest number of a valid line up to it, in whatever segment, at least
 * that before the oldest segment's name; `later` as above. */
bool psa_spool_is_lost_tail(uint64_t before, uint64_t later);

#endif
