/* test_spectrum.c - dsp/spectrum: golden vectors, Parseval's theorem, tones, and a plain DFT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/moments.h"
#include "dsp/spectrum.h"
#include "golden.h"

static const double pi = 3.14159265358979323846;

static double energy_of(const double *x, size_t n)
{
    struct psa_spectrum *spectrum = psa_spectrum_new(n);
    assert_non_null(spectrum);
    double energy = psa_spectrum_energy(spectrum, x);
    psa_spectrum_free(spectrum);
    return energy;
}

static void energy_as_numpy(void **state)
{
    (void)state;
    struct golden file = golden_open("features.json");
    struct psa_str windows = golden_at(file.text, "windows"), window;
    double x[256];
    size_t i = 0;
    for (; (window = golden_item(windows, i)).p; i++) {
        size_t n = golden_numbers(window, "x", x, COUNT(x));
        assert_near(energy_of(x, n), golden_number(window, "expected.spec_energy_noDC"), 1e-9);
    }
    assert_int_equal(i, 9);
    golden_close(&file);
}

/* (1/n) sum |X_k|^2 over all k but 0, as the definition says. */
static double plain_energy(const double *x, size_t n)
{
    double sum = 0.0;
    for (size_t k = 1; k < n; k++) {
        double re = 0.0, im = 0.0;
        for (size_t t = 0; t < n; t++) {
            double angle = 2.0 * pi * (double)(k * t % n) / (double)n;
            re += x[t] * cos(angle);
            im -= x[t] * sin(angle);
        }
        sum += re * re + im * im;
    }
    return sum / (double)n;
}

static void every_length_agrees_with_the_definition_and_parseval(void **state)
{
    (void)state;
    double x[80];
    for (int i = 0; i < 80; i++) x[i] = sin(1.7 * i * i) + 4.0;
    for (size_t n = 1; n <= 80; n++) {
        double energy = energy_of(x, n);
        assert_near(energy, plain_energy(x, n), 1e-11);
        assert_near(energy, (double)n * psa_moments_of(x, n).var, 1e-12);
    }
}

static void a_tone_has_half_its_square(void **state)
{
    (void)state;
    enum { N = 96 };
    double x[N];
    for (int bin = 1; bin <= N / 2; bin++) {
        for (int i = 0; i < N; i++) x[i] = 10.0 + 3.0 * cos(2.0 * pi * bin * i / N);
        assert_near(energy_of(x, N), N * 9.0 * (bin == N / 2 ? 1.0 : 0.5), 1e-12);
    }
}

static void constants_have_none(void **state)
{
    (void)state;
    double x[100];
    for (int i = 0; i < 100; i++) x[i] = 0.1;
    for (size_t n = 1; n <= 100; n++) assert_true(energy_of(x, n) == 0.0);
}

static void one_plan_serves_many_windows(void **state)
{
    (void)state;
    struct psa_spectrum *spectrum = psa_spectrum_new(100);
    double x[101], first = 0.0; /* one behind an odd address of the array: alignment must not matter */
    for (int round = 0; round < 10; round++) {
        double *window = x + round % 2;
        for (int i = 0; i < 100; i++) window[i] = sin(0.37 * i);
        double energy = psa_spectrum_energy(spectrum, window);
        if (round == 0) first = energy;
        assert_true(energy == first);
        for (int i = 0; i < 100; i++) window[i] = NAN;
        assert_true(isnan(psa_spectrum_energy(spectrum, window)));
    }
    psa_spectrum_free(spectrum);
}

static void lengths_have_limits(void **state)
{
    (void)state;
    assert_null(psa_spectrum_new(0));
    assert_null(psa_spectrum_new(PSA_SPECTRUM_MAX + 1));
    psa_spectrum_free(NULL);
    double *x = malloc(PSA_SPECTRUM_MAX * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < PSA_SPECTRUM_MAX; i++) x[i] = 1e3 + sin(0.01 * i);
    assert_near(energy_of(x, PSA_SPECTRUM_MAX), PSA_SPECTRUM_MAX * psa_moments_of(x, PSA_SPECTRUM_MAX).var, 1e-12);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(energy_as_numpy),
        cmocka_unit_test(every_length_agrees_with_the_definition_and_parseval),
        cmocka_unit_test(a_tone_has_half_its_square),
        cmocka_unit_test(constants_have_none),
        cmocka_unit_test(one_plan_serves_many_windows),
        cmocka_unit_test(lengths_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
