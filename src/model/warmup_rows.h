/*
 * warmup_rows.h - the rows of a warm-up: kept until there are enough to learn from, and saved as JSON, oldest first:
 *
 *     "rows":[[x, ...], ...]
 *
 * Memory doubles as rows come, so that ten thousand new streams do not cost ten thousand warm-ups at once.
 */
#ifndef PSA_MODEL_WARMUP_ROWS_H
#define PSA_MODEL_WARMUP_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/json.h"

struct psa_warmup_rows {
    size_t n_columns, most; /* of a row; rows that there may be */
    size_t n, capacity;
    double *value; /* [n][n_columns], NaN for a missing one */
};

/* Empty; nothing is allocated before the first row. */
void psa_warmup_rows_init(struct psa_warmup_rows *rows, size_t n_columns, size_t most);
/* Forget the values; n stays. */
void psa_warmup_rows_free(struct psa_warmup_rows *rows);

/* Row i of those kept. */
const double *psa_warmup_row(const struct psa_warmup_rows *rows, size_t i);

/* Put a row of n_columns values behind the last. 0, or -1 when memory is out or there are `most` already. */
int psa_warmup_rows_add(struct psa_warmup_rows *rows, const double *row);

/* Append the member "rows". */
void psa_warmup_rows_save(const struct psa_warmup_rows *rows, struct psa_buf *out);
/* Read its value into empty ones; row: room for n_columns. false at a fault or where they do not fit. */
bool psa_warmup_rows_load(struct psa_warmup_rows *rows, double *row, struct psa_json *in);

/* Read an array of exactly n numbers, null being NaN, into row[n]. false at a fault, or where there are more or fewer. */
bool psa_row_load(double *row, size_t n, struct psa_json *in);

#endif
