/*
 * scaler.h - bring each column to a common scale, as scikit-learn's StandardScaler, RobustScaler and MinMaxScaler do.
 *
 *     z = (x - center) / scale
 *
 *     standard   center = mean      scale = sqrt(population variance)
 *     robust     center = median    scale = third quartile - first quartile
 *     minmax     center = least     scale = greatest - least: the training rows come to 0 .. 1, others may lie outside
 *     none       z = x
 *
 * The scale of a constant column is 1. A missing value stands for the training mean, whatever the kind.
 *
 * Source: F. Pedregosa et al., "Scikit-learn: Machine Learning in Python", JMLR 12, 2011, and its
 * preprocessing/_data.py; the variance is the corrected two-pass algorithm of T. Chan, G. Golub, R. LeVeque, "Algorithms
 * for Computing the Sample Variance", The American Statistician 37(3), 1983, eq. 1.7, DOI 10.1080/00031305.1983.10483115;
 * quantiles interpolate linearly (R. J. Hyndman, Y. Fan, "Sample Quantiles in Statistical Packages", The American
 * Statistician 50(4), 1996, definition 7, DOI 10.1080/00031305.1996.10473566).
 */
#ifndef PSA_MODEL_SCALER_H
#define PSA_MODEL_SCALER_H

#include <stdbool.h>
#include <stddef.h>

enum psa_scaler_kind {
    PSA_SCALER_NONE,
    PSA_SCALER_STANDARD,
    PSA_SCALER_ROBUST,
    PSA_SCALER_MINMAX,
    PSA_SCALER_KINDS, /* how many there are */
};

struct psa_scaler {
    enum psa_scaler_kind kind;
    size_t n;     /* columns */
    double *mean; /* [n], of the training rows: what a missing value stands for; in the columns' units, as the others */
    double *center; /* [n] */
    double *scale;  /* [n], > 0 */
};

/* "standard", "robust", "minmax", "none". */
const char *psa_scaler_name(enum psa_scaler_kind kind);

/* Room for n columns, mean and center 0 and scale 1. 0, or -1 when memory is out. The scaler owns its arrays. */
int psa_scaler_init(struct psa_scaler *scaler, enum psa_scaler_kind kind, size_t n);

/* Learn from n_rows x n values, row after row, all finite; n_rows >= 1. 0, or -1 when memory is out. */
int psa_scaler_fit(struct psa_scaler *scaler, enum psa_scaler_kind kind, const double *rows, size_t n_rows, size_t n);

/* Transform one row of n values, NaN: missing; out may be row. */
void psa_scaler_transform(const struct psa_scaler *scaler, const double *row, double *out);

void psa_scaler_free(struct psa_scaler *scaler);

#endif
