/* feature_analysis.c - see feature_analysis.h. */
#include "stage/feature_analysis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dsp/envelope.h"
#include "dsp/filtfilt.h"
#include "dsp/iir.h"
#include "dsp/quantile.h"
#include "dsp/spectrum.h"

enum { ENVELOPE_ORDER = 4 }; /* of the band-pass */

/* What a band-pass leaves of a signal that has nothing in its band is rounding, some 1e-16 of the signal a step. */
static const double nothing_in_band = 1e-9;

/* Transforms of one length, each made at its first use. */
struct psa_feature_plans {
    size_t n;
    struct psa_spectrum *spectrum;
    struct psa_welch_plan *welch, *severity;
    struct psa_welch with; /* what welch was made with; severity but for the taper */
    struct psa_envelope *envelope;
};

const char *psa_undefined_name(enum psa_undefined undefined)
{
    static const char *const name[] = {
        [PSA_DEFINED] = "",
        [PSA_UNDEFINED_EMPTY] = "empty_window",
        [PSA_UNDEFINED_MISSING] = "missing_samples",
        [PSA_UNDEFINED_TOO_FEW] = "too_few_samples",
        [PSA_UNDEFINED_TOO_MANY] = "too_many_samples",
        [PSA_UNDEFINED_CONSTANT] = "constant",
        [PSA_UNDEFINED_RESOLUTION] = "below_resolution",
        [PSA_UNDEFINED_RATE] = "no_rate",
        [PSA_UNDEFINED_SPEED] = "no_speed",
        [PSA_UNDEFINED_BAND] = "out_of_band",
        [PSA_UNDEFINED_INTERVALS] = "no_intervals",
        [PSA_UNDEFINED_OTHER] = "undefined",
    };

    return name[undefined];
}

/* ---- the window ------------------------------------------------------------------------------------------------------------ */

static void free_plans(struct psa_feature_plans *plans)
{
    if (!plans) return;
    psa_spectrum_free(plans->spectrum);
    psa_welch_free(plans->welch);
    psa_welch_free(plans->severity);
    psa_envelope_free(plans->envelope);
    free(plans);
}

void psa_analysis_free(struct psa_analysis *analysis)
{
    for (size_t i = 0; i < analysis->n_plans; i++) free_plans(analysis->plans[i]);
    for (size_t i = 0; i < PSA_DERIVED_MAX; i++) free(analysis->scratch[i].p);
    *analysis = (struct psa_analysis){ 0 };
}

double *psa_analysis_room(struct psa_analysis *analysis, enum psa_derived which, size_t n)
{
    struct psa_scratch *scratch = &analysis->scratch[which];
    double *grown;

    if (n < 1) n = 1;
    if (n <= scratch->cap) return scratch->p;
    grown = realloc(scratch->p, (n + n / 2) * sizeof *grown);
    if (!grown) {
        analysis->failed = true;
        return NULL;
    }
    scratch->p = grown;
    scratch->cap = n + n / 2;
    return grown;
}

/* Is any of x[n] NaN? Every window is asked, so eight samples at a time, in chains that do not wait for each other. */
static bool has_missing(const double *x, size_t n)
{
    typedef double pair __attribute__((vector_size(16)));
    typedef int64_t mask __attribute__((vector_size(16)));
    mask any[4] = { { 0 }, { 0 }, { 0 }, { 0 } };
    bool missing = false;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        for (size_t k = 0; k < 4; k++) {
            pair two = { x[i + 2 * k], x[i + 2 * k + 1] }, same = two;

            any[k] |= two != same; /* NaN is the same as nothing */
        }
    }
    any[0] |= any[1] | any[2] | any[3];
    for (; i < n; i++) missing |= x[i] != x[i];
    return missing || any[0][0] || any[0][1];
}

/* An interval that is longer has a sample missing in it; timestamps in whole milliseconds, or a shaky clock, make no gap. */
static const double gap = 1.5;
/* Where only the last sample's time tells, it may be off by one sample, or by this share of them, as clocks are. */
static const double clock_share = 0.02;

static bool has_gap(const struct psa_window_facts *facts)
{
    return !(facts->longest_s < gap * facts->interval_s);
}

/* Of n samples, how many should be there from the first to the last? By the intervals where they are known, else by the rate
 * that the records tell. What a window's edges cut off is not asked for. */
static size_t samples_due(const struct psa_window_facts *facts, size_t n)
{
    bool has_intervals = facts->interval_s > 0;
    double interval_s = has_intervals ? facts->interval_s : 1 / facts->rate_hz;
    double span_s = isnan(facts->span_s) ? (double)(n - 1) / facts->rate_hz : facts->span_s;
    double due = floor(span_s / interval_s + 1.5);

    if (n < 2 || !(facts->rate_hz > 0) || (has_intervals && !has_gap(facts))) return n;
    return due > (double)n && due < 1e15 ? (size_t)due : n;
}

bool psa_analysis_tells_due(const struct psa_analysis *analysis)
{
    const struct psa_window_facts *facts = &analysis->facts;

    return facts->is_block || facts->interval_s > 0 || !isnan(facts->span_s);
}

bool psa_analysis_is_whole(const struct psa_analysis *analysis)
{
    const struct psa_window_facts *facts = &analysis->facts;
    double n = (double)analysis->n;

    if (analysis->n_missing) return false;
    if (facts->interval_s > 0 && analysis->n_due > analysis->n) return false;
    return isnan(facts->span_s) || fabs(facts->span_s * facts->rate_hz + 1 - n) <= fmax(1, clock_share * n);
}

bool psa_analysis_begin(struct psa_analysis *analysis, const double *x, size_t n)
{
    double *kept;

    analysis->ready = 0;
    analysis->has_moments = analysis->has_median = analysis->has_mean_abs = analysis->has_hjorth =
        analysis->has_diagnosis = false;
    analysis->x = x;
    analysis->n = n;
    analysis->n_missing = 0;
    analysis->n_due = samples_due(&analysis->facts, n);
    /* Sums of a missing sample are none, so the moments, which most features want, tell that all are there; but for those of
     * one value, which look at no sums. */
    analysis->moments = psa_moments_of(x, n);
    analysis->has_moments = true;
    if (isfinite(analysis->moments.mean) && analysis->moments.min != analysis->moments.max) return true;
    if (!has_missing(x, n)) return true;
    analysis->has_moments = false;
    kept = psa_analysis_room(analysis, PSA_PRESENT, n);
    if (!kept) return false;
    analysis->n = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i])) kept[analysis->n++] = x[i];
    analysis->n_missing = n - analysis->n;
    analysis->x = kept;
    return true;
}

/* ---- in time ----------------------------------------------------------------------------------------------------------------- */

const struct psa_moments *psa_analysis_moments(struct psa_analysis *analysis)
{
    if (!analysis->has_moments) analysis->moments = psa_moments_of(analysis->x, analysis->n);
    analysis->has_moments = true;
    return &analysis->moments;
}

double psa_analysis_mean_abs(struct psa_analysis *analysis)
{
    if (!analysis->has_mean_abs) analysis->mean_abs = psa_mean_abs(analysis->x, analysis->n);
    analysis->has_mean_abs = true;
    return analysis->mean_abs;
}

const struct psa_hjorth *psa_analysis_hjorth(struct psa_analysis *analysis)
{
    if (!analysis->has_hjorth) analysis->hjorth = psa_hjorth_of(analysis->x, psa_analysis_moments(analysis));
    analysis->has_hjorth = true;
    return &analysis->hjorth;
}

/* The array's place, *ready telling whether it is filled already; NULL: memory is out. It counts as filled from now on. */
static double *derive(struct psa_analysis *analysis, enum psa_derived which, size_t n, bool *ready)
{
    double *p = psa_analysis_room(analysis, which, n);

    *ready = analysis->ready >> which & 1;
    if (p) analysis->ready |= 1u << which;
    return p;
}

const double *psa_analysis_sorted(struct psa_analysis *analysis)
{
    bool ready;
    double *sorted = derive(analysis, PSA_SORTED, analysis->n, &ready);

    if (!sorted || ready) return sorted;
    memcpy(sorted, analysis->x, analysis->n * sizeof *sorted);
    psa_sort(sorted, analysis->n);
    return sorted;
}

double psa_analysis_median(struct psa_analysis *analysis)
{
    size_t n = analysis->n;
    const double *sorted;
    double *copy;

    if (analysis->has_median) return analysis->median;
    if (analysis->sorts) {
        sorted = psa_analysis_sorted(analysis);
        if (!sorted) return NAN;
        analysis->median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2; /* as psa_median has it */
    } else {
        copy = psa_analysis_room(analysis, PSA_SORTED, n);
        if (!copy) return NAN;
        memcpy(copy, analysis->x, n * sizeof *copy);
        analysis->median = psa_median(copy, n);
    }
    analysis->has_median = true;
    return analysis->median;
}

/* ---- transforms ---------------------------------------------------------------------------------------------------------------- */

static void *undefined(struct psa_analysis *analysis, enum psa_undefined why)
{
    analysis->why = why;
    return NULL;
}

static void *out_of_memory(struct psa_analysis *analysis)
{
    analysis->failed = true;
    return NULL;
}

/* The transforms of the window's length; those of the last lengths are kept. NULL: there are none of it. */
static struct psa_feature_plans *plans_of(struct psa_analysis *analysis)
{
    struct psa_feature_plans *plans, **place;

    if (analysis->n > PSA_SPECTRUM_MAX) return undefined(analysis, PSA_UNDEFINED_TOO_MANY);
    for (size_t i = 0; i < analysis->n_plans; i++)
        if (analysis->plans[i]->n == analysis->n) return analysis->plans[i];
    plans = calloc(1, sizeof *plans);
    if (!plans) return out_of_memory(analysis);
    plans->n = analysis->n;
    place = &analysis->plans[analysis->next_plans];
    if (analysis->n_plans < PSA_FEATURE_PLANS_MAX) analysis->n_plans++;
    else free_plans(*place);
    analysis->next_plans = (analysis->next_plans + 1) % PSA_FEATURE_PLANS_MAX;
    return *place = plans;
}

static struct psa_spectrum *spectrum_of(struct psa_analysis *analysis)
{
    struct psa_feature_plans *plans = plans_of(analysis);

    if (!plans) return NULL;
    if (!plans->spectrum) plans->spectrum = psa_spectrum_new(plans->n);
    return plans->spectrum ? plans->spectrum : out_of_memory(analysis);
}

const double (*psa_analysis_bins(struct psa_analysis *analysis))[2]
{
    struct psa_spectrum *spectrum = spectrum_of(analysis);
    bool ready;
    double *bins;

    if (!spectrum) return NULL;
    bins = derive(analysis, PSA_BINS, 2 * (analysis->n / 2 + 1), &ready);
    if (bins && !ready) psa_spectrum_bins(spectrum, analysis->x, (double(*)[2])bins);
    return (const double(*)[2])bins;
}

const double *psa_analysis_magnitudes(struct psa_analysis *analysis)
{
    struct psa_spectrum *spectrum = spectrum_of(analysis);
    bool ready;
    double *magnitude;

    if (!spectrum) return NULL;
    magnitude = derive(analysis, PSA_MAGNITUDES, analysis->n / 2 + 1, &ready);
    if (magnitude && !ready) psa_spectrum_magnitudes(spectrum, analysis->x, magnitude);
    return magnitude;
}

/* A segment is no longer than the window, and the overlap shorter than the segment. */
static struct psa_welch_plan *welch_of(struct psa_analysis *analysis, bool severity)
{
    const struct psa_feature_settings *settings = analysis->settings;
    struct psa_feature_plans *plans = plans_of(analysis);
    struct psa_welch_plan **place;
    size_t nperseg = (size_t)settings->nperseg, noverlap;

    if (!plans) return NULL;
    if (!nperseg || nperseg > plans->n) nperseg = plans->n;
    noverlap = settings->noverlap_given ? (size_t)settings->noverlap : nperseg / 2;
    if (noverlap >= nperseg) noverlap = nperseg / 2;
    analysis->n_line = nperseg / 2 + 1;
    analysis->step_hz = analysis->facts.rate_hz / (double)nperseg;
    place = severity ? &plans->severity : &plans->welch;
    if (*place != NULL) return *place;
    plans->with = (struct psa_welch){ .nperseg = nperseg,
                                      .noverlap = noverlap,
                                      .taper = severity ? PSA_TAPER_HANN : settings->taper,
                                      .detrend = settings->detrend,
                                      .median = settings->median,
                                      .n_max = plans->n };
    if (settings->median && psa_welch_segments(&plans->with, plans->n) * analysis->n_line > PSA_WELCH_MEDIAN_MAX)
        return undefined(analysis, PSA_UNDEFINED_TOO_MANY);
    *place = psa_welch_new(&plans->with);
    return *place ? *place : out_of_memory(analysis);
}

static const double *density_of(struct psa_analysis *analysis, bool severity)
{
    struct psa_welch_plan *welch = welch_of(analysis, severity);
    bool ready;
    double *density;

    if (!welch) return NULL;
    density = derive(analysis, severity ? PSA_SEVERITY : PSA_DENSITY, analysis->n_line, &ready);
    if (density && !ready) psa_welch_run(welch, analysis->x, analysis->n, analysis->facts.rate_hz, density);
    return density;
}

const double *psa_analysis_density(struct psa_analysis *analysis)
{
    return density_of(analysis, false);
}

const double *psa_analysis_severity(struct psa_analysis *analysis)
{
    return density_of(analysis, !analysis->settings->given.taper);
}

const double *psa_analysis_power(struct psa_analysis *analysis)
{
    const double *density = psa_analysis_density(analysis);
    bool ready;
    double *power;

    if (!density) return NULL;
    power = derive(analysis, PSA_POWER, analysis->n_line, &ready);
    if (power && !ready) psa_welch_power(welch_of(analysis, false), density, analysis->facts.rate_hz, power);
    return power;
}

const double *psa_analysis_amplitudes(struct psa_analysis *analysis)
{
    const double *power = psa_analysis_power(analysis);
    bool ready;
    double *amplitude;

    if (!power) return NULL;
    amplitude = derive(analysis, PSA_AMPLITUDES, analysis->n_line, &ready);
    if (amplitude && !ready) psa_amplitudes(power, plans_of(analysis)->with.nperseg, amplitude);
    return amplitude;
}

const double *psa_analysis_shape(struct psa_analysis *analysis)
{
    const double *density = psa_analysis_density(analysis);
    bool ready;
    double *shape;

    if (!density) return NULL;
    shape = derive(analysis, PSA_SHAPE, analysis->n_line, &ready);
    if (shape && !ready) psa_shape_lines(density, plans_of(analysis)->with.nperseg, shape);
    return shape;
}

/* ---- envelopes -------------------------------------------------------------------------------------------------------------------- */

static struct psa_envelope *envelope_of(struct psa_analysis *analysis)
{
    struct psa_feature_plans *plans = plans_of(analysis);

    if (!plans) return NULL;
    if (!plans->envelope) plans->envelope = psa_envelope_new(plans->n, PSA_TAPER_HANN);
    return plans->envelope ? plans->envelope : out_of_memory(analysis);
}

/* The samples in the band of --envelope, filtered forward and backward; those of the window where there is none. */
static const double *band_of(struct psa_analysis *analysis)
{
    const struct psa_feature_range *band = &analysis->settings->envelope;
    double *filtered;
    size_t pad;

    if (!band->given) return analysis->x;
    if (analysis->band_rate_hz != analysis->facts.rate_hz) {
        analysis->band_rate_hz = analysis->facts.rate_hz;
        analysis->n_band = psa_butter_design(ENVELOPE_ORDER, PSA_BANDPASS, band->low, band->high,
                                             analysis->facts.rate_hz, analysis->band);
        if (analysis->n_band && !psa_sos_stable(analysis->band, analysis->n_band)) analysis->n_band = 0;
    }
    if (!analysis->n_band) return undefined(analysis, PSA_UNDEFINED_BAND);
    pad = psa_filtfilt_pad(analysis->band, analysis->n_band);
    if (analysis->n <= pad) return undefined(analysis, PSA_UNDEFINED_TOO_FEW);
    filtered = psa_analysis_room(analysis, PSA_FILTERED, 2 * (analysis->n + pad));
    if (!filtered) return NULL;
    psa_filtfilt(analysis->band, analysis->n_band, analysis->x, filtered, analysis->n, filtered + analysis->n);
    return filtered;
}

const double *psa_analysis_envelope(struct psa_analysis *analysis)
{
    struct psa_envelope *envelope = envelope_of(analysis);
    const double *x;
    bool ready;
    double *result;

    if (!envelope) return NULL;
    if (analysis->ready >> PSA_ENVELOPE & 1) return analysis->scratch[PSA_ENVELOPE].p;
    x = band_of(analysis);
    if (!x) return NULL;
    result = derive(analysis, PSA_ENVELOPE, analysis->n, &ready);
    if (result) psa_envelope_run(envelope, x, result);
    return result;
}

const double *psa_analysis_envelope_spectrum(struct psa_analysis *analysis)
{
    const double *envelope = psa_analysis_envelope(analysis);
    bool ready;
    double *amplitude;

    if (!envelope) return NULL;
    amplitude = derive(analysis, PSA_ENVELOPE_SPECTRUM, analysis->n / 2 + 1, &ready);
    if (amplitude && !ready) psa_envelope_spectrum(envelope_of(analysis), envelope, amplitude);
    return amplitude;
}

/*
 * Is there a vibration to judge? Not in a constant, nor in what rounding left in the band: the filter's or the sensor's.
 * The middle half of the window tells, in which the spectrum's taper has most of its weight: at the ends a band-pass makes
 * something of anything.
 */
static enum psa_undefined judge_signal(struct psa_analysis *analysis)
{
    const struct psa_moments *moments = psa_analysis_moments(analysis);
    size_t end = analysis->n / 4;
    const double *band = analysis->settings->envelope.given ? analysis->scratch[PSA_FILTERED].p : analysis->x;
    double std = psa_moments_of(band + end, analysis->n - 2 * end).std;

    if (psa_moments_constant(moments) || !(std > nothing_in_band * moments->rms)) return PSA_UNDEFINED_CONSTANT;
    if (std <= psa_resolution(analysis->x, analysis->n) / sqrt(12)) return PSA_UNDEFINED_RESOLUTION;
    return PSA_DEFINED;
}

const struct psa_diagnosis *psa_analysis_diagnosis(struct psa_analysis *analysis)
{
    const struct psa_feature_settings *settings = analysis->settings;
    struct psa_bearing_options options = psa_bearing_defaults();
    struct psa_bearing_hz hz = settings->bearing_hz;
    const double *amplitude;

    if (analysis->has_diagnosis) return &analysis->diagnosis;
    if (settings->bearing_given && !psa_bearing_frequencies(&settings->bearing, analysis->facts.shaft_hz, &hz))
        return undefined(analysis, PSA_UNDEFINED_SPEED);
    amplitude = psa_analysis_envelope_spectrum(analysis);
    if (!amplitude) return NULL;
    options.shaft_hz = analysis->facts.shaft_hz;
    options.harmonics = (size_t)settings->harmonics;
    if (settings->lines.given) {
        options.low_hz = settings->lines.low;
        options.high_hz = settings->lines.high;
    }
    psa_bearing_diagnose(amplitude, analysis->n / 2 + 1, analysis->facts.rate_hz / (double)analysis->n, &hz, &options,
                         &analysis->diagnosis);
    analysis->no_verdict = judge_signal(analysis);
    if (analysis->no_verdict == PSA_DEFINED && isnan(analysis->diagnosis.line_hz))
        analysis->no_verdict = PSA_UNDEFINED_TOO_FEW; /* lines: none where one is looked for, or none of any height */
    analysis->has_diagnosis = true;
    return &analysis->diagnosis;
}
