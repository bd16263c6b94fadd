/*
 * time.c - ISO 8601 and epoch numbers to nanoseconds and back, in integer arithmetic only.
 *
 * The calendar is Howard Hinnant's: years begin in March so that the leap day is a year's last, and 400 years are an
 * era of 146097 days. His algorithms are exact over all dates that int64 nanoseconds can name.
 */
#include "core/time.h"

#include <string.h>

#define SECONDS_PER_DAY INT64_C(86400)
/* An exponent that no time in range needs; bounds the arithmetic on positions. */
#define EXPONENT_MAX 1000

/* A text being read. */
struct cursor {
    const char *p, *end;
};

/* ---- the calendar ------------------------------------------------------------------------------------------------ */

int64_t psa_time_days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t year_of_era = year - era * 400;                                         /* [0, 399] */
    const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1; /* [0, 365] */
    const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468; /* 719468 days lie between 0000-03-01 and 1970-01-01 */
}

void psa_time_civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const int64_t day_of_era = days - era * 146097; /* [0, 146096] */
    const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * day_of_year + 2) / 153; /* [0, 11] */

    *day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static int days_in_month(int64_t year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* seconds * 10^9 + fraction_ns with 0 <= fraction_ns < 10^9; false when it does not fit. */
static bool join(int64_t seconds, int64_t fraction_ns, int64_t *ns)
{
    int64_t whole, sum;

    if (seconds < 0 && fraction_ns > 0) { /* so that the product alone does not overflow where the sum fits */
        seconds++;
        fraction_ns -= PSA_NS_PER_SECOND;
    }
    if (__builtin_mul_overflow(seconds, PSA_NS_PER_SECOND, &whole) || __builtin_add_overflow(whole, fraction_ns, &sum))
        return false;
    *ns = sum;
    return true;
}

/* ---- reading ISO 8601 -------------------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly n digits. */
static bool take_digits(struct cursor *in, int n, int *value)
{
    if (in->end - in->p < n) return false;
    *value = 0;
    for (int i = 0; i < n; i++) {
        if (!is_digit(in->p[i])) return false;
        *value = *value * 10 + (in->p[i] - '0');
    }
    in->p += n;
    return true;
}

static bool take_char(struct cursor *in, char c)
{
    if (in->p == in->end || *in->p != c) return false;
    in->p++;
    return true;
}

static bool take_date(struct cursor *in, int64_t *days)
{
    int year, month, day;

    if (!take_digits(in, 4, &year) || !take_char(in, '-') || !take_digits(in, 2, &month) || !take_char(in, '-') ||
        !take_digits(in, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) return false;
    *days = psa_time_days_from_civil(year, month, day);
    return true;
}

/* `.5`, `,123456789012`: at least one digit; those beyond the ninth are left out. */
static bool take_fraction(struct cursor *in, int64_t *fraction_ns)
{
    int64_t scale = PSA_NS_PER_SECOND / 10;

    *fraction_ns = 0;
    if (!take_char(in, '.') && !take_char(in, ',')) return true;
    if (in->p == in->end || !is_digit(*in->p)) return false;
    for (; in->p != in->end && is_digit(*in->p); in->p++, scale /= 10) *fraction_ns += scale * (*in->p - '0');
    return true;
}

static bool take_clock(struct cursor *in, int64_t *seconds, int64_t *fraction_ns)
{
    int hour, minute, second = 0;

    *fraction_ns = 0;
    if (!take_digits(in, 2, &hour) || !take_char(in, ':') || !take_digits(in, 2, &minute)) return false;
    if (take_char(in, ':') && (!take_digits(in, 2, &second) || !take_fraction(in, fraction_ns))) return false;
    if (hour > 23 || minute > 59 || second > 60) return false;
    *seconds = (int64_t)hour * 3600 + minute * 60 + second;
    return true;
}

/* Nothing, `Z`, `+hh`, `+hhmm`, `+hh:mm`. */
static bool take_zone(struct cursor *in, int64_t *offset_seconds)
{
    int hour, minute = 0;

    *offset_seconds = 0;
    if (in->p == in->end || take_char(in, 'Z') || take_char(in, 'z')) return true;
    const bool west = *in->p == '-';
    if (!take_char(in, '+') && !take_char(in, '-')) return false;
    if (!take_digits(in, 2, &hour)) return false;
    if (in->p != in->end) {
        (void)take_char(in, ':');
        if (!take_digits(in, 2, &minute)) return false;
    }
    if (hour > 23 || minute > 59) return false;
    *offset_seconds = ((int64_t)hour * 3600 + minute * 60) * (west ? -1 : 1);
    return true;
}

bool psa_time_parse_iso(const char *p, const char *end, int64_t *ns)
{
    struct cursor in = { p, end };
    int64_t days, seconds = 0, fraction_ns = 0, offset_seconds = 0;

    if (!take_date(&in, &days)) return false;
    if (in.p != in.end) {
        if (!take_char(&in, 'T') && !take_char(&in, 't') && !take_char(&in, ' ')) return false;
        if (!take_clock(&in, &seconds, &fraction_ns) || !take_zone(&in, &offset_seconds)) return false;
    }
    if (in.p != in.end) return false;
    return join(days * SECONDS_PER_DAY + seconds - offset_seconds, fraction_ns, ns);
}

/* ---- reading epoch numbers --------------------------------------------------------------------------------------- */

/* The parts of `-12.5e3`. */
struct decimal {
    struct digits {
        const char *p;
        int64_t n;
    } whole, fraction;
    bool negative, has_exponent;
    int exponent;
};

static struct digits take_run(struct cursor *in)
{
    struct digits run = { in->p, 0 };

    while (in->p != in->end && is_digit(*in->p)) in->p++;
    run.n = in->p - run.p;
    return run;
}

static bool take_exponent(struct cursor *in, struct decimal *number)
{
    if (!take_char(in, 'e') && !take_char(in, 'E')) return true;
    const bool minus = take_char(in, '-');
    if (!minus) (void)take_char(in, '+');
    const struct digits run = take_run(in);
    if (run.n == 0) return false;
    for (int64_t i = 0; i < run.n && number->exponent < EXPONENT_MAX; i++)
        number->exponent = number->exponent * 10 + (run.p[i] - '0');
    if (minus) number->exponent = -number->exponent;
    number->has_exponent = true;
    return true;
}

static bool take_decimal(struct cursor *in, struct decimal *number)
{
    memset(number, 0, sizeof *number);
    number->negative = take_char(in, '-');
    number->whole = take_run(in);
    number->fraction.p = in->p;
    if (number->whole.n == 0) return false;
    if (take_char(in, '.')) {
        number->fraction = take_run(in);
        if (number->fraction.n == 0) return false;
    }
    return take_exponent(in, number) && in->p == in->end;
}

/* magnitude * 10 + digit; false when it leaves uint64. */
static bool push_digit(uint64_t *magnitude, int digit)
{
    return !__builtin_mul_overflow(*magnitude, UINT64_C(10), magnitude) &&
           !__builtin_add_overflow(*magnitude, (uint64_t)digit, magnitude);
}

/* The digits of the number cut `shift` places behind its decimal point; *rest says that a digit behind the cut is not
 * zero. */
static bool shifted(const struct decimal *number, int64_t shift, uint64_t *magnitude, bool *rest)
{
    const int64_t n = number->whole.n + number->fraction.n, cut = number->whole.n + shift;

    *magnitude = 0;
    *rest = false;
    for (int64_t i = 0; i < n; i++) {
        const char c = i < number->whole.n ? number->whole.p[i] : number->fraction.p[i - number->whole.n];
        if (i >= cut) *rest |= c != '0';
        else if (!push_digit(magnitude, c - '0')) return false;
    }
    for (int64_t i = n; i < cut && *magnitude != 0; i++) {
        if (!push_digit(magnitude, 0)) return false;
    }
    return true;
}

bool psa_time_parse_epoch(const char *p, const char *end, int64_t unit_ns, int64_t *ns)
{
    struct cursor in = { p, end };
    struct decimal number;
    int64_t shift = 0;
    uint64_t magnitude;
    bool rest;

    if (!take_decimal(&in, &number)) return false;
    for (; unit_ns > 1; unit_ns /= 10) shift++;
    if (!shifted(&number, shift + number.exponent, &magnitude, &rest) || (number.has_exponent && rest)) return false;
    if (magnitude > (uint64_t)INT64_MAX + number.negative) return false;
    *ns = number.negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* value in exactly n digits. */
static char *put_digits(char *out, int64_t value, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + n;
}

static char *put_char(char *out, char c)
{
    *out = c;
    return out + 1;
}

static char *put_fraction(char *out, int64_t fraction_ns)
{
    if (fraction_ns == 0) return out;
    out = put_char(out, '.');
    if (fraction_ns % 1000000 == 0) return put_digits(out, fraction_ns / 1000000, 3);
    if (fraction_ns % 1000 == 0) return put_digits(out, fraction_ns / 1000, 6);
    return put_digits(out, fraction_ns, 9);
}

size_t psa_time_format_iso(int64_t ns, char out[PSA_TIME_ISO_MAX])
{
    int64_t seconds = ns / PSA_NS_PER_SECOND, fraction_ns = ns % PSA_NS_PER_SECOND, year;
    int month, day;
    char *p = out;

    if (fraction_ns < 0) {
        fraction_ns += PSA_NS_PER_SECOND;
        seconds--;
    }
    int64_t days = seconds / SECONDS_PER_DAY, of_day = seconds % SECONDS_PER_DAY;
    if (of_day < 0) {
        of_day += SECONDS_PER_DAY;
        days--;
    }
    psa_time_civil_from_days(days, &year, &month, &day);
    p = put_char(put_digits(p, year, 4), '-');
    p = put_char(put_digits(p, month, 2), '-');
    p = put_char(put_digits(p, day, 2), 'T');
    p = put_char(put_digits(p, of_day / 3600, 2), ':');
    p = put_char(put_digits(p, of_day / 60 % 60, 2), ':');
    p = put_digits(p, of_day % 60, 2);
    p = put_char(put_fraction(p, fraction_ns), 'Z');
    *p = '\0';
    return (size_t)(p - out);
}
