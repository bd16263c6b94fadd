/*
 * detector_conformal.c - conformal.h as a detector. Saved is, of each column, "seen" first:
 *
 *     "columns":[{"seen":n,"since":n,"mean":[24],"count":[24],"residual":[smooth],"values":[...],"distance":[...],
 *                 "profile":[...],"short_mean":[...],"shape":[...],"range":[...]}, ...]
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/error.h"
#include "model/conformal.h"
#include "model/detector.h"

static const char *const part_name[PSA_CONFORMAL_PARTS] = { "profile", "short_mean", "shape", "range" };

/* Members that a saved column has, as bits: `seen`, `since`, mean, count, residual, values, distance; then the parts. */
enum loaded { SEEN = 1, SINCE = 2, MEAN = 4, COUNT = 8, RESIDUAL = 16, VALUES = 32, DISTANCE = 64, PART = 128 };

#define ALL ((unsigned)(PART << PSA_CONFORMAL_PARTS) - 1u)

struct state {
    struct psa_conformal conformal;
    size_t n_loaded; /* columns */
};

/* Values beyond this count as the edge; what comes from a file must keep to it. */
#define SEEN_MAX ((int64_t)1 << 62)

static int check(const struct psa_detector_settings *settings, struct psa_error *error)
{
    if (settings->horizon < 2)
        return psa_fail(
            error, PSA_EXIT_PERMANENT,
            "--horizon %lld with --conformal, which compares each value with all of the horizon; give 2 or more",
            (long long)settings->horizon);
    if (settings->freeze)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--freeze with --conformal, which compares each value with those just before; leave it out");
    return 0;
}

static int start(struct psa_detector *detector, struct psa_error *error)
{
    const struct psa_detector_settings *settings = detector->settings;
    struct psa_conformal_options options = {
        .horizon = (size_t)settings->horizon,
        .smooth = (size_t)settings->smooth,
        .shingle = (size_t)settings->shingle,
        .nearest = (size_t)settings->nearest,
        .season_ns = settings->season_ns,
    };
    struct state *state;

    if (check(settings, error) != 0) return -1;
    state = calloc(1, sizeof *state);
    if (state == NULL || psa_conformal_init(&state->conformal, &options, detector->n_columns) != 0) {
        free(state);
        return psa_fail_memory(error, "starting a stream");
    }
    detector->state = state;
    return 0;
}

static int update(struct psa_detector *detector, const double *row, int64_t time_ns, double *raw)
{
    struct state *state = detector->state;

    return psa_conformal_update(&state->conformal, row, time_ns, detector->contribution, raw);
}

static void gap(struct psa_detector *detector)
{
    struct state *state = detector->state;

    psa_conformal_gap(&state->conformal);
}

static void stop(struct psa_detector *detector)
{
    struct state *state = detector->state;

    if (state != NULL) psa_conformal_free(&state->conformal);
    free(state);
    detector->state = NULL;
}

/* ---- saving --------------------------------------------------------------------------------------------------------- */

static void save_slots(const struct psa_conformal_column *column, struct psa_buf *out)
{
    double mean[PSA_CONFORMAL_SLOTS];

    for (size_t i = 0; i < PSA_CONFORMAL_SLOTS; i++) mean[i] = column->slot[i].mean;
    psa_buf_member_numbers(out, "mean", mean, PSA_CONFORMAL_SLOTS);
    psa_buf_name(out, "count");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < PSA_CONFORMAL_SLOTS; i++) {
        psa_buf_comma(out);
        psa_buf_int(out, (int64_t)column->slot[i].n);
    }
    psa_buf_puts(out, "]");
}

static void save_column(const struct psa_conformal *conformal, const struct psa_conformal_column *column,
                        struct psa_buf *out)
{
    size_t values = psa_conformal_values(conformal, column), rows = psa_conformal_rows(conformal, column);

    psa_buf_member_int(out, "seen", (int64_t)column->seen);
    psa_buf_member_int(out, "since", (int64_t)column->since);
    save_slots(column, out);
    psa_buf_member_numbers(out, "residual", column->residual, conformal->options.smooth);
    psa_buf_name(out, "values");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < values; i++) {
        psa_buf_comma(out);
        psa_buf_number(out, psa_conformal_value(conformal, column, i));
    }
    psa_buf_puts(out, "]");
    psa_buf_member_numbers(out, "distance", column->distance, psa_conformal_lags(conformal, column));
    for (int k = 0; k < PSA_CONFORMAL_PARTS; k++) {
        psa_buf_name(out, part_name[k]);
        psa_buf_puts(out, "[");
        for (size_t i = 0; i < rows; i++) {
            psa_buf_comma(out);
            psa_buf_number(out, psa_conformal_measure(conformal, column, (enum psa_conformal_part)k, i));
        }
        psa_buf_puts(out, "]");
    }
}

static void save(const struct psa_detector *detector, struct psa_buf *out)
{
    const struct state *state = detector->state;

    psa_buf_name(out, "columns");
    psa_buf_puts(out, "[");
    for (size_t j = 0; j < state->conformal.n_columns; j++) {
        psa_buf_comma(out);
        psa_buf_puts(out, "{");
        save_column(&state->conformal, &state->conformal.column[j], out);
        psa_buf_puts(out, "}");
    }
    psa_buf_puts(out, "]");
}

/* ---- loading -------------------------------------------------------------------------------------------------------- */

/* What a number of each array may be. */
enum kind { VALUE, MEASURE, MEASURE_OR_NONE, RESIDUE };

static bool is_sound(double x, enum kind kind)
{
    /* Differences of two values, and means of them: twice the edge. */
    if (kind == VALUE) return fabs(x) <= PSA_CONFORMAL_FAR;
    if (kind == RESIDUE) return isnan(x) || fabs(x) <= 2.0 * PSA_CONFORMAL_FAR;
    return (kind == MEASURE_OR_NONE && isnan(x)) || (x >= 0.0 && isfinite(x));
}

/* An array of exactly n numbers of that kind, each handed to `set`. */
struct place {
    struct psa_conformal *conformal;
    struct psa_conformal_column *column;
    enum psa_conformal_part part;
};

static bool load_numbers(struct psa_json *in, size_t n, enum kind kind, const struct place *place,
                         void (*set)(const struct place *place, size_t i, double x))
{
    size_t i = 0;

    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        double x = psa_json_number(in);

        if (in->fault.what != NULL || i == n || !is_sound(x, kind)) return false;
        set(place, i++, x);
    }
    return in->fault.what == NULL && i == n;
}

static void set_mean(const struct place *place, size_t i, double x)
{
    place->column->slot[i].mean = x;
}

static void set_residual(const struct place *place, size_t i, double x)
{
    place->column->residual[i] = x;
}

static void set_value(const struct place *place, size_t i, double x)
{
    psa_conformal_restore_value(place->conformal, place->column, i, x);
}

static void set_distance(const struct place *place, size_t i, double x)
{
    place->column->distance[i] = x;
}

static void set_measure(const struct place *place, size_t i, double x)
{
    psa_conformal_restore_measure(place->conformal, place->column, place->part, i, x);
}

static bool load_counts(struct psa_conformal_column *column, struct psa_json *in)
{
    size_t i = 0;

    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        int64_t n = psa_json_int(in);

        if (in->fault.what != NULL || i == PSA_CONFORMAL_SLOTS || n < 0 || n > SEEN_MAX) return false;
        column->slot[i++].n = (uint64_t)n;
    }
    return in->fault.what == NULL && i == PSA_CONFORMAL_SLOTS;
}

static bool load_seen(const struct place *place, struct psa_json *in)
{
    int64_t seen = psa_json_int(in);

    if (in->fault.what != NULL || seen < 0 || seen > SEEN_MAX) return false;
    if (psa_conformal_restore(place->conformal, place->column, (uint64_t)seen) != 0)
        return psa_json_refuse(in, "memory is out");
    return true;
}

static bool load_since(struct psa_conformal_column *column, struct psa_json *in)
{
    int64_t since = psa_json_int(in);

    if (in->fault.what != NULL || since < 0 || (uint64_t)since > column->seen) return false;
    column->since = (uint64_t)since;
    return true;
}

/* One member of a column, which *has is about; what needs room comes after `seen`. */
static bool load_member(const struct place *place, unsigned *has, struct psa_str name, struct psa_json *in)
{
    const struct psa_conformal *conformal = place->conformal;
    struct psa_conformal_column *column = place->column;
    struct place part = *place;
    unsigned is = 0;

    if (psa_str_eq(name, "seen")) is = SEEN;
    if (psa_str_eq(name, "since")) is = SINCE;
    if (psa_str_eq(name, "mean")) is = MEAN;
    if (psa_str_eq(name, "count")) is = COUNT;
    if (psa_str_eq(name, "residual")) is = RESIDUAL;
    if (psa_str_eq(name, "values")) is = VALUES;
    if (psa_str_eq(name, "distance")) is = DISTANCE;
    for (unsigned k = 0; k < PSA_CONFORMAL_PARTS; k++) {
        if (!psa_str_eq(name, part_name[k])) continue;
        is = (unsigned)PART << k;
        part.part = (enum psa_conformal_part)k;
    }
    if (is == 0 || *has & is || (is != SEEN && !(*has & SEEN))) return false;
    *has |= is;
    if (is == SEEN) return load_seen(place, in);
    if (is == SINCE) return load_since(column, in);
    if (is == COUNT) return load_counts(column, in);
    if (is == MEAN) return load_numbers(in, PSA_CONFORMAL_SLOTS, VALUE, place, set_mean);
    if (is == RESIDUAL) return load_numbers(in, conformal->options.smooth, RESIDUE, place, set_residual);
    if (is == VALUES) return load_numbers(in, psa_conformal_values(conformal, column), VALUE, place, set_value);
    if (is == DISTANCE) return load_numbers(in, psa_conformal_lags(conformal, column), MEASURE, place, set_distance);
    return load_numbers(in, psa_conformal_rows(conformal, column), MEASURE_OR_NONE, &part, set_measure);
}

static bool load(struct psa_detector *detector, struct psa_str name, struct psa_json *in)
{
    struct state *state = detector->state;

    if (!psa_str_eq(name, "columns") || state->n_loaded > 0 || !psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        struct place place = { &state->conformal, &state->conformal.column[state->n_loaded], PSA_CONFORMAL_PROFILE };
        unsigned has = 0;

        if (state->n_loaded == state->conformal.n_columns || !psa_json_enter_object(in)) return false;
        while (psa_json_next_member(in, &name)) {
            if (!load_member(&place, &has, name, in)) return false;
        }
        if (in->fault.what != NULL || has != ALL) return false;
        state->n_loaded++;
    }
    return in->fault.what == NULL;
}

static bool loaded(struct psa_detector *detector)
{
    const struct state *state = detector->state;

    return state->n_loaded == state->conformal.n_columns;
}

/* The limit is the sum of four p-values of one in a hundred each. */
const struct psa_detector_type psa_conformal_detector = {
    .name = "conformal",
    .prefix = "conformal",
    .summary = "slow process values beside their own past, each field by itself",
    .traits = PSA_DETECTOR_STREAMS,
    .on = 8.0,
    .off = 8.0,
    .start = start,
    .update = update,
    .gap = gap,
    .stop = stop,
    .save = save,
    .load = load,
    .loaded = loaded,
};
