/* feature_choice.c - see feature_choice.h. */
#include "stage/feature_choice.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/number.h"

enum {
    NAME_MAX_LENGTH = 64, /* of a feature's or a set's name, as typed */
    NEAREST = 3,          /* names that a message offers */
    PARAMETER_DIGITS = 9
};

struct chooser {
    struct psa_feature_choice *choice;
    const struct psa_feature_settings *settings;
};

void psa_feature_choice_free(struct psa_feature_choice *choice)
{
    psa_arena_free(&choice->arena);
}

/* ---- outputs ----------------------------------------------------------------------------------------------------------------- */

/* One output, unless there is one of that name. */
static int add(struct chooser *chooser, const struct psa_feature *feature, struct psa_str suffix, double parameter,
               struct psa_error *error)
{
    struct psa_feature_choice *choice = chooser->choice;

    for (size_t i = 0; i < choice->n; i++)
        if (psa_str_is(choice->output[i].suffix, suffix)) return 0;
    if (choice->n == PSA_OUTPUTS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "more than %d features of a field", PSA_OUTPUTS_MAX);
    suffix = psa_arena_copy(&choice->arena, suffix);
    if (!suffix.p) return psa_fail_memory(error, "choosing features");
    choice->output[choice->n++] = (struct psa_feature_output){ feature, parameter, suffix };
    choice->needs |= feature->needs;
    return 0;
}

/* "envelope_rms" in "rms"? */
static bool ends_in(struct psa_str longer, struct psa_str suffix)
{
    return longer.n > suffix.n && longer.p[longer.n - suffix.n - 1] == '_' &&
           memcmp(longer.p + longer.n - suffix.n, suffix.p, suffix.n) == 0;
}

static bool is_nested(const struct psa_feature_choice *choice)
{
    for (size_t i = 0; i < choice->n; i++)
        for (size_t j = 0; j < choice->n; j++)
            if (ends_in(choice->output[i].suffix, choice->output[j].suffix)) return true;
    return false;
}

/* "autocorr_" of "autocorr_#". */
static struct psa_str stem_of(const struct psa_feature *feature)
{
    return (struct psa_str){ feature->name, strcspn(feature->name, "#") };
}

/* A parameterised one: its stem and the number as typed. A share is in per cent: q99.9. */
static int add_number(struct chooser *chooser, const struct psa_feature *feature, struct psa_str number,
                      struct psa_error *error)
{
    struct psa_str stem = stem_of(feature);
    char name[NAME_MAX_LENGTH], *p = name;
    double parameter = 0, unit = 0;

    memcpy(p, stem.p, stem.n);
    memcpy(p + stem.n, number.p, number.n);
    for (size_t i = 0; i < number.n; i++) {
        if (number.p[i] == '.') {
            unit = 1;
            continue;
        }
        parameter = 10 * parameter + (number.p[i] - '0');
        unit *= 10;
    }
    if (unit > 0) parameter /= unit;
    if (feature->naming == PSA_NAMED_SHARE) parameter /= 100;
    return add(chooser, feature, (struct psa_str){ name, stem.n + number.n }, parameter, error);
}

static int add_bands(struct chooser *chooser, const struct psa_feature *feature, struct psa_error *error)
{
    for (size_t i = 0; i < chooser->settings->n_band; i++) {
        const struct psa_feature_range *band = &chooser->settings->band[i];
        char name[NAME_MAX_LENGTH + 2 * PSA_NUMBER_MAX] = "band_";
        size_t n = strlen(name);

        n += psa_number_format(band->low, name + n);
        name[n++] = '_';
        n += psa_number_format(band->high, name + n);
        if (add(chooser, feature, (struct psa_str){ name, n }, (double)i, error) != 0) return -1;
    }
    return 0;
}

static int add_harmonics(struct chooser *chooser, const struct psa_feature *feature, struct psa_error *error)
{
    for (int64_t k = 1; k <= chooser->settings->harmonics; k++) {
        char name[NAME_MAX_LENGTH + PSA_NUMBER_MAX] = "";
        size_t n = strlen(feature->name);

        memcpy(name, feature->name, n);
        name[n++] = '_';
        n += psa_int_format(k, name + n);
        if (add(chooser, feature, (struct psa_str){ name, n }, (double)k, error) != 0) return -1;
    }
    return 0;
}

/* All that a feature makes when it is asked for without a parameter. */
static int add_feature(struct chooser *chooser, const struct psa_feature *feature, struct psa_error *error)
{
    const char *parameters = feature->in_sets;
    struct psa_str digits;

    if (feature->naming == PSA_NAMED_BANDS) return add_bands(chooser, feature, error);
    if (feature->naming == PSA_NAMED_HARMONICS) return add_harmonics(chooser, feature, error);
    if (feature->naming == PSA_NAMED_ONCE) return add(chooser, feature, psa_str_of(feature->name), 0, error);
    while ((digits = psa_list_next(&parameters, NULL)).p)
        if (add_number(chooser, feature, digits, error) != 0) return -1;
    return 0;
}

/* ---- names ---------------------------------------------------------------------------------------------------------------------- */

/* How many letters must be put in, taken out or changed to make b of a. Levenshtein, Soviet Physics Doklady 10(8), 1966. */
static size_t distance(struct psa_str a, const char *b)
{
    size_t row[NAME_MAX_LENGTH + 1], n = strlen(b);

    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 0; i < a.n; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t change = diagonal + (a.p[i] != b[j]), least = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;

            diagonal = row[j + 1];
            row[j + 1] = change < least ? change : least;
        }
    }
    return row[n];
}

/* Far enough to be another word: names that hold what was typed, or are held by it, are near all the same. */
static size_t farness(struct psa_str typed, const char *name)
{
    size_t far = 10 * distance(typed, name), n = strlen(name);

    if (typed.n < n && typed.n > 2 && memmem(name, n, typed.p, typed.n)) return 5 + (n - typed.n);
    if (n < typed.n && n > 2 && memmem(typed.p, typed.n, name, n)) return 5 + (typed.n - n);
    return far;
}

/* "rms, rms_x and y" of the names nearest to what was typed. */
static int fail_unknown(const char *what, struct psa_str typed, const char *(*name_at)(size_t), size_t n,
                        struct psa_error *error)
{
    struct {
        size_t far;
        const char *name;
    } near[NEAREST + 1];
    size_t n_near = 0;
    char offer[3 * NAME_MAX_LENGTH] = "";

    for (size_t i = 0; i < n; i++) {
        size_t at = n_near, far = farness(typed, name_at(i));

        if (far > 10 * (1 + typed.n / 3)) continue;
        for (; at > 0 && near[at - 1].far > far; at--) near[at] = near[at - 1];
        near[at].far = far;
        near[at].name = name_at(i);
        if (n_near < NEAREST) n_near++;
    }
    for (size_t i = 0; i < n_near; i++) {
        strncat(offer, i ? ", " : "; the nearest: ", sizeof offer - strlen(offer) - 1);
        strncat(offer, near[i].name, sizeof offer - strlen(offer) - 1);
    }
    return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: there is no %s '%.*s'%s; see --list",
                    strcmp(what, "set") == 0 ? "set" : "features", what, (int)typed.n, typed.p, offer);
}

static const char *feature_at(size_t i)
{
    return psa_features[i].name;
}

static const char *set_at(size_t i)
{
    return psa_feature_sets[i].name;
}

/* Is `typed` the feature's stem and what could be a number? */
static bool is_parameter(const struct psa_feature *feature, struct psa_str typed, struct psa_str *number)
{
    struct psa_str stem = stem_of(feature);

    if (feature->naming != PSA_NAMED_SHARE && feature->naming != PSA_NAMED_COUNT) return false;
    if (typed.n <= stem.n || memcmp(typed.p, stem.p, stem.n) != 0) return false;
    *number = (struct psa_str){ typed.p + stem.n, typed.n - stem.n };
    return psa_digits_skip(number->p, number->p + number->n) != number->p;
}

/* Is it a whole number within the feature's limit, or a percentage like 05, 50 or 99.9? */
static bool is_valid_parameter(const struct psa_feature *feature, struct psa_str number)
{
    const char *end = number.p + number.n, *behind = psa_digits_skip(number.p, end);
    int64_t whole;

    if (number.n > PARAMETER_DIGITS) return false;
    if (feature->naming == PSA_NAMED_COUNT)
        return psa_int_parse(number.p, end, &whole) && whole >= 1 && whole <= feature->most;
    for (whole = 0; number.p < behind; number.p++) whole = 10 * whole + (*number.p - '0');
    if (whole > 100) return false;
    if (behind == end) return true;
    return *behind == '.' && behind + 1 < end && psa_digits_skip(behind + 1, end) == end && whole < 100;
}

/* Does the feature get all that it needs of the options? If not, *option is the one that is missing. */
static bool is_served(const struct chooser *chooser, const struct psa_feature *feature, const char **option)
{
    const struct psa_feature_settings *settings = chooser->settings;

    *option = NULL;
    if ((feature->needs & PSA_NEEDS_SPEED) && !(settings->rpm > 0) && !settings->rpm_field)
        *option = "--rpm or --rpm-field";
    else if ((feature->needs & PSA_NEEDS_BAND) && !settings->n_band) *option = "--band";
    else if ((feature->needs & PSA_NEEDS_ZONES) && !settings->zones) *option = "--zones";
    else if ((feature->needs & PSA_NEEDS_BEARING) && !settings->bearing_given && !settings->bearing_hz_given)
        *option = "--bearing or --bearing-hz";
    return !*option;
}

static int add_named(struct chooser *chooser, struct psa_str typed, struct psa_error *error)
{
    const char *missing;

    if (typed.n >= NAME_MAX_LENGTH / 2)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--features: there is no feature '%.*s'; see --list", (int)typed.n,
                        typed.p);
    for (size_t i = 0; i < psa_features_n; i++) {
        const struct psa_feature *feature = &psa_features[i];
        struct psa_str digits;

        if (is_parameter(feature, typed, &digits)) {
            if (!is_valid_parameter(feature, digits))
                return psa_fail(error, PSA_EXIT_PERMANENT, "--features: '%.*s' is none of %s", (int)typed.n, typed.p,
                                feature->range);
            return add_number(chooser, feature, digits, error);
        }
        if (!psa_str_eq(typed, feature->name) || strchr(feature->name, '#')) continue;
        if (!is_served(chooser, feature, &missing))
            return psa_fail(error, PSA_EXIT_PERMANENT, "--features: '%s' needs %s", feature->name, missing);
        return add_feature(chooser, feature, error);
    }
    return fail_unknown("feature", typed, feature_at, psa_features_n, error);
}

/* The features of a set whose options were given. */
static int add_set(struct chooser *chooser, struct psa_str typed, struct psa_error *error)
{
    const struct psa_feature_set *set = NULL;
    const char *names, *missing = NULL, *first_missing = NULL;
    struct psa_str name;

    for (size_t i = 0; i < psa_feature_sets_n && typed.n < NAME_MAX_LENGTH / 2; i++)
        if (psa_str_eq(typed, psa_feature_sets[i].name)) set = &psa_feature_sets[i];
    if (!set) return fail_unknown("set", typed, set_at, typed.n < NAME_MAX_LENGTH / 2 ? psa_feature_sets_n : 0, error);
    names = set->names;
    while ((name = psa_list_next(&names, NULL)).p)
        if (add_named(chooser, name, error) != 0) return -1;
    for (size_t i = 0; i < psa_features_n && !set->names; i++) {
        const struct psa_feature *feature = &psa_features[i];
        bool all = strcmp(set->name, "all") == 0;

        if (all ? feature->array_of != NULL : strcmp(feature->set, set->name) != 0) continue;
        if (!is_served(chooser, feature, &missing)) {
            if (!first_missing) first_missing = missing;
            continue;
        }
        if (add_feature(chooser, feature, error) != 0) return -1;
    }
    if (strcmp(set->name, "bearing") == 0 && first_missing)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--set: 'bearing' needs %s", first_missing);
    return 0;
}

/* ---- all together --------------------------------------------------------------------------------------------------------------- */

static int add_wish(struct chooser *chooser, const struct psa_feature_wish *wish, struct psa_error *error)
{
    const char *list = wish->text;
    struct psa_str name;

    if (!*list) return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: nothing named", wish->is_set ? "set" : "features");
    while ((name = psa_list_next(&list, NULL)).p)
        if ((wish->is_set ? add_set(chooser, name, error) : add_named(chooser, name, error)) != 0) return -1;
    return 0;
}

/* An option that no feature listens to would be ignored: say so. */
static int check_heard(const struct psa_feature_choice *choice, const struct psa_feature_settings *settings,
                       struct psa_error *error)
{
    const struct {
        const char *option;
        bool given;
        unsigned heard_by;
    } option[] = {
        { "--taper", settings->given.taper, PSA_USES_WELCH },
        { "--nperseg", settings->given.nperseg, PSA_USES_WELCH },
        { "--detrend", settings->given.detrend, PSA_USES_WELCH },
        { "--average", settings->given.average, PSA_USES_WELCH },
        { "--rolloff", settings->given.rolloff, PSA_USES_ROLLOFF },
        { "--rpm", settings->rpm > 0, PSA_USES_SPEED },
        { "--rpm-field", settings->rpm_field != NULL, PSA_USES_SPEED },
        { "--harmonics", settings->given.harmonics, PSA_USES_HARMONICS },
        { "--envelope", settings->envelope.given, PSA_USES_ENVELOPE },
        { "--bearing-lines", settings->lines.given, PSA_USES_BEARING },
        { "--velocity-band", settings->velocity.given, PSA_USES_VELOCITY },
        { "--unit", settings->given.unit, PSA_USES_VELOCITY },
        { "--range", settings->range.given, PSA_USES_RANGE },
        { "--moving-avg", settings->given.moving_avg, PSA_USES_MOVING_AVG },
    };

    for (size_t i = 0; i < sizeof option / sizeof *option; i++)
        if (option[i].given && !(choice->needs & option[i].heard_by))
            return psa_fail(error, PSA_EXIT_PERMANENT,
                            "%s means nothing: none of the features wanted listens to it; see --features and --set",
                            option[i].option);
    return 0;
}

/* Options that say what to measure add the features that measure it, unless one of them is wanted already. */
static int add_measured(struct chooser *chooser, struct psa_error *error)
{
    const struct psa_feature_settings *settings = chooser->settings;
    unsigned needs = chooser->choice->needs;

    if (settings->n_band && !(needs & PSA_NEEDS_BAND) && add_named(chooser, psa_str_of("band"), error) != 0) return -1;
    if (settings->zones && !(needs & PSA_NEEDS_ZONES) && add_named(chooser, psa_str_of("velocity_zone"), error) != 0)
        return -1;
    if ((settings->bearing_given || settings->bearing_hz_given) && !(needs & PSA_NEEDS_BEARING))
        return add_set(chooser, psa_str_of("bearing"), error);
    return 0;
}

int psa_feature_choose(struct psa_feature_choice *choice, const struct psa_feature_settings *settings,
                       struct psa_error *error)
{
    struct chooser chooser = { choice, settings };

    if (!settings->n_wish && add_set(&chooser, psa_str_of("default"), error) != 0) return -1;
    for (size_t i = 0; i < settings->n_wish; i++)
        if (add_wish(&chooser, &settings->wish[i], error) != 0) return -1;
    if (add_measured(&chooser, error) != 0) return -1;
    choice->nested = is_nested(choice);
    return check_heard(choice, settings, error);
}
