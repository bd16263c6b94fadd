/*
 * robust.h - the median and the median absolute deviation of a window that slides: an ascending array of the window's
 * samples, kept sorted by moving what lies between the sample that leaves and the one that comes. Finding the places is
 * O(log n), moving O(n), but of memory in one piece: half a microsecond at 10001 samples. No NaN may come in.
 */
#ifndef PSA_DSP_ROBUST_H
#define PSA_DSP_ROBUST_H

#include <stddef.h>

/* Put x into sorted[n], which has room for n + 1. */
void psa_sorted_insert(double *sorted, size_t n, double x);

/* Take one sample equal to x out of sorted[n], n > 0. Of a value that is not in it the next greater one goes, or the
 * last. */
void psa_sorted_remove(double *sorted, size_t n, double x);

/* Both at once: n stays. */
void psa_sorted_replace(double *sorted, size_t n, double old, double x);

/* The median of sorted[n]: the mean of the two in the middle when n is even. NaN for n == 0. Source: numpy.median. */
double psa_sorted_median(const double *sorted, size_t n);

/*
 * The median of |x - center| over sorted[n], in O(log n): the deviations below the centre, walked downwards, and those
 * above it, upwards, are two ascending sequences. The bits are those of sorting the deviations. NaN for n == 0. Source:
 * scipy.stats.median_abs_deviation with center the median; selection from two sorted sequences by bisection.
 */
double psa_sorted_deviation(const double *sorted, size_t n, double center);

/* What makes the median absolute deviation of normal samples their standard deviation: 1 / Phi^-1(3/4), to four digits as
 * Hampel's identifier is written. Davies and Gather, Journal of the American Statistical Association 88(423), 1993,
 * doi:10.1080/01621459.1993.10476339; Pearson et al., EURASIP Journal on Advances in Signal Processing 2016:87,
 * doi:10.1186/s13634-016-0383-6. */
#define PSA_MAD_TO_SIGMA 1.4826

#endif
