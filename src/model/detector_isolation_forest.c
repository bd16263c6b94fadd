/*
 * detector_isolation_forest.c - the isolation forest (isolation_forest.h) as a detector that works by a model.
 *
 *     "parameters":{"max_samples":256,
 *                   "trees":[{"children_left":[..],"children_right":[..],"feature":[..],"n_node_samples":[..],
 *                             "threshold":[..]},..]}
 *
 * are the arrays of scikit-learn's trees, node after node; valid where psa_iforest_check has nothing against them. The
 * oriented raw score is -score_samples: about 0.5 and below for ordinary rows, towards 1 for odd ones.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "core/error.h"
#include "model/detector.h"
#include "model/isolation_forest.h"
#include "model/model_file.h"

#define OWN_THRESHOLD \
    0.5 /* scikit-learn's contamination="auto": the score of a row as long to isolate as the average */
#define PROGRESS_ROWS 10000 /* between two signs of life */

enum { LEFT, RIGHT, FEATURE, SAMPLES, THRESHOLD, TREE_COLUMNS };

static const char *const column_names[TREE_COLUMNS] = { "children_left", "children_right", "feature", "n_node_samples",
                                                        "threshold" };

/* At work. */
struct state {
    struct psa_iforest_scorer scorer;
    float *input; /* [n_columns], the row as scikit-learn sees it */
};

/* ---- at work -------------------------------------------------------------------------------------------------------- */

static void stop(struct psa_detector *detector)
{
    struct state *state = detector->state;

    if (state == NULL) return;
    psa_iforest_scorer_free(&state->scorer);
    free(state->input);
    free(state);
    detector->state = NULL;
}

static int start(struct psa_detector *detector, struct psa_error *error)
{
    struct state *state = calloc(1, sizeof *state);

    detector->state = state;
    if (state != NULL) state->input = calloc(detector->n_columns + 1, sizeof *state->input);
    if (state != NULL && state->input != NULL && psa_iforest_compile(&state->scorer, detector->model->parameters) == 0)
        return 0;
    stop(detector);
    return psa_fail_memory(error, "loading the model");
}

static int update(struct psa_detector *detector, const double *row, int64_t time_ns, double *raw)
{
    struct state *state = detector->state;

    (void)time_ns;
    for (size_t j = 0; j < detector->n_columns; j++) state->input[j] = (float)row[j];
    *raw = -psa_iforest_score(&state->scorer, state->input, detector->contribution);
    return 0;
}

/* ---- training ------------------------------------------------------------------------------------------------------- */

static void show_trees(void *ctx, size_t done, size_t total)
{
    const struct psa_training *training = ctx;

    if (training->progress != NULL) training->progress(training->progress_ctx, "growing tree", done, total);
}

static int score_rows(const struct psa_iforest *forest, const struct psa_training *training, const float *rows,
                      double *scores)
{
    struct psa_iforest_scorer scorer;

    if (psa_iforest_compile(&scorer, forest) != 0) return -1;
    for (size_t i = 0; i < training->n_rows; i++) {
        scores[i] = -psa_iforest_score(&scorer, rows + i * training->n_columns, NULL);
        if (training->progress != NULL && i % PROGRESS_ROWS == 0)
            training->progress(training->progress_ctx, "scoring row", i, training->n_rows);
    }
    psa_iforest_scorer_free(&scorer);
    return 0;
}

/* Trees split by single precision, as scikit-learn's do. */
static int check_range(const struct psa_model *model, const struct psa_training *training, struct psa_error *error)
{
    size_t n = training->n_columns;

    for (size_t k = 0; k < training->n_rows * n; k++)
        if (!(fabs(training->rows[k]) <= (double)FLT_MAX))
            return psa_fail(
                error, PSA_EXIT_PERMANENT,
                "feature %.*s has a value beyond 3.4e38, where the single precision of the trees ends; leave "
                "out its record",
                (int)model->feature[k % n].n, model->feature[k % n].p);
    return 0;
}

static int train(struct psa_model *model, const struct psa_training *training, double *scores, struct psa_error *error)
{
    const struct psa_detector_settings *settings = training->settings;
    struct psa_training shown = *training; /* for show_trees, whose context is not const */
    struct psa_iforest_training growing = { (size_t)settings->trees, (size_t)settings->samples,
                                            (uint64_t)settings->seed, show_trees, &shown };
    size_t n = training->n_rows * training->n_columns;
    struct psa_iforest *forest;
    float *rows;
    int status = -1;

    if (check_range(model, training, error) != 0) return -1;
    forest = calloc(1, sizeof *forest);
    rows = malloc((n + 1) * sizeof *rows);
    model->parameters = forest;
    for (size_t i = 0; rows != NULL && i < n; i++) rows[i] = (float)training->rows[i];
    if (forest != NULL && rows != NULL &&
        psa_iforest_train(forest, rows, training->n_rows, training->n_columns, &growing) == 0)
        status = score_rows(forest, training, rows, scores);
    free(rows);
    model->threshold = OWN_THRESHOLD;
    return status == 0 ? 0 : psa_fail_memory(error, "growing the forest");
}

/* ---- as JSON -------------------------------------------------------------------------------------------------------- */

static void write_tree(const struct psa_iforest_tree *tree, struct psa_buf *out)
{
    for (size_t c = 0; c < TREE_COLUMNS; c++) {
        psa_buf_name(out, column_names[c]);
        psa_buf_puts(out, "[");
        for (size_t i = 0; i < tree->n; i++) {
            const struct psa_iforest_node *node = &tree->node[i];
            const int32_t whole_number[] = { node->left, node->right, node->feature, node->n_samples };

            psa_buf_comma(out);
            if (c < THRESHOLD) psa_buf_int(out, whole_number[c]);
            else psa_buf_number(out, node->threshold);
        }
        psa_buf_puts(out, "]");
    }
}

static void write_parameters(const struct psa_model *model, struct psa_buf *out)
{
    const struct psa_iforest *forest = model->parameters;

    psa_buf_member_int(out, "max_samples", (int64_t)forest->max_samples);
    psa_buf_name(out, "trees");
    psa_buf_puts(out, "[");
    for (size_t t = 0; t < forest->n_trees; t++) {
        psa_buf_comma(out);
        psa_buf_puts(out, "{");
        write_tree(&forest->tree[t], out);
        psa_buf_puts(out, "}");
    }
    psa_buf_puts(out, "]");
}

/* The next array into the tree's nodes: the first one read says how many there are, and the others must be as long. */
static void read_column(struct psa_iforest_tree *tree, size_t column, struct psa_json *in)
{
    size_t i = 0;

    if (tree->node == NULL) {
        tree->n = psa_model_items(in, PSA_IFOREST_NODES_MAX);
        if (tree->n <= PSA_IFOREST_NODES_MAX) tree->node = calloc(tree->n + 1, sizeof *tree->node);
        if (tree->node == NULL) {
            psa_json_refuse(in, tree->n > PSA_IFOREST_NODES_MAX ? "a tree has more nodes than the limit of 1048576"
                                                                : "memory is out");
            return;
        }
    }
    psa_json_enter_array(in);
    for (; psa_json_next_item(in); i++) {
        struct psa_iforest_node *node = &tree->node[i];
        int32_t *const place[] = { &node->left, &node->right, &node->feature, &node->n_samples };

        if (i == tree->n) psa_json_refuse(in, "the arrays of a tree differ in length");
        else if (column == THRESHOLD) node->threshold = psa_model_number(in);
        else *place[column] = (int32_t)psa_model_count(in, INT32_MIN, INT32_MAX);
    }
    if (i < tree->n) psa_json_refuse(in, "the arrays of a tree differ in length");
}

static void read_tree(struct psa_iforest_tree *tree, struct psa_json *in)
{
    unsigned seen = 0;
    struct psa_str name;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        size_t c = 0;

        while (c < TREE_COLUMNS && !psa_str_eq(name, column_names[c])) c++;
        if (c == TREE_COLUMNS) psa_json_refuse(in, "a tree has a member that none should have");
        else if (seen & 1U << c) psa_json_refuse(in, "a tree has a member twice");
        else read_column(tree, c, in);
        seen |= 1U << c;
    }
    if (in->fault.what == NULL && seen != (1U << TREE_COLUMNS) - 1)
        psa_json_refuse(in, "a tree lacks one of its arrays");
}

static bool read_trees(struct psa_iforest *forest, struct psa_json *in)
{
    size_t n = psa_model_items(in, PSA_IFOREST_TREES_MAX);

    if (n > PSA_IFOREST_TREES_MAX) return psa_json_refuse(in, "more trees than the limit of 10000");
    forest->tree = calloc(n + 1, sizeof *forest->tree);
    if (forest->tree == NULL) return psa_json_refuse(in, "memory is out");
    psa_json_enter_array(in);
    while (psa_json_next_item(in) && forest->n_trees < n) read_tree(&forest->tree[forest->n_trees++], in);
    return in->fault.what == NULL;
}

static bool read_parameter(struct psa_model *model, struct psa_str name, struct psa_json *in)
{
    struct psa_iforest *forest = model->parameters;

    if (forest == NULL) {
        forest = model->parameters = calloc(1, sizeof *forest);
        if (forest == NULL) return psa_json_refuse(in, "memory is out");
        forest->n_features = model->n_features;
    }
    if (psa_str_eq(name, "trees")) return read_trees(forest, in);
    if (!psa_str_eq(name, "max_samples")) return false;
    forest->max_samples = (size_t)psa_model_count(in, 2, PSA_IFOREST_SAMPLES_MAX);
    return in->fault.what == NULL;
}

static const char *check(struct psa_model *model)
{
    const struct psa_iforest *forest = model->parameters;

    if (forest == NULL || forest->max_samples == 0) return "max_samples is missing";
    if (forest->tree == NULL) return "trees are missing";
    return psa_iforest_check(forest);
}

static void drop(struct psa_model *model)
{
    psa_iforest_free(model->parameters);
    free(model->parameters);
    model->parameters = NULL;
}

static void describe(const struct psa_model *model, struct psa_buf *out)
{
    const struct psa_iforest *forest = model->parameters;
    size_t nodes = 0;

    for (size_t t = 0; t < forest->n_trees; t++) nodes += forest->tree[t].n;
    psa_buf_puts(out, "a forest of ");
    psa_buf_int(out, (int64_t)forest->n_trees);
    psa_buf_puts(out, " trees, each grown from ");
    psa_buf_int(out, (int64_t)forest->max_samples);
    psa_buf_puts(out, " rows (");
    psa_buf_int(out, (int64_t)nodes);
    psa_buf_puts(out, " nodes), seed ");
    psa_buf_int(out, model->seed);
    psa_buf_puts(out, "\n");
}

const struct psa_detector_type psa_isolation_forest_detector = {
    .name = "isolation-forest",
    .prefix = "iforest",
    .summary = "rows that few random splits part from all others",
    .traits = PSA_DETECTOR_TRAINS | PSA_DETECTOR_REVERSED,
    .on = NAN,
    .off = NAN,
    .start = start,
    .update = update,
    .stop = stop,
    .train = train,
    .write = write_parameters,
    .read = read_parameter,
    .check = check,
    .drop = drop,
    .describe = describe,
};
