/*
 * feature_analysis.h - a window of one field, and what can be derived from it. Each derived thing (moments, the sorted
 * samples, the spectrum, the envelope ...) is computed when the first feature asks for it, and once a window.
 */
#ifndef PSA_STAGE_FEATURE_ANALYSIS_H
#define PSA_STAGE_FEATURE_ANALYSIS_H

#include "dsp/bearing.h"
#include "dsp/moments.h"
#include "dsp/sos.h"
#include "dsp/waveform.h"
#include "stage/feature_settings.h"

/* Why a feature has no value; psa_undefined_name gives the name that --stats counts under. */
enum psa_undefined {
    PSA_DEFINED,
    PSA_UNDEFINED_EMPTY,      /* every sample is missing */
    PSA_UNDEFINED_MISSING,    /* some sample is missing */
    PSA_UNDEFINED_TOO_FEW,    /* samples */
    PSA_UNDEFINED_TOO_MANY,   /* samples for a transform */
    PSA_UNDEFINED_CONSTANT,   /* the window does not vary */
    PSA_UNDEFINED_RESOLUTION, /* the band has no more than the sensor's rounding */
    PSA_UNDEFINED_RATE,       /* not known */
    PSA_UNDEFINED_SPEED,      /* of the shaft, not known */
    PSA_UNDEFINED_BAND,       /* outside what the rate allows */
    PSA_UNDEFINED_INTERVALS,  /* not known */
    PSA_UNDEFINED_OTHER       /* left the range of a double */
};
const char *psa_undefined_name(enum psa_undefined undefined);

/* What the record says of all its windows. */
struct psa_window_facts {
    double rate_hz;    /* 0: not known */
    double shaft_hz;   /* 0: not known */
    double jitter;     /* of the intervals between samples; NaN: not known */
    double interval_s; /* their median; NaN: not known */
    double longest_s;  /* the longest; NaN: not known */
    double span_s;     /* from the first sample to the last, where it is not what rate_hz tells; NaN: it is */
    bool is_block;     /* no window of readings but samples of one piece */
};

/* A growing array. */
struct psa_scratch {
    double *p;
    size_t cap;
};

struct psa_feature_plans; /* transforms of one length */
enum { PSA_FEATURE_PLANS_MAX = 16 };

/* What a scratch array holds. */
enum psa_derived {
    PSA_PRESENT,    /* x without the missing samples, when there are any */
    PSA_SORTED,     /* x sorted */
    PSA_BINS,       /* rfft(x): real, imaginary, real ... */
    PSA_BIN_PARTS,  /* one part of them, or their squares */
    PSA_MAGNITUDES, /* |rfft(x)| */
    PSA_SEVERITY,   /* Welch, tapered in any case */
    PSA_DENSITY,    /* Welch */
    PSA_POWER,      /* of it */
    PSA_AMPLITUDES, /* of it */
    PSA_SHAPE,      /* of it */
    PSA_FILTERED,   /* the band-pass's scratch */
    PSA_ENVELOPE,
    PSA_ENVELOPE_SPECTRUM,
    PSA_DERIVED_MAX
};

struct psa_analysis {
    const struct psa_feature_settings *settings;
    struct psa_window_facts facts;
    bool sorts; /* some wanted feature needs the samples sorted, so the median may as well be taken from there */

    /* The window: its samples, the missing ones left out. */
    const double *x;
    size_t n, n_missing;
    size_t n_due; /* that should be there from the first to the last, as far as the facts tell; the missing ones too */

    /* Why the feature at hand is undefined, set by whoever finds out; and that memory is out. */
    enum psa_undefined why;
    bool failed;
    bool is_band_cut; /* the feature at hand has a value, but of less than its band: the rate allows no more */

    /* Derived already? */
    unsigned ready; /* bits 1 << enum psa_derived */
    bool has_moments, has_median, has_mean_abs, has_hjorth, has_diagnosis;
    struct psa_moments moments;
    double median, mean_abs;
    struct psa_hjorth hjorth;
    struct psa_diagnosis diagnosis;
    enum psa_undefined no_verdict; /* why the diagnosis has none; PSA_DEFINED when it has one */
    size_t n_line;                 /* lines of the Welch spectrum */
    double step_hz;                /* between them */

    /* Kept from window to window. */
    struct psa_scratch scratch[PSA_DERIVED_MAX];
    struct psa_feature_plans *plans[PSA_FEATURE_PLANS_MAX];
    size_t n_plans, next_plans;
    struct psa_sos band[PSA_SOS_MAX]; /* of --envelope, for band_rate_hz */
    size_t n_band;
    double band_rate_hz;
};

void psa_analysis_free(struct psa_analysis *analysis);

/* The next window, x[n] with NaN for what is missing; borrowed until the next call. false when memory is out. */
bool psa_analysis_begin(struct psa_analysis *analysis, const double *x, size_t n);

/*
 * The derived things. A pointer is NULL where there is no such thing: `why` says so then, or `failed`. Arrays are valid
 * until the next window. Before any of them the window must not be empty; before those from bins on, no sample may be
 * missing and the rate must be known (of the bins and magnitudes it need not).
 */
const struct psa_moments *psa_analysis_moments(struct psa_analysis *analysis);
double psa_analysis_median(struct psa_analysis *analysis); /* the same bits sorted or not; NaN: memory is out */
double psa_analysis_mean_abs(struct psa_analysis *analysis);
const struct psa_hjorth *psa_analysis_hjorth(struct psa_analysis *analysis);
const double *psa_analysis_sorted(struct psa_analysis *analysis);     /* [n] */
const double (*psa_analysis_bins(struct psa_analysis *analysis))[2];  /* [n / 2 + 1] */
const double *psa_analysis_magnitudes(struct psa_analysis *analysis); /* [n / 2 + 1] */
const double *psa_analysis_density(struct psa_analysis *analysis);    /* [n_line], step_hz apart */
/* The same, but by a hann taper where none was asked for: [n_line]. A line outside a band leaks into it otherwise, and
 * the slow lines weigh most when a velocity is made of an acceleration. */
const double *psa_analysis_severity(struct psa_analysis *analysis);
const double *psa_analysis_power(struct psa_analysis *analysis);             /* [n_line] */
const double *psa_analysis_amplitudes(struct psa_analysis *analysis);        /* [n_line] */
const double *psa_analysis_shape(struct psa_analysis *analysis);             /* [n_line] */
const double *psa_analysis_envelope(struct psa_analysis *analysis);          /* [n] */
const double *psa_analysis_envelope_spectrum(struct psa_analysis *analysis); /* [n / 2 + 1], rate_hz / n apart */
const struct psa_diagnosis *psa_analysis_diagnosis(struct psa_analysis *analysis);

/* An array of n numbers of the window's, for what a feature makes itself. NULL: memory is out. */
double *psa_analysis_room(struct psa_analysis *analysis, enum psa_derived which, size_t n);

/* Do the samples follow each other as the rate says, as far as the facts tell? No sample is missing, and each one came. */
bool psa_analysis_is_whole(const struct psa_analysis *analysis);
/* Is it told in any way which samples never came? */
bool psa_analysis_tells_due(const struct psa_analysis *analysis);

#endif
