/* test_scaler.c - the standard scaler against scikit-learn's numbers. */
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
    assert_int_equal(psa_scaler_fit(&scaler, x, ROWS, COLUMNS), 0);
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

static void constant_column_has_scale_one(void **state)
{
    struct golden file = golden_open("scaler.json");
    double x[ROWS * COLUMNS], scale[COLUMNS];
    struct psa_scaler scaler;

    (void)state;
    golden_numbers(file.text, "X", x, COUNT(x));
    golden_numbers(file.text, "standard_const_col.scale", scale, COLUMNS);
    for (size_t i = 0; i < ROWS; i++) x[i * COLUMNS + 2] = 7.0;
    assert_int_equal(psa_scaler_fit(&scaler, x, ROWS, COLUMNS), 0);
    for (size_t j = 0; j < COLUMNS; j++) assert_near(scaler.scale[j], scale[j], 1e-12);
    assert_true(scaler.scale[2] == 1.0);
    psa_scaler_free(&scaler);
    for (size_t i = 0; i < ROWS; i++) /* a constant whose mean is rounded */
        x[i] = 0.1;
    assert_int_equal(psa_scaler_fit(&scaler, x, ROWS, 1), 0);
    assert_true(scaler.scale[0] == 1.0);
    psa_scaler_free(&scaler);
    golden_close(&file);
}

static void missing_value_counts_as_the_mean(void **state)
{
    double x[] = { 1, 10, 3, 30 }, row[] = { NAN, 30 }, out[2];
    struct psa_scaler scaler;

    (void)state;
    assert_int_equal(psa_scaler_fit(&scaler, x, 2, 2), 0);
    psa_scaler_transform(&scaler, row, out);
    assert_true(out[0] == 0.0 && out[1] == 1.0);
    scaler.identity = true;
    psa_scaler_transform(&scaler, row, out);
    assert_true(out[0] == 2.0 && out[1] == 30.0);
    psa_scaler_free(&scaler);
}

static void offset_does_not_hurt_the_variance(void **state)
{
    double x[1000];
    struct psa_scaler scaler;

    (void)state;
    for (size_t i = 0; i < COUNT(x); i++) x[i] = 1e9 + (i % 2 ? 1.0 : -1.0);
    assert_int_equal(psa_scaler_fit(&scaler, x, COUNT(x), 1), 0);
    assert_near(scaler.scale[0], 1.0, 1e-12);
    psa_scaler_free(&scaler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_numbers_hold),
        cmocka_unit_test(constant_column_has_scale_one),
        cmocka_unit_test(missing_value_counts_as_the_mean),
        cmocka_unit_test(offset_does_not_hurt_the_variance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
