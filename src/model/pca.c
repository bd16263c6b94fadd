/* pca.c - see pca.h. */
#include "model/pca.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dsp/quantile.h"

#define BLOCK 64 /* centred rows at a time for the covariance */

int psa_pca_init(struct psa_pca *pca, size_t n_columns, size_t n_component)
{
    *pca = (struct psa_pca){ .n_columns = n_columns, .n_component = n_component, .limit_t2 = 1.0, .limit_q = 1.0 };
    pca->mean = calloc(n_columns + 1, sizeof *pca->mean);
    pca->variance = calloc(n_component + 1, sizeof *pca->variance);
    pca->component = calloc(n_component * n_columns + 1, sizeof *pca->component);
    if (pca->mean != NULL && pca->variance != NULL && pca->component != NULL) return 0;
    psa_pca_free(pca);
    return -1;
}

void psa_pca_free(struct psa_pca *pca)
{
    free(pca->mean);
    free(pca->variance);
    free(pca->component);
    *pca = (struct psa_pca){ 0 };
}

/* ---- training --------------------------------------------------------------------------------------------- */

/* Column means, by two passes: the second adds what rounding took from the first. */
static void find_mean(const double *rows, size_t n_rows, size_t c, double *mean)
{
    for (size_t j = 0; j < c; j++) {
        double sum = 0.0, rest = 0.0;

        for (size_t i = 0; i < n_rows; i++) sum += rows[i * c + j];
        mean[j] = sum / (double)n_rows;
        for (size_t i = 0; i < n_rows; i++) rest += rows[i * c + j] - mean[j];
        mean[j] += rest / (double)n_rows;
    }
}

/* The upper triangle of the covariance, divided by n - 1. block: BLOCK * c doubles. */
static void find_covariance(const double *rows, size_t n_rows, size_t c, const double *mean, double *block,
                            double *matrix)
{
    memset(matrix, 0, c * c * sizeof *matrix);
    for (size_t from = 0; from < n_rows; from += BLOCK) {
        size_t n = n_rows - from < BLOCK ? n_rows - from : BLOCK;

        for (size_t k = 0; k < n * c; k++) block[k] = rows[from * c + k] - mean[k % c];
        cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)c, (int)n, 1.0 / ((double)n_rows - 1.0), block, (int)c,
                    1.0, matrix, (int)c);
    }
}

/* The fewest components whose share of the variance is greater than the one asked for (scikit-learn's PCA), none that
 * is only rounding; 0: no row differs from another. */
static size_t count_components(const double *value, size_t c, double variance, double *share)
{
    double total = 0.0, sum = 0.0;
    size_t n = 0;

    for (size_t j = 0; j < c; j++) total += value[c - 1 - j];
    if (!(total > 0.0)) return 0;
    while (n < c && value[c - 1 - n] > value[c - 1] * DBL_EPSILON * (double)c) {
        sum += value[c - 1 - n];
        n++;
        if (sum / total > variance) break;
    }
    *share = sum / total;
    return n;
}

static double limit_of(double *value, size_t n)
{
    double limit;

    psa_sort(value, n);
    limit = psa_quantile_sorted(value, n, PSA_PCA_LEVEL);
    return limit > PSA_PCA_LIMIT_MIN ? limit : PSA_PCA_LIMIT_MIN;
}

/* Limits from the training rows, and then their index. */
static int find_limits(struct psa_pca *pca, const double *rows, size_t n_rows, double *index)
{
    size_t c = pca->n_columns;
    double *t2 = malloc((2 * n_rows + 2 * c + 1) * sizeof *t2), *q, *space, unused[2];

    if (t2 == NULL) return -1;
    q = t2 + n_rows;
    space = q + n_rows;
    for (size_t i = 0; i < n_rows; i++) psa_pca_score(pca, rows + i * c, &t2[i], &q[i], NULL, space);
    pca->limit_t2 = limit_of(t2, n_rows);
    pca->limit_q = limit_of(q, n_rows);
    for (size_t i = 0; i < n_rows; i++)
        index[i] = psa_pca_score(pca, rows + i * c, &unused[0], &unused[1], NULL, space);
    free(t2);
    return 0;
}

/* The decomposition in the scratch: 0, -1, or 1 for rows all alike. */
static int decompose(struct psa_pca *pca, const double *rows, size_t n_rows, size_t c, double variance, double *scratch)
{
    double *matrix = scratch, *value = matrix + psa_aligned(c * c), *mean = value + psa_aligned(c);
    double *block = mean + psa_aligned(c), *space = block + psa_aligned(BLOCK * c), share = 0.0;
    size_t n;

    psa_linear_serial();
    find_mean(rows, n_rows, c, mean);
    find_covariance(rows, n_rows, c, mean, block, matrix);
    if (psa_eigen(matrix, c, value, space) != 0) return 1;
    n = count_components(value, c, variance, &share);
    if (n == 0) return 1;
    if (psa_pca_init(pca, c, n) != 0) return -1;
    pca->share = share;
    memcpy(pca->mean, mean, c * sizeof *mean);
    for (size_t k = 0; k < n; k++) {
        pca->variance[k] = value[c - 1 - k];
        memcpy(pca->component + k * c, matrix + (c - 1 - k) * c, c * sizeof *matrix);
    }
    return 0;
}

int psa_pca_train(struct psa_pca *pca, const double *rows, size_t n_rows, size_t n_columns, double variance,
                  double *index)
{
    size_t c = n_columns;
    double *scratch =
        psa_aligned_doubles(psa_aligned(c * c) + 2 * psa_aligned(c) + psa_aligned(BLOCK * c) + psa_eigen_space(c));
    int failed = scratch == NULL ? -1 : decompose(pca, rows, n_rows, c, variance, scratch);

    free(scratch);
    if (failed != 0) return failed;
    return find_limits(pca, rows, n_rows, index);
}

/* ---- scoring ---------------------------------------------------------------------------------------------- */

/* By a model from a file, whose components may be anything, even what is clamped may overflow. */
static double bounded(double square)
{
    return square <= DBL_MAX ? square : DBL_MAX;
}

double psa_pca_score(const struct psa_pca *pca, const double *row, double *t2, double *q, double *contribution,
                     double *space)
{
    size_t c = pca->n_columns;
    double *residual = space, *within = space + c, sum_t2 = 0.0, sum_q = 0.0;

    for (size_t j = 0; j < c; j++) {
        residual[j] = psa_value_clamped(row[j] - pca->mean[j]);
        within[j] = 0.0;
    }
    for (size_t k = 0; k < pca->n_component; k++) {
        const double *component = pca->component + k * c;
        double t = 0.0, scaled;

        for (size_t j = 0; j < c; j++) t += component[j] * psa_value_clamped(row[j] - pca->mean[j]);
        for (size_t j = 0; j < c; j++) residual[j] -= t * component[j];
        sum_t2 += t * t / pca->variance[k];
        if (contribution == NULL) continue;
        scaled = t / sqrt(pca->variance[k]);
        for (size_t j = 0; j < c; j++) within[j] += scaled * component[j];
    }
    for (size_t j = 0; j < c; j++) sum_q += residual[j] * residual[j];
    for (size_t j = 0; contribution != NULL && j < c; j++) {
        double part = within[j] / sqrt(pca->limit_t2) + residual[j] / sqrt(pca->limit_q);

        contribution[j] = bounded(part * part);
    }
    *t2 = bounded(sum_t2);
    *q = bounded(sum_q);
    return bounded(sum_t2 / pca->limit_t2 + sum_q / pca->limit_q);
}
