/* test_ecod.c - streaming ECOD against PyOD's numbers and against a direct evaluation of the definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "model/ecod.h"
#include "model/random.h"

#include "detector_stream.h"

enum { ROWS = 500, COLUMNS = 6 };

/* ---- golden ---------------------------------------------------------------------------------------------------- */

static void stream_agrees(const char *expected_name, size_t horizon)
{
    struct golden matrix = golden_open("ecod.json"), stream = golden_open("ecod_stream.json");
    double x[ROWS * COLUMNS], expected[ROWS];
    double contribution[COLUMNS], raw;
    struct psa_ecod ecod;

    assert_int_equal(golden_numbers(matrix.text, "X", x, COUNT(x)), COUNT(x));
    assert_int_equal(golden_numbers(stream.text, expected_name, expected, ROWS), ROWS);
    assert_int_equal(psa_ecod_init(&ecod, COLUMNS, horizon), 0);
    for (size_t i = 0; i < ROWS; i++) {
        double total = 0.0;

        assert_int_equal(psa_ecod_update(&ecod, x + i * COLUMNS, contribution, &raw), 0);
        assert_near(raw, expected[i], 1e-12);
        for (size_t j = 0; j < COLUMNS; j++) total += contribution[j];
        assert_near(total, raw, 1e-12);
    }
    psa_ecod_free(&ecod);
    golden_close(&matrix);
    golden_close(&stream);
}

static void expanding_stream_equals_pyod(void **state)
{
    (void)state;
    stream_agrees("expanding", 0);
    stream_agrees("expanding", 500);
    stream_agrees("expanding", 100000);
}

static void sliding_stream_equals_pyod(void **state)
{
    (void)state;
    stream_agrees("sliding100", 100);
}

/* ---- the definition itself -------------------------------------------------------------------------------------- */

/* Is the sample skewness of n values exactly zero? Two passes in long double. */
static bool skew_zero(const double *x, size_t n)
{
    long double mean = 0, m2 = 0, m3 = 0;
    bool constant = true;

    for (size_t i = 0; i < n; i++) {
        mean += x[i];
        constant = constant && x[i] == x[0];
    }
    mean /= n;
    for (size_t i = 0; i < n; i++) {
        long double d = x[i] - mean;

        m2 += d * d;
        m3 += d * d * d;
    }
    m2 /= n;
    m3 /= n;
    return constant || fabsl(m3) < 1e-12L * powl(m2, 1.5L);
}

/* O_j of the newest of rows [from, last], straight from the definition. */
static double direct(const double *x, size_t from, size_t last, size_t column)
{
    double kept[ROWS], newest = x[last * COLUMNS + column], left, right;
    size_t n = 0, up_to = 0, above = 0;

    if (isnan(newest)) return 0.0;
    for (size_t i = from; i <= last; i++) {
        double value = x[i * COLUMNS + column];

        if (isnan(value)) continue;
        kept[n++] = value;
        up_to += value <= newest;
        above += value >= newest;
    }
    left = -log((double)up_to / (double)n);
    right = -log((double)above / (double)n);
    return skew_zero(kept, n) ? left + right : fmax(left, right);
}

/* Normal, ties, exactly symmetric, mostly missing, constant, one big offset. */
static void make_rows(double *x, uint64_t seed)
{
    static const double ring[] = { -1.5, 0.25, 1.5, -0.25 };
    struct psa_random random;

    psa_random_seed(&random, seed);
    for (size_t i = 0; i < ROWS; i++, x += COLUMNS) {
        for (size_t j = 0; j < COLUMNS; j++)
            x[j] = psa_random_uniform(&random) + psa_random_uniform(&random) - psa_random_uniform(&random);
        x[1] = floor(4.0 * x[1]);
        x[2] = ring[i % COUNT(ring)];
        x[3] = i % 3 == 0 ? floor(10.0 * x[3]) : NAN;
        x[4] = i < ROWS / 2 ? 0.1 : x[4];
        x[5] = 1e6 + floor(8.0 * x[5]) / 8.0;
        if (i % 50 == 7) x[0] = NAN;
    }
}

static void agrees_with_the_definition(void **state)
{
    static const size_t horizons[] = { 0, 2, 7, 64, 100, 333 };
    double x[ROWS * COLUMNS], contribution[COLUMNS], raw;
    struct psa_ecod ecod;

    (void)state;
    for (size_t h = 0; h < COUNT(horizons); h++) {
        make_rows(x, 20 + h);
        psa_ecod_init(&ecod, COLUMNS, horizons[h]);
        for (size_t i = 0; i < ROWS; i++) {
            size_t from = horizons[h] > 0 && i + 1 > horizons[h] ? i + 1 - horizons[h] : 0;

            psa_ecod_update(&ecod, x + i * COLUMNS, contribution, &raw);
            for (size_t j = 0; j < COLUMNS; j++) assert_near(contribution[j], direct(x, from, i, j), 1e-12);
        }
        psa_ecod_free(&ecod);
    }
}

/* The score beside rows held is the one an update gives where no row leaves for it, and it changes nothing. */
static void a_row_beside_the_others_scores_as_if_it_had_entered(void **state)
{
    double x[ROWS * COLUMNS], beside[COLUMNS], within[COLUMNS], raw, again;
    struct psa_ecod ecod;

    (void)state;
    make_rows(x, 4);
    psa_ecod_init(&ecod, COLUMNS, 0);
    for (size_t i = 0; i < ROWS; i++) {
        double first = psa_ecod_score(&ecod, x + i * COLUMNS, beside);

        again = psa_ecod_score(&ecod, x + i * COLUMNS, NULL);
        assert_memory_equal(&first, &again, sizeof first);
        psa_ecod_update(&ecod, x + i * COLUMNS, within, &raw);
        assert_near(first, raw, 1e-12);
        for (size_t j = 0; j < COLUMNS; j++) assert_near(beside[j], within[j], 1e-12);
    }
    psa_ecod_free(&ecod);
}

/* Where nothing ever changes nothing surprises. */
static void a_constant_stream_scores_zero(void **state)
{
    static const double row[] = { 0.1, 1e9, -3.0 };
    struct psa_ecod ecod;
    double raw;

    (void)state;
    psa_ecod_init(&ecod, 3, 50);
    for (size_t i = 0; i < 200; i++) {
        psa_ecod_update(&ecod, row, NULL, &raw);
        assert_true(raw == 0.0);
        assert_true(psa_ecod_score(&ecod, row, NULL) == 0.0);
    }
    psa_ecod_free(&ecod);
}

/* ---- cut and resumed ---------------------------------------------------------------------------------------------- */

/* A fresh one with the rows that `from` holds. */
static void resume(const struct psa_ecod *from, struct psa_ecod *to)
{
    psa_ecod_init(to, from->n_columns, from->horizon);
    to->seen = from->seen - from->held;
    for (size_t i = 0; i < from->held; i++) {
        double row[COLUMNS];

        for (size_t j = 0; j < COLUMNS; j++) row[j] = psa_ecod_value(from, i, j);
        assert_int_equal(psa_ecod_restore(to, row), 0);
    }
    assert_int_equal(to->seen, from->seen);
}

static void a_cut_changes_no_bit(void **state)
{
    static const size_t horizons[] = { 0, 60, 128 };
    double x[ROWS * COLUMNS];

    (void)state;
    make_rows(x, 9);
    for (size_t h = 0; h < COUNT(horizons); h++) {
        for (size_t cut = 1; cut < ROWS; cut += 13) {
            double a[COLUMNS + 1], b[COLUMNS + 1]; /* contributions, then the score */
            struct psa_ecod whole, resumed;

            psa_ecod_init(&whole, COLUMNS, horizons[h]);
            for (size_t i = 0; i < cut; i++) psa_ecod_update(&whole, x + i * COLUMNS, a, &a[COLUMNS]);
            resume(&whole, &resumed);
            for (size_t i = cut; i < ROWS && i < cut + 150; i++) {
                psa_ecod_update(&whole, x + i * COLUMNS, a, &a[COLUMNS]);
                psa_ecod_update(&resumed, x + i * COLUMNS, b, &b[COLUMNS]);
                assert_memory_equal(a, b, sizeof a);
            }
            psa_ecod_free(&whole);
            psa_ecod_free(&resumed);
        }
    }
}

static void extreme_values_do_no_harm(void **state)
{
    static const double rows[] = { 1e308, -1e308, 1e-320, 0.0, -0.0, 1e308, 1e-300, 1e154, -1e154, 5e-324 };
    struct psa_ecod ecod;
    double raw;

    (void)state;
    psa_ecod_init(&ecod, 1, 4);
    for (size_t i = 0; i < 3 * COUNT(rows); i++) {
        assert_int_equal(psa_ecod_update(&ecod, &rows[i % COUNT(rows)], NULL, &raw), 0);
        assert_true(isfinite(raw) && raw >= 0.0);
        raw = psa_ecod_score(&ecod, &rows[i % COUNT(rows)], NULL);
        assert_true(isfinite(raw) && raw >= 0.0);
    }
    psa_ecod_free(&ecod);
}

/* ---- the contract ---------------------------------------------------------------------------------------------- */

static void as_a_detector_it_resumes_and_takes_only_whole_states(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = { .type = &psa_ecod_detector,
                                  .settings = { .warmup = 50, .horizon = 60 },
                                  .limit = 9.0,
                                  .rows = x,
                                  .n_rows = 200,
                                  .n_columns = COLUMNS };

    (void)state;
    make_rows(x, 9);
    stream_resumes(&stream, 17);
    stream_survives(&stream, 100, 1000);
    stream_needs_each_member_once(&stream, 0);
    stream_needs_each_member_once(&stream, 100);
    stream.settings.freeze = true;
    stream_resumes(&stream, 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expanding_stream_equals_pyod),
        cmocka_unit_test(sliding_stream_equals_pyod),
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(a_row_beside_the_others_scores_as_if_it_had_entered),
        cmocka_unit_test(a_cut_changes_no_bit),
        cmocka_unit_test(a_constant_stream_scores_zero),
        cmocka_unit_test(extreme_values_do_no_harm),
        cmocka_unit_test(as_a_detector_it_resumes_and_takes_only_whole_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
