/* test_trend.c - dsp/trend: SciPy and NumPy, closed forms, and no drift. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/trend.h"
#include "golden.h"

static void arrays_as_scipy_detrend(void **state)
{
    (void)state;
    struct golden file = golden_open("filters.json");
    double x[150], y[150], want[150];
    for (int line = 0; line < 2; line++) {
        golden_numbers(file.text, "x", x, 150);
        memcpy(y, x, sizeof y);
        psa_detrend(y, 150, line);
        assert_int_equal(golden_numbers(file.text, line ? "detrend.linear" : "detrend.constant", want, 150), 150);
        for (size_t t = 0; t < 150; t++) assert_near(y[t], want[t], 1e-12);
    }
    golden_close(&file);
}

static void windows_as_numpy_polyfit(void **state)
{
    (void)state;
    struct golden file = golden_open("filters.json");
    struct psa_str cases = golden_at(file.text, "trends"), one;
    static double x[150], want[2][150], v[6 * 200 + 100];
    size_t i = 0;
    golden_numbers(file.text, "holey", x, 150);
    for (; (one = golden_item(cases, i)).p; i++) {
        size_t length = (size_t)golden_number(one, "n");
        assert_true(psa_trend_state(length) <= COUNT(v));
        golden_numbers(one, "constant", want[0], 150);
        golden_numbers(one, "linear", want[1], 150);
        for (int line = 0; line < 2; line++) {
            size_t at = 0;
            memset(v, 0, sizeof v);
            for (size_t t = 0; t < 150; t++)
                assert_near(x[t] - psa_trend_push(v, &at, length, x[t], line), want[line][t], 1e-9);
        }
    }
    assert_int_equal(i, 4);
    golden_close(&file);
}

static void a_line_is_taken_away_whole(void **state)
{
    (void)state;
    double x[101], v[1000] = { 0 };
    for (size_t t = 0; t < 101; t++) x[t] = t % 10 == 3 ? NAN : 1e6 + 0.125 * (double)t;
    for (size_t t = 0, at = 0; t < 101; t++) {
        double trend = psa_trend_push(v, &at, 13, x[t], true);
        if (!isnan(x[t])) assert_near(x[t] - trend, 0.0, 1e-9);
        else assert_near(trend, 1e6 + 0.125 * (double)t, 1e-14); /* a missing sample has a place on the line */
    }
    psa_detrend(x, 101, true);
    for (size_t t = 0; t < 101; t++) {
        if (t % 10 == 3) assert_true(isnan(x[t]));
        else assert_near(x[t], 0.0, 1e-9);
    }
}

/* The mean's own rounding is taken away too: what is left of ten thousand samples around 1e9 adds up to nothing. */
static void large_offsets_leave_no_rest(void **state)
{
    (void)state;
    static double x[10000];
    double sum = 0.0;
    for (size_t t = 0; t < 10000; t++) x[t] = 1e9 + 0.1 * (double)(t * 31 % 97);
    psa_detrend(x, 10000, false);
    for (size_t t = 0; t < 10000; t++) sum += x[t];
    assert_near(sum / 10000.0, 0.0, 1e-10);
}

static void few_samples_have_the_trend_they_can_have(void **state)
{
    (void)state;
    double one = 7.0, two[2] = { NAN, NAN }, v[64] = { 0 };
    size_t at = 0;
    psa_detrend(&one, 1, true);
    assert_true(one == 0.0);
    psa_detrend(two, 2, true);
    assert_true(isnan(two[0]) && isnan(two[1]));
    psa_detrend(two, 0, false);
    assert_true(isnan(psa_trend_push(v, &at, 4, NAN, true)));
    assert_true(psa_trend_push(v, &at, 4, 5.0, true) == 5.0);
    assert_true(psa_trend_push(v, &at, 4, 7.0, true) == 7.0);
    assert_true(psa_trend_push(v, &at, 4, 7.0, false) == (5.0 + 7.0 + 7.0) / 3.0);
}

/* Ten million samples, one of them enormous: nothing of it is left two windows later, and the last mean and line are
 * those of a window that saw only the last samples, to rounding. A running sum would have lost them all. */
static void nothing_drifts(void **state)
{
    (void)state;
    enum { LENGTH = 100, TOTAL = 10000000 };
    static double v[2][6 * LENGTH + 10], fresh[2][6 * LENGTH + 10];
    size_t at[2] = { 0 }, fresh_at[2] = { 0 };
    double got[2] = { 0 }, want[2] = { 0 };
    for (size_t t = 0; t < TOTAL; t++) {
        double x = t == TOTAL - 450 ? 1e300 : 1000.0 + (double)(t * 7919 % 1013) / 64.0;
        for (int line = 0; line < 2; line++) {
            got[line] = psa_trend_push(v[line], &at[line], LENGTH, x, line);
            if (t >= TOTAL - LENGTH) want[line] = psa_trend_push(fresh[line], &fresh_at[line], LENGTH, x, line);
        }
    }
    assert_near(got[0], want[0], 1e-14);
    assert_near(got[1], want[1], 1e-13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_as_scipy_detrend),
        cmocka_unit_test(windows_as_numpy_polyfit),
        cmocka_unit_test(a_line_is_taken_away_whole),
        cmocka_unit_test(large_offsets_leave_no_rest),
        cmocka_unit_test(few_samples_have_the_trend_they_can_have),
        cmocka_unit_test(nothing_drifts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
