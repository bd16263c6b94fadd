/*
 * detector_ecod.c - ECOD as a detector: by a model a frozen sample (ecod_model.h), without one the stream's own last rows
 * (ecod.h).
 */
#include <math.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/error.h"
#include "model/detector.h"
#include "model/ecod.h"
#include "model/ecod_model.h"
#include "model/warmup_rows.h"

/* Members of a saved state, as bits. */
enum member { FIRST = 1, ROWS = 2 };

/* Of a stream; by a model there is none. */
struct state {
    struct psa_ecod ecod;
    unsigned loaded; /* members that came with a saved state */
};

static int start(struct psa_detector *detector, struct psa_error *error)
{
    struct state *state;

    if (detector->model != NULL) return 0; /* its parameters are all it needs */
    state = calloc(1, sizeof *state);
    if (state == NULL || psa_ecod_init(&state->ecod, detector->n_columns, (size_t)detector->settings->horizon) != 0) {
        free(state);
        return psa_fail_memory(error, "starting a stream");
    }
    detector->state = state;
    return 0;
}

/* Beside the model's sample; among the stream's last rows; or, frozen after the warm-up, beside the rows it holds. */
static int update(struct psa_detector *detector, const double *row, int64_t time_ns, double *raw)
{
    struct state *state = detector->state;
    struct psa_ecod *ecod;

    (void)time_ns;
    if (detector->model != NULL) return psa_ecod_model_update(detector, row, raw);
    ecod = &state->ecod;
    if (!detector->settings->freeze || ecod->seen < (uint64_t)detector->settings->warmup)
        return psa_ecod_update(ecod, row, detector->contribution, raw);
    *raw = psa_ecod_score(ecod, row, detector->contribution);
    return 0;
}

static void stop(struct psa_detector *detector)
{
    struct state *state = detector->state;

    if (state != NULL) psa_ecod_free(&state->ecod);
    free(state);
    detector->state = NULL;
}

/* "rows" is [[value ...], ...], the oldest first; "first" is how many rows came before them. */
static void save(const struct psa_detector *detector, struct psa_buf *out)
{
    const struct psa_ecod *ecod = &((const struct state *)detector->state)->ecod;

    psa_buf_member_int(out, "first", (int64_t)(ecod->seen - ecod->held));
    psa_buf_name(out, "rows");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < ecod->held; i++) {
        psa_buf_comma(out);
        psa_buf_puts(out, "[");
        for (size_t j = 0; j < ecod->n_columns; j++) {
            psa_buf_comma(out);
            psa_buf_number(out, psa_ecod_value(ecod, i, j));
        }
        psa_buf_puts(out, "]");
    }
    psa_buf_puts(out, "]");
}

static bool load_rows(struct psa_ecod *ecod, double *row, struct psa_json *in)
{
    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (ecod->horizon > 0 && ecod->held == ecod->horizon) return false;
        if (!psa_row_load(row, ecod->n_columns, in)) return false;
        if (psa_ecod_restore(ecod, row) != 0) return psa_json_refuse(in, "memory is out");
    }
    return in->fault.what == NULL;
}

static bool load_first(struct psa_ecod *ecod, struct psa_json *in)
{
    int64_t number = psa_json_int(in);

    if (in->fault.what != NULL || ecod->seen > 0 || number < 0 || number > INT64_MAX / 2) return false;
    ecod->seen = (uint64_t)number;
    return number == 0 || ecod->horizon > 0;
}

static bool load(struct psa_detector *detector, struct psa_str name, struct psa_json *in)
{
    struct state *state = detector->state;
    struct psa_ecod *ecod = &state->ecod;
    unsigned member = psa_str_eq(name, "first") ? FIRST : psa_str_eq(name, "rows") ? ROWS : 0;
    double *row;
    bool ok;

    if (member == 0 || state->loaded & member) return false;
    state->loaded |= member;
    if (member == FIRST) return load_first(ecod, in);
    row = calloc(ecod->n_columns + 1, sizeof *row);
    ok = row != NULL && load_rows(ecod, row, in);
    free(row);
    return ok;
}

/* Rows left the horizon only if it is full. */
static bool loaded(struct psa_detector *detector)
{
    const struct state *state = detector->state;
    const struct psa_ecod *ecod = &state->ecod;

    if (state->loaded != (FIRST | ROWS)) return false;
    return ecod->seen == ecod->held || ecod->held == ecod->horizon;
}

const struct psa_detector_type psa_ecod_detector = {
    .name = "ecod",
    .prefix = "ecod",
    .summary = "values far out in their own column's distribution",
    .traits = PSA_DETECTOR_STREAMS | PSA_DETECTOR_TRAINS,
    .on = NAN,
    .off = NAN,
    .start = start,
    .update = update,
    .stop = stop,
    .save = save,
    .load = load,
    .loaded = loaded,
    .train = psa_ecod_model_train,
    .write = psa_ecod_model_write,
    .read = psa_ecod_model_read,
    .check = psa_ecod_model_check,
    .describe = psa_ecod_model_describe,
};
