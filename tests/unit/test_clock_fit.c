/*
 * test_clock_fit.c - sensor/clock_fit against simulated oscillators whose sample times are known: the bounds that clock_fit.c
 * states, for oscillators that are off, that drift, read late, over an hour and over gaps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "sensor/clock_fit.h"

#define LEARN_S 0.5

/* A chip and the one who reads it. Times in seconds here: the truth is not rounded. */
struct scene {
    double rate_hz;    /* told */
    double off;        /* its rate is rate_hz (1 + off) at first ... */
    double drift;      /* ... and grows by so much a second */
    double poll_s;     /* distance of readings */
    double late_s;     /* a share of the readings is up to so late */
    double late_share; /* before the count, and as often after it */
    double transfer_s; /* a reading takes so long */
    double length_s;
    bool in_step; /* no chance in anything: the worst case for learning the rate */
};

/* What became of it, in periods and shares, over stretches of time. */
struct outcome {
    double first_error;  /* worst time handed out up to 2 s */
    double worst_error;  /* afterwards */
    double settled_rms;  /* rms after 10 s */
    double rate_error;   /* |fitted - true| / true: worst after 30 s */
    double doubt;        /* at the end */
    double worst_step;   /* spacing against the true period, worst after 2 s */
    double first_step;   /* and before */
    bool truth_in_doubt; /* the true period lay within the fitted one +- doubt, always */
    bool forwards;       /* times grew, always */
    int refused;
};

static uint64_t random_state;

static double uniform(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) / 9007199254740992.0;
}

/* Samples taken by time t, as a real number, and when it was so many. */
static double count_at(const struct scene *scene, double t)
{
    return scene->rate_hz * t * (1 + scene->off + scene->drift * t / 2);
}

static double time_of(const struct scene *scene, double n)
{
    const double a = 1 + scene->off, x = n / scene->rate_hz;

    if (scene->drift == 0) return x / a;
    return 2 * x / (a + sqrt(a * a + 2 * scene->drift * x));
}

/* One reading due at `due_s`: the times around it and the count in between. */
static int64_t read_count(const struct scene *scene, double due_s, double phase, double *before_s, double *after_s)
{
    double counted_s;

    if (scene->in_step) {
        *before_s = counted_s = due_s;
        *after_s = due_s + scene->transfer_s;
    } else {
        *before_s = due_s + 1e-4 * uniform() + (uniform() < scene->late_share ? scene->late_s * uniform() : 0);
        counted_s =
            *before_s + scene->transfer_s * uniform() + (uniform() < scene->late_share ? scene->late_s * uniform() : 0);
        *after_s =
            counted_s + scene->transfer_s * uniform() + (uniform() < scene->late_share ? scene->late_s * uniform() : 0);
    }
    return (int64_t)floor(count_at(scene, counted_s) + phase);
}

static void worst(double *so_far, double value)
{
    if (fabs(value) > *so_far) *so_far = fabs(value);
}

/* Compare a run's times with the truth. */
static void judge(const struct scene *scene, const struct psa_clock_run *run, int64_t from, int64_t n, double phase,
                  double now_s, double *last_s, double *squares, int64_t *settled, struct outcome *outcome)
{
    for (int64_t i = 1; i <= n - from; i++) {
        const double at_s = (double)psa_clock_run_at(run, i) * 1e-9;
        const double true_s = time_of(scene, (double)(from + i) - phase);
        const double off = (at_s - true_s) * scene->rate_hz;
        const double step = (at_s - *last_s) / (true_s - time_of(scene, (double)(from + i) - phase - 1)) - 1;

        worst(now_s < 2 ? &outcome->first_error : &outcome->worst_error, off);
        if (*last_s >= 0) worst(now_s < 2 ? &outcome->first_step : &outcome->worst_step, step);
        if (at_s <= *last_s) outcome->forwards = false;
        *last_s = at_s;
        if (now_s > 10) {
            *squares += off * off;
            ++*settled;
        }
    }
}

static struct outcome play(const struct scene *scene)
{
    struct outcome outcome = { .truth_in_doubt = true, .forwards = true };
    struct psa_clock_fit fit;
    double last_s = -1, squares = 0;
    int64_t given = 0, settled = 0;

    random_state = 88172645463325252ULL;
    const double phase = scene->in_step ? 0.4 : uniform();
    psa_clock_fit_init(&fit, 1e9 / scene->rate_hz, 0.1);
    for (int64_t k = 1; (double)k * scene->poll_s < scene->length_s; k++) {
        const double due_s = (double)k * scene->poll_s;
        double before_s, after_s;
        const int64_t n = read_count(scene, due_s, phase, &before_s, &after_s);
        if (!psa_clock_fit_observe(&fit, n, (int64_t)(before_s * 1e9), (int64_t)(after_s * 1e9))) outcome.refused++;

        const double true_ns = 1e9 / (scene->rate_hz * (1 + scene->off + scene->drift * due_s));
        const double off_ns = psa_clock_fit_period_ns(&fit) - true_ns;
        if (fabs(off_ns) > psa_clock_fit_doubt_ns(&fit) + 1e-6) outcome.truth_in_doubt = false;
        if (due_s > 30) worst(&outcome.rate_error, off_ns / true_ns);
        outcome.doubt = psa_clock_fit_doubt_ns(&fit) / true_ns;
        if (due_s < LEARN_S) {
            psa_clock_fit_skip(&fit, n);
        } else {
            const struct psa_clock_run run = psa_clock_fit_take(&fit, n);
            judge(scene, &run, given, n, phase, due_s, &last_s, &squares, &settled, &outcome);
        }
        given = n;
    }
    outcome.settled_rms = settled > 0 ? sqrt(squares / (double)settled) : 0;
    return outcome;
}

static void show(const char *name, const struct outcome *outcome)
{
    print_message(
        "%s: first 2 s %.3f P, later %.3f P, rms %.4f P; rate %.2f ppm, doubt %.2f ppm; spacing %.4f, first %.4f\n",
        name, outcome->first_error, outcome->worst_error, outcome->settled_rms, outcome->rate_error * 1e6,
        outcome->doubt * 1e6, outcome->worst_step, outcome->first_step);
}

/* An oscillator up to 5 % off, now and then read up to 5 ms late. */
static void steady_oscillators_are_learned(void **unused)
{
    static const double offs[] = { 0, 0.01, -0.01, 0.05, -0.05, 0.0123, -1e-5 };

    (void)unused;
    for (size_t i = 0; i < sizeof offs / sizeof *offs; i++) {
        const struct scene scene = { .rate_hz = 1000,
                                     .off = offs[i],
                                     .poll_s = 0.025,
                                     .late_s = 0.005,
                                     .late_share = 0.05,
                                     .transfer_s = 2e-4,
                                     .length_s = 120 };
        const struct outcome outcome = play(&scene);
        show("1 kHz", &outcome);
        assert_int_equal(outcome.refused, 0);
        assert_true(outcome.forwards);
        assert_true(outcome.truth_in_doubt);
        assert_true(outcome.first_error < 1);
        assert_true(outcome.worst_error < 0.25);
        assert_true(outcome.settled_rms < 0.05);
        assert_true(outcome.rate_error < 10e-6);
        assert_true(outcome.doubt < 20e-6);
        assert_true(outcome.first_step < 0.02);
        assert_true(outcome.worst_step < 1.0 / 64);
    }
}

static void slow_rates_are_learned(void **unused)
{
    static const double rates[] = { 500, 200, 100, 50, 10, 1000.0 / 256 };

    (void)unused;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        const struct scene scene = { .rate_hz = rates[i],
                                     .off = -0.013,
                                     .poll_s = 0.05,
                                     .late_s = 0.005,
                                     .late_share = 0.05,
                                     .transfer_s = 5e-4,
                                     .length_s = 200 };
        const struct outcome outcome = play(&scene);
        show("slow", &outcome);
        assert_int_equal(outcome.refused, 0);
        assert_true(outcome.forwards);
        assert_true(outcome.truth_in_doubt);
        assert_true(outcome.first_error < 1);
        assert_true(outcome.worst_error < 0.5);
        assert_true(outcome.rate_error < 300e-6);
    }
}

/* Polling in step with the sampling shows nothing within a period: the doubt is the bound that clock_fit.c states. */
static void in_step_the_bound_holds(void **unused)
{
    const struct scene scene = {
        .rate_hz = 1000, .poll_s = 0.025, .transfer_s = 1e-4, .length_s = 200, .in_step = true
    };
    const struct outcome outcome = play(&scene);

    (void)unused;
    show("in step", &outcome);
    assert_true(outcome.truth_in_doubt);
    assert_true(outcome.doubt < 20e-6);
    assert_true(outcome.doubt > 10e-6);
    assert_true(outcome.worst_error < 1);
    assert_true(outcome.forwards);
}

/* Warming up by more than any machine does, for an hour: late by the fit's span, but never off by a period. */
static void drift_is_followed(void **unused)
{
    static const double drifts[] = { 0.1e-6, 1e-6, -5e-6, 10e-6 };

    (void)unused;
    for (size_t i = 0; i < sizeof drifts / sizeof *drifts; i++) {
        const struct scene scene = { .rate_hz = 1000,
                                     .off = 0.01,
                                     .drift = drifts[i],
                                     .poll_s = 0.024618,
                                     .late_s = 0.005,
                                     .late_share = 0.05,
                                     .transfer_s = 2e-4,
                                     .length_s = 3600 };
        const struct outcome outcome = play(&scene);
        show("drift", &outcome);
        assert_int_equal(outcome.refused, 0);
        assert_true(outcome.forwards);
        assert_true(outcome.worst_error < 0.5);
        assert_true(outcome.rate_error < 100e-6);
        assert_true(outcome.worst_step < 1.0 / 64);
    }
}

/* Most readings late, by up to five periods: bounds only get weaker. */
static void late_readings_do_no_harm(void **unused)
{
    const struct scene scene = { .rate_hz = 1000,
                                 .off = 0.01,
                                 .poll_s = 0.025,
                                 .late_s = 0.005,
                                 .late_share = 0.8,
                                 .transfer_s = 2e-4,
                                 .length_s = 300 };
    const struct outcome outcome = play(&scene);

    (void)unused;
    show("late", &outcome);
    assert_int_equal(outcome.refused, 0);
    assert_true(outcome.truth_in_doubt);
    assert_true(outcome.forwards);
    assert_true(outcome.first_error < 2);
    assert_true(outcome.worst_error < 1);
    assert_true(outcome.rate_error < 30e-6);
}

/* The FIFO was emptied: counts begin anew, the period is known, times go on from where the new ones are. */
static void a_gap_keeps_the_period(void **unused)
{
    const struct scene scene = { .rate_hz = 1000, .off = -0.02, .poll_s = 0.025, .transfer_s = 2e-4 };
    struct psa_clock_fit fit;
    int64_t base = 0, last_ns = 0;

    (void)unused;
    random_state = 88172645463325252ULL;
    psa_clock_fit_init(&fit, 1e6, 0.1);
    for (int k = 1; k < 1600; k++) {
        double before_s, after_s, due_s = k * 0.025;
        if (k == 1200) { /* for 0.3 s nobody read it */
            base = read_count(&scene, due_s + 0.3, 0.3, &before_s, &after_s);
            psa_clock_fit_gap(&fit);
            psa_clock_fit_observe(&fit, 0, (int64_t)(before_s * 1e9), (int64_t)(after_s * 1e9));
        }
        if (k >= 1200) due_s += 0.31;
        const int64_t n = read_count(&scene, due_s, 0.3, &before_s, &after_s) - base, from = fit.given.n;
        psa_clock_fit_observe(&fit, n, (int64_t)(before_s * 1e9), (int64_t)(after_s * 1e9));
        const struct psa_clock_run run = psa_clock_fit_take(&fit, n);
        for (int64_t i = 1; i <= n - from; i++) {
            const int64_t at_ns = psa_clock_run_at(&run, i);
            assert_true(at_ns > last_ns);
            last_ns = at_ns;
            if (k >= 1200)
                assert_true(fabs((double)at_ns * 1e-6 - time_of(&scene, (double)(base + from + i) - 0.3) * 1e3) < 1.1);
        }
        if (k == 1200) assert_true(psa_clock_fit_doubt_ns(&fit) < 0.0015 * 1e6);
    }
    assert_true(psa_clock_fit_doubt_ns(&fit) < 100e-6 * 1e6);
}

/* Counts that no oscillator within the tolerance gives are refused, and the fit goes on with the newest. */
static void impossible_counts_are_told(void **unused)
{
    struct psa_clock_fit fit;
    int refused = 0;

    (void)unused;
    psa_clock_fit_init(&fit, 1e6, 0.1);
    for (int64_t k = 1; k < 400; k++)
        refused += !psa_clock_fit_observe(&fit, k * 35, k * 25000000, k * 25000000 + 100000);
    assert_true(refused > 0);
    assert_true(llabs(psa_clock_fit_at(&fit, 399 * 35) - INT64_C(399) * 25000000) < 2000000);
}

/* One count is enough for times, none of them after it was read. */
static void the_first_count_gives_times(void **unused)
{
    struct psa_clock_fit fit;

    (void)unused;
    psa_clock_fit_init(&fit, 1e6, 0.1);
    assert_true(psa_clock_fit_observe(&fit, 25, 1000000000, 1000200000));
    const struct psa_clock_run run = psa_clock_fit_take(&fit, 25);
    assert_true(psa_clock_run_at(&run, 25) <= 1000200000);
    assert_true(psa_clock_run_at(&run, 25) > 1000000000 - 1000000);
    assert_float_equal(run.step_ns, 1e6, 1e-3);
}

/* What the first counts leave open is corrected by a slope, not by a step. */
static void corrections_are_slopes(void **unused)
{
    struct psa_clock_fit fit;
    int64_t last_ns = 0;
    bool slewed = false;

    (void)unused;
    psa_clock_fit_init(&fit, 1e6, 0.1);
    psa_clock_fit_observe(&fit, 25, 1000000000, 1018000000); /* preempted for 18 periods */
    for (int64_t n = 25; n < 2000; n += 25) {
        const int64_t from = fit.given.n;
        if (n > 25) psa_clock_fit_observe(&fit, n, 1000000000 + (n - 25) * 1000000, 1000100000 + (n - 25) * 1000000);
        const struct psa_clock_run run = psa_clock_fit_take(&fit, n);
        const double slope = run.step_ns / psa_clock_fit_period_ns(&fit) - 1;
        assert_true(fabs(slope) <= 1.0 / 64 + 1e-9);
        slewed = slewed || fabs(slope) > 0.01;
        assert_true(from == 0 || run.from_ns == last_ns);
        last_ns = psa_clock_run_at(&run, n - from);
    }
    assert_true(slewed);
    assert_true(llabs(last_ns - psa_clock_fit_at(&fit, 1975)) < 100000);
}

/* Neither does a gap take them back: times that were ahead are waited for. */
static void a_gap_does_not_go_backwards(void **unused)
{
    struct psa_clock_fit fit;
    struct psa_clock_run run;

    (void)unused;
    psa_clock_fit_init(&fit, 1e6, 0.1);
    psa_clock_fit_observe(&fit, 25, 1000000000, 1018000000);
    run = psa_clock_fit_take(&fit, 25);
    const int64_t last_ns = psa_clock_run_at(&run, 25);
    psa_clock_fit_gap(&fit);
    psa_clock_fit_observe(&fit, 0, 1001000000, 1001100000);
    psa_clock_fit_observe(&fit, 2, 1003000000, 1003100000);
    assert_true(psa_clock_fit_at(&fit, 1) < last_ns);
    run = psa_clock_fit_take(&fit, 2);
    assert_true(psa_clock_run_at(&run, 1) > last_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steady_oscillators_are_learned), cmocka_unit_test(slow_rates_are_learned),
        cmocka_unit_test(in_step_the_bound_holds),        cmocka_unit_test(drift_is_followed),
        cmocka_unit_test(late_readings_do_no_harm),       cmocka_unit_test(a_gap_keeps_the_period),
        cmocka_unit_test(impossible_counts_are_told),     cmocka_unit_test(the_first_count_gives_times),
        cmocka_unit_test(corrections_are_slopes),         cmocka_unit_test(a_gap_does_not_go_backwards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
