/*
 * isolation_forest.h - isolation forest: training, exact scoring, and what drove a score.
 *
 * F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation Forest", ICDM 2008, DOI 10.1109/ICDM.2008.17, and "Isolation-Based Anomaly
 * Detection", ACM TKDD 6(1), 2012, DOI 10.1145/2133360.2133363. A tree splits a sample of the training rows at random
 * values of random features; the rows that few splits isolate are the odd ones. With h(x) the path length of x,
 *
 *     h(x) = edges from the root to the leaf + c(rows of the leaf)                        (2008, algorithm 3)
 *     c(n) = 2 (ln(n-1) + 0.5772...) - 2 (n-1)/n,   c(2) = 1,   c(1) = 0                    (2008, eq. 1)
 *     score = -2^(-mean over trees of h(x) / c(max_samples))                                (2008, eq. 2, its sign turned)
 *
 * Scores are those of scikit-learn's score_samples, its cast of the rows to float included: about -0.5 and above for
 * ordinary rows, towards -1 for odd ones.
 */
#ifndef PSA_MODEL_ISOLATION_FOREST_H
#define PSA_MODEL_ISOLATION_FOREST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits: features and tree nodes share one 32-bit word of the compact form (12 and 20 bits). */
#define PSA_IFOREST_FEATURES_MAX 4096
#define PSA_IFOREST_NODES_MAX (1 << 20)
#define PSA_IFOREST_TREES_MAX 10000
#define PSA_IFOREST_SAMPLES_MAX (1 << 19) /* a tree of n leaves has 2n - 1 nodes */

/* ---- the forest as it is trained and stored ------------------------------------------------------------------- */

struct psa_iforest_node {
    double threshold; /* go left iff (double)(float)x[feature] <= threshold */
    int32_t left;     /* index within the tree, greater than the node's own; -1: a leaf */
    int32_t right;
    int32_t feature;   /* -2 at leaves, as scikit-learn has it */
    int32_t n_samples; /* training rows of the subsample that reach the node */
};

struct psa_iforest_tree {
    struct psa_iforest_node *node; /* [n]; node 0 is the root */
    size_t n;
};

struct psa_iforest {
    size_t n_trees, n_features;
    size_t max_samples; /* rows each tree was grown from */
    struct psa_iforest_tree *tree;
};

struct psa_iforest_training {
    size_t trees, samples; /* samples is lowered to the number of rows */
    uint64_t seed;
    void (*progress)(void *ctx, size_t done, size_t total); /* after each tree; may be NULL */
    void *progress_ctx;
};

/*
 * Grow a forest from n_rows x n_features finite values, row after row. Each tree takes its rows without replacement and
 * grows to depth ceil(log2(samples)). 0, or -1 when memory is out. The forest owns its trees: psa_iforest_free.
 */
int psa_iforest_train(struct psa_iforest *forest, const float *rows, size_t n_rows, size_t n_features,
                      const struct psa_iforest_training *training);

/* Is it a forest that can be scored: every index in range, every tree a tree? NULL, or what is wrong. memory: needs n
 * bytes a tree for the check; "memory is out" is a possible answer. */
const char *psa_iforest_check(const struct psa_iforest *forest);

void psa_iforest_free(struct psa_iforest *forest);

/* c(n): the mean path length of an unsuccessful search in a binary search tree of n rows. */
double psa_iforest_average_path(size_t n);

/* ---- the compact form that scores ------------------------------------------------------------------------------- */

struct psa_iforest_cell {
    double expected; /* edges so far + c(n): the path length to expect here; at a leaf the path length itself */
    float threshold; /* rounded down to float: see isolation_forest.c for why the comparison stays exact */
    uint32_t link;   /* children << 12 | feature; the right child follows the left. A leaf leads to itself. */
};

struct psa_iforest_scorer {
    size_t n_trees, n_features;
    size_t *root;    /* [n_trees], indices into cell */
    uint32_t *depth; /* [n_trees] */
    struct psa_iforest_cell *cell;
    double norm; /* n_trees * c(max_samples) */
};

/* Make the compact form of a checked forest, which may then be freed. 0, or -1 when memory is out. */
int psa_iforest_compile(struct psa_iforest_scorer *scorer, const struct psa_iforest *forest);
void psa_iforest_scorer_free(struct psa_iforest_scorer *scorer);

/*
 * Score one row of n_features values (no NaN). contribution (NULL: not wanted) has room for n_features and receives how
 * much each feature shortened the path, in edges summed over the trees: a step from parent to child is worth
 * c(n_parent) - (1 + c(n_child)) and is credited to the feature that decided it, so the contributions of a tree sum to
 * c(n_root) - h(x). Features that drove the score up are positive.
 */
double psa_iforest_score(const struct psa_iforest_scorer *scorer, const float *row, double *contribution);

#endif
