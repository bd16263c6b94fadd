/*
 * detector_dynamic_pca.c - dynamic PCA (dynamic_pca.h) as a detector: of a stream, with a moving reference; by a model,
 * frozen or going on from the model's fit.
 *
 *     "parameters":{"variance":0.85,"lags":[5,8,12],            lags before what depends on them
 *                   "mean":[..],"scale":[..],"norm":g,          of the channels; of the geometric mean
 *                   "parts":[{"limit":q,"mean":[..],"scale":[..],"components":[..]},..]}      one for each of the lags
 *
 * The same members but for variance are "fit" in a saved state, beside the rows that the next fit will be made from:
 *
 *     "seen":n,"number":n,"last_alarm":n,"alarm":b,"stack":[..],
 *     "waiting":{"numbers":[..],"rows":[..]},"normal":{..},     while it learns
 *     "has_fit":b,"fit":{..}                                    fit where has_fit
 */
#include <math.h>
#include <stdlib.h>

#include "core/error.h"
#include "model/detector.h"
#include "model/dynamic_pca.h"
#include "model/model_file.h"

#define LONGEST_TIMES 4              /* least rows that may be asked for, in stacks: fewer are a mistake */
#define SCALE_MIN 1e-10              /* of a stacked column: narrower ones are constant */
#define COUNT_MAX ((int64_t)1 << 53) /* rows that can be told from each other in a state */

/* A model's parameters. */
struct parameters {
    double variance;
    struct psa_dpca_fit fit;
};

/* Members of a saved state, as bits. */
enum member {
    SEEN = 1,
    NUMBER = 2,
    LAST_ALARM = 4,
    ALARM = 8,
    STACK = 16,
    WAITING = 32,
    NORMAL = 64,
    HAS_FIT = 128,
    FIT = 256
};

/* What the engineer should know of a stream, as bits. */
enum fact { NO_FIT = 1, BLIND = 2 };

/* At work. */
struct state {
    struct psa_dpca dpca;
    unsigned loaded;        /* members that came with a saved state */
    unsigned noted;         /* what was said already, as bits */
    struct psa_scratch own; /* where the caller lends none */
};

/* ---- at work ---------------------------------------------------------------------------------------------- */

static void stop(struct psa_detector *detector)
{
    struct state *state = detector->state;

    if (state == NULL) return;
    psa_dpca_stop(&state->dpca);
    psa_scratch_free(&state->own);
    free(state);
    detector->state = NULL;
}

/* Can stacks of these lags be made of n_columns channels, and is a fit of n_rows rows one? */
static int check_size(size_t longest, size_t n_columns, const char *option, int64_t n_rows, struct psa_error *error)
{
    if (longest * n_columns > PSA_DPCA_WIDTH_MAX)
        return psa_fail(
            error, PSA_EXIT_PERMANENT,
            "stacks of %zu rows of %zu fields have %zu columns, the limit is %d; choose shorter --lags or fewer "
            "fields",
            longest, n_columns, longest * n_columns, PSA_DPCA_WIDTH_MAX);
    if (n_rows < (int64_t)longest * LONGEST_TIMES)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s %lld is too short for --lags up to %zu; at least %zu", option,
                        (long long)n_rows, longest, longest * LONGEST_TIMES);
    return 0;
}

static size_t longest_of(const struct psa_detector_settings *settings)
{
    int64_t longest = 1;

    for (size_t i = 0; i < settings->n_lag; i++)
        if (settings->lag[i] > longest) longest = settings->lag[i];
    return (size_t)longest;
}

/* --warmup and --reference as many rows as the columns need, and say so. */
static void lengthen(struct psa_detector *detector, struct psa_dpca_settings *settings)
{
    int64_t needed = psa_dpca_rows_needed(settings->n_columns, settings->lag, settings->n_lag);
    int64_t warmup = settings->warmup, reference = settings->reference;

    if (detector->model == NULL && warmup < needed) settings->warmup = needed;
    if (settings->refit > 0 && reference < needed) settings->reference = needed;
    if (detector->note == NULL || (warmup == settings->warmup && reference == settings->reference)) return;
    psa_fail(detector->note, 0,
             "%zu fields with these lags need %lld rows to learn from, so --warmup is %lld and --reference %lld",
             settings->n_columns, (long long)needed, (long long)settings->warmup, (long long)settings->reference);
}

static int start(struct psa_detector *detector, struct psa_error *error)
{
    const struct psa_detector_settings *asked = detector->settings;
    const struct parameters *model = detector->model == NULL ? NULL : detector->model->parameters;
    struct psa_dpca_settings settings = { .n_columns = detector->n_columns,
                                          .variance = asked->variance,
                                          .refit = asked->freeze ? 0 : asked->refit,
                                          .reference = asked->reference,
                                          .guard = asked->guard,
                                          .warmup = asked->warmup,
                                          .n_lag = asked->n_lag };
    struct state *state;

    for (size_t i = 0; i < asked->n_lag; i++) settings.lag[i] = (size_t)asked->lag[i];
    if (model != NULL) {
        settings.variance = model->variance;
        settings.warmup = 0;
        settings.refit = asked->adapt ? asked->refit : 0;
        settings.n_lag = model->fit.n_part;
        for (size_t i = 0; i < settings.n_lag; i++) settings.lag[i] = model->fit.part[i].lag;
    } else if (check_size(longest_of(asked), detector->n_columns, "--warmup", asked->warmup, error) != 0) {
        return -1;
    }
    if (settings.refit > 0 && check_size(model != NULL ? psa_dpca_longest(&model->fit) : longest_of(asked),
                                         detector->n_columns, "--reference", asked->reference, error) != 0)
        return -1;
    lengthen(detector, &settings);
    detector->state = state = calloc(1, sizeof *state);
    if (state != NULL && psa_dpca_start(&state->dpca, &settings, model == NULL ? NULL : &model->fit) == 0) return 0;
    free(state);
    detector->state = NULL;
    return psa_fail_memory(error, "starting dynamic PCA");
}

/* Where to say this; NULL: it was said, or nobody listens. */
static struct psa_error *note_of(const struct psa_detector *detector, enum fact fact)
{
    struct state *state = detector->state;

    if (detector->note == NULL || state->noted & fact) return NULL;
    state->noted |= fact;
    return detector->note;
}

#define BLIND_SAYS                                                                                               \
    "the components of %zu rows stacked hold all there is, so that every row scores 0; give longer --lags or a " \
    "smaller --variance"

static void note_facts(const struct psa_detector *detector)
{
    const struct psa_dpca *dpca = &((const struct state *)detector->state)->dpca;
    struct psa_error *note;
    size_t lag;

    if (dpca->barren && (note = note_of(detector, NO_FIT)) != NULL)
        psa_fail(
            note, 0,
            "nothing could be learned from the warm-up: no field has values in half of the rows, or never %zu rows "
            "followed each other; it goes on trying",
            dpca->longest);
    if (dpca->fresh && (lag = psa_dpca_blind(&dpca->fit)) > 0 && (note = note_of(detector, BLIND)) != NULL)
        psa_fail(note, 0, BLIND_SAYS, lag);
}

static int update(struct psa_detector *detector, const double *row, int64_t time_ns, double *raw)
{
    struct state *state = detector->state;
    struct psa_scratch *scratch = detector->scratch != NULL ? detector->scratch : &state->own;

    (void)time_ns;
    if (psa_dpca_update(&state->dpca, row, scratch, detector->contribution, raw) != 0) return -1;
    note_facts(detector);
    detector->learned = state->dpca.learned;
    detector->n_learned = state->dpca.n_learned;
    return 0;
}

static void judged(struct psa_detector *detector, bool alarm)
{
    psa_dpca_judged(&((struct state *)detector->state)->dpca, alarm);
}

static void gap(struct psa_detector *detector)
{
    psa_dpca_gap(&((struct state *)detector->state)->dpca);
}

/* ---- a fit as JSON ---------------------------------------------------------------------------------------- */

static void write_fit(const struct psa_dpca_fit *fit, struct psa_buf *out)
{
    psa_buf_name(out, "lags");
    psa_buf_puts(out, "[");
    for (size_t p = 0; p < fit->n_part; p++) {
        psa_buf_comma(out);
        psa_buf_int(out, (int64_t)fit->part[p].lag);
    }
    psa_buf_puts(out, "]");
    psa_buf_member_numbers(out, "mean", fit->mean, fit->n_columns);
    psa_buf_member_numbers(out, "scale", fit->scale, fit->n_columns);
    psa_buf_member_number(out, "norm", fit->norm);
    psa_buf_name(out, "parts");
    psa_buf_puts(out, "[");
    for (size_t p = 0; p < fit->n_part; p++) {
        const struct psa_dpca_part *part = &fit->part[p];

        psa_buf_comma(out);
        psa_buf_puts(out, "{");
        psa_buf_member_number(out, "limit", part->limit);
        psa_buf_member_numbers(out, "mean", part->mean, part->width);
        psa_buf_member_numbers(out, "scale", part->scale, part->width);
        psa_buf_member_numbers(out, "components", part->component, part->n_component * part->width);
        psa_buf_puts(out, "}");
    }
    psa_buf_puts(out, "]");
}

/* Exactly n numbers, finite and none below `least`. */
static bool read_numbers(struct psa_json *in, double *value, size_t n, double least)
{
    size_t i = 0;

    psa_json_enter_array(in);
    for (; psa_json_next_item(in); i++) {
        if (i == n) return psa_json_refuse(in, "an array is longer than it may be");
        value[i] = psa_model_number(in);
        if (in->fault.what == NULL && value[i] < least) psa_json_refuse(in, "a number is smaller than it may be");
    }
    if (in->fault.what == NULL && i < n) psa_json_refuse(in, "an array is shorter than it must be");
    return in->fault.what == NULL;
}

static double read_positive(struct psa_json *in)
{
    double value = psa_model_number(in);

    if (in->fault.what == NULL && value <= 0.0) psa_json_refuse(in, "a limit is not above 0");
    return value;
}

static void read_components(struct psa_dpca_part *part, struct psa_json *in)
{
    size_t n = psa_model_items(in, part->width * part->width);

    if (n == 0 || n > part->width * part->width || n % part->width != 0)
        psa_json_refuse(in, "components are not vectors of the stack's length");
    else if (psa_dpca_part_room(part, n / part->width) != 0) psa_json_refuse(in, "memory is out");
    if (in->fault.what != NULL || !read_numbers(in, part->component, n, -INFINITY)) return;
    part->n_component = n / part->width;
    if (!psa_unit_vectors(part->component, part->n_component, part->width))
        psa_json_refuse(in, "a component is not of length 1");
}

static void read_part(struct psa_dpca_part *part, struct psa_json *in)
{
    unsigned seen = 0;
    struct psa_str name;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        unsigned bit = 1;

        if (psa_str_eq(name, "limit")) {
            part->limit = read_positive(in);
        } else if (psa_str_eq(name, "mean")) {
            bit = 2;
            read_numbers(in, part->mean, part->width, -INFINITY);
        } else if (psa_str_eq(name, "scale")) {
            bit = 4;
            read_numbers(in, part->scale, part->width, SCALE_MIN);
        } else if (psa_str_eq(name, "components")) {
            bit = 8;
            read_components(part, in);
        } else {
            bit = 0;
        }
        if (bit == 0 || seen & bit) psa_json_refuse(in, "a part has a member that it should not have, or twice");
        seen |= bit;
    }
    if (in->fault.what == NULL && seen != 15) psa_json_refuse(in, "a part lacks one of its members");
}

static bool read_lags(struct psa_dpca_fit *fit, size_t n_columns, struct psa_json *in)
{
    size_t lag[PSA_DPCA_LAGS_MAX], n = 0;

    psa_json_enter_array(in);
    while (psa_json_next_item(in)) {
        if (n == PSA_DPCA_LAGS_MAX) return psa_json_refuse(in, "more lags than the limit of 8");
        lag[n++] = (size_t)psa_model_count(in, 1, PSA_DPCA_WIDTH_MAX);
        if (in->fault.what == NULL && lag[n - 1] * n_columns > PSA_DPCA_WIDTH_MAX)
            psa_json_refuse(in, "lags times features are more than the limit of 1024");
    }
    if (in->fault.what == NULL && n == 0) psa_json_refuse(in, "there are no lags");
    if (in->fault.what != NULL) return false;
    psa_dpca_fit_free(fit);
    if (psa_dpca_fit_init(fit, n_columns, lag, n) != 0) return psa_json_refuse(in, "memory is out");
    /* Nothing that could be read: what is still there at the end is missing. */
    fit->mean[0] = NAN;
    fit->scale[0] = -1.0;
    fit->norm = 0.0;
    return true;
}

/* One member of a fit. false at a fault, and for an unknown name, which leaves no fault. */
static bool read_fit(struct psa_dpca_fit *fit, size_t n_columns, struct psa_str name, struct psa_json *in)
{
    size_t p = 0;

    if (psa_str_eq(name, "lags")) return read_lags(fit, n_columns, in);
    if (!psa_str_eq(name, "mean") && !psa_str_eq(name, "scale") && !psa_str_eq(name, "norm") &&
        !psa_str_eq(name, "parts"))
        return false;
    if (fit->n_part == 0) return psa_json_refuse(in, "lags must come before what depends on them");
    if (psa_str_eq(name, "mean")) return read_numbers(in, fit->mean, n_columns, -INFINITY);
    if (psa_str_eq(name, "scale")) return read_numbers(in, fit->scale, n_columns, 0.0);
    if (psa_str_eq(name, "norm")) {
        fit->norm = read_positive(in);
        return in->fault.what == NULL;
    }
    psa_json_enter_array(in);
    while (psa_json_next_item(in)) {
        if (p == fit->n_part) return psa_json_refuse(in, "there are more parts than lags");
        read_part(&fit->part[p++], in);
    }
    return in->fault.what == NULL && (p == fit->n_part || psa_json_refuse(in, "there are fewer parts than lags"));
}

/* What a fit lacks once all has been read; NULL: nothing. */
static const char *fit_lacks(const struct psa_dpca_fit *fit)
{
    if (fit->n_part == 0) return "lags are missing";
    if (isnan(fit->mean[0])) return "mean is missing";
    if (fit->scale[0] < 0.0) return "scale is missing";
    if (fit->norm == 0.0) return "norm is missing";
    for (size_t p = 0; p < fit->n_part; p++)
        if (fit->part[p].n_component == 0) return "parts are missing";
    return NULL;
}

/* ---- the state -------------------------------------------------------------------------------------------- */

static void save_queue(const struct psa_dpca *dpca, const char *name, const struct psa_dpca_queue *queue,
                       struct psa_buf *out)
{
    size_t c = dpca->settings.n_columns;

    psa_buf_name(out, name);
    psa_buf_puts(out, "{\"numbers\":[");
    for (size_t i = 0; i < queue->n; i++) {
        psa_buf_comma(out);
        psa_buf_int(out, queue->number[queue->first + i]);
    }
    psa_buf_puts(out, "]");
    psa_buf_member_numbers(out, "rows", queue->value + queue->first * c, queue->n * c);
    psa_buf_puts(out, "}");
}

static void save(const struct psa_detector *detector, struct psa_buf *out)
{
    const struct psa_dpca *dpca = &((const struct state *)detector->state)->dpca;

    psa_buf_member_int(out, "seen", dpca->seen);
    psa_buf_member_int(out, "number", dpca->number);
    psa_buf_member_int(out, "last_alarm", dpca->last_alarm);
    psa_buf_member_bool(out, "alarm", dpca->alarm);
    psa_buf_member_numbers(out, "stack", dpca->stack, dpca->n_stack * dpca->settings.n_columns);
    if (psa_dpca_learns(dpca)) {
        save_queue(dpca, "waiting", &dpca->waiting, out);
        save_queue(dpca, "normal", &dpca->normal, out);
    }
    psa_buf_member_bool(out, "has_fit", dpca->has_fit);
    if (!dpca->has_fit) return;
    psa_buf_name(out, "fit");
    psa_buf_puts(out, "{");
    write_fit(&dpca->fit, out);
    psa_buf_puts(out, "}");
}

static bool is_whole_row_count(struct psa_json *in, size_t n, size_t c)
{
    return n % c == 0 || psa_json_refuse(in, "rows are not of the stream's fields");
}

static bool load_stack(struct psa_dpca *dpca, struct psa_json *in)
{
    size_t n = 0, c = dpca->settings.n_columns;

    psa_json_enter_array(in);
    while (psa_json_next_item(in)) {
        if (n == dpca->longest * c) return psa_json_refuse(in, "the stack has more rows than the longest of the lags");
        dpca->stack[n++] = psa_json_number(in);
    }
    dpca->n_stack = n / c;
    return in->fault.what == NULL && is_whole_row_count(in, n, c);
}

/* Numbers first: they say how many rows there are. */
static bool load_queue(const struct psa_dpca *dpca, struct psa_dpca_queue *queue, struct psa_json *in)
{
    size_t c = dpca->settings.n_columns, n = 0;
    bool has_rows = false;
    struct psa_str name;

    if (queue->value == NULL) return psa_json_refuse(in, "rows to learn from, of a detector that does not learn");
    queue->n = queue->first = 0;
    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        bool is_numbers = psa_str_eq(name, "numbers");

        if (!is_numbers && !psa_str_eq(name, "rows")) return psa_json_refuse(in, "an unknown member");
        psa_json_enter_array(in);
        for (n = 0; psa_json_next_item(in); n++) {
            if (n >= (is_numbers ? queue->capacity : queue->n * c))
                return psa_json_refuse(in, "more rows than there can be");
            if (is_numbers) queue->number[n] = psa_json_int(in);
            else queue->value[n] = psa_json_number(in);
        }
        if (is_numbers) queue->n = n;
        has_rows = !is_numbers;
        if (has_rows && n != queue->n * c) return psa_json_refuse(in, "rows do not fit their numbers");
    }
    return in->fault.what == NULL && (has_rows || psa_json_refuse(in, "numbers without their rows"));
}

static bool load_fit(struct psa_dpca *dpca, struct psa_json *in)
{
    struct psa_str name;

    if (dpca->given != NULL && dpca->settings.refit == 0) return psa_json_refuse(in, "a fit beside a frozen model");
    psa_dpca_fit_free(&dpca->fit);
    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name))
        if (!read_fit(&dpca->fit, dpca->settings.n_columns, name, in)) return psa_json_refuse(in, "not a fit");
    return in->fault.what == NULL && (fit_lacks(&dpca->fit) == NULL || psa_json_refuse(in, "the fit lacks a member"));
}

static enum member member_of(struct psa_str name)
{
    static const char *const names[] = { "seen",    "number", "last_alarm", "alarm", "stack",
                                         "waiting", "normal", "has_fit",    "fit" };

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (psa_str_eq(name, names[i])) return (enum member)(1u << i);
    return 0;
}

static bool load(struct psa_detector *detector, struct psa_str name, struct psa_json *in)
{
    struct state *state = detector->state;
    struct psa_dpca *dpca = &state->dpca;
    enum member member = member_of(name);

    if (state->loaded & member) return psa_json_refuse(in, "a member comes twice");
    state->loaded |= member;
    switch (member) {
    case SEEN: dpca->seen = psa_model_count(in, 0, COUNT_MAX); break;
    case NUMBER: dpca->number = psa_model_count(in, -1, COUNT_MAX); break;
    case LAST_ALARM: dpca->last_alarm = psa_model_count(in, -1, COUNT_MAX); break;
    case ALARM: dpca->alarm = psa_json_bool(in); break;
    case STACK: return load_stack(dpca, in);
    case WAITING: return load_queue(dpca, &dpca->waiting, in);
    case NORMAL: return load_queue(dpca, &dpca->normal, in);
    case HAS_FIT: dpca->has_fit = psa_json_bool(in); break;
    case FIT: return load_fit(dpca, in);
    default: return false;
    }
    return in->fault.what == NULL;
}

static bool ascends(const struct psa_dpca_queue *queue, int64_t from, int64_t to)
{
    for (size_t i = 0; i < queue->n; i++) {
        if (queue->number[i] < from || queue->number[i] > to) return false;
        from = queue->number[i] + 1;
    }
    return true;
}

static bool loaded(struct psa_detector *detector)
{
    const struct state *state = detector->state;
    const struct psa_dpca *dpca = &state->dpca;
    const struct psa_dpca_settings *settings = &dpca->settings;
    unsigned expected = SEEN | NUMBER | LAST_ALARM | ALARM | STACK | HAS_FIT;

    if (dpca->has_fit) expected |= FIT;
    if (psa_dpca_learns(dpca)) expected |= WAITING | NORMAL;
    if (state->loaded != expected) return false;
    if (dpca->number < dpca->seen - 1 || dpca->last_alarm > dpca->number) return false;
    if ((int64_t)dpca->n_stack > dpca->seen) return false;
    if (dpca->has_fit) {
        if (dpca->fit.n_part != settings->n_lag) return false;
        for (size_t p = 0; p < settings->n_lag; p++)
            if (dpca->fit.part[p].lag != settings->lag[p]) return false;
    }
    return ascends(&dpca->normal, 0, dpca->number) &&
           ascends(&dpca->waiting,
                   dpca->normal.n == 0 ? 0 : dpca->normal.number[dpca->normal.first + dpca->normal.n - 1] + 1,
                   dpca->number);
}

/* ---- a model ---------------------------------------------------------------------------------------------- */

/* Rows numbered so that no window reaches over the end of a run. */
static int64_t *number_rows(const struct psa_training *training)
{
    int64_t *number = malloc((training->n_rows + 1) * sizeof *number);

    for (size_t r = 0; number != NULL && r < training->n_run; r++)
        for (size_t i = training->run[r]; i < training->run[r + 1]; i++) number[i] = (int64_t)(i + r);
    return number;
}

static int fit_rows(struct parameters *parameters, const struct psa_training *training, const int64_t *number,
                    double *scores, struct psa_error *error)
{
    const struct psa_detector_settings *settings = training->settings;
    struct psa_dpca_rows rows = { training->rows, number, training->n_rows };
    size_t longest = psa_dpca_longest(&parameters->fit), windows = psa_dpca_windows(&rows, longest),
           lag[PSA_DPCA_LAGS_MAX];
    struct psa_scratch scratch = { 0 };
    size_t needed;
    int failed;

    for (size_t i = 0; i < settings->n_lag; i++) lag[i] = (size_t)settings->lag[i];
    needed = (size_t)psa_dpca_rows_needed(training->n_columns, lag, settings->n_lag);
    if (needed < longest * LONGEST_TIMES) needed = longest * LONGEST_TIMES;
    if (windows + longest - 1 < needed)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "%zu rows in %zu runs hold %zu windows of %zu consecutive rows; %zu features need at least "
                        "%zu, as %zu rows in "
                        "one run have, or shorter --lags",
                        training->n_rows, training->n_run, windows, longest, training->n_columns,
                        needed - (longest - 1), needed);
    if (training->progress != NULL) training->progress(training->progress_ctx, "fitting windows", windows, windows);
    failed = psa_dpca_fit_make(&parameters->fit, &rows, parameters->variance, &scratch, scores);
    psa_scratch_free(&scratch);
    if (failed < 0) return psa_fail_memory(error, "fitting");
    if (failed == 0 && (longest = psa_dpca_blind(&parameters->fit)) > 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, BLIND_SAYS, longest);
    return failed == 0 ? 0 : psa_fail(error, PSA_EXIT_PERMANENT, "no components were found; are the rows all alike?");
}

static int train(struct psa_model *model, const struct psa_training *training, double *scores, struct psa_error *error)
{
    const struct psa_detector_settings *settings = training->settings;
    struct parameters *parameters = calloc(1, sizeof *parameters);
    size_t lag[PSA_DPCA_LAGS_MAX];
    int64_t *number;
    int status;

    model->parameters = parameters;
    for (size_t i = 0; i < settings->n_lag; i++) lag[i] = (size_t)settings->lag[i];
    if (check_size(longest_of(settings), training->n_columns, "a training set of", (int64_t)training->n_rows, error) !=
        0)
        return -1;
    if (parameters == NULL || psa_dpca_fit_init(&parameters->fit, training->n_columns, lag, settings->n_lag) != 0)
        return psa_fail_memory(error, "fitting");
    parameters->variance = settings->variance;
    number = number_rows(training);
    if (number == NULL) return psa_fail_memory(error, "fitting");
    status = fit_rows(parameters, training, number, scores, error);
    free(number);
    return status;
}

static void write_parameters(const struct psa_model *model, struct psa_buf *out)
{
    const struct parameters *parameters = model->parameters;

    psa_buf_member_number(out, "variance", parameters->variance);
    write_fit(&parameters->fit, out);
}

static bool read_parameter(struct psa_model *model, struct psa_str name, struct psa_json *in)
{
    struct parameters *parameters = model->parameters;

    if (parameters == NULL) parameters = model->parameters = calloc(1, sizeof *parameters);
    if (parameters == NULL) return psa_json_refuse(in, "memory is out");
    if (!psa_str_eq(name, "variance")) return read_fit(&parameters->fit, model->n_features, name, in);
    parameters->variance = psa_model_number(in);
    if (in->fault.what == NULL && !(parameters->variance > 0.0 && parameters->variance < 1.0))
        psa_json_refuse(in, "variance is not between 0 and 1");
    return in->fault.what == NULL;
}

static const char *check(struct psa_model *model)
{
    const struct parameters *parameters = model->parameters;

    if (parameters == NULL || parameters->variance == 0.0) return "variance is missing";
    return fit_lacks(&parameters->fit);
}

static void drop(struct psa_model *model)
{
    struct parameters *parameters = model->parameters;

    psa_dpca_fit_free(&parameters->fit);
    free(parameters);
    model->parameters = NULL;
}

static void describe(const struct psa_model *model, struct psa_buf *out)
{
    const struct parameters *parameters = model->parameters;

    for (size_t p = 0; p < parameters->fit.n_part; p++) {
        const struct psa_dpca_part *part = &parameters->fit.part[p];

        psa_buf_puts(out, "a PCA of ");
        psa_buf_int(out, (int64_t)part->lag);
        psa_buf_puts(out, " rows stacked: ");
        psa_buf_int(out, (int64_t)part->n_component);
        psa_buf_puts(out, " of ");
        psa_buf_int(out, (int64_t)part->width);
        psa_buf_puts(out, " components hold ");
        psa_buf_number(out, parameters->variance);
        psa_buf_puts(out, " of the variance; 1 in 100 windows left a residual above ");
        psa_buf_number(out, part->limit);
        psa_buf_puts(out, "\n");
    }
}

const struct psa_detector_type psa_dynamic_pca_detector = {
    .name = "dynamic-pca",
    .prefix = "dpca",
    .summary = "rows that do not fit how the fields moved together lately",
    .traits =
        PSA_DETECTOR_STREAMS | PSA_DETECTOR_TRAINS | PSA_DETECTOR_ADAPTS | PSA_DETECTOR_REMEMBERS | PSA_DETECTOR_NULLS,
    .on = 1.5,
    .off = 1.0,
    .start = start,
    .update = update,
    .judged = judged,
    .gap = gap,
    .stop = stop,
    .save = save,
    .load = load,
    .loaded = loaded,
    .train = train,
    .write = write_parameters,
    .read = read_parameter,
    .check = check,
    .drop = drop,
    .describe = describe,
};
