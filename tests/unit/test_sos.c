/* test_sos.c - dsp/sos: golden vectors of SciPy, steady states, and that many channels at once are each one alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/sos.h"
#include "golden.h"

enum { SAMPLES = 400, OUT = 160 };

/* Rows of b0 b1 b2 1 a1 a2. */
static size_t read_sos(struct psa_str object, const char *path, struct psa_sos *sos)
{
    double row[6 * PSA_SOS_MAX];
    size_t n = golden_numbers(object, path, row, COUNT(row)) / 6;
    for (size_t s = 0; s < n; s++) {
        assert_true(row[6 * s + 3] == 1.0);
        sos[s] = (struct psa_sos){ row[6 * s], row[6 * s + 1], row[6 * s + 2], row[6 * s + 4], row[6 * s + 5] };
    }
    return n;
}

static void runs_as_scipy_sosfilt(void **state)
{
    (void)state;
    struct golden file = golden_open("butter_sosfilt.json");
    struct psa_str cases = golden_at(file.text, "cases"), one;
    double x[SAMPLES], want[SAMPLES], want_zi[2 * PSA_SOS_MAX], zi[2 * PSA_SOS_MAX], y[SAMPLES];
    assert_int_equal(golden_numbers(file.text, "x", x, SAMPLES), SAMPLES);
    size_t i = 0;
    for (; (one = golden_item(cases, i)).p; i++) {
        struct psa_sos sos[PSA_SOS_MAX];
        size_t n = read_sos(one, "sos", sos);
        assert_true(psa_sos_stable(sos, n));

        assert_int_equal(golden_numbers(one, "sosfilt_zi", want_zi, COUNT(want_zi)), 2 * n);
        psa_sos_zi(sos, n, zi);
        for (size_t k = 0; k < 2 * n; k++) assert_near(zi[k], want_zi[k], 1e-9);

        double z[2 * PSA_SOS_MAX] = { 0 };
        psa_sos_run(sos, n, z, x, y, SAMPLES);
        assert_int_equal(golden_numbers(one, "y_sosfilt", want, SAMPLES), OUT);
        for (size_t t = 0; t < OUT; t++) assert_near(y[t], want[t], 1e-12);

        for (size_t k = 0; k < 2 * n; k++) z[k] = want_zi[k] * x[0];
        psa_sos_run(sos, n, z, x, y, SAMPLES);
        assert_int_equal(golden_numbers(one, "y_sosfilt_zi_x0", want, SAMPLES), OUT);
        for (size_t t = 0; t < OUT; t++) assert_near(y[t], want[t], 1e-12);
    }
    assert_int_equal(i, 12);
    golden_close(&file);
}

static const struct psa_sos example[3] = { { 0.004, 0.008, 0.004, -1.6, 0.7 },
                                           { 1.0, -0.3, 0.9, -1.2, 0.85 },
                                           { 1.0, 1.0, 0.0, -0.5, 0.0 } };

static void zi_gives_a_constant_response(void **state)
{
    (void)state;
    double z[6], gain = 1.0;
    psa_sos_zi(example, 3, z);
    for (size_t s = 0; s < 3; s++)
        gain *= (example[s].b0 + example[s].b1 + example[s].b2) / (1.0 + example[s].a1 + example[s].a2);
    for (size_t k = 0; k < 6; k++) z[k] *= -7.5;
    for (int t = 0; t < 1000; t++) {
        double x = -7.5, y;
        psa_sos_run(example, 3, z, &x, &y, 1);
        assert_near(y, -7.5 * gain, 1e-12);
    }
}

/* One section with a single pole is y[t] = x[t] + p y[t-1]: powers of p. */
static void impulse_response_of_one_pole(void **state)
{
    (void)state;
    const struct psa_sos one_pole = { 1.0, 0.0, 0.0, -0.5, 0.0 };
    double x[20] = { 1.0 }, y[20], z[2] = { 0 };
    psa_sos_run(&one_pole, 1, z, x, y, 20);
    for (int t = 0; t < 20; t++) assert_true(y[t] == ldexp(1.0, -t));
}

static void any_cut_and_in_place_give_the_same_bits(void **state)
{
    (void)state;
    double x[100], y[100], cut[100], z[6] = { 0 }, z_cut[6] = { 0 };
    for (int t = 0; t < 100; t++) x[t] = sin(0.3 * t) + 0.01 * t;
    psa_sos_run(example, 3, z, x, y, 100);
    memcpy(cut, x, sizeof cut);
    for (size_t t = 0, n = 1; t < 100; t += n, n = n % 7 + 1) {
        if (t + n > 100) n = 100 - t;
        psa_sos_run(example, 3, z_cut, cut + t, cut + t, n);
    }
    assert_memory_equal(cut, y, sizeof y);
    assert_memory_equal(z_cut, z, sizeof z);
}

static void channels_do_not_meet(void **state)
{
    (void)state;
    enum { WIDTH = 17, STEPS = 200 };
    for (size_t width = 0; width <= WIDTH; width++) {
        double z[3 * 2 * WIDTH] = { 0 }, z_one[WIDTH][6] = { { 0 } };
        for (int t = 0; t < STEPS; t++) {
            double x[WIDTH + 1], guard = 1234.5;
            for (size_t c = 0; c < width; c++) x[c] = sin(0.1 * t * (double)(c + 1)) * 1e3;
            x[width] = guard;
            double want[WIDTH];
            for (size_t c = 0; c < width; c++) psa_sos_run(example, 3, z_one[c], &x[c], &want[c], 1);
            psa_sos_step_many(example, 3, z, x, width);
            assert_memory_equal(x, want, width * sizeof *x);
            assert_true(x[width] == guard);
        }
        for (size_t c = 0; c < width; c++)
            for (size_t k = 0; k < 6; k++) assert_memory_equal(&z[k * width + c], &z_one[c][k], sizeof(double));
    }
}

static void no_sections_pass_on(void **state)
{
    (void)state;
    double x[3] = { 1.5, -2.0, 3.25 }, y[3], z[1];
    psa_sos_run(example, 0, z, x, y, 3);
    assert_memory_equal(x, y, sizeof x);
    psa_sos_step_many(example, 0, z, y, 3);
    assert_memory_equal(x, y, sizeof x);
    assert_true(psa_sos_stable(example, 0));
}

static void stable_means_poles_inside_the_circle(void **state)
{
    (void)state;
    for (double radius = 0.05; radius < 2.0; radius += 0.1) {
        for (double angle = 0.0; angle < 3.2; angle += 0.2) {
            struct psa_sos c = { 1.0, 0.0, 0.0, -2.0 * radius * cos(angle), radius * radius };
            assert_int_equal(psa_sos_stable(&c, 1), radius < 1.0);
        }
        for (double other = -0.95; other < 1.0; other += 0.3) {
            struct psa_sos c = { 1.0, 0.0, 0.0, -(radius + other), radius * other };
            assert_int_equal(psa_sos_stable(&c, 1), radius < 1.0);
        }
    }
    struct psa_sos two[2] = { example[0], { 1.0, 0.0, 0.0, NAN, 0.0 } };
    assert_true(psa_sos_stable(two, 1));
    assert_false(psa_sos_stable(two, 2));
    two[1] = (struct psa_sos){ INFINITY, 0.0, 0.0, 0.0, 0.0 };
    assert_false(psa_sos_stable(two, 2));
    two[1] = (struct psa_sos){ 1.0, 0.0, 0.0, -1.0, 0.0 }; /* on the circle: an integrator */
    assert_false(psa_sos_stable(two, 2));
    two[1] = (struct psa_sos){ 1.0, 0.0, 0.0, -1.0, 1.0 }; /* on the circle: an oscillator */
    assert_false(psa_sos_stable(two, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_as_scipy_sosfilt),
        cmocka_unit_test(zi_gives_a_constant_response),
        cmocka_unit_test(impulse_response_of_one_pole),
        cmocka_unit_test(any_cut_and_in_place_give_the_same_bits),
        cmocka_unit_test(channels_do_not_meet),
        cmocka_unit_test(no_sections_pass_on),
        cmocka_unit_test(stable_means_poles_inside_the_circle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
