/*
 * detector_chart.c - control charts as detectors. Saved are, in Phase I, its rows; afterwards each number of the columns as
 * an array over the columns, and where a CUSUM is held:
 *
 *     "charting":false,"rows":[[x, ...], ...]
 *     "charting":true,"mean":[...],"variance":[...], ... ,"alarm":true,"hold":7.25
 */
#include "model/detector_chart.h"

#include <math.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/error.h"

/* Numbers of a column, by name. */
static const struct {
    const char *name;
    size_t at;
} numbers[] = {
    { "mean", offsetof(struct psa_chart_column, mean) },
    { "variance", offsetof(struct psa_chart_column, variance) },
    { "least_variance", offsetof(struct psa_chart_column, least_variance) },
    { "inflation", offsetof(struct psa_chart_column, inflation) },
    { "ewma", offsetof(struct psa_chart_column, ewma) },
    { "fade", offsetof(struct psa_chart_column, fade) },
    { "up", offsetof(struct psa_chart_column, up) },
    { "down", offsetof(struct psa_chart_column, down) },
};

enum { NUMBERS = sizeof numbers / sizeof *numbers };

/* Members of a saved state, as bits: numbers[i] is bit i; then the others. */
enum member { CHARTING = 1 << NUMBERS, ROWS = CHARTING << 1, ALARM = CHARTING << 2, HOLD = CHARTING << 3 };

struct chart_state {
    struct psa_chart chart;
    unsigned loaded; /* members that came with a saved state */
};

int psa_chart_detector_start(struct psa_detector *detector, enum psa_chart_kind kind, struct psa_error *error)
{
    const struct psa_detector_settings *settings = detector->settings;
    struct psa_chart_options options = {
        .kind = kind,
        .warmup = (size_t)settings->warmup,
        .lambda = settings->lambda,
        .allowance = settings->allowance,
        .freeze = settings->freeze,
    };
    struct chart_state *state;

    if (settings->warmup < 2)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--warmup %lld is too short for --%s, which learns mean and spread from these rows",
                        (long long)settings->warmup, detector->type->name);
    state = calloc(1, sizeof *state);
    if (state == NULL || psa_chart_init(&state->chart, &options, detector->n_columns) != 0) {
        free(state);
        return psa_fail_memory(error, "starting a stream");
    }
    detector->state = state;
    return 0;
}

int psa_chart_detector_update(struct psa_detector *detector, const double *row, int64_t time_ns, double *raw)
{
    struct chart_state *state = detector->state;
    int status = psa_chart_update(&state->chart, row, detector->contribution, raw);

    (void)time_ns;
    detector->learned = state->chart.learned;
    detector->n_learned = state->chart.learned != NULL ? state->chart.rows.n : 0;
    return status;
}

void psa_chart_detector_judged(struct psa_detector *detector, bool alarm)
{
    struct chart_state *state = detector->state;

    psa_chart_judged(&state->chart, alarm);
}

void psa_chart_detector_gap(struct psa_detector *detector)
{
    struct chart_state *state = detector->state;

    psa_chart_gap(&state->chart);
}

void psa_chart_detector_stop(struct psa_detector *detector)
{
    struct chart_state *state = detector->state;

    if (state != NULL) psa_chart_free(&state->chart);
    free(state);
    detector->state = NULL;
}

/* ---- saving --------------------------------------------------------------------------------------------------------- */

static double *number_of(struct psa_chart_column *column, size_t number)
{
    return (void *)((char *)column + numbers[number].at);
}

void psa_chart_detector_save(const struct psa_detector *detector, struct psa_buf *out)
{
    const struct chart_state *state = detector->state;
    const struct psa_chart *chart = &state->chart;

    psa_buf_member_bool(out, "charting", chart->charting);
    if (!chart->charting) {
        psa_warmup_rows_save(&chart->rows, out);
        return;
    }
    for (size_t k = 0; k < NUMBERS; k++) {
        psa_buf_name(out, numbers[k].name);
        psa_buf_puts(out, "[");
        for (size_t j = 0; j < chart->n_columns; j++) {
            psa_buf_comma(out);
            psa_buf_number(out, *number_of(&chart->column[j], k));
        }
        psa_buf_puts(out, "]");
    }
    psa_buf_member_bool(out, "alarm", chart->alarm);
    if (chart->alarm) psa_buf_member_number(out, "hold", chart->hold);
}

/* ---- loading -------------------------------------------------------------------------------------------------------- */

static bool load_number(struct psa_chart *chart, size_t number, struct psa_json *in)
{
    size_t n = 0;

    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (n == chart->n_columns) return false;
        *number_of(&chart->column[n++], number) = psa_json_number(in);
    }
    return in->fault.what == NULL && n == chart->n_columns;
}

static unsigned member_of(struct psa_str name)
{
    for (unsigned k = 0; k < NUMBERS; k++) {
        if (psa_str_eq(name, numbers[k].name)) return 1u << k;
    }
    return psa_str_eq(name, "charting") ? CHARTING
           : psa_str_eq(name, "rows")   ? ROWS
           : psa_str_eq(name, "alarm")  ? ALARM
           : psa_str_eq(name, "hold")   ? HOLD
                                        : 0;
}

bool psa_chart_detector_load(struct psa_detector *detector, struct psa_str name, struct psa_json *in)
{
    struct chart_state *state = detector->state;
    struct psa_chart *chart = &state->chart;
    unsigned member = member_of(name), number = 0;

    if (member == 0 || state->loaded & member) return false;
    state->loaded |= member;
    switch (member) {
    case CHARTING: chart->charting = psa_json_bool(in); break;
    case ALARM: chart->alarm = psa_json_bool(in); break;
    case HOLD: chart->hold = psa_json_number(in); break;
    /* The row buffer lends itself: it is written by the first update only. */
    case ROWS: return psa_warmup_rows_load(&chart->rows, chart->newest, in);
    default:
        while (!(member & 1u << number)) number++;
        return load_number(chart, number, in);
    }
    return in->fault.what == NULL;
}

bool psa_chart_detector_loaded(struct psa_detector *detector)
{
    const struct chart_state *state = detector->state;
    const struct psa_chart *chart = &state->chart;
    unsigned expected = CHARTING;

    expected |= !chart->charting ? ROWS : (CHARTING - 1) | ALARM | (chart->alarm ? HOLD : 0);
    return state->loaded == expected && psa_chart_is_sound(chart);
}
