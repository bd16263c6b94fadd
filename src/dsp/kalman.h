/*
 * kalman.h - two Kalman filters for one value measured at any times: a level that wanders, and a level with a velocity that
 * does. Each is the exact filter of its model, started without knowing anything but the first samples.
 *
 * The measurement is y = level + e, e with the variance r (unit squared). Over an interval of dt seconds
 *
 *     level     level' = level + w                                  var w = q dt              q in unit^2 / s
 *     velocity  level' = level + dt velocity + w1                   [ dt^3 / 3  dt^2 / 2 ]
 *               velocity' = velocity + w2              cov w =  q   [ dt^2 / 2  dt       ]    q in unit^2 / s^3
 *
 * the second being white noise of the acceleration in continuous time. So q does not depend on the sampling rate: after
 * T seconds without a sample the standard deviation has grown by sqrt(q T), that of the velocity likewise.
 *
 * The prediction x' = F x, P' = F P F^T + Q; the update with S = P00 + r, K = P H^T / S, in Joseph's form P = (I - K H) P
 * (I - K H)^T + r K K^T, in which no rounding makes P negative. The first samples are treated as if P had been infinite
 * before them (exactly, by formula, not by a large number): a level is y with the variance r; a velocity follows from two
 * samples, dt apart, as (y1 - y0) / dt.
 *
 * Sources: Kalman, Journal of Basic Engineering 82(1), 1960, doi:10.1115/1.3662552; Bar-Shalom, Li and Kirubarajan,
 * Estimation with Applications to Tracking and Navigation, 2001, section 5.2.3 (update), 5.4.2 (Joseph), 5.5.3 (two-point
 * start), 6.2.2 (continuous white noise acceleration); Durbin and Koopman, Time Series Analysis by State Space Methods, 2012,
 * chapter 5 (exact diffuse start). statsmodels.tsa.statespace.kalman_filter.KalmanFilter with initialize_diffuse gives the
 * same numbers.
 */
#ifndef PSA_DSP_KALMAN_H
#define PSA_DSP_KALMAN_H

struct psa_kalman_level {
    double level;    /* NaN before the first sample */
    double variance; /* its, unit^2 */
};

/* dt seconds (not below 0) after the last call comes the sample y, or none (NaN). Returns the level, which is the
 * prediction for a missing sample: NaN before the first one. q >= 0, r > 0. */
double psa_kalman_level_step(struct psa_kalman_level *state, double dt, double y, double q, double r);

struct psa_kalman_velocity {
    double level;         /* NaN before the first sample */
    double velocity;      /* NaN before it is known */
    double p00, p01, p11; /* their covariance; before the velocity is known p00 is the level's at the first sample */
    double elapsed;       /* seconds since the first sample, before the velocity is known */
};

/* The same. Samples at one time (dt = 0) add to the level only. */
double psa_kalman_velocity_step(struct psa_kalman_velocity *state, double dt, double y, double q, double r);

/* The states before the first sample. */
struct psa_kalman_level psa_kalman_level_start(void);
struct psa_kalman_velocity psa_kalman_velocity_start(void);

#endif
