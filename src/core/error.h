/* error.h - errors that end a run: an exit status and one sentence. */
#ifndef PSA_CORE_ERROR_H
#define PSA_CORE_ERROR_H

#include "psa.h"

/* Fill *error and return -1, so that a caller can write `return psa_fail(error, PSA_EXIT_PERMANENT, ...)`. A longer text
 * is cut at the size of error->text. */
int psa_fail(struct psa_error *error, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for "out of memory" while doing `what`. */
int psa_fail_memory(struct psa_error *error, const char *what);

#endif
