/* scaler.c - see scaler.h. */
#include "model/scaler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "dsp/quantile.h"
#include "model/tail.h"

const char *psa_scaler_name(enum psa_scaler_kind kind)
{
    static const char *const names[PSA_SCALER_KINDS] = { "none", "standard", "robust", "minmax" };

    return names[kind];
}

int psa_scaler_init(struct psa_scaler *scaler, enum psa_scaler_kind kind, size_t n)
{
    *scaler = (struct psa_scaler){ .kind = kind, .n = n };
    scaler->mean = calloc(n + 1, sizeof *scaler->mean);
    scaler->center = calloc(n + 1, sizeof *scaler->center);
    scaler->scale = calloc(n + 1, sizeof *scaler->scale);
    if (scaler->mean == NULL || scaler->center == NULL || scaler->scale == NULL) {
        psa_scaler_free(scaler);
        return -1;
    }
    for (size_t j = 0; j < n; j++) scaler->scale[j] = 1.0;
    return 0;
}

/* A variance that rounding alone can explain is that of a constant (scikit-learn's _is_constant_feature). */
static bool is_constant(double variance, double mean, double n)
{
    double rounding = n * mean * DBL_EPSILON;

    return variance <= n * DBL_EPSILON * variance + rounding * rounding;
}

/* The width of a spread too small to divide by is 1 (scikit-learn's _handle_zeros_in_scale). */
static double scale_of(double spread)
{
    return spread < 10.0 * DBL_EPSILON ? 1.0 : spread;
}

static double mean_of(const double *rows, size_t n_rows, size_t n, size_t j)
{
    double sum = 0.0;

    for (size_t i = 0; i < n_rows; i++) sum += rows[i * n + j];
    return sum / (double)n_rows;
}

static void fit_standard(struct psa_scaler *scaler, size_t j, const double *rows, size_t n_rows)
{
    double count = (double)n_rows, squares = 0.0, rest = 0.0, mean = scaler->mean[j], variance;

    for (size_t i = 0; i < n_rows; i++) {
        double d = rows[i * scaler->n + j] - mean;

        squares += d * d;
        rest += d;
    }
    variance = (squares - rest * rest / count) / count;
    scaler->center[j] = mean;
    scaler->scale[j] = is_constant(variance, mean, count) ? 1.0 : sqrt(variance);
}

/* sorted: the column's values, ascending. */
static void fit_sorted(struct psa_scaler *scaler, size_t j, const double *sorted, size_t n_rows)
{
    if (scaler->kind == PSA_SCALER_ROBUST) {
        scaler->center[j] = psa_tail_quantile(sorted, n_rows, 0.5);
        scaler->scale[j] = scale_of(psa_tail_quantile(sorted, n_rows, 0.75) - psa_tail_quantile(sorted, n_rows, 0.25));
    } else {
        scaler->center[j] = sorted[0];
        scaler->scale[j] = scale_of(sorted[n_rows - 1] - sorted[0]);
    }
}

int psa_scaler_fit(struct psa_scaler *scaler, enum psa_scaler_kind kind, const double *rows, size_t n_rows, size_t n)
{
    double *sorted = NULL;

    if (psa_scaler_init(scaler, kind, n) != 0) return -1;
    if (kind == PSA_SCALER_ROBUST || kind == PSA_SCALER_MINMAX) {
        sorted = malloc(n_rows * sizeof *sorted);
        if (sorted == NULL) {
            psa_scaler_free(scaler);
            return -1;
        }
    }
    for (size_t j = 0; j < n; j++) {
        scaler->mean[j] = mean_of(rows, n_rows, n, j);
        if (kind == PSA_SCALER_STANDARD) fit_standard(scaler, j, rows, n_rows);
        if (sorted == NULL) continue;
        for (size_t i = 0; i < n_rows; i++) sorted[i] = rows[i * n + j];
        psa_sort(sorted, n_rows);
        fit_sorted(scaler, j, sorted, n_rows);
    }
    free(sorted);
    return 0;
}

void psa_scaler_transform(const struct psa_scaler *scaler, const double *row, double *out)
{
    for (size_t j = 0; j < scaler->n; j++) {
        double x = isnan(row[j]) ? scaler->mean[j] : row[j];

        out[j] = scaler->kind == PSA_SCALER_NONE ? x : (x - scaler->center[j]) / scaler->scale[j];
    }
}

void psa_scaler_free(struct psa_scaler *scaler)
{
    free(scaler->mean);
    free(scaler->center);
    free(scaler->scale);
    *scaler = (struct psa_scaler){ .n = 0 };
}
