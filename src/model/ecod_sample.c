/*
 * ecod_sample.c - see ecod_sample.h.
 *
 * When is a skewness exactly 0, so that both tails of a column count? When it is below PSA_ECOD_SKEW_ZERO, summed in
 * two passes. Those passes are spared wherever the moments of the sample, one value added (P. Pebay, "Formulas for Robust,
 * One-Pass Parallel Computation of Covariances and Arbitrary-Order Statistical Moments", Sandia report SAND2008-6212, 2008:
 * the incremental update), show a skewness above SKEW_CLEAR. Rounding cannot have made it: sums of n terms err by less than n u
 * sum |d|^3, and mean |d|^3 <= sqrt(n) m2^1.5, so the skewness errs by less than n^1.5 u < 2e-7 for n <= 2^20.
 */
#include "model/ecod_sample.h"

#include <math.h>

#include "model/ecod_surprise.h"

#define SKEW_CLEAR 1e-6
#define SPREAD_CLEAR 1e-9 /* of the mean: a standard deviation above this is no rounding either */

/* Moments of sorted[n] and, with_x, of x behind them. The mean's own rounding error r is taken out again: m2 - r^2 and
 * m3 - 3 r m2 + 2 r^3 are the moments about mean + r. */
static void sum_moments(const double *sorted, size_t n, bool with_x, double x, struct psa_ecod_column *out)
{
    double count = (double)n + (with_x ? 1.0 : 0.0), mean = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0, r, d;

    for (size_t i = 0; i < n; i++) mean += sorted[i];
    mean = (with_x ? mean + x : mean) / count;
    for (size_t i = 0; i < n + (with_x ? 1 : 0); i++) {
        d = (i < n ? sorted[i] : x) - mean;
        s1 += d;
        s2 += d * d;
        s3 += d * d * d;
    }
    r = s1 / count;
    out->mean = mean;
    out->m2 = s2 / count - r * r;
    out->m3 = s3 / count - 3.0 * r * (s2 / count) + 2.0 * r * r * r;
}

void psa_ecod_column_init(struct psa_ecod_column *column, const double *sorted, size_t n)
{
    *column = (struct psa_ecod_column){ .sorted = sorted };
    sum_moments(sorted, n, false, 0.0, column);
    column->symmetric = sorted[0] == sorted[n - 1] || psa_ecod_skew_is_zero(column->mean, column->m2, column->m3);
}

/* Is the skewness of the sample and x 0? */
static bool symmetric_with(const struct psa_ecod_column *column, size_t n, double x)
{
    double count = (double)n + 1.0, part = (double)n / count, d = x - column->mean, mean, m2, m3;
    struct psa_ecod_column exact;

    mean = column->mean + d / count;
    m2 = part * (column->m2 + d * d / count);
    m3 = part * (column->m3 + d * (d * d * ((double)n - 1.0) / count - 3.0 * column->m2) / count);
    if (m2 > SPREAD_CLEAR * SPREAD_CLEAR * mean * mean && fabs(m3) > SKEW_CLEAR * m2 * sqrt(m2)) return false;
    if (column->sorted[0] == x && column->sorted[n - 1] == x)
        return true; /* a constant, whatever rounding makes of it */
    sum_moments(column->sorted, n, true, x, &exact);
    return psa_ecod_skew_is_zero(exact.mean, exact.m2, exact.m3);
}

/* How many of sorted[n] are below x, or, with_equal, not above it. */
static size_t rank_of(const double *sorted, size_t n, double x, bool with_equal)
{
    size_t from = 0, to = n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (sorted[middle] < x || (with_equal && sorted[middle] == x)) from = middle + 1;
        else to = middle;
    }
    return from;
}

/* O_j where `more` values (the row's own: 1, or 0 when the sample holds it) equal to x are added to the n. */
static double surprise(const struct psa_ecod_column *column, size_t n, size_t more, double x, bool both_tails)
{
    size_t below = rank_of(column->sorted, n, x, false), up_to = rank_of(column->sorted, n, x, true) + more;

    return psa_ecod_surprise(below, up_to, n + more, both_tails);
}

double psa_ecod_sample_score(const struct psa_ecod_sample *sample, const double *row, double *contribution)
{
    double total = 0.0;

    for (size_t j = 0; j < sample->n_columns; j++) {
        const struct psa_ecod_column *column = &sample->column[j];
        double part = surprise(column, sample->n, 1, row[j], symmetric_with(column, sample->n, row[j]));

        if (contribution != NULL) contribution[j] = part;
        total += part;
    }
    return total;
}

double psa_ecod_sample_own_score(const struct psa_ecod_sample *sample, const double *row)
{
    double total = 0.0;

    for (size_t j = 0; j < sample->n_columns; j++)
        total += surprise(&sample->column[j], sample->n, 0, row[j], sample->column[j].symmetric);
    return total;
}
