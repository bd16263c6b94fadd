/*
 * half_space_trees.h - streaming half-space trees: how empty was the neighbourhood of a row lately?
 *
 * S. C. Tan, K. M. Ting, T. F. Liu, "Fast Anomaly Detection for Streaming Data", IJCAI 2011, pp. 1511-1516, DOI
 * 10.5591/978-1-57735-516-8/IJCAI11-254. A tree is a full binary tree of a given depth, made before any row is counted:
 * each node halves the work range of a column drawn at random. Columns are scaled by their least and greatest value of
 * the warm-up to 0 .. 1, and per tree and column the work range is (section 4, Algorithm 1)
 *
 *     s - 2 max(s, 1 - s) .. s + 2 max(s, 1 - s),   s uniform in 0 .. 1
 *
 * Every node counts the rows that fall into its half-space: r those of the reference window, l those of the latest one.
 * When `window` rows are counted, l becomes r and begins anew. A row is sought in each tree down to the first node with
 * r at most a tenth of the reference window (the paper's sizeLimit) or a leaf, k being its depth. Of n rows in the
 * reference window, spread evenly over the work range, r 2^k would be n there: r 2^k / n is a density. So
 *
 *     raw = mean over the trees of log2((1 + n) / (1 + r 2^k))
 *
 * is in bits: 0 is the density of rows spread evenly, -7 a place 128 times as dense, log2(1 + n) one that is empty in
 * all trees.
 *
 * A step from a parent to its child is worth log2((r_parent + 1) / (2 (r_child + 1))) bits and is credited to the
 * column that decided it: positive where the child holds less than half.
 *
 * psa differs from the paper in four points. The paper adds r 2^k over the trees, low for an anomaly, so that the one
 * tree with the fullest node decides; the mean of logarithms hears all of them, and hangs much less on the seed. Rows
 * during an alarm are not counted, so that a fault does not become the reference. A missing value goes to the fuller
 * child, so that it is no surprise. A column that is missing throughout the warm-up is never drawn. (A column that is
 * constant throughout the warm-up counts as one of width 1.)
 *
 * The trees follow from the seed: node i (root 0, children 2 i + 1 and 2 i + 2) of tree t divides the column that
 * psa_half_space_trees_draw(seed, t, i, columns) names, so no node stores it. Memory: trees (2^(depth+1) - 1) 4 + 16
 * trees columns bytes, 51 kB with 25 trees of depth 8, and 8 warmup (columns + 1) until the warm-up is over. Time:
 * O(trees (depth + columns)) a row; every `window` rows the counts move, O(trees 2^depth).
 */
#ifndef PSA_MODEL_HALF_SPACE_TREES_H
#define PSA_MODEL_HALF_SPACE_TREES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/warmup_rows.h"

#define PSA_HALF_SPACE_DEPTH_MAX 20
#define PSA_HALF_SPACE_TREES_MAX 1000
#define PSA_HALF_SPACE_LEAVES_MAX (1 << 20) /* trees times 2^depth: 8 MiB a stream */
#define PSA_HALF_SPACE_WINDOW_MAX 65535     /* counts are 16 bits wide */

struct psa_half_space_options {
    size_t trees, depth; /* 1 .. their maxima, trees 2^depth at most PSA_HALF_SPACE_LEAVES_MAX */
    size_t window;       /* rows, 1 .. PSA_HALF_SPACE_WINDOW_MAX */
    size_t warmup;       /* rows that the ranges are learned from, at least 2 */
    uint64_t seed;
    bool freeze; /* the reference window stays the warm-up's last */
};

struct psa_half_space_trees {
    struct psa_half_space_options options;
    size_t n_columns;
    bool scoring;       /* the warm-up is over */
    double *low, *high; /* [n_columns], of the warm-up's values; NaN: none */
    size_t *usable;     /* [n_usable], the columns that may be drawn */
    size_t n_usable, n_nodes;
    double *from, *to;            /* [trees][n_columns], work ranges in units of the columns */
    uint16_t *reference, *latest; /* [trees][n_nodes]: r and l */
    size_t n_reference, n_latest; /* rows counted in them */
    double *at_from, *at_to;      /* [n_columns], the half-space on the way down */
    double *newest;               /* [n_columns], the row that is to be judged */
    bool pending;                 /* it is */
    struct psa_warmup_rows rows;  /* the warm-up's so far; later only how many */
    double *learned;              /* [warmup], the scores of the warm-up's rows, until the next update; or NULL */
};

/* 0, or -1 when memory is out. The struct owns its arrays. */
int psa_half_space_trees_init(struct psa_half_space_trees *trees, const struct psa_half_space_options *options,
                              size_t n_columns);
void psa_half_space_trees_free(struct psa_half_space_trees *trees);

/*
 * Take in the next row of n_columns values, NaN for a missing one. *raw becomes its score, NaN in the warm-up, whose last row
 * leaves the scores of all in trees->learned. contribution (NULL: not wanted) [n_columns] becomes the bits that each column
 * is worth, summed over the trees. 0, or -1 when memory is out, which can only be in the warm-up.
 */
int psa_half_space_trees_update(struct psa_half_space_trees *trees, const double *row, double *contribution,
                                double *raw);

/* That row's verdict: is the alarm on? It is counted unless it is. */
void psa_half_space_trees_judged(struct psa_half_space_trees *trees, bool alarm);

/* Which of n things does node `node` of tree `tree` draw? */
size_t psa_half_space_trees_draw(uint64_t seed, size_t tree, size_t node, size_t n);

/* Make a fresh one ready to score: low and high are set, the counts are to be filled. 0, or -1 when memory is out. */
int psa_half_space_trees_grow(struct psa_half_space_trees *trees);

#endif
