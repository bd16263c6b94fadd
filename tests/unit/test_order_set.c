/* test_order_set.c - the order-statistic set against a sorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "dsp/order_set.h"
#include "model/random.h"

enum { SLOTS = 200, STEPS = 20000 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Compare every answer with the sorted values. */
static void check_all(const struct psa_order_set *set, const double *value, const bool *in)
{
    double sorted[SLOTS], from = 0.0;
    size_t n = 0;

    for (size_t i = 0; i < SLOTS; i++) {
        assert_int_equal(psa_order_set_has(set, i), in[i]);
        if (in[i]) sorted[n++] = value[i];
    }
    qsort(sorted, n, sizeof *sorted, ascending);
    assert_int_equal(psa_order_set_count(set), n);
    for (size_t k = n; k-- > 0;) {
        size_t below = 0, up_to = 0, b, u;

        from += sorted[k];
        while (below < n && sorted[below] < sorted[k]) below++;
        while (up_to < n && sorted[up_to] <= sorted[k]) up_to++;
        assert_true(psa_order_set_select(set, k) == sorted[k]);
        assert_int_equal(psa_order_set_below(set, sorted[k]), below);
        assert_int_equal(psa_order_set_up_to(set, sorted[k]), up_to);
        psa_order_set_ranks(set, sorted[k], &b, &u);
        assert_true(b == below && u == up_to);
        psa_order_set_ranks(set, sorted[k] + 0.25, &b, &u); /* between two values */
        assert_true(b == up_to && u == up_to);
        if (set->with_sums) assert_near(psa_order_set_sum_from(set, k), from, 1e-12);
    }
    assert_int_equal(psa_order_set_below(set, -1e9), 0);
    assert_int_equal(psa_order_set_up_to(set, 1e9), n);
    assert_true(isnan(psa_order_set_select(set, n)));
}

static void random_steps_agree(bool with_sums, double distinct)
{
    struct psa_order_set set;
    struct psa_random random;
    double value[SLOTS];
    bool in[SLOTS] = { false };

    psa_random_seed(&random, 7);
    psa_order_set_init(&set, with_sums);
    assert_int_equal(psa_order_set_reserve(&set, 10), 0);
    assert_int_equal(psa_order_set_reserve(&set, SLOTS), 0);
    for (size_t step = 0; step < STEPS; step++) {
        size_t slot = (size_t)psa_random_below(&random, SLOTS);

        if (in[slot]) {
            psa_order_set_erase(&set, slot);
        } else {
            value[slot] = floor(psa_random_uniform(&random) * distinct) - 3.0; /* few distinct values: many ties */
            psa_order_set_insert(&set, slot, value[slot]);
        }
        in[slot] = !in[slot];
        if (step % 97 == 0) check_all(&set, value, in);
    }
    psa_order_set_free(&set);
}

static void agrees_with_a_sorted_array(void **state)
{
    (void)state;
    random_steps_agree(false, 1e6);
    random_steps_agree(true, 1e6);
}

static void agrees_with_ties(void **state)
{
    (void)state;
    random_steps_agree(false, 5);
    random_steps_agree(true, 5);
}

static void sums_do_not_depend_on_the_order_of_arrival(void **state)
{
    struct psa_order_set one, other;
    struct psa_random random;
    double value[SLOTS];

    (void)state;
    psa_random_seed(&random, 11);
    psa_order_set_init(&one, true);
    psa_order_set_init(&other, true);
    psa_order_set_reserve(&one, SLOTS);
    psa_order_set_reserve(&other, 4 * SLOTS);
    for (size_t i = 0; i < SLOTS; i++) {
        value[i] = psa_random_uniform(&random);
        psa_order_set_insert(&one, i, 0.5); /* a past that the other has not */
    }
    for (size_t i = 0; i < SLOTS; i++) {
        psa_order_set_erase(&one, i);
        psa_order_set_insert(&one, i, value[i]);
    }
    for (size_t i = SLOTS; i-- > 0;) psa_order_set_insert(&other, i, value[i]);
    for (size_t k = 0; k < SLOTS; k++) {
        double a = psa_order_set_sum_from(&one, k), b = psa_order_set_sum_from(&other, k);

        assert_memory_equal(&a, &b, sizeof a);
    }
    psa_order_set_free(&one);
    psa_order_set_free(&other);
}

static void quantiles_interpolate_as_numpy_does(void **state)
{
    static const double value[] = { 3, 1, 2, 10 };
    struct psa_order_set set;

    (void)state;
    psa_order_set_init(&set, false);
    assert_true(isnan(psa_order_set_quantile(&set, 0.5)));
    psa_order_set_reserve(&set, COUNT(value));
    for (size_t i = 0; i < COUNT(value); i++) psa_order_set_insert(&set, i, value[i]);
    assert_true(psa_order_set_quantile(&set, 0) == 1.0);
    assert_true(psa_order_set_quantile(&set, 1) == 10.0);
    assert_true(psa_order_set_quantile(&set, 0.5) == 2.5);
    assert_near(psa_order_set_quantile(&set, 0.9), 7.9, 1e-12); /* np.percentile([3,1,2,10], 90) */
    psa_order_set_free(&set);
}

/* Values in ascending order would make a plain tree a list; a walk of a treap stays short. */
static void stays_balanced(void **state)
{
    enum { MANY = 100000 };
    struct psa_order_set set;
    size_t deepest = 0;

    (void)state;
    psa_order_set_init(&set, false);
    psa_order_set_reserve(&set, MANY);
    for (size_t i = 0; i < MANY; i++) psa_order_set_insert(&set, i, (double)i);
    for (size_t i = 0; i < MANY; i += 37) {
        size_t depth = 0;

        for (uint32_t at = set.root; at != i; depth++) at = set.link[at].child[set.value[at] < (double)i];
        deepest = depth > deepest ? depth : deepest;
    }
    assert_true(deepest < 60); /* 2 ln n = 23 expected */
    psa_order_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_sorted_array),
        cmocka_unit_test(agrees_with_ties),
        cmocka_unit_test(sums_do_not_depend_on_the_order_of_arrival),
        cmocka_unit_test(quantiles_interpolate_as_numpy_does),
        cmocka_unit_test(stays_balanced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
