/* test_moments.c - dsp/moments: golden vectors, closed forms, and how little offsets and constants disturb. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/moments.h"
#include "golden.h"

static const double pi = 3.14159265358979323846;

static void features_as_numpy_and_scipy(void **state)
{
    (void)state;
    struct golden file = golden_open("features.json");
    struct psa_str windows = golden_at(file.text, "windows"), window;
    double x[256];
    size_t i = 0;
    for (; (window = golden_item(windows, i)).p; i++) {
        size_t n = golden_numbers(window, "x", x, COUNT(x));
        struct psa_moments m = psa_moments_of(x, n);
        assert_int_equal(m.n, n);
        assert_near(m.mean, golden_number(window, "expected.mean"), 1e-12);
        assert_near(m.std, golden_number(window, "expected.std_pop"), 1e-12);
        assert_near(m.var, golden_number(window, "expected.var_pop"), 1e-12);
        assert_near(m.rms, golden_number(window, "expected.rms"), 1e-12);
        /* SciPy does not correct the deviations for the mean's rounding; at the big offset that is its tenth digit. */
        double digits = golden_is(window, "name", "bigoffset") ? 1e-9 : 1e-13;
        assert_near(m.skewness, golden_number(window, "expected.skew_biased"), digits);
        assert_near(m.kurtosis, golden_number(window, "expected.kurt_fisher_biased"), digits);
        assert_true(m.min == golden_number(window, "expected.min"));
        assert_true(m.max == golden_number(window, "expected.max"));
        assert_true(m.ptp == golden_number(window, "expected.p2p"));
        assert_near(psa_zcr(x, n), golden_number(window, "expected.zc_signbit") / (double)(n - 1), 1e-15);
    }
    assert_int_equal(i, 9);
    golden_close(&file);
}

static void columns_as_standard_scaler(void **state)
{
    (void)state;
    enum { ROWS = 60, COLUMNS = 6 };
    struct golden file = golden_open("scaler.json");
    double x[ROWS * COLUMNS], mean[COLUMNS], var[COLUMNS], scale[COLUMNS], min[COLUMNS], max[COLUMNS], column[ROWS];
    assert_int_equal(golden_numbers(file.text, "X", x, COUNT(x)), ROWS * COLUMNS);
    golden_numbers(file.text, "standard.mean", mean, COLUMNS);
    golden_numbers(file.text, "standard.var", var, COLUMNS);
    golden_numbers(file.text, "standard.scale", scale, COLUMNS);
    golden_numbers(file.text, "minmax.min", min, COLUMNS);
    golden_numbers(file.text, "minmax.max", max, COLUMNS);
    for (size_t c = 0; c < COLUMNS; c++) {
        for (size_t r = 0; r < ROWS; r++) column[r] = x[r * COLUMNS + c];
        struct psa_moments m = psa_moments_of(column, ROWS);
        assert_near(m.mean, mean[c], 1e-12);
        assert_near(m.var, var[c], 1e-12);
        assert_near(m.std, scale[c], 1e-12);
        assert_true(m.min == min[c] && m.max == max[c]);
    }
    golden_close(&file);
}

static void moving_average_as_convolution(void **state)
{
    (void)state;
    struct golden file = golden_open("features.json");
    double x[100], want[96];
    assert_int_equal(golden_numbers(file.text, "moving_average.x", x, 100), 100);
    assert_int_equal(golden_numbers(file.text, "moving_average.valid", want, 96), 96);
    for (size_t i = 0; i < 96; i++) assert_near(psa_moving_avg(x, i + 5, 5), want[i], 1e-14);
    assert_near(psa_moving_avg(x, 3, 5), (x[0] + x[1] + x[2]) / 3.0, 1e-15);
    assert_true(psa_moving_avg(x, 7, 1) == x[6]);
    assert_true(isnan(psa_moving_avg(x, 0, 5)));
    assert_true(isnan(psa_moving_avg(x, 5, 0)));
    golden_close(&file);
}

/* A sin over whole periods: mean 0, rms A / sqrt 2, skewness 0, kurtosis 3/2 - 3. */
static void a_tone_has_its_closed_forms(void **state)
{
    (void)state;
    enum { N = 1000 };
    static double x[N];
    for (size_t i = 0; i < N; i++) x[i] = 2.5 * sin(2.0 * pi * 7.0 * ((double)i + 0.3) / N);
    struct psa_moments m = psa_moments_of(x, N);
    assert_near(m.mean, 0.0, 1e-14);
    assert_near(m.rms, 2.5 / sqrt(2.0), 1e-14);
    assert_near(m.std, 2.5 / sqrt(2.0), 1e-14);
    assert_near(m.skewness, 0.0, 1e-14);
    assert_near(m.kurtosis, -1.5, 1e-14);
    assert_near(psa_zcr(x, N), 13.0 / (N - 1), 1e-15); /* two a period, the last of them where the window ends */
}

/* k ones among n zeros: p = k / n, skewness (1-2p)/sqrt(pq), kurtosis (1-6pq)/(pq). */
static void ones_among_zeros(void **state)
{
    (void)state;
    enum { N = 40 };
    for (int k = 1; k < N; k++) {
        double x[N] = { 0 };
        for (int i = 0; i < k; i++) x[(i * 7) % N] = 1.0;
        double p = (double)k / N, pq = p * (1.0 - p);
        struct psa_moments m = psa_moments_of(x, N);
        assert_near(m.mean, p, 1e-15);
        assert_near(m.var, pq, 1e-15);
        assert_near(m.rms, sqrt(p), 1e-15);
        assert_near(m.skewness, (1.0 - 2.0 * p) / sqrt(pq), 1e-13);
        assert_near(m.kurtosis, (1.0 - 6.0 * pq) / pq, 1e-13);
    }
}

static void an_offset_changes_only_the_mean(void **state)
{
    (void)state;
    double x[100], moved[100];
    for (int i = 0; i < 100; i++) x[i] = (double)((i * i * 31) % 127) / 128.0; /* exact beside 2^40 too */
    struct psa_moments m = psa_moments_of(x, 100);
    for (int power = 10; power <= 40; power += 10) {
        for (int i = 0; i < 100; i++) moved[i] = x[i] + ldexp(1.0, power);
        struct psa_moments o = psa_moments_of(moved, 100);
        assert_near(o.mean, m.mean + ldexp(1.0, power), 1e-15);
        assert_near(o.var, m.var, 1e-13);
        assert_near(o.skewness, m.skewness, 1e-11);
        assert_near(o.kurtosis, m.kurtosis, 1e-11);
        assert_true(o.ptp == m.ptp);
    }
}

static void constants_have_no_shape(void **state)
{
    (void)state;
    static const double value[] = { 0.0, 0.1, -3.7e-9, 1e6 + 0.1, 1e300, 5e-324 };
    for (size_t v = 0; v < COUNT(value); v++) {
        for (size_t n = 1; n < 30; n++) {
            double x[30];
            for (size_t i = 0; i < n; i++) x[i] = value[v];
            struct psa_moments m = psa_moments_of(x, n);
            assert_true(m.mean == value[v] && m.rms == fabs(value[v]));
            assert_true(m.var == 0.0 && m.std == 0.0 && m.ptp == 0.0);
            assert_true(isnan(m.skewness) && isnan(m.kurtosis));
        }
    }
    /* Constant but for the last bit: SciPy's rule. */
    double x[64];
    for (int i = 0; i < 64; i++) x[i] = i % 2 ? 1e6 : nextafter(1e6, 2e6);
    struct psa_moments m = psa_moments_of(x, 64);
    assert_true(isnan(m.skewness) && isnan(m.kurtosis));
    assert_true(m.ptp > 0.0 && m.std >= 0.0);
}

/* Every length has the right tail behind the groups of four; long double is the yardstick. */
static void every_length_agrees_with_long_double(void **state)
{
    (void)state;
    double x[70];
    for (int i = 0; i < 70; i++) x[i] = sin(1.7 * i * i) * 10.0 + 3.0;
    for (size_t n = 2; n <= 70; n++) {
        long double sum = 0.0L, sum2 = 0.0L, m2 = 0.0L, m3 = 0.0L, m4 = 0.0L;
        double least = INFINITY, most = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            sum += x[i];
            sum2 += (long double)x[i] * x[i];
            least = fmin(least, x[i]);
            most = fmax(most, x[i]);
        }
        long double mean = sum / (long double)n;
        for (size_t i = 0; i < n; i++) {
            long double d = x[i] - mean;
            m2 += d * d / (long double)n;
            m3 += d * d * d / (long double)n;
            m4 += d * d * d * d / (long double)n;
        }
        struct psa_moments m = psa_moments_of(x, n);
        assert_near(m.mean, (double)mean, 1e-15);
        assert_near(m.var, (double)m2, 1e-14);
        assert_near(m.rms, (double)sqrtl(sum2 / (long double)n), 1e-14);
        assert_near(m.skewness, (double)(m3 / (m2 * sqrtl(m2))), 1e-13);
        assert_near(m.kurtosis, (double)(m4 / (m2 * m2) - 3.0L), 1e-13);
        assert_true(m.min == least && m.max == most && m.ptp == most - least);
    }
}

/* The sum of x[i] - minus in the project's order: four partial sums, joined 0 + 2 and 1 + 3, then what is left. */
static double sum_in_order(const double *x, size_t n, double minus)
{
    double part[4] = { 0 };
    for (size_t i = 0; i < n - n % 4; i++) part[i % 4] += x[i] - minus;
    double sum = (part[0] + part[2]) + (part[1] + part[3]);
    for (size_t i = n - n % 4; i < n; i++) sum += x[i] - minus;
    return sum;
}

/* A changed order of additions changes the bytes psa prints. */
static void the_order_of_additions_is_fixed(void **state)
{
    (void)state;
    double x[50];
    for (size_t n = 2; n <= 50; n++) {
        for (size_t i = 0; i < n; i++) x[i] = sin((double)(i * i + n)) * 1e3;
        double mean = sum_in_order(x, n, 0.0) / (double)n;
        assert_true(psa_moments_of(x, n).mean == mean + sum_in_order(x, n, mean) / (double)n);
    }
}

static void nothing_has_no_moments(void **state)
{
    (void)state;
    struct psa_moments m = psa_moments_of(NULL, 0);
    assert_int_equal(m.n, 0);
    assert_true(isnan(m.mean) && isnan(m.var) && isnan(m.std) && isnan(m.rms) && isnan(m.min) && isnan(m.max));
    assert_true(isnan(m.ptp) && isnan(m.skewness) && isnan(m.kurtosis));
}

static void zero_crossings(void **state)
{
    (void)state;
    const double x[] = { 1.0, -1.0, -0.0, 0.0, 2.0, -5.0 };
    assert_near(psa_zcr(x, 6), 3.0 / 5.0, 1e-15); /* 1|-1, -0|0, 2|-5 */
    assert_near(psa_zcr(x, 2), 1.0, 1e-15);
    assert_true(isnan(psa_zcr(x, 1)) && isnan(psa_zcr(x, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_as_numpy_and_scipy),
        cmocka_unit_test(columns_as_standard_scaler),
        cmocka_unit_test(moving_average_as_convolution),
        cmocka_unit_test(a_tone_has_its_closed_forms),
        cmocka_unit_test(ones_among_zeros),
        cmocka_unit_test(an_offset_changes_only_the_mean),
        cmocka_unit_test(constants_have_no_shape),
        cmocka_unit_test(every_length_agrees_with_long_double),
        cmocka_unit_test(the_order_of_additions_is_fixed),
        cmocka_unit_test(nothing_has_no_moments),
        cmocka_unit_test(zero_crossings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
