/* test_number.c - numbers to text and back: shortest, exact, in JSON's grammar, whatever the locale. */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/number.h"

static const char *formatted(double value)
{
    static char text[PSA_NUMBER_MAX + 1];
    size_t n = psa_number_format(value, text);

    assert_in_range(n, 1, PSA_NUMBER_MAX);
    text[n] = '\0';
    return text;
}

/* Scan a text that is one whole number. */
static double scanned(const char *text, bool *finite)
{
    double value = -12345;

    if (psa_number_scan(text, text + strlen(text), &value, finite) != text + strlen(text))
        fail_msg("not scanned to its end: %s", text);
    return value;
}

static void layout_follows_the_exponent_limits(void **state)
{
    static const struct {
        double value;
        const char *text;
    } row[] = {
        { 0, "0" },
        { -0.0, "-0" },
        { 1, "1" },
        { -1, "-1" },
        { 10, "10" },
        { 0.1, "0.1" },
        { -0.5, "-0.5" },
        { 1.10, "1.1" },
        { 123.456, "123.456" },
        { 0.30000000000000004, "0.30000000000000004" },
        { 1.0 / 3, "0.3333333333333333" },
        { 2.0 / 3, "0.6666666666666666" },
        { 100, "100" },
        { 1e15, "1000000000000000" },
        { 1e20, "100000000000000000000" },
        { 123456789012345680000.0, "123456789012345680000" },
        { 999999999999999900000.0, "999999999999999900000" },
        { 1e21, "1e+21" },
        { -1e21, "-1e+21" },
        { 1.5e21, "1.5e+21" },
        { 1e22, "1e+22" },
        { 1e100, "1e+100" },
        { 1e-6, "0.000001" },
        { 1.5e-6, "0.0000015" },
        { 9.999999e-7, "9.999999e-7" },
        { 1e-7, "1e-7" },
        { -1.25e-7, "-1.25e-7" },
        { 1e-5, "0.00001" },
        { 0.00001234567890123456, "0.00001234567890123456" },
        { 9007199254740991.0, "9007199254740991" },
        { 9007199254740992.0, "9007199254740992" },
        { 9007199254740994.0, "9007199254740994" },
        { 2251799813685249.5, "2251799813685249.5" },
        { 9223372036854775807.0, "9223372036854776000" },
        { DBL_MAX, "1.7976931348623157e+308" },
        { -DBL_MAX, "-1.7976931348623157e+308" },
        { DBL_MIN, "2.2250738585072014e-308" },
        { 5e-324, "5e-324" },
        { 2.225073858507201e-308, "2.225073858507201e-308" },
        { 5e-320, "5e-320" },
        { NAN, "null" },
        { INFINITY, "null" },
        { -INFINITY, "null" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) assert_string_equal(formatted(row[i].value), row[i].text);
}

static void integers_print_exactly(void **state)
{
    static const struct {
        int64_t value;
        const char *text;
    } row[] = { { 0, "0" },
                { -1, "-1" },
                { INT64_MAX, "9223372036854775807" },
                { INT64_MIN, "-9223372036854775808" },
                { 1710000000000000000, "1710000000000000000" } };
    char text[PSA_NUMBER_MAX];
    int64_t back;

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        size_t n = psa_int_format(row[i].value, text);

        assert_int_equal(n, strlen(row[i].text));
        assert_memory_equal(text, row[i].text, n);
        assert_true(psa_int_parse(text, text + n, &back));
        assert_true(back == row[i].value);
    }
}

static bool parses_int(const char *text)
{
    int64_t value;

    return psa_int_parse(text, text + strlen(text), &value);
}

static void integers_parse_strictly(void **state)
{
    static const char *const good[] = { "0", "-0", "7", "-7", "9223372036854775807", "-9223372036854775808" };
    static const char *const bad[] = { "",
                                       "-",
                                       "+1",
                                       "01",
                                       "-01",
                                       "00",
                                       "1.0",
                                       "1e3",
                                       " 1",
                                       "1 ",
                                       "0x10",
                                       "--1",
                                       "1a",
                                       "9223372036854775808",
                                       "-9223372036854775809",
                                       "18446744073709551616",
                                       "99999999999999999999999999" };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(parses_int(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(parses_int(bad[i]));
}

/* A splitmix64 of our own, so that a failing run is the same run on every system. */
static uint64_t next_bits(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void check_round_trip(double value)
{
    const char *text = formatted(value);
    char *end;
    bool finite = false;
    double back = scanned(text, &finite), libc = strtod(text, &end);

    if (!finite || memcmp(&back, &value, sizeof value) != 0)
        fail_msg("%a printed as %s reads as %a", value, text, back);
    if (*end || memcmp(&libc, &value, sizeof value) != 0) fail_msg("%a printed as %s: strtod: %a", value, text, libc);
}

/* Design promise 2: what is printed reads back as the same double. */
static void random_doubles_survive(void **state)
{
    uint64_t seed = 1, bits;
    double value;

    (void)state;
    for (int i = 0; i < 1000000; i++) {
        bits = next_bits(&seed);
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) check_round_trip(value);
    }
    for (int i = 0; i < 300000; i++) { /* the magnitudes that sensors have */
        bits = next_bits(&seed);
        check_round_trip(ldexp((double)(int64_t)bits, -40 - (int)(bits & 31)));
        check_round_trip((double)(int64_t)(bits >> 40) / 1000);
    }
}

static void borders_survive(void **state)
{
    (void)state;
    for (int e = -1074; e <= 1023; e++) {
        double power = ldexp(1, e);

        check_round_trip(power);
        check_round_trip(-power);
        check_round_trip(nextafter(power, 0));
        if (e < 1023) check_round_trip(nextafter(power, INFINITY));
    }
    for (int e = -323; e <= 308; e++) {
        char text[16];

        snprintf(text, sizeof text, "1e%d", e);
        check_round_trip(strtod(text, NULL));
        check_round_trip(nextafter(strtod(text, NULL), 0));
    }
}

/* No shorter decimal reads back: one digit less changes the value. */
static void output_is_shortest(void **state)
{
    uint64_t seed = 2;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = next_bits(&seed);
        const char *p;
        char shorter[64];
        double value;
        int digits = 0;

        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        for (p = formatted(value); *p && *p != 'e'; p++) digits += *p >= '0' && *p <= '9';
        if (digits < 2 || (fabs(value) >= 1e-6 && fabs(value) < 1e21)) continue; /* padded with zeros there */
        snprintf(shorter, sizeof shorter, "%.*e", digits - 2, value);
        if (strtod(shorter, NULL) == value) fail_msg("%a printed as %s", value, formatted(value));
    }
}

/* The scanner against the C library's strtod on texts of every length and exponent. */
static void scanning_rounds_as_strtod_does(void **state)
{
    uint64_t seed = 3;

    (void)state;
    for (int i = 0; i < 300000; i++) {
        uint64_t bits = next_bits(&seed);
        int digits = 1 + (int)(bits % 25), point = (int)((bits >> 8) % (uint64_t)(digits + 1)), n = 0;
        char text[80];
        bool finite;
        double value, libc;

        if (bits & 1 << 20) text[n++] = '-';
        if (point == 0) text[n++] = '0';
        for (int k = 0; k < digits; k++) {
            char digit = (char)('0' + next_bits(&seed) % 10);

            if (k == point) text[n++] = '.';
            if (k == 0 && point > 1 && digit == '0') digit = '1'; /* JSON has no 012 */
            text[n++] = digit;
        }
        if (bits & 1 << 21) n += snprintf(text + n, 20, "e%d", (int)(next_bits(&seed) % 700) - 350);
        text[n] = '\0';
        value = scanned(text, &finite);
        libc = strtod(text, NULL);
        if (finite != (bool)isfinite(libc) || memcmp(&value, &libc, sizeof value) != 0)
            fail_msg("%s: %a, strtod: %a", text, value, libc);
    }
}

static void assert_scan(const char *text, double expected, bool expected_finite)
{
    bool finite;
    double value = scanned(text, &finite);

    if (finite != expected_finite || memcmp(&value, &expected, sizeof value) != 0)
        fail_msg("%s: %a %s", text, value, finite ? "finite" : "too large");
}

static void scanning_handles_the_edges(void **state)
{
    char *zeros = test_malloc(400010);
    bool finite;

    (void)state;
    assert_scan("0", 0, true);
    assert_scan("-0", -0.0, true);
    assert_scan("-0.0e5", -0.0, true);
    assert_scan("0e999999999999999999999", 0, true);
    assert_scan("-0.000e-99999999999", -0.0, true);
    assert_scan("1e308", 1e308, true);
    assert_scan("1.7976931348623157e308", DBL_MAX, true);
    assert_scan("1.7976931348623158e308", DBL_MAX, true);
    assert_scan("1.7976931348623159e308", INFINITY, false);
    assert_scan("1e309", INFINITY, false);
    assert_scan("-1e309", -INFINITY, false);
    assert_scan("1e99999999999999999999", INFINITY, false);
    assert_scan("5e-324", 5e-324, true);
    assert_scan("2.4703282292062327e-324", 0, true);
    assert_scan("2.4703282292062328e-324", 5e-324, true);
    assert_scan("-1e-400", -0.0, true);
    assert_scan("1e-99999999999999999999", 0, true);
    assert_scan("9007199254740993", 9007199254740992.0, true);
    assert_scan("9007199254740993.00000000000000000001", 9007199254740994.0, true);
    assert_scan("18446744073709551616", 18446744073709551616.0, true);
    assert_scan("8.5", 8.5, true);

    /* Long texts whose exponent makes up for their length. */
    memset(zeros, '0', 400010);
    zeros[0] = '1';
    memcpy(zeros + 400000, "e-400000", 9);
    assert_true(scanned(zeros, &finite) == 0.1 && finite);
    memset(zeros, '0', 400010);
    memcpy(zeros, "0.", 2);
    memcpy(zeros + 400000, "1e400000", 9);
    assert_true(scanned(zeros, &finite) == 10 && finite);
    memcpy(zeros + 400001, "e400400", 8);
    assert_true(isinf(scanned(zeros, &finite)) && !finite);
    memcpy(zeros + 400001, "e300000", 8);
    assert_true(scanned(zeros, &finite) == 0 && finite);
    test_free(zeros);
}

static void scanning_stops_where_the_number_ends(void **state)
{
    static const struct {
        const char *text;
        size_t n; /* 0: no number */
    } row[] = { { "1,2", 1 }, { "1}", 1 },  { "1.5]", 3 },  { "1.5e3 ", 5 }, { "01", 1 },  { "-01", 2 },
                { "1-", 1 },  { "0x1", 1 }, { "1.2.3", 3 }, { "", 0 },       { "-", 0 },   { "+1", 0 },
                { ".5", 0 },  { "1.", 0 },  { "1.e1", 0 },  { "1e", 0 },     { "1e+", 0 }, { "1.5e-", 0 },
                { "e1", 0 },  { "NaN", 0 }, { "inf", 0 },   { " 1", 0 },     { "-.5", 0 }, { "-a", 0 } };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        size_t n = strlen(row[i].text);
        char *exact = test_malloc(n ? n : 1);
        const char *behind;
        double value;
        bool finite;

        memcpy(exact, row[i].text, n);
        behind = psa_number_scan(exact, exact + n, &value, &finite);
        if (row[i].n ? behind != exact + row[i].n : behind != NULL) fail_msg("%s", row[i].text);
        test_free(exact);
    }
}

/* One value of an array: mostly a number, short or long, sometimes none. */
static size_t put_value(char *out)
{
    static const char *const odd[] = { "null",
                                       "",
                                       "-",
                                       "01",
                                       "-01",
                                       "1.",
                                       ".5",
                                       "1e5",
                                       "1.5E-3",
                                       "+1",
                                       "--1",
                                       "1.2.3",
                                       " 1",
                                       "1 ",
                                       "-0",
                                       "0.0",
                                       "12345678",
                                       "1234567.12345678",
                                       "0.123456789",
                                       "]",
                                       "a",
                                       "1/2",
                                       "1:2",
                                       "99999999999999999999",
                                       "-1234567.12345678",
                                       "0.00000001" };
    int kind = rand() % 40;

    if (kind < 26) return (size_t)sprintf(out, "%.*g", 1 + rand() % 9, (rand() - RAND_MAX / 2) / 1e8);
    if (kind < 36) return (size_t)sprintf(out, "%d", rand() % 100000 - 50000);
    return (size_t)sprintf(out, "%s", odd[(size_t)rand() % (sizeof odd / sizeof *odd)]);
}

/* A row of numbers is what scanning one after the other gives, wherever the text ends and however little room there is. */
static void rows_are_what_scanning_gives(void **state)
{
    double row[200], value;
    size_t taken = 0, all = 0;
    bool finite;

    (void)state;
    srand(7);
    for (int round = 0; round < 20000; round++) {
        char text[4000];
        size_t n = 0, n_row = 0, room = (size_t)(rand() % 200), values = (size_t)(rand() % 150);
        const char *p, *behind;
        char *exact;

        for (size_t i = 0; i < values; i++) {
            n += put_value(text + n);
            text[n++] = ',';
        }
        n = n && rand() % 2 ? (size_t)rand() % n : n;
        exact = malloc(n + 1);
        memcpy(exact, text, n);
        exact = realloc(exact, n ? n : 1); /* a byte read behind the end is one too many */
        p = exact;
        behind = psa_number_row(exact, exact + n, row, room, &n_row);
        assert_true(n_row <= room);
        for (size_t i = 0; i < n_row; i++) {
            p = psa_number_scan(p, exact + n, &value, &finite);
            assert_true(p && finite && p < exact + n && *p == ',');
            assert_memory_equal(&value, &row[i], sizeof value);
            p++;
        }
        assert_ptr_equal(behind, p);
        taken += n_row;
        all += values;
        free(exact);
    }
    /* Where the processor has the means, a good part is read so: an odd value ends a row. */
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) assert_true(taken > all / 20);
#endif
}

static void parsing_takes_the_whole_text(void **state)
{
    static const char good[] = "-2.5e1", large[] = "1e999";
    double value;

    (void)state;
    assert_true(psa_number_parse(good, good + 6, &value));
    assert_true(value == -25);
    assert_true(psa_number_parse(good, good + 4, &value));
    assert_false(psa_number_parse(good, good + 5, &value));
    assert_false(psa_number_parse(good, good, &value));
    assert_false(psa_number_parse(large, large + 5, &value));
}

/* LC_ALL cannot change a number. German writes 1,5; tests/run.sh compiles that locale into bin/build/locale. */
static void locale_changes_nothing(void **state)
{
    bool finite;

    (void)state;
    setenv("LOCPATH", "bin/build/locale", 0);
    if (!setlocale(LC_ALL, "de_DE.UTF-8")) {
        print_message("the locale de_DE.UTF-8 is missing\n");
        skip();
    }
    assert_string_equal(localeconv()->decimal_point, ",");
    assert_string_equal(formatted(1.5), "1.5");
    assert_true(scanned("1.5", &finite) == 1.5);
    assert_true(scanned("123456789012345678901.5", &finite) == 123456789012345678901.5);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_follows_the_exponent_limits),
        cmocka_unit_test(integers_print_exactly),
        cmocka_unit_test(integers_parse_strictly),
        cmocka_unit_test(random_doubles_survive),
        cmocka_unit_test(borders_survive),
        cmocka_unit_test(output_is_shortest),
        cmocka_unit_test(scanning_rounds_as_strtod_does),
        cmocka_unit_test(scanning_handles_the_edges),
        cmocka_unit_test(scanning_stops_where_the_number_ends),
        cmocka_unit_test(rows_are_what_scanning_gives),
        cmocka_unit_test(parsing_takes_the_whole_text),
        cmocka_unit_test(locale_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
