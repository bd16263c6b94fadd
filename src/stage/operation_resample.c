/*
 * operation_resample.c - psa-filter's --resample and --decimate: fewer or more frames, on all channels.
 *
 * --resample HZ by a polyphase filter (dsp/resample.h) gives frame k the time of input k down / up, between the times of
 * its two neighbours, so that it follows the stream's own clock:
 *
 *     v   ring of inputs [span][width]
 *     k   the filter's two numbers, times of the ring's inputs [span]
 *
 * On a grid of times (linear, previous, mean):
 *
 *     v   linear: the newest frame; previous: the newest value of each channel; mean: sums [width] and what their rounding
 *         lost [width]
 *     k   whether there was a frame, its time, the next point of the grid (mean: the one whose interval is open), mean:
 *         frames in it, then values of each channel in it
 *
 * --decimate runs a low-pass and keeps every Q-th frame:
 *
 *     v   iir: sections' states of each channel; fir: the ring
 *     k   iir: frames since the last one kept, then whether a channel has started; fir: the filter's two numbers, likewise
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/number.h"
#include "dsp/filtfilt.h"
#include "dsp/iir.h"
#include "dsp/resample.h"
#include "stage/operation.h"
#include "stage/slot.h"

/* Points of the grid between two frames; where there are more nothing is put between them and the grid starts anew. */
enum { GRID_STEPS_MAX = 100000 };

/* Two rates are a fraction when they are one but for this, relative: a twentieth of what a quartz is off. */
static const double RATIO_TOLERANCE = 1e-6;

enum method { POLYPHASE, LINEAR, PREVIOUS, MEAN };

static const char *const method_name[] = { "polyphase", "linear", "previous", "mean" };

/* The design of either operation; what it does not need is NULL or zero. */
struct resampler {
    struct psa_polyphase *polyphase;
    struct psa_grid grid;
    struct psa_sos sos[PSA_SOS_MAX];
    double zi[2 * PSA_SOS_MAX];
    size_t n_sos;
};

static void drop_resampler(struct psa_step *step)
{
    struct resampler *resampler = step->design;

    if (resampler) psa_polyphase_free(resampler->polyphase);
    free(resampler);
    step->design = NULL;
}

/* The step's design, made anew; NULL, saying so, when memory is out. */
static struct resampler *new_resampler(struct psa_step *step, struct psa_error *error)
{
    step->design = calloc(1, sizeof(struct resampler));
    if (!step->design) psa_fail_memory(error, "designing a filter");
    return step->design;
}

static void exchange(struct psa_frames *a, struct psa_frames *b)
{
    struct psa_frames t = *a;

    *a = *b;
    *b = t;
}

/* Room for one more frame behind the last; NULL when memory is out. The caller adds it by raising n. */
static double *next_frame(struct psa_frames *out)
{
    return psa_frames_reserve(out, out->n + 1) == 0 ? out->x + out->n * out->width : NULL;
}

/* Sums that left the range of a double; one with a missing sample among its terms is NaN already, and none of them. */
static void check_sums(struct psa_step *step, double *frame)
{
    for (size_t c = 0; c < step->width; c++)
        if (!isnan(frame[c])) psa_step_overflows(step, c, &frame[c]);
}

/* ---- --resample HZ,polyphase ---------------------------------------------------------------------------------------------- */

static int64_t *ring_times(const struct psa_step *step)
{
    return step->k + 2;
}

/* When an output belongs: between the times of the two inputs around it; behind the last one an interval is what the rate
 * says. */
static int64_t time_of(const struct psa_step *step, const struct psa_polyphase *polyphase,
                       const struct psa_polyphase_place *place)
{
    const int64_t *time_ns = ring_times(step);
    int64_t begin = time_ns[place->slot], part;
    size_t next = place->slot + 1 == polyphase->span ? 0 : place->slot + 1;

    if (place->part == 0) return begin;
    if (place->back == 0)
        return psa_ns_add(begin, psa_ns_of_samples((double)place->part / (double)polyphase->up, step->rate_hz));
    part = (int64_t)((double)psa_ns_since(time_ns[next], begin) * (double)place->part / (double)polyphase->up + 0.5);
    return psa_ns_add(begin, part);
}

/* Append the outputs that are due. */
static int pull(struct psa_step *step, bool flush, struct psa_frames *out, bool timed)
{
    const struct resampler *resampler = step->design;
    struct psa_polyphase_place place;

    for (;;) {
        double *frame = next_frame(out);

        if (!frame) return -1;
        if (!psa_polyphase_pull(resampler->polyphase, step->v, step->k, flush, frame, step->width, &place)) return 0;
        check_sums(step, frame);
        if (timed) out->time_ns[out->n] = time_of(step, resampler->polyphase, &place);
        out->n++;
    }
}

static int run_polyphase(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    const struct resampler *resampler = step->design;

    spare->n = 0;
    for (size_t i = 0; i < in->n; i++) {
        ring_times(step)[step->k[1]] = in->time_ns[i];
        psa_polyphase_push(resampler->polyphase, step->v, step->k, in->x + i * in->width, in->width);
        if (pull(step, false, spare, true) != 0) return -1;
    }
    exchange(in, spare);
    return 0;
}

static int design_polyphase(struct psa_step *step, struct psa_error *error)
{
    struct resampler *resampler;
    double hz = step->operation->value[0];
    char from[PSA_NUMBER_MAX + 1], to[PSA_NUMBER_MAX + 1];
    int64_t up, down;

    if (!(psa_rational(hz / step->rate_hz, PSA_RATIO_MAX, &up, &down) <= RATIO_TOLERANCE))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--resample: %s Hz to %s Hz is no ratio of numbers up to %d; give --rate, or %s,linear",
                        psa_number_text(step->rate_hz, from), psa_number_text(hz, to), PSA_RATIO_MAX, to);
    resampler = new_resampler(step, error);
    if (!resampler) return -1;
    resampler->polyphase = psa_polyphase_resampler((size_t)up, (size_t)down);
    if (!resampler->polyphase) {
        drop_resampler(step);
        return psa_fail_memory(error, "designing a filter");
    }
    step->n_v = resampler->polyphase->span * step->width;
    step->n_k = 2 + resampler->polyphase->span;
    step->rate_out_hz = hz;
    return 0;
}

/* ---- --resample HZ,linear|previous|mean ------------------------------------------------------------------------------------- */

enum { K_STARTED, K_TIME, K_NEXT, K_FRAMES, K_COUNTS };
/* Samples in one interval of a mean, of a state that somebody has been at: adding to it must not leave int64. */
#define COUNT_MAX (INT64_MAX / 2)

static int design_grid(struct psa_step *step, struct psa_error *error)
{
    bool mean = step->operation->count[0] == MEAN;
    struct resampler *resampler = new_resampler(step, error);

    if (!resampler) return -1;
    psa_grid_of(step->operation->value[0], &resampler->grid); /* parse() has seen that it is one */
    step->rate_out_hz = step->operation->value[0];
    step->n_v = mean ? 2 * step->width : step->width;
    step->n_k = K_COUNTS + (mean ? step->width : 0);
    return 0;
}

static int put_point(struct psa_step *step, struct psa_frames *out, int64_t m, double **frame)
{
    const struct resampler *resampler = step->design;

    *frame = next_frame(out);
    if (!*frame) return -1;
    out->time_ns[out->n++] = psa_grid_time(resampler->grid, m);
    return 0;
}

/* A frame at time_ns on an empty grid: `first` is the point that comes next. */
static void begin_grid(struct psa_step *step, int64_t time_ns, int64_t first)
{
    step->k[K_STARTED] = 1;
    step->k[K_TIME] = time_ns;
    step->k[K_NEXT] = first;
}

/* Is the frame at `last` (a point of the grid at or before it) too far behind the one before it? Then the grid is empty. */
static bool leapt(struct psa_step *step, int64_t last)
{
    const struct resampler *resampler = step->design;

    if (!step->k[K_STARTED] || last - psa_grid_at_or_before(resampler->grid, step->k[K_TIME]) <= GRID_STEPS_MAX)
        return false;
    step->k[K_STARTED] = 0;
    step->leapt++;
    return true;
}

static int put_linear(struct psa_step *step, const double *x, int64_t time_ns, struct psa_frames *out)
{
    const struct resampler *resampler = step->design;
    int64_t last = psa_grid_at_or_before(resampler->grid, time_ns);
    double *frame;

    leapt(step, last);
    if (!step->k[K_STARTED]) begin_grid(step, time_ns, psa_grid_at_or_after(resampler->grid, time_ns));
    for (int64_t m = step->k[K_NEXT]; m <= last; m++) {
        if (put_point(step, out, m, &frame) != 0) return -1;
        for (size_t c = 0; c < step->width; c++) {
            frame[c] = psa_line_between(step->k[K_TIME], step->v[c], time_ns, x[c], psa_grid_time(resampler->grid, m));
            if (!isnan(step->v[c]) && !isnan(x[c])) psa_step_overflows(step, c, &frame[c]);
        }
    }
    if (last >= step->k[K_NEXT]) step->k[K_NEXT] = last + 1;
    step->k[K_TIME] = time_ns;
    memcpy(step->v, x, step->width * sizeof *x);
    return 0;
}

/* The newest values, at the points before `end`. */
static int hold_until(struct psa_step *step, int64_t end, struct psa_frames *out)
{
    double *frame;

    for (; step->k[K_NEXT] < end; step->k[K_NEXT]++) {
        if (put_point(step, out, step->k[K_NEXT], &frame) != 0) return -1;
        memcpy(frame, step->v, step->width * sizeof *frame);
    }
    return 0;
}

static int put_previous(struct psa_step *step, const double *x, int64_t time_ns, struct psa_frames *out)
{
    const struct resampler *resampler = step->design;
    int64_t last = psa_grid_at_or_before(resampler->grid, time_ns);
    int64_t from = psa_grid_at_or_after(resampler->grid, time_ns);

    leapt(step, last);
    if (!step->k[K_STARTED]) {
        for (size_t c = 0; c < step->width; c++) step->v[c] = NAN;
        begin_grid(step, time_ns, from);
    }
    if (hold_until(step, from, out) != 0) return -1;
    for (size_t c = 0; c < step->width; c++)
        if (!isnan(x[c])) step->v[c] = x[c];
    step->k[K_TIME] = time_ns;
    return hold_until(step, last + 1, out); /* the frame's own, where it is at one */
}

/* The open interval's means, or missing values; then the next one is open. */
static int close_interval(struct psa_step *step, struct psa_frames *out)
{
    double *frame;

    if (put_point(step, out, step->k[K_NEXT], &frame) != 0) return -1;
    for (size_t c = 0; c < step->width; c++) {
        double *sum = &step->v[c], *lost = &step->v[step->width + c];
        int64_t *count = &step->k[K_COUNTS + c];

        frame[c] = *count ? (*sum + *lost) / (double)*count : NAN;
        if (*count) psa_step_overflows(step, c, &frame[c]);
        *sum = *lost = 0;
        *count = 0;
    }
    step->k[K_FRAMES] = 0;
    step->k[K_NEXT]++;
    return 0;
}

/* Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen, ZAMM 54, 1974,
 * doi:10.1002/zamm.19740540106: a sum and what its rounding lost. */
static void add(double *sum, double *lost, double x)
{
    double next = *sum + x;

    if (isfinite(next)) *lost += fabs(*sum) >= fabs(x) ? *sum - next + x : x - next + *sum;
    *sum = isfinite(next) ? next : NAN; /* which a saved state can hold */
}

static int put_mean(struct psa_step *step, const double *x, int64_t time_ns, struct psa_frames *out)
{
    const struct resampler *resampler = step->design;
    int64_t m = psa_grid_at_or_before(resampler->grid, time_ns);

    if (leapt(step, m) && step->k[K_FRAMES] && close_interval(step, out) != 0) return -1;
    if (!step->k[K_STARTED]) begin_grid(step, time_ns, m);
    while (step->k[K_NEXT] < m)
        if (close_interval(step, out) != 0) return -1;
    step->k[K_TIME] = time_ns;
    step->k[K_FRAMES] = 1;
    for (size_t c = 0; c < step->width; c++) {
        if (isnan(x[c])) continue;
        add(&step->v[c], &step->v[step->width + c], x[c]);
        step->k[K_COUNTS + c]++;
    }
    return 0;
}

static int run_grid(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    spare->n = 0;
    for (size_t i = 0; i < in->n; i++) {
        const double *x = in->x + i * in->width;
        int64_t time_ns = in->time_ns[i];
        int status;

        /* Times run forward; were they not to, the grid waits for them. */
        if (step->k[K_STARTED] && time_ns < step->k[K_TIME]) time_ns = step->k[K_TIME];
        if (step->operation->count[0] == LINEAR) status = put_linear(step, x, time_ns, spare);
        else if (step->operation->count[0] == PREVIOUS) status = put_previous(step, x, time_ns, spare);
        else status = put_mean(step, x, time_ns, spare);
        if (status != 0) return -1;
    }
    exchange(in, spare);
    return 0;
}

/* No number of points that the loops above walk through may be larger than a stream can make it. */
static bool valid_grid(const struct psa_step *step)
{
    const struct resampler *resampler = step->design;
    int64_t at = psa_grid_at_or_before(resampler->grid, step->k[K_TIME]), next = step->k[K_NEXT];

    if (step->n_k > K_COUNTS)
        for (size_t c = 0; c < step->width; c++)
            if (step->k[K_COUNTS + c] < 0 || step->k[K_COUNTS + c] > COUNT_MAX) return false;
    if (!step->k[K_STARTED]) return step->k[K_FRAMES] == 0;
    return next >= at && next <= psa_ns_add(at, GRID_STEPS_MAX + 2);
}

/* ---- --resample ------------------------------------------------------------------------------------------------------------- */

/* value[0]: Hz; count[0]: enum method. */

static int parse_resample(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    char part[2][PSA_PART_MAX];
    size_t n;
    struct psa_grid grid;

    if (psa_operation_split(operation, argument, ',', part, 2, &n, "HZ or HZ,METHOD", error) != 0) return -1;
    if (psa_operation_rate(operation, part[0], &operation->value[0], error) != 0) return -1;
    if (!psa_grid_of(operation->value[0], &grid))
        return psa_fail(error, PSA_EXIT_PERMANENT, "--resample: '%s' is not within 1e-9 to 1e8 Hz", part[0]);
    operation->count[0] = POLYPHASE;
    for (size_t i = 0; n == 2; i++) {
        if (i == sizeof method_name / sizeof *method_name)
            return psa_fail(error, PSA_EXIT_PERMANENT, "--resample: '%s' is not polyphase, linear, previous or mean",
                            part[1]);
        if (strcmp(part[1], method_name[i]) != 0) continue;
        operation->count[0] = (int64_t)i;
        break;
    }
    return 0;
}

static unsigned resample_traits(const struct psa_operation *operation)
{
    if (operation->count[0] == POLYPHASE)
        return PSA_RESAMPLES | PSA_LOOKS_AHEAD | PSA_NEEDS_RATE | PSA_TOLD_RATE | PSA_NEEDS_TIME;
    return PSA_RESAMPLES | PSA_LOOKS_AHEAD | PSA_NEEDS_TIME;
}

static int design_resample(struct psa_step *step, struct psa_error *error)
{
    return step->operation->count[0] == POLYPHASE ? design_polyphase(step, error) : design_grid(step, error);
}

static void start_resample(struct psa_step *step)
{
    const struct resampler *resampler = step->design;

    if (resampler->polyphase) psa_polyphase_start(resampler->polyphase, step->k);
}

static bool valid_resample(const struct psa_step *step)
{
    const struct resampler *resampler = step->design;

    return resampler->polyphase ? psa_polyphase_valid(resampler->polyphase, step->k) : valid_grid(step);
}

static int run_resample(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    spare->width = in->width;
    return step->operation->count[0] == POLYPHASE ? run_polyphase(step, in, spare) : run_grid(step, in, spare);
}

static int advance_resample(struct psa_step *step, int64_t now_ns, struct psa_frames *out)
{
    const struct resampler *resampler = step->design;
    int64_t held_ns;

    if (step->operation->count[0] == MEAN) {
        if (!step->k[K_FRAMES] || psa_grid_time(resampler->grid, step->k[K_NEXT] + 1) > now_ns) return 0;
        return close_interval(step, out);
    }
    if (step->operation->count[0] != PREVIOUS || !step->k[K_STARTED]) return 0;
    held_ns = psa_grid_time(resampler->grid, psa_grid_at_or_before(resampler->grid, step->k[K_TIME]) + GRID_STEPS_MAX);
    if (step->operation->max_gap_ns > 0 && psa_ns_add(step->k[K_TIME], step->operation->max_gap_ns) < held_ns)
        held_ns = psa_ns_add(step->k[K_TIME], step->operation->max_gap_ns);
    return hold_until(step, psa_grid_at_or_after(resampler->grid, now_ns < held_ns ? now_ns : held_ns), out);
}

static int drain_resample(struct psa_step *step, struct psa_frames *out)
{
    if (step->operation->count[0] == POLYPHASE) return pull(step, true, out, true);
    if (step->operation->count[0] == MEAN && step->k[K_FRAMES]) return close_interval(step, out);
    return 0;
}

/* A mean is of its whole interval. */
static int64_t resample_covers(const struct psa_step *step, int64_t time_ns)
{
    const struct resampler *resampler = step->design;

    if (step->operation->count[0] != MEAN) return time_ns;
    return psa_grid_time(resampler->grid, psa_grid_at_or_before(resampler->grid, time_ns) + 1) - 1;
}

const struct psa_operation_type psa_resample_operation = {
    .name = "resample",
    .parse = parse_resample,
    .traits = resample_traits,
    .design = design_resample,
    .drop = drop_resampler,
    .start = start_resample,
    .valid = valid_resample,
    .run = run_resample,
    .advance = advance_resample,
    .drain = drain_resample,
    .covers = resample_covers,
};

/* ---- --decimate ------------------------------------------------------------------------------------------------------------- */

/* count[0]: Q; count[1]: by a filter of finite length. */

/* scipy.signal.decimate's: order, ripple in dB, and the corner in parts of the new rate's half. */
enum { CHEBYSHEV_ORDER = 8 };
static const double CHEBYSHEV_RIPPLE_DB = 0.05, CHEBYSHEV_CORNER = 0.8;

static int parse_decimate(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    char part[2][PSA_PART_MAX];
    size_t n;

    if (psa_operation_split(operation, argument, ',', part, 2, &n, "Q, Q,iir or Q,fir", error) != 0) return -1;
    operation->count[1] = n == 2 && strcmp(part[1], "fir") == 0;
    if (n == 2 && !operation->count[1] && strcmp(part[1], "iir") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--decimate: '%s' is not iir or fir", part[1]);
    return psa_operation_count(operation, part[0], 2, PSA_RATIO_MAX, &operation->count[0], error);
}

static unsigned decimate_traits(const struct psa_operation *operation)
{
    return PSA_RESAMPLES | (operation->zero_phase ? PSA_WHOLE_BLOCKS : PSA_HAS_START);
}

static int design_decimate(struct psa_step *step, struct psa_error *error)
{
    size_t q = (size_t)step->operation->count[0];
    struct resampler *resampler = new_resampler(step, error);

    if (!resampler) return -1;
    step->rate_out_hz = step->rate_hz / (double)q;
    if (step->operation->count[1]) {
        resampler->polyphase = psa_polyphase_decimator(q, step->operation->zero_phase);
        if (!resampler->polyphase) {
            drop_resampler(step);
            return psa_fail_memory(error, "designing a filter");
        }
        step->n_v = resampler->polyphase->span * step->width;
        step->n_k = 2 + step->width;
        return 0;
    }
    /* Against half the old rate, as SciPy does: the same bits at every rate. */
    resampler->n_sos =
        psa_cheby1_design(CHEBYSHEV_ORDER, CHEBYSHEV_RIPPLE_DB, CHEBYSHEV_CORNER / (double)q, 2.0, resampler->sos);
    if (!resampler->n_sos || !psa_sos_stable(resampler->sos, resampler->n_sos)) {
        drop_resampler(step);
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--decimate: the filter for %zu is not stable; decimate in two steps", q);
    }
    psa_sos_zi(resampler->sos, resampler->n_sos, resampler->zi);
    step->n_v = step->operation->zero_phase ? 0 : 2 * resampler->n_sos * step->width;
    step->n_k = step->operation->zero_phase ? 0 : 1 + step->width;
    return 0;
}

static void start_decimate(struct psa_step *step)
{
    const struct resampler *resampler = step->design;

    if (resampler->polyphase) psa_polyphase_start(resampler->polyphase, step->k);
}

static bool valid_decimate(const struct psa_step *step)
{
    const struct resampler *resampler = step->design;

    if (resampler->polyphase) return psa_polyphase_valid(resampler->polyphase, step->k);
    return step->n_k == 0 || (step->k[0] >= 0 && step->k[0] < step->operation->count[0]);
}

static int run_iir(struct psa_step *step, struct psa_frames *in)
{
    const struct resampler *resampler = step->design;
    size_t n = 0, width = in->width, n_z = 2 * resampler->n_sos;

    for (size_t i = 0; i < in->n; i++) {
        double *frame = in->x + i * width;

        for (size_t c = 0; c < width; c++) {
            double *z = step->v + n_z * c;
            int64_t *started = &step->k[1 + c];

            if (isnan(frame[c])) continue;
            for (size_t s = 0; s < n_z && !*started; s++)
                z[s] = step->operation->from_rest ? 0 : resampler->zi[s] * frame[c];
            *started = 1;
            psa_sos_run(resampler->sos, resampler->n_sos, z, &frame[c], &frame[c], 1);
            if (psa_step_overflows(step, c, &frame[c])) *started = 0;
        }
        if (step->k[0] == 0) {
            memmove(in->x + n * width, frame, width * sizeof *frame);
            in->time_ns[n++] = in->time_ns[i];
        }
        step->k[0] = (step->k[0] + 1) % step->operation->count[0];
    }
    in->n = n;
    return 0;
}

/* A whole array forward and backward, and every Q-th of its frames. Missing samples stay missing, and what is beside them
 * is filtered as if they had not been there. */
static int run_iir_twice(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    const struct resampler *resampler = step->design;
    size_t width = in->width, n = in->n, pad = psa_filtfilt_pad(resampler->sos, resampler->n_sos), kept = 0;

    if (psa_frames_reserve(spare, 2 * n + 2 * pad) != 0) return -1;
    for (size_t c = 0; c < width; c++) {
        double *column = in->x + c, *x = spare->x, *scratch = spare->x + n;
        size_t present = 0;

        for (size_t i = 0; i < n; i++)
            if (!isnan(column[i * width])) x[present++] = column[i * width];
        if (present > pad) psa_filtfilt(resampler->sos, resampler->n_sos, x, x, present, scratch);
        else if (present > 0) step->too_short++;
        for (size_t i = 0, at = 0; i < n; i++) {
            double *y = &column[i * width];

            if (isnan(*y)) continue;
            *y = present > pad ? x[at] : NAN;
            if (present > pad) psa_step_overflows(step, c, y);
            at++;
        }
    }
    for (size_t i = 0; i < n; i += (size_t)step->operation->count[0], kept++) {
        memmove(in->x + kept * width, in->x + i * width, width * sizeof *in->x);
        in->time_ns[kept] = in->time_ns[i];
    }
    in->n = kept;
    return 0;
}

/* The ring as if a channel's first value had been there for ever. */
static void fill_ring(struct psa_step *step, const double *frame)
{
    const struct resampler *resampler = step->design;

    for (size_t c = 0; c < step->width; c++) {
        int64_t *started = &step->k[2 + c];

        if (*started || isnan(frame[c])) continue;
        *started = 1;
        if (step->operation->from_rest) continue;
        for (size_t i = 0; i < resampler->polyphase->span; i++) step->v[i * step->width + c] = frame[c];
    }
}

static int run_fir(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    const struct resampler *resampler = step->design;
    bool whole = step->operation->zero_phase;

    spare->n = 0;
    if (whole) {
        memset(step->v, 0, step->n_v * sizeof *step->v);
        psa_polyphase_start(resampler->polyphase, step->k);
    }
    for (size_t i = 0; i < in->n; i++) {
        size_t before = spare->n;

        if (!whole) fill_ring(step, in->x + i * in->width);
        psa_polyphase_push(resampler->polyphase, step->v, step->k, in->x + i * in->width, in->width);
        if (pull(step, false, spare, false) != 0) return -1;
        if (spare->n > before) spare->time_ns[before] = in->time_ns[i];
    }
    if (whole && pull(step, true, spare, false) != 0) return -1;
    for (size_t i = 0; whole && i < spare->n; i++)
        spare->time_ns[i] = in->time_ns[i * (size_t)step->operation->count[0]];
    exchange(in, spare);
    return 0;
}

static int run_decimate(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    spare->width = in->width;
    if (step->operation->count[1]) return run_fir(step, in, spare);
    return step->operation->zero_phase ? run_iir_twice(step, in, spare) : run_iir(step, in);
}

const struct psa_operation_type psa_decimate_operation = {
    .name = "decimate",
    .parse = parse_decimate,
    .traits = decimate_traits,
    .design = design_decimate,
    .drop = drop_resampler,
    .start = start_decimate,
    .valid = valid_decimate,
    .run = run_decimate,
};
