/* test_rolling.c - dsp/rolling: against brute force over every shape of stream, for ever, and across a restore. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/moments.h"
#include "dsp/rolling.h"
#include "golden.h"

enum shape { RANDOM, CONSTANT, BIG_OFFSET, SPIKES, RAMP, SHAPES };

/* Sample t of a stream; the same t gives the same sample. */
static double sample(enum shape shape, size_t t)
{
    uint64_t bits = (t + 1) * 0x9E3779B97F4A7C15u; /* splitmix64, Steele, Lea and Flood 2014 */
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
    double random = (double)((bits ^ (bits >> 31)) >> 11) * 0x1p-53;
    switch (shape) {
    case RANDOM: return random * 2.0 - 1.0;
    case BIG_OFFSET: return 1e6 + random;
    case SPIKES: return t % 97 == 50 ? 1e12 : random;
    case RAMP: return 0.25 * (double)t + random;
    default: return 0.1;
    }
}

static void agrees(const struct psa_rolling *rolling, enum shape shape, size_t t, double *window)
{
    size_t n = t + 1 < rolling->length ? t + 1 : rolling->length;
    for (size_t i = 0; i < n; i++) window[i] = sample(shape, t + 1 - n + i);
    struct psa_moments m = psa_moments_of(window, n);
    assert_int_equal(psa_rolling_count(rolling), n);
    assert_near(psa_rolling_mean(rolling), m.mean, 1e-13);
    /* Relative to the spread itself, not to 1: nothing big that has left may leave its rounding behind. What is there
     * costs the digits that mean / spread has, the condition number of the standard deviation (Chan et al. 1983). */
    double spread = m.std > 0.0 ? m.std : 1.0, rounding = 1e-13 + 1e-14 * fabs(m.mean) / spread;
    assert_near(psa_rolling_std(rolling) / spread, m.std / spread, rounding);
    assert_near(psa_rolling_var(rolling) / (spread * spread), m.var / (spread * spread), rounding);
}

static void agrees_with_brute_force(void **state)
{
    (void)state;
    static const size_t lengths[] = { 1, 2, 3, 10, 64, 101 };
    double window[101];
    for (int shape = 0; shape < SHAPES; shape++) {
        for (size_t l = 0; l < COUNT(lengths); l++) {
            struct psa_rolling rolling;
            assert_int_equal(psa_rolling_init(&rolling, lengths[l]), 0);
            assert_true(isnan(psa_rolling_mean(&rolling)) && isnan(psa_rolling_std(&rolling)));
            for (size_t t = 0; t < 1000; t++) {
                psa_rolling_push(&rolling, sample((enum shape)shape, t));
                agrees(&rolling, (enum shape)shape, t, window);
            }
            psa_rolling_free(&rolling);
        }
    }
}

static void a_million_samples_leave_no_drift(void **state)
{
    (void)state;
    enum { LENGTH = 250, SAMPLES = 1000000 };
    double window[LENGTH];
    for (int shape = 0; shape < SHAPES; shape++) {
        struct psa_rolling rolling;
        assert_int_equal(psa_rolling_init(&rolling, LENGTH), 0);
        for (size_t t = 0; t < SAMPLES; t++) {
            psa_rolling_push(&rolling, sample((enum shape)shape, t));
            if (t % 9973 == 0 || t > SAMPLES - LENGTH) agrees(&rolling, (enum shape)shape, t, window);
        }
        psa_rolling_free(&rolling);
    }
}

/* After any past, a window of equal samples has exactly their value and no spread. */
static void the_past_is_forgotten_exactly(void **state)
{
    (void)state;
    struct psa_rolling rolling;
    assert_int_equal(psa_rolling_init(&rolling, 10), 0);
    for (size_t t = 0; t < 1003; t++) psa_rolling_push(&rolling, sample(SPIKES, t) * 1e3);
    for (int i = 0; i < 10; i++) psa_rolling_push(&rolling, 0.1);
    assert_true(psa_rolling_mean(&rolling) == 0.1);
    assert_true(psa_rolling_var(&rolling) == 0.0 && psa_rolling_std(&rolling) == 0.0);
    psa_rolling_free(&rolling);
}

static bool restore_from(struct psa_rolling *to, const struct psa_rolling *from)
{
    return psa_rolling_restore(to, from->front_mean, from->front_m2, from->n_front, from->back, from->n_back);
}

static void a_restored_window_goes_on_bit_by_bit(void **state)
{
    (void)state;
    enum { LENGTH = 7 };
    for (size_t cut = 0; cut < 40; cut++) {
        struct psa_rolling whole, half;
        assert_int_equal(psa_rolling_init(&whole, LENGTH), 0);
        assert_int_equal(psa_rolling_init(&half, LENGTH), 0);
        for (size_t t = 0; t < cut; t++) psa_rolling_push(&whole, sample(BIG_OFFSET, t));
        for (size_t t = 0; t < 11; t++) psa_rolling_push(&half, -5.0); /* what was there is forgotten */
        assert_true(restore_from(&half, &whole));
        for (size_t t = cut; t < cut + 30; t++) {
            double of_whole[2] = { psa_rolling_mean(&whole), psa_rolling_std(&whole) };
            double of_half[2] = { psa_rolling_mean(&half), psa_rolling_std(&half) };
            assert_memory_equal(of_whole, of_half, sizeof of_whole);
            assert_int_equal(psa_rolling_count(&whole), psa_rolling_count(&half));
            psa_rolling_push(&whole, sample(BIG_OFFSET, t));
            psa_rolling_push(&half, sample(BIG_OFFSET, t));
        }
        psa_rolling_free(&whole);
        psa_rolling_free(&half);
    }
}

static void impossible_content_is_refused(void **state)
{
    (void)state;
    const double mean[5] = { 1, 2, 3, 4, 5 }, m2[5] = { 0, 1, 2, 3, 4 }, back[5] = { 1, 2, 3, 4, 5 };
    const double negative[5] = { 0, -1, 2, 3, 4 }, spread[5] = { 1, 1, 2, 3, 4 }, missing[5] = { 1, NAN, 3, 4, 5 };
    struct psa_rolling rolling;
    assert_int_equal(psa_rolling_init(&rolling, 4), 0);
    assert_true(psa_rolling_restore(&rolling, mean, m2, 3, back, 1));
    assert_int_equal(psa_rolling_count(&rolling), 4);
    assert_true(psa_rolling_restore(&rolling, mean, m2, 0, back, 4));
    assert_true(psa_rolling_restore(&rolling, NULL, NULL, 0, NULL, 0));
    assert_false(psa_rolling_restore(&rolling, mean, m2, 3, back, 2)); /* too many */
    assert_false(psa_rolling_restore(&rolling, mean, m2, 1, back, 2)); /* a front, but not full */
    assert_false(psa_rolling_restore(&rolling, mean, m2, 4, back, 0)); /* no newest */
    assert_false(psa_rolling_restore(&rolling, mean, m2, 0, back, 5));
    assert_false(psa_rolling_restore(&rolling, mean, m2, SIZE_MAX, back, 5));
    assert_false(psa_rolling_restore(&rolling, mean, negative, 3, back, 1));
    assert_false(psa_rolling_restore(&rolling, mean, spread, 3, back, 1));
    assert_false(psa_rolling_restore(&rolling, mean, m2, 0, missing, 2));
    assert_int_equal(psa_rolling_count(&rolling), 0);
    psa_rolling_push(&rolling, 3.5);
    assert_true(psa_rolling_mean(&rolling) == 3.5 && psa_rolling_std(&rolling) == 0.0);
    psa_rolling_free(&rolling);
}

static void impossible_lengths_are_refused(void **state)
{
    (void)state;
    struct psa_rolling rolling;
    assert_int_equal(psa_rolling_init(&rolling, 0), -1);
    psa_rolling_free(&rolling);
    assert_int_equal(psa_rolling_init(&rolling, SIZE_MAX / 2), -1);
    psa_rolling_free(&rolling);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_brute_force),       cmocka_unit_test(a_million_samples_leave_no_drift),
        cmocka_unit_test(the_past_is_forgotten_exactly), cmocka_unit_test(a_restored_window_goes_on_bit_by_bit),
        cmocka_unit_test(impossible_content_is_refused), cmocka_unit_test(impossible_lengths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
