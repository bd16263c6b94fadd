/* feature_settings.c - see feature_settings.h. */
#include "stage/feature_settings.h"

#include <math.h>
#include <string.h>

#include "core/buf.h"
#include "core/error.h"
#include "core/number.h"
#include "dsp/vibration.h"

enum { NUMBER_TEXT_MAX = 63 }; /* bytes of one number of an argument */

static struct psa_feature_settings *settings_of(void *config, const struct psa_option *option)
{
    return (struct psa_feature_settings *)(void *)((char *)config + option->offset);
}

int psa_feature_take_wish(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_feature_settings *settings = settings_of(config, option);

    if (settings->n_wish == PSA_WISHES_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: more than %d of --features and --set", option->name,
                        PSA_WISHES_MAX);
    settings->wish[settings->n_wish++] = (struct psa_feature_wish){ strcmp(option->name, "set") == 0, value };
    return 0;
}

int psa_feature_take_noverlap(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_feature_settings *settings = settings_of(config, option);

    settings->noverlap_given = true;
    if (psa_parse_count(value, "--noverlap", &settings->noverlap, error) != 0) return -1;
    if (settings->noverlap < 0) return psa_fail(error, PSA_EXIT_PERMANENT, "--noverlap: '%s' is below zero", value);
    return 0;
}

/* ---- numbers with something between -------------------------------------------------------------------------------------- */

/* The n bytes at p as a number: a frequency with its unit, or a plain one. */
static int read_number(const char *p, size_t n, bool is_rate, const char *what, double *value, struct psa_error *error)
{
    char text[NUMBER_TEXT_MAX + 1];

    if (n > NUMBER_TEXT_MAX) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: a number of %zu digits", what, n);
    memcpy(text, p, n);
    text[n] = 0;
    return is_rate ? psa_parse_rate(text, what, value, error) : psa_parse_real(text, what, value, error);
}

static int add_band(struct psa_feature_settings *settings, struct psa_feature_range band, struct psa_error *error)
{
    for (size_t i = 0; i < settings->n_band; i++)
        if (settings->band[i].low == band.low && settings->band[i].high == band.high)
            return psa_fail(error, PSA_EXIT_PERMANENT, "--band: a band is given twice");
    if (settings->n_band == PSA_BANDS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--band: more than %d bands", PSA_BANDS_MAX);
    settings->band[settings->n_band++] = band;
    return 0;
}

int psa_feature_take_range(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_feature_settings *settings = settings_of(config, option);
    struct psa_feature_range range = { true, NAN, NAN };
    const char *colon = strchr(value, ':');
    bool is_rate = strcmp(option->name, "range") != 0;
    char what[32] = "--";

    strncat(what, option->name, sizeof what - 3);
    if (!colon || (is_rate && (colon == value || !colon[1])) || (colon == value && !colon[1]))
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is no range; write it like %s", what, value,
                        is_rate ? "10:1000" : "-2:2");
    if (colon != value && read_number(value, (size_t)(colon - value), is_rate, what, &range.low, error) != 0) return -1;
    if (colon[1] && read_number(colon + 1, strlen(colon + 1), is_rate, what, &range.high, error) != 0) return -1;
    if (range.low >= range.high || (is_rate && range.low < 0))
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' does not rise%s", what, value,
                        is_rate ? " from 0 Hz or above" : "");
    if (strcmp(option->name, "band") == 0) return add_band(settings, range, error);
    if (strcmp(option->name, "envelope") == 0) settings->envelope = range;
    else if (strcmp(option->name, "bearing-lines") == 0) settings->lines = range;
    else if (strcmp(option->name, "velocity-band") == 0) settings->velocity = range;
    else settings->range = range;
    if (settings->envelope.given && !(settings->envelope.low > 0))
        return psa_fail(error, PSA_EXIT_PERMANENT, "--envelope: a band-pass must begin above 0 Hz");
    return 0;
}

/* n,d,D,angle */
int psa_feature_take_bearing(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_feature_settings *settings = settings_of(config, option);
    struct psa_bearing_hz hz;
    double number[4];
    const char *p = value;
    size_t n = 0;

    for (;; p++) {
        size_t length = strcspn(p, ",");

        if (n == 4) break;
        if (read_number(p, length, false, "--bearing", &number[n++], error) != 0) return -1;
        p += length;
        if (!*p) break;
    }
    if (n != 4 || *p)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--bearing: '%s' is not n,d,D,angle, such as 8,7.94,34.5,0: rolling elements, their diameter, "
                        "the pitch diameter, the contact angle",
                        value);
    settings->bearing = (struct psa_bearing){ number[0], number[1], number[2], number[3] };
    if (!psa_bearing_frequencies(&settings->bearing, 1, &hz))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--bearing: '%s' is no bearing: at least one element, 0 < d < D, an angle below 90 degrees",
                        value);
    settings->bearing_given = true;
    return 0;
}

/* bpfo=118,bpfi=162,... */
int psa_feature_take_bearing_hz(void *config, const struct psa_option *option, const char *value,
                                struct psa_error *error)
{
    struct psa_feature_settings *settings = settings_of(config, option);
    struct {
        const char *name;
        double *hz;
    } element[] = { { "bpfo=", &settings->bearing_hz.bpfo },
                    { "bpfi=", &settings->bearing_hz.bpfi },
                    { "bsf=", &settings->bearing_hz.bsf },
                    { "ftf=", &settings->bearing_hz.ftf } };
    const char *p = value;

    for (;; p++) {
        size_t length = strcspn(p, ","), at = 0, prefix;

        while (at < 4 && strncmp(p, element[at].name, strlen(element[at].name)) != 0) at++;
        if (at == 4)
            return psa_fail(error, PSA_EXIT_PERMANENT,
                            "--bearing-hz: '%s' is not like bpfo=118Hz,bpfi=162Hz,bsf=61,ftf=14.8", value);
        prefix = strlen(element[at].name);
        if (*element[at].hz != 0)
            return psa_fail(error, PSA_EXIT_PERMANENT, "--bearing-hz: '%s' says a frequency twice", value);
        if (read_number(p + prefix, length - prefix, true, "--bearing-hz", element[at].hz, error) != 0) return -1;
        if (!(*element[at].hz > 0))
            return psa_fail(error, PSA_EXIT_PERMANENT, "--bearing-hz: '%s' has a frequency that is not above 0", value);
        p += length;
        if (!*p) break;
    }
    settings->bearing_hz_given = true;
    return 0;
}

/* ---- what goes together ---------------------------------------------------------------------------------------------------- */

/* Which of the words, ended by NULL, is it? */
static int choose(const char *what, const char *value, const char *const *word, size_t *at, struct psa_error *error)
{
    for (*at = 0; word[*at]; ++*at)
        if (strcmp(value, word[*at]) == 0) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is none of %s, %s%s%s", what, value, word[0], word[1],
                    word[2] ? ", " : "", word[2] ? word[2] : "");
}

int psa_feature_settings_check(struct psa_feature_settings *settings, struct psa_error *error)
{
    static const char *const detrends[] = { "none", "constant", "linear", NULL };
    static const char *const averages[] = { "mean", "median", NULL };
    static const char *const units[] = { "g", "m/s2", NULL };
    size_t at;

    if (!psa_taper_parse(settings->taper_name, &settings->taper))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--taper: '%s' is none of boxcar, hann, hamming, blackman, blackmanharris, flattop",
                        settings->taper_name);
    if (choose("--detrend", settings->detrend_name, detrends, &at, error) != 0) return -1;
    settings->detrend = at == 0   ? PSA_WELCH_DETREND_NONE
                        : at == 1 ? PSA_WELCH_DETREND_CONSTANT
                                  : PSA_WELCH_DETREND_LINEAR;
    if (choose("--average", settings->average_name, averages, &at, error) != 0) return -1;
    settings->median = at == 1;
    if (choose("--unit", settings->unit_name, units, &at, error) != 0) return -1;
    settings->unit_factor = at == 0 ? PSA_STANDARD_GRAVITY : 1;
    if (!settings->velocity.given) settings->velocity = (struct psa_feature_range){ false, 10, 1000 };
    if (!settings->range.given) settings->range = (struct psa_feature_range){ false, NAN, NAN };
    if (settings->noverlap_given && !settings->nperseg)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--noverlap means nothing without --nperseg");
    if (settings->noverlap_given && settings->noverlap >= settings->nperseg)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--noverlap %lld must be below --nperseg %lld",
                        (long long)settings->noverlap, (long long)settings->nperseg);
    if (settings->median && !settings->nperseg)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--average median means nothing without --nperseg");
    if (settings->bearing_given && settings->bearing_hz_given)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--bearing-hz means nothing beside --bearing");
    if (settings->bearing_given && !settings->rpm && !settings->rpm_field)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--bearing needs the shaft's speed; give --rpm or --rpm-field");
    return 0;
}

/* ---- severity zones ----------------------------------------------------------------------------------------------------------- */

void psa_feature_zones_cut(const char *zones, struct psa_str *file, struct psa_str *class_name)
{
    const char *comma = strrchr(zones, ',');

    *file = (struct psa_str){ zones, comma ? (size_t)(comma - zones) : strlen(zones) };
    *class_name = comma ? psa_str_of(comma + 1) : (struct psa_str){ NULL, 0 };
}

/* The next word of a line, up to blanks or a comment; n == 0: there is none. */
static struct psa_str next_word(struct psa_str *line)
{
    struct psa_str word;

    while (line->n && (*line->p == ' ' || *line->p == '\t' || *line->p == '\r')) line->p++, line->n--;
    word = (struct psa_str){ line->p, 0 };
    if (line->n && *line->p == '#') line->n = 0;
    while (line->n && !strchr(" \t\r#", *line->p)) {
        word.n++;
        line->p++;
        line->n--;
    }
    return word;
}

/* CLASS AB BC CD; false: it is not. */
static bool read_limits(struct psa_str line, double limit[PSA_ZONE_LIMITS])
{
    for (size_t i = 0; i < PSA_ZONE_LIMITS; i++) {
        struct psa_str word = next_word(&line);

        if (!word.n || !psa_number_parse(word.p, word.p + word.n, &limit[i])) return false;
        if (!(limit[i] > (i ? limit[i - 1] : 0))) return false;
    }
    return next_word(&line).n == 0;
}

int psa_feature_zones_read(struct psa_feature_settings *settings, struct psa_str text, struct psa_str file,
                           struct psa_str class_name, struct psa_error *error)
{
    size_t number = 0, n_class = 0;
    bool found = false;

    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        struct psa_str line = { text.p, end ? (size_t)(end - text.p) : text.n }, word;
        double limit[PSA_ZONE_LIMITS];

        number++;
        text.p += line.n + (end != NULL);
        text.n -= line.n + (end != NULL);
        word = next_word(&line);
        if (!word.n) continue;
        if (!read_limits(line, limit))
            return psa_fail(error, PSA_EXIT_PERMANENT,
                            "--zones: %.*s:%zu: a class and three rising limits in mm/s are expected", (int)file.n,
                            file.p, number);
        n_class++;
        if (class_name.n && !psa_str_is(word, class_name)) continue;
        if (class_name.n && found)
            return psa_fail(error, PSA_EXIT_PERMANENT, "--zones: %.*s:%zu: the class '%.*s' stands there twice",
                            (int)file.n, file.p, number, (int)class_name.n, class_name.p);
        found = true;
        memcpy(settings->zone_limit, limit, sizeof limit);
    }
    if (!n_class)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--zones: %.*s has no class; write lines like: II 1.12 2.8 7.1",
                        (int)file.n, file.p);
    if (!class_name.n && n_class > 1)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--zones: %.*s has %zu classes; name one: --zones %.*s,CLASS",
                        (int)file.n, file.p, n_class, (int)file.n, file.p);
    if (!found)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--zones: %.*s has no class '%.*s'", (int)file.n, file.p,
                        (int)class_name.n, class_name.n ? class_name.p : "");
    return 0;
}
