/*
 * operation_linear.c - psa-filter's recursive filters: Butterworth, notch, integration, exponential smoothing, difference.
 *
 * A missing sample leaves a filter's state alone and stays missing; exponential smoothing lets the old value fade over it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/number.h"
#include "core/option.h"
#include "dsp/filtfilt.h"
#include "dsp/iir.h"
#include "stage/operation.h"
#include "stage/slot.h"

/* ---- cascades of second-order sections --------------------------------------------------------------------------------- */

/*
 * State, for sections s and channels c:
 *     v[(2 s + 0) n_channel + c], v[(2 s + 1) n_channel + c]   z0, z1 of psa_sos_step_many
 *     k[c]                                                     0: starts with the channel's next value
 */
struct cascade {
    struct psa_sos sos[PSA_SOS_MAX];
    double zi[2 * PSA_SOS_MAX]; /* of a constant input of 1 */
    size_t n;
    bool side_by_side; /* the channels lie side by side in a frame */
    double *x;         /* [n_channel], where they do not */
    double *array;     /* --zero-phase: one channel's samples, and scratch */
    size_t cap;
};

static int parse_cutoff(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    return psa_operation_rate(operation, argument, &operation->value[0], error);
}

/* LOW:HIGH */
static int parse_band(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    static const char shape[] = "a band; write it like 10Hz:100Hz";
    char part[2][PSA_PART_MAX];
    size_t n;

    if (psa_operation_split(operation, argument, ':', part, 2, &n, shape, error) != 0) return -1;
    if (n != 2)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: '%s' is no band; write it like 10Hz:100Hz",
                        operation->type->name, argument);
    if (psa_parse_rate(part[0], operation->type->name, &operation->value[0], error) != 0 ||
        psa_parse_rate(part[1], operation->type->name, &operation->value[1], error) != 0)
        return -1;
    if (operation->value[0] > 0 && operation->value[1] > operation->value[0]) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: '%s' is no band: 0 < low < high", operation->type->name,
                    argument);
}

/* HZ[:Q] */
static int parse_notch(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    char part[2][PSA_PART_MAX];
    size_t n;

    if (psa_operation_split(operation, argument, ':', part, 2, &n, "HZ or HZ:Q, such as 50Hz:30", error) != 0)
        return -1;
    operation->value[1] = 30;
    if (psa_operation_rate(operation, part[0], &operation->value[0], error) != 0) return -1;
    return n == 2 ? psa_operation_real(operation, part[1], 0.1, 1e6, &operation->value[1], error) : 0;
}

static unsigned filter_traits(const struct psa_operation *operation)
{
    return PSA_NEEDS_RATE | (operation->zero_phase ? PSA_WHOLE_BLOCKS : PSA_HAS_START);
}

static unsigned ordered_traits(const struct psa_operation *operation)
{
    return filter_traits(operation) | PSA_HAS_ORDER;
}

/* Its sections into sos; 0 when the cutoff does not suit the rate. */
static size_t sections(const struct psa_operation *operation, double rate_hz, struct psa_sos *sos)
{
    const struct psa_operation_type *type = operation->type;
    double low_hz = operation->value[0], high_hz = operation->value[1];

    if (type == &psa_notch_operation) return psa_notch_design(low_hz, high_hz, rate_hz, sos);
    if (type == &psa_integrate_operation) return psa_integrator_design(low_hz, rate_hz, sos);
    return psa_butter_design(operation->order,
                             type == &psa_lowpass_operation    ? PSA_LOWPASS
                             : type == &psa_highpass_operation ? PSA_HIGHPASS
                             : type == &psa_bandpass_operation ? PSA_BANDPASS
                                                               : PSA_BANDSTOP,
                             low_hz, high_hz, rate_hz, sos);
}

static void drop_cascade(struct psa_step *step)
{
    struct cascade *cascade = step->design;

    if (!cascade) return;
    free(cascade->x);
    free(cascade->array);
    free(cascade);
    step->design = NULL;
}

/* Why a filter cannot be, for psa_fail. */
static int refuse(const struct psa_step *step, bool unstable, struct psa_error *error)
{
    const struct psa_operation *operation = step->operation;
    bool band = operation->type == &psa_bandpass_operation || operation->type == &psa_bandstop_operation;
    char cutoff[PSA_NUMBER_MAX + 1], rate[PSA_NUMBER_MAX + 1];

    psa_number_text(band ? operation->value[1] : operation->value[0], cutoff);
    psa_number_text(step->rate_hz, rate);
    if (!unstable)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: %s Hz is not below half the sampling rate of %s Hz",
                        operation->type->name, cutoff, rate);
    return psa_fail(error, PSA_EXIT_PERMANENT,
                    "--%s: order %d at %s Hz is not stable at %s Hz sampling; lower the order or resample first",
                    operation->type->name, operation->order, cutoff, rate);
}

static int design_cascade(struct psa_step *step, struct psa_error *error)
{
    struct psa_sos sos[PSA_SOS_MAX];
    size_t n = sections(step->operation, step->rate_hz, sos);
    struct cascade *cascade;

    if (n == 0 || !psa_sos_stable(sos, n)) return refuse(step, n > 0, error);
    cascade = calloc(1, sizeof *cascade);
    if (cascade) cascade->x = calloc(step->n_channel + 1, sizeof *cascade->x);
    step->design = cascade;
    if (!cascade || !cascade->x) {
        drop_cascade(step);
        return psa_fail_memory(error, "designing a filter");
    }
    memcpy(cascade->sos, sos, n * sizeof *sos);
    cascade->n = n;
    psa_sos_zi(sos, n, cascade->zi);
    cascade->side_by_side =
        step->n_channel && step->channel[step->n_channel - 1] - step->channel[0] + 1 == step->n_channel;
    step->n_v = step->operation->zero_phase ? 0 : 2 * n * step->n_channel;
    step->n_k = step->operation->zero_phase ? 0 : step->n_channel;
    return 0;
}

static void start_channel(struct psa_step *step, size_t c, double first)
{
    const struct cascade *cascade = step->design;

    for (size_t i = 0; i < 2 * cascade->n; i++)
        step->v[i * step->n_channel + c] = step->operation->from_rest ? 0 : cascade->zi[i] * first;
    step->k[c] = 1;
}

/* A frame in which some channels have no value: each by itself. */
static void run_present(struct psa_step *step, double *frame)
{
    const struct cascade *cascade = step->design;
    size_t width = step->n_channel;
    double z[2 * PSA_SOS_MAX];

    for (size_t c = 0; c < width; c++) {
        double *x = &frame[step->channel[c]];

        if (isnan(*x)) continue;
        if (!step->k[c]) start_channel(step, c, *x);
        for (size_t i = 0; i < 2 * cascade->n; i++) z[i] = step->v[i * width + c];
        psa_sos_run(cascade->sos, cascade->n, z, x, x, 1);
        for (size_t i = 0; i < 2 * cascade->n; i++) step->v[i * width + c] = z[i];
        if (psa_step_overflows(step, step->channel[c], x)) step->k[c] = 0;
    }
}

/* Have all channels a value? Those that have not begun begin here. */
static bool all_present(struct psa_step *step, const double *x)
{
    bool present = true, begun = true;

    for (size_t c = 0; c < step->n_channel; c++) {
        present &= !isnan(x[c]);
        begun &= step->k[c] != 0;
    }
    for (size_t c = 0; present && !begun && c < step->n_channel; c++)
        if (!step->k[c]) start_channel(step, c, x[c]);
    return present;
}

static void run_frame(struct psa_step *step, double *frame)
{
    const struct cascade *cascade = step->design;
    size_t width = step->n_channel;
    double *x = cascade->side_by_side ? frame + step->channel[0] : cascade->x;
    bool finite = true;

    for (size_t c = 0; !cascade->side_by_side && c < width; c++) x[c] = frame[step->channel[c]];
    if (!all_present(step, x)) {
        run_present(step, frame);
        return;
    }
    psa_sos_step_many(cascade->sos, cascade->n, step->v, x, width);
    for (size_t c = 0; c < width; c++) finite &= isfinite(x[c]) != 0;
    for (size_t c = 0; !finite && c < width; c++)
        if (psa_step_overflows(step, step->channel[c], &x[c])) step->k[c] = 0;
    for (size_t c = 0; !cascade->side_by_side && c < width; c++) frame[step->channel[c]] = x[c];
}

/* One channel of a whole block, forward and backward; missing samples stay missing, as if there had been none. */
static int run_whole(struct psa_step *step, size_t channel, struct psa_frames *in)
{
    struct cascade *cascade = step->design;
    size_t pad = psa_filtfilt_pad(cascade->sos, cascade->n), n = 0, want = 2 * (in->n + pad);
    double *x, *scratch;

    if (cascade->cap < want) {
        double *grown = realloc(cascade->array, want * sizeof *grown);

        if (!grown) return -1;
        cascade->array = grown;
        cascade->cap = want;
    }
    x = cascade->array;
    scratch = x + in->n;
    for (size_t i = 0; i < in->n; i++)
        if (!isnan(in->x[i * in->width + channel])) x[n++] = in->x[i * in->width + channel];
    if (n == 0) return 0;
    if (n > pad) psa_filtfilt(cascade->sos, cascade->n, x, x, n, scratch);
    else step->too_short++;
    for (size_t i = 0, at = 0; i < in->n; i++) {
        double *place = &in->x[i * in->width + channel];

        if (isnan(*place)) continue;
        *place = n > pad ? x[at++] : NAN;
        if (n > pad) psa_step_overflows(step, channel, place);
    }
    return 0;
}

static int run_cascade(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    (void)spare;
    if (step->operation->zero_phase) {
        for (size_t c = 0; c < step->n_channel; c++)
            if (run_whole(step, step->channel[c], in) != 0) return -1;
        return 0;
    }
    for (size_t i = 0; i < in->n; i++) run_frame(step, in->x + i * in->width);
    return 0;
}

const struct psa_operation_type psa_lowpass_operation = {
    .name = "lowpass",
    .parse = parse_cutoff,
    .traits = ordered_traits,
    .design = design_cascade,
    .drop = drop_cascade,
    .run = run_cascade,
};
const struct psa_operation_type psa_highpass_operation = {
    .name = "highpass",
    .parse = parse_cutoff,
    .traits = ordered_traits,
    .design = design_cascade,
    .drop = drop_cascade,
    .run = run_cascade,
};
const struct psa_operation_type psa_bandpass_operation = {
    .name = "bandpass",
    .parse = parse_band,
    .traits = ordered_traits,
    .design = design_cascade,
    .drop = drop_cascade,
    .run = run_cascade,
};
const struct psa_operation_type psa_bandstop_operation = {
    .name = "bandstop",
    .parse = parse_band,
    .traits = ordered_traits,
    .design = design_cascade,
    .drop = drop_cascade,
    .run = run_cascade,
};
const struct psa_operation_type psa_notch_operation = {
    .name = "notch",
    .parse = parse_notch,
    .traits = filter_traits,
    .design = design_cascade,
    .drop = drop_cascade,
    .run = run_cascade,
};
const struct psa_operation_type psa_integrate_operation = {
    .name = "integrate",
    .parse = parse_cutoff,
    .traits = filter_traits,
    .design = design_cascade,
    .drop = drop_cascade,
    .run = run_cascade,
};

/* ---- exponential smoothing -------------------------------------------------------------------------------------------------- */

/*
 *     y = (w y + a x) / (w + a),  w = (1 - a)^m, m samples after the one y is of: pandas.Series.ewm(alpha=a, adjust=False)
 *     y = w y + (1 - w) x,        w = exp(-dt / T), dt the time since the one y is of (Brown 1963, chapter 7)
 *
 * State: v[c] = y, or NaN before the first value; v[n + c] = w so far; k[c] = the time y is of, or with an interval that is
 * told the samples since.
 */
struct smoothing {
    double dt_s, w; /* the last weight that was computed: samples mostly lie evenly */
};

static int parse_ewma(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    int64_t ns;
    double alpha;

    if (psa_number_parse(argument, argument + strlen(argument), &alpha)) {
        operation->value[0] = alpha;
        if (alpha > 0 && alpha <= 1) return 0;
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--ewma: '%s' is no weight above 0 and at most 1; a time has a unit, like 500ms", argument);
    }
    if (*argument == '.')
        return psa_fail(error, PSA_EXIT_PERMANENT, "--ewma: '%s' is no number; write 0%s", argument, argument);
    if (psa_parse_duration(argument, "--ewma", &ns, error) != 0) return -1;
    operation->value[1] = (double)ns / 1e9;
    if (ns > 0) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "--ewma: '%s' must be above zero", argument);
}

static unsigned ewma_traits(const struct psa_operation *operation)
{
    return operation->value[1] > 0 ? PSA_NEEDS_TIME : 0;
}

static int design_ewma(struct psa_step *step, struct psa_error *error)
{
    step->design = calloc(1, sizeof(struct smoothing));
    if (!step->design) return psa_fail_memory(error, "designing a filter");
    step->n_v = 2 * step->n_channel;
    step->n_k = step->n_channel;
    return 0;
}

static void drop_ewma(struct psa_step *step)
{
    free(step->design);
    step->design = NULL;
}

static void start_ewma(struct psa_step *step)
{
    for (size_t c = 0; c < step->n_channel; c++) step->v[c] = NAN;
}

static void smooth_by_count(struct psa_step *step, double *frame)
{
    double alpha = step->operation->value[0];

    for (size_t c = 0; c < step->n_channel; c++) {
        double *x = &frame[step->channel[c]], *y = &step->v[c], *w = &step->v[step->n_channel + c];

        if (isnan(*y)) {
            *y = *x;
            *w = 1;
            continue;
        }
        *w *= 1 - alpha;
        if (isnan(*x)) continue;
        if (*y != *x) *y = (*w * *y + alpha * *x) / (*w + alpha); /* a constant stays one to the bit */
        *w = 1;
        *x = *y;
        if (psa_step_overflows(step, step->channel[c], x)) *y = NAN;
    }
}

static double fading(struct psa_step *step, double dt_s)
{
    struct smoothing *smoothing = step->design;

    if (dt_s != smoothing->dt_s || smoothing->w == 0) {
        smoothing->dt_s = dt_s;
        smoothing->w = exp(-dt_s / step->operation->value[1]);
    }
    return smoothing->w;
}

static void smooth_by_time(struct psa_step *step, double *frame, int64_t time_ns)
{
    bool told = step->told_interval_s > 0;

    for (size_t c = 0; c < step->n_channel; c++) {
        double *x = &frame[step->channel[c]], *y = &step->v[c], w;
        int64_t since = told ? ++step->k[c] : psa_ns_since(time_ns, step->k[c]);

        if (isnan(*x)) continue;
        w = fading(step, told ? (double)since * step->told_interval_s : (double)since / 1e9);
        *y = isnan(*y) || *y == *x ? *x : w * *y + (1 - w) * *x;
        step->k[c] = told ? 0 : time_ns;
        *x = *y;
        if (psa_step_overflows(step, step->channel[c], x)) *y = NAN;
    }
}

static int run_ewma(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    (void)spare;
    for (size_t i = 0; i < in->n; i++)
        if (step->operation->value[1] > 0) smooth_by_time(step, in->x + i * in->width, in->time_ns[i]);
        else smooth_by_count(step, in->x + i * in->width);
    return 0;
}

/* Samples since the last value are counted up from where the file says. */
static bool valid_ewma(const struct psa_step *step)
{
    for (size_t c = 0; step->told_interval_s > 0 && c < step->n_channel; c++)
        if (step->k[c] < 0 || step->k[c] > INT64_MAX / 2) return false;
    return true;
}

const struct psa_operation_type psa_ewma_operation = { .name = "ewma",
                                                       .parse = parse_ewma,
                                                       .traits = ewma_traits,
                                                       .design = design_ewma,
                                                       .drop = drop_ewma,
                                                       .start = start_ewma,
                                                       .valid = valid_ewma,
                                                       .run = run_ewma };

/* ---- difference ---------------------------------------------------------------------------------------------------------------- */

/* y[i] = x[i] - x[i - 1]: missing at the start and beside a missing value. State: v[c] = x[i - 1]. */
static int parse_nothing(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    (void)operation;
    (void)argument;
    (void)error;
    return 0;
}

static unsigned no_traits(const struct psa_operation *operation)
{
    (void)operation;
    return 0;
}

static int design_difference(struct psa_step *step, struct psa_error *error)
{
    (void)error;
    step->n_v = step->n_channel;
    return 0;
}

static void start_difference(struct psa_step *step)
{
    for (size_t c = 0; c < step->n_channel; c++) step->v[c] = NAN;
}

static int run_difference(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    (void)spare;
    for (size_t i = 0; i < in->n; i++)
        for (size_t c = 0; c < step->n_channel; c++) {
            double *x = &in->x[i * in->width + step->channel[c]], last = step->v[c];

            step->v[c] = *x;
            *x -= last;
            if (!isnan(*x)) psa_step_overflows(step, step->channel[c], x);
        }
    return 0;
}

const struct psa_operation_type psa_difference_operation = { .name = "difference",
                                                             .parse = parse_nothing,
                                                             .traits = no_traits,
                                                             .design = design_difference,
                                                             .start = start_difference,
                                                             .run = run_difference };
