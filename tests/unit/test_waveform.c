/* test_waveform.c - dsp/waveform: golden vectors, closed forms, and what is undefined. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/quantile.h"
#include "dsp/waveform.h"
#include "golden.h"

static const double pi = 3.14159265358979323846;

enum { N_MAX = 400 };

static double mad_of(const double *x, size_t n)
{
    double sorted[N_MAX];
    memcpy(sorted, x, n * sizeof *x);
    psa_sort(sorted, n);
    return psa_median_abs_dev_sorted(sorted, n, psa_quantile_sorted(sorted, n, 0.5));
}

static void features_as_numpy_scipy_tsfel_and_tsfresh(void **state)
{
    (void)state;
    struct golden file = golden_open("features.json");
    struct psa_str windows = golden_at(file.text, "windows"), w;
    double x[N_MAX];
    size_t i = 0;
    for (; (w = golden_item(windows, i)).p; i++) {
        size_t n = golden_numbers(w, "x", x, COUNT(x));
        struct psa_moments m = psa_moments_of(x, n);
        double peak = psa_peak(x, n), mean_abs = psa_mean_abs(x, n), root = psa_mean_sqrt_abs(x, n);
        assert_true(peak == golden_number(w, "expected.peak"));
        assert_near(psa_ratio(peak, m.rms), golden_number(w, "expected.crest"), 1e-13);
        assert_near(psa_ratio(m.rms, mean_abs), golden_number(w, "expected.shape"), 1e-13);
        assert_near(psa_ratio(peak, mean_abs), golden_number(w, "expected.impulse"), 1e-13);
        assert_near(psa_ratio(peak, root * root), golden_number(w, "expected.clearance"), 1e-13);
        assert_near(psa_std_sample(&m), golden_number(w, "expected.std_samp"), 1e-12);
        double digits = golden_is(w, "name", "bigoffset") ? 1e-9 : 1e-12; /* SciPy's, see test_moments.c */
        assert_near(psa_skewness_unbiased(&m), golden_number(w, "expected.skew_unbiased"), digits);
        assert_near(psa_kurtosis_unbiased(&m), golden_number(w, "expected.kurt_fisher_unbiased"), digits);
        assert_near(m.kurtosis + 3.0, golden_number(w, "expected.kurt_pearson_biased"), digits);
        assert_near(mad_of(x, n), golden_number(w, "expected.mad_raw"), 1e-15);
        assert_near(psa_mean_abs_dev(x, n, m.mean), golden_number(w, "expected.mean_abs_dev"), 1e-12);
        assert_near(psa_energy(x, n), golden_number(w, "expected.energy"), 1e-13);
        assert_near(psa_energy(x, n), golden_number(w, "expected.spec_energy_parseval"), 1e-12);
        assert_near(psa_line_length(x, n), golden_number(w, "expected.line_length"), 1e-13);
        assert_near(psa_line_length(x, n), golden_number(w, "expected.abs_sum_changes"), 1e-13);
        assert_true(psa_mean_crossings(x, n, m.mean) == golden_number(w, "expected.zc_mean_signbit"));
        assert_near(psa_mean_crossings(x, n, m.mean) / (double)(n - 1), golden_number(w, "expected.zcr_mean"), 1e-15);
        assert_true(psa_sign_changes(x, n) == golden_number(w, "expected.zc_tsfel"));
        assert_true(psa_level_crossings(x, n, 0.0) == golden_number(w, "expected.zc_tsfresh_gt0"));
        assert_true(psa_level_crossings(x, n, m.mean) == golden_number(w, "expected.zc_tsfresh_gt_mean"));
    }
    assert_int_equal(i, 9);
    golden_close(&file);
}

/* Relative to the value itself, however small. */
static void assert_share(double a, double b, double tolerance)
{
    assert_near(b == 0.0 ? a : a / b, b == 0.0 ? 0.0 : 1.0, tolerance);
}

static void more_as_scipy_and_statsmodels(void **state)
{
    (void)state;
    struct golden file = golden_open("features_more.json");
    struct psa_str windows = golden_at(file.text, "windows"), w;
    double interval = golden_number(file.text, "interval"), x[N_MAX], acf[6], hjorth[3], bins[4], entropy[4];
    assert_int_equal(golden_numbers(file.text, "bins", bins, 4), 4);
    size_t i = 0;
    for (; (w = golden_item(windows, i)).p; i++) {
        size_t n = golden_numbers(w, "x", x, COUNT(x));
        struct psa_moments m = psa_moments_of(x, n);
        bool offset = golden_is(w, "name", "offset");
        assert_share(psa_var_sample(&m), golden_number(w, "expected.var_sample"), 1e-12);
        assert_share(psa_std_sample(&m), golden_number(w, "expected.std_sample"), 1e-12);
        assert_true(psa_peak(x, n) == golden_number(w, "expected.peak"));
        assert_share(psa_mean_abs(x, n), golden_number(w, "expected.mean_abs"), 1e-14);
        assert_share(psa_mean_sqrt_abs(x, n), golden_number(w, "expected.mean_sqrt_abs"), 1e-14);
        assert_share(psa_energy(x, n), golden_number(w, "expected.energy"), 1e-14);
        assert_share(psa_line_length(x, n), golden_number(w, "expected.line_length"), 1e-14);
        assert_share(psa_mean_abs_dev(x, n, m.mean), golden_number(w, "expected.mean_abs_dev"), 1e-12);
        assert_share(mad_of(x, n), golden_number(w, "expected.median_abs_dev"), 1e-14);
        assert_near(psa_skewness_unbiased(&m), golden_number(w, "expected.skew_unbiased"), offset ? 1e-8 : 1e-11);
        assert_share(psa_kurtosis_unbiased(&m), golden_number(w, "expected.kurt_unbiased"), offset ? 1e-8 : 1e-11);
        assert_share(psa_slope(x, n, interval), golden_number(w, "expected.slope"), offset ? 1e-8 : 1e-10);
        assert_int_equal(golden_numbers(w, "expected.acf", acf, 6), 6);
        for (size_t lag = 0; lag < 6; lag++) assert_near(psa_autocorr(x, lag, &m), acf[lag], 1e-13);
        struct psa_hjorth h = psa_hjorth_of(x, &m);
        assert_int_equal(golden_numbers(w, "expected.hjorth", hjorth, 3), 3);
        assert_share(h.activity, hjorth[0], 1e-12);
        bool line = hjorth[1] < 1e-12; /* its differences vary by rounding only */
        assert_near(h.mobility, hjorth[1], 1e-12);
        if (line) assert_true(isnan(h.complexity));
        else assert_share(h.complexity, hjorth[2], 1e-12);
        assert_int_equal(golden_numbers(w, "expected.entropy", entropy, 4), 4);
        for (size_t b = 0; b < 4; b++) assert_near(psa_binned_entropy(x, n, (size_t)bins[b]), entropy[b], 1e-14);
        assert_true(psa_mean_crossings(x, n, m.mean) == golden_number(w, "expected.mean_crossings"));
        assert_true(psa_sign_changes(x, n) == golden_number(w, "expected.sign_changes"));
        assert_true(psa_level_crossings(x, n, 0.5) == golden_number(w, "expected.level_crossings"));
    }
    assert_int_equal(i, 10);
    golden_close(&file);
}

/* A sin: mean |x| 2A/pi, and the factors that follow; the sums over whole periods are exact but for 1/n^2. */
static void a_tone_has_its_closed_forms(void **state)
{
    (void)state;
    enum { N = 100000, PERIODS = 10 };
    static double x[N];
    double w = 2.0 * pi * PERIODS / N;
    for (size_t i = 0; i < N; i++) x[i] = 2.5 * sin(w * ((double)i + 0.5));
    struct psa_moments m = psa_moments_of(x, N);
    double peak = psa_peak(x, N), mean_abs = psa_mean_abs(x, N), root = psa_mean_sqrt_abs(x, N);
    assert_near(peak, 2.5, 1e-6);
    assert_near(psa_ratio(peak, m.rms), sqrt(2.0), 1e-6);
    assert_near(psa_ratio(m.rms, mean_abs), pi / (2.0 * sqrt(2.0)), 1e-6);
    assert_near(psa_ratio(peak, mean_abs), pi / 2.0, 1e-6);
    /* mean of sqrt|sin| = Gamma(3/4) / (sqrt pi Gamma(5/4)) */
    double mean_root = tgamma(0.75) / (sqrt(pi) * tgamma(1.25));
    assert_near(psa_ratio(peak, root * root), 1.0 / (mean_root * mean_root), 1e-5);
    assert_near(psa_mean_abs_dev(x, N, m.mean), 2.5 * 2.0 / pi, 1e-6);
    assert_near(psa_energy(x, N), N * 2.5 * 2.5 / 2.0, 1e-12);
    assert_near(psa_line_length(x, N), 4.0 * 2.5 * PERIODS, 1e-4);
    assert_true(psa_mean_crossings(x, N, m.mean) == 2 * PERIODS - 1);
    assert_true(psa_sign_changes(x, N) == 2 * PERIODS - 1);
    assert_true(psa_level_crossings(x, N, 1.0) == 2 * PERIODS);
    struct psa_hjorth h = psa_hjorth_of(x, &m);
    assert_near(h.activity, 2.5 * 2.5 / 2.0, 1e-12);
    assert_near(h.mobility / (2.0 * sin(w / 2.0)), 1.0, 1e-4);
    assert_near(h.complexity, 1.0, 1e-4);
    /* The biased estimate fades with the lag: (1 - lag/n) cos, but for the ends. */
    for (size_t lag = 0; lag <= N / PERIODS; lag += 500)
        assert_near(psa_autocorr(x, lag, &m), (1.0 - (double)lag / N) * cos(w * (double)lag), 0.017);
    assert_near(psa_autocorr(x, N / PERIODS, &m), 1.0 - 1.0 / PERIODS, 1e-12);
}

static void a_line_has_its_slope(void **state)
{
    (void)state;
    double x[101];
    for (size_t n = 2; n <= 101; n++) {
        for (size_t i = 0; i < n; i++) x[i] = 1048576.0 + 0.375 * (double)i; /* exact */
        assert_near(psa_slope(x, n, 1.0), 0.375, 1e-14);
        assert_near(psa_slope(x, n, 0.01), 37.5, 1e-14);
        assert_near(psa_line_length(x, n), 0.375 * (double)(n - 1), 1e-14);
        for (size_t i = 0; i < n; i++) x[i] = -7.25;
        assert_true(psa_slope(x, n, 1.0) == 0.0);
    }
    assert_true(isnan(psa_slope(x, 1, 1.0)) && isnan(psa_slope(x, 0, 1.0)));
    assert_true(isnan(psa_slope(x, 10, 0.0)) && isnan(psa_slope(x, 10, -1.0)) && isnan(psa_slope(x, 10, NAN)));
}

/* White noise of random signs has no autocorrelation; an alternating one has (-1)^lag (1 - lag/n). */
static void an_alternation_correlates_with_its_sign(void **state)
{
    (void)state;
    enum { N = 64 };
    double x[N];
    for (int i = 0; i < N; i++) x[i] = i % 2 ? -3.0 : 3.0;
    struct psa_moments m = psa_moments_of(x, N);
    for (size_t lag = 0; lag < N; lag++)
        assert_near(psa_autocorr(x, lag, &m), (lag % 2 ? -1.0 : 1.0) * (1.0 - (double)lag / N), 1e-14);
    assert_true(isnan(psa_autocorr(x, N, &m)));
    /* Its differences are -6, 6, ..: activity 9, mobility 2, complexity 1, but for the odd number of differences. */
    struct psa_hjorth h = psa_hjorth_of(x, &m);
    double var_d = 36.0 * (1.0 - 1.0 / 63.0 / 63.0), var_e = 144.0;
    assert_near(h.activity, 9.0, 1e-15);
    assert_near(h.mobility, sqrt(var_d / 9.0), 1e-14);
    assert_near(h.complexity, sqrt(var_e / var_d) / sqrt(var_d / 9.0), 1e-14);
}

static void an_offset_costs_no_digits(void **state)
{
    (void)state;
    enum { N = 103 };
    double x[N], moved[N];
    for (int i = 0; i < N; i++) x[i] = (double)((i * i * 31) % 127) / 128.0; /* exact beside 2^42 too */
    struct psa_moments m = psa_moments_of(x, N);
    struct psa_hjorth h = psa_hjorth_of(x, &m);
    for (int power = 10; power <= 42; power += 8) {
        for (int i = 0; i < N; i++) moved[i] = x[i] + ldexp(1.0, power);
        struct psa_moments o = psa_moments_of(moved, N);
        struct psa_hjorth j = psa_hjorth_of(moved, &o);
        assert_near(psa_slope(moved, N, 1.0), psa_slope(x, N, 1.0), 1e-15);
        assert_near(psa_autocorr(moved, 3, &o), psa_autocorr(x, 3, &m), 1e-13);
        assert_near(j.mobility, h.mobility, 1e-13);
        assert_near(j.complexity, h.complexity, 1e-13);
        assert_true(psa_line_length(moved, N) == psa_line_length(x, N));
        assert_true(mad_of(moved, N) == mad_of(x, N));
        assert_true(psa_binned_entropy(moved, N, 10) == psa_binned_entropy(x, N, 10));
    }
}

/* An impulse among zeros: all of it can be written down. */
static void an_impulse_has_its_closed_forms(void **state)
{
    (void)state;
    for (size_t n = 5; n <= 40; n++) {
        double x[40] = { 0 }, count = (double)n;
        x[2] = -3.0;
        struct psa_moments m = psa_moments_of(x, n);
        assert_near(psa_ratio(psa_peak(x, n), m.rms), sqrt(count), 1e-14);
        assert_near(psa_ratio(psa_peak(x, n), psa_mean_abs(x, n)), count, 1e-14);
        double root = psa_mean_sqrt_abs(x, n);
        assert_near(psa_ratio(psa_peak(x, n), root * root), count * count, 1e-13);
        assert_true(psa_energy(x, n) == 9.0 && psa_line_length(x, n) == 6.0 && mad_of(x, n) == 0.0);
        assert_true(psa_sign_changes(x, n) == 2.0 && psa_mean_crossings(x, n, m.mean) == 2.0);
        double p = 1.0 / count;
        assert_near(psa_binned_entropy(x, n, 7), -p * log(p) - (1.0 - p) * log(1.0 - p), 1e-14);
    }
}

static void the_entropy_of_a_histogram(void **state)
{
    (void)state;
    double x[1000];
    for (int i = 0; i < 1000; i++) x[i] = i;
    for (size_t bins = 1; bins <= 1000; bins *= 10)
        assert_near(psa_binned_entropy(x, 1000, bins), log((double)bins), 1e-13);
    /* numpy.histogram([0, 1e-9, .., 3], 3): an edge belongs to the bin above it, the last one to the bin below. */
    const double edges[] = { 0.0, 1.0, 2.0, 3.0 };
    assert_near(psa_binned_entropy(edges, 4, 3), -0.5 * log(0.25) - 0.5 * log(0.5), 1e-15);
    for (int i = 0; i < 1000; i++) x[i] = 0.1;
    assert_true(psa_binned_entropy(x, 1000, 10) == 0.0);
    assert_true(isnan(psa_binned_entropy(x, 10, 0)) && isnan(psa_binned_entropy(x, 10, PSA_BINS_MAX + 1)));
    const double huge[] = { -DBL_MAX, DBL_MAX }, tiny[] = { 0.0, DBL_TRUE_MIN };
    assert_true(isnan(psa_binned_entropy(huge, 2, 4)));
    assert_true(isnan(psa_binned_entropy(tiny, 2, 4))); /* no bin is that narrow */
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Every length has the right tail behind the groups of four, and its own middle; plain loops are the yardstick. */
static void every_length_agrees_with_plain_loops(void **state)
{
    (void)state;
    double x[70], deviation[70];
    for (int i = 0; i < 70; i++) x[i] = round(sin(1.7 * i * i) * 40.0) / 4.0 + 3.0;
    for (size_t n = 1; n <= 70; n++) {
        struct psa_moments m = psa_moments_of(x, n);
        long double size = 0.0L, root = 0.0L, energy = 0.0L, away = 0.0L, length = 0.0L, lagged = 0.0L;
        double peak = 0.0;
        for (size_t i = 0; i < n; i++) {
            size += fabs(x[i]);
            root += sqrtl(fabs(x[i]));
            energy += (long double)x[i] * x[i];
            away += fabsl(x[i] - (long double)m.mean);
            peak = fmax(peak, fabs(x[i]));
            if (i >= 1) length += fabs(x[i] - x[i - 1]);
            if (i >= 2) lagged += ((long double)x[i] - m.mean) * ((long double)x[i - 2] - m.mean);
        }
        long double count = (long double)n;
        assert_true(psa_peak(x, n) == peak);
        assert_near(psa_mean_abs(x, n), (double)(size / count), 1e-15);
        assert_near(psa_mean_sqrt_abs(x, n), (double)(root / count), 1e-15);
        assert_near(psa_energy(x, n), (double)energy, 1e-15);
        assert_near(psa_mean_abs_dev(x, n, m.mean), (double)(away / count), 1e-15);
        assert_near(psa_line_length(x, n), (double)length, 1e-15);
        if (n > 2) assert_near(psa_autocorr(x, 2, &m), (double)(lagged / count / m.var), 1e-14);
        double sorted[70];
        memcpy(sorted, x, n * sizeof *x);
        psa_sort(sorted, n);
        double median = psa_quantile_sorted(sorted, n, 0.5);
        for (size_t i = 0; i < n; i++) deviation[i] = fabs(x[i] - median);
        qsort(deviation, n, sizeof *deviation, by_value);
        assert_true(mad_of(x, n) == 0.5 * deviation[(n - 1) / 2] + 0.5 * deviation[n / 2]);
    }
}

static void constants_have_no_shape(void **state)
{
    (void)state;
    static const double value[] = { 0.1, -3.7e-9, 1e6 + 0.1, 1e150, 5e-324 };
    for (size_t v = 0; v < COUNT(value); v++) {
        double x[30];
        for (size_t i = 0; i < 30; i++) x[i] = value[v];
        for (size_t n = 1; n <= 30; n++) {
            struct psa_moments m = psa_moments_of(x, n);
            assert_true(psa_moments_constant(&m));
            assert_true(psa_peak(x, n) == fabs(value[v]) && psa_mean_abs_dev(x, n, m.mean) == 0.0);
            assert_true(mad_of(x, n) == 0.0 && psa_line_length(x, n) == 0.0);
            assert_true(isnan(psa_autocorr(x, 0, &m)) && isnan(psa_autocorr(x, 1, &m)));
            struct psa_hjorth h = psa_hjorth_of(x, &m);
            assert_true(h.activity == 0.0 && isnan(h.mobility) && isnan(h.complexity));
            assert_true(isnan(psa_skewness_unbiased(&m)) && isnan(psa_kurtosis_unbiased(&m)));
            assert_true(psa_mean_crossings(x, n, m.mean) == 0.0 && psa_sign_changes(x, n) == 0.0);
            assert_near(psa_ratio(psa_peak(x, n), m.rms), 1.0, 1e-15);
        }
    }
}

static void little_is_known_of_few_samples(void **state)
{
    (void)state;
    const double x[] = { 1.0, -3.0, 2.0, 5.0 };
    struct psa_moments none = psa_moments_of(x, 0), one = psa_moments_of(x, 1), two = psa_moments_of(x, 2);
    struct psa_moments three = psa_moments_of(x, 3);
    assert_true(isnan(psa_peak(x, 0)) && isnan(psa_mean_abs(x, 0)) && isnan(psa_mean_sqrt_abs(x, 0)));
    assert_true(isnan(psa_energy(x, 0)) && isnan(psa_mean_abs_dev(x, 0, 0.0)) && isnan(psa_line_length(x, 0)));
    assert_true(isnan(psa_median_abs_dev_sorted(x, 0, 0.0)) && isnan(psa_binned_entropy(x, 0, 10)));
    assert_true(isnan(psa_mean_crossings(x, 0, 0.0)) && isnan(psa_sign_changes(x, 0)));
    assert_true(isnan(psa_level_crossings(x, 0, 0.0)) && isnan(psa_autocorr(x, 0, &none)));
    assert_true(isnan(psa_var_sample(&one)) && isnan(psa_std_sample(&one)));
    assert_true(psa_var_sample(&two) == 8.0);
    assert_true(isnan(psa_skewness_unbiased(&two)) && !isnan(psa_skewness_unbiased(&three)));
    assert_true(isnan(psa_kurtosis_unbiased(&three)));
    struct psa_hjorth h = psa_hjorth_of(x, &two);
    assert_true(h.activity == 4.0 && h.mobility == 0.0 && isnan(h.complexity)); /* one difference varies not */
    h = psa_hjorth_of(x, &three);
    assert_true(h.mobility > 0.0 && h.complexity == 0.0);
    assert_true(isnan(psa_ratio(1.0, 0.0)) && isnan(psa_ratio(0.0, 0.0)) && psa_ratio(1.0, 2.0) == 0.5);
    const double line[] = { 1.0, 2.0, 3.0 };
    struct psa_moments m = psa_moments_of(line, 3);
    assert_true(isnan(psa_hjorth_of(line, &m).complexity));
    /* The same but for rounding, which is all that then varies. */
    double rounded[50];
    for (int i = 0; i < 50; i++) rounded[i] = 0.1 * i + 7.0;
    m = psa_moments_of(rounded, 50);
    assert_near(psa_hjorth_of(rounded, &m).mobility, 0.0, 1e-14);
    assert_true(isnan(psa_hjorth_of(rounded, &m).complexity));
    for (int i = 0; i < 50; i++) rounded[i] = i % 2 ? 1e6 : nextafter(1e6, 2e6);
    m = psa_moments_of(rounded, 50);
    assert_true(isnan(psa_autocorr(rounded, 1, &m)) && isnan(psa_hjorth_of(rounded, &m).mobility));
    const struct psa_moments skewed_by_rounding = { .n = 2, .var = 1.0, .skewness = 1e-17 };
    assert_true(isnan(psa_skewness_unbiased(&skewed_by_rounding)));
    const double beyond[] = { -DBL_MAX, DBL_MAX }; /* whose difference, and so a median by it, is infinite */
    assert_false(isfinite(psa_median_abs_dev_sorted(beyond, 2, -INFINITY)));
    assert_false(isfinite(psa_median_abs_dev_sorted(beyond, 2, INFINITY)));
    const double far[] = { -DBL_MAX, 0.0, 0.0, DBL_MAX };
    assert_true(psa_median_abs_dev_sorted(far, 4, 0.0) == DBL_MAX / 2.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_as_numpy_scipy_tsfel_and_tsfresh),
        cmocka_unit_test(more_as_scipy_and_statsmodels),
        cmocka_unit_test(a_tone_has_its_closed_forms),
        cmocka_unit_test(a_line_has_its_slope),
        cmocka_unit_test(an_alternation_correlates_with_its_sign),
        cmocka_unit_test(an_offset_costs_no_digits),
        cmocka_unit_test(an_impulse_has_its_closed_forms),
        cmocka_unit_test(the_entropy_of_a_histogram),
        cmocka_unit_test(every_length_agrees_with_plain_loops),
        cmocka_unit_test(constants_have_no_shape),
        cmocka_unit_test(little_is_known_of_few_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
