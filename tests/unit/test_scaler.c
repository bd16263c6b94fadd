/* test_scaler.c - the scalers against scikit-learn's numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "model/scaler.h"

enum { ROWS = 60, COLUMNS = 6 };

static void golden_numbers_hold(void **state)
{
    struct golden file = golden_open("scaler.json");
    double x[ROWS * COLUMNS], mean[COLUMNS], scale[COLUMNS], z[10 * COLUMNS], out[COLUMNS];
    struct psa_scaler scaler;

    (void)state;
    assert_int_equal(golden_numbers(file.text, "X", x, COUNT(x)), COUNT(x));
    golden_numbers(file.text, "standard.mean", mean, COLUMNS);
    golden_numbers(file.text, "standard.scale", scale, COLUMNS);
    golden_numbers(file.text, "standard.Z", z, COUNT(z));
    assert_int_equal(psa_scaler_fit(&scaler, PSA_SCALER_STANDARD, x, ROWS, COLUMNS), 0);
    for (size_t j = 0; j < COLUMNS; j++) {
        assert_near(scaler.mean[j], mean[j], 1e-12);
        assert_near(scaler.scale[j], scale[j], 1e-12);
    }
    for (size_t i = 0; i < 10; i++) {
        psa_scaler_transform(&scaler, x + i * COLUMNS, out);
        for (size_t j = 0; j < COLUMNS; j++) assert_near(out[j], z[i * COLUMNS + j], 1e-12);
    }
    psa_scaler_free(&scaler);
    golden_close(&file);
}

/* center and scale of a kind against two arrays of the golden file. */
static void check_kind(enum psa_scaler_kind kind, const char *center_path, const char *scale_path, bool by_reciprocal)
{
    struct golden file = golden_open("scaler.json");
    double x[ROWS * COLUMNS], center[COLUMNS], scale[COLUMNS], out[COLUMNS];
    struct psa_scaler scaler;

    assert_int_equal(golden_numbers(file.text, "X", x, COUNT(x)), COUNT(x));
    assert_int_equal(golden_numbers(file.text, center_path, center, COLUMNS), COLUMNS);
    assert_int_equal(golden_numbers(file.text, scale_path, scale, COLUMNS), COLUMNS);
    assert_int_equal(psa_scaler_fit(&scaler, kind, x, ROWS, COLUMNS), 0);
    for (size_t j = 0; j < COLUMNS; j++) {
        scale[j] = by_reciprocal ? 1.0 / scale[j] : scale[j];
        assert_near(scaler.center[j], center[j], 1e-12);
        assert_near(scaler.scale[j], scale[j], 1e-12);
    }
    for (size_t i = 0; i < ROWS; i++) {
        psa_scaler_transform(&scaler, x + i * COLUMNS, out);
        for (size_t j = 0; j < COLUMNS; j++) assert_near(out[j], (x[i * COLUMNS + j] - center[j]) / scale[j], 1e-12);
    }
    psa_scaler_free(&scaler);
    golden_close(&file);
}

static void robust_and_minmax_are_scikit_learns(void **state)
{
    (void)state;
    check_kind(PSA_SCALER_ROBUST, "robust.center", "robust.scale", false);
    check_kind(PSA_SCALER_MINMAX, "minmax.min", "minmax.scale", true); /* its scale_ is what it multiplies by */
}

static void a_spread_of_nothing_has_scale_one(void **state)
{
    const double x[] = { 5, 5, 5, 5, 5, 5, 5, 9 }; /* all quartiles alike, but not the greatest value */
    struct psa_scaler scaler;

    (void)state;
    psa_scaler_fit(&scaler, PSA_SCALER_ROBUST, x, COUNT(x), 1);
    assert_true(scaler.center[0] == 5.0 && scaler.scale[0] == 1.0 && scaler.mean[0] == 5.5);
    psa_scaler_free(&scaler);
    psa_scaler_fit(&scaler, PSA_SCALER_MINMAX, x, COUNT(x), 1);
    assert_true(scaler.center[0] == 5.0 && scaler.scale[0] == 4.0);
    psa_scaler_free(&scaler);
    psa_scaler_fit(&scaler, PSA_SCALER_MINMAX, x, 7, 1);
    assert_true(scaler.center[0] == 5.0 && scaler.scale[0] == 1.0);
    psa_scaler_free(&scaler);
}

static void constant_column_has_scale_one(void **state)
{
    struct golden file = golden_open("scaler.json");
    double x[ROWS * COLUMNS], scale[COLUMNS];
    struct psa_scaler scaler;

    (void)state;
    golden_numbers(file.text, "X", x, COUNT(x));
    golden_numbers(file.text, "standard_const_col.scale", scale, COLUMNS);
    for (size_t i = 0; i < ROWS; i++) x[i * COLUMNS + 2] = 7.0;
    assert_int_equal(psa_scaler_fit(&scaler, PSA_SCALER_STANDARD, x, ROWS, COLUMNS), 0);
    for (size_t j = 0; j < COLUMNS; j++) assert_near(scaler.scale[j], scale[j], 1e-12);
    assert_true(scaler.scale[2] == 1.0);
    psa_scaler_free(&scaler);
    for (size_t i = 0; i < ROWS; i++) /* a constant whose mean is rounded */
        x[i] = 0.1;
    assert_int_equal(psa_scaler_fit(&scaler, PSA_SCALER_STANDARD, x, ROWS, 1), 0);
    assert_true(scaler.scale[0] == 1.0);
    psa_scaler_free(&scaler);
    golden_close(&file);
}

static void missing_value_counts_as_the_mean(void **state)
{
    const double x[] = { 1, 10, 3, 30, 8, 20 }, row[] = { NAN, 30 };
    const double first[] = { 4.0, 0.0, 1.0 / 3.5, 3.0 / 7.0 }; /* the mean 4 by each kind */
    struct psa_scaler scaler;
    double out[2];

    (void)state;
    for (enum psa_scaler_kind kind = 0; kind < PSA_SCALER_KINDS; kind++) {
        assert_int_equal(psa_scaler_fit(&scaler, kind, x, 3, 2), 0);
        psa_scaler_transform(&scaler, row, out);
        assert_near(out[0], first[kind], 1e-15);
        assert_true(kind != PSA_SCALER_NONE || out[1] == 30.0);
        psa_scaler_free(&scaler);
    }
}

static void offset_does_not_hurt_the_variance(void **state)
{
    double x[1000];
    struct psa_scaler scaler;

    (void)state;
    for (size_t i = 0; i < COUNT(x); i++) x[i] = 1e9 + (i % 2 ? 1.0 : -1.0);
    assert_int_equal(psa_scaler_fit(&scaler, PSA_SCALER_STANDARD, x, COUNT(x), 1), 0);
    assert_near(scaler.scale[0], 1.0, 1e-12);
    psa_scaler_free(&scaler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_numbers_hold),
        cmocka_unit_test(robust_and_minmax_are_scikit_learns),
        cmocka_unit_test(a_spread_of_nothing_has_scale_one),
        cmocka_unit_test(constant_column_has_scale_one),
        cmocka_unit_test(missing_value_counts_as_the_mean),
        cmocka_unit_test(offset_does_not_hurt_the_variance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
