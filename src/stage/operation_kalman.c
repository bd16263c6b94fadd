/*
 * operation_kalman.c - psa-filter's --kalman: the newest estimate of a level from measurements, by dsp/kalman.h. Missing
 * samples become predictions.
 *
 *     v   of each channel the members of its psa_kalman_level or psa_kalman_velocity, in their order
 *     k   whether there was a frame, and its time
 */
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "dsp/kalman.h"
#include "stage/operation.h"
#include "stage/slot.h"

/* The variances may be this large, and not smaller than the inverse of it, so that no ratio of them overflows. */
#define VARIANCE_MAX 1e100

/* count[0]: with a velocity; value: q, r. */

enum {
    LEVEL = sizeof(struct psa_kalman_level) / sizeof(double),
    VELOCITY = sizeof(struct psa_kalman_velocity) / sizeof(double)
};

enum { K_STARTED, K_TIME, K_ALL };

static int parse_kalman(struct psa_operation *operation, const char *argument, struct psa_error *error)
{
    static const char shape[] = "level,Q,R or velocity,Q,R";
    char part[3][PSA_PART_MAX];
    size_t n;

    if (psa_operation_split(operation, argument, ',', part, 3, &n, shape, error) != 0) return -1;
    operation->count[0] = strcmp(part[0], "velocity") == 0;
    if (n != 3 || (!operation->count[0] && strcmp(part[0], "level") != 0))
        return psa_fail(error, PSA_EXIT_PERMANENT, "--kalman: '%s' is not %s", argument, shape);
    if (psa_operation_real(operation, part[1], 0, VARIANCE_MAX, &operation->value[0], error) != 0) return -1;
    return psa_operation_real(operation, part[2], 1 / VARIANCE_MAX, VARIANCE_MAX, &operation->value[1], error);
}

static unsigned kalman_traits(const struct psa_operation *operation)
{
    (void)operation;
    return PSA_NEEDS_TIME;
}

static int design_kalman(struct psa_step *step, struct psa_error *error)
{
    (void)error;
    step->n_v = (step->operation->count[0] ? VELOCITY : LEVEL) * step->n_channel;
    step->n_k = K_ALL;
    return 0;
}

static void start_channel(struct psa_step *step, size_t c)
{
    if (step->operation->count[0]) {
        struct psa_kalman_velocity state = psa_kalman_velocity_start();
        memcpy(step->v + VELOCITY * c, &state, sizeof state);
    } else {
        struct psa_kalman_level state = psa_kalman_level_start();
        memcpy(step->v + LEVEL * c, &state, sizeof state);
    }
}

static void start_kalman(struct psa_step *step)
{
    for (size_t c = 0; c < step->n_channel; c++) start_channel(step, c);
}

/* Seconds since the frame before this one; 0 for the first. */
static double seconds_since_last(struct psa_step *step, int64_t time_ns)
{
    double seconds = 0;

    if (step->k[K_STARTED] && step->told_interval_s > 0) seconds = step->told_interval_s;
    else if (step->k[K_STARTED]) seconds = (double)psa_ns_since(time_ns, step->k[K_TIME]) / 1e9;
    step->k[K_STARTED] = 1;
    step->k[K_TIME] = time_ns;
    return seconds > 0 ? seconds : 0;
}

static double step_channel(const struct psa_step *step, size_t c, double dt, double y)
{
    double q = step->operation->value[0], r = step->operation->value[1], level;

    if (step->operation->count[0]) {
        struct psa_kalman_velocity state;
        memcpy(&state, step->v + VELOCITY * c, sizeof state);
        level = psa_kalman_velocity_step(&state, dt, y, q, r);
        if (isinf(state.velocity)) level = state.velocity; /* as the next level will be */
        memcpy(step->v + VELOCITY * c, &state, sizeof state);
    } else {
        struct psa_kalman_level state;
        memcpy(&state, step->v + LEVEL * c, sizeof state);
        level = psa_kalman_level_step(&state, dt, y, q, r);
        memcpy(step->v + LEVEL * c, &state, sizeof state);
    }
    return level;
}

static int run_kalman(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare)
{
    (void)spare;
    for (size_t i = 0; i < in->n; i++) {
        double dt = seconds_since_last(step, in->time_ns[i]);

        for (size_t c = 0; c < step->n_channel; c++) {
            double *x = in->x + i * in->width + step->channel[c];
            bool missing = isnan(*x);

            *x = step_channel(step, c, dt, *x);
            if (missing && isnan(*x)) continue; /* nothing came yet */
            if (psa_step_overflows(step, step->channel[c], x)) start_channel(step, c);
            else step->filled += missing;
        }
    }
    return 0;
}

const struct psa_operation_type psa_kalman_operation = {
    .name = "kalman",
    .parse = parse_kalman,
    .traits = kalman_traits,
    .design = design_kalman,
    .start = start_kalman,
    .run = run_kalman,
};
