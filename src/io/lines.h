/*
 * lines.h - lines from the files named as arguments, or stdin, one after the other.
 *
 * Whenever a read would block, `idle` is called first (filters flush their output there): output appears as soon as it
 * can, and in full blocks while more input is waiting.
 */
#ifndef PSA_IO_LINES_H
#define PSA_IO_LINES_H

#include "psa.h"

/* --max-line's default. */
#define PSA_LINES_MAX 1048576

enum psa_lines_got {
    PSA_GOT_LINE,
    PSA_GOT_TOO_LONG, /* a line above max_line; it was passed over, `skipped` says how long it was */
    PSA_GOT_FILE,     /* another file (or stdin) begins: name has changed, number starts again */
    PSA_GOT_NOTHING,  /* only with no_wait: a read would block now; poll lines->fd and come again */
    PSA_GOT_END,      /* the end of the last file, or a signal asked to stop and all complete lines are handed out */
    PSA_GOT_ERROR
};

struct psa_lines {
    char *const *file; /* names; "-" is stdin */
    size_t n_file, next_file;
    size_t max_line;
    int (*idle)(void *ctx, struct psa_error *error); /* may be NULL */
    void *ctx;
    bool no_wait;          /* never wait for input; the owner polls lines->fd and whatever else it waits for */
    int64_t wake_every_ns; /* call idle about that often, waiting or not; 0: only before a read that would block */

    const char *name; /* of the file at hand: "stdin" or as given */
    uint64_t number;  /* of the line last handed out, from 1 */
    uint64_t bytes;   /* read from this file so far */
    int fd;
    char *buffer;
    size_t begin, end, cap, searched;
    uint64_t skipped; /* bytes of a line too long */
    int64_t woken_at_ns;
    bool torn;                    /* the line last handed out had no LF: the file ended in it */
    bool eof, opened, unfinished; /* unfinished: a stop left an incomplete line behind */
};

/* file: n_file names (argv's rest), none means stdin. Nothing is opened yet. */
void psa_lines_init(struct psa_lines *lines, char *const *file, size_t n_file, size_t max_line);
/* The next line, without LF or CRLF, valid until the next call. */
enum psa_lines_got psa_lines_next(struct psa_lines *lines, struct psa_str *line, struct psa_error *error);
/* Look ahead, before a file's first line is asked for: wait until more than `beyond` bytes of it are there. *bytes is all
 * that is, valid until the next call; PSA_GOT_LINE, or PSA_GOT_END where no more will come. Nothing is consumed. */
enum psa_lines_got psa_lines_peek(struct psa_lines *lines, size_t beyond, struct psa_str *bytes,
                                  struct psa_error *error);
/* The same file's bytes instead of its lines: up to n into p, waiting as for a line. How many; 0 at the end or when a
 * signal asks to stop; -1 with *error set. */
ptrdiff_t psa_lines_read(struct psa_lines *lines, char *p, size_t n, struct psa_error *error);
/* Whole lines that were read from the file and not handed out. */
size_t psa_lines_buffered(const struct psa_lines *lines);
void psa_lines_free(struct psa_lines *lines);

#endif
