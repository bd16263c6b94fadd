/* test_robust.c - dsp/robust: exactly what sorting the window anew gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/quantile.h"
#include "dsp/robust.h"
#include "golden.h"

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* The median by sorting. */
static double brute_median(double *w, size_t n)
{
    psa_sort(w, n);
    return n % 2 ? w[n / 2] : (w[n / 2 - 1] + w[n / 2]) / 2.0;
}

static void check_window(const double *sorted, const double *window, size_t n)
{
    static double w[10001];
    memcpy(w, window, n * sizeof *w);
    double median = brute_median(w, n), got = psa_sorted_median(sorted, n);
    assert_true(got == median);
    for (size_t i = 0; i < n; i++) assert_true(sorted[i] == w[i]);
    for (size_t i = 0; i < n; i++) w[i] = fabs(window[i] - median);
    assert_true(psa_sorted_deviation(sorted, n, got) == brute_median(w, n));
}

/* Lengths odd and even; values with few ties, with many, all equal, and signed zeros. */
static void sliding_equals_sorting(void **state)
{
    (void)state;
    static double ring[10001], sorted[10002];
    static const size_t lengths[] = { 1, 2, 3, 4, 5, 8, 31, 100, 1001, 10001 };
    uint64_t seed = 88172645463325252u;
    for (size_t l = 0; l < COUNT(lengths); l++) {
        for (int kind = 0; kind < 4; kind++) {
            size_t length = lengths[l], n = 0, steps = length > 1000 ? length + 300 : 3000;
            for (size_t t = 0; t < steps; t++) {
                uint64_t bits = next_random(&seed) >> 11;
                double x = kind == 0   ? (double)bits / 1e10 - 3e5
                           : kind == 1 ? (double)(bits % 7) - 3.0
                           : kind == 2 ? 42.5
                                       : (bits % 3 ? 0.0 : -0.0);
                if (n < length) psa_sorted_insert(sorted, n++, x);
                else psa_sorted_replace(sorted, n, ring[t % length], x);
                ring[t % length] = x;
                if (length < 1000 || t % 97 == 0) check_window(sorted, ring, n);
            }
            for (size_t left = n; left > 0; left--) { /* all leave, oldest first */
                psa_sorted_remove(sorted, left, ring[left - 1]);
                if (length < 1000 && left > 1) check_window(sorted, ring, left - 1);
            }
        }
    }
}

static void as_pandas_rolling(void **state)
{
    (void)state;
    struct golden file = golden_open("filters.json");
    struct psa_str cases = golden_at(file.text, "windows"), one;
    double x[150], median[150], mad[150], sorted[151];
    size_t tried = 0;
    assert_int_equal(golden_numbers(file.text, "holey", x, 150), 150);
    for (size_t i = 0; (one = golden_item(cases, i)).p; i++) {
        size_t length = (size_t)golden_number(one, "n"), ahead = 0;
        golden_numbers(one, "median", median, 150);
        golden_numbers(one, "mad", mad, 150);
        if (golden_at(one, "centred").p[0] == 't') ahead = (length - 1) / 2;
        for (size_t t = 0; t < 150; t++) {
            size_t end = t + ahead + 1 < 150 ? t + ahead + 1 : 150, n = 0;
            size_t begin = t + ahead + 1 > length ? t + ahead + 1 - length : 0;
            for (size_t j = begin; j < end; j++)
                if (!isnan(x[j])) psa_sorted_insert(sorted, n++, x[j]);
            if (isnan(x[t])) continue;
            assert_true(psa_sorted_median(sorted, n) == median[t]);
            assert_near(psa_sorted_deviation(sorted, n, median[t]), mad[t], 1e-12);
            tried++;
        }
    }
    assert_int_equal(tried, 12 * 135);
    golden_close(&file);
}

static void extremes_do_not_overflow(void **state)
{
    (void)state;
    const double x[] = { -1.7e308, -1.6e308, 1.6e308, 1.7e308 };
    assert_true(isnan(psa_sorted_median(x, 0)));
    assert_true(isnan(psa_sorted_deviation(x, 0, 0.0)));
    assert_true(psa_sorted_median(x, 4) == 0.0);
    assert_near(psa_sorted_deviation(x, 4, 0.0) / 1.65e308, 1.0, 1e-15);
    assert_near(psa_sorted_median(x + 2, 2) / 1.65e308, 1.0, 1e-15);
}

static void a_value_that_is_not_there_takes_its_neighbour(void **state)
{
    (void)state;
    double x[3] = { 1, 2, 3 };
    psa_sorted_remove(x, 3, 9.0);
    assert_true(x[0] == 1 && x[1] == 2);
    psa_sorted_replace(x, 2, 1.5, 7.0);
    assert_true(x[0] == 1 && x[1] == 7);
    psa_sorted_remove(x, 2, 0.5);
    assert_true(x[0] == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sliding_equals_sorting),
        cmocka_unit_test(as_pandas_rolling),
        cmocka_unit_test(extremes_do_not_overflow),
        cmocka_unit_test(a_value_that_is_not_there_takes_its_neighbour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
