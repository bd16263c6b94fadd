/* test_iir.c - dsp/iir: golden designs of SciPy row by row, and the closed form of the response for all others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <complex.h>

#include "dsp/iir.h"
#include "golden.h"

static const double pi = 3.14159265358979323846;

static const struct {
    const char *name;
    enum psa_band band;
} bands[] = {
    { "lowpass", PSA_LOWPASS }, { "highpass", PSA_HIGHPASS }, { "bandpass", PSA_BANDPASS }, { "bandstop", PSA_BANDSTOP }
};

static void designs_as_scipy_butter(void **state)
{
    (void)state;
    struct golden file = golden_open("butter_sosfilt.json");
    struct psa_str cases = golden_at(file.text, "cases"), one;
    size_t i = 0;
    for (; (one = golden_item(cases, i)).p; i++) {
        double edge[2] = { 0.0, 0.0 }, want[6 * PSA_SOS_MAX];
        golden_numbers(one, "wn", edge, 2);
        size_t b = 0;
        while (!golden_is(one, "btype", bands[b].name)) b++;
        struct psa_sos sos[PSA_SOS_MAX];
        size_t n = psa_butter_design((int)golden_number(one, "order"), bands[b].band, edge[0], edge[1],
                                     golden_number(one, "fs"), sos);
        assert_int_equal(golden_numbers(one, "sos", want, COUNT(want)), 6 * n);
        for (size_t s = 0; s < n; s++) {
            const double got[6] = { sos[s].b0, sos[s].b1, sos[s].b2, 1.0, sos[s].a1, sos[s].a2 };
            for (size_t k = 0; k < 6; k++) {
                double exact = want[6 * s + k];
                assert_near(got[k], exact, 1e-12);
                /* The gain in section 0 can be tiny: relative to itself too. */
                if (s == 0 && k < 3 && exact != 0.0) assert_near(got[k] / exact, 1.0, 1e-12);
            }
        }
    }
    assert_int_equal(i, 12);
    golden_close(&file);
}

static double power_at(const struct psa_sos *sos, size_t n, double hz, double rate_hz)
{
    double complex back = cexp(-I * 2.0 * pi * hz / rate_hz), h = 1.0;
    for (size_t s = 0; s < n; s++)
        h *= (sos[s].b0 + back * (sos[s].b1 + back * sos[s].b2)) / (1.0 + back * (sos[s].a1 + back * sos[s].a2));
    return creal(h) * creal(h) + cimag(h) * cimag(h);
}

/* |H|^2 = 1 / (1 + v^(2 N)), v being the frequency, warped by the tangent and moved to the low-pass of cutoff 1. */
static double butterworth(int order, enum psa_band band, double low, double high, double hz, double rate_hz)
{
    double w = tan(pi * hz / rate_hz), w1 = tan(pi * low / rate_hz), w2 = tan(pi * high / rate_hz);
    double across = (w * w - w1 * w2) / (w * (w2 - w1)), v;
    if (band == PSA_LOWPASS) v = w / w1;
    else if (band == PSA_HIGHPASS) v = w1 / w;
    else if (band == PSA_BANDPASS) v = across;
    else v = 1.0 / across;
    return 1.0 / (1.0 + pow(v * v, order));
}

/* Edges in parts of the rate: wide, narrow, symmetric about a quarter of the rate (where poles tie), lop-sided. */
static const double edges[][2] = { { 0.05, 0.2 },  { 0.1, 0.4 },  { 0.23, 0.27 },
                                   { 0.01, 0.49 }, { 0.3, 0.45 }, { 0.02, 0.03 } };

static void every_order_has_butterworths_response(void **state)
{
    (void)state;
    const double rate = 8000.0;
    for (int order = 1; order <= PSA_BUTTER_ORDER_MAX; order++) {
        for (size_t b = 0; b < COUNT(bands); b++) {
            for (size_t e = 0; e < COUNT(edges); e++) {
                struct psa_sos sos[PSA_SOS_MAX];
                enum psa_band band = bands[b].band;
                double low = edges[e][0] * rate, high = edges[e][1] * rate;
                size_t n = psa_butter_design(order, band, low, high, rate, sos);
                bool two = band == PSA_BANDPASS || band == PSA_BANDSTOP;
                assert_int_equal(n, two ? order : (order + 1) / 2);
                assert_true(psa_sos_stable(sos, n));
                for (double hz = 13.0; hz < rate / 2.0; hz += 97.0)
                    assert_near(power_at(sos, n, hz, rate), butterworth(order, band, low, high, hz, rate), 2e-8);
                assert_near(power_at(sos, n, low, rate), 0.5, 2e-8);
                if (two) assert_near(power_at(sos, n, high, rate), 0.5, 2e-8);
            }
        }
    }
}

static double closest_pole(const struct psa_sos *c)
{
    double complex apart = csqrt(c->a1 * c->a1 - 4.0 * c->a2);
    double one = cabs((-c->a1 + apart) / 2.0), two = cabs((-c->a1 - apart) / 2.0);
    return one > two ? one : two;
}

static void sharper_sections_come_later(void **state)
{
    (void)state;
    for (int order = 1; order <= PSA_BUTTER_ORDER_MAX; order++) {
        for (size_t b = 0; b < COUNT(bands); b++) {
            struct psa_sos sos[PSA_SOS_MAX];
            size_t n = psa_butter_design(order, bands[b].band, 4.0, 12.0, 100.0, sos);
            for (size_t s = 1; s < n; s++) {
                assert_true(closest_pole(&sos[s]) >= closest_pole(&sos[s - 1]) - 1e-9);
                assert_true(sos[s].b0 == 1.0); /* all the gain is in section 0 */
            }
        }
    }
}

static void impossible_designs_are_refused(void **state)
{
    (void)state;
    static const struct {
        int order;
        enum psa_band band;
        double low, high, rate;
    } refused[] = {
        { 0, PSA_LOWPASS, 10, 0, 100 },    { 13, PSA_LOWPASS, 10, 0, 100 },  { -1, PSA_LOWPASS, 10, 0, 100 },
        { 4, PSA_LOWPASS, 0, 0, 100 },     { 4, PSA_LOWPASS, -3, 0, 100 },   { 4, PSA_LOWPASS, 50, 0, 100 },
        { 4, PSA_HIGHPASS, 60, 0, 100 },   { 4, PSA_LOWPASS, NAN, 0, 100 },  { 4, PSA_LOWPASS, 10, 0, NAN },
        { 4, PSA_LOWPASS, 10, 0, 0 },      { 4, PSA_LOWPASS, 10, 0, -100 },  { 4, PSA_LOWPASS, 10, 0, INFINITY },
        { 4, PSA_BANDPASS, 10, 10, 100 },  { 4, PSA_BANDPASS, 12, 10, 100 }, { 4, PSA_BANDPASS, 10, 50, 100 },
        { 4, PSA_BANDSTOP, 10, NAN, 100 }, { 4, PSA_BANDSTOP, 0, 10, 100 },
    };
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct psa_sos sos = { 7, 7, 7, 7, 7 };
        assert_int_equal(psa_butter_design(refused[i].order, refused[i].band, refused[i].low, refused[i].high,
                                           refused[i].rate, &sos),
                         0);
        assert_true(sos.b0 == 7 && sos.a2 == 7);
    }
    struct psa_sos sos[PSA_SOS_MAX];
    assert_int_equal(psa_butter_design(4, PSA_LOWPASS, 10, NAN, 100, sos), 2); /* the upper edge is not used */
}

static void notch_as_scipy_iirnotch(void **state)
{
    (void)state;
    struct golden file = golden_open("butter_sosfilt.json");
    double x[400], want[160], y[160], z[2] = { 0 }, b[3], a[3];
    struct psa_sos sos;
    assert_int_equal(psa_notch_design(golden_number(file.text, "iirnotch.w0"), golden_number(file.text, "iirnotch.Q"),
                                      golden_number(file.text, "iirnotch.fs"), &sos),
                     1);
    golden_numbers(file.text, "iirnotch.b", b, 3);
    golden_numbers(file.text, "iirnotch.a", a, 3);
    assert_near(sos.b0, b[0], 1e-12);
    assert_near(sos.b1, b[1], 1e-12);
    assert_near(sos.b2, b[2], 1e-12);
    assert_near(sos.a1, a[1], 1e-12);
    assert_near(sos.a2, a[2], 1e-12);
    golden_numbers(file.text, "x", x, 400);
    psa_sos_run(&sos, 1, z, x, y, 160);
    assert_int_equal(golden_numbers(file.text, "iirnotch.y_lfilter", want, 160), 160);
    for (size_t t = 0; t < 160; t++) assert_near(y[t], want[t], 1e-9);
    golden_close(&file);
}

static void notch_takes_out_its_centre_alone(void **state)
{
    (void)state;
    struct psa_sos sos;
    assert_int_equal(psa_notch_design(50.0, 25.0, 1000.0, &sos), 1);
    assert_true(psa_sos_stable(&sos, 1));
    assert_near(power_at(&sos, 1, 50.0, 1000.0), 0.0, 1e-12);
    assert_near(power_at(&sos, 1, 0.0, 1000.0), 1.0, 1e-12);
    assert_near(power_at(&sos, 1, 500.0, 1000.0), 1.0, 1e-12);
    assert_int_equal(psa_notch_design(500.0, 25.0, 1000.0, &sos), 0);
    assert_int_equal(psa_notch_design(0.0, 25.0, 1000.0, &sos), 0);
    assert_int_equal(psa_notch_design(50.0, 0.0, 1000.0, &sos), 0);
    assert_int_equal(psa_notch_design(50.0, -2.0, 1000.0, &sos), 0);
    assert_int_equal(psa_notch_design(50.0, 0.05, 1000.0, &sos), 0);
    assert_int_equal(psa_notch_design(50.0, NAN, 1000.0, &sos), 0);
}

static void designs_as_scipy_cheby1(void **state)
{
    (void)state;
    struct golden file = golden_open("filters.json");
    struct psa_str cases = golden_at(file.text, "cheby1"), one;
    size_t i = 0;
    for (; (one = golden_item(cases, i)).p; i++) {
        double want[6 * PSA_SOS_MAX];
        struct psa_sos sos[PSA_SOS_MAX];
        size_t n = psa_cheby1_design((int)golden_number(one, "order"), golden_number(one, "ripple_db"),
                                     golden_number(one, "corner_hz"), golden_number(one, "rate_hz"), sos);
        assert_int_equal(golden_numbers(one, "sos", want, COUNT(want)), 6 * n);
        assert_true(n > 0 && psa_sos_stable(sos, n));
        for (size_t s = 0; s < n; s++) {
            const double got[6] = { sos[s].b0, sos[s].b1, sos[s].b2, 1.0, sos[s].a1, sos[s].a2 };
            for (size_t k = 0; k < 6; k++) {
                double exact = want[6 * s + k];
                assert_near(got[k], exact, 1e-12);
                if (s == 0 && k < 3 && exact != 0.0) assert_near(got[k] / exact, 1.0, 1e-11);
            }
        }
    }
    assert_int_equal(i, 8);
    golden_close(&file);
    file = golden_open("resample.json");
    cases = golden_at(file.text, "cases");
    size_t found = 0;
    for (i = 0; (one = golden_item(cases, i)).p; i++) {
        if (!golden_is(one, "fn", "decimate_cheby1_sos")) continue;
        double want[24];
        struct psa_sos sos[PSA_SOS_MAX];
        assert_int_equal(psa_cheby1_design(8, 0.05, 0.8 / golden_number(one, "q"), 2.0, sos), 4);
        assert_int_equal(golden_numbers(one, "sos", want, 24), 24);
        for (size_t s = 0; s < 4; s++) {
            const double got[6] = { sos[s].b0, sos[s].b1, sos[s].b2, 1.0, sos[s].a1, sos[s].a2 };
            for (size_t k = 0; k < 6; k++) assert_near(got[k], want[6 * s + k], 1e-12);
        }
        found++;
    }
    assert_int_equal(found, 2);
    golden_close(&file);
}

/* |H|^2 = 1 / (1 + e^2 T_N(v)^2), T_N being Chebyshev's polynomial and v the warped frequency. */
static void every_order_has_chebyshevs_response(void **state)
{
    (void)state;
    for (int order = 1; order <= PSA_BUTTER_ORDER_MAX; order++) {
        for (double ripple = 0.01; ripple < 5.0; ripple *= 4.0) {
            struct psa_sos sos[PSA_SOS_MAX];
            size_t n = psa_cheby1_design(order, ripple, 900.0, 8000.0, sos);
            double e2 = pow(10.0, 0.1 * ripple) - 1.0;
            assert_int_equal(n, (order + 1) / 2);
            for (double hz = 0.0; hz < 4000.0; hz += 53.0) {
                double v = tan(pi * hz / 8000.0) / tan(pi * 900.0 / 8000.0);
                double t = v <= 1.0 ? cos(order * acos(v)) : cosh(order * acosh(v));
                assert_near(power_at(sos, n, hz, 8000.0), 1.0 / (1.0 + e2 * t * t), 1e-9);
            }
        }
    }
    struct psa_sos sos = { 7, 7, 7, 7, 7 };
    assert_int_equal(psa_cheby1_design(0, 1, 10, 100, &sos), 0);
    assert_int_equal(psa_cheby1_design(13, 1, 10, 100, &sos), 0);
    assert_int_equal(psa_cheby1_design(1, 0, 10, 100, &sos), 0);
    assert_int_equal(psa_cheby1_design(1, -1, 10, 100, &sos), 0);
    assert_int_equal(psa_cheby1_design(1, NAN, 10, 100, &sos), 0);
    assert_int_equal(psa_cheby1_design(1, INFINITY, 10, 100, &sos), 0);
    assert_int_equal(psa_cheby1_design(1, 1, 50, 100, &sos), 0);
    assert_int_equal(psa_cheby1_design(1, 1, 0, 100, &sos), 0);
    assert_true(sos.b0 == 7 && sos.a2 == 7);
}

static void integrator_is_trapezoid_behind_highpass(void **state)
{
    (void)state;
    struct golden file = golden_open("filters.json");
    struct psa_str cases = golden_at(file.text, "integrator"), one;
    double x[150], y[150], want[150];
    size_t i = 0;
    assert_int_equal(golden_numbers(file.text, "x", x, 150), 150);
    for (; (one = golden_item(cases, i)).p; i++) {
        struct psa_sos sos;
        double z[2] = { 0 };
        assert_int_equal(psa_integrator_design(golden_number(one, "corner_hz"), golden_number(one, "rate_hz"), &sos),
                         1);
        assert_true(psa_sos_stable(&sos, 1));
        psa_sos_run(&sos, 1, z, x, y, 150);
        assert_int_equal(golden_numbers(one, "y", want, 150), 150);
        for (size_t t = 0; t < 150; t++) assert_near(y[t], want[t], 1e-12);
    }
    assert_int_equal(i, 3);
    golden_close(&file);
}

/* A tone becomes its integral, of amplitude A / (2 pi f); a constant goes away instead of growing. */
static void integrator_divides_by_frequency_and_forgets_constants(void **state)
{
    (void)state;
    struct psa_sos sos;
    assert_int_equal(psa_integrator_design(1.0, 10000.0, &sos), 1);
    for (double hz = 20.0; hz < 400.0; hz *= 2.0)
        assert_near(sqrt(power_at(&sos, 1, hz, 10000.0)) * 2.0 * pi * hz, 1.0, 6e-3);
    double z[2] = { 0 }, y = 0.0, x = 1000.0;
    for (int t = 0; t < 200000; t++) psa_sos_run(&sos, 1, z, &x, &y, 1);
    assert_near(y, 0.0, 1e-9);
    struct psa_sos kept = { 7, 7, 7, 7, 7 };
    assert_int_equal(psa_integrator_design(50.0, 100.0, &kept), 0);
    assert_int_equal(psa_integrator_design(0.0, 100.0, &kept), 0);
    assert_true(kept.b0 == 7 && kept.a2 == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(designs_as_scipy_butter),
        cmocka_unit_test(every_order_has_butterworths_response),
        cmocka_unit_test(sharper_sections_come_later),
        cmocka_unit_test(impossible_designs_are_refused),
        cmocka_unit_test(notch_as_scipy_iirnotch),
        cmocka_unit_test(notch_takes_out_its_centre_alone),
        cmocka_unit_test(designs_as_scipy_cheby1),
        cmocka_unit_test(every_order_has_chebyshevs_response),
        cmocka_unit_test(integrator_is_trapezoid_behind_highpass),
        cmocka_unit_test(integrator_divides_by_frequency_and_forgets_constants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
