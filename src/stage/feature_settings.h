/*
 * feature_settings.h - what psa-features is told about windows: which features, and what they need to know.
 */
#ifndef PSA_STAGE_FEATURE_SETTINGS_H
#define PSA_STAGE_FEATURE_SETTINGS_H

#include "core/option.h"
#include "dsp/bearing.h"
#include "dsp/spectrum.h"
#include "dsp/taper.h"
#include "psa.h"

enum {
    PSA_WISHES_MAX = 32, /* uses of --features and --set */
    PSA_BANDS_MAX = 32,  /* uses of --band */
    PSA_ZONE_LIMITS = 3  /* between the zones A, B, C and D */
};

/* One use of --features or --set: names with commas between. */
struct psa_feature_wish {
    bool is_set;
    const char *text;
};

/* LOW:HIGH; NaN for an end that was left out. */
struct psa_feature_range {
    bool given;
    double low, high;
};

struct psa_feature_settings {
    struct psa_feature_wish wish[PSA_WISHES_MAX];
    size_t n_wish;
    int64_t moving_avg, nperseg, noverlap, harmonics;
    bool noverlap_given; /* else half of nperseg */
    struct {
        bool moving_avg, taper, nperseg, detrend, average, rolloff, harmonics, unit;
    } given; /* not the default, though it may have the default's value */
    const char *taper_name, *detrend_name, *average_name, *unit_name;
    double rolloff; /* the share */
    double rpm;     /* 0: not given */
    const char *rpm_field;
    struct psa_feature_range band[PSA_BANDS_MAX], envelope, lines, velocity, range;
    size_t n_band;
    bool bearing_given, bearing_hz_given;
    struct psa_bearing bearing;
    struct psa_bearing_hz bearing_hz;
    const char *zones; /* FILE or FILE,CLASS */

    /* What the names above stand for, from psa_feature_settings_check() and psa_feature_zones_read(). */
    enum psa_taper taper;
    enum psa_welch_detrend detrend;
    bool median;
    double unit_factor; /* from the field's unit to m/s^2 */
    double zone_limit[PSA_ZONE_LIMITS];
};

/* take() of the options whose `offset` is that of a struct psa_feature_settings in the stage's config. */
int psa_feature_take_wish(void *config, const struct psa_option *option, const char *value, struct psa_error *error);
int psa_feature_take_noverlap(void *config, const struct psa_option *option, const char *value,
                              struct psa_error *error);
int psa_feature_take_bearing(void *config, const struct psa_option *option, const char *value, struct psa_error *error);
int psa_feature_take_bearing_hz(void *config, const struct psa_option *option, const char *value,
                                struct psa_error *error);
/* --band, --envelope, --bearing-lines, --velocity-band (frequencies) and --range (the field's unit, one end may be left out). */
int psa_feature_take_range(void *config, const struct psa_option *option, const char *value, struct psa_error *error);

/*
 * The rows of the option table, with a comma behind the last, for a config struct that holds a struct
 * psa_feature_settings `at` bytes from its beginning.
 */
#define PSA_FEATURE_OPTIONS(at)                                                                                        \
    PSA_FEATURE_CALL(at, "features", "NAME,...", psa_feature_take_wish,                                                \
                     "features of each window, in this order; without it and --set rms,kurtosis,spectral_energy,zcr,"  \
                     "moving_avg,ptp,mean,std,min,max"),                                                               \
        PSA_FEATURE_CALL(at, "set", "SET,...", psa_feature_take_wish,                                                  \
                         "features by the set: default, classic, time, spectral, machine, bearing, quality, array, "   \
                         "all"),                                                                                       \
        { .name = "list", .type = PSA_OPT_ASK, .asks = 'l', .help = "print every feature with its formula and exit" }, \
        { .name = "moving-avg",                                                                                        \
          .type = PSA_OPT_COUNT,                                                                                       \
          .offset = (at) + offsetof(struct psa_feature_settings, moving_avg),                                          \
          .given = (at) + offsetof(struct psa_feature_settings, given.moving_avg),                                     \
          .metavar = "N",                                                                                              \
          .initial = "5",                                                                                              \
          .min = 1,                                                                                                    \
          .max = 1e9,                                                                                                  \
          .not_with = "rolling",                                                                                       \
          .help = "newest samples of the window that moving_avg is the mean of" },                                     \
        PSA_FEATURE_TEXT(at, "taper", taper_name, given.taper, "NAME", "boxcar",                                       \
                         "of spectra: boxcar, hann, hamming, blackman, blackmanharris or flattop"),                    \
        { .name = "nperseg",                                                                                           \
          .type = PSA_OPT_COUNT,                                                                                       \
          .offset = (at) + offsetof(struct psa_feature_settings, nperseg),                                             \
          .given = (at) + offsetof(struct psa_feature_settings, given.nperseg),                                        \
          .metavar = "N",                                                                                              \
          .initial = "0",                                                                                              \
          .min = 0,                                                                                                    \
          .max = PSA_SPECTRUM_MAX,                                                                                     \
          .not_with = "rolling",                                                                                       \
          .help = "samples of a segment, over which spectra are averaged (Welch); 0: the whole window is one" },       \
        PSA_FEATURE_CALL(at, "noverlap", "N", psa_feature_take_noverlap,                                               \
                         "samples that a segment shares with the next; without it half a segment"),                    \
        PSA_FEATURE_TEXT(at, "detrend", detrend_name, given.detrend, "KIND", "constant",                               \
                         "what a segment loses first: none, constant (its mean) or linear (its line)"),                \
        PSA_FEATURE_TEXT(at, "average", average_name, given.average, "KIND", "mean",                                   \
                         "of the segments: mean or median"),                                                           \
        PSA_FEATURE_CALL(at, "band", "LOW:HIGH", psa_feature_take_range,                                               \
                         "add the power from LOW to HIGH Hz; may be given often"),                                     \
        { .name = "rolloff",                                                                                           \
          .type = PSA_OPT_REAL,                                                                                        \
          .offset = (at) + offsetof(struct psa_feature_settings, rolloff),                                             \
          .given = (at) + offsetof(struct psa_feature_settings, given.rolloff),                                        \
          .metavar = "SHARE",                                                                                          \
          .initial = "0.95",                                                                                           \
          .min = 0.001,                                                                                                \
          .max = 0.999999,                                                                                             \
          .not_with = "rolling",                                                                                       \
          .help = "share of the spectrum that lies below spectral_rolloff" },                                          \
        { .name = "rpm",                                                                                               \
          .type = PSA_OPT_REAL,                                                                                        \
          .offset = (at) + offsetof(struct psa_feature_settings, rpm),                                                 \
          .metavar = "N",                                                                                              \
          .min = 1e-6,                                                                                                 \
          .max = 1e9,                                                                                                  \
          .not_with = "rolling|rpm-field",                                                                             \
          .help = "speed of the shaft in turns a minute" },                                                            \
        { .name = "rpm-field",                                                                                         \
          .type = PSA_OPT_TEXT,                                                                                        \
          .offset = (at) + offsetof(struct psa_feature_settings, rpm_field),                                           \
          .metavar = "NAME",                                                                                           \
          .not_with = "rolling",                                                                                       \
          .help = "field that holds it; of an array the mean" },                                                       \
        { .name = "harmonics",                                                                                         \
          .type = PSA_OPT_COUNT,                                                                                       \
          .offset = (at) + offsetof(struct psa_feature_settings, harmonics),                                           \
          .given = (at) + offsetof(struct psa_feature_settings, given.harmonics),                                      \
          .metavar = "N",                                                                                              \
          .initial = "3",                                                                                              \
          .min = 1,                                                                                                    \
          .max = PSA_BEARING_HARMONICS_MAX,                                                                            \
          .not_with = "rolling",                                                                                       \
          .help = "multiples of the shaft's and the bearing's frequencies that are looked at" },                       \
        PSA_FEATURE_CALL(at, "envelope", "LOW:HIGH", psa_feature_take_range,                                           \
                         "take envelopes in this band in Hz, around a resonance; without it of all frequencies"),      \
        PSA_FEATURE_CALL(at, "bearing", "n,d,D,angle", psa_feature_take_bearing,                                       \
                         "rolling elements, their diameter, the pitch diameter and the contact angle in degrees of "   \
                         "the bearing to diagnose; needs the speed"),                                                  \
        PSA_FEATURE_CALL(at, "bearing-hz", "bpfo=HZ,...", psa_feature_take_bearing_hz,                                 \
                         "its frequencies instead: bpfo, bpfi, bsf, ftf, as far as they are known"),                   \
        PSA_FEATURE_CALL(at, "bearing-lines", "LOW:HIGH", psa_feature_take_range,                                      \
                         "where the highest line of the envelope spectrum is looked for in Hz; without it 10:500"),    \
        PSA_FEATURE_CALL(at, "velocity-band", "LOW:HIGH", psa_feature_take_range,                                      \
                         "frequencies of velocity_rms in Hz; without it 10:1000"),                                     \
        PSA_FEATURE_TEXT(at, "unit", unit_name, given.unit, "g|m/s2", "g",                                             \
                         "unit of the accelerations that velocity is made of"),                                        \
        { .name = "zones",                                                                                             \
          .type = PSA_OPT_TEXT,                                                                                        \
          .offset = (at) + offsetof(struct psa_feature_settings, zones),                                               \
          .metavar = "FILE[,CLASS]",                                                                                   \
          .not_with = "rolling",                                                                                       \
          .help = "add velocity_zone, 1 (A) to 4 (D), by the limits of this class in this file" },                     \
        PSA_FEATURE_CALL(at, "range", "LOW:HIGH", psa_feature_take_range,                                              \
                         "range of the sensor, for clipped; either end may be left out"),

#define PSA_FEATURE_CALL(at, NAME, METAVAR, TAKE, HELP)                                             \
    {                                                                                               \
        .name = (NAME), .type = PSA_OPT_CALL, .offset = (at), .metavar = (METAVAR), .take = (TAKE), \
        .not_with = "rolling", .help = (HELP),                                                      \
    }
#define PSA_FEATURE_TEXT(at, NAME, MEMBER, GIVEN, METAVAR, INITIAL, HELP)                                         \
    {                                                                                                             \
        .name = (NAME), .type = PSA_OPT_TEXT, .offset = (at) + offsetof(struct psa_feature_settings, MEMBER),     \
        .given = (at) + offsetof(struct psa_feature_settings, GIVEN), .metavar = (METAVAR), .initial = (INITIAL), \
        .not_with = "rolling", .help = (HELP),                                                                    \
    }

/* Turn the names into what they stand for; -1 with one sentence where something is no name, or does not go together. */
int psa_feature_settings_check(struct psa_feature_settings *settings, struct psa_error *error);

/* Find the class's limits in the text of a zones file: lines `CLASS AB BC CD`, mm/s rms, # to the end of a line a comment.
 * `file` is its name and `class_name` the class, n == 0 for the only one there is. -1 with a sentence. */
int psa_feature_zones_read(struct psa_feature_settings *settings, struct psa_str text, struct psa_str file,
                           struct psa_str class_name, struct psa_error *error);
/* Cut --zones FILE[,CLASS] at its last comma. */
void psa_feature_zones_cut(const char *zones, struct psa_str *file, struct psa_str *class_name);

#endif
