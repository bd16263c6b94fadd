/*
 * operation_robust.c - psa-filter's --median, --hampel and --detrend: what looks at the last samples as a whole.
 *
 * The median's window of N samples slides over the channel's frames; missing samples keep their places in it and have no
 * part. Of a channel the state is its ring of N samples and the same ones sorted:
 *
 *     v   held frames [delay][width], then for each channel ring [N], sorted [N]
 *     k   newest place in the rings, number of held frames, place of the oldest of these, held times [delay], then for
 *         each channel how many samples are sorted
 *
 * Centred, the window around a sample is complete `delay` = (N - 1) / 2 frames later; until then the frames wait, with all
 * their channels. At the end missing samples are pushed behind the last one, which shrinks the windows.
 */
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "dsp/robust.h"
#include "dsp/trend.h"
#include "stage/operation.h"

/* At it a sample costs half a microsecond, and more in proportion beyond. */
enum { MEDIAN_MAX = 10001 };

enum { DETREND_MAX = 100000 };

/* ---- the sliding window ------------------------------------------------------------------------------------------------- */

enum { K_PLACE, K_HELD, K_OLDEST, K_TIMES };

static size_t length_of(const struct psa_step *step)
{
    return (size_t)step->operation->count[0];
}

static size_t delay_of(const struct psa_step *step)
{
    return step->operation->centred ? (length_of(step) - 1) / 2 : 0;
}

static double *ring_of(const struct psa_step *step, size_t c)
{
    return step->v + delay_of(step) * step->width + 2 * length_of(step) * c;
}

static int64_t *count_of(const struct psa_step *step, size_t c)
{
    return &step->k[K_TIMES + delay_of(step) + c];
}

static int design_window(struct psa_step *step, struct psa_error *error)
{
    size_t n = length_of(step), delay = delay_of(step);

    (void)error;
    step->n_v = delay * step->width + 2 * n * step->n_channel;
    step->n_k = K_TIMES + delay + step->n_channel;
    return 0;
}

static void start_window(struct psa_step *step)
{
    size_t n = length_of(step);

    for (size_t c = 0; c < step->n_channel; c++)
        for (size_t i = 0; i < n; i++) ring_of(step, c)[i] = NAN;
}

static bool valid_window(const struct psa_step *step)
{
    size_t n = length_of(step), delay = delay_of(step);

    if (step->k[K_PLACE] < 0 || step->k[K_PLACE] >= (int64_t)n) return false;
    if (step->k[K_HELD] < 0 || step->k[K_HELD] > (int64_t)delay) return false;
    if (step->k[K_OLDEST] < 0 || step->k[K_OLDEST] > (int64_t)(delay ? delay - 1 : 0)) return false;
    for (size_t c = 0; c < step->n_channel; c++) {
        const double *ring = ring_of(step, c), *sorted = ring + n;
        int64_t present = 0;

        for (size_t i = 0; i < n; i++) present += !isnan(ring[i]);
        if (*count_of(step, c) != present) return false;
        for (size_t i = 0; i < (size_t)present; i++)
            if (isnan(sorted[i]) || (i > 0 && sorted[i] < sorted[i - 1])) return false;
    }
    return true;
}

/* The next sample, or a missing one, of a channel; the oldest one leaves. */
static void slide(struct psa_step *step, size_t c, double x)
{
    double *place = ring_of(step, c) + step->k[K_PLACE], *sorted = ring_of(step, c) + length_of(step);
    size_t count = (size_t)*count_of(step, c);

    if (isnan(*place) && !isnan(x)) psa_sorted_insert(sorted, count++, x);
    else if (!isnan(*place) && isnan(x)) psa_sorted_remove(sorted, count--, *place);
    else if (!isnan(x)) psa_sorted_replace(sorted, count, *place, x);
    *place = x;
    *count_of(step, c) = (int64_t)count;
}

/* A frame, NULL for one that is missing, comes into the windows of all channels. */
static void slide_all(struct psa_step *step, const double *frame)
{
    for (size_t c = 0; c < step->n_channel; c++) slide(step, c, frame ? frame[step->channel[c]] : NAN);
    step->k[K_PLACE] = step->k[K_PLACE] + 1 == (int64_t)length_of(step) ? 0 : step->k[K_PLACE] + 1;
}

/* ---- --median, --hampel ------------------------------------------------------------------------------------------------- */

static bool is_hampel(const struct psa_step *step)
{
    return step->operation->type == &psa_hampel_operation;
}

/* What becomes of a sample, given the window around it. */
static void answer(struct psa_step *step, double *frame)
{
    for (size_t c = 0; c < step->n_channel; c++) {
        double *x = &frame[step->channel[c]];
        const double *sorted = ring_of(step, c) + length_of(step);
        size_t count = (size_t)*count_of(step, c);
        double median;

        if (isnan(*x)) continue;
        median = psa_sorted_median(sorted, count);
        if (is_hampel(step)) {
            double limit = step->operation->value[0] * PSA_MAD_TO_SIGMA * psa_sorted_deviation(sorted, count, median);

            if (!(fabs(*x - median) > limit)) continue;
            step->replaced++;
        }
        *x = median;
    }
}

/* Exchange the newest frame for the one that has waited longest, or let it wait where fewer do. */
static bool wait_turn(struct psa_step *step, double *frame, int64_t *time_ns)
{
    size_t delay = delay_of(step), width = step->width, held = (size_t)step->k[K_HELD];
    size_t at = ((size_t)step->k[K_OLDEST] + held) % delay;
    double *place = step->v + at * width;

    if (held < delay) {
        memcpy(place, frame, width * sizeof *frame);
        step->k[K_TIMES + at] = *time_ns;
        step->k[K_HELD]++;
        return false;
    }
    for (size_t i = 0; i < width; i++) {
        double oldest = place[i];

        place[i] = frame[i];
        frame[i] = oldest;
    }
    int64_t oldest_ns = step->k[K_TIMES + at];

    step->k[K_TIMES + at] = *time_ns;
    *time_ns = oldest_ns;
    step->k[K_OLDEST] = (step->k[K_OLDEST] + 1) % (int64_t)delay;
    return true;
}

static int run_window(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    size_t n = 0, width = in->width;

    (void)spare;
    for (size_t i = 0; i < in->n; i++) {
        double *frame = in->x + i * width;

        slide_all(step, frame);
        if (delay_of(step) && !wait_turn(step, frame, &in->time_ns[i])) continue;
        answer(step, frame);
        if (n < i) memcpy(in->x + n * width, frame, width * sizeof *frame);
        in->time_ns[n++] = in->time_ns[i];
    }
    in->n = n;
    return 0;
}

static int drain_window(struct psa_step *step, struct psa_frames *out)
{
    size_t delay = delay_of(step), held = (size_t)step->k[K_HELD];

    if (psa_frames_reserve(out, held) != 0) return -1;
    for (size_t pushed = 1; pushed <= delay && held > 0; pushed++) {
        size_t at = (size_t)step->k[K_OLDEST];
        double *frame = out->x + out->n * out->width;

        slide_all(step, NULL);
        if ((size_t)step->k[K_HELD] + pushed <= delay) continue;
        memcpy(frame, step->v + at * step->width, step->width * sizeof *frame);
        answer(step, frame);
        out->time_ns[out->n++] = step->k[K_TIMES + at];
        step->k[K_OLDEST] = (int64_t)((at + 1) % delay);
        held--;
    }
    return 0;
}

static unsigned window_traits(const struct psa_operation *operation)
{
    return operation->centred && operation->count[0] > 2 ? PSA_LOOKS_AHEAD : 0;
}

static int parse_median(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    return psa_operation_count(operation, argument, 1, MEDIAN_MAX, &operation->count[0], error);
}

static int parse_hampel(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    char part[2][PSA_PART_MAX];
    size_t n;

    operation->value[0] = 3;
    if (psa_operation_split(operation, argument, ',', part, 2, &n, "N or N,K", error) != 0) return -1;
    if (psa_operation_count(operation, part[0], 3, MEDIAN_MAX, &operation->count[0], error) != 0) return -1;
    return n < 2 ? 0 : psa_operation_real(operation, part[1], 0, 1e6, &operation->value[0], error);
}

const struct psa_operation_type psa_median_operation = {
    .name = "median",
    .parse = parse_median,
    .traits = window_traits,
    .design = design_window,
    .start = start_window,
    .valid = valid_window,
    .run = run_window,
    .drain = drain_window,
};

const struct psa_operation_type psa_hampel_operation = {
    .name = "hampel",
    .parse = parse_hampel,
    .traits = window_traits,
    .design = design_window,
    .start = start_window,
    .valid = valid_window,
    .run = run_window,
    .drain = drain_window,
};

/* ---- --detrend ---------------------------------------------------------------------------------------------------------- */

/* count[0]: samples of the trailing window, 0 for whole arrays; count[1]: a line and not a constant. */

static int parse_detrend(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    static const char shape[] = "constant, linear, constant,N or linear,N";
    char part[2][PSA_PART_MAX];
    size_t n;

    if (psa_operation_split(operation, argument, ',', part, 2, &n, shape, error) != 0) return -1;
    operation->count[1] = strcmp(part[0], "linear") == 0;
    if (!operation->count[1] && strcmp(part[0], "constant") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--detrend: '%s' is not %s", argument, shape);
    return n < 2 ? 0 : psa_operation_count(operation, part[1], 2, DETREND_MAX, &operation->count[0], error);
}

static unsigned detrend_traits(const struct psa_operation *operation)
{
    return operation->count[0] ? 0 : PSA_WHOLE_BLOCKS;
}

static int design_detrend(struct psa_step *step, struct psa_error *error)
{
    size_t n = length_of(step);

    (void)error;
    if (!n) return 0;
    step->n_v = psa_trend_state(n) * step->n_channel;
    step->n_k = 1;
    return 0;
}

static bool valid_detrend(const struct psa_step *step)
{
    return step->n_k == 0 || (step->k[0] >= 0 && step->k[0] < step->operation->count[0]);
}

/* One channel of a whole array, by way of `spare` where its samples stand side by side. */
static int detrend_array(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    size_t width = in->width;

    spare->n = 0;
    if (psa_frames_reserve(spare, in->n) != 0) return -1;
    for (size_t c = 0; c < step->n_channel; c++) {
        double *column = in->x + step->channel[c];

        for (size_t i = 0; i < in->n; i++) spare->x[i] = column[i * width];
        psa_detrend(spare->x, in->n, step->operation->count[1] != 0);
        for (size_t i = 0; i < in->n; i++) {
            bool missing = isnan(column[i * width]);

            column[i * width] = spare->x[i];
            if (!missing) psa_step_overflows(step, step->channel[c], &column[i * width]);
        }
    }
    return 0;
}

static int run_detrend(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    size_t n = length_of(step), at = 0;

    if (!n) return detrend_array(step, in, spare);
    for (size_t i = 0; i < in->n; i++) {
        for (size_t c = 0; c < step->n_channel; c++) {
            double *x = in->x + i * in->width + step->channel[c];
            double trend;

            at = (size_t)step->k[0];
            trend = psa_trend_push(step->v + psa_trend_state(n) * c, &at, n, *x, step->operation->count[1] != 0);
            if (isnan(*x)) continue;
            *x -= trend;
            psa_step_overflows(step, step->channel[c], x);
        }
        step->k[0] = (int64_t)at;
    }
    return 0;
}

const struct psa_operation_type psa_detrend_operation = {
    .name = "detrend",
    .parse = parse_detrend,
    .traits = detrend_traits,
    .design = design_detrend,
    .valid = valid_detrend,
    .run = run_detrend,
};
