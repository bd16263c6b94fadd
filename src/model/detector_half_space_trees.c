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

/* Members of a saved state, as bits. */
enum member { SCORING = 1, LOW = 2, HIGH = 4, N_REFERENCE = 8, N_LATEST = 16, REFERENCE = 32, LATEST = 64, ROWS = 128 };

#define WHEN_SCORING (SCORING | LOW | HIGH | N_REFERENCE | N_LATEST | REFERENCE | LATEST)
#define WHEN_WARMING (SCORING | ROWS)

struct state {
    struct psa_half_space_trees trees;
    unsigned loaded; /* members that came with a saved state */
};

static int check(const struct psa_detector *detector, struct psa_error *error)
{
    const struct psa_detector_settings *settings = detector->settings;
    int64_t leaves;

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
    leaves = settings->trees << settings->depth;
    if (leaves > PSA_HALF_SPACE_LEAVES_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--trees %lld of --depth %lld are %lld leaves a stream, the limit of --half-space-trees is %d; "
                        "choose fewer or shallower trees",
                        (long long)settings->trees, (long long)settings->depth, (long long)leaves,
                        PSA_HALF_SPACE_LEAVES_MAX);
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
    detector->n_learned = state->trees.learned != NULL ? state->trees.rows.n : 0;
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
    psa_warmup_rows_save(&trees->rows, out);
}

/* ---- loading -------------------------------------------------------------------------------------------------------- */

/* Counts may come only when the trees are there, which the ranges make; of each node once. */
static bool load_counts(struct psa_half_space_trees *trees, uint16_t *count, struct psa_json *in)
{
    int64_t last = -1;

    if (!trees->scoring || trees->reference == NULL || !psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        int64_t node = psa_json_int(in), rows;

        if (!psa_json_next_item(in)) return false;
        rows = psa_json_int(in);
        if (in->fault.what != NULL || node <= last || (uint64_t)node >= trees->options.trees * trees->n_nodes)
            return false;
        if (rows < 1 || rows > PSA_HALF_SPACE_WINDOW_MAX) return false;
        count[node] = (uint16_t)rows;
        last = node;
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

static bool load_range(struct state *state, double *range, struct psa_json *in)
{
    struct psa_half_space_trees *trees = &state->trees;

    if (!trees->scoring || !psa_row_load(range, trees->n_columns, in)) return false;
    if (!(state->loaded & LOW) || !(state->loaded & HIGH)) return true;
    return psa_half_space_trees_grow(trees) == 0 || psa_json_refuse(in, "memory is out");
}

static enum member member_of(struct psa_str name)
{
    static const char *const names[] = { "scoring",  "low",       "high",   "n_reference",
                                         "n_latest", "reference", "latest", "rows" };

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (psa_str_eq(name, names[i])) return (enum member)(1u << i);
    }
    return 0;
}

static bool load(struct psa_detector *detector, struct psa_str name, struct psa_json *in)
{
    struct state *state = detector->state;
    struct psa_half_space_trees *trees = &state->trees;
    enum member member = member_of(name);

    if (state->loaded & member) return false;
    state->loaded |= member;
    switch (member) {
    case SCORING: trees->scoring = psa_json_bool(in); return in->fault.what == NULL;
    case LOW: return load_range(state, trees->low, in);
    case HIGH: return load_range(state, trees->high, in);
    case N_REFERENCE: return load_size(&trees->n_reference, in);
    case N_LATEST: return load_size(&trees->n_latest, in);
    case REFERENCE: return load_counts(trees, trees->reference, in);
    case LATEST: return load_counts(trees, trees->latest, in);
    /* The newest row's place lends itself: it is written by the first update only. */
    case ROWS: return psa_warmup_rows_load(&trees->rows, trees->newest, in);
    default: return false;
    }
}

static bool loaded(struct psa_detector *detector)
{
    const struct state *state = detector->state;
    const struct psa_half_space_trees *trees = &state->trees;

    if (!trees->scoring) return state->loaded == WHEN_WARMING && trees->rows.n < trees->options.warmup;
    return state->loaded == WHEN_SCORING && trees->n_reference > 0 && trees->n_latest < trees->options.window;
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
