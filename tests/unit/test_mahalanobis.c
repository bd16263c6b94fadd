/* test_mahalanobis.c - support, estimate and distances against scikit-learn's MinCovDet, quantised columns, models. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "core/buf.h"
#include "model/detector.h"
#include "model/mahalanobis.h"
#include "model/model_file.h"
#include "model/random.h"

enum { ROWS_MAX = 900, COLUMNS_MAX = 5 };

static void chi_square_quantiles_are_scipys(void **state)
{
    struct golden file = golden_open("mahalanobis.json");
    struct psa_str table = golden_at(file.text, "chi_square"), line;

    (void)state;
    for (size_t i = 0; (line = golden_item(table, i)).p != NULL; i++)
        assert_near(psa_chi_square_quantile((size_t)golden_number(line, "n"), golden_number(line, "level")) /
                        golden_number(line, "quantile"),
                    1.0, 1e-12);
    golden_close(&file);
}

/* Whatever the seed, the same rows are the bulk: the search finds it, and it is scikit-learn's. */
static void support_and_distances_are_scikit_learns(void **state)
{
    struct golden file = golden_open("mahalanobis.json");
    struct psa_str sets = golden_at(file.text, "sets"), set;
    static double rows[ROWS_MAX * COLUMNS_MAX], distances[ROWS_MAX], support[ROWS_MAX];
    size_t n_sets = 0;

    (void)state;
    for (; (set = golden_item(sets, n_sets)).p != NULL; n_sets++) {
        size_t n = golden_numbers(set, "distances", distances, ROWS_MAX),
               c = golden_numbers(set, "rows", rows, COUNT(rows)) / n;
        double mean[COLUMNS_MAX], covariance[COLUMNS_MAX * COLUMNS_MAX], precision[COLUMNS_MAX * COLUMNS_MAX];

        golden_numbers(set, "location", mean, COLUMNS_MAX);
        golden_numbers(set, "covariance", covariance, COUNT(covariance));
        for (uint64_t seed = 1; seed <= 10; seed++) {
            struct psa_mahalanobis model;
            double contribution[COLUMNS_MAX];

            assert_int_equal(psa_mahalanobis_train(&model, rows, n, c, seed, NULL, NULL), 0);
            assert_int_equal(model.n_support, golden_numbers(set, "support", support, ROWS_MAX));
            for (size_t j = 0; j < c; j++) assert_near(model.mean[j], mean[j], 1e-10);
            for (size_t k = 0; k < c * c; k++) assert_near(model.covariance[k], covariance[k], 1e-10);
            assert_int_equal(psa_mahalanobis_invert(&model, precision), 0);
            for (size_t i = 0; i < n; i++) {
                double sum = 0.0;

                assert_near(psa_mahalanobis_score(&model, precision, rows + i * c, contribution), distances[i], 1e-9);
                for (size_t j = 0; j < c; j++) sum += contribution[j];
                assert_near(sum, distances[i], 1e-9);
            }
            psa_mahalanobis_free(&model);
        }
    }
    assert_int_equal(n_sets, 3);
    golden_close(&file);
}

/* Normal numbers, nearly: the sum of 12 uniform ones. */
static double draw(struct psa_random *random)
{
    double sum = -6.0;

    for (int i = 0; i < 12; i++) sum += psa_random_uniform(random);
    return sum;
}

/* Three quarters of a coarse meter's readings are one value: the rest of the machine must still be measured, and a step of
 * the meter be as ordinary as it is. */
static void a_coarse_meter_does_not_hide_the_rest(void **state)
{
    enum { N = 400, C = 3 };
    static double rows[N * C];
    double precision[C * C], step[C] = { 0.0, 0.0, 1.0 }, fault[C] = { 6.0, 0.0, 0.0 };
    struct psa_mahalanobis model;
    struct psa_random random;

    (void)state;
    psa_random_seed(&random, 7);
    for (size_t i = 0; i < N; i++) {
        rows[i * C] = draw(&random);
        rows[i * C + 1] = draw(&random);
        rows[i * C + 2] = round(0.45 * draw(&random));
    }
    assert_int_equal(psa_mahalanobis_train(&model, rows, N, C, 1, NULL, NULL), 0);
    assert_int_equal(psa_mahalanobis_invert(&model, precision), 0);
    assert_true(psa_mahalanobis_score(&model, precision, step, NULL) < 15.0);
    assert_true(psa_mahalanobis_score(&model, precision, fault, NULL) > 25.0);
    assert_true(model.covariance[8] >= 1.0 / 12.0);
    psa_mahalanobis_free(&model);
}

static void a_constant_column_is_measured_on_the_scale_of_one(void **state)
{
    enum { N = 100, C = 2 };
    static double rows[N * C];
    double precision[C * C], moved[C] = { 0.0, 8.0 };
    struct psa_mahalanobis model;
    struct psa_random random;

    (void)state;
    psa_random_seed(&random, 7);
    for (size_t i = 0; i < N; i++) {
        rows[i * C] = draw(&random);
        rows[i * C + 1] = 7.0;
    }
    assert_int_equal(psa_mahalanobis_train(&model, rows, N, C, 1, NULL, NULL), 0);
    assert_near(model.covariance[3], 1.0 / 12.0, 1e-12);
    assert_int_equal(psa_mahalanobis_invert(&model, precision), 0);
    assert_near(psa_mahalanobis_score(&model, precision, moved, NULL), 12.0, 0.1);
    psa_mahalanobis_free(&model);
}

static void a_column_that_follows_from_others_is_named(void **state)
{
    enum { N = 700, C = 4 };
    static double rows[N * C];
    struct psa_mahalanobis model;
    struct psa_random random;
    size_t column = 0;

    (void)state;
    psa_random_seed(&random, 7);
    for (size_t n = 90; n <= N; n += 610) {
        for (size_t i = 0; i < n; i++) {
            rows[i * C] = draw(&random);
            rows[i * C + 1] = draw(&random);
            rows[i * C + 2] = rows[i * C] - rows[i * C + 1];
            rows[i * C + 3] = draw(&random);
        }
        column = 0;
        assert_int_equal(psa_mahalanobis_train(&model, rows, n, C, 1, NULL, &column), 1);
        assert_int_equal(column, 2);
    }
}

/* The C-steps go on until the determinant falls no more: one minimum, wherever they began. */
static void whatever_the_seed_the_minimum_is_the_same(void **state)
{
    enum { N = 600, C = 2 };
    static double rows[N * C];
    struct psa_mahalanobis first, model;
    struct psa_random random;

    (void)state;
    psa_random_seed(&random, 602);
    for (size_t k = 0; k < N * C; k++) rows[k] = draw(&random);
    assert_int_equal(psa_mahalanobis_train(&first, rows, N, C, 1, NULL, NULL), 0);
    for (uint64_t seed = 2; seed <= 6; seed++) {
        assert_int_equal(psa_mahalanobis_train(&model, rows, N, C, seed, NULL, NULL), 0);
        assert_int_equal(model.n_support, first.n_support);
        for (size_t k = 0; k < C * C; k++) assert_near(model.covariance[k], first.covariance[k], 1e-12);
        psa_mahalanobis_free(&model);
    }
    psa_mahalanobis_free(&first);
}

/* A machine at rest in more than half of the rows, however they are scaled; with a row less than that it is measured. */
static void rows_that_are_mostly_one_point_are_refused(void **state)
{
    enum { C = 3 };
    static const size_t sizes[] = { 101, 700 };
    static double rows[700 * C], scaled[700 * C];
    struct psa_mahalanobis model;
    struct psa_random random;

    (void)state;
    psa_random_seed(&random, 5);
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (size_t kind = 0; kind < PSA_SCALER_KINDS; kind++) {
            size_t n = sizes[s];
            struct psa_scaler scaler;

            for (size_t k = 0; k < n * C; k++) rows[k] = k / C % 5 < 3 ? 0.1 + (double)(k % C) : 5.0 + draw(&random);
            assert_int_equal(psa_scaler_fit(&scaler, (enum psa_scaler_kind)kind, rows, n, C), 0);
            for (size_t i = 0; i < n; i++) psa_scaler_transform(&scaler, rows + i * C, scaled + i * C);
            assert_int_equal(psa_mahalanobis_train(&model, scaled, n, C, 1, NULL, NULL), 2);
            psa_scaler_free(&scaler);
        }
    for (size_t k = 0; k < 101 * C; k++) rows[k] = k < 48 * C ? 0.1 + (double)(k % C) : 5.0 + draw(&random);
    assert_int_equal(psa_mahalanobis_train(&model, rows, 101, C, 1, NULL, NULL), 0);
    assert_true(model.n_support > 50);
    psa_mahalanobis_free(&model);
}

/* However far out a value is, distance and parts are numbers, and the value's column has the blame. */
static void values_beyond_all_bounds_are_still_measured(void **state)
{
    enum { N = 100, C = 3 };
    static const double far[] = { 1e160, -1e200, 1.7e308, INFINITY };
    static double rows[N * C];
    double precision[C * C], row[C], contribution[C];
    struct psa_mahalanobis model;
    struct psa_random random;

    (void)state;
    psa_random_seed(&random, 7);
    for (size_t k = 0; k < N * C; k++) rows[k] = draw(&random);
    assert_int_equal(psa_mahalanobis_train(&model, rows, N, C, 1, NULL, NULL), 0);
    assert_int_equal(psa_mahalanobis_invert(&model, precision), 0);
    for (size_t i = 0; i < COUNT(far); i++)
        for (size_t j = 0; j < C; j++) {
            double raw;

            memcpy(row, rows, sizeof row);
            row[j] = far[i];
            raw = psa_mahalanobis_score(&model, precision, row, contribution);
            assert_true(raw > 1e100 && raw <= DBL_MAX);
            for (size_t k = 0; k < C; k++)
                assert_true(isfinite(contribution[k]) && (k == j || contribution[k] < contribution[j]));
        }
    psa_mahalanobis_free(&model);
}

static void show(void *ctx, size_t done, size_t total)
{
    size_t *last = ctx;

    assert_true(done == *last + 1 && done <= total);
    *last = done;
}

/* Sizes around the one from which on subsets are nested; the same seed gives the same model, to the bit. */
static void every_size_is_searched_and_repeated_to_the_bit(void **state)
{
    static const size_t size[] = { 11, 60, 599, 600, 601, 899, 900, 1499, 1500, 1501, 2100 };
    enum { C = 5 };
    double *rows = malloc(2100 * C * sizeof *rows);
    struct psa_random random;

    (void)state;
    psa_random_seed(&random, 3);
    for (size_t k = 0; k < 2100 * C; k++) rows[k] = draw(&random);
    for (size_t s = 0; s < COUNT(size); s++) {
        struct psa_mahalanobis first, second;
        size_t shown = 0;
        struct psa_mahalanobis_progress progress = { show, &shown };

        assert_int_equal(psa_mahalanobis_train(&first, rows, size[s], C, 1, &progress, NULL), 0);
        assert_int_equal(psa_mahalanobis_train(&second, rows, size[s], C, 1, NULL, NULL), 0);
        assert_memory_equal(first.covariance, second.covariance, C * C * sizeof(double));
        assert_true(shown >= 498);
        for (size_t j = 0; size[s] > 500 && j < C; j++) {
            assert_true(fabs(first.mean[j]) < 0.2);
            assert_true(fabs(first.covariance[j * C + j] - 0.9) < 0.25);
        }
        psa_mahalanobis_free(&first);
        psa_mahalanobis_free(&second);
    }
    free(rows);
}

/* ---- as a model ----------------------------------------------------------------------------------------------- */

static const struct psa_detector_type *type = &psa_mahalanobis_detector;

static void new_model(struct psa_model *model)
{
    struct psa_str names[2] = { { "a", 1 }, { "b", 1 } };

    assert_int_equal(psa_model_init(model, type, names, 2), 0);
}

static bool read_parameters(struct psa_model *model, struct psa_str text)
{
    struct psa_json in;
    struct psa_str name;
    bool fine = true;

    psa_json_open(&in, text, &model->arena);
    psa_json_enter_object(&in);
    while (fine && psa_json_next_member(&in, &name)) fine = type->read(model, name, &in);
    return fine && psa_json_close(&in) && type->check(model) == NULL;
}

static void a_model_scores_the_same_after_it_was_written(void **state)
{
    enum { N = 200 };
    static double rows[N * 2], scores[N];
    struct psa_detector_settings settings = { .seed = 1 };
    size_t run[2] = { 0, N };
    struct psa_training training = {
        .settings = &settings, .rows = rows, .n_rows = N, .n_columns = 2, .run = run, .n_run = 1
    };
    struct psa_detector detector = { .type = type, .settings = &settings, .n_columns = 2 };
    struct psa_model trained, read;
    struct psa_buf text = { 0 };
    struct psa_error error;
    struct psa_random random;
    double raw;

    (void)state;
    psa_random_seed(&random, 2);
    for (size_t k = 0; k < N * 2; k++) rows[k] = draw(&random);
    new_model(&trained);
    new_model(&read);
    assert_int_equal(type->train(&trained, &training, scores, &error), 0);
    psa_buf_puts(&text, "{");
    type->write(&trained, &text);
    psa_buf_puts(&text, "}");
    assert_true(read_parameters(&read, psa_buf_str(&text)));
    detector.model = &read;
    assert_int_equal(type->start(&detector, &error), 0);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(type->update(&detector, rows + i * 2, 0, &raw), 0);
        assert_memory_equal(&raw, &scores[i], sizeof raw);
    }
    type->stop(&detector);
    for (size_t i = 0; i < N; i++) rows[i * 2 + 1] = rows[i * 2];
    psa_model_free(&trained);
    new_model(&trained);
    assert_int_equal(type->train(&trained, &training, scores, &error), -1);
    assert_non_null(strstr(error.text, "feature b follows from the features before it"));
    for (size_t k = 0; k < N * 2; k++) rows[k] = k < N + 2 ? 1.0 : draw(&random);
    assert_int_equal(type->train(&trained, &training, scores, &error), -1);
    assert_non_null(strstr(error.text, "more than half of the rows are one and the same point"));
    for (size_t k = 0; k < N * 2; k++) rows[k] = draw(&random) * (k % 2 ? 1e-120 : 1.0);
    assert_int_equal(type->train(&trained, &training, scores, &error), -1);
    assert_non_null(strstr(error.text, "feature b moves by less than 1e-100"));
    rows[5] = 1e101;
    assert_int_equal(type->train(&trained, &training, scores, &error), -1);
    assert_non_null(strstr(error.text, "feature b has a value beyond 1e100"));
    training.n_rows = 4;
    assert_int_equal(type->train(&trained, &training, scores, &error), -1);
    assert_non_null(strstr(error.text, "4 rows are too few"));
    psa_model_free(&trained);
    psa_model_free(&read);
    psa_buf_free(&text);
}

static void parameters_that_cannot_be_are_refused(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"support\":9,\"mean\":[0,0]}",
        "{\"support\":9,\"mean\":[0,0],\"covariance\":[1,0,0]}",
        "{\"support\":9,\"mean\":[0,0],\"covariance\":[1,0,0,1,0]}",
        "{\"support\":9,\"mean\":[0,0],\"covariance\":[1,2,2,1]}",
        "{\"support\":9,\"mean\":[0,0],\"covariance\":[1,0.5,0.4,1]}",
        "{\"support\":9,\"mean\":[0,0],\"covariance\":[1,0,0,0]}",
        "{\"support\":0,\"mean\":[0,0],\"covariance\":[1,0,0,1]}",
        "{\"support\":9,\"mean\":[0,0],\"covariance\":[1,0,0,1],\"more\":1}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct psa_model model;

        new_model(&model);
        if (read_parameters(&model, psa_str_of(bad[i]))) fail_msg("accepted: %s", bad[i]);
        psa_model_free(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chi_square_quantiles_are_scipys),
        cmocka_unit_test(support_and_distances_are_scikit_learns),
        cmocka_unit_test(a_coarse_meter_does_not_hide_the_rest),
        cmocka_unit_test(a_constant_column_is_measured_on_the_scale_of_one),
        cmocka_unit_test(a_column_that_follows_from_others_is_named),
        cmocka_unit_test(whatever_the_seed_the_minimum_is_the_same),
        cmocka_unit_test(rows_that_are_mostly_one_point_are_refused),
        cmocka_unit_test(values_beyond_all_bounds_are_still_measured),
        cmocka_unit_test(every_size_is_searched_and_repeated_to_the_bit),
        cmocka_unit_test(a_model_scores_the_same_after_it_was_written),
        cmocka_unit_test(parameters_that_cannot_be_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
