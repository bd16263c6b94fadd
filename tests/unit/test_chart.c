/* test_chart.c - EWMA and CUSUM charts against NumPy's and pandas' numbers, against closed forms, cut and resumed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "detector_stream.h"
#include "model/chart.h"

enum { ROWS = 400, COLUMNS = 4 };

static const double wild = 1e300;

/* ---- golden -------------------------------------------------------------------------------------------------------- */

static struct psa_chart_options golden_options(struct psa_str all, struct psa_str one)
{
    return (struct psa_chart_options){ .kind = golden_is(one, "kind", "ewma") ? PSA_CHART_EWMA : PSA_CHART_CUSUM,
                                       .warmup = (size_t)golden_number(all, "warmup"),
                                       .lambda = golden_number(all, "lambda"),
                                       .allowance = golden_number(all, "allowance"),
                                       .freeze = golden_number(one, "freeze") != 0.0 };
}

static void case_agrees(struct psa_str all, struct psa_str one)
{
    struct psa_chart_options options = golden_options(all, one);
    double x[ROWS * COLUMNS], learned[ROWS], expected[ROWS], alarm[ROWS], raw, limit = golden_number(one, "limit");
    double mean[COLUMNS], variance[COLUMNS], inflation[COLUMNS];
    struct psa_chart chart;

    assert_int_equal(golden_numbers(all, "rows", x, COUNT(x)), COUNT(x));
    assert_int_equal(golden_numbers(one, "learned", learned, ROWS), options.warmup);
    assert_int_equal(golden_numbers(one, "raw", expected, ROWS), ROWS - options.warmup);
    assert_int_equal(golden_numbers(one, "alarm", alarm, ROWS), ROWS - options.warmup);
    golden_numbers(one, "mean", mean, COLUMNS);
    golden_numbers(one, "variance", variance, COLUMNS);
    golden_numbers(one, "inflation", inflation, COLUMNS);
    assert_int_equal(psa_chart_init(&chart, &options, COLUMNS), 0);
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(psa_chart_update(&chart, x + i * COLUMNS, NULL, &raw), 0);
        if (i < options.warmup) {
            assert_true(isnan(raw));
        } else {
            assert_near(raw, expected[i - options.warmup], 1e-9);
            assert_int_equal(raw > limit, (int)alarm[i - options.warmup]);
        }
        if (i == options.warmup - 1) {
            for (size_t k = 0; k < options.warmup; k++) assert_near(chart.learned[k], learned[k], 1e-9);
        } else {
            assert_null(chart.learned);
        }
        psa_chart_judged(&chart, raw > limit);
    }
    for (size_t j = 0; j < COLUMNS; j++) {
        assert_near(chart.column[j].mean, mean[j], 1e-9);
        if (isnan(mean[j])) continue;
        assert_near(chart.column[j].variance, variance[j], 1e-9);
        assert_near(chart.column[j].inflation, inflation[j], 1e-9);
    }
    psa_chart_free(&chart);
}

static void agrees_with_numpy(void **state)
{
    struct golden file = golden_open("charts.json");
    struct psa_str all = golden_at(file.text, "charts"), one;
    size_t n = 0;

    (void)state;
    for (; (one = golden_item(golden_at(all, "cases"), n)).p; n++) case_agrees(all, one);
    assert_int_equal(n, 4);
    golden_close(&file);
}

/* ---- closed forms --------------------------------------------------------------------------------------------------- */

/* A chart whose Phase I had mean 0, variance 1, inflation 1 in each column: +1, -1, +1 ... */
static struct psa_chart alternating(enum psa_chart_kind kind, size_t n_columns, bool freeze)
{
    struct psa_chart_options options = { kind, 100, 0.2, 0.5, freeze };
    struct psa_chart chart;
    double row[8], raw;

    assert_int_equal(psa_chart_init(&chart, &options, n_columns), 0);
    for (size_t i = 0; i < options.warmup; i++) {
        for (size_t j = 0; j < n_columns; j++) row[j] = i % 2 == 0 ? 1.0 : -1.0;
        assert_int_equal(psa_chart_update(&chart, row, NULL, &raw), 0);
        psa_chart_judged(&chart, false);
    }
    assert_true(chart.charting);
    for (size_t j = 0; j < n_columns; j++) {
        assert_near(chart.column[j].mean, 0.0, 1e-15);
        assert_near(chart.column[j].variance, 1.0, 1e-15);
        assert_near(chart.column[j].inflation, 1.0, 1e-15);
    }
    return chart;
}

static double next(struct psa_chart *chart, double x, bool alarm)
{
    double raw;

    assert_int_equal(psa_chart_update(chart, &x, NULL, &raw), 0);
    psa_chart_judged(chart, alarm);
    return raw;
}

/* E of a step of d is d (1 - (1-lambda)^t). */
static void ewma_of_a_step(void **state)
{
    struct psa_chart chart = alternating(PSA_CHART_EWMA, 1, true);

    (void)state;
    for (int t = 1; t < 60; t++) {
        double fade = pow(0.8, t), sd = sqrt(0.2 / 1.8 * (1.0 - fade * fade));

        assert_near(next(&chart, 3.0, false), 3.0 * (1.0 - fade) / sd, 1e-12);
    }
    psa_chart_free(&chart);
}

/* S of a step of d is t (d - k); it is held where the alarm began, and comes down by k a row. */
static void cusum_of_a_step(void **state)
{
    struct psa_chart chart = alternating(PSA_CHART_CUSUM, 1, true);

    (void)state;
    for (int t = 1; t < 4; t++) assert_near(next(&chart, -2.0, false), 1.5 * t, 1e-12);
    assert_near(next(&chart, -2.0, true), 6.0, 1e-12);
    for (int t = 0; t < 1000; t++) assert_near(next(&chart, -2.0, true), 6.0, 1e-12);
    for (int t = 1; t < 3; t++) assert_near(next(&chart, 0.0, true), 6.0 - 0.5 * t, 1e-12);
    assert_near(next(&chart, 0.0, false), 4.5, 1e-12);
    for (int t = 0; t < 4; t++) next(&chart, -2.0, false);
    assert_near(next(&chart, -2.0, false), 4.5 + 7.5, 1e-12); /* no alarm: not held any more */
    psa_chart_free(&chart);
}

/* One wild reading alone is no alarm, is spent in a few rows, and leaves the baseline about where it was. */
static void cusum_gets_over_an_outlier(void **state)
{
    struct psa_chart chart = alternating(PSA_CHART_CUSUM, 1, false);
    double a = 2.0 / 101.0;

    (void)state;
    assert_near(next(&chart, -1e9, false), 3.5, 1e-12);
    assert_near(chart.column[0].mean, -4.0 * a, 1e-12);
    assert_near(chart.column[0].variance, (1.0 - a) * (1.0 + 16.0 * a), 1e-12);
    for (int t = 0; t < 9; t++) next(&chart, 0.0, false);
    assert_near(next(&chart, 0.0, false), 0.0, 1e-12);
    psa_chart_free(&chart);
    /* Two of them are a shift. The sums stand where the second was, so that the alarm ends as soon. */
    chart = alternating(PSA_CHART_CUSUM, 1, false);
    next(&chart, 1e9, false);
    assert_near(next(&chart, 1e9, true), 7.0, 0.1);
    for (int t = 0; t < 100; t++) next(&chart, 1e9, true);
    for (int t = 0; t < 4; t++) next(&chart, 0.0, true);
    assert_true(next(&chart, 0.0, true) < 5.0);
    psa_chart_free(&chart);
}

static void baseline_follows_normal_rows_only(void **state)
{
    struct psa_chart chart = alternating(PSA_CHART_EWMA, 1, false);
    double a = 2.0 / 101.0;

    (void)state;
    next(&chart, 1.0, true);
    assert_true(chart.column[0].mean == 0.0 && chart.column[0].variance == 1.0);
    next(&chart, 1.0, false);
    assert_near(chart.column[0].mean, a, 1e-15);
    assert_near(chart.column[0].variance, (1.0 - a) * (1.0 + a), 1e-15);
    /* A process at rest shrinks the spread to half of Phase I's, and no further. */
    for (int t = 0; t < 2000; t++) next(&chart, 0.0, false);
    assert_near(chart.column[0].variance, 0.25, 1e-15);
    next(&chart, NAN, false);
    assert_near(chart.column[0].variance, 0.25, 1e-15);
    psa_chart_free(&chart);
}

static void gap_begins_anew(void **state)
{
    struct psa_chart chart = alternating(PSA_CHART_CUSUM, 1, true);

    (void)state;
    for (int t = 0; t < 9; t++) next(&chart, 3.0, t > 1);
    psa_chart_gap(&chart);
    assert_near(next(&chart, 3.0, false), 2.5, 1e-12);
    psa_chart_free(&chart);
    /* What held the sums during the alarm, 5 here, does not hold them behind the gap. */
    chart = alternating(PSA_CHART_CUSUM, 1, true);
    for (int t = 0; t < 9; t++) next(&chart, 3.0, t >= 1);
    psa_chart_gap(&chart);
    assert_near(next(&chart, 20.0, false), 3.5, 1e-12);
    assert_near(next(&chart, 20.0, false), 7.0, 1e-12);
    psa_chart_free(&chart);
}

/* ---- what a column may be ------------------------------------------------------------------------------------------- */

static void columns_are_charted_apart(void **state)
{
    struct psa_chart chart = alternating(PSA_CHART_EWMA, 3, true);
    double row[] = { 0.0, -5.0, NAN }, contribution[3], raw;

    (void)state;
    assert_int_equal(psa_chart_update(&chart, row, contribution, &raw), 0);
    assert_near(raw, 5.0, 1e-12); /* at t = 1 the chart shows z itself */
    assert_near(contribution[0], 0.0, 1e-12);
    assert_near(contribution[1], 25.0, 1e-12);
    assert_true(contribution[2] == 0.0);
    psa_chart_free(&chart);
}

/* Constant, never there, too large to square, and one that is normal: only the first and the last are charted. */
static void odd_columns(void **state)
{
    static const struct psa_chart_options options = { PSA_CHART_EWMA, 50, 0.2, 0.5, false };
    struct psa_chart chart;
    double raw;

    (void)state;
    assert_int_equal(psa_chart_init(&chart, &options, 4), 0);
    for (size_t i = 0; i < 50; i++) {
        double row[] = { 0.1, NAN, i % 2 ? wild : -wild, i % 2 ? 1.0 : 3.0 };

        assert_int_equal(psa_chart_update(&chart, row, NULL, &raw), 0);
    }
    assert_near(chart.column[0].mean, 0.1, 1e-15);
    assert_true(chart.column[0].variance == 1.0);
    assert_true(isnan(chart.column[1].mean) && isnan(chart.column[2].mean));
    for (size_t i = 0; i < 200; i++) {
        double row[] = { i % 3 ? wild : -wild, wild, 1.0, 2.0 };

        assert_int_equal(psa_chart_update(&chart, row, NULL, &raw), 0);
        assert_true(raw > 1.0 && raw <= 3.0 * PSA_CHART_FAR);
        psa_chart_judged(&chart, false);
        assert_true(psa_chart_is_sound(&chart));
    }
    psa_chart_free(&chart);
    /* No column at all that can be charted: no score. */
    assert_int_equal(psa_chart_init(&chart, &options, 1), 0);
    for (size_t i = 0; i < 60; i++) {
        assert_int_equal(psa_chart_update(&chart, &(double){ i < 50 ? NAN : 1.0 }, NULL, &raw), 0);
        assert_true(isnan(raw));
        psa_chart_judged(&chart, false);
    }
    psa_chart_free(&chart);
}

/* ---- the contract ---------------------------------------------------------------------------------------------------- */

static void make_rows(double *x)
{
    struct psa_random random;

    psa_random_seed(&random, 3);
    for (size_t i = 0; i < ROWS; i++, x += COLUMNS) {
        for (size_t j = 0; j < COLUMNS; j++)
            x[j] = psa_random_uniform(&random) + (double)(i > 200 && i < 260 && j == 1);
        x[2] = i < 300 ? 7.0 : x[2];
        if (i % 7 == 3) x[0] = NAN;
        if (i < 100) x[3] = NAN;
        if (i == 150) x[0] = 1e200;
    }
}

static struct stream_case make_case(const struct psa_detector_type *type, double *x, bool freeze)
{
    make_rows(x);
    return (struct stream_case){ .type = type,
                                 .settings = { .warmup = 120, .lambda = 0.1, .allowance = 0.7, .freeze = freeze },
                                 .limit = type->on,
                                 .rows = x,
                                 .n_rows = ROWS,
                                 .n_columns = COLUMNS };
}

static void resumes_bit_for_bit(void **state)
{
    const struct psa_detector_type *types[] = { &psa_ewma_detector, &psa_cusum_detector };
    double x[ROWS * COLUMNS];

    (void)state;
    for (size_t k = 0; k < 4; k++) {
        struct stream_case stream = make_case(types[k % 2], x, k >= 2);

        stream_resumes(&stream, 1);
        stream_resumes(&stream, 37);
    }
}

static void survives_any_state(void **state)
{
    const struct psa_detector_type *types[] = { &psa_ewma_detector, &psa_cusum_detector };
    double x[ROWS * COLUMNS];

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct stream_case stream = make_case(types[k], x, false);

        stream_survives(&stream, 30, 2000);
        stream_survives(&stream, 230, 4000);
    }
}

static void refuses_a_short_warmup(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = make_case(&psa_cusum_detector, x, false);
    struct psa_detector detector = { .type = stream.type, .settings = &stream.settings, .n_columns = 1 };
    struct psa_error error;

    (void)state;
    stream.settings.warmup = 1;
    assert_int_equal(detector.type->start(&detector, &error), -1);
    assert_int_equal(error.status, PSA_EXIT_PERMANENT);
    assert_non_null(strstr(error.text, "--warmup 1 is too short for --cusum"));
}

static void refuses_what_does_not_fit(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = make_case(&psa_ewma_detector, x, false);

    (void)state;
    stream_needs_each_member_once(&stream, 30);
    stream_needs_each_member_once(&stream, 130);
    stream_needs_each_member_once(&stream, 230); /* in an alarm */
    stream_refuses(&stream, 230, "\"up\":", "\"down\":");
    stream_refuses(&stream, 230, "\"variance\":[", "\"variance\":[1,");
    stream_refuses(&stream, 230, "\"charting\":true", "\"charting\":false");
    stream_refuses(&stream, 230, "\"fade\":[", "\"fade\":[7e");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_numpy),
        cmocka_unit_test(ewma_of_a_step),
        cmocka_unit_test(cusum_of_a_step),
        cmocka_unit_test(cusum_gets_over_an_outlier),
        cmocka_unit_test(baseline_follows_normal_rows_only),
        cmocka_unit_test(gap_begins_anew),
        cmocka_unit_test(columns_are_charted_apart),
        cmocka_unit_test(odd_columns),
        cmocka_unit_test(resumes_bit_for_bit),
        cmocka_unit_test(survives_any_state),
        cmocka_unit_test(refuses_a_short_warmup),
        cmocka_unit_test(refuses_what_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
