/*
 * mahalanobis.h - robust Mahalanobis distances: how far a row lies from the bulk of the training rows, whatever a
 * minority of them was.
 *
 *     D2 = d' S^-1 d,   d = x - m
 *
 * P. C. Mahalanobis, Proceedings of the National Institute of Sciences of India 2(1), 1936. m and S are the minimum
 * covariance determinant estimate: of all choices of h = ceil((n + p + 1) / 2) rows the mean and covariance of that
 * whose covariance has the smallest determinant, found by FAST-MCD: P. J. Rousseeuw, K. Van Driessen, "A Fast Algorithm
 * for the Minimum Covariance Determinant Estimator", Technometrics 41(3), 1999, DOI 10.1080/00401706.1999.10485670. 500
 * random subsets of p + 1 rows, two C-steps each (theorem 1: take the h rows nearest by the last estimate), the ten
 * best until they converge; more than 600 rows go through nested subsets of 300 first (section 3.3). Then one
 * reweighting: mean and covariance of the rows whose distance, its median made that of a normal distribution, is below
 * the 97.5 % quantile of chi-square with p degrees of freedom.
 *
 * The estimate, its support and the distances are scikit-learn's MinCovDet's wherever both searches find the minimum, and
 * so its details hold: h, covariances divided by n, the reweighting's limit. The search is the paper's where the two differ:
 * scikit-learn nests from 500 rows on and takes as many subsets of 300 as there are, psa from 600 on and five at most.
 *
 * Where psa goes beyond it: columns that are quantised. More than half of the rows may share one value of such a
 * column, and the smallest determinant is then 0, at rows that say nothing about the rest. A column whose commonest
 * value stands in more than QUANTISED of the rows, and in five at least, has, as any reading rounded to steps of q, an
 * uncertainty of variance q^2 / 12 (W. F. Sheppard, Proceedings of the London Mathematical Society s1-29(1), 1897, DOI
 * 10.1112/plms/s1-29.1.353), which is added to its variance everywhere; q is the median step between its neighbouring
 * values, 1 for a constant column. Where more than half of the rows are equal in all columns, a machine at rest, there is
 * no bulk: the determinant is smallest at that one point, whatever the others are, and training fails.
 */
#ifndef PSA_MODEL_MAHALANOBIS_H
#define PSA_MODEL_MAHALANOBIS_H

#include <stddef.h>
#include <stdint.h>

#define PSA_MAHALANOBIS_COLUMNS_MAX 256 /* a training of a thousand rows then takes half a minute */
#define PSA_MAHALANOBIS_QUANTISED 0.1   /* share of the rows with one value that makes a column a quantised one */

struct psa_mahalanobis {
    size_t n_columns;
    size_t n_support;   /* rows that mean and covariance are of */
    double *mean;       /* [n_columns] */
    double *covariance; /* [n_columns][n_columns], symmetric, positive definite */
};

/* Room for one; 0, or -1 when memory is out. It owns its arrays; a zeroed one may be freed. */
int psa_mahalanobis_init(struct psa_mahalanobis *model, size_t n_columns);
void psa_mahalanobis_free(struct psa_mahalanobis *model);

struct psa_mahalanobis_progress {
    void (*show)(void *ctx, size_t done, size_t total); /* after each start; may be NULL */
    void *ctx;
};

/*
 * Learn from rows[n_rows][n_columns], finite, n_rows > 2 n_columns. 0; -1 when memory is out; 1 when the covariance is
 * singular: *column (may be NULL) then depends on the columns before it; 2 when more than half of the rows are one point.
 */
int psa_mahalanobis_train(struct psa_mahalanobis *model, const double *rows, size_t n_rows, size_t n_columns,
                          uint64_t seed, const struct psa_mahalanobis_progress *progress, size_t *column);

/* precision[n_columns][n_columns] becomes the inverse of the covariance. 0, or 1 when it is not positive definite. */
int psa_mahalanobis_invert(const struct psa_mahalanobis *model, double *precision);

/* D2 of a row of values, none NaN, held within PSA_VALUE_MAX of the mean; finite. contribution[n_columns] (NULL: not wanted) becomes d_j (S^-1 d)_j, which sum to D2; a
 * column that drew the row back to the bulk has a negative one. */
double psa_mahalanobis_score(const struct psa_mahalanobis *model, const double *precision, const double *row,
                             double *contribution);

/* The quantile at level 0 < level < 1 of the chi-square distribution with n >= 1 degrees of freedom. Bisection of the
 * regularised incomplete gamma function P(n/2, x/2): its series below a + 1 and Lentz's continued fraction above, NIST
 * DLMF 8.7.1 and 8.9.2. Relative error below 1e-12. */
double psa_chi_square_quantile(size_t n, double level);

#endif
