/* test_half_space_trees.c - half-space trees against the paper's algorithms in Python, their properties, cut and resumed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "detector_stream.h"
#include "model/half_space_trees.h"

enum { ROWS = 400, COLUMNS = 4 };

/* ---- golden -------------------------------------------------------------------------------------------------------- */

static void case_agrees(struct psa_str all, struct psa_str one)
{
    struct psa_half_space_options options = { .trees = (size_t)golden_number(one, "trees"),
                                              .depth = (size_t)golden_number(one, "depth"),
                                              .window = (size_t)golden_number(one, "window"),
                                              .warmup = (size_t)golden_number(one, "warmup"),
                                              .seed = (uint64_t)golden_number(one, "seed") };
    double x[ROWS * COLUMNS], learned[ROWS], expected[ROWS], raw, limit = golden_number(one, "limit");
    struct psa_half_space_trees trees;

    assert_int_equal(golden_numbers(all, "rows", x, COUNT(x)), COUNT(x));
    assert_int_equal(golden_numbers(one, "learned", learned, ROWS), options.warmup);
    assert_int_equal(golden_numbers(one, "raw", expected, ROWS), ROWS - options.warmup);
    assert_int_equal(psa_half_space_trees_init(&trees, &options, COLUMNS), 0);
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(psa_half_space_trees_update(&trees, x + i * COLUMNS, NULL, &raw), 0);
        if (i < options.warmup) assert_true(isnan(raw));
        else assert_near(raw, expected[i - options.warmup], 1e-12);
        if (i == options.warmup - 1)
            for (size_t k = 0; k < options.warmup; k++) assert_near(trees.learned[k], learned[k], 1e-12);
        else assert_null(trees.learned);
        psa_half_space_trees_judged(&trees, raw > limit);
    }
    psa_half_space_trees_free(&trees);
}

static void agrees_with_the_paper(void **state)
{
    struct golden file = golden_open("charts.json");
    struct psa_str all = golden_at(file.text, "half_space_trees"), one;
    size_t n = 0;

    (void)state;
    for (; (one = golden_item(golden_at(all, "cases"), n)).p; n++) case_agrees(all, one);
    assert_int_equal(n, 2);
    golden_close(&file);
}

/* ---- properties ------------------------------------------------------------------------------------------------------ */

/* A cluster around 0, two columns, and one that nobody ever measured. */
static struct psa_half_space_trees clustered(bool freeze, size_t window)
{
    struct psa_half_space_options options = {
        .trees = 25, .depth = 8, .window = window, .warmup = 300, .seed = 5, .freeze = freeze
    };
    struct psa_half_space_trees trees;
    struct psa_random random;
    double raw;

    psa_random_seed(&random, 11);
    assert_int_equal(psa_half_space_trees_init(&trees, &options, 3), 0);
    for (size_t i = 0; i < options.warmup; i++) {
        double row[] = { psa_random_uniform(&random) + psa_random_uniform(&random) - 1.0,
                         psa_random_uniform(&random) + psa_random_uniform(&random) - 1.0, NAN };

        assert_int_equal(psa_half_space_trees_update(&trees, row, NULL, &raw), 0);
        psa_half_space_trees_judged(&trees, false);
    }
    assert_true(trees.scoring && trees.n_usable == 2);
    return trees;
}

static double score(struct psa_half_space_trees *trees, double a, double b, double *contribution, bool alarm)
{
    double row[] = { a, b, NAN }, raw;

    assert_int_equal(psa_half_space_trees_update(trees, row, contribution, &raw), 0);
    psa_half_space_trees_judged(trees, alarm);
    return raw;
}

/* Each level's counts sum to the rows, in every tree. */
static void every_row_is_counted_once_a_level(void **state)
{
    struct psa_half_space_trees trees = clustered(false, 200);

    (void)state;
    for (size_t i = 0; i < 70; i++) score(&trees, 0.01 * (double)i, NAN, NULL, false);
    for (size_t t = 0; t < trees.options.trees; t++) {
        size_t node = 0;

        for (size_t k = 0; k <= trees.options.depth; k++) {
            size_t reference = 0, latest = 0;

            for (size_t i = 0; i < (size_t)1 << k; i++, node++) {
                reference += trees.reference[t * trees.n_nodes + node];
                latest += trees.latest[t * trees.n_nodes + node];
            }
            assert_int_equal(reference, 200);
            assert_int_equal(latest, 70);
        }
        assert_int_equal(node, trees.n_nodes);
    }
    psa_half_space_trees_free(&trees);
}

static void an_outlier_scores_higher_and_names_its_column(void **state)
{
    struct psa_half_space_trees trees = clustered(true, 256);
    double contribution[3], centre = score(&trees, 0.0, 0.0, contribution, false);
    double far = score(&trees, 0.0, 5.0, contribution, false);

    (void)state;
    assert_true(far > centre + 3.0);
    assert_true(contribution[1] > 0.0 && contribution[1] > 4.0 * fmax(contribution[0], 0.0));
    assert_true(contribution[2] == 0.0);
    /* Few rows of the window lie that far out in any tree, none in most. */
    assert_true(score(&trees, 1e6, -1e6, contribution, false) > far);
    /* A missing value is no surprise. */
    assert_true(score(&trees, 0.0, NAN, contribution, false) < far - 3.0);
    assert_true(contribution[1] == 0.0);
    psa_half_space_trees_free(&trees);
}

/* Where rows move to is normal a window later; not while the alarm is on, and not when frozen. */
static void windows_move(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        struct psa_half_space_trees trees = clustered(k == 2, 64);
        double before = score(&trees, 0.9, 0.9, NULL, true);

        for (size_t i = 0; i < 64; i++) score(&trees, 0.9, 0.9, NULL, k == 1);
        if (k == 0) assert_true(score(&trees, 0.9, 0.9, NULL, false) < before - 3.0);
        else assert_true(score(&trees, 0.9, 0.9, NULL, false) == before);
        assert_int_equal(trees.n_latest, k == 2 ? 0 : 1);
        psa_half_space_trees_free(&trees);
    }
}

static void draws_are_even(void **state)
{
    size_t drawn[5] = { 0 };

    (void)state;
    for (size_t t = 0; t < 20; t++) {
        for (size_t node = 0; node < 1000; node++) drawn[psa_half_space_trees_draw(1, t, node, 5)]++;
    }
    for (size_t k = 0; k < 5; k++) assert_true(drawn[k] > 3800 && drawn[k] < 4200); /* 3.5 sd */
    assert_int_equal(psa_half_space_trees_draw(1, 3, 4, 1), 0);
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
        if (i == 150) x[0] = 1e300;
        if (i == 151) x[1] = -1e308;
    }
}

static struct stream_case make_case(double *x)
{
    make_rows(x);
    return (struct stream_case){ .type = &psa_half_space_trees_detector,
                                 .settings = { .warmup = 90, .trees = 5, .depth = 6, .samples = 40, .seed = 9 },
                                 .limit = -1.0,
                                 .rows = x,
                                 .n_rows = ROWS,
                                 .n_columns = COLUMNS };
}

static void resumes_bit_for_bit(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = make_case(x);

    (void)state;
    stream_resumes(&stream, 1);
    stream_resumes(&stream, 37);
    stream.settings.freeze = true;
    stream_resumes(&stream, 11);
}

static void survives_any_state(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = make_case(x);

    (void)state;
    stream_survives(&stream, 30, 2000);
    stream_survives(&stream, 230, 3000);
}

static void refuses_what_it_cannot_do(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = make_case(x);
    struct psa_detector detector = { .type = stream.type, .settings = &stream.settings, .n_columns = 1 };
    struct {
        int64_t *setting, value;
        const char *said;
    } cases[] = { { &stream.settings.warmup, 1, "--warmup 1 is too short" },
                  { &stream.settings.depth, 21, "--depth 21: --half-space-trees takes 1 to 20" },
                  { &stream.settings.trees, 0, "--trees 0: " },
                  { &stream.settings.samples, 65536, "--samples 65536: a window" } };

    (void)state;
    for (size_t k = 0; k < COUNT(cases); k++) {
        struct psa_error error;
        int64_t was = *cases[k].setting;

        *cases[k].setting = cases[k].value;
        assert_int_equal(detector.type->start(&detector, &error), -1);
        assert_non_null(strstr(error.text, cases[k].said));
        *cases[k].setting = was;
    }
    stream.settings.trees = 1000;
    for (stream.settings.depth = 10; stream.settings.depth <= 20; stream.settings.depth++) {
        struct psa_error error;

        if (stream.settings.depth == 10) {
            assert_int_equal(detector.type->start(&detector, &error), 0);
            detector.type->stop(&detector);
            continue;
        }
        assert_int_equal(detector.type->start(&detector, &error), -1);
        assert_non_null(strstr(error.text, "--trees 1000 of --depth "));
    }
}

static void refuses_what_does_not_fit(void **state)
{
    double x[ROWS * COLUMNS];
    struct stream_case stream = make_case(x);

    (void)state;
    stream_needs_each_member_once(&stream, 30);
    stream_needs_each_member_once(&stream, 230);
    stream_refuses(&stream, 230, "\"reference\":[0,", "\"reference\":[0,1,0,");
    stream_refuses(&stream, 230, "\"latest\":", "\"reference\":");
    stream_refuses(&stream, 230, "\"reference\":[", "\"reference\":[1,");
    stream_refuses(&stream, 230, "\"reference\":[0,", "\"reference\":[5e7,");
    stream_refuses(&stream, 230, "\"low\":[", "\"low\":[1,");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_paper),
        cmocka_unit_test(every_row_is_counted_once_a_level),
        cmocka_unit_test(an_outlier_scores_higher_and_names_its_column),
        cmocka_unit_test(windows_move),
        cmocka_unit_test(draws_are_even),
        cmocka_unit_test(resumes_bit_for_bit),
        cmocka_unit_test(survives_any_state),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(refuses_what_it_cannot_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
