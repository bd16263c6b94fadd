/* test_kalman.c - dsp/kalman: statsmodels' numbers, and closed forms of the steady state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/kalman.h"
#include "golden.h"

/* The intervals between the samples of a golden case. */
static void intervals(struct psa_str file, struct psa_str one, double *dt)
{
    double since[150];
    golden_numbers(file, "since_first_ns", since, 150);
    for (size_t i = 0; i < 150; i++)
        dt[i] = i == 0 ? 0.0 : golden_is(one, "times", "even") ? 0.01 : (since[i] - since[i - 1]) / 1e9;
}

static void as_statsmodels(void **state)
{
    (void)state;
    struct golden file = golden_open("filters.json");
    struct psa_str cases = golden_at(file.text, "kalman"), one;
    double y[150], dt[150], want[150];
    size_t i = 0;
    assert_int_equal(golden_numbers(file.text, "walk", y, 150), 150);
    for (; (one = golden_item(cases, i)).p; i++) {
        double q = golden_number(one, "q"), r = golden_number(one, "r");
        struct psa_kalman_level level = psa_kalman_level_start();
        struct psa_kalman_velocity velocity = psa_kalman_velocity_start();
        bool moving = golden_is(one, "model", "velocity");
        intervals(file.text, one, dt);
        assert_int_equal(golden_numbers(one, "level", want, 150), 150);
        for (size_t t = 0; t < 150; t++) {
            double got = moving ? psa_kalman_velocity_step(&velocity, dt[t], y[t], q, r)
                                : psa_kalman_level_step(&level, dt[t], y[t], q, r);
            assert_near(got, want[t], 1e-9);
        }
    }
    assert_int_equal(i, 8);
    golden_close(&file);
}

/* With q = 0 a level is the mean of all samples, a velocity their least-squares line. */
static void without_process_noise_it_is_least_squares(void **state)
{
    (void)state;
    struct psa_kalman_level level = psa_kalman_level_start();
    struct psa_kalman_velocity velocity = psa_kalman_velocity_start();
    double sum = 0.0, st = 0.0, sx = 0.0, stt = 0.0, stx = 0.0, t = 0.0;
    for (int i = 0; i < 200; i++) {
        double dt = i == 0 ? 0.0 : 0.01 * (1 + i % 5), y = 3.0 + (i * 37 % 11) / 4.0;
        t += dt;
        sum += y;
        st += t, sx += y, stt += t * t, stx += t * y;
        assert_near(psa_kalman_level_step(&level, dt, y, 0.0, 2.0), sum / (i + 1), 1e-12);
        assert_near(level.variance, 2.0 / (i + 1), 1e-12);
        double line = psa_kalman_velocity_step(&velocity, dt, y, 0.0, 2.0);
        double n = i + 1, slope = i == 0 ? 0.0 : (n * stx - st * sx) / (n * stt - st * st);
        assert_near(line, i == 0 ? y : (sx - slope * st) / n + slope * t, 1e-9);
        if (i > 0) assert_near(velocity.velocity, slope, 1e-8);
    }
}

/* The steady gain of the level: P' = P + q dt, K = P' / (P' + r), P = K r, so that P^2 + q dt P - q dt r = 0. */
static void the_levels_variance_settles(void **state)
{
    (void)state;
    const double q = 0.3, r = 2.0, dt = 0.1, w = q * dt;
    struct psa_kalman_level level = psa_kalman_level_start();
    for (int i = 0; i < 1000; i++) psa_kalman_level_step(&level, dt, 1.0, q, r);
    assert_near(level.variance, (-w + sqrt(w * w + 4.0 * w * r)) / 2.0, 1e-12);
    assert_near(level.level, 1.0, 1e-12);
}

/* q does not depend on the rate: two predictions of dt add up to one of 2 dt. */
static void predictions_add_up(void **state)
{
    (void)state;
    struct psa_kalman_velocity one = psa_kalman_velocity_start(), two;
    psa_kalman_velocity_step(&one, 0.0, 1.0, 0.5, 0.1);
    psa_kalman_velocity_step(&one, 0.2, 1.5, 0.5, 0.1);
    assert_near(one.velocity, 2.5, 1e-12);
    two = one;
    double there = psa_kalman_velocity_step(&one, 0.8, NAN, 0.5, 0.1);
    for (int i = 0; i < 8; i++) psa_kalman_velocity_step(&two, 0.1, NAN, 0.5, 0.1);
    assert_near(there, 1.5 + 0.8 * 2.5, 1e-12);
    assert_near(two.level, there, 1e-12);
    assert_near(two.p00, one.p00, 1e-12);
    assert_near(two.p01, one.p01, 1e-12);
    assert_near(two.p11, one.p11, 1e-12);
}

static void starts_with_the_first_samples(void **state)
{
    (void)state;
    struct psa_kalman_level level = psa_kalman_level_start();
    assert_true(isnan(psa_kalman_level_step(&level, 1.0, NAN, 1.0, 1.0)));
    assert_true(psa_kalman_level_step(&level, 1.0, 5.0, 1.0, 1.0) == 5.0);
    assert_true(psa_kalman_level_step(&level, 100.0, NAN, 1.0, 1.0) == 5.0);

    struct psa_kalman_velocity velocity = psa_kalman_velocity_start();
    assert_true(isnan(psa_kalman_velocity_step(&velocity, 1.0, NAN, 1.0, 1.0)));
    assert_true(psa_kalman_velocity_step(&velocity, 1.0, 5.0, 1.0, 1.0) == 5.0);
    assert_true(psa_kalman_velocity_step(&velocity, 1.0, NAN, 1.0, 1.0) == 5.0); /* no velocity yet */
    assert_true(psa_kalman_velocity_step(&velocity, 1.0, 9.0, 1.0, 1.0) == 9.0);
    assert_true(velocity.velocity == 2.0); /* 4 in two seconds */

    velocity = psa_kalman_velocity_start();
    psa_kalman_velocity_step(&velocity, 0.0, 4.0, 1.0, 1.0);
    assert_near(psa_kalman_velocity_step(&velocity, 0.0, 6.0, 1.0, 1.0), 5.0, 1e-15); /* two at one time: their mean */
    assert_true(isnan(velocity.velocity));
    assert_near(velocity.p00, 0.5, 1e-15);
    assert_true(psa_kalman_velocity_step(&velocity, 2.0, 9.0, 1.0, 1.0) == 9.0);
    assert_near(velocity.velocity, 2.0, 1e-15);
    assert_near(velocity.p11, (0.5 + 1.0) / 4.0 + 2.0 / 3.0, 1e-15);
}

/* A million samples of hardly any noise: the covariance stays one. */
static void the_covariance_stays_positive(void **state)
{
    (void)state;
    struct psa_kalman_velocity velocity = psa_kalman_velocity_start();
    for (int i = 0; i < 1000000; i++) {
        psa_kalman_velocity_step(&velocity, 1e-6, i % 2 ? 1.0 : 1.0 + 1e-9, i % 1000 == 0 ? 1e12 : 1e-12, 1e-12);
        if (i < 2) continue;
        assert_true(velocity.p00 > 0.0 && velocity.p11 > 0.0);
        assert_true(velocity.p00 * velocity.p11 - velocity.p01 * velocity.p01 >= -1e-9 * velocity.p00 * velocity.p11);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_statsmodels),
        cmocka_unit_test(without_process_noise_it_is_least_squares),
        cmocka_unit_test(the_levels_variance_settles),
        cmocka_unit_test(predictions_add_up),
        cmocka_unit_test(starts_with_the_first_samples),
        cmocka_unit_test(the_covariance_stays_positive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
