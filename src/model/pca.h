/*
 * pca.h - principal component analysis of rows: T2 within the model, Q beside it, and both in one index.
 *
 * Rows x (scaled) less their mean; P the eigenvectors of the covariance matrix with the k largest eigenvalues l, the
 * fewest whose share of the sum is greater than `variance`; the covariance is divided by n - 1, as scikit-learn's PCA
 * does:
 *
 *     t = P'x,      T2 = sum of t_i^2 / l_i       how far out along the known directions
 *     r = x - P t,  Q = r'r                       what these leave over
 *     index = T2 / limit(T2) + Q / limit(Q)
 *
 * T2: H. Hotelling, Annals of Mathematical Statistics 2(3), 1931, DOI 10.1214/aoms/1177732979. Q: J. E. Jackson, G. S.
 * Mudholkar, Technometrics 21(3), 1979, DOI 10.1080/00401706.1979.10489779. The index: H. H. Yue, S. J. Qin,
 * "Reconstruction-based fault identification using a combined index", Industrial & Engineering Chemistry Research
 * 40(20), 2001, DOI 10.1021/ie000141+; here the limits are the 99 % quantiles of the training rows' own T2 and Q, not
 * those of a normal distribution.
 *
 * The index is the squared length of a vector, y = P l^-1/2 t / sqrt(limit(T2)) + r / sqrt(limit(Q)), so y_j^2 is
 * column j's part of it: >= 0, and their sum is the index (the complete decomposition of C. F. Alcala, S. J. Qin,
 * "Analysis and generalization of fault diagnosis methods for process monitoring", Journal of Process Control 21(3),
 * 2011, DOI 10.1016/j.jprocont.2010.10.005).
 */
#ifndef PSA_MODEL_PCA_H
#define PSA_MODEL_PCA_H

#include <stddef.h>

#include "model/linear.h"

#define PSA_PCA_LEVEL 0.99 /* the quantile that a limit is */
#define PSA_PCA_LIMIT_MIN \
    1e-12 /* least limit of T2 and Q: training rows that fit to the last bit make no rounding an anomaly */
#define PSA_PCA_COLUMNS_MAX 1024 /* the matrix then takes 8 MiB, a training about a second and a pass over the rows */

struct psa_pca {
    size_t n_columns, n_component;
    double *mean;      /* [n_columns] */
    double *variance;  /* [n_component], > 0, not ascending: eigenvalues */
    double *component; /* [n_component][n_columns], unit vectors */
    double share;      /* of the variance that the components hold, 0 .. 1 */
    double limit_t2, limit_q;
};

/* Room for a PCA; 1 <= n_component <= n_columns. 0, or -1 when memory is out. It owns its arrays; a zeroed one may be
 * freed. */
int psa_pca_init(struct psa_pca *pca, size_t n_columns, size_t n_component);
void psa_pca_free(struct psa_pca *pca);

/*
 * Learn from rows[n_rows][n_columns], finite, n_rows >= 2. The components are the fewest whose share is greater than
 * `variance` (0 < variance < 1). index[n_rows] becomes the rows' own index. 0; -1 when memory is out; 1 when there are
 * no components, because all rows are alike.
 */
int psa_pca_train(struct psa_pca *pca, const double *rows, size_t n_rows, size_t n_columns, double variance,
                  double *index);

/* The index of a row of n_columns values, none NaN, held within PSA_VALUE_MAX of the mean; T2 and Q into *t2 and *q.
 * contribution[n_columns] (NULL: not wanted) becomes each column's part. All are finite. space: 2 * n_columns doubles. */
double psa_pca_score(const struct psa_pca *pca, const double *row, double *t2, double *q, double *contribution,
                     double *space);

#endif
