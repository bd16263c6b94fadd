/* writer.h - buffered, checked output to a file descriptor. */
#ifndef PSA_IO_WRITER_H
#define PSA_IO_WRITER_H

#include "core/buf.h"
#include "psa.h"

/* Output is written when this much is waiting, or when the owner flushes. */
#define PSA_WRITER_BYTES 65536

/* error->status of a write whose reader has gone: the program ends quietly, psa_exit_broken_pipe. */
#define PSA_BROKEN_PIPE (-1)

struct psa_writer {
    int fd;
    const char *name; /* for messages: "stdout" */
    struct psa_buf buf;
};

void psa_writer_init(struct psa_writer *writer, int fd, const char *name);
/* Append to writer->buf, then call this: it writes once enough is waiting. -1 with *error set when a write failed. */
int psa_writer_added(struct psa_writer *writer, struct psa_error *error);
int psa_writer_flush(struct psa_writer *writer, struct psa_error *error);
/* Flush, close the descriptor and report what either says. Frees the buffer. */
int psa_writer_close(struct psa_writer *writer, struct psa_error *error);

/* Write n bytes to fd, however many calls it takes. */
int psa_write_all(int fd, const char *name, const char *p, size_t n, struct psa_error *error);

/* Replace the file at path by text, whole or not at all: temporary file beside it, fsync, rename, fsync of the folder. */
int psa_file_replace(const char *path, struct psa_str text, struct psa_error *error);
/* Can a file be made beside path? Said at the start, so that hours of work are not lost at the end. */
int psa_file_check_folder(const char *path, struct psa_error *error);
/* Append a whole file to text. 1, without an error, when there is no such file; above max_bytes it is refused. */
int psa_file_read(const char *path, int64_t max_bytes, struct psa_buf *text, struct psa_error *error);
/* The same, for a name that nobody wrote: only a plain file is read, since to open a FIFO would wait for its other end. */
int psa_file_read_plain(const char *path, int64_t max_bytes, struct psa_buf *text, struct psa_error *error);

/* Remove every PATH.N, N being digits, whose number is greater than `id`, and every PATH.N.tmp: what psa_file_replace had
 * written of it when it was killed. */
int psa_file_forget(const char *path, const char *id, struct psa_error *error);

#endif
