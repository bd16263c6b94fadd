/* half_space_trees.c - see half_space_trees.h. */
#include "model/half_space_trees.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/random.h"

#define SIZE_LIMIT 10 /* a node with at most one in so many of the reference window's rows is not divided further */

int psa_half_space_trees_init(struct psa_half_space_trees *trees, const struct psa_half_space_options *options,
                              size_t n_columns)
{
    *trees = (struct psa_half_space_trees){ .options = *options, .n_columns = n_columns };
    psa_warmup_rows_init(&trees->rows, n_columns, options->warmup);
    trees->n_nodes = ((size_t)2 << options->depth) - 1;
    trees->low = calloc(n_columns + 1, sizeof *trees->low);
    trees->high = calloc(n_columns + 1, sizeof *trees->high);
    trees->usable = calloc(n_columns + 1, sizeof *trees->usable);
    trees->at_from = calloc(n_columns + 1, sizeof *trees->at_from);
    trees->at_to = calloc(n_columns + 1, sizeof *trees->at_to);
    trees->newest = calloc(n_columns + 1, sizeof *trees->newest);
    if (trees->low == NULL || trees->high == NULL || trees->usable == NULL || trees->at_from == NULL ||
        trees->at_to == NULL || trees->newest == NULL) {
        psa_half_space_trees_free(trees);
        return -1;
    }
    return 0;
}

void psa_half_space_trees_free(struct psa_half_space_trees *trees)
{
    free(trees->low);
    free(trees->high);
    free(trees->usable);
    free(trees->from);
    free(trees->to);
    free(trees->reference);
    free(trees->latest);
    free(trees->at_from);
    free(trees->at_to);
    free(trees->newest);
    psa_warmup_rows_free(&trees->rows);
    free(trees->learned);
    *trees = (struct psa_half_space_trees){ .n_columns = 0 };
}

/* ---- the trees -------------------------------------------------------------------------------------------------------- */

size_t psa_half_space_trees_draw(uint64_t seed, size_t tree, size_t node, size_t n)
{
    struct psa_random random;

    /* A node's own sequence: the low half of the number is the node, the rest the tree, so no two are alike. */
    psa_random_seed(&random, seed ^ ((uint64_t)(tree + 1) << 32 | (uint64_t)node));
    return (size_t)psa_random_below(&random, n);
}

/* Work ranges of the columns, tree by tree, drawn in this order whichever columns are usable. */
static void draw_ranges(struct psa_half_space_trees *trees)
{
    struct psa_random random;

    psa_random_seed(&random, trees->options.seed);
    for (size_t i = 0; i < trees->options.trees * trees->n_columns; i++) {
        double s = psa_random_uniform(&random), reach = 2.0 * fmax(s, 1.0 - s);
        double low = trees->low[i % trees->n_columns], width = trees->high[i % trees->n_columns] - low;

        if (width == 0.0) width = 1.0;
        trees->from[i] = low + (s - reach) * width;
        trees->to[i] = low + (s + reach) * width;
    }
}

int psa_half_space_trees_grow(struct psa_half_space_trees *trees)
{
    size_t n = trees->options.trees, ranges = n * trees->n_columns + 1;

    trees->from = calloc(ranges, sizeof *trees->from);
    trees->to = calloc(ranges, sizeof *trees->to);
    trees->reference = calloc(n * trees->n_nodes, sizeof *trees->reference);
    trees->latest = calloc(n * trees->n_nodes, sizeof *trees->latest);
    if (trees->from == NULL || trees->to == NULL || trees->reference == NULL || trees->latest == NULL) return -1;
    trees->n_usable = 0;
    for (size_t j = 0; j < trees->n_columns; j++) {
        /* Not of no value, nor of some so far apart that a work range would leave double. */
        if (isfinite(8.0 * (trees->high[j] - trees->low[j]))) trees->usable[trees->n_usable++] = j;
    }
    draw_ranges(trees);
    trees->scoring = true;
    return 0;
}

/* ---- the way down ----------------------------------------------------------------------------------------------------- */

static void at_root(struct psa_half_space_trees *trees, size_t tree)
{
    size_t size = trees->n_columns * sizeof *trees->from;

    memcpy(trees->at_from, trees->from + tree * trees->n_columns, size);
    memcpy(trees->at_to, trees->to + tree * trees->n_columns, size);
}

/* The child of a node that the row belongs to; *column divides it. */
static size_t step(struct psa_half_space_trees *trees, size_t tree, size_t node, const double *row, size_t *column)
{
    const uint16_t *mass = trees->reference + tree * trees->n_nodes;
    size_t left = 2 * node + 1;
    size_t j = trees->usable[psa_half_space_trees_draw(trees->options.seed, tree, node, trees->n_usable)];
    double middle = trees->at_from[j] + 0.5 * (trees->at_to[j] - trees->at_from[j]);
    bool is_left = isnan(row[j]) ? mass[left] >= mass[left + 1] : row[j] < middle;

    *column = j;
    if (!isnan(row[j])) *(is_left ? &trees->at_to[j] : &trees->at_from[j]) = middle;
    return is_left ? left : left + 1;
}

/* A row in one tree: r 2^k of the node where it ends. */
static double seek(struct psa_half_space_trees *trees, size_t tree, const double *row, double *contribution)
{
    const uint16_t *mass = trees->reference + tree * trees->n_nodes;
    size_t node = 0, k = 0, column;

    at_root(trees, tree);
    while (k < trees->options.depth && (size_t)mass[node] * SIZE_LIMIT > trees->n_reference) {
        size_t child = step(trees, tree, node, row, &column);

        if (contribution != NULL) contribution[column] += log2((mass[node] + 1.0) / (2.0 * (mass[child] + 1.0)));
        node = child;
        k++;
    }
    return ldexp((double)mass[node], (int)k);
}

static double score_row(struct psa_half_space_trees *trees, const double *row, double *contribution)
{
    double sum = 0.0, even = 1.0 + (double)trees->n_reference;

    if (trees->n_usable == 0) return NAN;
    for (size_t t = 0; t < trees->options.trees; t++) sum += log2(even / (1.0 + seek(trees, t, row, contribution)));
    return sum / (double)trees->options.trees;
}

static void count_row(struct psa_half_space_trees *trees, const double *row, uint16_t *counts)
{
    if (trees->n_usable == 0) return;
    for (size_t t = 0; t < trees->options.trees; t++) {
        uint16_t *count = counts + t * trees->n_nodes;
        size_t node = 0, column;

        at_root(trees, t);
        count[0]++;
        for (size_t k = 0; k < trees->options.depth; k++) {
            node = step(trees, t, node, row, &column);
            count[node]++;
        }
    }
}

/* ---- the warm-up ------------------------------------------------------------------------------------------------------ */

static void learn_ranges(struct psa_half_space_trees *trees)
{
    for (size_t j = 0; j < trees->n_columns; j++) {
        trees->low[j] = trees->high[j] = NAN;
        for (size_t i = 0; i < trees->rows.n; i++) {
            double x = psa_warmup_row(&trees->rows, i)[j];

            trees->low[j] = fmin(trees->low[j], x); /* of a NaN and a number, the number */
            trees->high[j] = fmax(trees->high[j], x);
        }
    }
}

/* The warm-up is over: make the trees, count its last rows, score all of them. */
static int begin(struct psa_half_space_trees *trees)
{
    size_t window = trees->rows.n < trees->options.window ? trees->rows.n : trees->options.window;

    trees->learned = malloc(trees->rows.n * sizeof *trees->learned);
    if (trees->learned == NULL) return -1;
    learn_ranges(trees);
    if (psa_half_space_trees_grow(trees) != 0) return -1;
    for (size_t i = trees->rows.n - window; i < trees->rows.n; i++)
        count_row(trees, psa_warmup_row(&trees->rows, i), trees->reference);
    trees->n_reference = window;
    for (size_t i = 0; i < trees->rows.n; i++)
        trees->learned[i] = score_row(trees, psa_warmup_row(&trees->rows, i), NULL);
    psa_warmup_rows_free(&trees->rows);
    return 0;
}

/* ---- rows in ---------------------------------------------------------------------------------------------------------- */

int psa_half_space_trees_update(struct psa_half_space_trees *trees, const double *row, double *contribution,
                                double *raw)
{
    free(trees->learned);
    trees->learned = NULL;
    *raw = NAN;
    for (size_t j = 0; contribution != NULL && j < trees->n_columns; j++) contribution[j] = 0.0;
    if (!trees->scoring) {
        if (psa_warmup_rows_add(&trees->rows, row) != 0) return -1;
        return trees->rows.n == trees->options.warmup ? begin(trees) : 0;
    }
    *raw = score_row(trees, row, contribution);
    /* What a missing column earned on the way to the fuller child is no finding. */
    for (size_t j = 0; contribution != NULL && j < trees->n_columns; j++) {
        if (isnan(row[j])) contribution[j] = 0.0;
    }
    memcpy(trees->newest, row, trees->n_columns * sizeof *row);
    trees->pending = true;
    return 0;
}

void psa_half_space_trees_judged(struct psa_half_space_trees *trees, bool alarm)
{
    uint16_t *counted = trees->latest;

    if (!trees->pending) return;
    trees->pending = false;
    if (alarm || trees->options.freeze) return;
    count_row(trees, trees->newest, trees->latest);
    if (++trees->n_latest < trees->options.window) return;
    trees->latest = trees->reference;
    trees->reference = counted;
    trees->n_reference = trees->n_latest;
    trees->n_latest = 0;
    memset(trees->latest, 0, trees->options.trees * trees->n_nodes * sizeof *trees->latest);
}
