/* test_envelope.c - dsp/envelope: golden vectors, modulated tones, and edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/envelope.h"
#include "dsp/filtfilt.h"
#include "dsp/iir.h"
#include "dsp/spectrum.h"
#include "golden.h"

static const double pi = 3.14159265358979323846;

static void envelope_of(const double *x, size_t n, double *env)
{
    struct psa_envelope *envelope = psa_envelope_new(n, PSA_TAPER_HANN);
    assert_non_null(envelope);
    psa_envelope_run(envelope, x, env);
    psa_envelope_free(envelope);
}

static void envelope_as_scipy(void **state)
{
    (void)state;
    struct golden file = golden_open("envelope.json");
    enum { N = 6000, LINES = N / 2 + 1 };
    static double x[N], filtered[N], env[N], want[N], amplitude[LINES], scratch[N + 1000];
    struct psa_sos sos[PSA_SOS_MAX];
    double band[2], f[300], rate_hz = golden_number(file.text, "fs");
    assert_int_equal(golden_numbers(file.text, "x", x, N), N);
    golden_numbers(file.text, "band", band, 2);
    size_t sections = psa_butter_design(4, PSA_BANDPASS, band[0], band[1], rate_hz, sos);
    assert_int_equal(sections, 4);
    assert_true(N + 2 * psa_filtfilt_pad(sos, sections) <= COUNT(scratch));
    psa_filtfilt(sos, sections, x, filtered, N, scratch);

    struct psa_envelope *envelope = psa_envelope_new(N, PSA_TAPER_HANN);
    psa_envelope_run(envelope, filtered, env);
    assert_int_equal(golden_numbers(file.text, "envelope_first400", want, N), 400);
    for (size_t i = 0; i < 400; i++) assert_near(env[i] / want[i], 1.0, 1e-9);
    psa_envelope_spectrum(envelope, env, amplitude);
    assert_int_equal(golden_numbers(file.text, "A_first300", want, N), 300);
    assert_int_equal(golden_numbers(file.text, "f_first300", f, 300), 300);
    for (size_t k = 0; k < 300; k++) assert_near(amplitude[k] / want[1], want[k] / want[1], 1e-11);
    for (size_t k = 0; k < 300; k++) assert_near((double)k * rate_hz / N, f[k], 1e-15);
    assert_near((double)psa_spectral_dominant(amplitude, 300) * rate_hz / N, golden_number(file.text, "peak_f"), 1e-15);

    double z[2 * PSA_SOS_MAX] = { 0 }; /* the causal band-pass, from rest */
    psa_sos_run(sos, sections, z, x, filtered, N);
    psa_envelope_run(envelope, filtered, env);
    assert_int_equal(golden_numbers(file.text, "causal_envelope_first200", want, N), 200);
    for (size_t i = 0; i < 200; i++) assert_near(env[i] / want[100], want[i] / want[100], 1e-11);
    psa_envelope_free(envelope);
    golden_close(&file);
}

static void any_length_as_scipy(void **state)
{
    (void)state;
    struct golden file = golden_open("features_more.json");
    struct psa_str cases = golden_at(file.text, "hilbert"), item;
    double x[120], env[120], want[120], amplitude[61];
    size_t i = 0;
    for (; (item = golden_item(cases, i)).p; i++) {
        size_t n = golden_numbers(item, "x", x, COUNT(x));
        struct psa_envelope *envelope = psa_envelope_new(n, PSA_TAPER_BLACKMAN);
        psa_envelope_run(envelope, x, env);
        golden_numbers(item, "envelope", want, COUNT(want));
        for (size_t k = 0; k < n; k++) assert_near(env[k], want[k], 1e-13);
        psa_envelope_spectrum(envelope, want, amplitude);
        size_t lines = golden_numbers(item, "blackman_spectrum", want, COUNT(want));
        assert_int_equal(lines, n / 2 + 1);
        double digits = i == 4 ? 1e-9 : 1e-13; /* SciPy's mean beside 1e6 */
        for (size_t k = 0; k < lines; k++) assert_near(amplitude[k], want[k], digits);
        psa_envelope_run(envelope, x, x); /* in place */
        assert_memory_equal(x, env, n * sizeof *x);
        psa_envelope_free(envelope);
    }
    assert_int_equal(i, 5);
    golden_close(&file);
}

/* A tone's envelope is its amplitude; (1 + a cos) of it is the modulation, one line of a in the spectrum. */
static void a_modulated_tone_has_its_modulation(void **state)
{
    (void)state;
    for (size_t n = 250; n <= 257; n++) { /* even, odd, a power of two, a prime */
        double x[257], env[257], amplitude[129];
        for (size_t i = 0; i < n; i++) x[i] = 2.0 * cos(2.0 * pi * 40.0 * (double)i / (double)n + 0.3);
        envelope_of(x, n, env);
        for (size_t i = 0; i < n; i++) assert_near(env[i], 2.0, 1e-13);
        for (size_t i = 0; i < n; i++) x[i] *= 1.0 + 0.5 * cos(2.0 * pi * 7.0 * (double)i / (double)n);
        struct psa_envelope *envelope = psa_envelope_new(n, PSA_TAPER_HANN);
        psa_envelope_run(envelope, x, env);
        for (size_t i = 0; i < n; i++)
            assert_near(env[i], 2.0 * (1.0 + 0.5 * cos(2.0 * pi * 7.0 * (double)i / (double)n)), 1e-13);
        psa_envelope_spectrum(envelope, env, amplitude);
        assert_int_equal(psa_spectral_dominant(amplitude, n / 2 + 1), 7);
        assert_near(amplitude[7], 1.0, 1e-13);
        assert_near(amplitude[6], 0.5, 1e-13); /* hann's flank */
        for (size_t k = 9; k <= n / 2; k++) assert_near(amplitude[k], 0.0, 1e-13);
        psa_envelope_free(envelope);
    }
}

/* The Hilbert transform of an impulse of n = 8: 2/n cot(pi t/n) at odd t, 0 at even ones. */
static void an_impulse_has_its_response(void **state)
{
    (void)state;
    double x[8] = { 1.0 }, env[8];
    envelope_of(x, 8, env);
    assert_near(env[0], 1.0, 1e-15);
    for (int t = 1; t < 8; t++) assert_near(env[t], t % 2 ? fabs(0.25 / tan(pi * t / 8.0)) : 0.0, 1e-15);
}

static void every_size_of_number(void **state)
{
    (void)state;
    double x[64], env[64], amplitude[33];
    for (int power = -1000; power <= 1000; power += 250) {
        for (int i = 0; i < 64; i++) x[i] = ldexp(cos(2.0 * pi * 5.0 * i / 64.0), power);
        envelope_of(x, 64, env);
        for (int i = 0; i < 64; i++) assert_near(ldexp(env[i], -power), 1.0, 1e-14);
    }
    for (int i = 0; i < 64; i++) x[i] = -0.1;
    struct psa_envelope *envelope = psa_envelope_new(64, PSA_TAPER_HANN);
    psa_envelope_run(envelope, x, env);
    for (int i = 0; i < 64; i++) assert_true(env[i] == 0.1);
    psa_envelope_spectrum(envelope, env, amplitude);
    for (int k = 0; k <= 32; k++) assert_true(amplitude[k] == 0.0);
    x[5] = NAN;
    psa_envelope_run(envelope, x, env);
    for (int i = 0; i < 64; i++) assert_true(isnan(env[i]));
    psa_envelope_spectrum(envelope, env, amplitude);
    for (int k = 0; k <= 32; k++) assert_true(isnan(amplitude[k]));
    psa_envelope_free(envelope);
}

static void lengths_have_limits(void **state)
{
    (void)state;
    assert_null(psa_envelope_new(0, PSA_TAPER_HANN));
    assert_null(psa_envelope_new(PSA_SPECTRUM_MAX + 1, PSA_TAPER_HANN));
    psa_envelope_free(NULL);
    double x[2] = { -3.0, 4.0 }, env[2], amplitude[2];
    struct psa_envelope *envelope = psa_envelope_new(1, PSA_TAPER_HANN);
    psa_envelope_run(envelope, x, env);
    assert_true(env[0] == 3.0);
    psa_envelope_spectrum(envelope, env, amplitude);
    assert_true(amplitude[0] == 0.0);
    psa_envelope_free(envelope);
    envelope_of(x, 2, env);
    assert_true(env[0] == 3.0 && env[1] == 4.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelope_as_scipy),
        cmocka_unit_test(any_length_as_scipy),
        cmocka_unit_test(a_modulated_tone_has_its_modulation),
        cmocka_unit_test(an_impulse_has_its_response),
        cmocka_unit_test(every_size_of_number),
        cmocka_unit_test(lengths_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
