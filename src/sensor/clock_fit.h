/*
 * clock_fit.h - when were the samples taken that a chip's own oscillator times? A FIFO tells how many samples there have been
 * by the time of a reading; from many such counts come even times on CLOCK_MONOTONIC and the rate. The method and its
 * bounds stand in clock_fit.c. Pure, no allocation, less than 3 KiB of memory for any length of run.
 */
#ifndef PSA_SENSOR_CLOCK_FIT_H
#define PSA_SENSOR_CLOCK_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PSA_CLOCK_FIT_BUCKETS 64

/* Sample n was taken at at_ns. */
struct psa_clock_point {
    int64_t n, at_ns;
};

/* What remains of the counts of a stretch of time: sample upper.n was taken by upper.at_ns, lower.n not before lower.at_ns. */
struct psa_clock_bucket {
    struct psa_clock_point upper, lower;
    bool has_upper, has_lower;
};

struct psa_clock_fit {
    double nominal_ns, tolerance; /* the period told, and how far off it may be: 0.1 is 10 % */

    struct psa_clock_bucket bucket[PSA_CLOCK_FIT_BUCKETS]; /* oldest first */
    size_t n_bucket;
    int64_t bucket_ns, bucket_end_ns; /* length of a bucket; the end of the newest */

    double least_ns, most_ns;             /* the period lies between: told, or known from before a gap */
    double period_low_ns, period_high_ns; /* ... and what the counts leave of that */

    struct psa_clock_point line; /* the fit: sample line.n at line.at_ns, and line_ns for each sample further */
    double line_ns;
    bool has_line;

    struct psa_clock_point given; /* the last sample whose time was handed out */
    bool has_given;
};

/* Times of consecutive samples: the i-th, from 1, at psa_clock_run_at(run, i). */
struct psa_clock_run {
    int64_t from_ns;
    double step_ns;
};

static inline int64_t psa_clock_run_at(const struct psa_clock_run *run, int64_t i)
{
    return run->from_ns + (int64_t)(run->step_ns * (double)i + 0.5);
}

/* A chip that should sample every period_ns, and does so within the tolerance (a share of it, below 1). */
void psa_clock_fit_init(struct psa_clock_fit *fit, double period_ns, double tolerance);

/* At some moment in [before_ns, after_ns], the times around the bus transfer, n samples had been taken in all; n counts on
 * from call to call, and so does the time. False: the counts cannot come from an oscillator within the tolerance (they were
 * forgotten, and the fit begins anew with this one). */
bool psa_clock_fit_observe(struct psa_clock_fit *fit, int64_t n, int64_t before_ns, int64_t after_ns);

/* Times for the samples that follow the last one handed out, up to sample n: they run on evenly from there. After a gap, and at
 * first, they begin where the fit says. Needs one observation. */
struct psa_clock_run psa_clock_fit_take(struct psa_clock_fit *fit, int64_t n);

/* The samples up to n need no times; those after it begin where the fit says. */
void psa_clock_fit_skip(struct psa_clock_fit *fit, int64_t n);

/* Sample n as the fit sees it, whatever was handed out. */
int64_t psa_clock_fit_at(const struct psa_clock_fit *fit, int64_t n);

/* Samples were lost, nobody knows how many: counting begins anew at 0. Keeps what is known of the period. */
void psa_clock_fit_gap(struct psa_clock_fit *fit);

/* The fitted period, and the most that it is off while the oscillator keeps its pace. */
double psa_clock_fit_period_ns(const struct psa_clock_fit *fit);
double psa_clock_fit_doubt_ns(const struct psa_clock_fit *fit);

#endif
