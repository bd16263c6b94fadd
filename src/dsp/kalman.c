/* kalman.c - see kalman.h. */
#include "dsp/kalman.h"

#include <math.h>

struct psa_kalman_level psa_kalman_level_start(void)
{
    return (struct psa_kalman_level){ NAN, 0.0 };
}

struct psa_kalman_velocity psa_kalman_velocity_start(void)
{
    return (struct psa_kalman_velocity){ NAN, NAN, 0.0, 0.0, 0.0, 0.0 };
}

double psa_kalman_level_step(struct psa_kalman_level *state, double dt, double y, double q, double r)
{
    if (isnan(state->level)) {
        if (!isnan(y)) *state = (struct psa_kalman_level){ y, r };
        return state->level;
    }
    state->variance += q * dt;
    if (isnan(y)) return state->level;
    double gain = state->variance / (state->variance + r);
    state->level += gain * (y - state->level);
    state->variance = (1.0 - gain) * (1.0 - gain) * state->variance + gain * gain * r;
    return state->level;
}

/* The level is known from `elapsed` seconds ago, the velocity not. */
static double second_sample(struct psa_kalman_velocity *state, double y, double q, double r)
{
    double dt = state->elapsed;
    if (!(dt > 0.0)) { /* at the same time as the first: a better level */
        double gain = state->p00 / (state->p00 + r);
        state->level += gain * (y - state->level);
        state->p00 *= 1.0 - gain;
        return state->level;
    }
    /* v - (y1 - y0) / dt = w2 - w1 / dt - (e1 - e0) / dt, and level - y1 = -e1; the variance of w2 - w1 / dt is
     * q (dt - 2 dt / 2 + dt / 3). */
    double velocity = (y - state->level) / dt;
    *state = (struct psa_kalman_velocity){ y, velocity, r, r / dt, (state->p00 + r) / (dt * dt) + q * dt / 3.0, 0.0 };
    return state->level;
}

double psa_kalman_velocity_step(struct psa_kalman_velocity *state, double dt, double y, double q, double r)
{
    if (isnan(state->level)) {
        if (!isnan(y)) *state = (struct psa_kalman_velocity){ y, NAN, r, 0.0, 0.0, 0.0 };
        return state->level;
    }
    if (isnan(state->velocity)) {
        state->elapsed += dt;
        return isnan(y) ? state->level : second_sample(state, y, q, r);
    }
    state->level += dt * state->velocity;
    state->p00 += dt * (2.0 * state->p01 + dt * state->p11) + q * dt * dt * dt / 3.0;
    state->p01 += dt * state->p11 + q * dt * dt / 2.0;
    state->p11 += q * dt;
    if (isnan(y)) return state->level;

    double s = state->p00 + r, k0 = state->p00 / s, k1 = state->p01 / s, missed = y - state->level;
    double p00 = state->p00, p01 = state->p01;
    state->level += k0 * missed;
    state->velocity += k1 * missed;
    state->p00 = (1.0 - k0) * (1.0 - k0) * p00 + k0 * k0 * r;
    state->p01 = (1.0 - k0) * (p01 - k1 * p00) + k0 * k1 * r;
    state->p11 += k1 * k1 * p00 - 2.0 * k1 * p01 + k1 * k1 * r;
    return state->level;
}
