/*
 * ecod_sample.h - ECOD against a frozen sample of rows: how far out each value of a row lies among the sample's, what the
 * library PyOD calls decision_function of one row. The formulas and the paper stand in ecod.h; a column's n values are the
 * sample's and the row's own.
 *
 * A row costs two binary searches a column. Only a column whose sample is symmetric to six digits, and stays so with the
 * row's value, is summed anew. Memory: 8 bytes a value.
 */
#ifndef PSA_MODEL_ECOD_SAMPLE_H
#define PSA_MODEL_ECOD_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>

#define PSA_ECOD_SAMPLE_MAX (1 << 20) /* rows: up to here rounding cannot hide a skewness, see ecod_sample.c */

struct psa_ecod_column {
    const double *sorted; /* [n], ascending */
    double mean, m2, m3;  /* mean of the values, means of (x - mean)^2 and (x - mean)^3 */
    bool symmetric;       /* the sample's own skewness is 0 */
};

struct psa_ecod_sample {
    size_t n, n_columns;
    struct psa_ecod_column *column; /* [n_columns] */
};

/* Fill a column from n >= 1 finite values in ascending order, lent to it. */
void psa_ecod_column_init(struct psa_ecod_column *column, const double *sorted, size_t n);

/* The score of a row of n_columns values beside the sample. contribution (NULL: not wanted) receives each column's part. */
double psa_ecod_sample_score(const struct psa_ecod_sample *sample, const double *row, double *contribution);

/* The score of a row of the sample, among the sample alone: PyOD's decision_scores_. */
double psa_ecod_sample_own_score(const struct psa_ecod_sample *sample, const double *row);

#endif
