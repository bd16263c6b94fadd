/*
 * isolation_forest.c - see isolation_forest.h.
 *
 * Why a float threshold loses nothing. A row's value is a float f. Let t be the stored double threshold and t' the
 * largest float with t' <= t. If f <= t', then f <= t. If f <= t, then f is a float not above t, so f <= t' because t' is
 * the largest of those. Hence f <= t' exactly when f <= t, for every float f, the infinities included (t' is -infinity
 * where t lies below all finite floats). test_isolation_forest.c tries it around rounding boundaries.
 *
 * How a row is scored. All trees are walked without a branch that depends on the data: the next cell is
 * children + (f > t'), and a leaf leads to itself, so LANES trees can be walked side by side and their cache misses
 * overlap.
 */
#include "model/isolation_forest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/random.h"

#define EULER_GAMMA 0.5772156649015329 /* numpy.euler_gamma */
#define FEATURE_BITS 12
#define FEATURE_MASK (PSA_IFOREST_FEATURES_MAX - 1)
#define LANES 8 /* trees walked side by side; 8 chains hide the latency of the second-level cache */

double psa_iforest_average_path(size_t n)
{
    double rows = (double)n;

    if (n <= 1) return 0.0;
    if (n == 2) return 1.0;
    return 2.0 * (log(rows - 1.0) + EULER_GAMMA) - 2.0 * (rows - 1.0) / rows;
}

/* ---- training ------------------------------------------------------------------------------------------------- */

/* One tree in the making. Its rows are index[begin .. end) of the node at hand. */
struct grower {
    const float *rows;
    size_t n_features;
    uint32_t *index;   /* the subsample, partitioned as the tree grows */
    uint32_t *feature; /* a permutation of the features, for drawing without replacement */
    struct psa_iforest_node *node;
    size_t n_node;
    unsigned max_depth;
    struct psa_random random;
};

static float value_at(const struct grower *grower, size_t i, uint32_t feature)
{
    return grower->rows[(size_t)grower->index[i] * grower->n_features + feature];
}

static void swap_index(uint32_t *a, uint32_t *b)
{
    uint32_t kept = *a;

    *a = *b;
    *b = kept;
}

/* A random feature that is not constant in index[begin .. end), and its range there. false: all are constant. */
static bool draw_feature(struct grower *grower, size_t begin, size_t end, uint32_t *feature, float *low, float *high)
{
    for (size_t left = grower->n_features; left > 0; left--) {
        size_t drawn = (size_t)psa_random_below(&grower->random, left);

        swap_index(&grower->feature[drawn], &grower->feature[left - 1]);
        *feature = grower->feature[left - 1];
        *low = *high = value_at(grower, begin, *feature);
        for (size_t i = begin + 1; i < end; i++) {
            float x = value_at(grower, i, *feature);

            *low = x < *low ? x : *low;
            *high = x > *high ? x : *high;
        }
        if (*low < *high) return true;
    }
    return false;
}

/* Move the rows that go left to the front; returns the first index of those that go right. */
static size_t partition(struct grower *grower, size_t begin, size_t end, uint32_t feature, double threshold)
{
    while (begin < end) {
        if ((double)value_at(grower, begin, feature) <= threshold) begin++;
        else swap_index(&grower->index[begin], &grower->index[--end]);
    }
    return begin;
}

/* Grow the subtree of index[begin .. end); returns its index. Calls itself at most max_depth (19) deep. */
static int32_t grow(struct grower *grower, size_t begin, size_t end, unsigned depth)
{
    int32_t at = (int32_t)grower->n_node++;
    struct psa_iforest_node *node = &grower->node[at];
    uint32_t feature;
    float low, high;
    size_t middle;

    *node = (struct psa_iforest_node){ -2.0, -1, -1, -2, (int32_t)(end - begin) };
    if (depth >= grower->max_depth || end - begin <= 1 || !draw_feature(grower, begin, end, &feature, &low, &high))
        return at;
    node->feature = (int32_t)feature;
    node->threshold = (double)low + psa_random_uniform(&grower->random) * ((double)high - (double)low);
    if (node->threshold >= (double)high) /* rounding may reach it; then the right side would be empty */
        node->threshold = (double)low;
    middle = partition(grower, begin, end, feature, node->threshold);
    node->left = grow(grower, begin, middle, depth + 1);
    node->right = grow(grower, middle, end, depth + 1);
    return at;
}

static unsigned depth_limit(size_t samples)
{
    unsigned depth = 0;

    while (((size_t)1 << depth) < samples) depth++;
    return depth > 0 ? depth : 1; /* scikit-learn: ceil(log2(max(samples, 2))) */
}

static int grow_tree(struct grower *grower, size_t n_rows, size_t samples, struct psa_iforest_tree *tree)
{
    for (size_t i = 0; i < samples; i++) /* the first steps of a Fisher-Yates shuffle: a sample without replacement */
        swap_index(&grower->index[i], &grower->index[i + (size_t)psa_random_below(&grower->random, n_rows - i)]);
    grower->n_node = 0;
    grow(grower, 0, samples, 0);
    tree->n = grower->n_node;
    tree->node = malloc(tree->n * sizeof *tree->node);
    if (tree->node == NULL) return -1;
    memcpy(tree->node, grower->node, tree->n * sizeof *tree->node);
    return 0;
}

static int grow_forest(struct psa_iforest *forest, struct grower *grower, size_t n_rows,
                       const struct psa_iforest_training *training)
{
    if (forest->tree == NULL || grower->index == NULL || grower->feature == NULL || grower->node == NULL) return -1;
    for (size_t i = 0; i < n_rows; i++) grower->index[i] = (uint32_t)i;
    for (size_t j = 0; j < grower->n_features; j++) grower->feature[j] = (uint32_t)j;
    psa_random_seed(&grower->random, training->seed);
    for (size_t t = 0; t < training->trees; t++) {
        if (grow_tree(grower, n_rows, forest->max_samples, &forest->tree[t]) != 0) return -1;
        if (training->progress != NULL) training->progress(training->progress_ctx, t + 1, training->trees);
    }
    return 0;
}

int psa_iforest_train(struct psa_iforest *forest, const float *rows, size_t n_rows, size_t n_features,
                      const struct psa_iforest_training *training)
{
    size_t samples = training->samples < n_rows ? training->samples : n_rows;
    struct grower grower = { .rows = rows, .n_features = n_features, .max_depth = depth_limit(samples) };
    int status;

    *forest = (struct psa_iforest){ training->trees, n_features, samples, NULL };
    forest->tree = calloc(training->trees, sizeof *forest->tree);
    grower.index = malloc(n_rows * sizeof *grower.index);
    grower.feature = malloc(n_features * sizeof *grower.feature);
    grower.node = malloc(2 * samples * sizeof *grower.node); /* a binary tree of n leaves has 2n - 1 nodes */
    status = grow_forest(forest, &grower, n_rows, training);
    free(grower.index);
    free(grower.feature);
    free(grower.node);
    if (status != 0) psa_iforest_free(forest);
    return status;
}

void psa_iforest_free(struct psa_iforest *forest)
{
    for (size_t t = 0; forest->tree != NULL && t < forest->n_trees; t++) free(forest->tree[t].node);
    free(forest->tree);
    *forest = (struct psa_iforest){ .n_trees = 0 };
}

/* ---- checking ------------------------------------------------------------------------------------------------- */

/* A child comes after its parent and has one parent only: so there is no cycle, and a tree is a tree. */
static const char *check_node(const struct psa_iforest *forest, const struct psa_iforest_tree *tree, size_t i,
                              unsigned char *has_parent)
{
    const struct psa_iforest_node *node = &tree->node[i];
    int32_t child[2] = { node->left, node->right };

    if (node->n_samples < 1 || (size_t)node->n_samples > PSA_IFOREST_SAMPLES_MAX)
        return "n_node_samples is out of range";
    if (node->left == -1 && node->right == -1) return NULL;
    if (node->feature < 0 || (size_t)node->feature >= forest->n_features)
        return "a node splits on a feature that the model does not have";
    if (!isfinite(node->threshold)) return "a threshold is no number";
    for (int side = 0; side < 2; side++) {
        if (child[side] < 0 || (size_t)child[side] <= i || (size_t)child[side] >= tree->n)
            return "a child is out of range";
        if (has_parent[child[side]]++ != 0) return "a node has two parents";
    }
    return NULL;
}

static const char *check_tree(const struct psa_iforest *forest, const struct psa_iforest_tree *tree)
{
    const char *wrong = NULL;
    unsigned char *has_parent;

    if (tree->n < 1 || tree->n > PSA_IFOREST_NODES_MAX) return "a tree has no nodes or too many";
    has_parent = calloc(tree->n, 1);
    if (has_parent == NULL) return "memory is out";
    for (size_t i = 0; i < tree->n && wrong == NULL; i++) {
        wrong = check_node(forest, tree, i, has_parent);
        if (wrong == NULL && i > 0 && !has_parent[i]) wrong = "a node has no parent";
    }
    free(has_parent);
    return wrong;
}

const char *psa_iforest_check(const struct psa_iforest *forest)
{
    const char *wrong = NULL;

    if (forest->n_features < 1 || forest->n_features > PSA_IFOREST_FEATURES_MAX)
        return "the number of features is out of range";
    if (forest->n_trees < 1 || forest->n_trees > PSA_IFOREST_TREES_MAX) return "the number of trees is out of range";
    if (forest->max_samples < 2 || forest->max_samples > PSA_IFOREST_SAMPLES_MAX) return "max_samples is out of range";
    for (size_t t = 0; t < forest->n_trees && wrong == NULL; t++) wrong = check_tree(forest, &forest->tree[t]);
    return wrong;
}

/* ---- the compact form ------------------------------------------------------------------------------------------- */

/* The largest float that is not above t. */
static float float_not_above(double t)
{
    float nearest = (float)t;

    return (double)nearest > t ? nextafterf(nearest, -INFINITY) : nearest;
}

/*
 * Lay one tree out breadth first, so that children are adjacent and the cells every row visits share cache lines.
 * origin[i] is the stored node that cell i stands for. Returns the depth of the tree.
 */
static uint32_t compile_tree(const struct psa_iforest_tree *tree, struct psa_iforest_cell *cell, uint32_t *origin)
{
    uint32_t n = 1, level_end = 1, depth = 0;

    origin[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct psa_iforest_node *node = &tree->node[origin[i]];

        if (i == level_end) {
            depth++;
            level_end = n;
        }
        cell[i].expected = depth + psa_iforest_average_path((size_t)node->n_samples);
        if (node->left < 0) {
            cell[i].threshold = INFINITY; /* every float goes left, and left is the leaf itself */
            cell[i].link = i << FEATURE_BITS;
            continue;
        }
        cell[i].threshold = float_not_above(node->threshold);
        cell[i].link = n << FEATURE_BITS | (uint32_t)node->feature;
        origin[n++] = (uint32_t)node->left;
        origin[n++] = (uint32_t)node->right;
    }
    return depth;
}

int psa_iforest_compile(struct psa_iforest_scorer *scorer, const struct psa_iforest *forest)
{
    size_t n_cell = 0, largest = 0, used = 0;
    uint32_t *origin;

    for (size_t t = 0; t < forest->n_trees; t++) {
        n_cell += forest->tree[t].n;
        largest = forest->tree[t].n > largest ? forest->tree[t].n : largest;
    }
    *scorer = (struct psa_iforest_scorer){ .n_trees = forest->n_trees, .n_features = forest->n_features };
    scorer->norm = (double)forest->n_trees * psa_iforest_average_path(forest->max_samples);
    scorer->root = malloc((forest->n_trees + 1) * sizeof *scorer->root);
    scorer->depth = malloc((forest->n_trees + 1) * sizeof *scorer->depth);
    scorer->cell = malloc((n_cell + 1) * sizeof *scorer->cell);
    origin = malloc((largest + 1) * sizeof *origin);
    if (scorer->root == NULL || scorer->depth == NULL || scorer->cell == NULL || origin == NULL) {
        psa_iforest_scorer_free(scorer);
        free(origin);
        return -1;
    }
    for (size_t t = 0; t < forest->n_trees; t++) {
        scorer->root[t] = used;
        scorer->depth[t] = compile_tree(&forest->tree[t], scorer->cell + used, origin);
        used += forest->tree[t].n;
    }
    free(origin);
    return 0;
}

void psa_iforest_scorer_free(struct psa_iforest_scorer *scorer)
{
    free(scorer->root);
    free(scorer->depth);
    free(scorer->cell);
    *scorer = (struct psa_iforest_scorer){ .n_trees = 0 };
}

/* The cell that follows. */
static inline const struct psa_iforest_cell *step(const struct psa_iforest_cell *root,
                                                  const struct psa_iforest_cell *at, const float *row)
{
    return root + (at->link >> FEATURE_BITS) + (row[at->link & FEATURE_MASK] > at->threshold);
}

/* Walk n (at most LANES) trees, `first` and those behind it, from their roots to their leaves; credit every step when contribution is wanted. */
static inline void walk(const struct psa_iforest_scorer *scorer, size_t first, size_t n, const float *row,
                        double *contribution, const struct psa_iforest_cell **at)
{
    const struct psa_iforest_cell *root[LANES];
    uint32_t steps = 0;

    for (size_t lane = 0; lane < n; lane++) {
        at[lane] = root[lane] = scorer->cell + scorer->root[first + lane];
        steps = scorer->depth[first + lane] > steps ? scorer->depth[first + lane] : steps;
    }
    while (steps-- > 0) {
        for (size_t lane = 0; lane < n; lane++) {
            const struct psa_iforest_cell *next = step(root[lane], at[lane], row);

            if (contribution != NULL)
                contribution[at[lane]->link & FEATURE_MASK] += at[lane]->expected - next->expected;
            at[lane] = next;
        }
    }
}

double psa_iforest_score(const struct psa_iforest_scorer *scorer, const float *row, double *contribution)
{
    const struct psa_iforest_cell *at[LANES];
    double path = 0.0;

    if (contribution != NULL) memset(contribution, 0, scorer->n_features * sizeof *contribution);
    for (size_t t = 0; t < scorer->n_trees; t += LANES) {
        size_t n = scorer->n_trees - t < LANES ? scorer->n_trees - t : LANES;

        if (n < LANES) walk(scorer, t, n, row, contribution, at);
        else if (contribution != NULL) walk(scorer, t, LANES, row, contribution, at);
        else walk(scorer, t, LANES, row, NULL, at);
        for (size_t lane = 0; lane < n; lane++) path += at[lane]->expected;
    }
    return -exp2(-path / scorer->norm);
}
