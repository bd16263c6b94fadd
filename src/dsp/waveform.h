/*
 * waveform.h - what one window of samples x[n] looks like in time, beside its moments (dsp/moments.h): size, change,
 * order and shape. No NaN is allowed in x. Where a quantity is not defined the result is NaN, never a plausible 0: of
 * no samples at all every function gives NaN, and what else is undefined is said beside each. Sums add in the order
 * of dsp/moments.h: four partial sums, of every fourth sample each.
 */
#ifndef PSA_DSP_WAVEFORM_H
#define PSA_DSP_WAVEFORM_H

#include <stddef.h>

#include "dsp/moments.h"

/* ---- size ------------------------------------------------------------------------------------------------------- */

/* max |x|, in the unit of x. numpy.max(numpy.abs(x)). */
double psa_peak(const double *x, size_t n);

/* (1/n) sum |x|, in the unit of x. numpy.mean(numpy.abs(x)). */
double psa_mean_abs(const double *x, size_t n);

/* (1/n) sum sqrt |x|, in the square root of the unit of x. numpy.mean(numpy.sqrt(numpy.abs(x))). */
double psa_mean_sqrt_abs(const double *x, size_t n);

/* sum x^2, in the unit of x squared: the total energy of tsfresh (abs_energy); n rms^2. */
double psa_energy(const double *x, size_t n);

/*
 * over / under, NaN when under is 0. The four factors of machine diagnosis (Caesarendra and Tjahjowidodo, Machines
 * 5(4), 21, 2017, doi:10.3390/machines5040021, where clearance is called margin factor; Signal Features in the manual
 * of MATLAB's Predictive Maintenance Toolbox), all without unit, and undefined for a window of zeros only:
 *     crest      psa_ratio(peak, rms)                             sqrt 2 of a sine
 *     shape      psa_ratio(rms, mean_abs)                         pi / (2 sqrt 2) of a sine
 *     impulse    psa_ratio(peak, mean_abs)                        pi / 2 of a sine
 *     clearance  psa_ratio(peak, mean_sqrt_abs * mean_sqrt_abs)
 */
double psa_ratio(double over, double under);

/* ---- spread and shape ------------------------------------------------------------------------------------------- */

/* (1/n) sum |x - mean|, in the unit of x; mean is that of x. numpy.mean(numpy.abs(x - x.mean())). */
double psa_mean_abs_dev(const double *x, size_t n, double mean);

/*
 * The median of |x - median|, in the unit of x, of sorted[n] (psa_sort) and its median; not scaled to the normal
 * distribution's standard deviation (that is 1.4826 times it). O(n), without sorting the deviations: from the median on
 * outwards they lie in order on both sides. scipy.stats.median_abs_deviation(x); Hampel, Journal of the American
 * Statistical Association 69(346), 1974, doi:10.1080/01621459.1974.10482962.
 */
double psa_median_abs_dev_sorted(const double *sorted, size_t n, double median);

/* Sample variance and standard deviation, divided by n - 1; NaN for n < 2. numpy.var(x, ddof=1), numpy.std(x,
 * ddof=1). */
double psa_var_sample(const struct psa_moments *moments);
double psa_std_sample(const struct psa_moments *moments);

/*
 * Skewness and kurtosis corrected for the bias they have in samples of a normal distribution (Joanes and Gill, The
 * Statistician 47(1), 1998, G1 and G2 of section 2, doi:10.1111/1467-9884.00122):
 *     G1 = sqrt(n (n-1)) / (n-2) g1,  NaN for n < 3        G2 = (n-1) / ((n-2)(n-3)) ((n+1) g2 + 6),  NaN for n < 4
 * and NaN where the biased ones are. scipy.stats.skew, kurtosis with bias=False (SciPy gives back the biased value
 * where n is too small, pandas NaN).
 */
double psa_skewness_unbiased(const struct psa_moments *moments);
double psa_kurtosis_unbiased(const struct psa_moments *moments);

/*
 * The entropy in nats of the histogram of x with `bins` bins of equal width from min to max: -sum p ln p over the
 * bins that are not empty. 0 for a constant window, ln bins at most. NaN when bins is not in 1..PSA_BINS_MAX, and
 * when max - min leaves the range of a double. scipy.stats.entropy(numpy.histogram(x, bins)[0]), bin for bin (NumPy's
 * rounding at the edges of bins is followed); tsfresh's binned_entropy. Shannon, Bell System Technical Journal 27(3),
 * 1948, section 6, doi:10.1002/j.1538-7305.1948.tb01338.x.
 */
enum { PSA_BINS_MAX = 1024 };
double psa_binned_entropy(const double *x, size_t n, size_t bins);

/* ---- change and order ------------------------------------------------------------------------------------------- */

/* sum |x[i] - x[i-1]|, in the unit of x; 0 for n = 1. numpy.sum(numpy.abs(numpy.diff(x))); tsfresh's
 * absolute_sum_of_changes; TSFEL calls it the sum of absolute differences. */
double psa_line_length(const double *x, size_t n);

/* The least-squares line's slope against time, sample i at i interval: the unit of x per the unit of interval. NaN for
 * n < 2 and an interval that is not positive. numpy.polyfit(t, x, 1)[0], scipy.stats.linregress. */
double psa_slope(const double *x, size_t n, double interval);

/*
 * Autocorrelation at a lag, biased: sum over t = 0 .. n-1-lag of (x[t] - mean)(x[t+lag] - mean), over the same with
 * lag 0. -1..1, without unit; 1 at lag 0. NaN for lag >= n and for a constant window (psa_moments_constant).
 * `moments` are those of x, n among them. statsmodels.tsa.stattools.acf(x, adjusted=False); Box and Jenkins, Time
 * Series Analysis, 1970, section 2.1.
 */
double psa_autocorr(const double *x, size_t lag, const struct psa_moments *moments);

/*
 * Hjorth's descriptors, of the differences d[i] = x[i] - x[i-1] in the place of the derivative, so per sample; by the
 * rate they become per second:
 *     activity   var x, in the unit of x squared
 *     mobility   sqrt(var d / var x), in 1/sample: the mean angular frequency; 2 sin(w/2) of a sine exp(iwt)
 *     complexity mobility of d / mobility of x, without unit; 1 of a sine
 * All variances are population variances. Mobility is NaN for n < 2 and for a constant window, complexity also for n
 * < 3 and where d is constant but for rounding. Hjorth, Electroencephalography and Clinical Neurophysiology 29(3),
 * 1970, doi:10.1016/0013-4694(70)90143-4; antropy.hjorth_params.
 */
struct psa_hjorth {
    double activity, mobility, complexity;
};
struct psa_hjorth psa_hjorth_of(const double *x, const struct psa_moments *moments);

/*
 * How often x crosses a level, as a count (psa_zcr in dsp/moments.h is the rate). 0 for n = 1.
 *     psa_mean_crossings   changes of the sign bit of x - mean; -0 is negative. Over n - 1 it is the zcr of x - mean.
 *                          numpy.count_nonzero(numpy.diff(numpy.signbit(x - mean)))
 *     psa_sign_changes     changes of sign(x), which is -1, 0 or 1: through an exact zero it counts twice.
 *                          TSFEL zero_cross: len(numpy.where(numpy.diff(numpy.sign(x)))[0])
 *     psa_level_crossings  changes of x > level. tsfresh's number_crossing_m(x, level)
 */
double psa_mean_crossings(const double *x, size_t n, double mean);
double psa_sign_changes(const double *x, size_t n);
double psa_level_crossings(const double *x, size_t n, double level);

#endif
