/*
 * detector_half_space_trees.c - half_space_trees.h as a detector. Saved are, in the warm-up, its rows; afterwards the columns'
 * ranges, from which and the seed the trees follow, and the nodes' counts that are not zero, as index, count, ...:
 *
 *     "scoring":false,"rows":[[x, ...], ...]
 *     "scoring":true,"low":[...],"high":[...],"n_reference":256,"n_latest":31,"reference":[0,256,1,140, ...],"latest":[...]
 */
#include <math.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/error.h"
#include "model/detector.h"
#include "model/half_space_trees.h"

enum loaded { LOW = 1, HIGH = 2, REFERENCE = 4, LATEST = 8, ALL = 15 };

struct state {
    struct psa_half_space_trees trees;
    unsigned loaded;
};

static int check(const struct psa_detector *detector, struct psa_error *error)
{
    const struct psa_detector_settings *settings = detector->settings;

    if (settings->warmup < 2)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--warmup %lld is too short for --half-space-trees, which learns ranges from these rows",
                        (long long)settings->warmup);
    if (settings->trees < 1 || settings->trees > PSA_HALF_SPACE_TREES_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--trees %lld: --half-space-trees takes 1 to %d",
                        (long long)settings->trees, PSA_HALF_SPACE_TREES_MAX);
    if (settings->depth < 1 || settings->depth > PSA_HALF_SPACE_DEPTH_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--depth %lld: --half-space-trees takes 1 to %d",
                        (long long)settings->depth, PSA_HALF_SPACE_DEPTH_MAX);
    if (settings->samples < 1 || settings->samples > PSA_HALF_SPACE_WINDOW_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--samples %lld: a window of --half-space-trees has 1 to %d rows",
                        (long long)settings->samples, PSA_HALF_SPACE_WINDOW_MAX);
    return 0;
}

static int start(struct psa_detector *detector, struct psa_error *error)
{
    const struct psa_detector_settings *settings = detector->settings;
    struct psa_half_space_options options = {
        .trees = (size_t)settings->trees,
        .depth = (size_t)settings->depth,
        .window = (size_t)settings->samples,
        .warmup = (size_t)settings->warmup,
        .seed = (uint64_t)settings->seed,
        .freeze = settings->freeze,
    };
    struct state *state;

    if (check(detector, error) != 0) return -1;
    state = calloc(1, sizeof *state);
    if (state == NULL || psa_half_space_trees_init(&state->trees, &options, detector->n_columns) != 0) {
        free(state);
        return psa_fail_memory(error, "starting a stream");
    }
    detector->state = state;
    return 0;
}

static int update(struct psa_detector *detector, const double *row, int64_t time_ns, double *raw)
{
    struct state *state = detector->state;
    int status = psa_half_space_trees_update(&state->trees, row, detector->contribution, raw);

    (void)time_ns;
    detector->learned = state->trees.learned;
    detector->n_learned = state->trees.learned != NULL ? state->trees.n_rows : 0;
    return status;
}

static void judged(struct psa_detector *detector, bool alarm)
{
    struct state *state = detector->state;

    psa_half_space_trees_judged(&state->trees, alarm);
}

static void stop(struct psa_detector *detector)
{
    struct state *state = detector->state;

    if (state != NULL) psa_half_space_trees_free(&state->trees);
    free(state);
    detector->state = NULL;
}

/* ---- saving --------------------------------------------------------------------------------------------------------- */

static void save_counts(const struct psa_half_space_trees *trees, const char *name, const uint16_t *count,
                        struct psa_buf *out)
{
    psa_buf_name(out, name);
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < trees->options.trees * trees->n_nodes; i++) {
        if (count[i] == 0) continue;
        psa_buf_comma(out);
        psa_buf_int(out, (int64_t)i);
        psa_buf_puts(out, ",");
        psa_buf_int(out, count[i]);
    }
    psa_buf_puts(out, "]");
}

static void save(const struct psa_detector *detector, struct psa_buf *out)
{
    const struct state *state = detector->state;
    const struct psa_half_space_trees *trees = &state->trees;

    psa_buf_member_bool(out, "scoring", trees->scoring);
    if (trees->scoring) {
        psa_buf_member_numbers(out, "low", trees->low, trees->n_columns);
        psa_buf_member_numbers(out, "high", trees->high, trees->n_columns);
        psa_buf_member_int(out, "n_reference", (int64_t)trees->n_reference);
        psa_buf_member_int(out, "n_latest", (int64_t)trees->n_latest);
        save_counts(trees, "reference", trees->reference, out);
        save_counts(trees, "latest", trees->latest, out);
        return;
    }
    psa_buf_name(out, "rows");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < trees->n_rows; i++) {
        psa_buf_comma(out);
        psa_buf_numbers(out, trees->rows + i * trees->n_columns, trees->n_columns);
    }
    psa_buf_puts(out, "]");
}

/* ---- loading -------------------------------------------------------------------------------------------------------- */

static bool load_row(double *row, size_t n_columns, struct psa_json *in)
{
    size_t n = 0;

    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (n == n_columns) return false;
        row[n++] = psa_json_number(in);
    }
    return in->fault.what == NULL && n == n_columns;
}

static bool load_rows(struct psa_half_space_trees *trees, struct psa_json *in)
{
    if (trees->scoring || trees->n_rows > 0 || !psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        /* The newest row's place lends itself: it is written by the first update only. */
        if (!load_row(trees->newest, trees->n_columns, in)) return false;
        if (psa_half_space_trees_restore_row(trees, trees->newest) != 0) return false;
    }
    return in->fault.what == NULL;
}

/* Counts may come only when the trees are there, which the ranges make. */
static bool load_counts(struct psa_half_space_trees *trees, uint16_t *count, struct psa_json *in)
{
    if (!trees->scoring || trees->reference == NULL || !psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        int64_t node = psa_json_int(in), rows;

        if (!psa_json_next_item(in)) return false;
        rows = psa_json_int(in);
        if (in->fault.what != NULL || node < 0 || (uint64_t)node >= trees->options.trees * trees->n_nodes) return false;
        if (rows < 1 || rows > PSA_HALF_SPACE_WINDOW_MAX) return false;
        count[node] = (uint16_t)rows;
    }
    return in->fault.what == NULL;
}

static bool load_size(size_t *size, struct psa_json *in)
{
    int64_t number = psa_json_int(in);

    if (in->fault.what != NULL || number < 0 || number > PSA_HALF_SPACE_WINDOW_MAX) return false;
    *size = (size_t)number;
    return true;
}

static bool load_range(struct state *state, double *range, enum loaded which, struct psa_json *in)
{
    struct psa_half_space_trees *trees = &state->trees;

    if (!trees->scoring || state->loaded & which || !load_row(range, trees->n_columns, in)) return false;
    state->loaded |= which;
    if (!(state->loaded & LOW) || !(state->loaded & HIGH)) return true;
    return psa_half_space_trees_grow(trees) == 0 || psa_json_refuse(in, "memory is out");
}

static bool load(struct psa_detector *detector, struct psa_str name, struct psa_json *in)
{
    struct state *state = detector->state;
    struct psa_half_space_trees *trees = &state->trees;

    if (psa_str_eq(name, "scoring")) {
        if (state->loaded != 0 || trees->n_rows > 0) return false;
        trees->scoring = psa_json_bool(in);
        return in->fault.what == NULL;
    }
    if (psa_str_eq(name, "low")) return load_range(state, trees->low, LOW, in);
    if (psa_str_eq(name, "high")) return load_range(state, trees->high, HIGH, in);
    if (psa_str_eq(name, "n_reference")) return load_size(&trees->n_reference, in);
    if (psa_str_eq(name, "n_latest")) return load_size(&trees->n_latest, in);
    if (psa_str_eq(name, "rows")) return load_rows(trees, in);
    if (psa_str_eq(name, "reference")) {
        state->loaded |= REFERENCE;
        return load_counts(trees, trees->reference, in);
    }
    if (!psa_str_eq(name, "latest")) return false;
    state->loaded |= LATEST;
    return load_counts(trees, trees->latest, in);
}

static bool loaded(struct psa_detector *detector)
{
    const struct state *state = detector->state;
    const struct psa_half_space_trees *trees = &state->trees;

    if (!trees->scoring) return state->loaded == 0 && trees->n_rows < trees->options.warmup;
    return state->loaded == ALL && trees->n_reference > 0 && trees->n_latest < trees->options.window;
}

/* An alarm begins where rows are no denser than if they were spread evenly, and ends where they are twice as dense. */
const struct psa_detector_type psa_half_space_trees_detector = {
    .name = "half-space-trees",
    .prefix = "hst",
    .summary = "half-space trees: rows where few others lay lately",
    .traits = PSA_DETECTOR_STREAMS,
    .on = 0.0,
    .off = -1.0,
    .start = start,
    .update = update,
    .judged = judged,
    .stop = stop,
    .save = save,
    .load = load,
    .loaded = loaded,
};
