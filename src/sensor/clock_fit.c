/*
 * clock_fit.c - a chip's sample counter fitted to the system clock, from bounds alone.
 *
 * A count n that was read at some moment between b (before the transfer) and a (after it) says two things for certain:
 *
 *     t(n) <= a          sample n had been taken
 *     t(n + 1) >= b      sample n + 1 had not
 *
 * A transfer that is late, since the program was preempted in its middle, only makes the two weaker; nothing makes them
 * wrong. With t(n) = t0 + n p each is a half plane for (t0, p), and all of them leave a convex polygon that the truth
 * lies in: set-membership estimation, in the form of Moon, Skelly and Towsley, "Estimation and removal of clock skew from
 * network delay measurements", INFOCOM 1999, doi 10.1109/INFCOM.1999.749287 (a line below all points), with a second line
 * above. Of the polygon:
 *
 *     an upper point (n, a) and a lower point (m, b) with n > m give p <= (a - b) / (n - m), with n < m p >= the same;
 *     for a p that satisfies them all, t0 lies between max(b - m p) and min(a - n p).
 *
 * The fit is the middle of the interval for p and, for that p, the middle of the one for t0. Why not a delay-locked loop
 * (Adriaensen, "Using a DLL to filter time", 2005): its loop averages errors that it takes to be noise about zero. Here
 * they are one-sided (a late transfer) and beat with the polling, and nothing bounds what is left of them.
 *
 * Bounds, for an oscillator that keeps its pace over the span of the fit. P is the period, J the longest b to a of the
 * transfers that count, S the span; tests/unit/test_clock_fit.c measures them:
 *
 *     a fitted time is off by less than P + J, always: each count is one of the bounds; typically by P / 10
 *     the period is off by no more than doubt(), which is at most 1.04 (P + J) / S: 20 ppm for 1 kHz after 64 s where
 *         polling and sampling run in step, the worst case; typically it is off by 1 to 4 ppm after 30 s
 *     times handed out are spaced by the fitted period, within SLEW_MAX of it: they never run backwards, and a
 *         correction is no step but a slope. While they follow the fit they are off by that much more
 *
 * Memory: of the counts of each bucket of time only the tightest bounds are kept, as seen from the line so far. Leaving
 * bounds away widens the polygon and falsifies nothing. Buckets are short at first and twice as long whenever all are
 * full, up to BUCKET_MAX_NS; then the oldest is dropped, so that the fit looks back 64 s.
 *
 * Drift: if the oscillator's pace changes so much that no line satisfies all bounds, the oldest quarter is dropped until
 * one does. So the line always satisfies the newest bounds, and the first bound above holds under drift as well; the
 * period then is that of the middle of the span: 20 ppm behind where it drifts by 1 ppm a second.
 */
#include "sensor/clock_fit.h"

#include <string.h>

/* Shorter than any distance of readings, so that the first second's are all kept; and 64 s for the whole. */
#define BUCKET_MIN_NS INT64_C(15625000)
#define BUCKET_MAX_NS INT64_C(1000000000)
/* Of its distance to the fit, a run of times corrects this share. */
static const double CORRECTED = 0.125;
/* How far the spacing of times handed out may be from the fitted period. */
static const double SLEW_MAX = 1.0 / 64;
/* Each bound is taken to be so much looser, as a share of the period: the oscillator has jitter, and a chip may need some
 * microseconds to put a sample into its FIFO. */
static const double JITTER = 1.0 / 64;
/* After a gap the period is known to what the counts before it left, and this much: it may have drifted. */
static const double DRIFT_OVER_GAP = 0.001;

void psa_clock_fit_init(struct psa_clock_fit *fit, double period_ns, double tolerance)
{
    memset(fit, 0, sizeof *fit);
    fit->nominal_ns = fit->line_ns = period_ns;
    fit->tolerance = tolerance;
    fit->bucket_ns = BUCKET_MIN_NS;
    fit->least_ns = fit->period_low_ns = period_ns * (1 - tolerance);
    fit->most_ns = fit->period_high_ns = period_ns * (1 + tolerance);
}

int64_t psa_clock_fit_at(const struct psa_clock_fit *fit, int64_t n)
{
    return fit->line.at_ns + (int64_t)__builtin_llround((double)(n - fit->line.n) * fit->line_ns);
}

double psa_clock_fit_period_ns(const struct psa_clock_fit *fit)
{
    return fit->line_ns;
}

double psa_clock_fit_doubt_ns(const struct psa_clock_fit *fit)
{
    return (fit->period_high_ns - fit->period_low_ns) / 2;
}

/* ---- the polygon -------------------------------------------------------------------------------------------------------- */

/* What an upper and a lower point say of the period. */
static void narrow(struct psa_clock_fit *fit, const struct psa_clock_point *upper, const struct psa_clock_point *lower)
{
    const int64_t samples = upper->n - lower->n;
    const double rise_ns = (double)(upper->at_ns - lower->at_ns);

    if (samples > 0) {
        const double most_ns = rise_ns / (double)samples;
        if (most_ns < fit->period_high_ns) fit->period_high_ns = most_ns;
    } else if (samples < 0) {
        const double least_ns = rise_ns / (double)samples;
        if (least_ns > fit->period_low_ns) fit->period_low_ns = least_ns;
    } else if (rise_ns < 0) { /* by one reckoning it had been taken, by the other not */
        fit->period_high_ns = -1;
    }
}

static void narrow_by_upper(struct psa_clock_fit *fit, const struct psa_clock_point *upper)
{
    for (size_t i = 0; i < fit->n_bucket; i++) {
        if (fit->bucket[i].has_lower) narrow(fit, upper, &fit->bucket[i].lower);
    }
}

static void narrow_by_lower(struct psa_clock_fit *fit, const struct psa_clock_point *lower)
{
    for (size_t i = 0; i < fit->n_bucket; i++) {
        if (fit->bucket[i].has_upper) narrow(fit, &fit->bucket[i].upper, lower);
    }
}

static void narrow_by_all(struct psa_clock_fit *fit)
{
    fit->period_low_ns = fit->least_ns;
    fit->period_high_ns = fit->most_ns;
    for (size_t i = 0; i < fit->n_bucket; i++) {
        if (fit->bucket[i].has_upper) narrow_by_upper(fit, &fit->bucket[i].upper);
    }
}

static void forget_oldest(struct psa_clock_fit *fit, size_t n)
{
    fit->n_bucket -= n;
    memmove(fit->bucket, fit->bucket + n, fit->n_bucket * sizeof *fit->bucket);
}

static bool possible(const struct psa_clock_fit *fit)
{
    return fit->period_low_ns <= fit->period_high_ns;
}

/* Bounds from all the counts there are, for a period between these two. */
static bool agree(struct psa_clock_fit *fit, double least_ns, double most_ns)
{
    fit->least_ns = least_ns;
    fit->most_ns = most_ns;
    narrow_by_all(fit);
    return possible(fit);
}

/* Let go of what cannot be true together: first what was known from before a gap, then the oldest counts. False: the counts
 * agree, but on a period beyond the tolerance. */
static bool reconcile(struct psa_clock_fit *fit)
{
    const double least_ns = fit->nominal_ns * (1 - fit->tolerance), most_ns = fit->nominal_ns * (1 + fit->tolerance);

    while (!agree(fit, least_ns, most_ns)) {
        const bool beyond = agree(fit, 0, 1e18);
        fit->least_ns = least_ns;
        fit->most_ns = most_ns;
        if (beyond || fit->n_bucket < 2) return false;
        forget_oldest(fit, fit->n_bucket > 4 ? fit->n_bucket / 4 : 1);
    }
    return true;
}

/* The line through the polygon's middle, anchored at sample n. */
static void draw_line(struct psa_clock_fit *fit, int64_t n, int64_t near_ns)
{
    const double period_ns = (fit->period_low_ns + fit->period_high_ns) / 2;
    double least_ns = -1e18, most_ns = 1e18; /* of sample n, from near_ns */

    for (size_t i = 0; i < fit->n_bucket; i++) {
        const struct psa_clock_bucket *bucket = &fit->bucket[i];
        if (bucket->has_upper) {
            const double at = (double)(bucket->upper.at_ns - near_ns) + (double)(n - bucket->upper.n) * period_ns;
            if (at < most_ns) most_ns = at;
        }
        if (bucket->has_lower) {
            const double at = (double)(bucket->lower.at_ns - near_ns) + (double)(n - bucket->lower.n) * period_ns;
            if (at > least_ns) least_ns = at;
        }
    }
    if (most_ns > 1e17) most_ns = least_ns + period_ns; /* no sample yet: the first comes within a period */
    fit->line.n = n;
    fit->line.at_ns = near_ns + (int64_t)__builtin_llround((least_ns + most_ns) / 2);
    fit->line_ns = period_ns;
    fit->has_line = true;
}

/* ---- the buckets ----------------------------------------------------------------------------------------------------- */

/* How far a bound is from the line: less is tighter. */
static int64_t slack_ns(const struct psa_clock_fit *fit, const struct psa_clock_point *point)
{
    return point->at_ns - psa_clock_fit_at(fit, point->n);
}

/* Take a bound into the bucket if it is tighter than the one there. */
static bool take_upper(const struct psa_clock_fit *fit, struct psa_clock_bucket *bucket,
                       const struct psa_clock_point *upper)
{
    if (bucket->has_upper && slack_ns(fit, upper) >= slack_ns(fit, &bucket->upper)) return false;
    bucket->upper = *upper;
    bucket->has_upper = true;
    return true;
}

static bool take_lower(const struct psa_clock_fit *fit, struct psa_clock_bucket *bucket,
                       const struct psa_clock_point *lower)
{
    if (bucket->has_lower && slack_ns(fit, lower) <= slack_ns(fit, &bucket->lower)) return false;
    bucket->lower = *lower;
    bucket->has_lower = true;
    return true;
}

/* Two buckets become one, all along. */
static void merge_buckets(struct psa_clock_fit *fit)
{
    const size_t n = fit->n_bucket / 2;

    for (size_t i = 0; i < n; i++) {
        const struct psa_clock_bucket *later = &fit->bucket[2 * i + 1];
        fit->bucket[i] = fit->bucket[2 * i];
        if (later->has_upper) take_upper(fit, &fit->bucket[i], &later->upper);
        if (later->has_lower) take_lower(fit, &fit->bucket[i], &later->lower);
    }
    fit->n_bucket = n;
    fit->bucket_ns *= 2;
}

/* The bucket of a time; true: it is a new one, so that others may have gone. */
static bool open_bucket(struct psa_clock_fit *fit, int64_t at_ns)
{
    if (fit->n_bucket > 0 && at_ns < fit->bucket_end_ns) return false;
    if (fit->n_bucket == PSA_CLOCK_FIT_BUCKETS) {
        if (fit->bucket_ns < BUCKET_MAX_NS) merge_buckets(fit);
        else forget_oldest(fit, 1);
    }
    fit->bucket[fit->n_bucket++] = (struct psa_clock_bucket){ .has_upper = false };
    fit->bucket_end_ns = at_ns + fit->bucket_ns;
    return true;
}

bool psa_clock_fit_observe(struct psa_clock_fit *fit, int64_t n, int64_t before_ns, int64_t after_ns)
{
    const int64_t jitter_ns = (int64_t)(fit->nominal_ns * JITTER);
    const struct psa_clock_point upper = { n, after_ns + jitter_ns }, lower = { n + 1, before_ns - jitter_ns };
    const bool is_new = open_bucket(fit, before_ns);
    struct psa_clock_bucket *bucket = &fit->bucket[fit->n_bucket - 1];
    const bool has_upper = n > 0 && take_upper(fit, bucket, &upper), has_lower = take_lower(fit, bucket, &lower);
    bool kept = true;

    if (!is_new && !has_upper && !has_lower) return true;
    if (is_new) {
        narrow_by_all(fit);
    } else {
        if (has_upper) narrow_by_upper(fit, &upper);
        if (has_lower) narrow_by_lower(fit, &lower);
    }
    if (!possible(fit) && !reconcile(fit)) {
        kept = false;
        fit->n_bucket = 0;
        open_bucket(fit, before_ns);
        fit->bucket[0] = (struct psa_clock_bucket){ upper, lower, n > 0, true };
        narrow_by_all(fit);
    }
    draw_line(fit, n, after_ns);
    return kept;
}

void psa_clock_fit_gap(struct psa_clock_fit *fit)
{
    const double least_ns = fit->nominal_ns * (1 - fit->tolerance), most_ns = fit->nominal_ns * (1 + fit->tolerance);

    fit->least_ns = fit->period_low_ns * (1 - DRIFT_OVER_GAP);
    fit->most_ns = fit->period_high_ns * (1 + DRIFT_OVER_GAP);
    if (fit->least_ns < least_ns) fit->least_ns = least_ns;
    if (fit->most_ns > most_ns) fit->most_ns = most_ns;
    fit->n_bucket = 0;
    fit->bucket_ns = BUCKET_MIN_NS;
    fit->has_line = fit->has_given = false;
    fit->given.n = 0;
}

/* ---- times handed out ------------------------------------------------------------------------------------------------- */

void psa_clock_fit_skip(struct psa_clock_fit *fit, int64_t n)
{
    fit->given.n = n;
    fit->has_given = false;
}

struct psa_clock_run psa_clock_fit_take(struct psa_clock_fit *fit, int64_t n)
{
    const int64_t count = n - fit->given.n;
    struct psa_clock_run run = { fit->given.at_ns, fit->line_ns };

    if (!fit->has_given) { /* begin at the line, though never before what was handed out before a gap */
        const int64_t from_ns = psa_clock_fit_at(fit, fit->given.n);
        run.from_ns = from_ns > fit->given.at_ns ? from_ns : fit->given.at_ns;
    } else if (count > 0) {
        const double off_ns = (double)(psa_clock_fit_at(fit, n) - fit->given.at_ns) - fit->line_ns * (double)count;
        double slew = off_ns * CORRECTED / ((double)count * fit->line_ns);
        if (slew > SLEW_MAX) slew = SLEW_MAX;
        if (slew < -SLEW_MAX) slew = -SLEW_MAX;
        run.step_ns = fit->line_ns * (1 + slew);
    }
    fit->given.n = n;
    fit->given.at_ns = psa_clock_run_at(&run, count);
    fit->has_given = true;
    return run;
}
