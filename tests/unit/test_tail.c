/* test_tail.c - the meaning of anomaly_score: closed forms, both sources of reference scores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "model/random.h"
#include "model/tail.h"

enum { N = 1001 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Exponential scores, sorted; the same in a set. */
static void make_scores(double *sorted, struct psa_order_set *set)
{
    struct psa_random random;

    psa_random_seed(&random, 5);
    psa_order_set_init(set, true);
    psa_order_set_reserve(set, N);
    for (size_t i = 0; i < N; i++) {
        sorted[i] = 2.0 - 3.0 * log(1.0 - psa_random_uniform(&random));
        psa_order_set_insert(set, i, sorted[i]);
    }
    qsort(sorted, N, sizeof *sorted, ascending);
}

static double set_ln_p(const struct psa_order_set *set, double score)
{
    struct psa_tail tail = psa_tail_of_set(set);

    return psa_tail_set_ln_p(set, &tail, score);
}

static void threshold_scores_exactly_one_half(void **state)
{
    double sorted[N];
    struct psa_order_set set;

    (void)state;
    make_scores(sorted, &set);
    for (double level = 0.01; level < 1.0; level += 0.01) {
        double threshold = psa_tail_quantile(sorted, N, level), ln_p0 = set_ln_p(&set, threshold);

        assert_true(psa_tail_score(set_ln_p(&set, threshold), ln_p0) == 0.5);
        assert_true(psa_tail_score(set_ln_p(&set, threshold + 1e-6), ln_p0) > 0.5);
        assert_true(psa_tail_score(set_ln_p(&set, threshold - 1e-6), ln_p0) < 0.5);
    }
    psa_order_set_free(&set);
}

static void body_inverts_the_quantile_function(void **state)
{
    double sorted[N];
    struct psa_order_set set;

    (void)state;
    make_scores(sorted, &set);
    for (double level = 0.0005; level < 0.9; level += 0.0101)
        assert_near(exp(set_ln_p(&set, psa_tail_quantile(sorted, N, level))), 1.0 - level, 1e-12);
    assert_true(set_ln_p(&set, sorted[0]) == 0.0);
    assert_true(set_ln_p(&set, -1e9) == 0.0);
    assert_true(psa_tail_score(set_ln_p(&set, sorted[0] - 1.0), log(0.05)) == 0.0);
    psa_order_set_free(&set);
}

static void tail_is_exponential_and_continuous(void **state)
{
    double sorted[N], excess = 0.0, q90;
    struct psa_order_set set;
    struct psa_tail tail;

    (void)state;
    make_scores(sorted, &set);
    q90 = psa_tail_quantile(sorted, N, 0.9);
    for (size_t i = 901; i < N; i++) /* h = 900 exactly: 100 scores lie above */
        excess += sorted[i] - q90;
    tail = psa_tail_of_set(&set);
    assert_near(tail.start, q90, 1e-15);
    assert_near(tail.scale, excess / 100.0, 1e-12);
    assert_near(exp(set_ln_p(&set, q90)), 0.1, 1e-12);
    assert_near(exp(set_ln_p(&set, q90 - 1e-9)), 0.1, 1e-6);
    assert_near(exp(set_ln_p(&set, q90 + tail.scale)), 0.1 / exp(1.0), 1e-12);
    assert_near(set_ln_p(&set, q90 + 1e6 * tail.scale), log(0.1) - 1e6, 1e-9); /* does not underflow */
    psa_order_set_free(&set);
}

/* DESIGN.md: with contamination 0.05 a score of 0.85 is about 3 in 10,000 and 0.95 about 2 in a million. */
static void scores_mean_what_the_design_says(void **state)
{
    (void)state;
    assert_near(psa_tail_score(log(0.05 * 0.05), log(0.05)), 0.75, 1e-12);
    assert_near(psa_tail_score(log(2.75e-4), log(0.05)), 0.85, 1e-3);
    assert_near(psa_tail_score(log(2.4e-6), log(0.05)), 0.95, 1e-3);
}

static void table_agrees_with_the_set(void **state)
{
    double sorted[N], level[PSA_TAIL_LEVELS], score[PSA_TAIL_LEVELS];
    struct psa_tail_table table = { .level = level, .score = score };
    struct psa_order_set set;

    (void)state;
    make_scores(sorted, &set);
    psa_tail_table_make(&table, sorted, N);
    assert_true(table.level[0] == 0.0 && table.level[90] == 0.9 && table.level[table.n - 1] == 1.0);
    assert_near(table.tail.start, psa_tail_of_set(&set).start, 1e-15);
    assert_near(table.tail.scale, psa_tail_of_set(&set).scale, 1e-12);
    for (size_t i = 0; i < 90; i++) /* at the table's own levels nothing is lost */
        assert_near(psa_tail_table_ln_p(&table, score[i]), set_ln_p(&set, score[i]), 1e-9);
    for (double x = 1.0; x < 40.0; x += 0.013)
        assert_near(exp(psa_tail_table_ln_p(&table, x)), exp(set_ln_p(&set, x)), 0.01);
    for (double x = sorted[900]; x < 100.0; x += 0.1)
        assert_near(psa_tail_table_ln_p(&table, x), set_ln_p(&set, x), 1e-9);
    psa_order_set_free(&set);
}

/* The score that has a given p, from the body of the reference to far out in its tail. */
static void a_wanted_p_has_its_score(void **state)
{
    double sorted[N], level[PSA_TAIL_LEVELS], score[PSA_TAIL_LEVELS];
    struct psa_tail_table table = { .level = level, .score = score };
    struct psa_order_set set;
    struct psa_tail tail;

    (void)state;
    make_scores(sorted, &set);
    tail = psa_tail_of_set(&set);
    psa_tail_table_make(&table, sorted, N);
    for (double ln_p = -0.01; ln_p > -60.0; ln_p *= 1.07) {
        assert_near(psa_tail_set_ln_p(&set, &tail, psa_tail_set_at(&set, &tail, ln_p)), ln_p, 1e-11);
        assert_near(psa_tail_table_ln_p(&table, psa_tail_table_at(&table, ln_p)), ln_p, 1e-11);
    }
    assert_near(psa_tail_set_at(&set, &tail, log(0.1)), tail.start, 1e-14);
    assert_near(psa_tail_set_at(&set, &tail, log(0.1) - 2.0), tail.start + 2.0 * tail.scale, 1e-14);
    for (size_t i = 0; i < table.n; i++) assert_true(psa_tail_table_quantile(&table, table.level[i]) == table.score[i]);
    assert_near(psa_tail_table_quantile(&table, 0.505), 0.5 * (score[50] + score[51]), 1e-14);
    psa_order_set_free(&set);
}

/* The rare score of references whose tails are known: heavy, exponential, light, and one with a lump beyond. */
static void rare_scores_follow_the_tail(void **state)
{
    enum { MANY = 10000 };
    double level[PSA_TAIL_LEVELS], score[PSA_TAIL_LEVELS], *sorted = malloc(MANY * sizeof *sorted);
    struct psa_tail_table table = { .level = level, .score = score };
    struct psa_order_set set;
    struct psa_tail tail;

    (void)state;
    assert_non_null(sorted);
    for (size_t i = 0; i < MANY; i++) sorted[i] = pow(1.0 - ((double)i + 0.5) / MANY, -1.0 / 3.0);
    psa_tail_table_make(&table, sorted, MANY);
    for (double p = 1e-2; p > 5e-7; p /= 10.0)
        assert_in_range((int)(100.0 * psa_tail_table_rare(&table, log(p)) / pow(p, -1.0 / 3.0)), 85, 125);
    assert_true(psa_tail_table_at(&table, log(1e-6)) < 0.3 * 100.0);
    psa_order_set_init(&set, true);
    psa_order_set_reserve(&set, MANY);
    for (size_t i = 0; i < MANY; i++) psa_order_set_insert(&set, i, sorted[i]);
    tail = psa_tail_of_set(&set);
    assert_near(psa_tail_set_rare(&set, &tail, log(1e-6)), psa_tail_table_rare(&table, log(1e-6)), 1e-12);
    assert_near(psa_tail_set_rare(&set, &tail, log(0.3)), psa_tail_set_at(&set, &tail, log(0.3)), 0.0);
    psa_order_set_free(&set);

    for (size_t i = 0; i < MANY; i++) sorted[i] = -log(1.0 - ((double)i + 0.5) / MANY);
    psa_tail_table_make(&table, sorted, MANY);
    assert_near(psa_tail_table_rare(&table, log(1e-6)), -log(1e-6), 0.3);

    for (size_t i = 0; i < MANY; i++) sorted[i] = (double)i / MANY;
    psa_tail_table_make(&table, sorted, MANY);
    assert_true(psa_tail_table_rare(&table, log(1e-6)) == psa_tail_table_at(&table, log(1e-6)));

    for (size_t i = MANY - MANY / 500; i < MANY; i++) sorted[i] = 3.0;
    psa_tail_table_make(&table, sorted, MANY);
    assert_true(psa_tail_table_rare(&table, log(1e-3)) >= 3.0);
    free(sorted);
}

static void ties_do_not_divide_by_zero(void **state)
{
    static const double value[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    double level[PSA_TAIL_LEVELS], score[PSA_TAIL_LEVELS];
    struct psa_tail_table table = { .level = level, .score = score };
    struct psa_order_set set;
    double ln_p0;

    (void)state;
    psa_order_set_init(&set, true);
    psa_order_set_reserve(&set, COUNT(value));
    for (size_t n = 1; n <= COUNT(value); n++) {
        psa_order_set_insert(&set, n - 1, value[n - 1]);
        psa_tail_table_make(&table, value, n);
        ln_p0 = set_ln_p(&set, 1.0);
        assert_true(psa_tail_score(set_ln_p(&set, 1.0), ln_p0) == 0.5);
        assert_true(psa_tail_score(set_ln_p(&set, 0.0), ln_p0) == 0.0);
        assert_true(psa_tail_score(set_ln_p(&set, 2.0), ln_p0) > 0.999);
        assert_true(psa_tail_table_ln_p(&table, 1.0) == ln_p0);
        assert_true(psa_tail_table_ln_p(&table, 0.0) == 0.0);
    }
    psa_order_set_free(&set);
}

static void threshold_below_all_scores_is_clamped(void **state)
{
    double sorted[N];
    struct psa_order_set set;
    double ln_p0;

    (void)state;
    make_scores(sorted, &set);
    ln_p0 = set_ln_p(&set, sorted[0] - 1.0);
    assert_true(ln_p0 == 0.0);
    assert_true(psa_tail_score(0.0, ln_p0) == 0.0);
    assert_true(psa_tail_score(log(0.5), ln_p0) <= 1.0 && psa_tail_score(log(0.5), ln_p0) > 0.999);
    psa_order_set_free(&set);
}

static void score_never_falls(void **state)
{
    double sorted[N], last = 0.0;
    struct psa_order_set set;

    (void)state;
    make_scores(sorted, &set);
    for (double x = 0.0; x < 60.0; x += 0.003) {
        double now = psa_tail_score(set_ln_p(&set, x), log(0.05));

        assert_true(now >= last && now <= 1.0);
        last = now;
    }
    psa_order_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threshold_scores_exactly_one_half),
        cmocka_unit_test(body_inverts_the_quantile_function),
        cmocka_unit_test(tail_is_exponential_and_continuous),
        cmocka_unit_test(scores_mean_what_the_design_says),
        cmocka_unit_test(table_agrees_with_the_set),
        cmocka_unit_test(a_wanted_p_has_its_score),
        cmocka_unit_test(rare_scores_follow_the_tail),
        cmocka_unit_test(ties_do_not_divide_by_zero),
        cmocka_unit_test(threshold_below_all_scores_is_clamped),
        cmocka_unit_test(score_never_falls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
