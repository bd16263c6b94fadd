/*
 * quantile.h - quantiles by linear interpolation, and the sorting they need. NaN is not allowed in either.
 */
#ifndef PSA_DSP_QUANTILE_H
#define PSA_DSP_QUANTILE_H

#include <stddef.h>

/* Sort x[n] in place, ascending; O(n log n) always, no allocation. Not stable: only -0 and 0 could tell. Source:
 * introsort, Musser, Introspective Sorting and Selection Algorithms, Software: Practice and Experience 27(8), 1997. */
void psa_sort(double *x, size_t n);

/*
 * The median of x[n]: of two in the middle their mean, NaN for n == 0. x is left in another order. No allocation; the
 * time is that of its elements looked at about three times, and never worse than a sort's. Source: quickselect, Hoare,
 * Algorithm 65: find, Communications of the ACM 4(7), 1961, doi:10.1145/366622.366647, bounded as Musser's introselect.
 */
double psa_median(double *x, size_t n);

/*
 * The quantile q (0..1, clamped) of sorted[n]: the value at h = (n - 1) q, linear between neighbours; NaN for n == 0 or
 * q NaN. Type 7 of Hyndman and Fan, The American Statistician 50(4), 1996, doi:10.1080/00031305.1996.10473566, with the
 * rounding of numpy.quantile (1.22 and later): a + (b - a) t below t = 0.5, b - (b - a)(1 - t) from there on.
 */
double psa_quantile_sorted(const double *sorted, size_t n, double q);

#endif
