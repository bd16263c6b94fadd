/* scaler.c - see scaler.h. */
#include "model/scaler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

int psa_scaler_init(struct psa_scaler *scaler, size_t n)
{
    scaler->n = n;
    scaler->identity = false;
    scaler->mean = calloc(n + 1, sizeof *scaler->mean);
    scaler->scale = calloc(n + 1, sizeof *scaler->scale);
    if (scaler->mean == NULL || scaler->scale == NULL) {
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

int psa_scaler_fit(struct psa_scaler *scaler, const double *rows, size_t n_rows, size_t n)
{
    double count = (double)n_rows;

    if (psa_scaler_init(scaler, n) != 0) return -1;
    for (size_t j = 0; j < n; j++) {
        double sum = 0.0, squares = 0.0, rest = 0.0, mean, variance;

        for (size_t i = 0; i < n_rows; i++) sum += rows[i * n + j];
        mean = sum / count;
        for (size_t i = 0; i < n_rows; i++) {
            double d = rows[i * n + j] - mean;

            squares += d * d;
            rest += d;
        }
        variance = (squares - rest * rest / count) / count;
        scaler->mean[j] = mean;
        scaler->scale[j] = is_constant(variance, mean, count) ? 1.0 : sqrt(variance);
    }
    return 0;
}

void psa_scaler_transform(const struct psa_scaler *scaler, const double *row, double *out)
{
    for (size_t j = 0; j < scaler->n; j++) {
        double x = isnan(row[j]) ? scaler->mean[j] : row[j];

        out[j] = scaler->identity ? x : (x - scaler->mean[j]) / scaler->scale[j];
    }
}

void psa_scaler_free(struct psa_scaler *scaler)
{
    free(scaler->mean);
    free(scaler->scale);
    *scaler = (struct psa_scaler){ .n = 0 };
}
