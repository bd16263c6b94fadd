/*
 * feature_registry.c - the table of features, one line each. To add one: its mathematics in dsp/, a function here that
 * asks the analysis of the window for it, and a line in the table; then tests/lint/features_manual.py --write.
 */
#include "stage/feature_registry.h"

#include <math.h>
#include <string.h>

#include "dsp/moments.h"
#include "dsp/quality.h"
#include "dsp/quantile.h"
#include "dsp/spectrum.h"
#include "dsp/vibration.h"
#include "dsp/waveform.h"

/* A feature's function around one expression in a (the analysis), x[n] and parameter. */
#define FEATURE(name, expression)                                     \
    static double name##_of(struct psa_analysis *a, double parameter) \
    {                                                                 \
        const double *x = a->x;                                       \
        size_t n = a->n;                                              \
                                                                      \
        (void)x;                                                      \
        (void)n;                                                      \
        (void)parameter;                                              \
        return (expression);                                          \
    }

static double undefined(struct psa_analysis *a, enum psa_undefined why)
{
    a->why = why;
    return NAN;
}

/* ---- time ------------------------------------------------------------------------------------------------------------------- */

#define MOMENT(member) psa_analysis_moments(a)->member

FEATURE(count, (double)n)
FEATURE(mean, MOMENT(mean))
FEATURE(median, psa_analysis_median(a))
FEATURE(rms, MOMENT(rms))
FEATURE(std, MOMENT(std))
FEATURE(var, MOMENT(var))
FEATURE(std_sample, psa_std_sample(psa_analysis_moments(a)))
FEATURE(var_sample, psa_var_sample(psa_analysis_moments(a)))
FEATURE(min, MOMENT(min))
FEATURE(max, MOMENT(max))
FEATURE(ptp, MOMENT(ptp))
FEATURE(skewness, MOMENT(skewness))
FEATURE(kurtosis, MOMENT(kurtosis))
FEATURE(skewness_unbiased, psa_skewness_unbiased(psa_analysis_moments(a)))
FEATURE(kurtosis_unbiased, psa_kurtosis_unbiased(psa_analysis_moments(a)))
FEATURE(kurtosis_pearson, MOMENT(kurtosis) + 3)
FEATURE(peak, psa_peak(x, n))
FEATURE(mean_abs, psa_analysis_mean_abs(a))
FEATURE(mean_abs_dev, psa_mean_abs_dev(x, n, MOMENT(mean)))
FEATURE(crest, psa_ratio(psa_peak(x, n), MOMENT(rms)))
FEATURE(shape, psa_ratio(MOMENT(rms), psa_analysis_mean_abs(a)))
FEATURE(impulse, psa_ratio(psa_peak(x, n), psa_analysis_mean_abs(a)))
FEATURE(zcr, psa_zcr(x, n))
FEATURE(zero_crossings, psa_mean_crossings(x, n, 0))
FEATURE(mean_crossings, psa_mean_crossings(x, n, MOMENT(mean)))
FEATURE(mean_crossing_rate, psa_mean_crossings(x, n, MOMENT(mean)) / (double)(n - 1))
FEATURE(zc_tsfel, psa_sign_changes(x, n))
FEATURE(zc_tsfresh, psa_level_crossings(x, n, 0))
FEATURE(zc_tsfresh_mean, psa_level_crossings(x, n, MOMENT(mean)))
FEATURE(moving_avg, psa_moving_avg(x, n, (size_t)a->settings->moving_avg))
FEATURE(energy, psa_energy(x, n))
FEATURE(line_length, psa_line_length(x, n))
FEATURE(slope, psa_slope(x, n, 1 / a->facts.rate_hz))
FEATURE(hjorth_activity, psa_analysis_hjorth(a)->activity)
FEATURE(hjorth_mobility, psa_analysis_hjorth(a)->mobility)
FEATURE(hjorth_complexity, psa_analysis_hjorth(a)->complexity)
FEATURE(entropy, psa_binned_entropy(x, n, (size_t)parameter))

static double clearance_of(struct psa_analysis *a, double parameter)
{
    double root = psa_mean_sqrt_abs(a->x, a->n);

    (void)parameter;
    return psa_ratio(psa_peak(a->x, a->n), root * root);
}

static double quantile_of(struct psa_analysis *a, double parameter)
{
    const double *sorted = psa_analysis_sorted(a);

    return sorted ? psa_quantile_sorted(sorted, a->n, parameter) : NAN;
}

static double iqr_of(struct psa_analysis *a, double parameter)
{
    (void)parameter;
    return quantile_of(a, 0.75) - quantile_of(a, 0.25);
}

static double mad_of(struct psa_analysis *a, double parameter)
{
    const double *sorted = psa_analysis_sorted(a);

    (void)parameter;
    return sorted ? psa_median_abs_dev_sorted(sorted, a->n, psa_analysis_median(a)) : NAN;
}

static double autocorr_of(struct psa_analysis *a, double parameter)
{
    if (parameter >= (double)a->n) return undefined(a, PSA_UNDEFINED_TOO_FEW);
    return psa_autocorr(a->x, (size_t)parameter, psa_analysis_moments(a));
}

/* ---- spectral ----------------------------------------------------------------------------------------------------------------- */

/* A function of a derived array of m lines step_hz apart. */
#define OF_LINES(name, array, lines, step, expression)                \
    static double name##_of(struct psa_analysis *a, double parameter) \
    {                                                                 \
        const double *p = array;                                      \
        size_t m = lines;                                             \
        double step_hz = step;                                        \
                                                                      \
        (void)parameter;                                              \
        (void)step_hz;                                                \
        return p ? (expression) : NAN;                                \
    }
#define OF_SHAPE(name, expression) OF_LINES(name, psa_analysis_shape(a), a->n_line, a->step_hz, expression)
#define OF_MAGNITUDES(name, expression) \
    OF_LINES(name, psa_analysis_magnitudes(a), a->n / 2 + 1, a->facts.rate_hz / (double)a->n, expression)

FEATURE(spectral_energy, psa_spectral_energy(psa_analysis_moments(a)))
OF_SHAPE(spectral_centroid, psa_spectral_centroid(p, m, step_hz))
OF_SHAPE(spectral_spread, psa_spectral_spread(p, m, step_hz))
OF_SHAPE(spectral_rolloff, psa_spectral_rolloff(p, m, step_hz, a->settings->rolloff))
OF_SHAPE(spectral_entropy, psa_spectral_entropy(p, m))
OF_SHAPE(spectral_entropy_norm, psa_spectral_entropy_norm(p, m))
OF_SHAPE(spectral_flatness, psa_spectral_flatness(p, m))
OF_MAGNITUDES(centroid_tsfel, psa_spectral_centroid(p, m, step_hz))
OF_MAGNITUDES(rolloff_tsfel, psa_spectral_rolloff(p, m, step_hz, a->settings->rolloff))

static double dominant_hz_of(struct psa_analysis *a, double parameter)
{
    const double *shape = psa_analysis_shape(a);
    size_t at = shape ? psa_spectral_dominant(shape, a->n_line) : 0;

    (void)parameter;
    return at ? (double)at * a->step_hz : NAN;
}

static double dominant_amplitude_of(struct psa_analysis *a, double parameter)
{
    const double *shape = psa_analysis_shape(a), *amplitude = psa_analysis_amplitudes(a);
    size_t at = shape && amplitude ? psa_spectral_dominant(shape, a->n_line) : 0;

    (void)parameter;
    return at ? amplitude[at] : NAN;
}

/* Is there any line from low to high? A band between two lines has no power that one could tell. */
static bool has_lines(struct psa_analysis *a, double low_hz, double high_hz)
{
    size_t first, end;

    if (low_hz >= a->facts.rate_hz / 2) {
        a->why = PSA_UNDEFINED_BAND;
        return false;
    }
    psa_lines_between(a->n_line, a->step_hz, low_hz, high_hz, &first, &end);
    if (first >= end) a->why = PSA_UNDEFINED_TOO_FEW;
    return first < end;
}

static double band_of(struct psa_analysis *a, double parameter)
{
    const struct psa_feature_range *band = &a->settings->band[(size_t)parameter];
    const double *density = psa_analysis_density(a);

    if (!density || !has_lines(a, band->low, band->high)) return NAN;
    return psa_band_power(density, a->n_line, a->step_hz, band->low, band->high);
}

/* ---- machine condition ------------------------------------------------------------------------------------------------------------ */

/* So many lines at least must fit below a velocity's band. A taper widens a line to its neighbours: with fewer the band's low
 * end, which weighs most, is the constant part's or no line's at all. */
static const double lines_below_band = 2;

static double velocity_rms_of(struct psa_analysis *a, double parameter)
{
    const struct psa_feature_range *band = &a->settings->velocity;
    const double *density = psa_analysis_severity(a);
    double low_hz = band->low > 0 ? band->low : a->step_hz;

    (void)parameter;
    if (!density || !has_lines(a, low_hz, band->high)) return NAN;
    if (a->step_hz > low_hz / lines_below_band && band->low > 0) return undefined(a, PSA_UNDEFINED_TOO_FEW);
    a->is_band_cut = band->high > a->facts.rate_hz / 2;
    return 1000 * a->settings->unit_factor * psa_velocity_rms(density, a->n_line, a->step_hz, band->low, band->high);
}

static double velocity_zone_of(struct psa_analysis *a, double parameter)
{
    double velocity = velocity_rms_of(a, parameter);

    return isnan(velocity) ? velocity : (double)(1 + psa_zone(velocity, a->settings->zone_limit, PSA_ZONE_LIMITS));
}

/* How far from a multiple of the shaft's speed its line may lie: 2 % of the speed, the slip of a speed that is told. */
static const double reach_of_shaft = 0.02;

static double harmonic_of(struct psa_analysis *a, double parameter)
{
    const double *amplitude = psa_analysis_amplitudes(a);
    double hz = parameter * a->facts.shaft_hz;
    size_t at;

    if (!amplitude) return NAN;
    if (hz >= a->facts.rate_hz / 2) return undefined(a, PSA_UNDEFINED_BAND);
    at = psa_line_near(amplitude, a->n_line, a->step_hz, hz, reach_of_shaft * a->facts.shaft_hz);
    return at ? amplitude[at] : undefined(a, PSA_UNDEFINED_TOO_FEW);
}

#define OF_ENVELOPE(name, expression) OF_LINES(name, psa_analysis_envelope(a), a->n, 0, expression)
OF_ENVELOPE(envelope_rms, psa_moments_of(p, m).rms)
OF_ENVELOPE(envelope_peak, psa_peak(p, m))
OF_ENVELOPE(envelope_kurtosis, psa_moments_of(p, m).kurtosis)

/* ---- bearing ---------------------------------------------------------------------------------------------------------------------- */

#define OF_DIAGNOSIS(name, expression)                                \
    static double name##_of(struct psa_analysis *a, double parameter) \
    {                                                                 \
        const struct psa_diagnosis *d = psa_analysis_diagnosis(a);    \
                                                                      \
        (void)parameter;                                              \
        return d ? (expression) : NAN;                                \
    }
OF_DIAGNOSIS(bearing_line_hz, d->line_hz)
OF_DIAGNOSIS(bearing_line_amplitude, d->amplitude)
OF_DIAGNOSIS(bearing_line_ratio, d->ratio)

/* The verdict as a number: 0 none, then in the order of enum psa_element. Of a signal that is none there is no verdict. */
static double bearing_verdict_of(struct psa_analysis *a, double parameter)
{
    const struct psa_diagnosis *diagnosis = psa_analysis_diagnosis(a);

    (void)parameter;
    if (!diagnosis) return NAN;
    if (a->no_verdict != PSA_DEFINED) return undefined(a, a->no_verdict);
    return diagnosis->element == PSA_ELEMENT_NONE ? 0.0 : (double)(diagnosis->element + 1);
}

/* A line of an element's. One that is expected beyond the spectrum, or whose frequency nobody told, is out of band. */
static double line_of(struct psa_analysis *a, enum psa_element element, double order, bool ratio)
{
    const struct psa_diagnosis *diagnosis = psa_analysis_diagnosis(a);
    const struct psa_bearing_line *line;

    if (!diagnosis) return NAN;
    line = &diagnosis->of[element][(size_t)order - 1];
    if (isnan(line->expected_hz)) return undefined(a, PSA_UNDEFINED_BAND);
    return ratio ? line->ratio : line->amplitude;
}
FEATURE(bpfo, line_of(a, PSA_ELEMENT_OUTER, parameter, false))
FEATURE(bpfi, line_of(a, PSA_ELEMENT_INNER, parameter, false))
FEATURE(bsf, line_of(a, PSA_ELEMENT_BALL, parameter, false))
FEATURE(ftf, line_of(a, PSA_ELEMENT_CAGE, parameter, false))
FEATURE(bpfo_ratio, line_of(a, PSA_ELEMENT_OUTER, parameter, true))
FEATURE(bpfi_ratio, line_of(a, PSA_ELEMENT_INNER, parameter, true))
FEATURE(bsf_ratio, line_of(a, PSA_ELEMENT_BALL, parameter, true))
FEATURE(ftf_ratio, line_of(a, PSA_ELEMENT_CAGE, parameter, true))

/* ---- quality ---------------------------------------------------------------------------------------------------------------------- */

FEATURE(stuck, psa_stuck(x, n))
FEATURE(clipped, psa_clipped(x, n, a->settings->range.low, a->settings->range.high))
FEATURE(jitter, a->facts.jitter)

/* Samples that are null, and those that never came between the others. Without intervals only nulls can be told: then there
 * may be more missing, but not none. */
static double dropout_of(struct psa_analysis *a, double parameter)
{
    (void)parameter;
    if (!a->n_missing && !psa_analysis_tells_due(a)) return undefined(a, PSA_UNDEFINED_INTERVALS);
    return psa_dropout(a->n, a->n_due);
}

/* ---- arrays ----------------------------------------------------------------------------------------------------------------------- */

static struct psa_feature_array welch_array(struct psa_analysis *a, const double *value)
{
    return (struct psa_feature_array){ value, value ? a->n_line : 0, a->step_hz };
}

/* Of the whole window's transform; the rate may be unknown, then so is the axis. */
static struct psa_feature_array window_array(struct psa_analysis *a, const double *value)
{
    return (struct psa_feature_array){ value, value ? a->n / 2 + 1 : 0, a->facts.rate_hz / (double)a->n };
}

static struct psa_feature_array spectrum_of(struct psa_analysis *a)
{
    return welch_array(a, psa_analysis_amplitudes(a));
}

static struct psa_feature_array power_spectrum_of(struct psa_analysis *a)
{
    return welch_array(a, psa_analysis_power(a));
}

static struct psa_feature_array psd_of(struct psa_analysis *a)
{
    return welch_array(a, psa_analysis_density(a));
}

static struct psa_feature_array envelope_of(struct psa_analysis *a)
{
    const double *envelope = psa_analysis_envelope(a);

    return (struct psa_feature_array){ envelope, envelope ? a->n : 0, 0 };
}

static struct psa_feature_array envelope_spectrum_of(struct psa_analysis *a)
{
    return window_array(a, psa_analysis_envelope_spectrum(a));
}

/* Of each bin (re, im): re, im or re^2 + im^2. */
enum part { PART_RE, PART_IM, PART_POWER };

static struct psa_feature_array fft_part(struct psa_analysis *a, enum part part)
{
    const double(*bin)[2] = psa_analysis_bins(a);
    double *value = bin ? psa_analysis_room(a, PSA_BIN_PARTS, a->n / 2 + 1) : NULL;

    for (size_t k = 0; value && k < a->n / 2 + 1; k++)
        value[k] = part == PART_POWER ? bin[k][0] * bin[k][0] + bin[k][1] * bin[k][1] : bin[k][part == PART_IM];
    return window_array(a, value);
}

static struct psa_feature_array fft_re_of(struct psa_analysis *a)
{
    return fft_part(a, PART_RE);
}

static struct psa_feature_array fft_im_of(struct psa_analysis *a)
{
    return fft_part(a, PART_IM);
}

static struct psa_feature_array fft_power_of(struct psa_analysis *a)
{
    return fft_part(a, PART_POWER);
}

/* ---- the table ---------------------------------------------------------------------------------------------------------------------- */

#define WHOLE PSA_NEEDS_WHOLE
#define RATE PSA_NEEDS_SAMPLE_RATE
#define WELCH (WHOLE | RATE | PSA_USES_WELCH)
#define ENVELOPE (WHOLE | RATE | PSA_USES_ENVELOPE)
#define LINE (ENVELOPE | PSA_USES_SPEED | PSA_USES_BEARING)
#define BEARING (LINE | PSA_NEEDS_BEARING | PSA_USES_HARMONICS)
#define VELOCITY (WELCH | PSA_USES_VELOCITY)

/* A line is a feature: name, unit, what it needs, the least samples; formula; source. */
/* clang-format off */
#define ROW(set_, name_, function, unit_, needs_, least_, formula_, source_)                                \
    {                                                                                                       \
        .name = (name_), .set = (set_), .unit = (unit_), .formula = (formula_), .source = (source_), .needs = (needs_), \
        .least = (least_), .of = function##_of                                                                \
    }
#define TIME(name, unit, needs, least, formula, source) \
    ROW("time", #name, name, unit, needs, least, formula, source)
#define SPECTRAL(name, unit, needs, least, formula, source) \
    ROW("spectral", #name, name, unit, needs, least, formula, source)
#define MACHINE(name, unit, needs, least, formula, source) \
    ROW("machine", #name, name, unit, needs, least, formula, source)
#define QUALITY(name, unit, needs, least, formula, source) \
    ROW("quality", #name, name, unit, needs, least, formula, source)
#define MANY(set_, name_, function, unit_, needs_, least_, naming_, in_sets_, range_, formula_, source_)            \
    {                                                                                                       \
        .name = (name_), .set = (set_), .unit = (unit_), .formula = (formula_), .source = (source_), .needs = (needs_), \
        .least = (least_), .of = function##_of, .naming = (naming_), .in_sets = (in_sets_), .range = (range_)                        \
    }
#define COUNTED(set_, name_, function, unit_, needs_, least_, in_sets_, most_, range_, formula_, source_)       \
    {                                                                                                           \
        .name = (name_), .set = (set_), .unit = (unit_), .formula = (formula_), .source = (source_), .needs = (needs_),     \
        .least = (least_), .of = function##_of, .naming = PSA_NAMED_COUNT, .in_sets = (in_sets_), .most = (most_),    \
        .range = (range_)                                                                                         \
    }
#define ARRAY(name_, unit_, needs_, least_, formula_, source_)                                                  \
    {                                                                                                           \
        .name = #name_, .set = "array", .unit = (unit_), .formula = (formula_), .source = (source_), .needs = (needs_), \
        .least = (least_), .array_of = name_##_of                                                                 \
    }
#define ONE_EACH(name, unit, needs, formula, source) \
    MANY("bearing", #name, name, unit, needs, 2, PSA_NAMED_HARMONICS, NULL, NULL, formula, source)

const struct psa_feature psa_features[] = {
    TIME(count, "1", PSA_TAKES_EMPTY, 0, "n, the samples that are not missing", "len(x)"),
    TIME(mean, "x", 0, 1, "sum x / n", "numpy.mean(x)"),
    TIME(median, "x", 0, 1, "the middle sample, or the mean of the middle two", "numpy.median(x)"),
    TIME(rms, "x", 0, 1, "sqrt(sum x^2 / n)", "numpy.sqrt(numpy.mean(x**2))"),
    TIME(std, "x", 0, 1, "sqrt(m2), the central moments being mk = sum (x - mean)^k / n", "numpy.std(x)"),
    TIME(var, "x^2", 0, 1, "m2", "numpy.var(x)"),
    TIME(std_sample, "x", 0, 2, "sqrt(m2 n / (n - 1))", "numpy.std(x, ddof=1)"),
    TIME(var_sample, "x^2", 0, 2, "m2 n / (n - 1)", "numpy.var(x, ddof=1)"),
    TIME(min, "x", 0, 1, "the least sample", "numpy.min(x)"),
    TIME(max, "x", 0, 1, "the greatest sample", "numpy.max(x)"),
    TIME(ptp, "x", 0, 1, "peak to peak, max - min", "numpy.ptp(x)"),
    TIME(peak, "x", 0, 1, "max |x|", "numpy.max(numpy.abs(x))"),
    TIME(mean_abs, "x", 0, 1, "sum |x| / n", "numpy.mean(numpy.abs(x))"),
    TIME(mean_abs_dev, "x", 0, 1, "sum |x - mean| / n", "numpy.mean(numpy.abs(x - x.mean()))"),
    TIME(mad, "x", PSA_USES_SORTED, 1, "the median of |x - median|; not scaled by 1.4826", "scipy.stats.median_abs_deviation(x)"),
    TIME(iqr, "x", PSA_USES_SORTED, 1, "the quantile 0.75 less the quantile 0.25", "scipy.stats.iqr(x)"),
    MANY("time", "q#", quantile, "x", PSA_USES_SORTED, 1, PSA_NAMED_SHARE, "05,25,75,95", "q0 to q100, such as q05, q50 or q99.9",
         "the quantile at # per cent (q05, q99.9): the value at (n - 1) #/100 of the sorted samples, linear between",
         "numpy.quantile(x, #/100)"),
    TIME(skewness, "1", 0, 1, "m3 / m2^1.5, biased", "scipy.stats.skew(x)"),
    TIME(skewness_unbiased, "1", 0, 3, "sqrt(n (n - 1)) / (n - 2) skewness", "scipy.stats.skew(x, bias=False)"),
    TIME(kurtosis, "1", 0, 1, "m4 / m2^2 - 3, biased; Fisher's, 0 of a normal distribution", "scipy.stats.kurtosis(x)"),
    TIME(kurtosis_unbiased, "1", 0, 4, "(n - 1) / ((n - 2) (n - 3)) ((n + 1) kurtosis + 6)",
         "scipy.stats.kurtosis(x, bias=False)"),
    TIME(kurtosis_pearson, "1", 0, 1, "m4 / m2^2, 3 of a normal distribution", "scipy.stats.kurtosis(x, fisher=False)"),
    TIME(crest, "1", 0, 1, "peak / rms", "ISO 13373-1"),
    TIME(shape, "1", 0, 1, "rms / mean_abs", "Lei et al. 2008"),
    TIME(impulse, "1", 0, 1, "peak / mean_abs", "Lei et al. 2008"),
    TIME(clearance, "1", 0, 1, "peak / (sum sqrt |x| / n)^2", "Lei et al. 2008"),
    TIME(zcr, "1", 0, 2, "zero_crossings / (n - 1)", "numpy.mean(numpy.diff(numpy.signbit(x)))"),
    TIME(zero_crossings, "1", 0, 1, "changes of the sign bit between neighbours: 0 is positive, -0 negative",
         "numpy.count_nonzero(numpy.diff(numpy.signbit(x)))"),
    TIME(mean_crossings, "1", 0, 1, "zero_crossings of x - mean",
         "numpy.count_nonzero(numpy.diff(numpy.signbit(x - x.mean())))"),
    TIME(mean_crossing_rate, "1", 0, 2, "mean_crossings / (n - 1)", "librosa.feature.zero_crossing_rate of x - mean"),
    TIME(zc_tsfel, "1", 0, 1, "changes of sign(x), -1, 0 or 1", "tsfel.zero_cross(x)"),
    TIME(zc_tsfresh, "1", 0, 1, "changes of x > 0", "tsfresh number_crossing_m(x, 0)"),
    TIME(zc_tsfresh_mean, "1", 0, 1, "changes of x > mean", "tsfresh number_crossing_m(x, x.mean())"),
    TIME(moving_avg, "x", PSA_USES_MOVING_AVG, 1,
         "the mean of the last --moving-avg samples, of all if there are fewer", "numpy.mean(x[-5:])"),
    TIME(energy, "x^2", 0, 1, "sum x^2", "tsfresh abs_energy(x)"),
    TIME(line_length, "x", WHOLE, 1, "sum |x[i] - x[i-1]|", "tsfresh absolute_sum_of_changes(x)"),
    TIME(slope, "x/s", WHOLE | RATE, 2, "of the least-squares line against time", "scipy.stats.linregress(t, x).slope"),
    COUNTED("time", "autocorr_#", autocorr, "1", WHOLE, 2, "1", PSA_SPECTRUM_MAX, "autocorr_1 to autocorr_1000000",
         "autocorrelation at a lag of # samples: sum (x[i] - mean) (x[i+#] - mean) / (n m2)",
         "statsmodels acf(x, adjusted=False)[#]"),
    TIME(hjorth_activity, "x^2", WHOLE, 1, "var x", "Hjorth 1970"),
    TIME(hjorth_mobility, "1/sample", WHOLE, 3, "sqrt(var d / var x), d[i] = x[i] - x[i-1]",
         "Hjorth 1970; antropy.hjorth_params(x)"),
    TIME(hjorth_complexity, "1", WHOLE, 4, "the mobility of d / the mobility of x",
         "Hjorth 1970; antropy.hjorth_params(x)"),
    COUNTED("time", "entropy_#", entropy, "nat", 0, 1, "10", PSA_BINS_MAX, "entropy_1 to entropy_1024",
         "-sum p ln p of the histogram of # equal bins from min to max",
         "scipy.stats.entropy(numpy.histogram(x, 10)[0])"),

    SPECTRAL(spectral_energy, "x^2", WHOLE, 1,
             "sum |X[k]|^2 / n over k = 1 to n - 1 of the full transform X of x; n m2 by Parseval",
             "numpy.sum(numpy.abs(numpy.fft.fft(x))[1:]**2) / n"),
    SPECTRAL(spectral_centroid, "Hz", WELCH, 2, "sum f p / sum p, p the power of the lines f, each counted once",
             "numpy.average(f, weights=p)"),
    SPECTRAL(spectral_spread, "Hz", WELCH, 2, "sqrt(sum (f - centroid)^2 p / sum p)",
             "MPEG-7 AudioSpectrumSpread, linear in f"),
    SPECTRAL(spectral_rolloff, "Hz", WELCH | PSA_USES_ROLLOFF, 2,
             "the least f up to which more than --rolloff of sum p lies",
             "f[numpy.argmax(numpy.cumsum(p) > 0.95 * p.sum())]"),
    SPECTRAL(spectral_entropy, "nat", WELCH, 2, "-sum q ln q, q = p / sum p", "scipy.stats.entropy(p)"),
    SPECTRAL(spectral_entropy_norm, "1", WELCH, 2, "spectral_entropy / ln m, m the number of lines",
             "tsfel.spectral_entropy(x, fs), which leaves out lines of exactly 0"),
    SPECTRAL(spectral_flatness, "1", WELCH, 2, "the geometric over the arithmetic mean of p without its first line",
             "scipy.stats.gmean(p[1:]) / p[1:].mean()"),
    SPECTRAL(dominant_hz, "Hz", WELCH, 2, "the f of the greatest p, its first line left out",
             "f[1 + numpy.argmax(p[1:])]"),
    SPECTRAL(dominant_amplitude, "x", WELCH, 2, "the amplitude there, A of A sin(2 pi f t) on a line", "see spectrum"),
    MANY("spectral", "band", band, "x^2", WELCH | PSA_NEEDS_BAND, 2, PSA_NAMED_BANDS, NULL, NULL,
         "for each --band the power in it, sum psd df over LOW <= f < HIGH, as band_LOW_HIGH; all bands side by side: "
         "m2",
         "psd[(f >= 10) & (f < 100)].sum() * df"),
    SPECTRAL(centroid_tsfel, "Hz", WHOLE | RATE, 2, "sum f |X| / sum |X|, the constant part included",
             "tsfel.spectral_centroid(x, fs)"),
    SPECTRAL(rolloff_tsfel, "Hz", WHOLE | RATE | PSA_USES_ROLLOFF, 2,
             "the least f up to which more than --rolloff of sum |X| lies, the constant part included",
             "tsfel.spectral_roll_off(x, fs)"),

    MACHINE(velocity_rms, "mm/s", VELOCITY, 2,
            "of the velocity in --velocity-band, of an acceleration x in --unit: sqrt(sum psd / (2 pi f)^2 df), hann without "
            "--taper",
            "ISO 20816-1"),
    MACHINE(velocity_zone, "1", VELOCITY | PSA_NEEDS_ZONES, 2,
            "the zone of velocity_rms by --zones: 1 (A, new), 2 (B), 3 (C), 4 (D, damage)", "ISO 20816-1"),
    MANY("machine", "harmonic", harmonic, "x", WELCH | PSA_NEEDS_SPEED | PSA_USES_SPEED | PSA_USES_HARMONICS, 2,
         PSA_NAMED_HARMONICS, NULL, NULL,
         "for k = 1 to --harmonics the greatest amplitude of the spectrum within 2 % of the shaft's speed around k "
         "times it, as harmonic_k",
         "ISO 13373-2"),
    MACHINE(envelope_rms, "x", ENVELOPE, 2,
            "the rms of the envelope |y + i H(y)|, y the samples in the band of --envelope",
            "numpy.abs(scipy.signal.hilbert(y))"),
    MACHINE(envelope_peak, "x", ENVELOPE, 2, "its greatest value", "numpy.abs(scipy.signal.hilbert(y))"),
    MACHINE(envelope_kurtosis, "1", ENVELOPE, 2, "its kurtosis", "numpy.abs(scipy.signal.hilbert(y))"),

    ROW("bearing", "bearing_verdict", bearing_verdict, "1", BEARING, 2,
        "0 none, 1 outer race, 2 inner race, 3 ball, 4 cage; see BEARINGS", "Randall and Antoni 2011"),
    ROW("bearing", "bearing_line_hz", bearing_line_hz, "Hz", LINE, 2,
        "the highest line of the envelope spectrum in --bearing-lines, 10 to 500 Hz without it", "Randall and Antoni 2011"),
    ROW("bearing", "bearing_line_amplitude", bearing_line_amplitude, "x", LINE, 2, "its amplitude",
        "see envelope_spectrum"),
    ROW("bearing", "bearing_line_ratio", bearing_line_ratio, "1", LINE, 2,
        "its amplitude over the median of the 40 lines on either side", "dsp/bearing.h"),
    ONE_EACH(bpfo, "x", BEARING,
             "for k = 1 to --harmonics the amplitude at k times the outer race's frequency, as bpfo_k",
             "Randall and Antoni 2011"),
    ONE_EACH(bpfi, "x", BEARING, "the same of the inner race", "Randall and Antoni 2011"),
    ONE_EACH(bsf, "x", BEARING, "the same of a rolling element", "Randall and Antoni 2011"),
    ONE_EACH(ftf, "x", BEARING, "the same of the cage", "Randall and Antoni 2011"),
    ONE_EACH(bpfo_ratio, "1", BEARING, "bpfo over the median of the 40 lines on either side, as bpfo_ratio_k",
             "dsp/bearing.h"),
    ONE_EACH(bpfi_ratio, "1", BEARING, "the same of bpfi", "dsp/bearing.h"),
    ONE_EACH(bsf_ratio, "1", BEARING, "the same of bsf", "dsp/bearing.h"),
    ONE_EACH(ftf_ratio, "1", BEARING, "the same of ftf", "dsp/bearing.h"),

    QUALITY(stuck, "1", 0, 1, "the longest run of equal samples / n: 1 of a dead sensor", "dsp/quality.h"),
    QUALITY(clipped, "1", PSA_USES_RANGE, 1,
            "the share of samples at or beyond --range; without it of those in runs of 3 or more at min or max",
            "dsp/quality.h"),
    QUALITY(dropout, "1", PSA_TAKES_EMPTY | PSA_USES_INTERVALS, 0,
            "the share of samples that are null or, as far as window.interval_s or last_ns tell, never came between the others",
            "dsp/quality.h"),
    QUALITY(jitter, "1", PSA_NEEDS_INTERVALS | PSA_USES_INTERVALS | PSA_TAKES_EMPTY, 0,
            "std of the intervals between samples / their median, from window.jitter", "psa-window --intervals"),

    ARRAY(spectrum, "x", WELCH, 1,
          "amplitudes: A of A sin(2 pi f t) on a line, sqrt(2 power_spectrum); without the 2 in line 0 and, if a segment has an "
          "even number of samples, at half the rate",
          "numpy.sqrt(2 * scipy.signal.welch(x, fs, scaling='spectrum')[1]), but for those lines"),
    ARRAY(power_spectrum, "x^2", WELCH, 1, "psd times the taper's noise bandwidth: A^2 / 2, A^2 where spectrum has no 2",
          "scipy.signal.welch(x, fs, scaling='spectrum')[1]"),
    ARRAY(psd, "x^2/Hz", WELCH, 1, "one-sided power spectral density", "scipy.signal.welch(x, fs)[1]"),
    ARRAY(envelope, "x", ENVELOPE, 1, "|y + i H(y)|, y the samples in the band of --envelope, H the Hilbert transform",
          "numpy.abs(scipy.signal.hilbert(y))"),
    ARRAY(envelope_spectrum, "x", ENVELOPE, 1, "2 |rfft((e - mean e) w)| / sum w, e the envelope, w the hann taper",
          "Randall and Antoni 2011"),
    ARRAY(fft_re, "x", WHOLE, 1, "the real part of X[k] = sum x[t] exp(-2 pi i k t / n), k = 0 to n / 2",
          "numpy.fft.rfft(x).real"),
    ARRAY(fft_im, "x", WHOLE, 1, "its imaginary part", "numpy.fft.rfft(x).imag"),
    ARRAY(fft_power, "x^2", WHOLE, 1, "|X[k]|^2", "numpy.abs(numpy.fft.rfft(x))**2"),
};
/* clang-format on */
const size_t psa_features_n = sizeof psa_features / sizeof *psa_features;

const struct psa_feature_set psa_feature_sets[] = {
    { "default", "what there is without --features and --set",
      "rms,kurtosis,spectral_energy,zcr,moving_avg,ptp,mean,std,min,max" },
    { "classic", "six that most monitoring begins with", "rms,kurtosis,spectral_energy,zcr,moving_avg,ptp" },
    { "time", "the samples as they are", NULL },
    { "spectral", "what frequencies they hold", NULL },
    { "machine", "the condition of a rotating machine", NULL },
    { "bearing", "the condition of a rolling bearing, by its envelope spectrum", NULL },
    { "quality", "whether the samples can be believed", NULL },
    { "array", "spectra and envelopes as array fields", NULL },
    { "all", "all of them but the arrays", NULL },
};
const size_t psa_feature_sets_n = sizeof psa_feature_sets / sizeof *psa_feature_sets;

/* ---- --list ----------------------------------------------------------------------------------------------------------------------------- */

enum { UNIT_COLUMN = 26, TEXT_COLUMN = 36 };

static void put_at(struct psa_buf *out, size_t line, size_t column)
{
    do psa_buf_put(out, " ", 1);
    while (!out->failed && out->n - line < column);
}

static void list_feature(struct psa_buf *out, const struct psa_feature *feature)
{
    size_t line = out->n;

    psa_buf_puts(out, "  ");
    psa_buf_puts(out, feature->name);
    put_at(out, line, UNIT_COLUMN);
    psa_buf_puts(out, feature->unit);
    put_at(out, line, TEXT_COLUMN);
    psa_buf_puts(out, feature->formula);
    psa_buf_puts(out, "\n");
    line = out->n;
    put_at(out, line, TEXT_COLUMN);
    psa_buf_puts(out, "= ");
    psa_buf_puts(out, feature->source);
    psa_buf_puts(out, "\n");
}

void psa_features_list(struct psa_buf *out)
{
    psa_buf_puts(out, "Of samples x of one field in one window. Name, unit (x: the field's own), formula, = source.\n");
    for (size_t s = 0; s < psa_feature_sets_n; s++) {
        const struct psa_feature_set *set = &psa_feature_sets[s];

        psa_buf_puts(out, "\n--set ");
        psa_buf_puts(out, set->name);
        psa_buf_puts(out, ": ");
        psa_buf_puts(out, set->summary);
        psa_buf_puts(out, "\n");
        if (set->names) {
            psa_buf_puts(out, "  ");
            psa_buf_puts(out, set->names);
            psa_buf_puts(out, "\n");
        }
        for (size_t i = 0; i < psa_features_n; i++)
            if (strcmp(psa_features[i].set, set->name) == 0) list_feature(out, &psa_features[i]);
    }
}
