/*
 * ecod_surprise.h - what a stream's ECOD (ecod.h) and a frozen sample's (ecod_sample.h) have in common: how surprising a
 * rank is, and when a skewness counts as 0. The paper and the formulas stand in ecod.h.
 */
#ifndef PSA_MODEL_ECOD_SURPRISE_H
#define PSA_MODEL_ECOD_SURPRISE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

/* A sample skewness below this is 0: on exactly symmetric data summation leaves some 1e-16, and PyOD's own sums then
 * happen to give 0. */
#define PSA_ECOD_SKEW_ZERO 1e-12
/* scipy.stats.skew calls a column constant when its variance is below (1e-15 mean)^2. */
#define PSA_ECOD_SKEW_RESOLUTION 1e-15

/* O_j of a value that lies among n, `below` of them less than it, `up_to` not greater. */
static inline double psa_ecod_surprise(size_t below, size_t up_to, size_t n, bool skew_is_zero)
{
    double left = -log((double)up_to / (double)n), right = -log((double)(n - below) / (double)n);

    if (skew_is_zero) return left + right;
    return left > right ? left : right;
}

/* Is the skewness of values with this mean and these central moments 0, or are they a constant? */
static inline bool psa_ecod_skew_is_zero(double mean, double m2, double m3)
{
    double resolution = PSA_ECOD_SKEW_RESOLUTION * mean;

    return m2 <= resolution * resolution || fabs(m3) / pow(m2, 1.5) < PSA_ECOD_SKEW_ZERO;
}

#endif
