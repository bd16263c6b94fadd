/*
 * csv.h - rows of separated values, RFC 4180, from a stream of lines: any one-byte separator, cells in double quotes
 * may hold the separator, doubled quotes and line ends (which are read as LF). CRLF and LF both end a row.
 *
 * A quote that never closes must not swallow the rest of a file: a row of several lines that turns out to be none costs
 * only its first line, and the lines behind it are read again. Memory is bounded by the longest row, max_line.
 */
#ifndef PSA_IO_CSV_H
#define PSA_IO_CSV_H

#include "core/arena.h"
#include "core/buf.h"
#include "io/lines.h"
#include "psa.h"

#define PSA_CSV_CELLS_MAX 4096

enum psa_csv_got {
    PSA_CSV_ROW,
    PSA_CSV_BAD,      /* `why` says what is wrong with the line `text` */
    PSA_CSV_TOO_LONG, /* a line above the reader's max_line; `long_bytes` is its length */
    PSA_CSV_END,
    PSA_CSV_ERROR
};

struct psa_csv {
    struct psa_lines *lines; /* the caller's; reads one file only */
    char separator;
    struct psa_str *cell; /* [n_cell] of the row at hand, unquoted */
    size_t n_cell;
    struct psa_str text; /* the row as it stood, without its line end */
    uint64_t number;     /* its first line */
    const char *why;
    uint64_t long_bytes;

    struct psa_buf joined; /* a row of more than one line */
    struct psa_buf again;  /* lines to be read again, each ended by LF */
    size_t again_at;
    uint64_t again_number;  /* of the line at again_at */
    bool long_waits, ended; /* a line too long, or the end, was met within a row */
    struct psa_arena arena; /* cells with doubled quotes */
};

/* Begin with a line that has been read from `lines` already (its first, say, to tell the format). -1 when memory is
 * out; psa_csv_free in any case. */
int psa_csv_begin(struct psa_csv *csv, struct psa_lines *lines, struct psa_str first, char separator);
/* The next row that is not blank; everything it points to is valid until the next call. */
enum psa_csv_got psa_csv_next(struct psa_csv *csv, struct psa_error *error);
void psa_csv_free(struct psa_csv *csv);

/* The separator of a header line: the one of , ; and tab that it holds most often outside quotes; a comma if none. */
char psa_csv_separator(struct psa_str header);

#endif
