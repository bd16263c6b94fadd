/* test_pca.c - T2 and Q against scikit-learn, the combined index and its parts, models. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "core/buf.h"
#include "model/detector.h"
#include "model/linear.h"
#include "model/model_file.h"
#include "model/pca.h"
#include "model/random.h"

enum { TRAIN = 400, INPUTS = 200, COLUMNS = 6 };

static double train_rows[TRAIN * COLUMNS], input[INPUTS * COLUMNS], t2_expected[INPUTS], q_expected[INPUTS];

/* The golden rows, scaled as StandardScaler does. */
static int read_golden(void **state)
{
    struct golden forest = golden_open("iforest.json"), file = golden_open("pca_t2q.json");
    double mean[COLUMNS], scale[COLUMNS];

    (void)state;
    assert_int_equal(golden_numbers(forest.text, "X_train", train_rows, COUNT(train_rows)), TRAIN * COLUMNS);
    assert_int_equal(golden_numbers(forest.text, "inputs", input, COUNT(input)), INPUTS * COLUMNS);
    golden_numbers(file.text, "mean", mean, COLUMNS);
    golden_numbers(file.text, "scale", scale, COLUMNS);
    golden_numbers(file.text, "T2", t2_expected, INPUTS);
    golden_numbers(file.text, "Q", q_expected, INPUTS);
    for (size_t k = 0; k < TRAIN * COLUMNS; k++)
        train_rows[k] = (train_rows[k] - mean[k % COLUMNS]) / scale[k % COLUMNS];
    for (size_t k = 0; k < INPUTS * COLUMNS; k++) input[k] = (input[k] - mean[k % COLUMNS]) / scale[k % COLUMNS];
    golden_close(&forest);
    golden_close(&file);
    return 0;
}

static void t2_and_q_are_scikit_learns(void **state)
{
    struct golden file = golden_open("pca_t2q.json");
    double index[TRAIN], variance[COLUMNS], contribution[COLUMNS], space[2 * COLUMNS];
    struct psa_pca pca;
    size_t above = 0;

    (void)state;
    assert_int_equal(psa_pca_train(&pca, train_rows, TRAIN, COLUMNS, 0.85, index), 0);
    assert_int_equal(pca.n_component, golden_number(file.text, "n_components"));
    golden_numbers(file.text, "explained_variance", variance, COLUMNS);
    for (size_t k = 0; k < pca.n_component; k++) assert_near(pca.variance[k], variance[k], 1e-12);
    for (size_t i = 0; i < INPUTS; i++) {
        double t2, q, sum = 0.0, raw = psa_pca_score(&pca, input + i * COLUMNS, &t2, &q, contribution, space);

        assert_near(t2, t2_expected[i], 1e-10);
        assert_near(q, q_expected[i], 1e-10);
        assert_near(raw, t2 / pca.limit_t2 + q / pca.limit_q, 1e-12);
        for (size_t j = 0; j < COLUMNS; j++) {
            assert_true(contribution[j] >= 0.0);
            sum += contribution[j];
        }
        assert_near(sum, raw, 1e-10);
    }
    for (size_t i = 0; i < TRAIN; i++) {
        double t2, q;

        assert_near(psa_pca_score(&pca, train_rows + i * COLUMNS, &t2, &q, NULL, space), index[i], 1e-12);
        above += t2 > pca.limit_t2;
    }
    assert_int_equal(above, TRAIN / 100);
    psa_pca_free(&pca);
    golden_close(&file);
}

/* A column that leaves what the others say of it has the greatest part of the index. */
static void contributions_name_the_column_that_left(void **state)
{
    enum { N = 300, C = 4 };
    static double rows[N * C], index[N];
    double row[C] = { 0.0, 0.0, 3.0, 0.0 }, contribution[C], space[2 * C], t2, q;
    struct psa_random random;
    struct psa_pca pca;

    (void)state;
    psa_random_seed(&random, 1);
    for (size_t i = 0; i < N; i++) {
        double load = psa_random_uniform(&random) * 4.0 - 2.0;

        for (size_t j = 0; j < C; j++) rows[i * C + j] = load + 0.1 * psa_random_uniform(&random);
    }
    assert_int_equal(psa_pca_train(&pca, rows, N, C, 0.85, index), 0);
    assert_int_equal(pca.n_component, 1);
    assert_true(psa_pca_score(&pca, row, &t2, &q, contribution, space) > 100.0);
    for (size_t j = 0; j < C; j++) assert_true(j == 2 || contribution[j] < contribution[2] / 5.0);
    psa_pca_free(&pca);
}

static void rows_all_alike_give_nothing(void **state)
{
    double rows[20] = { 0 }, index[10];
    struct psa_pca pca;

    (void)state;
    for (size_t i = 0; i < 20; i++) rows[i] = 0.1;
    assert_int_equal(psa_pca_train(&pca, rows, 10, 2, 0.85, index), 1);
}

/* Two columns that are one: Q is rounding, and no reason for an alarm. */
static void a_copied_column_makes_rounding_no_anomaly(void **state)
{
    static double rows[100 * 2], index[100];
    double row[2] = { 0.5, 0.5 }, space[4], t2, q;
    struct psa_pca pca;

    (void)state;
    for (size_t i = 0; i < 100; i++) rows[2 * i] = rows[2 * i + 1] = sin((double)i);
    assert_int_equal(psa_pca_train(&pca, rows, 100, 2, 0.85, index), 0);
    assert_true(psa_pca_score(&pca, row, &t2, &q, NULL, space) < 1.0);
    row[1] = 0.6;
    assert_true(psa_pca_score(&pca, row, &t2, &q, NULL, space) > 1e6);
    row[1] = 1e308;
    assert_true(psa_pca_score(&pca, row, &t2, &q, NULL, space) <= DBL_MAX);
    psa_pca_free(&pca);
}

/* However far out a value is, the index, its parts and what is told of it are numbers, and the value's column has the blame. */
static void values_beyond_all_bounds_are_still_measured(void **state)
{
    static const double far[] = { 1e160, -1e200, 1.7e308, INFINITY };
    double index[TRAIN], row[COLUMNS], contribution[COLUMNS], space[2 * COLUMNS];
    struct psa_pca pca;

    (void)state;
    assert_int_equal(psa_pca_train(&pca, train_rows, TRAIN, COLUMNS, 0.85, index), 0);
    for (size_t i = 0; i < COUNT(far); i++)
        for (size_t j = 0; j < COLUMNS; j++) {
            double t2, q, raw;

            memcpy(row, train_rows, sizeof row);
            row[j] = far[i];
            raw = psa_pca_score(&pca, row, &t2, &q, contribution, space);
            assert_true(raw > 1e100 && raw <= DBL_MAX && t2 <= DBL_MAX && q <= DBL_MAX);
            for (size_t k = 0; k < COLUMNS; k++)
                assert_true(contribution[k] <= DBL_MAX && (k == j || contribution[k] < contribution[j]));
        }
    psa_pca_free(&pca);
}

/* ---- as a model ----------------------------------------------------------------------------------------------- */

static const struct psa_detector_type *type = &psa_pca_detector;

static void new_model(struct psa_model *model)
{
    struct psa_str names[COLUMNS] = { { "a", 1 }, { "b", 1 }, { "c", 1 }, { "d", 1 }, { "e", 1 }, { "f", 1 } };

    assert_int_equal(psa_model_init(model, type, names, COLUMNS), 0);
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
    struct psa_detector_settings settings = { .variance = 0.85 };
    size_t run[2] = { 0, TRAIN };
    struct psa_training training = {
        .settings = &settings, .rows = train_rows, .n_rows = TRAIN, .n_columns = COLUMNS, .run = run, .n_run = 1
    };
    struct psa_detector detector = { .type = type, .settings = &settings, .n_columns = COLUMNS };
    struct psa_model trained, read;
    struct psa_buf text = { 0 }, told = { 0 };
    struct psa_error error;
    double scores[TRAIN], raw;

    (void)state;
    new_model(&trained);
    new_model(&read);
    assert_int_equal(type->train(&trained, &training, scores, &error), 0);
    psa_buf_puts(&text, "{");
    type->write(&trained, &text);
    psa_buf_puts(&text, "}");
    assert_true(read_parameters(&read, psa_buf_str(&text)));
    detector.model = &read;
    assert_int_equal(type->start(&detector, &error), 0);
    for (size_t i = 0; i < TRAIN; i++) {
        assert_int_equal(type->update(&detector, train_rows + i * COLUMNS, 0, &raw), 0);
        assert_memory_equal(&raw, &scores[i], sizeof raw);
    }
    assert_int_equal(type->update(&detector, input, 0, &raw), 0);
    type->tell(&detector, &told);
    psa_buf_put(&told, "", 1);
    assert_non_null(strstr(told.p, "\"t2\":"));
    assert_non_null(strstr(told.p, "\"q\":"));
    type->stop(&detector);
    psa_model_free(&trained);
    psa_model_free(&read);
    psa_buf_free(&text);
    psa_buf_free(&told);
}

static void parameters_that_cannot_be_are_refused(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"components\":[1,2,3,4,5,6]}",
        "{\"variance\":[1],\"components\":[1,2,3,4,5]}",
        "{\"variance\":[1,1,1,1,1,1,1]}",
        "{\"variance\":[]}",
        "{\"mean\":[1,2]}",
        "{\"share\":0.9,\"variance\":[0],\"mean\":[0,0,0,0,0,0],\"components\":[1,0,0,0,0,0],\"limit_t2\":1,\"limit_"
        "q\":1}",
        "{\"share\":0.9,\"variance\":[1],\"mean\":[0,0,0,0,0,0],\"components\":[1,0,0,0,0,0],\"limit_t2\":1,\"limit_"
        "q\":-1}",
        "{\"share\":0.9,\"variance\":[1],\"mean\":[0,0,0,0,0,0],\"components\":[1e300,0,0,0,0,0],\"limit_t2\":1,"
        "\"limit_"
        "q\":1}",
        "{\"share\":0.9,\"variance\":[1],\"mean\":[0,0,0,0,0,0],\"components\":[1,0,0,0,0,0],\"limit_t2\":1}",
        "{\"share\":0.9,\"variance\":[1],\"mean\":[0,0,0,0,0,null],\"components\":[1,0,0,0,0,0],\"limit_t2\":1,\"limit_"
        "q\":1}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct psa_model model;

        new_model(&model);
        if (read_parameters(&model, psa_str_of(bad[i]))) fail_msg("accepted: %s", bad[i]);
        psa_model_free(&model);
    }
}

/* ---- the linear algebra below it --------------------------------------------------------------------------------- */

static void eigenvectors_are_in_ascending_order_of_eigenvalues(void **state)
{
    double *space = psa_aligned_doubles(psa_eigen_space(3)), *a = psa_aligned_doubles(9), value[3];
    const double matrix[9] = { 2, 1, 0, NAN, 2, 0, NAN, NAN, 5 }; /* the lower triangle is not read */

    (void)state;
    memcpy(a, matrix, sizeof matrix);
    assert_int_equal(psa_eigen(a, 3, value, space), 0);
    assert_near(value[0], 1.0, 1e-15);
    assert_near(value[1], 3.0, 1e-15);
    assert_near(value[2], 5.0, 1e-15);
    assert_near(fabs(a[0] - a[1]), sqrt(2.0), 1e-15); /* (1, -1, 0) / sqrt(2) */
    assert_near(fabs(a[3] + a[4]), sqrt(2.0), 1e-15);
    assert_near(fabs(a[8]), 1.0, 1e-15);
    assert_int_equal(psa_eigen_count(value, 3, 5.0 / 9.0), 1);
    assert_int_equal(psa_eigen_count(value, 3, 0.6), 2);
    assert_int_equal(psa_eigen_count(value, 3, 1.0), 3);
    memcpy(a, matrix, sizeof matrix);
    a[1] = INFINITY;
    assert_int_equal(psa_eigen(a, 3, value, space), -1);
    free(space);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t2_and_q_are_scikit_learns),
        cmocka_unit_test(contributions_name_the_column_that_left),
        cmocka_unit_test(rows_all_alike_give_nothing),
        cmocka_unit_test(a_copied_column_makes_rounding_no_anomaly),
        cmocka_unit_test(values_beyond_all_bounds_are_still_measured),
        cmocka_unit_test(a_model_scores_the_same_after_it_was_written),
        cmocka_unit_test(parameters_that_cannot_be_are_refused),
        cmocka_unit_test(eigenvectors_are_in_ascending_order_of_eigenvalues),
    };

    return cmocka_run_group_tests(tests, read_golden, NULL);
}
