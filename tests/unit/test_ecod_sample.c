/* test_ecod_sample.c - ECOD by a frozen sample, against PyOD's numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "model/ecod_sample.h"

enum { ROWS = 500, COLUMNS = 6 };

/* The first n rows of x as a sample; columns has room for COLUMNS, sorted for ROWS * COLUMNS. */
static struct psa_ecod_sample sample_of(const double *x, size_t n, struct psa_ecod_column *columns, double *sorted)
{
    for (size_t j = 0; j < COLUMNS; j++) {
        double *column = sorted + j * ROWS;

        for (size_t i = 0; i < n; i++) {
            size_t at = i;

            for (; at > 0 && column[at - 1] > x[i * COLUMNS + j]; at--) column[at] = column[at - 1];
            column[at] = x[i * COLUMNS + j];
        }
        psa_ecod_column_init(&columns[j], column, n);
    }
    return (struct psa_ecod_sample){ n, COLUMNS, columns };
}

static void rows_of_the_sample_have_decision_scores(void **state)
{
    static double x[ROWS * COLUMNS], expected[ROWS], sorted[ROWS * COLUMNS];
    struct golden file = golden_open("ecod.json");
    struct psa_ecod_column columns[COLUMNS];
    struct psa_ecod_sample sample;

    (void)state;
    assert_int_equal(golden_numbers(file.text, "X", x, COUNT(x)), COUNT(x));
    assert_int_equal(golden_numbers(file.text, "decision_scores", expected, ROWS), ROWS);
    sample = sample_of(x, ROWS, columns, sorted);
    for (size_t i = 0; i < ROWS; i++)
        assert_near(psa_ecod_sample_own_score(&sample, x + i * COLUMNS), expected[i], 1e-12);
    golden_close(&file);
}

/* PyOD fits anew with the new row among the others: the score of the last row of each prefix is just that. */
static void a_new_row_has_decision_function(void **state)
{
    static double x[ROWS * COLUMNS], expected[ROWS], sorted[ROWS * COLUMNS];
    struct golden rows = golden_open("ecod.json"), file = golden_open("ecod_stream.json");
    struct psa_ecod_column columns[COLUMNS];
    double contribution[COLUMNS];

    (void)state;
    golden_numbers(rows.text, "X", x, COUNT(x));
    assert_int_equal(golden_numbers(file.text, "expanding", expected, ROWS), ROWS);
    for (size_t i = 1; i < ROWS; i++) {
        struct psa_ecod_sample sample = sample_of(x, i, columns, sorted);
        double total = 0.0;

        assert_near(psa_ecod_sample_score(&sample, x + i * COLUMNS, contribution), expected[i], 1e-12);
        for (size_t j = 0; j < COLUMNS; j++) total += contribution[j];
        assert_near(total, expected[i], 1e-12);
        assert_true(psa_ecod_sample_score(&sample, x + i * COLUMNS, NULL) ==
                    psa_ecod_sample_score(&sample, x + i * COLUMNS, contribution));
    }
    golden_close(&rows);
    golden_close(&file);
}

/* Exactly symmetric with the new value, and only then, both tails count: -2 ln(3/5) where 0 joins -2 -1 1 2. */
static void both_tails_count_where_all_is_symmetric(void **state)
{
    static const double sorted[] = { -2, -1, 1, 2 }, offset[] = { 1e8 - 2, 1e8 - 1, 1e8 + 1, 1e8 + 2 };
    static const double same[] = { 3, 3, 3 }, rounded[] = { 0.1, 0.2, 0.4, 0.5 }; /* whose moments are not exact */
    struct psa_ecod_column column;
    struct psa_ecod_sample sample = { 4, 1, &column };
    double x;

    (void)state;
    psa_ecod_column_init(&column, sorted, 4);
    assert_near(psa_ecod_sample_score(&sample, (x = 0.0, &x), NULL), -log(3.0 / 5.0) - log(3.0 / 5.0), 1e-15);
    assert_near(psa_ecod_sample_score(&sample, (x = 0.5, &x), NULL), -log(3.0 / 5.0), 1e-15);
    assert_near(psa_ecod_sample_score(&sample, (x = 2.0, &x), NULL), -log(2.0 / 5.0), 1e-15);
    psa_ecod_column_init(&column, offset, 4);
    assert_near(psa_ecod_sample_score(&sample, (x = 1e8, &x), NULL), -2.0 * log(3.0 / 5.0), 1e-15);
    psa_ecod_column_init(&column, rounded, 4);
    assert_true(column.m3 != 0.0);
    assert_near(psa_ecod_sample_score(&sample, (x = 0.3, &x), NULL), -2.0 * log(3.0 / 5.0), 1e-15);
    psa_ecod_column_init(&column, same, 3);
    sample.n = 3;
    assert_near(psa_ecod_sample_score(&sample, (x = 3.0, &x), NULL), 0.0, 1e-15);
    assert_near(psa_ecod_sample_own_score(&sample, &x), 0.0, 1e-15);
    assert_near(psa_ecod_sample_score(&sample, (x = 4.0, &x), NULL), -log(1.0 / 4.0), 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_the_sample_have_decision_scores),
        cmocka_unit_test(a_new_row_has_decision_function),
        cmocka_unit_test(both_tails_count_where_all_is_symmetric),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
