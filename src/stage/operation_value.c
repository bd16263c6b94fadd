/*
 * operation_value.c - psa-filter's operations on single values: scale, offset, clip, magnitude, and filling what is missing.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/glob.h"
#include "core/number.h"
#include "stage/operation.h"
#include "stage/slot.h"

enum { FILL_MOST = 100000 }; /* of --fill HOW,N */
static const double LARGEST = 1.7976931348623157e308;
/* 2^-960: of a smaller sum of squares some terms may have left the range of a double, or their last bits. */
static const double SQUARES_MIN = 0x1p-960;

static unsigned no_traits(const struct psa_operation *operation)
{
    (void)operation;
    return 0;
}

/* ---- scale, offset, clip -------------------------------------------------------------------------------------------------- */

static int parse_value(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    return psa_operation_real(operation, argument, -LARGEST, LARGEST, &operation->value[0], error);
}

/* Every value there is becomes `of` it. */
static inline int run_each(struct psa_step *step, struct psa_frames *in,
                           double (*of)(const struct psa_operation *operation, double x))
{
    for (size_t i = 0; i < in->n; i++)
        for (size_t c = 0; c < step->n_channel; c++) {
            double *x = &in->x[i * in->width + step->channel[c]];

            if (isnan(*x)) continue;
            *x = of(step->operation, *x);
            psa_step_overflows(step, step->channel[c], x);
        }
    return 0;
}

static double scaled(const struct psa_operation *operation, double x)
{
    return x * operation->value[0];
}

static double shifted(const struct psa_operation *operation, double x)
{
    return x + operation->value[0];
}

static double clipped(const struct psa_operation *operation, double x)
{
    if (x < operation->value[0]) return operation->value[0];
    return x > operation->value[1] ? operation->value[1] : x;
}

static int run_scale(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    (void)spare;
    return run_each(step, in, scaled);
}

static int run_offset(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    (void)spare;
    return run_each(step, in, shifted);
}

static int run_clip(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    (void)spare;
    return run_each(step, in, clipped);
}

/* LOW:HIGH, either may be left out. */
static int parse_clip(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    char part[2][PSA_PART_MAX];
    size_t n;

    if (psa_operation_split(operation, argument, ':', part, 2, &n, "LOW:HIGH, such as 0:100, 0: or :100", error) != 0)
        return -1;
    operation->value[0] = -LARGEST;
    operation->value[1] = LARGEST;
    if (n != 2 || (!part[0][0] && !part[1][0]))
        return psa_fail(error, PSA_EXIT_PERMANENT, "--clip: '%s' is not LOW:HIGH, such as 0:100, 0: or :100", argument);
    if (part[0][0] && psa_operation_real(operation, part[0], -LARGEST, LARGEST, &operation->value[0], error) != 0)
        return -1;
    if (part[1][0] && psa_operation_real(operation, part[1], -LARGEST, LARGEST, &operation->value[1], error) != 0)
        return -1;
    if (operation->value[0] <= operation->value[1]) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "--clip: '%s' has its lower limit above the upper one", argument);
}

const struct psa_operation_type psa_scale_operation = {
    .name = "scale", .parse = parse_value, .traits = no_traits, .run = run_scale
};
const struct psa_operation_type psa_offset_operation = {
    .name = "offset", .parse = parse_value, .traits = no_traits, .run = run_offset
};
const struct psa_operation_type psa_clip_operation = {
    .name = "clip", .parse = parse_clip, .traits = no_traits, .run = run_clip
};

/* ---- magnitude ---------------------------------------------------------------------------------------------------------------- */

/* GLOB=NAME */
static int parse_magnitude(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    const char *equals = strrchr(argument, '=');
    size_t n = equals ? (size_t)(equals - argument) : 0;

    if (n == 0 || !equals[1])
        return psa_fail(error, PSA_EXIT_PERMANENT, "--magnitude: '%s' is not GLOB=NAME, such as 'accel_*=accel'",
                        argument);
    if (n >= sizeof operation->glob)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--magnitude: '%s': the glob has more than %zu bytes", argument,
                        sizeof operation->glob - 1);
    memcpy(operation->glob, argument, n);
    operation->glob[n] = 0;
    operation->fields = operation->glob;
    operation->text = equals + 1;
    if (!psa_glob_match(operation->glob, (struct psa_str){ operation->text, strlen(operation->text) })) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "--magnitude: '%s': the new field's name matches its own glob",
                    argument);
}

static unsigned magnitude_traits(const struct psa_operation *operation)
{
    (void)operation;
    return PSA_MAKES_CHANNEL;
}

/* sqrt(sum of x^2) where the sum, or a term that counts in it, left the range of a double: the values are divided by a
 * power of two first, which rounds nothing, so that the largest lies in [0.5, 1). */
static double scaled_root(const double *frame, const size_t *channel, size_t n, const bool *apart)
{
    double largest = 0, sum = 0;
    int exponent;

    for (size_t c = 0; c < n; c++)
        if (!(apart && apart[channel[c]])) largest = fmax(largest, fabs(frame[channel[c]]));
    if (largest == 0) return 0;
    frexp(largest, &exponent);
    for (size_t c = 0; c < n; c++) {
        double x = apart && apart[channel[c]] ? 0 : ldexp(frame[channel[c]], -exponent);

        sum += x * x;
    }
    return ldexp(sqrt(sum), exponent);
}

/* sqrt(sum of x^2); missing where one of them is. A number beside arrays has no part in them. */
static int run_magnitude(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    size_t n = step->n_channel - 1, parts = 0;

    (void)spare;
    for (size_t c = 0; c < n; c++) parts += !(step->apart && step->apart[step->channel[c]]);
    for (size_t i = 0; i < in->n; i++) {
        double *frame = in->x + i * in->width, *made = &frame[step->channel[n]], sum = parts ? 0 : NAN;

        for (size_t c = 0; c < n; c++)
            if (!(step->apart && step->apart[step->channel[c]]))
                sum += frame[step->channel[c]] * frame[step->channel[c]];
        if (isinf(sum) || sum < SQUARES_MIN) *made = scaled_root(frame, step->channel, n, step->apart);
        else *made = sqrt(sum);
        if (!isnan(*made)) psa_step_overflows(step, step->channel[n], made);
    }
    return 0;
}

const struct psa_operation_type psa_magnitude_operation = {
    .name = "magnitude", .parse = parse_magnitude, .traits = magnitude_traits, .run = run_magnitude
};

/* ---- filling ------------------------------------------------------------------------------------------------------------------- */

/*
 * hold: a missing value is the channel's last one. linear: it lies on the line, in time, between the ones beside it, so
 * frames wait for the value behind; at most N of them, and a longer run is left as it is, as is one that --max-gap
 * forbids.
 *
 * State of channel c:  v[c] last value, NaN: none, or a run that is given up
 *                      k[2 c] its time, k[2 c + 1] samples missing since
 * linear, besides:     k[2 n] frames that wait; then their times; v[n ...] their values, [N][width]
 *
 * The frame d before the newest waits as long as some run is longer than d.
 */
enum { FILL_NONE, FILL_HOLD, FILL_LINEAR };

static int parse_fill(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    static const char *const name[] = { "none", "hold", "linear" };
    char part[2][PSA_PART_MAX];
    size_t n;

    if (psa_operation_split(operation, argument, ',', part, 2, &n, "none, hold or linear, and a count", error) != 0)
        return -1;
    for (operation->count[0] = 0; operation->count[0] <= FILL_LINEAR; operation->count[0]++)
        if (strcmp(part[0], name[operation->count[0]]) == 0) break;
    if (operation->count[0] > FILL_LINEAR || (n == 2 && operation->count[0] == FILL_NONE))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--fill: '%s' is none of none, hold and linear; the latter two may name a longest run: hold,5",
                        argument);
    operation->count[1] = operation->count[0] == FILL_LINEAR ? 100 : INT64_MAX;
    return n == 2 ? psa_operation_count(operation, part[1], 1, FILL_MOST, &operation->count[1], error) : 0;
}

static unsigned fill_traits(const struct psa_operation *operation)
{
    if (operation->count[0] == FILL_LINEAR) return PSA_LOOKS_AHEAD | PSA_NEEDS_TIME;
    return operation->count[0] == FILL_HOLD && operation->max_gap_ns > 0 ? PSA_NEEDS_TIME : 0;
}

static int design_fill(struct psa_step *step, struct psa_error *error)
{
    const struct psa_operation *operation = step->operation;

    (void)error;
    if (operation->count[0] == FILL_NONE) return 0;
    step->n_v = step->n_channel;
    step->n_k = 2 * step->n_channel;
    if (operation->count[0] != FILL_LINEAR) return 0;
    step->n_v += (size_t)operation->count[1] * step->width;
    step->n_k += 1 + (size_t)operation->count[1];
    return 0;
}

static void start_fill(struct psa_step *step)
{
    for (size_t c = 0; step->n_v && c < step->n_channel; c++) step->v[c] = NAN;
}

/* Is the run of missing samples too long to be filled, the sample at now_ns being `since` behind the last value? */
static bool too_long(const struct psa_step *step, size_t c, int64_t since, int64_t now_ns)
{
    const struct psa_operation *operation = step->operation;

    if (step->k[2 * c + 1] > operation->count[1]) return true;
    if (operation->max_gap_ns <= 0) return false;
    if (step->told_interval_s > 0) return (double)since * step->told_interval_s * 1e9 > (double)operation->max_gap_ns;
    return psa_ns_since(now_ns, step->k[2 * c]) > operation->max_gap_ns;
}

static void hold(struct psa_step *step, double *frame, int64_t time_ns)
{
    for (size_t c = 0; c < step->n_channel; c++) {
        double *x = &frame[step->channel[c]];

        if (!isnan(*x)) {
            step->v[c] = *x;
            step->k[2 * c] = time_ns;
            step->k[2 * c + 1] = 0;
        } else if (!isnan(step->v[c])) {
            step->k[2 * c + 1]++;
            if (too_long(step, c, step->k[2 * c + 1], time_ns)) step->v[c] = NAN;
            else step->filled++;
            *x = step->v[c];
        }
    }
}

/* Channel c has a value again: the frames that wait, in `waiting` of n, get theirs on the line to it. */
static void join(struct psa_step *step, size_t c, double right, int64_t right_ns, struct psa_frames *waiting)
{
    double left = step->v[c];
    int64_t left_ns = step->k[2 * c], run = step->k[2 * c + 1];
    double span_ns = (double)psa_ns_since(right_ns, left_ns);

    for (int64_t j = 0; j < run; j++) {
        size_t at = waiting->n - (size_t)(run - j);
        double *x = &waiting->x[at * waiting->width + step->channel[c]];
        double share = (double)(j + 1) / (double)(run + 1);

        if (step->told_interval_s <= 0 && span_ns > 0)
            share = (double)psa_ns_since(waiting->time_ns[at], left_ns) / span_ns;
        *x = left + (right - left) * share;
        step->filled++;
        psa_step_overflows(step, step->channel[c], x);
    }
}

/* The newest frame of `waiting` has come, the ones before it have waited: how many wait on. */
static size_t look_ahead(struct psa_step *step, struct psa_frames *waiting)
{
    size_t last = waiting->n - 1, longest = 0;
    const double *frame = waiting->x + last * waiting->width;
    int64_t now_ns = waiting->time_ns[last];
    struct psa_frames before = *waiting;

    before.n = last;
    for (size_t c = 0; c < step->n_channel; c++) {
        double x = frame[step->channel[c]];

        if (isnan(x) && isnan(step->v[c])) continue;
        if (isnan(x)) step->k[2 * c + 1]++;
        if (too_long(step, c, step->k[2 * c + 1] + !isnan(x), now_ns)) {
            step->v[c] = NAN;
            step->k[2 * c + 1] = 0;
        }
        if (isnan(x)) {
            if (!isnan(step->v[c]) && (size_t)step->k[2 * c + 1] > longest) longest = (size_t)step->k[2 * c + 1];
            continue;
        }
        if (step->k[2 * c + 1] && !isnan(step->v[c])) join(step, c, x, now_ns, &before);
        step->v[c] = x;
        step->k[2 * c] = now_ns;
        step->k[2 * c + 1] = 0;
    }
    return longest;
}

/* The frames that wait, out of the state or into it. */
static int take_waiting(struct psa_step *step, struct psa_frames *out)
{
    const int64_t *k = step->k + 2 * step->n_channel;
    size_t n = (size_t)*k;

    if (!n) return 0;
    if (psa_frames_reserve(out, out->n + n) != 0) return -1;
    memcpy(out->x + out->n * out->width, step->v + step->n_channel, n * out->width * sizeof *out->x);
    memcpy(out->time_ns + out->n, k + 1, n * sizeof *k);
    out->n += n;
    return 0;
}

static void put_waiting(struct psa_step *step, const struct psa_frames *from, size_t n)
{
    int64_t *k = step->k + 2 * step->n_channel;

    *k = (int64_t)n;
    if (!n) return;
    memcpy(step->v + step->n_channel, from->x + (from->n - n) * from->width, n * from->width * sizeof *from->x);
    memcpy(k + 1, from->time_ns + from->n - n, n * sizeof *k);
}

static int fill_lines(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    struct psa_frames whole;
    size_t waits = (size_t)step->k[2 * step->n_channel];

    spare->n = 0;
    if (psa_frames_reserve(spare, waits + in->n) != 0 || take_waiting(step, spare) != 0) return -1;
    for (size_t i = 0; i < in->n; i++) {
        if (psa_frames_append(spare, in, i, 1) != 0) return -1;
        waits = look_ahead(step, spare);
    }
    put_waiting(step, spare, waits);
    whole = *spare;
    whole.n -= waits;
    *spare = *in;
    *in = whole;
    return 0;
}

static int run_fill(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    if (step->operation->count[0] == FILL_LINEAR) return fill_lines(step, in, spare);
    for (size_t i = 0; step->operation->count[0] == FILL_HOLD && i < in->n; i++)
        hold(step, in->x + i * in->width, in->time_ns[i]);
    return 0;
}

static bool valid_fill(const struct psa_step *step)
{
    int64_t waits = 0, most = step->operation->count[1];

    if (step->operation->count[0] == FILL_LINEAR) waits = step->k[2 * step->n_channel];
    if (waits < 0 || (step->operation->count[0] == FILL_LINEAR && waits > most)) return false;
    for (size_t c = 0; step->n_k && c < step->n_channel; c++) {
        int64_t run = step->k[2 * c + 1];

        if (run < 0 || run > INT64_MAX / 2) return false;
        if (step->operation->count[0] == FILL_LINEAR && run > waits) return false;
    }
    return true;
}

static int drain_fill(struct psa_step *step, struct psa_frames *out)
{
    return step->operation->count[0] == FILL_LINEAR ? take_waiting(step, out) : 0;
}

const struct psa_operation_type psa_fill_operation = { .name = "fill",
                                                       .parse = parse_fill,
                                                       .traits = fill_traits,
                                                       .design = design_fill,
                                                       .start = start_fill,
                                                       .valid = valid_fill,
                                                       .run = run_fill,
                                                       .drain = drain_fill };
