/* test_isolation_forest.c - scores against scikit-learn's, the exact threshold, attribution, training. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#include "model/isolation_forest.h"
#include "model/random.h"

enum { INPUTS = 200, COLUMNS = 6, NODES = 512 };

/* The golden forest; its edges to free with psa_iforest_free. */
static void load_forest(struct golden *file, struct psa_iforest *forest)
{
    struct psa_str trees = golden_at(file->text, "forest.trees"), tree;

    *forest = (struct psa_iforest){ .n_features = COLUMNS };
    forest->max_samples = (size_t)golden_number(file->text, "forest.max_samples");
    forest->tree = calloc(64, sizeof *forest->tree);
    for (size_t t = 0; (tree = golden_item(trees, t)).p != NULL; t++) {
        double left[NODES], right[NODES], feature[NODES], threshold[NODES], samples[NODES];
        size_t n = golden_numbers(tree, "children_left", left, NODES);

        golden_numbers(tree, "children_right", right, NODES);
        golden_numbers(tree, "feature", feature, NODES);
        golden_numbers(tree, "threshold", threshold, NODES);
        golden_numbers(tree, "n_node_samples", samples, NODES);
        forest->tree[t] = (struct psa_iforest_tree){ calloc(n, sizeof *forest->tree[t].node), n };
        for (size_t i = 0; i < n; i++)
            forest->tree[t].node[i] = (struct psa_iforest_node){ threshold[i], (int32_t)left[i], (int32_t)right[i],
                                                                 (int32_t)feature[i], (int32_t)samples[i] };
        forest->n_trees++;
    }
}

static void to_float(const double *x, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)x[i];
}

static void golden_scores_hold(void **state)
{
    struct golden file = golden_open("iforest.json");
    double input[INPUTS * COLUMNS], expected[INPUTS], predict[INPUTS], predict05[INPUTS], edge[6 * COLUMNS];
    double offset05 = golden_number(file.text, "offset_contamination_005");
    struct psa_iforest_scorer scorer;
    struct psa_iforest forest;
    float row[COLUMNS];
    size_t n;

    (void)state;
    load_forest(&file, &forest);
    assert_null(psa_iforest_check(&forest));
    assert_int_equal(psa_iforest_compile(&scorer, &forest), 0);
    n = golden_numbers(file.text, "inputs", input, COUNT(input)) / COLUMNS;
    assert_int_equal(golden_numbers(file.text, "score_samples", expected, INPUTS), n);
    golden_numbers(file.text, "predict", predict, INPUTS);
    golden_numbers(file.text, "predict_contamination_005", predict05, INPUTS);
    for (size_t i = 0; i < n; i++) {
        double score;

        to_float(input + i * COLUMNS, row, COLUMNS);
        score = psa_iforest_score(&scorer, row, NULL);
        assert_near(score, expected[i], 1e-12);
        assert_int_equal(score < -0.5 ? -1 : 1, (int)predict[i]);
        assert_int_equal(score < offset05 ? -1 : 1, (int)predict05[i]);
    }
    n = golden_numbers(file.text, "edge_inputs", edge, COUNT(edge)) / COLUMNS;
    golden_numbers(file.text, "edge_score_samples", expected, INPUTS);
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++) {
        to_float(edge + i * COLUMNS, row, COLUMNS);
        assert_near(psa_iforest_score(&scorer, row, NULL), expected[i], 1e-12);
    }
    psa_iforest_scorer_free(&scorer);
    psa_iforest_free(&forest);
    golden_close(&file);
}

static void average_path_is_scikit_learns(void **state)
{
    static const size_t n[] = { 1, 2, 3, 4, 5, 10, 50, 100, 128, 255, 256 };
    struct golden file = golden_open("iforest.json");
    char path[64];

    (void)state;
    for (size_t i = 0; i < COUNT(n); i++) {
        snprintf(path, sizeof path, "average_path_length.%zu", n[i]);
        assert_near(psa_iforest_average_path(n[i]), golden_number(file.text, path), 1e-14);
    }
    golden_close(&file);
}

/* A stump of two leaves: 2 rows and 1 row, c(2) = 1 and c(1) = 0; which leaf was reached shows in the score. */
static bool goes_left(double threshold, float x)
{
    struct psa_iforest_node node[] = { { threshold, 1, 2, 0, 3 }, { -2, -1, -1, -2, 2 }, { -2, -1, -1, -2, 1 } };
    struct psa_iforest_tree tree = { node, 3 };
    struct psa_iforest forest = { 1, 1, 3, &tree };
    struct psa_iforest_scorer scorer;
    double score;

    assert_int_equal(psa_iforest_compile(&scorer, &forest), 0);
    score = psa_iforest_score(&scorer, &x, NULL);
    psa_iforest_scorer_free(&scorer);
    return score > -exp2(-1.5 / psa_iforest_average_path(3)); /* path 2, not 1 */
}

static void float_threshold_decides_as_the_double(void **state)
{
    static const double special[] = { 0.0,        -0.0,       0.1,
                                      -0.1,       1e-50,      -1e-50,
                                      1e300,      -1e300,     3.4028234663852886e38,
                                      3.5e38,     -3.5e38,    1.401298464324817e-45,
                                      16777217.0, -16777217.0 };
    static const float always[] = { 0.0F, -0.0F, 1e-45F, -1e-45F, 3.4028235e38F, -3.4028235e38F, INFINITY, -INFINITY };
    struct psa_random random;

    (void)state;
    psa_random_seed(&random, 17);
    for (size_t i = 0; i < 3000; i++) {
        double t =
            i < COUNT(special) ? special[i] : (psa_random_uniform(&random) - 0.5) * exp2((double)(i % 60) - 30.0);
        float near = (float)t, around[] = { near, nextafterf(near, INFINITY), nextafterf(near, -INFINITY) };

        for (size_t k = 0; k < COUNT(around); k++) assert_int_equal(goes_left(t, around[k]), (double)around[k] <= t);
        for (size_t k = 0; k < COUNT(always); k++) assert_int_equal(goes_left(t, always[k]), (double)always[k] <= t);
    }
}

/* contributions sum to sum of c(n_root) - h(x), and asking for them does not change the score. */
static void contributions_add_up_to_the_path(void **state)
{
    struct golden file = golden_open("iforest.json");
    double input[INPUTS * COLUMNS], contribution[COLUMNS];
    struct psa_iforest_scorer scorer;
    struct psa_iforest forest;
    float row[COLUMNS];

    (void)state;
    load_forest(&file, &forest);
    psa_iforest_compile(&scorer, &forest);
    golden_numbers(file.text, "inputs", input, COUNT(input));
    for (size_t i = 0; i < INPUTS; i++) {
        double total = 0.0, score, path;

        to_float(input + i * COLUMNS, row, COLUMNS);
        score = psa_iforest_score(&scorer, row, contribution);
        assert_true(score == psa_iforest_score(&scorer, row, NULL));
        path = -log2(-score) * scorer.norm;
        for (size_t j = 0; j < COLUMNS; j++) total += contribution[j];
        assert_near(total, (double)forest.n_trees * psa_iforest_average_path(forest.max_samples) - path, 1e-11);
    }
    psa_iforest_scorer_free(&scorer);
    psa_iforest_free(&forest);
    golden_close(&file);
}

/* ---- training ------------------------------------------------------------------------------------------------- */

enum { ROWS = 2000, WIDTH = 4 };

/* Ordinary rows in a unit cube; feature 3 is constant. */
static float *make_rows(void)
{
    float *rows = malloc(ROWS * WIDTH * sizeof *rows);
    struct psa_random random;

    psa_random_seed(&random, 1);
    for (size_t i = 0; i < ROWS * WIDTH; i++) rows[i] = i % WIDTH == 3 ? 7.0F : (float)psa_random_uniform(&random);
    return rows;
}

/* Rows that reach each node, by walking them: they must equal n_samples, and depth must be bounded. */
static void check_leaves(const struct psa_iforest_tree *tree, size_t max_depth, size_t samples)
{
    size_t *depth = calloc(tree->n, sizeof *depth), leaves = 0, rows = 0;

    for (size_t i = 0; i < tree->n; i++) {
        const struct psa_iforest_node *node = &tree->node[i];

        assert_true(depth[i] <= max_depth);
        if (node->left < 0) {
            leaves++;
            rows += (size_t)node->n_samples;
            assert_int_equal(node->feature, -2);
            continue;
        }
        assert_true(node->feature < 3); /* never the constant one */
        assert_int_equal(node->n_samples, tree->node[node->left].n_samples + tree->node[node->right].n_samples);
        depth[node->left] = depth[node->right] = depth[i] + 1;
    }
    assert_int_equal(rows, samples);
    assert_int_equal(tree->n, 2 * leaves - 1);
    free(depth);
}

static void trained_trees_are_isolation_trees(void **state)
{
    struct psa_iforest_training training = { 50, 256, 1, NULL, NULL };
    float *rows = make_rows();
    struct psa_iforest forest;

    (void)state;
    assert_int_equal(psa_iforest_train(&forest, rows, ROWS, WIDTH, &training), 0);
    assert_null(psa_iforest_check(&forest));
    assert_int_equal(forest.max_samples, 256);
    for (size_t t = 0; t < forest.n_trees; t++) check_leaves(&forest.tree[t], 8, 256);
    psa_iforest_free(&forest);
    training.samples = 5000; /* more than there are */
    assert_int_equal(psa_iforest_train(&forest, rows, ROWS, WIDTH, &training), 0);
    assert_int_equal(forest.max_samples, ROWS);
    for (size_t t = 0; t < forest.n_trees; t++) check_leaves(&forest.tree[t], 11, ROWS);
    psa_iforest_free(&forest);
    free(rows);
}

static void same_seed_same_forest(void **state)
{
    struct psa_iforest_training training = { 10, 64, 3, NULL, NULL };
    struct psa_iforest a, b, c;
    float *rows = make_rows();
    bool differs = false;

    (void)state;
    psa_iforest_train(&a, rows, ROWS, WIDTH, &training);
    psa_iforest_train(&b, rows, ROWS, WIDTH, &training);
    training.seed = 4;
    psa_iforest_train(&c, rows, ROWS, WIDTH, &training);
    for (size_t t = 0; t < a.n_trees; t++) {
        assert_int_equal(a.tree[t].n, b.tree[t].n);
        assert_memory_equal(a.tree[t].node, b.tree[t].node, a.tree[t].n * sizeof *a.tree[t].node);
        differs = differs || a.tree[t].n != c.tree[t].n || a.tree[t].node[0].threshold != c.tree[t].node[0].threshold;
    }
    assert_true(differs);
    psa_iforest_free(&a);
    psa_iforest_free(&b);
    psa_iforest_free(&c);
    free(rows);
}

static void odd_rows_score_lower_and_their_feature_is_named(void **state)
{
    struct psa_iforest_training training = { 100, 256, 1, NULL, NULL };
    struct psa_iforest_scorer scorer;
    struct psa_iforest forest;
    float *rows = make_rows();
    double contribution[WIDTH];

    (void)state;
    psa_iforest_train(&forest, rows, ROWS, WIDTH, &training);
    psa_iforest_compile(&scorer, &forest);
    for (size_t j = 0; j < 3; j++) {
        float odd[] = { 0.5F, 0.5F, 0.5F, 7.0F }, plain[] = { 0.5F, 0.5F, 0.5F, 7.0F };

        odd[j] = 4.0F;
        assert_true(psa_iforest_score(&scorer, odd, contribution) < psa_iforest_score(&scorer, plain, NULL) - 0.05);
        for (size_t k = 0; k < WIDTH; k++) assert_true(k == j || contribution[k] < contribution[j]);
        assert_true(contribution[3] == 0.0);
    }
    psa_iforest_scorer_free(&scorer);
    psa_iforest_free(&forest);
    free(rows);
}

/* On a ramp the thresholds of small samples lie all over it only if every row can be drawn. */
static void samples_come_from_everywhere(void **state)
{
    struct psa_iforest_training training = { 40, 32, 1, NULL, NULL };
    double least = ROWS, greatest = 0;
    float *rows = malloc(ROWS * sizeof *rows);
    struct psa_iforest forest;

    (void)state;
    for (size_t i = 0; i < ROWS; i++) rows[i] = (float)i;
    psa_iforest_train(&forest, rows, ROWS, 1, &training);
    for (size_t t = 0; t < forest.n_trees; t++) {
        for (size_t i = 0; i < forest.tree[t].n; i++) {
            const struct psa_iforest_node *node = &forest.tree[t].node[i];

            if (node->left < 0) continue;
            least = fmin(least, node->threshold);
            greatest = fmax(greatest, node->threshold);
        }
    }
    assert_true(least < 0.05 * ROWS && greatest > 0.95 * ROWS);
    psa_iforest_free(&forest);
    free(rows);
}

static void constant_and_tiny_data_train(void **state)
{
    static const float same[] = { 1, 2, 1, 2, 1, 2 }, row[] = { 1, 2 };
    struct psa_iforest_training training = { 5, 256, 1, NULL, NULL };
    struct psa_iforest_scorer scorer;
    struct psa_iforest forest;

    (void)state;
    assert_int_equal(psa_iforest_train(&forest, same, 3, 2, &training), 0);
    assert_null(psa_iforest_check(&forest));
    assert_int_equal(forest.tree[0].n, 1);
    assert_int_equal(psa_iforest_compile(&scorer, &forest), 0);
    assert_near(psa_iforest_score(&scorer, row, NULL), -0.5, 1e-15); /* h = c(3) everywhere */
    psa_iforest_scorer_free(&scorer);
    psa_iforest_free(&forest);
}

/* ---- refusing ------------------------------------------------------------------------------------------------- */

static void broken_trees_are_refused(void **state)
{
    const struct psa_iforest_node good[] = { { 0, 1, 2, 0, 3 }, { -2, -1, -1, -2, 2 }, { -2, -1, -1, -2, 1 } };
    struct psa_iforest_node node[3];
    struct psa_iforest_tree tree = { node, 3 };
    struct psa_iforest forest = { 1, 1, 3, &tree };

    (void)state;
#define REFUSED(change)                              \
    do {                                             \
        memcpy(node, good, sizeof good);             \
        assert_null(psa_iforest_check(&forest));     \
        change;                                      \
        assert_non_null(psa_iforest_check(&forest)); \
    } while (0)
    REFUSED(node[0].left = 0);
    REFUSED(node[0].left = 3);
    REFUSED(node[0].left = -1);
    REFUSED(node[0].left = -7);
    REFUSED(node[0].left = 2);
    REFUSED(node[0].feature = 1);
    REFUSED(node[0].feature = -2);
    REFUSED(node[0].threshold = NAN);
    REFUSED(node[0].threshold = INFINITY);
    REFUSED(node[1].n_samples = 0);
    REFUSED(node[1].n_samples = PSA_IFOREST_SAMPLES_MAX + 1);
    REFUSED((node[1].left = 2, node[1].right = 2, node[1].feature = 0));
    REFUSED((node[0].left = -1, node[0].right = -1)); /* nodes without a parent */
#undef REFUSED
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_scores_hold),
        cmocka_unit_test(average_path_is_scikit_learns),
        cmocka_unit_test(float_threshold_decides_as_the_double),
        cmocka_unit_test(contributions_add_up_to_the_path),
        cmocka_unit_test(trained_trees_are_isolation_trees),
        cmocka_unit_test(same_seed_same_forest),
        cmocka_unit_test(odd_rows_score_lower_and_their_feature_is_named),
        cmocka_unit_test(samples_come_from_everywhere),
        cmocka_unit_test(constant_and_tiny_data_train),
        cmocka_unit_test(broken_trees_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
