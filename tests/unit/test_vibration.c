/* test_vibration.c - dsp/vibration: golden vectors, a tone's velocity, zones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/spectrum.h"
#include "dsp/vibration.h"
#include "golden.h"

static const double pi = 3.14159265358979323846;

static void velocity_as_numpy(void **state)
{
    (void)state;
    struct golden file = golden_open("features_more.json");
    struct psa_str cases = golden_at(file.text, "welch.cases"), item;
    double psd[151], bands[10], want[5], rate_hz = golden_number(file.text, "welch.rate_hz");
    golden_numbers(file.text, "welch.bands", bands, COUNT(bands));
    size_t i = 0;
    for (; (item = golden_item(cases, i)).p; i++) {
        size_t m = golden_numbers(item, "psd", psd, COUNT(psd));
        double step_hz = rate_hz / golden_number(item, "args.nperseg");
        assert_int_equal(golden_numbers(item, "velocity_rms", want, COUNT(want)), 5);
        for (size_t b = 0; b < 5; b++) {
            double velocity = psa_velocity_rms(psd, m, step_hz, bands[2 * b], bands[2 * b + 1]);
            if (want[b] > 0.0) assert_near(velocity / want[b], 1.0, 1e-13);
            else assert_true(velocity == 0.0);
        }
    }
    assert_int_equal(i, 10);
    golden_close(&file);
}

/* A sin(wt) of acceleration is A/w of velocity, with the rms A / (w sqrt 2); two tones add as squares. */
static void a_tone_has_its_velocity(void **state)
{
    (void)state;
    enum { N = 5000, LINES = N / 2 + 1 };
    static double x[N], psd[LINES];
    double rate_hz = 5000.0, w1 = 2.0 * pi * 25.0, w2 = 2.0 * pi * 400.0, w3 = 2.0 * pi * 1200.0;
    for (int i = 0; i < N; i++) {
        double t = i / rate_hz;
        x[i] = PSA_STANDARD_GRAVITY + 2.0 * sin(w1 * t) + 30.0 * cos(w2 * t + 1.0) + 100.0 * cos(w3 * t);
    }
    for (int taper = PSA_TAPER_BOXCAR; taper <= PSA_TAPER_HANN; taper++) {
        struct psa_welch welch = { N, 0, (enum psa_taper)taper, PSA_WELCH_DETREND_CONSTANT, false, 0 };
        struct psa_welch_plan *plan = psa_welch_new(&welch);
        psa_welch_run(plan, x, N, rate_hz, psd);
        psa_welch_free(plan);
        double digits = taper == PSA_TAPER_BOXCAR ? 1e-12 : 3e-3; /* hann: f differs over the main lobe */
        double v1 = 2.0 / (w1 * sqrt(2.0)), v2 = 30.0 / (w2 * sqrt(2.0));
        assert_near(psa_velocity_rms(psd, LINES, 1.0, 10.0, 100.0) / v1, 1.0, digits);
        assert_near(psa_velocity_rms(psd, LINES, 1.0, 100.0, 1000.0) / v2, 1.0, digits);
        assert_near(psa_velocity_rms(psd, LINES, 1.0, 10.0, 1000.0) / sqrt(v1 * v1 + v2 * v2), 1.0, digits);
    }
}

/* A strong tone above the band and between two lines: a taper keeps it out. */
static void what_leaks_is_no_velocity(void **state)
{
    (void)state;
    enum { N = 5000, LINES = N / 2 + 1 };
    static double x[N], psd[LINES];
    for (int i = 0; i < N; i++) x[i] = 100.0 * sin(2.0 * pi * 1500.5 * i / 5000.0 + 0.5);
    double velocity[2];
    for (int taper = PSA_TAPER_BOXCAR; taper <= PSA_TAPER_HANN; taper++) {
        struct psa_welch welch = { N, 0, (enum psa_taper)taper, PSA_WELCH_DETREND_CONSTANT, false, 0 };
        struct psa_welch_plan *plan = psa_welch_new(&welch);
        psa_welch_run(plan, x, N, 5000.0, psd);
        psa_welch_free(plan);
        velocity[taper] = psa_velocity_rms(psd, LINES, 1.0, 10.0, 1000.0);
    }
    assert_near(velocity[PSA_TAPER_BOXCAR], 1.6e-3, 1e-4); /* in m/s: a zone worse for nothing */
    assert_true(velocity[PSA_TAPER_HANN] < 1e-9);
}

static void bands_have_ends(void **state)
{
    (void)state;
    double psd[11];
    for (int k = 0; k < 11; k++) psd[k] = 1.0;
    assert_near(psa_velocity_rms(psd, 11, 2.0, 4.0, 6.0), sqrt(2.0) / (2.0 * pi * 4.0), 1e-15); /* line 2 alone */
    assert_true(isfinite(psa_velocity_rms(psd, 11, 2.0, 0.0, 100.0)));
    assert_near(psa_velocity_rms(psd, 11, 2.0, 0.0, 3.0), sqrt(2.0) / (2.0 * pi * 2.0), 1e-15); /* without line 0 */
    assert_true(psa_velocity_rms(psd, 11, 2.0, 4.1, 5.9) == 0.0 && psa_velocity_rms(psd, 11, 2.0, 40.0, 50.0) == 0.0);
    assert_true(psa_velocity_rms(psd, 0, 2.0, 4.0, 50.0) == 0.0 && psa_velocity_rms(psd, 1, 2.0, 0.0, 50.0) == 0.0);
    assert_true(isnan(psa_velocity_rms(psd, 11, 2.0, 6.0, 4.0)) && isnan(psa_velocity_rms(psd, 11, 2.0, -1.0, 4.0)));
    assert_true(isnan(psa_velocity_rms(psd, 11, NAN, 1.0, 4.0)) && isnan(psa_velocity_rms(psd, 11, 2.0, NAN, 4.0)));
    assert_true(isnan(psa_velocity_rms(psd, 11, -2.0, 1.0, 4.0)) && isnan(psa_velocity_rms(psd, 11, 0.0, 1.0, 4.0)));
    psd[3] = NAN;
    assert_true(isnan(psa_velocity_rms(psd, 11, 2.0, 4.0, 10.0)));
}

static void values_lie_in_zones(void **state)
{
    (void)state;
    const double limits[] = { 2.3, 4.5, 7.1 };
    assert_int_equal(psa_zone(0.0, limits, 3), 0);
    assert_int_equal(psa_zone(2.29, limits, 3), 0);
    assert_int_equal(psa_zone(2.3, limits, 3), 1);
    assert_int_equal(psa_zone(5.0, limits, 3), 2);
    assert_int_equal(psa_zone(7.1, limits, 3), 3);
    assert_int_equal(psa_zone(INFINITY, limits, 3), 3);
    assert_int_equal(psa_zone(NAN, limits, 3), -1);
    assert_int_equal(psa_zone(1.0, limits, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(velocity_as_numpy),         cmocka_unit_test(a_tone_has_its_velocity),
        cmocka_unit_test(what_leaks_is_no_velocity), cmocka_unit_test(bands_have_ends),
        cmocka_unit_test(values_lie_in_zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
