/*
 * trend.h - the mean or the least-squares line of an array, or of the last samples of a stream, to be taken away.
 */
#ifndef PSA_DSP_TREND_H
#define PSA_DSP_TREND_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Take the mean of x[n] away (line: its least-squares line over the index), in place. NaN stays and is left out of the fit.
 * Two passes, so that an offset of a million does not cost digits.
 * Source: scipy.signal.detrend(x, type='constant' or 'linear').
 */
void psa_detrend(double *x, size_t n, bool line);

/*
 * Samples at the places t, as sums about their own means: all that a mean and a least-squares line need.
 * n = 0: the others are 0.
 */
struct psa_trend {
    double n, mean_t, mean_x;
    double tt; /* sum (t - mean_t)^2 */
    double tx; /* sum (t - mean_t) (x - mean_x) */
};

/*
 * The samples of both, those of b lying `shift` later than their places say. Chan, Golub and LeVeque, The American
 * Statistician 37(3), 1983, equation 2.1, doi:10.1080/00031305.1983.10483115, and likewise for the product: Pebay, Formulas
 * for robust, one-pass parallel computation of covariances, Sandia Report SAND2008-6212, 2008, equation 3.5.
 */
struct psa_trend psa_trend_merge(struct psa_trend a, struct psa_trend b, double shift);

/* The mean, or the line's value at t; NaN for n == 0. The line of one sample, or of samples at one place, is their mean. */
double psa_trend_at(const struct psa_trend *trend, double t, bool line);

/*
 * The trend of the last `length` samples, missing ones (NaN) keeping their places. Blocks of `length` samples are laid end
 * to end; the window is the end of the last block and the begin of this one. The ends of a block are merged once, from
 * its last sample backwards, when it is full; so nothing is ever subtracted and no rounding outlives two blocks. O(1) a
 * sample but for that, O(length) at every length-th.
 * Source: van Herk, A fast algorithm for local minimum and maximum filters, Pattern Recognition Letters 13(7), 1992,
 * doi:10.1016/0167-8655(92)90069-C, for sums in place of minima.
 *
 * The state lies in v[psa_trend_state(length)], zeros at first, and in *at, how many samples this block has: 0 at
 * first, below length always.
 */
size_t psa_trend_state(size_t length);
/* Put a sample in (NaN: a missing one) and return the mean or the line's value at it; NaN when the window is empty. */
double psa_trend_push(double *v, size_t *at, size_t length, double x, bool line);

#endif
