/*
 * spectrum.h - the discrete Fourier transform of windows of one length by FFTW3, Welch's power spectral density, and
 * what can be said of a spectrum.
 *
 * A spectrum of n samples has m = n/2 + 1 lines, line k at k step_hz, step_hz = rate_hz / n: line 0 is the constant
 * part, and for an even n the last one is at half the rate. Four kinds of numbers stand on these lines:
 *     bins       X_k = sum over t of x[t] exp(-2 pi i k t / n), complex                        psa_spectrum_bins
 *     density    one-sided power spectral density, unit of x squared per Hz                    psa_welch_run
 *     power      density times the equivalent noise bandwidth: a tone's line is A^2 / 2        psa_welch_power
 *     amplitude  a tone's line is A                                                            psa_amplitudes
 *     shape      proportional to |X_k|^2, both halves of the spectrum counting once each: the  psa_shape_lines
 *                "power spectrum" numpy.abs(numpy.fft.rfft(x))**2 of TSFEL, averaged over the segments
 *
 * Plans own their buffers, and one plan serves one thread at a time. Nothing here allocates while they run; FFTW itself
 * does not for an even n without a prime factor above 31 (as measured up to 3000, and for all usual lengths), but
 * for some odd n and for larger prime factors takes a work buffer and gives it back within the transform (its Rader
 * and generic steps), which then also is up to ten times slower. FFTW_ESTIMATE and fftw_malloc buffers: a plan depends
 * on n and the CPU's type only, never on a measurement, and so do the last bits. FFTW's planner is not thread-safe: no
 * two threads may be in a function called _new or _free here, or in dsp/envelope.h, at a time.
 */
#ifndef PSA_DSP_SPECTRUM_H
#define PSA_DSP_SPECTRUM_H

#include <stdbool.h>
#include <stddef.h>

#include "dsp/taper.h"

enum { PSA_SPECTRUM_MAX = 1000000 };

/* ---- one window ------------------------------------------------------------------------------------------------- */

/* The plan and the buffers for one length. */
struct psa_spectrum;

/* Plan for windows of n samples. NULL when n is not in 1..PSA_SPECTRUM_MAX or memory is out. */
struct psa_spectrum *psa_spectrum_new(size_t n);
void psa_spectrum_free(struct psa_spectrum *spectrum);

/*
 * The bins 0 .. n/2 of x[n]; `bins` is [n/2 + 1][2], real and imaginary part, in the unit of x. numpy.fft.rfft(x). A
 * large constant part costs the other bins no digits.
 */
void psa_spectrum_bins(struct psa_spectrum *spectrum, const double *x, double (*bins)[2]);

/* |X_k| of the same: magnitude is [n/2 + 1], in the unit of x. TSFEL's centroid and roll-off stand on these, constant
 * part included; the functions below work on them as on power. numpy.abs(numpy.fft.rfft(x)). */
void psa_spectrum_magnitudes(struct psa_spectrum *spectrum, const double *x, double *magnitude);

/* ---- Welch ------------------------------------------------------------------------------------------------------ */

/* What each segment loses before it is tapered. scipy.signal.detrend: its mean, or its least-squares line. */
enum psa_welch_detrend { PSA_WELCH_DETREND_NONE, PSA_WELCH_DETREND_CONSTANT, PSA_WELCH_DETREND_LINEAR };

struct psa_welch {
    size_t nperseg;  /* samples of a segment, 1..PSA_SPECTRUM_MAX */
    size_t noverlap; /* samples it shares with the next, < nperseg */
    enum psa_taper taper;
    enum psa_welch_detrend detrend;
    bool median;  /* the median over the segments instead of the mean, divided by its bias */
    size_t n_max; /* the longest x it will be asked for; used with median only, which keeps every segment */
};

/* The median keeps segments times lines numbers, this many at most (128 MiB). */
enum { PSA_WELCH_MEDIAN_MAX = 1 << 24 };

struct psa_welch_plan;

/* NULL when a number is out of its range, when the median would need too much, or when memory is out. `welch` is
 * copied. */
struct psa_welch_plan *psa_welch_new(const struct psa_welch *welch);
void psa_welch_free(struct psa_welch_plan *plan);

/* The segments of n samples: (n - noverlap) / (nperseg - noverlap), 0 for n < nperseg. The samples behind the last
 * whole segment are not looked at, as in SciPy. */
size_t psa_welch_segments(const struct psa_welch *welch, size_t n);

/*
 * The one-sided power spectral density of x[n] at rate_hz: psd[nperseg/2 + 1], unit of x squared per Hz. Its sum
 * times rate_hz / nperseg is the power (Parseval: with boxcar and PSA_WELCH_DETREND_CONSTANT, one segment, the
 * population variance). All NaN for n < nperseg (choose nperseg = min(nperseg, n), as SciPy does), for n > n_max with
 * the median, and when x holds a NaN. Equal to scipy.signal.welch(x, rate_hz, window, nperseg, noverlap, detrend=...,
 * scaling='density', average='mean' or 'median'). Welch, IEEE Transactions on Audio and Electroacoustics 15(2), 1967,
 * doi:10.1109/TAU.1967.1161901; the median and its bias: Allen et al., Physical Review D 85, 122006, 2012, appendix
 * B, doi:10.1103/PhysRevD.85.122006.
 */
void psa_welch_run(struct psa_welch_plan *plan, const double *x, size_t n, double rate_hz, double *psd);

/* The equivalent noise bandwidth in Hz, rate_hz sum w^2 / (sum w)^2: the power spectrum is the density times this.
 * Harris 1978, table I (dsp/taper.h). */
double psa_welch_bandwidth_hz(const struct psa_welch_plan *plan, double rate_hz);

/* Density psd[nperseg/2 + 1] to power, unit of x squared: power[k] = psd[k] bandwidth. scipy.signal.welch(...,
 * scaling='spectrum'). In place is fine. */
void psa_welch_power(const struct psa_welch_plan *plan, const double *psd, double rate_hz, double *power);

/* One-sided power[n/2 + 1] of segments of n samples to amplitudes in the unit of x: sqrt(2 power), but sqrt(power) for
 * line 0 and for the last line of an even n, which have no mirror image. In place is fine. */
void psa_amplitudes(const double *power, size_t n, double *amplitude);

/* One-sided density or power of segments of n samples to the shape of the spectrum: the lines that stand for two (all
 * but line 0 and the last of an even n) halved. In place is fine. */
void psa_shape_lines(const double *one_sided, size_t n, double *shape);

/* ---- what a spectrum looks like --------------------------------------------------------------------------------- */
/*
 * Of p[m] >= 0 on lines step_hz apart from 0 Hz: shape lines for the numbers of TSFEL and the golden vectors, any
 * power or magnitudes otherwise. NaN of a spectrum without any power (a constant window whose mean was removed), and
 * when p holds a NaN. So of one whose sum is below 1e-292, where a double has lost digits of the small lines. TSFEL: Barandas et al., SoftwareX 11, 100456, 2020, doi:10.1016/j.softx.2020.100456; the
 * definitions are Peeters', A large set of audio features, CUIDADO report, IRCAM, 2004, section 6.
 */

/* Centre of gravity, sum f p / sum p, in Hz. */
double psa_spectral_centroid(const double *p, size_t m, double step_hz);

/* Standard deviation about the centroid, sqrt(sum (f - centroid)^2 p / sum p), in Hz. */
double psa_spectral_spread(const double *p, size_t m, double step_hz);

/* The first f in Hz at which the running sum of p exceeds `share` (0..1) of the whole; NaN when nothing exceeds it
 * (share 1). TSFEL spectral_roll_off: share 0.95 of psa_spectrum_magnitudes. */
double psa_spectral_rolloff(const double *p, size_t m, double step_hz, double share);

/* -sum q ln q with q = p / sum p, in nats: 0 of a single line, ln m of a flat spectrum. */
double psa_spectral_entropy(const double *p, size_t m);

/* The same over ln m, 0..1; NaN also for m < 2. TSFEL spectral_entropy, which divides by the logarithm of the number of
 * lines that are not exactly 0; since rounding decides which these are, all lines count here. */
double psa_spectral_entropy_norm(const double *p, size_t m);

/*
 * Geometric over arithmetic mean of p[1..m-1], 0..1; the constant part is left out, since detrending has set it to 0.
 * 1 of a flat spectrum, 0 as soon as one line is 0; exp(-0.5772) = 0.56 expected of white noise in one segment (the
 * lines are exponentially distributed). NaN for m < 2. scipy.stats.gmean(p[1:]) / numpy.mean(p[1:]); Gray and Markel,
 * IEEE Transactions on Acoustics, Speech, and Signal Processing 22(3), 1974, doi:10.1109/TASSP.1974.1162572.
 */
double psa_spectral_flatness(const double *p, size_t m);

/* The index of the highest line but line 0, the first of equals; 0 when there is none (m < 2, no power, NaN). Its
 * frequency is index times step_hz; the index says where to read another spectrum on the same lines. */
size_t psa_spectral_dominant(const double *p, size_t m);

/*
 * The power of x between two frequencies, in the unit of x squared: sum of psd[k] step_hz over the lines with low <=
 * f < high. Rectangles, not trapezes, and half-open: so bands side by side add up to the whole, and the whole is the
 * variance (Parseval). The last line of an even n, at half the rate, is within when high is beyond that. `psd` is
 * one-sided density. 0 when no line falls in between; NaN when not 0 <= low < high.
 * numpy.sum(psd[(f >= low) & (f < high)]) * step_hz.
 */
double psa_band_power(const double *psd, size_t m, double step_hz, double low_hz, double high_hz);

/*
 * The index of the highest line within hz - reach_hz .. hz + reach_hz, or of the line nearest to hz when none is;
 * line 0 never counts. 0 when that is beyond the spectrum or hz is not a positive number. For the harmonics of a
 * shaft: k times its speed, with the amplitude spectrum.
 */
size_t psa_line_near(const double *p, size_t m, double step_hz, double hz, double reach_hz);

/* The lines with low <= f < high as [*first, *end), empty when there is none: what psa_band_power adds up. A frequency
 * within 1e-9 of a line's distance counts as on it, so that 10 Hz is on line 100 of 0.1 Hz. */
void psa_lines_between(size_t m, double step_hz, double low_hz, double high_hz, size_t *first, size_t *end);

#endif
