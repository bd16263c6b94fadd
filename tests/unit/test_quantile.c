/* test_quantile.c - dsp/quantile: against the C library's sort, and NumPy's quantiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/quantile.h"
#include "golden.h"

static uint64_t random_state = 88172645463325252u;

/* xorshift64, Marsaglia 2003. */
static uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum shape { RANDOM, FEW_VALUES, ASCENDING, DESCENDING, CONSTANT, ORGAN_PIPE, SAW, SHAPES };

static double sample(enum shape shape, size_t i, size_t n)
{
    switch (shape) {
    case RANDOM: return (double)(int64_t)random_bits() * 1e-9;
    case FEW_VALUES: return (double)(random_bits() % 5);
    case ASCENDING: return (double)i;
    case DESCENDING: return -(double)i;
    case ORGAN_PIPE: return (double)(i < n / 2 ? i : n - i);
    case SAW: return (double)(i % 17);
    default: return 2.5;
    }
}

static void sorts_as_qsort(void **state)
{
    (void)state;
    enum { MAX = 3000 };
    static double x[MAX + 1], want[MAX];
    for (int shape = 0; shape < SHAPES; shape++) {
        for (size_t n = 0; n <= MAX; n += n < 70 ? 1 : 293) {
            for (size_t i = 0; i < n; i++) want[i] = x[i] = sample((enum shape)shape, i, n);
            x[n] = -1e300;
            qsort(want, n, sizeof *want, by_value);
            psa_sort(x, n);
            if (n > 0) assert_memory_equal(x, want, n * sizeof *x);
            assert_true(x[n] == -1e300);
        }
    }
}

static bool is_sorted(const double *x, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (x[i] < x[i - 1]) return false;
    return true;
}

static void sorts_infinities_and_many(void **state)
{
    (void)state;
    enum { N = 200000 };
    double *x = malloc(N * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < N; i++) x[i] = (double)(random_bits() % 1009);
    for (size_t i = 0; i < N; i += 1000) x[i] = i % 3000 ? INFINITY : -INFINITY;
    psa_sort(x, N);
    assert_true(is_sorted(x, N));
    assert_true(x[0] == -INFINITY && x[66] == -INFINITY && x[67] == 0.0);
    assert_true(x[N - 1] == INFINITY && x[N - 133] == INFINITY && x[N - 134] == 1008.0);
    free(x);
}

static void quantiles_as_numpy(void **state)
{
    (void)state;
    struct golden file = golden_open("features.json");
    struct psa_str windows = golden_at(file.text, "windows"), window;
    double x[256];
    size_t i = 0;
    for (; (window = golden_item(windows, i)).p; i++) {
        size_t n = golden_numbers(window, "x", x, COUNT(x));
        psa_sort(x, n);
        /* NumPy's very bits; the median is a mean of two there, and rounds the same way. */
        assert_true(psa_quantile_sorted(x, n, 0.05) == golden_number(window, "expected.q05"));
        assert_true(psa_quantile_sorted(x, n, 0.25) == golden_number(window, "expected.q25"));
        assert_true(psa_quantile_sorted(x, n, 0.75) == golden_number(window, "expected.q75"));
        assert_true(psa_quantile_sorted(x, n, 0.95) == golden_number(window, "expected.q95"));
        assert_near(psa_quantile_sorted(x, n, 0.5), golden_number(window, "expected.median"), 1e-15);
        assert_true(psa_quantile_sorted(x, n, 0.0) == golden_number(window, "expected.min"));
        assert_true(psa_quantile_sorted(x, n, 1.0) == golden_number(window, "expected.max"));
    }
    assert_int_equal(i, 9);
    golden_close(&file);
}

/* RobustScaler: medians, and the distances between quartiles, of every column. */
static void medians_and_iqr_as_robust_scaler(void **state)
{
    (void)state;
    enum { ROWS = 60, COLUMNS = 6 };
    struct golden file = golden_open("scaler.json");
    double x[ROWS * COLUMNS], center[COLUMNS], scale[COLUMNS], column[ROWS];
    assert_int_equal(golden_numbers(file.text, "X", x, COUNT(x)), ROWS * COLUMNS);
    golden_numbers(file.text, "robust.center", center, COLUMNS);
    golden_numbers(file.text, "robust.scale", scale, COLUMNS);
    for (size_t c = 0; c < COLUMNS; c++) {
        for (size_t r = 0; r < ROWS; r++) column[r] = x[r * COLUMNS + c];
        psa_sort(column, ROWS);
        assert_near(psa_quantile_sorted(column, ROWS, 0.5), center[c], 1e-15);
        assert_near(psa_quantile_sorted(column, ROWS, 0.75) - psa_quantile_sorted(column, ROWS, 0.25), scale[c], 1e-15);
    }
    golden_close(&file);
}

static void quantiles_lie_on_the_line(void **state)
{
    (void)state;
    double x[101];
    for (int i = 0; i <= 100; i++) x[i] = 3.0 * i - 7.0;
    for (int i = 0; i <= 1000; i++) assert_near(psa_quantile_sorted(x, 101, i / 1000.0), 0.3 * i - 7.0, 1e-12);
    const double same[3] = { 0.1, 0.1, 0.1 };
    for (int i = 0; i <= 1000; i++) assert_true(psa_quantile_sorted(same, 3, i / 1000.0) == 0.1);
}

/* numpy.quantile([0.1, 0.7], q) of NumPy 1.24: from t = 0.5 on the other formula, which differs in the last bit. */
static void quantiles_round_as_numpy(void **state)
{
    (void)state;
    const double x[2] = { 0.1, 0.7 };
    assert_true(psa_quantile_sorted(x, 2, 0.55) == 0.43);
    assert_true(psa_quantile_sorted(x, 2, 0.7) == 0.5199999999999999);
    assert_true(psa_quantile_sorted(x, 2, 0.45) == 0.37);
}

/* Of every shape and length the median is that of the sorted values, and none of them is lost. */
static void medians_as_sorted(void **state)
{
    (void)state;
    enum { MAX = 3000 };
    static double x[MAX + 1], sorted[MAX];
    assert_true(isnan(psa_median(x, 0)));
    for (int shape = 0; shape < SHAPES; shape++) {
        for (size_t n = 1; n <= MAX; n += n < 70 ? 1 : 293) {
            for (size_t i = 0; i < n; i++) sorted[i] = x[i] = sample((enum shape)shape, i, n);
            x[n] = -1e300;
            psa_sort(sorted, n);
            double want = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
            assert_true(psa_median(x, n) == want);
            assert_true(x[n] == -1e300);
            psa_sort(x, n);
            assert_memory_equal(x, sorted, n * sizeof *x);
        }
    }
}

static void quantiles_at_the_ends(void **state)
{
    (void)state;
    const double x[2] = { 1.0, 2.0 };
    assert_true(isnan(psa_quantile_sorted(x, 0, 0.5)));
    assert_true(isnan(psa_quantile_sorted(x, 2, NAN)));
    assert_true(psa_quantile_sorted(x, 1, 0.0) == 1.0);
    assert_true(psa_quantile_sorted(x, 1, 0.7) == 1.0);
    assert_true(psa_quantile_sorted(x, 2, -1.0) == 1.0);
    assert_true(psa_quantile_sorted(x, 2, 1.5) == 2.0);
    assert_true(psa_quantile_sorted(x, 2, 0.5) == 1.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_as_qsort),
        cmocka_unit_test(sorts_infinities_and_many),
        cmocka_unit_test(quantiles_as_numpy),
        cmocka_unit_test(medians_and_iqr_as_robust_scaler),
        cmocka_unit_test(quantiles_lie_on_the_line),
        cmocka_unit_test(quantiles_round_as_numpy),
        cmocka_unit_test(medians_as_sorted),
        cmocka_unit_test(quantiles_at_the_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
