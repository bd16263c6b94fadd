/* test_taper.c - dsp/taper: SciPy's windows, and what a sum of cosines must be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/taper.h"
#include "golden.h"

static const char *const names[] = { "boxcar", "hann", "hamming", "blackman", "blackmanharris", "flattop" };

static void tapers_as_scipy(void **state)
{
    (void)state;
    struct golden file = golden_open("features_more.json");
    struct psa_str tapers = golden_at(file.text, "tapers"), item;
    double want[32], w[32];
    size_t i = 0;
    for (; (item = golden_item(tapers, i)).p; i++) {
        enum psa_taper taper = (enum psa_taper)(i / 4);
        assert_true(golden_is(item, "name", names[taper]));
        size_t n = golden_numbers(item, "w", want, COUNT(want));
        psa_taper_fill(taper, w, n);
        for (size_t k = 0; k < n; k++) assert_near(w[k], want[k], 4e-16);
    }
    assert_int_equal(i, 24);
    golden_close(&file);

    file = golden_open("welch.json");
    golden_numbers(file.text, "hann_sym_false_8", want, 8);
    psa_taper_fill(PSA_TAPER_HANN, w, 8);
    for (size_t k = 0; k < 8; k++) assert_near(w[k], want[k], 4e-16);
    golden_numbers(file.text, "hamming_sym_false_8", want, 8);
    psa_taper_fill(PSA_TAPER_HAMMING, w, 8);
    for (size_t k = 0; k < 8; k++) assert_near(w[k], want[k], 4e-16);
    golden_close(&file);
}

static void names_are_read(void **state)
{
    (void)state;
    enum psa_taper taper;
    for (int i = PSA_TAPER_BOXCAR; i <= PSA_TAPER_FLATTOP; i++) {
        taper = PSA_TAPER_BOXCAR;
        assert_true(psa_taper_parse(names[i], &taper));
        assert_int_equal(taper, i);
    }
    taper = PSA_TAPER_FLATTOP;
    assert_false(psa_taper_parse("hanning", &taper) || psa_taper_parse("", &taper) || psa_taper_parse("Hann", &taper));
    assert_int_equal(taper, PSA_TAPER_FLATTOP);
}

/* A periodic sum of cosines has no bins beyond its terms: the main lobe of psa_taper_lobe(), by a plain transform. */
static void a_taper_is_as_wide_as_its_terms(void **state)
{
    (void)state;
    enum { N = 48 };
    const double pi = 3.14159265358979323846;
    double w[N];
    for (int i = PSA_TAPER_BOXCAR; i <= PSA_TAPER_FLATTOP; i++) {
        size_t lobe = psa_taper_lobe((enum psa_taper)i);
        psa_taper_fill((enum psa_taper)i, w, N);
        for (size_t k = 0; k <= N / 2; k++) {
            double re = 0.0;
            for (size_t t = 0; t < N; t++) re += w[t] * cos(2.0 * pi * (double)(k * t % N) / N);
            if (k < lobe) assert_true(fabs(re) > 0.05);
            else assert_near(re, 0.0, 1e-13);
        }
        for (size_t t = 1; t < N; t++) assert_near(w[t], w[N - t], 1e-15);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tapers_as_scipy),
        cmocka_unit_test(names_are_read),
        cmocka_unit_test(a_taper_is_as_wide_as_its_terms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
