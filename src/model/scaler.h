/*
 * scaler.h - the standard scaler: each column to mean 0 and variance 1, as scikit-learn's StandardScaler.
 *
 *     z = (x - mean) / scale,   scale = sqrt(population variance), or 1 for a constant column
 *
 * Source: F. Pedregosa et al., "Scikit-learn: Machine Learning in Python", JMLR 12, 2011, and its
 * preprocessing/_data.py; the variance is the corrected two-pass algorithm of T. Chan, G. Golub, R. LeVeque, "Algorithms
 * for Computing the Sample Variance", The American Statistician 37(3), 1983, eq. 1.7, DOI 10.1080/00031305.1983.10483115.
 */
#ifndef PSA_MODEL_SCALER_H
#define PSA_MODEL_SCALER_H

#include <stdbool.h>
#include <stddef.h>

struct psa_scaler {
    size_t n;      /* columns */
    bool identity; /* values stay as they are; mean still says what a missing one stands for */
    double *mean;  /* [n], in the columns' units */
    double *scale; /* [n], > 0, in the columns' units */
};

/* Room for n columns, mean 0 and scale 1. 0, or -1 when memory is out. The scaler owns its arrays. */
int psa_scaler_init(struct psa_scaler *scaler, size_t n);

/* Learn mean and scale of n_rows x n values, row after row, all finite; n_rows >= 1. 0, or -1 when memory is out. */
int psa_scaler_fit(struct psa_scaler *scaler, const double *rows, size_t n_rows, size_t n);

/* Transform one row of n values; out may be row. A NaN stands for the training mean, so it becomes 0 (or, with identity,
 * the mean itself). */
void psa_scaler_transform(const struct psa_scaler *scaler, const double *row, double *out);

void psa_scaler_free(struct psa_scaler *scaler);

#endif
