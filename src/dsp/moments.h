/*
 * moments.h - statistics of one window of samples. A missing sample (NaN) is the caller's to leave out: one NaN in x
 * makes the sums NaN and the extremes meaningless.
 */
#ifndef PSA_DSP_MOMENTS_H
#define PSA_DSP_MOMENTS_H

#include <stdbool.h>
#include <stddef.h>

/* All in the unit of x, or its square (var), or without unit (skewness, kurtosis). */
struct psa_moments {
    size_t n;
    double mean;
    double var, std; /* population: divided by n */
    double rms;
    double skewness; /* biased, g1 = m3 / m2^1.5 */
    double kurtosis; /* biased, Fisher's: g2 = m4 / m2^2 - 3 */
    double min, max, ptp;
};

/*
 * Everything above of x[n]; for n == 0 all are NaN. Skewness and kurtosis are NaN for a window that is constant but for
 * rounding, m2 <= (1e-15 mean)^2, and not finite where a power of the deviations leaves the range of a double (from
 * about 1e77 upwards and 1e-77 downwards). A constant window has exactly its value as mean and 0 as var.
 *
 * Two passes: sums, then powers of the deviations from the mean, corrected for the mean's own rounding (Chan, Golub and
 * LeVeque, The American Statistician 37(3), 1983, equation 1.7, doi:10.1080/00031305.1983.10483115, carried on to the
 * third and fourth power). The order of the additions is fixed: four partial sums, of every fourth sample each, so the
 * bits do not depend on the compiler. Definitions: numpy.mean, var, std, ptp; scipy.stats.skew and kurtosis.
 */
struct psa_moments psa_moments_of(const double *x, size_t n);

/* Constant but for rounding, var <= (1e-15 mean)^2: SciPy's rule, by which such a window has no skewness, kurtosis,
 * autocorrelation or mobility. True for n == 0 and where var is NaN, which have none either. */
bool psa_moments_constant(const struct psa_moments *moments);

/*
 * Spectral energy of the window without its constant part, in the unit of x squared: (1/n) sum of |X_k|^2 over k = 1 ..
 * n-1 of the full transform X_k = sum_t x_t exp(-2 pi i k t / n). By Parseval's theorem that is the sum of the squared
 * deviations from the mean, n var, which takes no transform and rounds less (Oppenheim and Schafer, Discrete-Time Signal
 * Processing, chapter 8). 0 for a constant window; NaN for n == 0.
 */
double psa_spectral_energy(const struct psa_moments *moments);

/* The mean of the last `last` of x[n], of all when there are fewer; NaN of none. */
double psa_moving_avg(const double *x, size_t n, size_t last);

/* Zero crossings: changes of sign over n - 1; -0 counts as negative. NaN for n < 2. Source:
 * numpy.count_nonzero(numpy.diff(numpy.signbit(x))). */
double psa_zcr(const double *x, size_t n);

#endif
