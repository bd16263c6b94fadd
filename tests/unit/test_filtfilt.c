/* test_filtfilt.c - dsp/filtfilt: SciPy's numbers, and what running twice means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/filtfilt.h"
#include "dsp/iir.h"
#include "golden.h"

static const double pi = 3.14159265358979323846;

static size_t sections(struct psa_str one, struct psa_sos *sos)
{
    double c[6 * PSA_SOS_MAX];
    size_t n = golden_numbers(one, "sos", c, COUNT(c)) / 6;
    for (size_t s = 0; s < n; s++)
        sos[s] = (struct psa_sos){ c[6 * s], c[6 * s + 1], c[6 * s + 2], c[6 * s + 4], c[6 * s + 5] };
    return n;
}

static void check_case(struct psa_str one, const char *name, const double *x, size_t n_x)
{
    struct psa_sos sos[PSA_SOS_MAX];
    double y[400], want[400], scratch[400 + 2 * 3 * (2 * PSA_SOS_MAX + 1)];
    size_t n = sections(one, sos);
    assert_int_equal(golden_numbers(one, name, want, 400), n_x);
    memcpy(y, x, n_x * sizeof *x);
    psa_filtfilt(sos, n, y, y, n_x, scratch);
    for (size_t t = 0; t < n_x; t++) assert_near(y[t], want[t], 1e-9);
}

static void as_scipy_sosfiltfilt(void **state)
{
    (void)state;
    double x[400];
    struct golden file = golden_open("butter_sosfilt.json");
    struct psa_str cases = golden_at(file.text, "cases"), one;
    size_t i = 0;
    assert_int_equal(golden_numbers(file.text, "x", x, 400), 400);
    for (; (one = golden_item(cases, i)).p; i++) check_case(one, "y_sosfiltfilt", x, 400);
    assert_int_equal(i, 12);
    golden_close(&file);

    file = golden_open("filters.json");
    cases = golden_at(file.text, "filtfilt");
    assert_int_equal(golden_numbers(file.text, "x", x, 400), 150);
    for (i = 0; (one = golden_item(cases, i)).p; i++) check_case(one, "y", x, 150);
    assert_int_equal(i, 4);
    golden_close(&file);
}

static void the_pad_is_three_times_the_taps(void **state)
{
    (void)state;
    struct psa_sos sos[PSA_SOS_MAX];
    assert_int_equal(psa_filtfilt_pad(sos, psa_butter_design(4, PSA_LOWPASS, 10, 0, 100, sos)), 15);
    assert_int_equal(psa_filtfilt_pad(sos, psa_butter_design(3, PSA_LOWPASS, 10, 0, 100, sos)), 12);
    assert_int_equal(psa_filtfilt_pad(sos, psa_butter_design(12, PSA_BANDPASS, 10, 20, 100, sos)), 75);
    sos[0] = (struct psa_sos){ 1.0, 0.5, 0.0, -0.5, 0.25 }; /* of second order all the same: its poles are */
    assert_int_equal(psa_filtfilt_pad(sos, 1), 9);
}

/* A line passes a low-pass as it is, ends included: its odd reflection is the line itself, and there is no delay. The
 * steady state that each run starts from is a constant's, so an error decays from the end of the extension on. */
static void a_tone_keeps_its_phase_and_a_line_its_ends(void **state)
{
    (void)state;
    static double x[3000], y[3000], scratch[3000 + 200];
    struct psa_sos sos[PSA_SOS_MAX];
    size_t n = psa_butter_design(2, PSA_LOWPASS, 300, 0, 1000, sos);
    for (size_t t = 0; t < 3000; t++) x[t] = 5.0 - 0.25 * (double)t;
    psa_filtfilt(sos, n, x, y, 3000, scratch);
    for (size_t t = 0; t < 3000; t++) assert_near(y[t], x[t], 1e-4);
    for (size_t t = 500; t < 2500; t++) assert_near(y[t], x[t], 1e-12);

    for (size_t t = 0; t < 3000; t++) x[t] = sin(2.0 * pi * 0.3 * (double)t);
    psa_filtfilt(sos, n, x, y, 3000, scratch);
    for (size_t t = 500; t < 2500; t++) assert_near(y[t], 0.5 * x[t], 1e-9); /* -3 dB twice */
}

static void one_more_sample_than_the_pad_is_enough(void **state)
{
    (void)state;
    struct psa_sos sos[PSA_SOS_MAX];
    double x[16], y[16], scratch[46];
    size_t n = psa_butter_design(4, PSA_LOWPASS, 10, 0, 100, sos);
    for (size_t t = 0; t < 16; t++) x[t] = 2.5;
    psa_filtfilt(sos, n, x, y, 16, scratch);
    for (size_t t = 0; t < 16; t++) assert_near(y[t], 2.5, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_scipy_sosfiltfilt),
        cmocka_unit_test(the_pad_is_three_times_the_taps),
        cmocka_unit_test(a_tone_keeps_its_phase_and_a_line_its_ends),
        cmocka_unit_test(one_more_sample_than_the_pad_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
