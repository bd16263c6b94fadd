/*
 * spectrum.c - the real-to-complex transform gives bins 0 .. n/2; of the others, X_{n-k} = conj X_k. So every bin
 * counts twice, but for k = 0 and k = n/2 of an even n, which are their own mirror images.
 */
#include "dsp/spectrum.h"

#include <fftw3.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dsp/quad.h"
#include "dsp/quantile.h"

/* Below it a double has fewer digits, down to none: a spectrum whose sum is smaller has lost its shape. */
static const double smallest_power = DBL_MIN / DBL_EPSILON;

struct psa_spectrum {
    size_t n;
    double *samples;    /* [n] */
    fftw_complex *bins; /* [n / 2 + 1] */
    fftw_plan plan;
};

struct psa_welch_plan {
    struct psa_welch welch;
    struct psa_spectrum *spectrum; /* of one segment */
    double *taper;                 /* [nperseg]; NULL: boxcar */
    double sum, sum_squares;       /* of the taper */
    size_t segments_max;           /* with median: rows of `kept` */
    double *kept;                  /* with median: [lines][segments_max], line by line */
};

/* How many bins line k of n samples stands for. */
static inline double images_of(size_t k, size_t n)
{
    return k == 0 || 2 * k == n ? 1.0 : 2.0;
}

/* ---- one window ------------------------------------------------------------------------------------------------- */

struct psa_spectrum *psa_spectrum_new(size_t n)
{
    if (n < 1 || n > PSA_SPECTRUM_MAX) return NULL;
    struct psa_spectrum *spectrum = calloc(1, sizeof *spectrum);
    if (!spectrum) return NULL;
    spectrum->n = n;
    spectrum->samples = fftw_alloc_real(n);
    spectrum->bins = fftw_alloc_complex(n / 2 + 1);
    if (spectrum->samples && spectrum->bins)
        spectrum->plan = fftw_plan_dft_r2c_1d((int)n, spectrum->samples, spectrum->bins, FFTW_ESTIMATE);
    if (!spectrum->plan) {
        psa_spectrum_free(spectrum);
        return NULL;
    }
    return spectrum;
}

void psa_spectrum_free(struct psa_spectrum *spectrum)
{
    if (!spectrum) return;
    if (spectrum->plan) fftw_destroy_plan(spectrum->plan);
    fftw_free(spectrum->bins);
    fftw_free(spectrum->samples);
    free(spectrum);
}

/* The transform of x - x[0]. A shift of all samples changes bin 0 alone. Without it a large offset would drown small
 * bins in its rounding, and a constant window would not come out as exactly 0. */
static const fftw_complex *transform(struct psa_spectrum *spectrum, const double *x)
{
    for (size_t i = 0; i < spectrum->n; i++) spectrum->samples[i] = x[i] - x[0];
    fftw_execute(spectrum->plan);
    return (const fftw_complex *)spectrum->bins;
}

void psa_spectrum_bins(struct psa_spectrum *spectrum, const double *x, double (*bins)[2])
{
    const fftw_complex *bin = transform(spectrum, x);
    memcpy(bins, bin, (spectrum->n / 2 + 1) * sizeof *bins);
    bins[0][0] += (double)spectrum->n * x[0];
}

void psa_spectrum_magnitudes(struct psa_spectrum *spectrum, const double *x, double *magnitude)
{
    size_t n = spectrum->n;
    const fftw_complex *bin = transform(spectrum, x);
    magnitude[0] = fabs(bin[0][0] + (double)n * x[0]);
    for (size_t k = 1; k <= n / 2; k++) {
        double square = bin[k][0] * bin[k][0] + bin[k][1] * bin[k][1];
        bool keeps_its_digits = square >= smallest_power && square <= DBL_MAX;
        magnitude[k] = keeps_its_digits ? sqrt(square) : hypot(bin[k][0], bin[k][1]);
    }
}

/* ---- Welch ------------------------------------------------------------------------------------------------------ */

size_t psa_welch_segments(const struct psa_welch *welch, size_t n)
{
    return n < welch->nperseg ? 0 : (n - welch->noverlap) / (welch->nperseg - welch->noverlap);
}

static double sum_of(const double *x, size_t n, double minus)
{
    struct psa_quad s = { { 0 }, { 0 } };
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        struct psa_quad q = psa_quad_load(x + i);
        s.lo += q.lo - minus;
        s.hi += q.hi - minus;
    }
    double sum = psa_quad_total(s);
    for (; i < n; i++) sum += x[i] - minus;
    return sum;
}

struct psa_welch_plan *psa_welch_new(const struct psa_welch *welch)
{
    size_t n = welch->nperseg, lines = n / 2 + 1;
    if (n < 1 || n > PSA_SPECTRUM_MAX || welch->noverlap >= n) return NULL;
    size_t segments = welch->median ? psa_welch_segments(welch, welch->n_max) : 0;
    if (segments > PSA_WELCH_MEDIAN_MAX / lines) return NULL;
    struct psa_welch_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return NULL;
    plan->welch = *welch;
    plan->spectrum = psa_spectrum_new(n);
    plan->segments_max = segments;
    if (segments) plan->kept = malloc(segments * lines * sizeof *plan->kept);
    bool tapered = welch->taper != PSA_TAPER_BOXCAR;
    if (tapered) plan->taper = malloc(n * sizeof *plan->taper);
    if (!plan->spectrum || (segments && !plan->kept) || (tapered && !plan->taper)) {
        psa_welch_free(plan);
        return NULL;
    }
    plan->sum = plan->sum_squares = (double)n;
    if (!tapered) return plan;

    psa_taper_fill(welch->taper, plan->taper, n);
    plan->sum = sum_of(plan->taper, n, 0.0);
    plan->sum_squares = 0.0;
    for (size_t i = 0; i < n; i++) plan->sum_squares += plan->taper[i] * plan->taper[i];
    return plan;
}

void psa_welch_free(struct psa_welch_plan *plan)
{
    if (!plan) return;
    psa_spectrum_free(plan->spectrum);
    free(plan->taper);
    free(plan->kept);
    free(plan);
}

/* out = x minus its least-squares line: with t_i = i - (n-1)/2 the slope is sum t x / sum t^2, sum t^2 = n (n^2 - 1)
 * / 12. */
static void take_line(const double *x, size_t n, double *out)
{
    double first = x[0], count = (double)n, middle = 0.5 * (double)(n - 1), moment = 0.0;
    double mean = sum_of(x, n, first) / count;
    for (size_t i = 0; i < n; i++) {
        out[i] = x[i] - first - mean;
        moment += ((double)i - middle) * out[i];
    }
    if (n < 2) return;
    double slope = moment / (count * (count * count - 1.0) / 12.0);
    for (size_t i = 0; i < n; i++) out[i] -= slope * ((double)i - middle);
}

/* The bins of one segment, detrended and tapered. */
static const fftw_complex *transform_segment(struct psa_welch_plan *plan, const double *x)
{
    size_t n = plan->welch.nperseg;
    double *out = plan->spectrum->samples;
    const double *w = plan->taper;
    if (plan->welch.detrend == PSA_WELCH_DETREND_LINEAR) {
        take_line(x, n, out);
    } else if (plan->welch.detrend == PSA_WELCH_DETREND_CONSTANT) {
        double first = x[0], mean = sum_of(x, n, first) / (double)n;
        for (size_t i = 0; i < n; i++) out[i] = x[i] - first - mean;
    } else {
        memcpy(out, x, n * sizeof *out);
    }
    if (w) {
        for (size_t i = 0; i < n; i++) out[i] *= w[i];
    }
    fftw_execute(plan->spectrum->plan);
    return (const fftw_complex *)plan->spectrum->bins;
}

/* What the median of the squares of `segments` independent normal lines has more than their mean: it is less. */
static double bias_of_median(size_t segments)
{
    double bias = 1.0;
    for (size_t i = 2; i < segments; i += 2) bias += 1.0 / ((double)i + 1.0) - 1.0 / (double)i;
    return bias;
}

static double median_of(double *x, size_t n)
{
    if (isnan(sum_of(x, n, 0.0))) return NAN;
    psa_sort(x, n);
    return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

void psa_welch_run(struct psa_welch_plan *plan, const double *x, size_t n, double rate_hz, double *psd)
{
    size_t nperseg = plan->welch.nperseg, lines = nperseg / 2 + 1, stride = nperseg - plan->welch.noverlap;
    size_t segments = psa_welch_segments(&plan->welch, n);
    bool median = plan->welch.median;
    if (segments == 0 || (median && segments > plan->segments_max)) {
        for (size_t k = 0; k < lines; k++) psd[k] = NAN;
        return;
    }
    memset(psd, 0, lines * sizeof *psd);
    for (size_t s = 0; s < segments; s++) {
        const fftw_complex *bin = transform_segment(plan, x + s * stride);
        if (median) {
            for (size_t k = 0; k < lines; k++)
                plan->kept[k * segments + s] = bin[k][0] * bin[k][0] + bin[k][1] * bin[k][1];
        } else {
            for (size_t k = 0; k < lines; k++) psd[k] += bin[k][0] * bin[k][0] + bin[k][1] * bin[k][1];
        }
    }
    double divide = rate_hz * plan->sum_squares * (median ? bias_of_median(segments) : (double)segments);
    for (size_t k = 0; k < lines; k++) {
        double power = median ? median_of(plan->kept + k * segments, segments) : psd[k];
        psd[k] = images_of(k, nperseg) * power / divide;
    }
}

double psa_welch_bandwidth_hz(const struct psa_welch_plan *plan, double rate_hz)
{
    return rate_hz * plan->sum_squares / (plan->sum * plan->sum);
}

void psa_welch_power(const struct psa_welch_plan *plan, const double *psd, double rate_hz, double *power)
{
    size_t lines = plan->welch.nperseg / 2 + 1;
    double bandwidth_hz = psa_welch_bandwidth_hz(plan, rate_hz);
    for (size_t k = 0; k < lines; k++) power[k] = psd[k] * bandwidth_hz;
}

void psa_amplitudes(const double *power, size_t n, double *amplitude)
{
    for (size_t k = 0; k <= n / 2; k++) amplitude[k] = sqrt(images_of(k, n) * power[k]);
}

void psa_shape_lines(const double *one_sided, size_t n, double *shape)
{
    for (size_t k = 0; k <= n / 2; k++) shape[k] = one_sided[k] / images_of(k, n);
}

/* ---- what a spectrum looks like --------------------------------------------------------------------------------- */

/* sum p; NaN unless there is power, and enough of it that its small lines are not lost. */
static double total_of(const double *p, size_t m)
{
    double sum = sum_of(p, m, 0.0);
    return sum >= smallest_power && isfinite(sum) ? sum : NAN;
}

/* The centre of gravity in lines. */
static double centre_of(const double *p, size_t m, double total)
{
    double sum = 0.0;
    for (size_t k = 1; k < m; k++) sum += (double)k * p[k];
    return sum / total;
}

double psa_spectral_centroid(const double *p, size_t m, double step_hz)
{
    return centre_of(p, m, total_of(p, m)) * step_hz;
}

double psa_spectral_spread(const double *p, size_t m, double step_hz)
{
    double total = total_of(p, m), centre = centre_of(p, m, total), sum = 0.0;
    for (size_t k = 0; k < m; k++) sum += ((double)k - centre) * ((double)k - centre) * p[k];
    return sqrt(sum / total) * step_hz;
}

double psa_spectral_rolloff(const double *p, size_t m, double step_hz, double share)
{
    double total = 0.0, sum = 0.0;
    for (size_t k = 0; k < m; k++) total += p[k]; /* in the order of the running sum, whose last value it is */
    if (!(total >= smallest_power)) return NAN;
    for (size_t k = 0; k < m; k++) {
        sum += p[k];
        if (sum > share * total) return (double)k * step_hz;
    }
    return NAN;
}

double psa_spectral_entropy(const double *p, size_t m)
{
    double total = total_of(p, m), entropy = 0.0;
    if (isnan(total)) return NAN;
    for (size_t k = 0; k < m; k++) {
        double q = p[k] / total;
        if (q > 0.0) entropy -= q * log(q);
    }
    return entropy;
}

double psa_spectral_entropy_norm(const double *p, size_t m)
{
    return psa_spectral_entropy(p, m) / log((double)m); /* 0 over 0 for a single line */
}

double psa_spectral_flatness(const double *p, size_t m)
{
    if (m < 2) return NAN;
    double total = total_of(p + 1, m - 1), lines = (double)(m - 1), logs = 0.0;
    if (isnan(total)) return NAN;
    double mean = total / lines;
    for (size_t k = 1; k < m; k++) logs += log(p[k] / mean);
    return exp(logs / lines);
}

size_t psa_spectral_dominant(const double *p, size_t m)
{
    size_t dominant = 0;
    double highest = 0.0;
    for (size_t k = 1; k < m; k++) {
        if (!(p[k] > highest && p[k] >= smallest_power)) continue;
        highest = p[k];
        dominant = k;
    }
    return dominant;
}

void psa_lines_between(size_t m, double step_hz, double low_hz, double high_hz, size_t *first, size_t *end)
{
    static const double on_a_line = 1e-9; /* of the distance of two lines; 1e6 lines still have seven digits beyond */
    double from = ceil(low_hz / step_hz - on_a_line), to = ceil(high_hz / step_hz - on_a_line), lines = (double)m;
    *first = from > 0.0 ? (size_t)(from < lines ? from : lines) : 0;
    *end = to > 0.0 ? (size_t)(to < lines ? to : lines) : 0;
    if (*end < *first) *end = *first;
}

double psa_band_power(const double *psd, size_t m, double step_hz, double low_hz, double high_hz)
{
    if (!(low_hz >= 0.0 && low_hz < high_hz && step_hz > 0.0)) return NAN;
    size_t first, end;
    psa_lines_between(m, step_hz, low_hz, high_hz, &first, &end);
    return sum_of(psd + first, end - first, 0.0) * step_hz;
}

size_t psa_line_near(const double *p, size_t m, double step_hz, double hz, double reach_hz)
{
    if (!(hz > 0.0 && step_hz > 0.0 && hz / step_hz < (double)m)) return 0;
    size_t nearest = (size_t)(hz / step_hz + 0.5), highest = nearest > 0 ? nearest : 1;
    if (highest >= m) return 0;
    double from = ceil((hz - reach_hz) / step_hz - 1e-9), to = floor((hz + reach_hz) / step_hz + 1e-9);
    if (!(to < (double)m)) to = (double)(m - 1);
    for (size_t k = from > 1.0 ? (size_t)from : 1; (double)k <= to; k++)
        if (p[k] > p[highest]) highest = k;
    return highest;
}
