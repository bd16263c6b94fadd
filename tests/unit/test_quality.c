/* test_quality.c - dsp/quality: stuck, clipped and missing samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/quality.h"
#include "golden.h"

static const double pi = 3.14159265358979323846;

static void the_longest_run_is_stuck(void **state)
{
    (void)state;
    const double x[] = { 1, 1, 2, 2, 2, 3, 0.0, -0.0, 1, 1 };
    assert_near(psa_stuck(x, 10), 0.3, 1e-15);
    assert_near(psa_stuck(x, 4), 0.5, 1e-15);
    assert_near(psa_stuck(x + 6, 2), 1.0, 1e-15); /* 0 is -0 */
    assert_near(psa_stuck(x + 5, 2), 0.5, 1e-15);
    assert_true(psa_stuck(x, 1) == 1.0 && isnan(psa_stuck(x, 0)));
    double constant[50];
    for (int i = 0; i < 50; i++) constant[i] = 0.1;
    assert_true(psa_stuck(constant, 50) == 1.0);
    constant[25] = nextafter(0.1, 1.0);
    assert_true(psa_stuck(constant, 50) == 0.5);
}

/* A sin cut off at c stands still for 1 - 2/pi asin c of the time. */
static void a_tone_cut_off_is_clipped(void **state)
{
    (void)state;
    enum { N = 100000 };
    static double x[N];
    for (double cut = 0.5; cut < 1.0; cut += 0.1) {
        for (int i = 0; i < N; i++) x[i] = fmin(cut, fmax(-cut, sin(2.0 * pi * 10.0 * (i + 0.5) / N)));
        double share = 1.0 - 2.0 / pi * asin(cut);
        assert_near(psa_clipped(x, N, NAN, NAN), share, 1e-3);
        assert_near(psa_clipped(x, N, -cut, cut), share, 1e-3);
        assert_near(psa_clipped(x, N, NAN, cut), share / 2.0, 1e-3);
        assert_near(psa_clipped(x, N, -cut, NAN), share / 2.0, 1e-3);
        assert_true(psa_clipped(x, N, -1.0, 1.0) == 0.0);
    }
    for (int i = 0; i < N; i++) x[i] = sin(2.0 * pi * 10.0 * (i + 0.25) / N);
    assert_true(psa_clipped(x, N, NAN, NAN) == 0.0);
}

static void only_runs_at_the_ends_count(void **state)
{
    (void)state;
    const double tops[] = { 5, 5, 1, 5, 5, 5, 2, 2, 2, 2, 0, 0, 0, 0, 3 }; /* 3 at the top, 4 at the bottom */
    assert_near(psa_clipped(tops, 15, NAN, NAN), 7.0 / 15.0, 1e-15);
    assert_near(psa_clipped(tops, 14, NAN, NAN), 7.0 / 14.0, 1e-15); /* a run that the window's end ends */
    const double pairs[] = { 5, 5, 0, 0, 5, 5, 0, 0 };
    assert_true(psa_clipped(pairs, 8, NAN, NAN) == 0.0);
    const double from_end_to_end[] = { 5, 5, 5, 0, 0, 5, 5 };
    assert_near(psa_clipped(from_end_to_end, 7, NAN, NAN), 3.0 / 7.0, 1e-15);
    const double constant[] = { 2, 2, 2, 2 };
    assert_true(psa_clipped(constant, 4, NAN, NAN) == 1.0 && psa_clipped(constant, 2, NAN, NAN) == 0.0);
    assert_true(psa_clipped(constant, 4, 0.0, 5.0) == 0.0);
    assert_true(isnan(psa_clipped(constant, 0, NAN, NAN)) && isnan(psa_clipped(constant, 0, 0.0, 5.0)));
}

static void what_is_missing_dropped_out(void **state)
{
    (void)state;
    assert_true(psa_dropout(10, 10) == 0.0 && psa_dropout(0, 10) == 1.0 && psa_dropout(11, 10) == 0.0);
    assert_near(psa_dropout(7, 10), 0.3, 1e-15);
    assert_true(isnan(psa_dropout(0, 0)) && isnan(psa_dropout(3, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_run_is_stuck),
        cmocka_unit_test(a_tone_cut_off_is_clipped),
        cmocka_unit_test(only_runs_at_the_ends_count),
        cmocka_unit_test(what_is_missing_dropped_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
