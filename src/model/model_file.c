/*
 * model_file.c - see model_file.h. Reading keeps nothing of the text, never recurses on it, and bounds every array before
 * it is filled.
 */
#include "model/model_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/json.h"

#define ID_PREFIX "iforest-"

/* ---- numbers as they come --------------------------------------------------------------------------------------- */

/* A growing array of numbers. */
struct column {
    double *value;
    size_t n, cap;
};

enum { LEFT, RIGHT, FEATURE, THRESHOLD, SAMPLES, TREE_COLUMNS };

/* A model in the making. */
struct reader {
    struct psa_json in;
    struct psa_model *model;
    struct column column[TREE_COLUMNS]; /* of the tree at hand, or any other array of numbers */
    size_t cap_trees;
    unsigned seen; /* members so far, a bit each */
    struct psa_str id_text;
    char id[PSA_MODEL_ID_MAX];
};

static bool column_add(struct psa_json *in, struct column *column, size_t most, double value)
{
    if (column->n == most) return psa_json_refuse(in, "an array is longer than its limit");
    if (column->n == column->cap) {
        size_t cap = column->cap > 0 ? 2 * column->cap : 512;
        double *grown = realloc(column->value, cap * sizeof *grown);

        if (grown == NULL) return psa_json_refuse(in, "memory is out");
        column->value = grown;
        column->cap = cap;
    }
    column->value[column->n++] = value;
    return true;
}

/* A finite number. */
static double read_number(struct psa_json *in)
{
    double value = psa_json_number(in);

    if (in->fault.what == NULL && !isfinite(value)) psa_json_refuse(in, "null where a number belongs");
    return value;
}

/* An array of at most `most` finite numbers. */
static bool read_column(struct psa_json *in, struct column *column, size_t most)
{
    column->n = 0;
    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (!column_add(in, column, most, read_number(in))) return false;
    }
    return in->fault.what == NULL;
}

/* An array of exactly n finite numbers into the arena. */
static double *read_array(struct reader *reader, size_t n)
{
    struct column *column = &reader->column[0];
    double *out;

    if (!read_column(&reader->in, column, n)) return NULL;
    if (column->n != n) {
        psa_json_refuse(&reader->in, "an array does not have an entry for every feature");
        return NULL;
    }
    out = psa_arena_take(&reader->model->arena, n * sizeof *out);
    if (out == NULL) psa_json_refuse(&reader->in, "memory is out");
    else memcpy(out, column->value, n * sizeof *out);
    return out;
}

/* A whole number of int32 from a column, or a fault. */
static int32_t whole(struct psa_json *in, double value)
{
    if (value < (double)INT32_MIN || value > (double)INT32_MAX || value != floor(value)) {
        psa_json_refuse(in, "a node's index or count is no whole number");
        return 0;
    }
    return (int32_t)value;
}

/* Which of n names it is; n when none. */
static size_t name_index(struct psa_str name, const char *const *names, size_t n)
{
    size_t i = 0;

    while (i < n && !psa_str_eq(name, names[i])) i++;
    return i;
}

/* ---- parts ------------------------------------------------------------------------------------------------------ */

static void read_features(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    struct psa_model *model = reader->model;
    struct psa_str *name = psa_arena_take(&model->arena, PSA_IFOREST_FEATURES_MAX * sizeof *name);

    if (name == NULL) {
        psa_json_refuse(in, "memory is out");
        return;
    }
    psa_json_enter_array(in);
    while (psa_json_next_item(in)) {
        struct psa_str text = psa_json_text(in);

        if (model->n_features == PSA_IFOREST_FEATURES_MAX) {
            psa_json_refuse(in, "more features than the limit of 4096");
            return;
        }
        if (in->fault.what != NULL) return;
        name[model->n_features++] = psa_arena_copy(&model->arena, text);
        if (name[model->n_features - 1].p == NULL) psa_json_refuse(in, "memory is out");
    }
    model->feature = name;
    if (in->fault.what == NULL && model->n_features == 0) psa_json_refuse(in, "it has no features");
}

static void read_scaler(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    struct psa_scaler *scaler = &reader->model->scaler;
    struct psa_str name, kind = { NULL, 0 };
    double *mean = NULL, *scale = NULL;
    size_t n = reader->model->n_features;
    bool identity;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "kind")) kind = psa_json_text(in);
        else if (psa_str_eq(name, "mean")) mean = read_array(reader, n);
        else if (psa_str_eq(name, "scale")) scale = read_array(reader, n);
        else psa_json_skip(in);
    }
    if (in->fault.what != NULL || scaler->mean != NULL) return;
    identity = psa_str_eq(kind, "none");
    if ((!identity && !psa_str_eq(kind, "standard")) || mean == NULL || (scale == NULL && !identity)) {
        psa_json_refuse(in, "its scaler is neither \"standard\" with mean and scale nor \"none\" with mean");
        return;
    }
    if (psa_scaler_init(scaler, n) != 0) {
        psa_json_refuse(in, "memory is out");
        return;
    }
    scaler->identity = identity;
    memcpy(scaler->mean, mean, n * sizeof *mean);
    for (size_t j = 0; !identity && j < n; j++) {
        scaler->scale[j] = scale[j];
        if (!(scale[j] > 0.0)) psa_json_refuse(in, "a scale is not above 0");
    }
}

/* The columns of the tree at hand become its nodes. */
static bool make_tree(struct reader *reader, struct psa_iforest_tree *tree)
{
    struct psa_json *in = &reader->in;
    const struct column *column = reader->column;

    for (size_t c = 1; c < TREE_COLUMNS; c++) {
        if (column[c].n != column[0].n) return psa_json_refuse(in, "the arrays of a tree differ in length");
    }
    if (column[0].n == 0) return psa_json_refuse(in, "a tree has no nodes");
    tree->node = malloc(column[0].n * sizeof *tree->node);
    if (tree->node == NULL) return psa_json_refuse(in, "memory is out");
    tree->n = column[0].n;
    for (size_t i = 0; i < tree->n; i++) {
        struct psa_iforest_node *node = &tree->node[i];

        node->left = whole(in, column[LEFT].value[i]);
        node->right = whole(in, column[RIGHT].value[i]);
        node->feature = whole(in, column[FEATURE].value[i]);
        node->n_samples = whole(in, column[SAMPLES].value[i]);
        node->threshold = column[THRESHOLD].value[i];
    }
    return in->fault.what == NULL;
}

static bool read_tree(struct reader *reader)
{
    static const char *const names[TREE_COLUMNS] = { "children_left", "children_right", "feature", "threshold",
                                                     "n_node_samples" };
    struct psa_json *in = &reader->in;
    struct psa_iforest *forest = &reader->model->forest;
    struct psa_str name;

    if (forest->n_trees == PSA_IFOREST_TREES_MAX) return psa_json_refuse(in, "more trees than the limit of 10000");
    if (forest->n_trees == reader->cap_trees) {
        size_t cap = reader->cap_trees > 0 ? 2 * reader->cap_trees : 128;
        struct psa_iforest_tree *grown = realloc(forest->tree, cap * sizeof *grown);

        if (grown == NULL) return psa_json_refuse(in, "memory is out");
        forest->tree = grown;
        reader->cap_trees = cap;
    }
    for (size_t c = 0; c < TREE_COLUMNS; c++) reader->column[c].n = 0;
    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        size_t which = name_index(name, names, TREE_COLUMNS);

        if (which == TREE_COLUMNS) psa_json_skip(in);
        else read_column(in, &reader->column[which], PSA_IFOREST_NODES_MAX);
    }
    if (in->fault.what != NULL) return false;
    forest->tree[forest->n_trees] = (struct psa_iforest_tree){ NULL, 0 };
    forest->n_trees++;
    return make_tree(reader, &forest->tree[forest->n_trees - 1]);
}

static void read_forest(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    struct psa_iforest *forest = &reader->model->forest;
    struct psa_str name;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "max_samples")) {
            int64_t samples = psa_json_int(in);

            forest->max_samples = samples > 0 && samples <= PSA_IFOREST_SAMPLES_MAX ? (size_t)samples : 0;
        } else if (psa_str_eq(name, "trees")) {
            psa_json_enter_array(in);
            while (psa_json_next_item(in) && read_tree(reader))
                ;
        } else {
            psa_json_skip(in);
        }
    }
}

/* [[a,b],..]: the pairs, one after another, in column 0. */
static bool read_pairs(struct reader *reader, size_t most)
{
    struct psa_json *in = &reader->in;
    struct column *column = &reader->column[0];

    column->n = 0;
    psa_json_enter_array(in);
    while (psa_json_next_item(in)) {
        size_t before = column->n;

        psa_json_enter_array(in);
        while (psa_json_next_item(in)) {
            if (!column_add(in, column, 2 * most, read_number(in))) return false;
        }
        if (in->fault.what == NULL && column->n != before + 2)
            return psa_json_refuse(in, "an entry is no pair of numbers");
    }
    return in->fault.what == NULL;
}

/* Column 0's pairs apart, into the arena. */
static bool take_pairs(struct reader *reader, double **first, double **second)
{
    size_t n = reader->column[0].n / 2;

    *first = psa_arena_take(&reader->model->arena, (n + 1) * sizeof **first);
    *second = psa_arena_take(&reader->model->arena, (n + 1) * sizeof **second);
    if (*first == NULL || *second == NULL) return psa_json_refuse(&reader->in, "memory is out");
    for (size_t i = 0; i < n; i++) {
        (*first)[i] = reader->column[0].value[2 * i];
        (*second)[i] = reader->column[0].value[2 * i + 1];
    }
    return true;
}

static void read_quantiles(struct reader *reader)
{
    struct psa_tail_table *table = &reader->model->reference;

    if (!read_pairs(reader, PSA_MODEL_QUANTILES_MAX) || !take_pairs(reader, &table->level, &table->score)) return;
    table->n = reader->column[0].n / 2;
    for (size_t i = 0; i < table->n; i++) {
        if (table->level[i] < 0.0 || table->level[i] > 1.0 ||
            (i > 0 && (table->level[i] <= table->level[i - 1] || table->score[i] < table->score[i - 1])))
            psa_json_refuse(&reader->in, "the reference's quantiles do not ascend");
    }
    if (table->n == 0) psa_json_refuse(&reader->in, "the reference has no quantiles");
}

static void read_reference(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    struct psa_tail_table *table = &reader->model->reference;
    struct psa_str name;
    bool start = false, scale = false;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "quantiles")) {
            read_quantiles(reader);
        } else if (psa_str_eq(name, "tail_start")) {
            table->tail.start = read_number(in);
            start = true;
        } else if (psa_str_eq(name, "tail_scale")) {
            table->tail.scale = read_number(in);
            scale = true;
        } else {
            psa_json_skip(in);
        }
    }
    if (in->fault.what == NULL && (!start || !scale || table->n == 0))
        psa_json_refuse(in, "its reference lacks quantiles, tail_start or tail_scale");
}

/* null leaves has_time as it is. */
static int64_t read_time(struct reader *reader)
{
    if (psa_json_peek(&reader->in) == 'n') {
        psa_json_skip(&reader->in);
        return 0;
    }
    reader->model->trained.has_time = true;
    return psa_json_int(&reader->in);
}

static void read_trained(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    struct psa_model_training *trained = &reader->model->trained;
    struct psa_str name;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "records")) trained->records = psa_json_int(in);
        else if (psa_str_eq(name, "from_ns")) trained->from_ns = read_time(reader);
        else if (psa_str_eq(name, "to_ns")) trained->to_ns = read_time(reader);
        else if (!psa_str_eq(name, "ranges")) psa_json_skip(in);
        else if (read_pairs(reader, PSA_IFOREST_FEATURES_MAX) && take_pairs(reader, &trained->low, &trained->high) &&
                 reader->column[0].n != 2 * reader->model->n_features)
            psa_json_refuse(in, "trained.ranges does not have an entry for every feature");
    }
    if (in->fault.what == NULL && trained->low == NULL) psa_json_refuse(in, "it lacks trained.ranges");
}

static void read_contamination(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    struct psa_model *model = reader->model;

    if (psa_json_peek(in) == '"') {
        model->contamination_auto = true;
        if (!psa_str_eq(psa_json_text(in), "auto"))
            psa_json_refuse(in, "contamination is neither a number nor \"auto\"");
        return;
    }
    model->contamination = read_number(in);
}

static void read_version(struct reader *reader)
{
    if (psa_json_int(&reader->in) != PSA_MODEL_VERSION)
        psa_json_refuse(&reader->in, "psa_model is not 1: it was made for another version of psa");
}

static void read_kind(struct reader *reader)
{
    if (!psa_str_eq(psa_json_text(&reader->in), "isolation-forest"))
        psa_json_refuse(&reader->in, "its kind is not \"isolation-forest\"");
}

static void read_id(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    const char *at = psa_json_space(in->p, in->end); /* the reader may still stand at white space */
    struct psa_str id = psa_json_text(in);

    if (in->fault.what != NULL) return;
    at = memchr(at, '"', (size_t)(in->p - at));
    if (id.n >= sizeof reader->id || at == NULL) {
        psa_json_refuse(in, "its id is no model's id");
        return;
    }
    memcpy(reader->id, id.p, id.n);
    reader->id_text = (struct psa_str){ at, (size_t)(in->p - at) };
}

static void read_threshold(struct reader *reader)
{
    reader->model->threshold = read_number(&reader->in);
}

static void read_seed(struct reader *reader)
{
    reader->model->seed = psa_json_int(&reader->in);
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*read)(struct reader *reader);
    bool needs_features, optional;
} members[] = {
    { "psa_model", read_version, false, false },
    { "kind", read_kind, false, false },
    { "id", read_id, false, false },
    { "features", read_features, false, false },
    { "scaler", read_scaler, true, false },
    { "contamination", read_contamination, false, false },
    { "threshold", read_threshold, false, false },
    { "forest", read_forest, false, false },
    { "reference", read_reference, false, false },
    { "trained", read_trained, true, false },
    { "seed", read_seed, false, true },
};
#define N_MEMBERS (sizeof members / sizeof *members)
#define FEATURES_BIT (1U << 3)

static void read_member(struct reader *reader, struct psa_str name)
{
    struct psa_json *in = &reader->in;

    for (size_t i = 0; i < N_MEMBERS; i++) {
        if (!psa_str_eq(name, members[i].name)) continue;
        if (reader->seen & 1U << i) psa_json_refuse(in, "a member appears twice");
        else if (members[i].needs_features && !(reader->seen & FEATURES_BIT))
            psa_json_refuse(in, "\"features\" comes behind what needs it");
        else members[i].read(reader);
        reader->seen |= 1U << i;
        return;
    }
    psa_json_skip(in);
}

/* FNV-1a 64 of a text, white space outside strings left out; *in_string is carried from piece to piece. */
static uint64_t hash_piece(uint64_t hash, const char *p, const char *end, bool *in_string)
{
    bool escaped = false;

    for (; p < end; p++) {
        if (!*in_string && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) continue;
        if (!escaped && *p == '"') *in_string = !*in_string;
        escaped = !escaped && *in_string && *p == '\\';
        hash = psa_hash(hash, p, 1);
    }
    return hash;
}

/* The id that belongs to a text whose id's value (quotes included) is `id`. */
static void make_id(struct psa_str text, struct psa_str id, char out[PSA_MODEL_ID_MAX])
{
    static const char digits[] = "0123456789abcdef";
    static const char no_id[] = "\"\"";
    uint64_t hash = PSA_HASH_START;
    bool in_string = false;

    hash = hash_piece(hash, text.p, id.p, &in_string);
    hash = hash_piece(hash, no_id, no_id + 2, &in_string);
    hash = hash_piece(hash, id.p + id.n, text.p + text.n, &in_string);
    memcpy(out, ID_PREFIX, sizeof ID_PREFIX - 1);
    for (size_t i = 0; i < 16; i++) out[sizeof ID_PREFIX - 1 + i] = digits[hash >> (60 - 4 * i) & 15];
    out[sizeof ID_PREFIX - 1 + 16] = '\0';
}

/* What no single member can tell. */
static int check_model(struct reader *reader, struct psa_str text, struct psa_error *error)
{
    struct psa_model *model = reader->model;
    const char *wrong;

    for (size_t i = 0; i < N_MEMBERS; i++) {
        if (!(reader->seen & 1U << i) && !members[i].optional)
            return psa_fail(error, PSA_EXIT_PERMANENT, "not a model: it has no \"%s\"", members[i].name);
    }
    model->forest.n_features = model->n_features;
    wrong = psa_iforest_check(&model->forest);
    if (wrong != NULL) return psa_fail(error, PSA_EXIT_PERMANENT, "not a model: forest: %s", wrong);
    make_id(text, reader->id_text, model->id);
    if (strcmp(model->id, reader->id) != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "model file was changed: its id is %s, its content gives %s",
                        reader->id, model->id);
    return 0;
}

int psa_model_read(struct psa_model *model, struct psa_str text, struct psa_error *error)
{
    struct reader reader = { .model = model };
    struct psa_json *in = &reader.in;
    struct psa_str name;
    int status = -1;

    *model = (struct psa_model){ .n_features = 0 };
    if (text.n > PSA_MODEL_BYTES_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "not a model: longer than the limit of 256 MiB");
    psa_json_open(in, text, &model->arena);
    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) read_member(&reader, name);
    if (psa_json_close(in)) status = check_model(&reader, text, error);
    else
        psa_fail(error, PSA_EXIT_PERMANENT, "not a model: byte %zu: %s",
                 in->fault.at != NULL ? (size_t)(in->fault.at - text.p) + 1 : text.n,
                 in->fault.what != NULL ? in->fault.what : "something follows it");
    for (size_t c = 0; c < TREE_COLUMNS; c++) free(reader.column[c].value);
    if (status != 0) psa_model_free(model);
    return status;
}

int psa_model_init(struct psa_model *model, const struct psa_str *feature, size_t n)
{
    *model = (struct psa_model){ .n_features = n };
    model->feature = psa_arena_take(&model->arena, n * sizeof *model->feature);
    model->trained.low = psa_arena_take(&model->arena, n * sizeof(double));
    model->trained.high = psa_arena_take(&model->arena, n * sizeof(double));
    model->reference.level = psa_arena_take(&model->arena, PSA_TAIL_LEVELS * sizeof(double));
    model->reference.score = psa_arena_take(&model->arena, PSA_TAIL_LEVELS * sizeof(double));
    if (model->feature == NULL || model->trained.low == NULL || model->trained.high == NULL ||
        model->reference.level == NULL || model->reference.score == NULL) {
        psa_model_free(model);
        return -1;
    }
    for (size_t j = 0; j < n; j++) {
        model->feature[j] = psa_arena_copy(&model->arena, feature[j]);
        if (model->feature[j].p == NULL) {
            psa_model_free(model);
            return -1;
        }
    }
    return 0;
}

void psa_model_free(struct psa_model *model)
{
    psa_scaler_free(&model->scaler);
    psa_iforest_free(&model->forest);
    psa_arena_free(&model->arena);
    *model = (struct psa_model){ .n_features = 0 };
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static void write_tree(const struct psa_iforest_tree *tree, struct psa_buf *out)
{
    static const char *const names[] = { "{\"children_left\":[", "],\"children_right\":[", "],\"feature\":[",
                                         "],\"n_node_samples\":[", "],\"threshold\":[" };

    for (size_t c = 0; c < TREE_COLUMNS; c++) {
        psa_buf_puts(out, names[c]);
        for (size_t i = 0; i < tree->n; i++) {
            const struct psa_iforest_node *node = &tree->node[i];
            const int32_t whole_number[] = { node->left, node->right, node->feature, node->n_samples };

            psa_buf_comma(out);
            if (c < sizeof whole_number / sizeof *whole_number) psa_buf_int(out, whole_number[c]);
            else psa_buf_number(out, node->threshold);
        }
    }
    psa_buf_puts(out, "]}");
}

static void write_pairs(const double *first, const double *second, size_t n, struct psa_buf *out)
{
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < n; i++) {
        psa_buf_comma(out);
        psa_buf_numbers(out, (const double[]){ first[i], second[i] }, 2);
    }
    psa_buf_puts(out, "]");
}

static void write_scaler(const struct psa_scaler *scaler, struct psa_buf *out)
{
    psa_buf_name(out, "scaler");
    psa_buf_puts(out, "{");
    psa_buf_member_text(out, "kind", psa_str_of(scaler->identity ? "none" : "standard"));
    psa_buf_member_numbers(out, "mean", scaler->mean, scaler->n);
    if (!scaler->identity) psa_buf_member_numbers(out, "scale", scaler->scale, scaler->n);
    psa_buf_puts(out, "}");
}

static void write_forest(const struct psa_iforest *forest, struct psa_buf *out)
{
    psa_buf_name(out, "forest");
    psa_buf_puts(out, "{");
    psa_buf_member_int(out, "max_samples", (int64_t)forest->max_samples);
    psa_buf_name(out, "trees");
    psa_buf_puts(out, "[");
    for (size_t t = 0; t < forest->n_trees; t++) {
        psa_buf_comma(out);
        write_tree(&forest->tree[t], out);
    }
    psa_buf_puts(out, "]}");
}

static void write_reference(const struct psa_tail_table *table, struct psa_buf *out)
{
    psa_buf_name(out, "reference");
    psa_buf_puts(out, "{\"quantiles\":");
    write_pairs(table->level, table->score, table->n, out);
    psa_buf_member_number(out, "tail_start", table->tail.start);
    psa_buf_member_number(out, "tail_scale", table->tail.scale);
    psa_buf_puts(out, "}");
}

static void write_trained(const struct psa_model *model, struct psa_buf *out)
{
    const struct psa_model_training *trained = &model->trained;

    psa_buf_name(out, "trained");
    psa_buf_puts(out, "{");
    psa_buf_member_int(out, "records", trained->records);
    if (trained->has_time) {
        psa_buf_member_int(out, "from_ns", trained->from_ns);
        psa_buf_member_int(out, "to_ns", trained->to_ns);
    } else {
        psa_buf_puts(out, ",\"from_ns\":null,\"to_ns\":null");
    }
    psa_buf_name(out, "ranges");
    write_pairs(trained->low, trained->high, model->n_features, out);
    psa_buf_puts(out, "}");
}

void psa_model_write(struct psa_model *model, struct psa_buf *out)
{
    static const char blank[] = "\"" ID_PREFIX "0000000000000000\"";
    size_t begin = out->n, id_at;

    psa_buf_puts(out, "{\"psa_model\":1,\"kind\":\"isolation-forest\",\"id\":");
    id_at = out->n;
    psa_buf_puts(out, blank);
    psa_buf_name(out, "features");
    psa_buf_puts(out, "[");
    for (size_t j = 0; j < model->n_features; j++) {
        psa_buf_comma(out);
        psa_buf_quote(out, model->feature[j]);
    }
    psa_buf_puts(out, "]");
    write_scaler(&model->scaler, out);
    if (model->contamination_auto) psa_buf_member_text(out, "contamination", psa_str_of("auto"));
    else psa_buf_member_number(out, "contamination", model->contamination);
    psa_buf_member_number(out, "threshold", model->threshold);
    write_trained(model, out);
    psa_buf_member_int(out, "seed", model->seed);
    write_reference(&model->reference, out);
    write_forest(&model->forest, out);
    psa_buf_puts(out, "}\n");
    if (out->failed) return;
    make_id((struct psa_str){ out->p + begin, out->n - begin }, (struct psa_str){ out->p + id_at, sizeof blank - 1 },
            model->id);
    memcpy(out->p + id_at + 1, model->id, strlen(model->id));
}
