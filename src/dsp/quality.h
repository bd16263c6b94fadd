/*
 * quality.h - whether a window's samples can be believed: a dead sensor is not a quiet machine. No NaN is allowed in x.
 */
#ifndef PSA_DSP_QUALITY_H
#define PSA_DSP_QUALITY_H

#include <stddef.h>

/* The longest run of equal values (0 and -0 are equal) over n: 1/n when no two neighbours are equal, 1 for a constant
 * window. NaN of no samples. */
double psa_stuck(const double *x, size_t n);

/*
 * The share of samples at the end of the sensor's range, 0..1. With a known range, those at or below low, or at or
 * above high; either may be NaN: not known. With neither known, those in runs of at least PSA_CLIPPED_RUN at the
 * window's own minimum or maximum: a signal cut off has flat tops, one that only peaks there has not. (A constant
 * window is one such run: 1. Coarsely rounded signals have such runs too; give their range.) NaN of no samples.
 */
enum { PSA_CLIPPED_RUN = 3 };
double psa_clipped(const double *x, size_t n, double low, double high);

/* The share of samples that should be there and are not, 0..1: 1 - n_present / n_expected, 0 when there are more than
 * expected. NaN when none is expected. */
double psa_dropout(size_t n_present, size_t n_expected);

#endif
