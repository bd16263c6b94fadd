/* test_evaluation.c - evaluation and NAB score: closed forms by hand, and scikit-learn's numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "model/evaluation.h"
#include "model/nab_score.h"

enum { ROWS = 240 };

/* "..##.#" as flags. */
static size_t flags(const char *text, bool *out)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++) out[i] = text[i] == '#';
    return n;
}

/* ---- points and ranks ------------------------------------------------------------------------------------------------------ */

static void golden_case(struct psa_str one)
{
    double label[ROWS], score[ROWS], predicted[ROWS], counts[4];
    bool is_label[ROWS], is_predicted[ROWS];
    struct psa_scored row[ROWS];
    struct psa_confusion points = { 0, 0, 0, 0 };
    struct psa_operating_point best = { 0 };
    size_t n = golden_numbers(one, "label", label, ROWS);

    assert_int_equal(golden_numbers(one, "score", score, ROWS), n);
    assert_int_equal(golden_numbers(one, "predicted", predicted, ROWS), n);
    assert_int_equal(golden_numbers(one, "counts", counts, 4), 4);
    for (size_t i = 0; i < n; i++) {
        is_label[i] = label[i] != 0.0;
        is_predicted[i] = predicted[i] != 0.0;
        row[i] = (struct psa_scored){ isnan(score[i]) ? -INFINITY : score[i], is_label[i] };
    }
    psa_confusion_add(&points, is_predicted, is_label, n);
    assert_true((double)points.tp == counts[0] && (double)points.fp == counts[1] && (double)points.fn == counts[2] &&
                (double)points.tn == counts[3]);
    assert_near(psa_confusion_precision(&points), golden_number(one, "precision"), 1e-15);
    assert_near(psa_confusion_recall(&points), golden_number(one, "recall"), 1e-15);
    assert_near(psa_confusion_f1(&points), golden_number(one, "f1"), 1e-15);
    assert_near(psa_confusion_far(&points), golden_number(one, "far"), 1e-15);
    assert_near(psa_confusion_mar(&points), golden_number(one, "mar"), 1e-15);
    psa_scored_sort(row, n);
    assert_near(psa_roc_area(row, n), golden_number(one, "roc_area"), 1e-13);
    assert_near(psa_pr_area(row, n), golden_number(one, "pr_area"), 1e-13);
    assert_true(psa_sweep_best(row, n, &best));
    assert_true(best.threshold == golden_number(one, "best_threshold"));
    assert_near(psa_confusion_f1(&best.counts), golden_number(one, "best_f1"), 1e-13);
}

static void golden_numbers_hold(void **state)
{
    struct golden file = golden_open("evaluation.json");
    struct psa_str cases = golden_at(file.text, "cases"), one;
    size_t n = 0;

    (void)state;
    for (; (one = golden_item(cases, n)).p; n++) golden_case(one);
    assert_int_equal(n, 5);
    golden_close(&file);
}

static void what_has_no_value_is_nan(void **state)
{
    struct psa_confusion none = { 0, 0, 0, 0 }, normal = { 0, 0, 0, 7 }, quiet = { 0, 0, 3, 7 };
    struct psa_scored row[] = { { 0.9, false }, { 0.2, false } };
    struct psa_operating_point best;
    struct psa_range_sums sums = { 0, 0, 0, 0 };

    (void)state;
    assert_true(isnan(psa_confusion_far(&none)) && isnan(psa_confusion_mar(&none)));
    assert_true(isnan(psa_confusion_precision(&normal)) && isnan(psa_confusion_recall(&normal)) &&
                isnan(psa_confusion_f1(&normal)));
    assert_true(psa_confusion_far(&normal) == 0.0);
    assert_true(isnan(psa_confusion_precision(&quiet)) && psa_confusion_f1(&quiet) == 0.0);
    assert_true(isnan(psa_roc_area(row, 2)) && isnan(psa_pr_area(row, 2)) && !psa_sweep_best(row, 2, &best));
    row[0].labelled = row[1].labelled = true;
    assert_true(isnan(psa_roc_area(row, 2)) && psa_pr_area(row, 2) == 1.0);
    assert_true(isnan(psa_range_f1(&sums)) && isnan(psa_range_precision(&sums)) && isnan(psa_range_recall(&sums)));
    assert_true(isnan(psa_nab_normalise(&psa_nab_profile[0], 0.0, 0)));
    assert_true(isnan(psa_summarise(NULL, 0).median));
}

static void a_row_without_score_is_below_every_threshold(void **state)
{
    struct psa_scored row[] = { { -INFINITY, true }, { 0.5, false }, { -INFINITY, false }, { 0.7, true } };
    struct psa_sweep sweep;

    (void)state;
    psa_scored_sort(row, 4);
    psa_sweep_begin(&sweep, row, 4);
    assert_true(psa_sweep_next(&sweep) && sweep.point.threshold == 0.7 && sweep.point.counts.tp == 1);
    assert_true(psa_sweep_next(&sweep) && sweep.point.threshold == 0.5 && sweep.point.counts.fp == 1 &&
                sweep.point.counts.fn == 1 && sweep.point.counts.tn == 1);
    assert_false(psa_sweep_next(&sweep));
    assert_near(psa_roc_area(row, 4), (1.0 + 1.0 + 0.0 + 0.5) / 4.0, 1e-15);
}

/* ---- ranges ------------------------------------------------------------------------------------------------------------------- */

static void range_case(const char *label, const char *prediction, double precision, double recall)
{
    bool is_label[64], is_predicted[64];
    struct psa_range labelled[64], predicted[64];
    size_t n = flags(label, is_label), n_labelled, n_predicted;
    struct psa_range_sums sums = { 0, 0, 0, 0 };

    assert_int_equal(flags(prediction, is_predicted), n);
    n_labelled = psa_ranges_of(is_label, 0, n, labelled);
    n_predicted = psa_ranges_of(is_predicted, 0, n, predicted);
    psa_range_sums_add(&sums, labelled, n_labelled, predicted, n_predicted);
    assert_near(psa_range_precision(&sums), precision, 1e-15);
    assert_near(psa_range_recall(&sums), recall, 1e-15);
    if (precision > 0 && recall > 0)
        assert_near(psa_range_f1(&sums), 2 * precision * recall / (precision + recall), 1e-15);
}

static void range_rewards(void **state)
{
    (void)state;
    range_case("..####..", "..####..", 1.0, 1.0);
    range_case("..####..", "........", NAN, 0.0);
    range_case("........", "..##....", 0.0, NAN);
    range_case("..####..", "...#....", 1.0, 0.25);
    /* Two alarms share one range: 1/2 of the half that they cover. One alarm stands over two ranges. */
    range_case("..####..", "..#.#...", 1.0, 0.25);
    range_case("##..##..", ".####...", 0.5 * 2.0 / 4.0, (0.5 + 0.5) / 2.0);
    /* One of three alarms hits; one of two ranges is found, half of it. */
    range_case("##....##", "#..#.#..", 1.0 / 3.0, 0.25);
}

static void range_runs(void **state)
{
    bool flag[16];
    struct psa_range range[16];
    size_t n = flags("##.#..####", flag);

    (void)state;
    assert_int_equal(psa_ranges_of(flag, 0, n, range), 3);
    assert_true(range[0].first == 0 && range[0].last == 1 && range[1].first == 3 && range[1].last == 3 &&
                range[2].first == 6 && range[2].last == 9);
    assert_int_equal(psa_ranges_of(flag, 1, n, range), 3);
    assert_true(range[0].first == 1 && range[0].last == 1);
    assert_int_equal(psa_ranges_of(flag, 0, n, NULL), 3);
    assert_int_equal(psa_ranges_of(flag, n, n, range), 0);
}

/* ---- delay and false alarms ----------------------------------------------------------------------------------------------------- */

static void delays(void **state)
{
    bool label[32], predicted[32];
    struct psa_range range[32];
    int64_t rows[32];
    double value[] = { 7.0, 1.0, 4.0, 2.0 };
    size_t n = flags("..####..###..##.", label), n_range = psa_ranges_of(label, 0, n, range);
    struct psa_summary summary;

    (void)state;
    flags("...##..######..#", predicted);
    assert_int_equal(psa_detection_delays(predicted, range, n_range, rows), 2);
    assert_true(rows[0] == 1 && rows[1] == 0 && rows[2] == -1);
    summary = psa_summarise(value, 4);
    assert_true(summary.mean == 3.5 && summary.median == 3.0 && summary.max == 7.0);
    summary = psa_summarise(value, 3);
    assert_true(summary.median == 2.0 && summary.max == 4.0);
}

static void false_alarms_touch_no_label(void **state)
{
    bool label[32], predicted[32];
    struct psa_range range[32], alarm[32];
    size_t n = flags("....####........####..", label), n_range = psa_ranges_of(label, 0, n, range);
    size_t n_alarm;

    (void)state;
    /* early and lasting into the range; outlasting it; free standing; right behind a range; after all */
    flags("..###..##.##.#......#.", predicted);
    n_alarm = psa_ranges_of(predicted, 0, n, alarm);
    assert_int_equal(n_alarm, 5);
    assert_int_equal(psa_false_alarms(range, n_range, alarm, n_alarm), 3);
    assert_int_equal(psa_false_alarms(range, 0, alarm, n_alarm), 5);
}

static void normal_time_has_no_label_at_either_end(void **state)
{
    const int64_t time_ns[] = { 0, 10, 30, 60, 100, 150 };
    bool label[8];

    (void)state;
    flags("..#...", label);
    assert_true(psa_normal_time_ns(time_ns, label, 0, 6) == 10.0 + 40.0 + 50.0);
    assert_true(psa_normal_time_ns(time_ns, label, 1, 6) == 40.0 + 50.0);
    assert_true(psa_elapsed_ns(1700000000000000001, 1700000000000000003) == 2.0);
    assert_true(psa_elapsed_ns(INT64_MIN, INT64_MAX) == 18446744073709551616.0);
}

/* ---- NAB ------------------------------------------------------------------------------------------------------------------------ */

static double sigma(double y)
{
    return 2.0 / (1.0 + exp(5.0 * y)) - 1.0;
}

static void nab_sigmoid_and_probation(void **state)
{
    (void)state;
    assert_near(psa_nab_sigmoid(-1.0), 0.98661, 1e-5); /* as NAB's source says */
    assert_near(psa_nab_sigmoid(-0.5), 0.84828, 1e-5);
    assert_true(psa_nab_sigmoid(0.0) == 0.0 && psa_nab_sigmoid(3.1) == -1.0 && psa_nab_sigmoid(3.0) > -1.0);
    assert_int_equal(psa_nab_probation(0), 0);
    assert_int_equal(psa_nab_probation(6), 0);
    assert_int_equal(psa_nab_probation(7), 1);
    assert_int_equal(psa_nab_probation(4999), 749);
    assert_int_equal(psa_nab_probation(5000), 750);
    assert_int_equal(psa_nab_probation(1000000), 750);
}

enum { NAB_ROWS = 40 }; /* of which 6 are probation */

/* One stream with windows [1, 3] in the probation, [10, 19] and [30, 30]. */
static size_t nab_stream(const char *prediction, const double *score, struct psa_nab_row *row, size_t *windows)
{
    const struct psa_range window[] = { { 1, 3 }, { 10, 19 }, { 30, 30 } };
    bool predicted[NAB_ROWS];

    assert_int_equal(flags(prediction, predicted), NAB_ROWS);
    return psa_nab_rows(score, predicted, NAB_ROWS, window, 3, windows, row);
}

static void nab_of_predictions(void **state)
{
    const struct psa_nab_profile *low_fp = &psa_nab_profile[1], *low_fn = &psa_nab_profile[2];
    double score[NAB_ROWS] = { 0 }, best[4], expected;
    struct psa_nab_row row[NAB_ROWS];
    size_t windows = 0, n;

    (void)state;
    /* In the probation; behind the window there; twice in a window; behind it; never in the window of one row. */
    n = nab_stream("#.....#.......#.#....#.................#", score, row, &windows);
    assert_int_equal(n, NAB_ROWS - 6);
    assert_int_equal(windows, 2);
    expected = sigma(-6.0 / 10.0) / sigma(-1.0);
    assert_near(psa_nab_score(low_fp, row, n, windows, best),
                expected + 0.22 * (sigma(3.0 / 2.0) + sigma(2.0 / 9.0) - 1.0) - 1.0, 1e-14);
    assert_near(psa_nab_score(low_fn, row, n, windows, best),
                expected + 0.11 * (sigma(3.0 / 2.0) + sigma(2.0 / 9.0) - 1.0) - 2.0, 1e-14);
    /* Nothing is the null detector, the first row of each window a perfect one. */
    for (size_t p = 0; p < PSA_NAB_PROFILES; p++) {
        const struct psa_nab_profile *profile = &psa_nab_profile[p];

        windows = 0;
        n = nab_stream("........................................", score, row, &windows);
        assert_near(psa_nab_normalise(profile, psa_nab_score(profile, row, n, 2, best), 2), 0.0, 1e-13);
        windows = 0;
        n = nab_stream("..........#...................#.........", score, row, &windows);
        assert_near(psa_nab_normalise(profile, psa_nab_score(profile, row, n, 2, best), 2), 100.0, 1e-13);
    }
}

static void nab_threshold(void **state)
{
    double score[NAB_ROWS], best[4], threshold;
    struct psa_nab_row row[NAB_ROWS];
    size_t windows = 0, n;

    (void)state;
    for (size_t i = 0; i < NAB_ROWS; i++) score[i] = 0.1;
    score[0] = 1.0;                   /* probation: not even a threshold */
    score[12] = 0.8;                  /* detects the first window */
    score[30] = score[5] = -INFINITY; /* the second cannot be detected */
    score[25] = 0.8;                  /* a false alarm that comes with it */
    score[35] = 0.6;                  /* one more, which the best threshold leaves out */
    n = nab_stream("........................................", score, row, &windows);
    psa_nab_sort(row, n);
    assert_near(psa_nab_best(&psa_nab_profile[0], row, n, windows, best, &threshold),
                sigma(-8.0 / 10.0) / sigma(-1.0) + 0.11 * sigma(6.0 / 9.0) - 1.0, 1e-14);
    assert_true(threshold == 0.8);
    for (size_t i = 0; i < n; i++) row[i].score = row[i].window == PSA_NAB_NO_WINDOW ? 0.9 : -INFINITY;
    psa_nab_sort(row, n);
    assert_true(psa_nab_best(&psa_nab_profile[0], row, n, windows, best, &threshold) == -2.0);
    assert_true(isinf(threshold) && threshold > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_numbers_hold),
        cmocka_unit_test(what_has_no_value_is_nan),
        cmocka_unit_test(a_row_without_score_is_below_every_threshold),
        cmocka_unit_test(range_rewards),
        cmocka_unit_test(range_runs),
        cmocka_unit_test(delays),
        cmocka_unit_test(false_alarms_touch_no_label),
        cmocka_unit_test(normal_time_has_no_label_at_either_end),
        cmocka_unit_test(nab_sigmoid_and_probation),
        cmocka_unit_test(nab_of_predictions),
        cmocka_unit_test(nab_threshold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
