/*
 * time.h - event time as text: ISO 8601 and decimal epoch numbers to int64 nanoseconds since 1970-01-01T00:00:00Z, and
 * back. Pure: no clock, no time zone database, no locale. Leap seconds do not exist in this count (POSIX time).
 */
#ifndef PSA_CORE_TIME_H
#define PSA_CORE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define PSA_NS_PER_SECOND INT64_C(1000000000)
#define PSA_NS_PER_MS INT64_C(1000000)

/* A duration for system calls: none where it is negative. long has 32 bits on some machines, int64_t never. */
static inline struct timespec psa_timespec(int64_t ns)
{
    if (ns < 0) ns = 0;
    return (struct timespec){ .tv_sec = (time_t)(ns / PSA_NS_PER_SECOND), .tv_nsec = (long)(ns % PSA_NS_PER_SECOND) };
}

/* Bytes that psa_time_format_iso never exceeds, its NUL included. */
#define PSA_TIME_ISO_MAX 40

/*
 * Read all of [p, end) as an ISO 8601 calendar date or date-time in the extended format:
 *
 *     YYYY-MM-DD[(T|t|space)hh:mm[:ss[(.|,)fraction]][Z|z|(+|-)hh[[:]mm]]]
 *
 * Without a zone it is UTC; a date alone is its midnight. Digits of the fraction beyond nanoseconds are left out. A
 * second of 60 (a leap second) is the next minute's first. false, *ns untouched: it is none, or lies outside int64
 * nanoseconds (1677-09-21 to 2262-04-11).
 */
bool psa_time_parse_iso(const char *p, const char *end, int64_t *ns);

/*
 * Read all of [p, end) as a decimal number of units since 1970: `-?digits[.digits][(e|E)[+-]digits]`. unit_ns is the
 * unit's length in nanoseconds, a power of ten (1000000000: seconds, 1000000: milliseconds, 1). The reading is exact:
 * no double is involved. A fraction finer than a nanosecond is rounded towards zero; with an exponent the number must
 * be a whole number of nanoseconds. false, *ns untouched: it is none, or does not fit.
 */
bool psa_time_parse_epoch(const char *p, const char *end, int64_t unit_ns, int64_t *ns);

/*
 * Write ns as `2024-03-09T16:00:00Z`, with 3, 6 or 9 digits of fraction where it needs them. out ends in NUL; returns
 * the length without it. What it writes, psa_time_parse_iso reads back to the same ns.
 */
size_t psa_time_format_iso(int64_t ns, char out[PSA_TIME_ISO_MAX]);

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back. Source: H. Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms" (2013), days_from_civil and civil_from_days. Any year of four digits will do. */
int64_t psa_time_days_from_civil(int64_t year, int month, int day);
void psa_time_civil_from_days(int64_t days, int64_t *year, int *month, int *day);

#endif
