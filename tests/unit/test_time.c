/* test_time.c - core/time: ISO 8601 and epoch numbers against known instants, each other, and their refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/time.h"

struct known {
    const char *text;
    int64_t ns;
};

static bool iso(const char *text, int64_t *ns)
{
    return psa_time_parse_iso(text, text + strlen(text), ns);
}

static bool epoch(const char *text, int64_t unit_ns, int64_t *ns)
{
    return psa_time_parse_epoch(text, text + strlen(text), unit_ns, ns);
}

static void iso_reads_known_instants(void **state)
{
    /* From `date -u -d TEXT +%s%N`. */
    static const struct known known[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01", 0 },
        { "2024-03-09T16:00:00Z", INT64_C(1710000000000000000) },
        { "2024-03-09 16:00:00", INT64_C(1710000000000000000) },
        { "2024-03-09t16:00:00z", INT64_C(1710000000000000000) },
        { "2024-03-09T16:00", INT64_C(1710000000000000000) },
        { "2024-03-09T17:30:00+01:30", INT64_C(1710000000000000000) },
        { "2024-03-09T17:30:00+0130", INT64_C(1710000000000000000) },
        { "2024-03-09T08:00:00-08", INT64_C(1710000000000000000) },
        { "2024-03-09T16:00:00.5Z", INT64_C(1710000000500000000) },
        { "2024-03-09T16:00:00,123456789Z", INT64_C(1710000000123456789) },
        { "2024-03-09T16:00:00.1234567899Z", INT64_C(1710000000123456789) },
        { "2020-03-09 10:14:33", INT64_C(1583748873000000000) },
        { "2013-12-02 21:15:00", INT64_C(1386018900000000000) },
        { "2000-02-29", INT64_C(951782400000000000) },
        { "2016-12-31T23:59:60Z", INT64_C(1483228800000000000) },
        { "1969-12-31T23:59:59.999999999Z", -1 },
        { "1969-12-31T23:59:58.5Z", -1500000000 },
        { "2262-04-11T23:47:16.854775807Z", INT64_MAX },
        { "1677-09-21T00:12:43.145224192Z", INT64_MIN },
    };

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int64_t ns = 42;
        if (!iso(known[i].text, &ns) || ns != known[i].ns) fail_msg("%s: %lld", known[i].text, (long long)ns);
    }
}

static void iso_refuses_what_is_no_instant(void **state)
{
    static const char *const bad[] = {
        "",
        "2024",
        "2024-03",
        "2024-3-9",
        "20240309",
        "2024-13-01",
        "2024-00-01",
        "2024-01-00",
        "2024-01-32",
        "2023-02-29",
        "1900-02-29",
        "2024-04-31",
        "2024-03-09T",
        "2024-03-09T16",
        "2024-03-09T24:00:00Z",
        "2024-03-09T16:60:00Z",
        "2024-03-09T16:00:61Z",
        "2024-03-09T16:00:00.Z",
        "2024-03-09T16:00:00.",
        "2024-03-09T16:00:00+1",
        "2024-03-09T16:00:00+01:",
        "2024-03-09T16:00:00+01:60",
        "2024-03-09T16:00:00+24:00",
        "2024-03-09T16:00:00Zx",
        "2024-03-09T16:00:00 Z",
        " 2024-03-09",
        "2024-03-09 ",
        "2024-03-09Z",
        "-2024-03-09",
        "2024-03-09T16:0a:00Z",
        "2262-04-11T23:47:16.854775808Z",
        "1677-09-21T00:12:43.145224191Z",
        "9999-12-31",
        "0000-01-01",
        "2024/03/09",
        "2024-03-09T16:00:00+01:000",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ns = 42;
        if (iso(bad[i], &ns) || ns != 42) fail_msg("'%s' was read as %lld", bad[i], (long long)ns);
    }
}

static void iso_ends_where_its_span_ends(void **state)
{
    const char text[] = "2024-03-09T16:00:00Z";
    int64_t ns;

    (void)state;
    assert_true(psa_time_parse_iso(text, text + 10, &ns));
    assert_int_equal(ns, INT64_C(1709942400000000000));
    assert_true(psa_time_parse_iso(text, text + 16, &ns));
    for (size_t n = 11; n < 16; n++) assert_false(psa_time_parse_iso(text, text + n, &ns));
}

static void epoch_is_exact(void **state)
{
    static const struct {
        const char *text;
        int64_t unit_ns, ns;
    } known[] = {
        { "0", 1000000000, 0 },
        { "-0", 1000000000, 0 },
        { "1710000000", 1000000000, INT64_C(1710000000000000000) },
        { "1710000000.123456789", 1000000000, INT64_C(1710000000123456789) },
        { "1710000000.1234567899", 1000000000, INT64_C(1710000000123456789) },
        { "-1.9999999999", 1000000000, -1999999999 },
        { "-0.0000000001", 1000000000, 0 },
        { "1710000000123.25", 1000000, INT64_C(1710000000123250000) },
        { "1710000000123456789", 1, INT64_C(1710000000123456789) },
        { "1710000000123456789.9", 1, INT64_C(1710000000123456789) },
        { "1.71e9", 1000000000, INT64_C(1710000000000000000) },
        { "1.71E+18", 1, INT64_C(1710000000000000000) },
        { "17100000000000e-4", 1000000000, INT64_C(1710000000000000000) },
        { "1500e-9", 1000000000, 1500 },
        { "0e999999999999", 1000000000, 0 },
        { "9223372036854775807", 1, INT64_MAX },
        { "-9223372036854775808", 1, INT64_MIN },
        { "9223372036.854775807", 1000000000, INT64_MAX },
        { "0000000000000000000000000000001", 1, 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int64_t ns = 42;
        if (!epoch(known[i].text, known[i].unit_ns, &ns) || ns != known[i].ns)
            fail_msg("%s: %lld", known[i].text, (long long)ns);
    }
}

static void epoch_refuses_what_is_no_number_or_too_large(void **state)
{
    static const char *const bad[] = {
        "",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "1.5e",
        "e5",
        "1 ",
        " 1",
        "0x10",
        "NaN",
        "1,5",
        "--1",
        "1.2.3",
        "9223372037",
        "-9223372037",
        "1e300",
        "1e99999999999999999999",
        "1e-10",
        "1.0000000001e0",
        "99999999999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ns = 42;
        if (epoch(bad[i], 1000000000, &ns) || ns != 42) fail_msg("'%s' was read as %lld", bad[i], (long long)ns);
    }
    int64_t ns = 42;
    assert_false(epoch("9223372036854775808", 1, &ns));
    assert_false(epoch("-9223372036854775809", 1, &ns));
}

static void format_is_shortest_of_four_lengths(void **state)
{
    static const struct known known[] = {
        { "2024-03-09T16:00:00Z", INT64_C(1710000000000000000) },
        { "2024-03-09T16:00:00.010Z", INT64_C(1710000000010000000) },
        { "2024-03-09T16:00:00.000001Z", INT64_C(1710000000000001000) },
        { "2024-03-09T16:00:00.000000001Z", INT64_C(1710000000000000001) },
        { "1969-12-31T23:59:59.999999999Z", -1 },
        { "2262-04-11T23:47:16.854775807Z", INT64_MAX },
        { "1677-09-21T00:12:43.145224192Z", INT64_MIN },
    };
    char out[PSA_TIME_ISO_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_int_equal(psa_time_format_iso(known[i].ns, out), strlen(known[i].text));
        assert_string_equal(out, known[i].text);
    }
}

static void format_and_parse_agree(void **state)
{
    uint64_t x = 88172645463325252u; /* xorshift64, Marsaglia 2003 */

    (void)state;
    for (int i = 0; i < 200000; i++) {
        char out[PSA_TIME_ISO_MAX];
        int64_t back;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        const int64_t ns = (int64_t)x;
        const size_t n = psa_time_format_iso(ns, out);
        assert_true(psa_time_parse_iso(out, out + n, &back));
        assert_int_equal(back, ns);
    }
}

static void every_day_of_a_thousand_years_follows_its_neighbour(void **state)
{
    int64_t year, day_before = psa_time_days_from_civil(1600, 1, 1) - 1;
    int month, day;

    (void)state;
    for (int64_t days = day_before + 1; days < psa_time_days_from_civil(2600, 1, 1); days++) {
        psa_time_civil_from_days(days, &year, &month, &day);
        assert_int_equal(psa_time_days_from_civil(year, month, day), days);
        assert_true(month >= 1 && month <= 12 && day >= 1 && day <= 31);
    }
    assert_int_equal(psa_time_days_from_civil(2600, 1, 1) - psa_time_days_from_civil(1600, 1, 1), 365243);
}

static void durations_for_system_calls(void **state)
{
    static const struct {
        int64_t ns, s;
        long rest;
    } table[] = { { 0, 0, 0 },          { -1, 0, 0 },
                  { INT64_MIN, 0, 0 },  { 999999999, 0, 999999999 },
                  { 5000000001, 5, 1 }, { INT64_C(4000000000000000123), 4000000000, 123 } };
    (void)state;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct timespec got = psa_timespec(table[i].ns);
        assert_true(got.tv_sec == table[i].s && got.tv_nsec == table[i].rest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso_reads_known_instants),
        cmocka_unit_test(iso_refuses_what_is_no_instant),
        cmocka_unit_test(iso_ends_where_its_span_ends),
        cmocka_unit_test(epoch_is_exact),
        cmocka_unit_test(epoch_refuses_what_is_no_number_or_too_large),
        cmocka_unit_test(format_is_shortest_of_four_lengths),
        cmocka_unit_test(format_and_parse_agree),
        cmocka_unit_test(every_day_of_a_thousand_years_follows_its_neighbour),
        cmocka_unit_test(durations_for_system_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
