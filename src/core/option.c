/*
 * option.c - see option.h.
 *
 * Every default is text and goes through the same parser as an argument, so --help cannot show another value than the
 * one in force.
 */
#include "core/option.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/json.h"
#include "core/number.h"

enum {
    OPTIONS_MAX = 96, /* of one program, all tables together */
    FIRST_LONG = 256, /* getopt_long's value of the first option */
    HELP_COLUMN = 30, /* where --help's explanations start */
    HELP_WIDTH = 100
};

/* ---- values ---------------------------------------------------------------------------------------------------------- */

struct unit {
    const char *name;
    double factor;
};

static const struct unit duration_units[] = { { "", 1e9 },      { "ns", 1 },   { "us", 1e3 },   { "ms", 1e6 },
                                              { "s", 1e9 },     { "m", 60e9 }, { "min", 60e9 }, { "h", 3600e9 },
                                              { "d", 86400e9 }, { NULL, 0 } };
static const struct unit rate_units[] = { { "", 1 }, { "Hz", 1 }, { "kHz", 1e3 }, { "MHz", 1e6 }, { NULL, 0 } };
static const struct unit size_units[] = { { "", 1 },     { "B", 1 },         { "kB", 1e3 }, { "KiB", 1024 },
                                          { "MB", 1e6 }, { "MiB", 1048576 }, { "GB", 1e9 }, { "GiB", 1073741824 },
                                          { NULL, 0 } };

/* A number and a unit: the value in the base unit, which may be infinite. *bare says that no unit stood there. */
static bool parse_quantity(const char *text, const struct unit *units, double *value, bool *bare)
{
    const char *end = text + strlen(text), *behind;
    bool finite;

    behind = psa_number_scan(text, end, value, &finite);
    if (!behind) return false;
    if (bare) *bare = behind == end;
    for (; units->name; units++)
        if (strcmp(behind, units->name) == 0) {
            *value *= units->factor;
            return true;
        }
    return false;
}

static bool fits_int64(double value)
{
    return value > -9.2e18 && value < 9.2e18;
}

static int fail_large(const char *text, const char *what, struct psa_error *error)
{
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is too large", what, text);
}

int psa_parse_duration(const char *text, const char *what, int64_t *ns, struct psa_error *error)
{
    double value;

    if (!parse_quantity(text, duration_units, &value, NULL))
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is no duration; write it like 250ms, 1.5s, 5m, 2h or 1d",
                        what, text);
    if (!fits_int64(value)) return fail_large(text, what, error);
    *ns = (int64_t)(value < 0 ? value - 0.5 : value + 0.5);
    return 0;
}

int psa_parse_rate(const char *text, const char *what, double *hz, struct psa_error *error)
{
    if (!parse_quantity(text, rate_units, hz, NULL))
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is no frequency; write it like 10Hz or 1.5kHz", what,
                        text);
    if (!isfinite(*hz)) return fail_large(text, what, error);
    return 0;
}

int psa_parse_size(const char *text, const char *what, int64_t *bytes, struct psa_error *error)
{
    double value;

    if (!parse_quantity(text, size_units, &value, NULL))
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is no size; write it like 64KiB, 1MiB or 2GiB", what,
                        text);
    if (!fits_int64(value)) return fail_large(text, what, error);
    *bytes = (int64_t)value;
    return 0;
}

int psa_parse_span(const char *text, const char *what, struct psa_span *span, struct psa_error *error)
{
    double value;
    bool bare;

    span->by_count = psa_int_parse(text, text + strlen(text), &span->value);
    if (!span->by_count) {
        if (!parse_quantity(text, duration_units, &value, &bare))
            return psa_fail(error, PSA_EXIT_PERMANENT,
                            "%s: '%s' is neither a count like 100 nor a duration like 250ms or 1s", what, text);
        if (!fits_int64(value)) return fail_large(text, what, error);
        if (bare && value > 0) /* beside 2, which is a count, 2.5 must not be seconds */
            return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is no whole number; for seconds write %ss", what, text,
                            text);
        span->value = (int64_t)(value + 0.5);
    }
    if (span->value <= 0) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' must be above zero", what, text);
    return 0;
}

int psa_parse_count(const char *text, const char *what, int64_t *value, struct psa_error *error)
{
    const char *digits = text + (*text == '-');

    if (psa_int_parse(text, text + strlen(text), value)) return 0;
    if (*digits >= '1' && *digits <= '9' && digits[strspn(digits, "0123456789")] == 0)
        return fail_large(text, what, error);
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is no whole number", what, text);
}

int psa_parse_counts(const char *text, const char *what, int64_t min, int64_t max, int64_t *value, size_t *n,
                     size_t most, struct psa_error *error)
{
    const char *list = text;
    struct psa_str item;
    char one[24];

    *n = 0;
    while ((item = psa_list_next(&list, NULL)).p != NULL) {
        if (*n == most) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: more than %zu of them", what, most);
        if (item.n == 0 || item.n >= sizeof one)
            return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is no list of counts like 5,8,12", what, text);
        memcpy(one, item.p, item.n);
        one[item.n] = 0;
        if (psa_parse_count(one, what, &value[*n], error) != 0) return -1;
        if (value[*n] < min || value[*n] > max)
            return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is not within %lld to %lld", what, one, (long long)min,
                            (long long)max);
        for (size_t i = 0; i < *n; i++)
            if (value[i] == value[*n])
                return psa_fail(error, PSA_EXIT_PERMANENT, "%s: %s stands there twice", what, one);
        ++*n;
    }
    return 0;
}

int psa_parse_real(const char *text, const char *what, double *value, struct psa_error *error)
{
    const char *end = text + strlen(text);
    bool finite;

    if (*text == '.' && psa_number_scan(text + 1, end, value, &finite) == end)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: write '%s' with its zero, 0%s", what, text, text);
    if (psa_number_scan(text, end, value, &finite) != end)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is no number", what, text);
    return finite ? 0 : fail_large(text, what, error);
}

/* A bound of a range as one would write it: of a duration, in the largest unit that makes it a whole number. */
static void put_bound(enum psa_option_type type, double bound, char text[PSA_NUMBER_MAX + 4])
{
    static const struct unit units[] = { { "d", 86400e9 }, { "h", 3600e9 }, { "m", 60e9 }, { "s", 1e9 },
                                         { "ms", 1e6 },    { "us", 1e3 },   { "ns", 1 } };
    size_t i = bound == 0 ? 3 : 0; /* 0s */

    if (type != PSA_OPT_DURATION) {
        psa_number_text(bound, text);
        return;
    }
    while (i + 1 < sizeof units / sizeof *units && fmod(bound, units[i].factor) != 0) i++;
    psa_number_text(bound / units[i].factor, text);
    strncat(text, units[i].name, 2); /* the longest has two letters */
}

static int check_range(const struct psa_option *option, const char *what, const char *text, double value,
                       struct psa_error *error)
{
    char low[PSA_NUMBER_MAX + 4], high[PSA_NUMBER_MAX + 4];

    if ((option->min == 0 && option->max == 0) || (value >= option->min && value <= option->max)) return 0;
    put_bound(option->type, option->min, low);
    put_bound(option->type, option->max, high);
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is not within %s to %s%s", what, text, low, high,
                    option->type == PSA_OPT_RATE ? " Hz" : "");
}

int psa_option_store(const struct psa_option *option, void *config, const char *what, const char *text,
                     struct psa_error *error)
{
    void *variable = (char *)config + option->offset;
    int64_t integer = 0;
    double real = 0;
    int status = 0;

    if (option->given) *(bool *)((char *)config + option->given) = true;
    switch (option->type) {
    case PSA_OPT_FLAG: *(bool *)variable = true; return 0;
    case PSA_OPT_TEXT: *(const char **)variable = text; return 0;
    case PSA_OPT_CALL: return option->take(config, option, text, error);
    case PSA_OPT_SPAN: return psa_parse_span(text, what, variable, error);
    case PSA_OPT_COUNT: status = psa_parse_count(text, what, &integer, error); break;
    case PSA_OPT_DURATION: status = psa_parse_duration(text, what, &integer, error); break;
    case PSA_OPT_SIZE: status = psa_parse_size(text, what, &integer, error); break;
    case PSA_OPT_REAL: status = psa_parse_real(text, what, &real, error); break;
    case PSA_OPT_RATE: status = psa_parse_rate(text, what, &real, error); break;
    default: return psa_fail(error, PSA_EXIT_PERMANENT, "%s: an option of no type", what);
    }
    if (status != 0) return -1;
    if (option->type == PSA_OPT_REAL || option->type == PSA_OPT_RATE) {
        *(double *)variable = real;
        return check_range(option, what, text, real, error);
    }
    *(int64_t *)variable = integer;
    return check_range(option, what, text, (double)integer, error);
}

/* Store the text's value in the option's variable. */
static int store(const struct psa_option *option, void *config, const char *text, struct psa_error *error)
{
    char what[64] = "--";

    strncat(what, option->name, sizeof what - 3);
    return psa_option_store(option, config, what, text, error);
}

struct psa_str psa_list_next(const char **list, const char *end)
{
    const char *begin = *list, *comma;

    if (!begin) return (struct psa_str){ NULL, 0 };
    if (!end) end = begin + strlen(begin);
    comma = memchr(begin, ',', (size_t)(end - begin));
    *list = comma ? comma + 1 : NULL;
    return (struct psa_str){ begin, (size_t)((comma ? comma : end) - begin) };
}

/* ---- parsing ----------------------------------------------------------------------------------------------------------- */

/* The options of all tables in one list, with the text in force for each. */
struct merged {
    const struct psa_option *option[OPTIONS_MAX];
    void *config[OPTIONS_MAX];
    struct option getopt_option[OPTIONS_MAX + 3];
    char letters[2 * OPTIONS_MAX + 8];
    size_t n;
};

static void merge(struct merged *merged, const struct psa_option_set *set, size_t n_set)
{
    char *letter = merged->letters;

    *letter++ = ':';
    for (size_t s = 0; s < n_set; s++)
        for (const struct psa_option *o = set[s].table; o && o->type != PSA_OPT_END && merged->n < OPTIONS_MAX; o++) {
            size_t i = merged->n++;

            merged->option[i] = o;
            merged->config[i] = set[s].config;
            merged->getopt_option[i] =
                (struct option){ o->name, o->metavar ? required_argument : no_argument, NULL, FIRST_LONG + (int)i };
            if (!o->letter) continue;
            *letter++ = o->letter;
            if (o->metavar) *letter++ = ':';
        }
    *letter++ = 'h';
    *letter++ = 'V';
    *letter = 0;
    merged->getopt_option[merged->n] = (struct option){ "help", no_argument, NULL, 'h' };
    merged->getopt_option[merged->n + 1] = (struct option){ "version", no_argument, NULL, 'V' };
}

int psa_options_default(const struct psa_option_set *set, size_t n_set, struct psa_error *error)
{
    for (size_t s = 0; s < n_set; s++)
        for (const struct psa_option *o = set[s].table; o && o->type != PSA_OPT_END; o++)
            if (o->initial) {
                if (store(o, set[s].config, o->initial, error) != 0) return -1;
                if (o->given) *(bool *)((char *)set[s].config + o->given) = false;
            }
    return 0;
}

/* Append the option with the value in force, so that 1s and 1000ms are the same. Calls and texts stand as typed. */
static void note(struct psa_buf *canonical, const struct psa_option *option, const void *config, const char *text)
{
    const void *variable = (const char *)config + option->offset;
    const struct psa_span *span = variable;

    if (!canonical || option->free_of_state) return;
    psa_buf_puts(canonical, canonical->n ? " --" : "--");
    psa_buf_puts(canonical, option->name);
    if (!option->metavar) return;
    psa_buf_puts(canonical, "=");
    switch (option->type) {
    case PSA_OPT_COUNT:
    case PSA_OPT_SIZE: psa_buf_int(canonical, *(const int64_t *)variable); break;
    case PSA_OPT_DURATION:
        psa_buf_int(canonical, *(const int64_t *)variable);
        psa_buf_puts(canonical, "ns");
        break;
    case PSA_OPT_REAL:
    case PSA_OPT_RATE: psa_buf_number(canonical, *(const double *)variable); break;
    case PSA_OPT_SPAN:
        psa_buf_int(canonical, span->value);
        if (!span->by_count) psa_buf_puts(canonical, "ns");
        break;
    default: psa_buf_puts(canonical, text);
    }
}

/* Is a name one of `names`, which stand there with | between them? */
static bool is_among(const char *names, const char *name)
{
    size_t n = strlen(name);

    for (; *names; names += strspn(names, "|")) {
        size_t length = strcspn(names, "|");

        if (length == n && memcmp(names, name, n) == 0) return true;
        names += length;
    }
    return false;
}

/* Was one of `names` given? */
static bool is_used(const struct merged *merged, const bool *used, const char *names)
{
    for (size_t i = 0; i < merged->n; i++)
        if (used[i] && is_among(names, merged->option[i]->name)) return true;
    return false;
}

/* Of the options of which one is needed, those that this program has are named. */
static int fail_needs(const struct merged *merged, const struct psa_option *option, struct psa_error *error)
{
    struct psa_buf needs = { 0 };
    int status;

    for (size_t i = 0; i < merged->n; i++) {
        const struct psa_option *other = merged->option[i];

        if (!is_among(option->needs, other->name)) continue;
        psa_buf_puts(&needs, needs.n ? " or --" : "--");
        psa_buf_puts(&needs, other->name);
    }
    status = psa_fail(error, PSA_EXIT_PERMANENT, "--%s means nothing without %.*s", option->name, (int)needs.n,
                      needs.p ? needs.p : "");
    psa_buf_free(&needs);
    return status;
}

/* Options that mean nothing beside the others given are refused: they would be ignored. */
static int check_company(const struct merged *merged, const bool *used, struct psa_error *error)
{
    for (size_t i = 0; i < merged->n; i++) {
        const struct psa_option *option = merged->option[i];

        if (!used[i]) continue;
        if (option->needs && !is_used(merged, used, option->needs)) return fail_needs(merged, option, error);
        for (size_t k = 0; option->not_with && k < merged->n; k++)
            if (used[k] && is_among(option->not_with, merged->option[k]->name))
                return psa_fail(error, PSA_EXIT_PERMANENT, "--%s means nothing beside --%s", option->name,
                                merged->option[k]->name);
    }
    return 0;
}

static size_t option_at(const struct merged *merged, int found)
{
    if (found >= FIRST_LONG) return (size_t)(found - FIRST_LONG);
    for (size_t i = 0; i < merged->n; i++)
        if (merged->option[i]->letter == found) return i;
    return PSA_NO_INDEX;
}

static int fail_usage(char **argv, int found, struct psa_error *error)
{
    const char *word = optind > 0 ? argv[optind - 1] : "";

    if (found == ':') return psa_fail(error, PSA_EXIT_PERMANENT, "option '%s' needs a value; see --help", word);
    return psa_fail(error, PSA_EXIT_PERMANENT, "there is no option '%s'; see --help", word);
}

int psa_options_parse(const struct psa_option_set *set, size_t n_set, int argc, char **argv, int *operand, char *asked,
                      struct psa_buf *canonical, struct psa_error *error)
{
    struct merged merged = { .n = 0 };
    const char *given[OPTIONS_MAX] = { NULL };
    bool used[OPTIONS_MAX] = { false };
    int found;

    *asked = 0;
    merge(&merged, set, n_set);
    if (psa_options_default(set, n_set, error) != 0) return -1;
    optind = 0; /* glibc: start anew, since psa-run parses several command lines */
    opterr = 0;
    while ((found = getopt_long(argc, argv, merged.letters, merged.getopt_option, NULL)) != -1) {
        size_t i;

        if (found == 'h' || found == 'V') {
            *asked = (char)found;
            return 0;
        }
        if (found == '?' || found == ':') return fail_usage(argv, found, error);
        i = option_at(&merged, found);
        if (i == PSA_NO_INDEX) return fail_usage(argv, found, error);
        if (merged.option[i]->type == PSA_OPT_ASK) {
            *asked = merged.option[i]->asks;
            return 0;
        }
        if (store(merged.option[i], merged.config[i], optarg, error) != 0) return -1;
        used[i] = true;
        given[i] = optarg;
        if (merged.option[i]->type == PSA_OPT_CALL) note(canonical, merged.option[i], merged.config[i], optarg);
    }
    *operand = optind;
    if (check_company(&merged, used, error) != 0) return -1;
    for (size_t i = 0; canonical && i < merged.n; i++) {
        const struct psa_option *option = merged.option[i];

        if (option->type == PSA_OPT_CALL) continue; /* noted above, in the order given */
        if (!used[i] && option->needs && !is_used(&merged, used, option->needs)) continue; /* means nothing here */
        if (used[i] || option->initial) note(canonical, option, merged.config[i], used[i] ? given[i] : option->initial);
    }
    if (canonical && canonical->failed) return psa_fail_memory(error, "reading the options");
    return 0;
}

/* ---- help ---------------------------------------------------------------------------------------------------------------- */

static void pad(struct psa_buf *out, size_t n)
{
    while (n--) psa_buf_put(out, " ", 1);
}

/* `text` broken at spaces into lines that start at HELP_COLUMN; `used` columns of the first are taken. */
static void explain(struct psa_buf *out, size_t used, const char *text)
{
    size_t column = HELP_COLUMN;
    bool first = true;

    if (used >= HELP_COLUMN) {
        psa_buf_puts(out, "\n");
        used = 0;
    }
    pad(out, HELP_COLUMN - used);
    for (;;) {
        size_t word;

        text += strspn(text, " ");
        word = strcspn(text, " ");
        if (!word) break;
        if (!first && column + 1 + word > HELP_WIDTH) {
            psa_buf_puts(out, "\n");
            pad(out, HELP_COLUMN);
            column = HELP_COLUMN;
        } else if (!first) {
            psa_buf_puts(out, " ");
            column++;
        }
        psa_buf_put(out, text, word);
        column += word;
        text += word;
        first = false;
    }
    psa_buf_puts(out, "\n");
}

/* An option of a program, or of a sensor's argument: `name=METAVAR`. */
static void help_line(struct psa_buf *out, const struct psa_option *option, bool dashes)
{
    char letter[5] = "    ";
    struct psa_buf text = { 0 };
    size_t from = out->n;

    if (option->letter) {
        letter[0] = '-';
        letter[1] = option->letter;
        letter[2] = ',';
    }
    psa_buf_puts(out, "  ");
    psa_buf_puts(out, letter);
    if (dashes) psa_buf_puts(out, "--");
    psa_buf_puts(out, option->name);
    if (option->metavar) {
        psa_buf_puts(out, dashes ? " " : "=");
        psa_buf_puts(out, option->metavar);
    }
    psa_buf_puts(&text, option->help);
    if (option->initial) {
        psa_buf_puts(&text, " (default: ");
        psa_buf_puts(&text, option->initial);
        psa_buf_puts(&text, ")");
    }
    psa_buf_put(&text, "", 1);
    if (!text.failed) explain(out, out->n - from + 2 > HELP_COLUMN ? HELP_COLUMN : out->n - from, text.p);
    psa_buf_free(&text);
}

void psa_options_list(const struct psa_option *table, struct psa_buf *out)
{
    for (; table && table->type != PSA_OPT_END; table++) help_line(out, table, false);
}

void psa_options_help(const struct psa_option_set *set, size_t n_set, const char *name, const char *usage,
                      const char *summary, struct psa_buf *out)
{
    static const struct psa_option common[] = {
        { .name = "help", .letter = 'h', .type = PSA_OPT_FLAG, .help = "print this help and exit" },
        { .name = "version", .letter = 'V', .type = PSA_OPT_FLAG, .help = "print the version and exit" },
        { .type = PSA_OPT_END },
    };

    psa_buf_puts(out, "usage: ");
    psa_buf_puts(out, name);
    psa_buf_puts(out, " ");
    psa_buf_puts(out, usage);
    psa_buf_puts(out, "\n");
    psa_buf_puts(out, summary);
    psa_buf_puts(out, "\n\n");
    for (size_t s = 0; s < n_set; s++) {
        for (const struct psa_option *o = set[s].table; o && o->type != PSA_OPT_END; o++) help_line(out, o, true);
    }
    for (const struct psa_option *o = common; o->type != PSA_OPT_END; o++) help_line(out, o, true);
    psa_buf_puts(out, "\nman ");
    psa_buf_puts(out, name);
    psa_buf_puts(out, " says more.\n");
}
