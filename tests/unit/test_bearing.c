/* test_bearing.c - dsp/bearing: published frequencies, and verdicts on envelope spectra made for the purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/bearing.h"
#include "dsp/envelope.h"
#include "dsp/spectrum.h"
#include "golden.h"

static const double pi = 3.14159265358979323846;

/* MFPT's bearing (NICE, 8 balls of 0.235 inch on 1.245 inch) as its recordings state it, at 25 Hz. */
static const struct psa_bearing mfpt = { 8, 0.235, 1.245, 0 };
static const double mfpt_shaft_hz = 25.0;

static void frequencies_as_published(void **state)
{
    (void)state;
    struct psa_bearing_hz hz;
    assert_true(psa_bearing_frequencies(&mfpt, mfpt_shaft_hz, &hz));
    assert_near(hz.bpfo / 81.125, 1.0, 1e-4);
    assert_near(hz.bpfi / 118.875, 1.0, 1e-4);
    assert_near(hz.bsf / 63.91, 1.0, 1e-3);
    /* Case Western Reserve University's drive end (SKF 6205-2RS, 9 balls, inches), multiples of the shaft's speed; its
     * "rolling element" is struck on both races, so twice bsf. */
    const struct psa_bearing skf_6205 = { 9, 0.3126, 1.537, 0 };
    assert_true(psa_bearing_frequencies(&skf_6205, 1.0, &hz));
    assert_near(hz.bpfi, 5.4152, 1e-4);
    assert_near(hz.bpfo, 3.5848, 1e-4);
    assert_near(hz.ftf, 0.39828, 1e-4);
    assert_near(2.0 * hz.bsf, 4.7135, 1e-4);
    /* And the fan end, SKF 6203-2RS, 8 balls. */
    const struct psa_bearing skf_6203 = { 8, 0.2656, 1.122, 0 };
    assert_true(psa_bearing_frequencies(&skf_6203, 1.0, &hz));
    assert_near(hz.bpfi, 4.9469, 1e-4);
    assert_near(hz.bpfo, 3.0530, 1e-4);
}

/* bpfo + bpfi = n shaft, bpfo = n ftf, whatever the angle; at r = 1/2 all are simple. */
static void frequencies_belong_together(void **state)
{
    (void)state;
    struct psa_bearing_hz hz;
    for (int angle = -80; angle <= 80; angle += 20) {
        const struct psa_bearing bearing = { 12, 7.5, 40.0, angle };
        assert_true(psa_bearing_frequencies(&bearing, 30.0, &hz));
        assert_near(hz.bpfo + hz.bpfi, 12.0 * 30.0, 1e-15);
        assert_near(hz.bpfo, 12.0 * hz.ftf, 1e-15);
    }
    const struct psa_bearing half = { 10, 2.0, 2.0 * sqrt(2.0) * 1.0, 45 };
    assert_true(psa_bearing_frequencies(&half, 8.0, &hz));
    assert_near(hz.bpfo, 20.0, 1e-14);
    assert_near(hz.bpfi, 60.0, 1e-14);
    assert_near(hz.ftf, 2.0, 1e-14);
    assert_near(hz.bsf, sqrt(2.0) / 2.0 * 8.0 * 0.75, 1e-14);
}

static void what_is_no_bearing_is_refused(void **state)
{
    (void)state;
    const struct psa_bearing wrong[] = { { 0, 1, 5, 0 },   { 8, 0, 5, 0 },        { 8, 5, 5, 0 },
                                         { 8, 1, 5, 90 },  { 8, 1, 5, -90 },      { 8, -1, 5, 0 },
                                         { NAN, 1, 5, 0 }, { 8, NAN, 5, 0 },      { 8, 1, NAN, 0 },
                                         { 8, 1, 5, NAN }, { 8, 1, INFINITY, 0 }, { INFINITY, 1, 5, 0 } };
    struct psa_bearing_hz hz = { 1, 1, 1, 1 };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_false(psa_bearing_frequencies(&wrong[i], 25.0, &hz));
        assert_true(hz.bpfo == 0.0 && hz.bpfi == 0.0 && hz.bsf == 0.0 && hz.ftf == 0.0);
    }
    assert_false(psa_bearing_frequencies(&mfpt, 0.0, &hz) || psa_bearing_frequencies(&mfpt, NAN, &hz));
    assert_false(psa_bearing_frequencies(&mfpt, INFINITY, &hz));
}

/* A spectrum of ones with a line, and another that is lower. */
enum { LINES = 5001 };
static double step_hz = 0.1;

static struct psa_diagnosis read_two(double line_hz, double amplitude, double shaft_hz, double other_hz, double other)
{
    static double spectrum[LINES];
    for (int k = 0; k < LINES; k++) spectrum[k] = 1.0;
    spectrum[0] = 1e6;
    spectrum[(size_t)(other_hz / step_hz + 0.5)] = other;
    spectrum[(size_t)(line_hz / step_hz + 0.5)] = amplitude;
    struct psa_bearing_hz hz;
    assert_true(psa_bearing_frequencies(&mfpt, mfpt_shaft_hz, &hz));
    struct psa_bearing_options options = psa_bearing_defaults();
    options.shaft_hz = shaft_hz;
    struct psa_diagnosis diagnosis;
    psa_bearing_diagnose(spectrum, LINES, step_hz, &hz, &options, &diagnosis);
    return diagnosis;
}

static struct psa_diagnosis read(double line_hz, double amplitude, double shaft_hz)
{
    return read_two(line_hz, amplitude, shaft_hz, line_hz, amplitude);
}

#define assert_verdict(d, wanted, wanted_order)                         \
    do {                                                                \
        struct psa_diagnosis verdict = (d);                             \
        assert_string_equal(psa_element_name(verdict.element), wanted); \
        assert_int_equal(verdict.order, wanted_order);                  \
    } while (0)

static void the_nearest_element_is_named(void **state)
{
    (void)state;
    assert_verdict(read(80.0, 50.0, 0.0), "outer race", 1); /* as MFPT's outer race reads: 1.4 % low */
    assert_verdict(read(118.0, 50.0, 0.0), "inner race", 1);
    assert_verdict(read(63.5, 50.0, 0.0), "ball", 1);
    assert_verdict(read(127.5, 50.0, 0.0), "ball", 2);
    assert_verdict(read_two(162.0, 50.0, 0.0, 81.0, 9.0), "outer race", 2);
    assert_verdict(read_two(238.5, 50.0, 0.0, 118.0, 9.0), "inner race", 2);
    assert_verdict(read_two(242.0, 50.0, 0.0, 80.0, 9.0), "outer race", 3);  /* 243.4, and 1.8 % from 2 x 118.9 */
    assert_verdict(read_two(239.5, 50.0, 0.0, 118.0, 9.0), "inner race", 2); /* and 1.6 % from that one */
    assert_verdict(read_two(20.5, 50.0, 0.0, 10.1, 9.0), "cage", 2);
    assert_verdict(read_two(30.5, 50.0, 0.0, 10.1, 9.0), "cage", 3);
    assert_verdict(read(79.0, 50.0, 0.0), "none", 0);  /* 2.6 % off */
    assert_verdict(read(325.0, 50.0, 0.0), "none", 0); /* a fourth harmonic */
    assert_verdict(read(499.0, 50.0, 0.0), "none", 0);
    struct psa_diagnosis d = read(118.0, 50.0, 0.0);
    assert_near(d.line_hz, 118.0, 1e-15);
    assert_near(d.expected_hz, 118.876, 1e-5);
    assert_near(d.amplitude, 50.0, 1e-15);
    assert_near(d.ratio, 50.0, 1e-15);
    assert_false(d.shaft);
}

/* Whatever strikes at 162 Hz is no outer race that strikes at 81 unless there is a line there. */
static void a_harmonic_needs_its_primary(void **state)
{
    (void)state;
    double half = PSA_BEARING_MIN_RATIO / 2.0;
    assert_verdict(read(162.0, 50.0, 0.0), "none", 0);
    assert_verdict(read(243.4, 50.0, 0.0), "none", 0);
    assert_verdict(read(20.2, 50.0, 0.0), "none", 0);
    assert_verdict(read_two(162.0, 50.0, 0.0, 81.0, half), "outer race", 2);
    assert_verdict(read_two(162.0, 50.0, 0.0, 81.0, half - 0.01), "none", 0);
    assert_verdict(read_two(162.0, 50.0, 0.0, 118.9, half), "none", 0); /* the inner race's bears nothing out of it */
    assert_verdict(read(127.7, 50.0, 0.0), "ball", 2);                  /* it strikes twice a turn */
    assert_verdict(read(191.6, 50.0, 0.0), "none", 0);
    assert_verdict(read_two(191.6, 50.0, 0.0, 63.9, half), "ball", 3);
    assert_verdict(read_two(191.6, 50.0, 0.0, 127.7, half), "ball", 3);
}

/* Lines that are farther apart than 2 % of a frequency could be anything's. */
static void coarse_lines_name_nothing(void **state)
{
    (void)state;
    const struct {
        double step_hz;
        bool seen[PSA_ELEMENTS];
    } at[] = {
        { 0.2, { true, true, true, true } },   { 0.21, { true, true, true, false } },
        { 1.0, { true, true, true, false } },  { 1.625, { false, true, true, false } }, /* the ball by its second */
        { 2.0, { false, true, true, false } }, { 10.0, { false, false, false, false } }
    };
    for (size_t i = 0; i < COUNT(at); i++) {
        const double wanted[] = { 81.1265, 118.8755, 63.861, 10.1406 };
        step_hz = at[i].step_hz;
        for (int element = 0; element < PSA_ELEMENTS; element++) {
            struct psa_diagnosis d = read(wanted[element], 50.0, 0.0);
            bool first = d.element == element && d.order == 1;
            assert_int_equal(d.seen[element], at[i].seen[element]);
            if (element != PSA_ELEMENT_BALL) assert_int_equal(first, at[i].seen[element]);
            bool by_its_second = element == PSA_ELEMENT_BALL && at[i].step_hz > 1.28;
            if (!by_its_second) assert_near(d.primary_hz[element] / wanted[element], 1.0, 1e-3);
        }
        if (at[i].step_hz == 2.0) assert_verdict(read(127.7, 50.0, 0.0), "ball", 2);
        if (at[i].step_hz == 2.0) assert_verdict(read(63.9, 50.0, 0.0), "none", 0);
        if (at[i].step_hz == 2.0) assert_verdict(read_two(162.0, 50.0, 0.0, 80.0, 9.0), "none", 0);
    }
    step_hz = 0.1;
}

static void resolution_is_the_smallest_step(void **state)
{
    (void)state;
    const double x[] = { 1.0, 1.0, 3.0, 2.5, 2.5, -4.0 }, falling[] = { 2.0, 1.75 };
    assert_true(psa_resolution(x, COUNT(x)) == 0.5);
    assert_true(psa_resolution(falling, 2) == 0.25);
    assert_true(psa_resolution(x, 2) == 0.0 && psa_resolution(x, 1) == 0.0 && psa_resolution(x, 0) == 0.0);
}

static void a_low_line_is_no_fault(void **state)
{
    (void)state;
    assert_verdict(read(118.0, PSA_BEARING_MIN_RATIO, 0.0), "inner race", 1);
    struct psa_diagnosis d = read(118.0, PSA_BEARING_MIN_RATIO - 0.01, 0.0);
    assert_verdict(d, "none", 0);
    assert_true(d.line_hz == 118.0 && isnan(d.expected_hz)); /* the line is told all the same */
    assert_near(d.ratio, PSA_BEARING_MIN_RATIO - 0.01, 1e-15);
}

/* 2 bsf is 127.7 Hz, so that five times a shaft at 25.2 Hz is within 2 % of it and would be taken for a ball. */
static void a_multiple_of_the_shaft_is_the_shafts(void **state)
{
    (void)state;
    assert_verdict(read(126.0, 50.0, 0.0), "ball", 2);
    struct psa_diagnosis d = read(126.0, 50.0, 25.2);
    assert_verdict(d, "none", 0);
    assert_true(d.shaft && isnan(d.expected_hz) && d.ratio == 50.0);
    assert_verdict(read(125.5, 50.0, 25.0), "none", 0); /* 125, and half a percent: the shaft's still */
    assert_verdict(read(126.0, 50.0, 25.0), "ball", 2);
    assert_verdict(read(128.0, 50.0, 25.0), "ball", 2);
    assert_verdict(read(118.0, 50.0, 25.0), "inner race", 1);
    assert_verdict(read(80.0, 50.0, 25.0), "outer race", 1);
    assert_verdict(read(10.1, 50.0, 25.0), "cage", 1);  /* below the shaft's speed */
    assert_verdict(read(127.5, 50.0, 31.8), "ball", 2); /* 127.2 is the shaft's, but the ball's 127.7 is nearer */
    assert_true(read(10.0, 50.0, 10.09).shaft);         /* 0.9 percent, but within one line */
    assert_true(read_two(241.0, 50.0, 48.0, 118.9, 9.0).shaft); /* ten lines, but within half a percent */
    assert_false(read(75.0, 50.0, 25.0).shaft);                 /* no element is near, so there is nothing to explain */
}

static void the_band_has_ends(void **state)
{
    (void)state;
    assert_verdict(read(10.0, 50.0, 0.0), "cage", 1);
    assert_true(read(10.0, 50.0, 0.0).line_hz == 10.0);
    assert_true(read(9.5, 50.0, 0.0).line_hz != 9.5);
    assert_true(read(500.0, 50.0, 0.0).line_hz == 500.0);
}

static void every_expected_line_is_told(void **state)
{
    (void)state;
    struct psa_diagnosis d = read(162.2, 50.0, 0.0);
    struct psa_bearing_hz hz;
    psa_bearing_frequencies(&mfpt, mfpt_shaft_hz, &hz);
    const double want[] = { hz.bpfo, hz.bpfi, hz.bsf, hz.ftf };
    for (int element = 0; element < PSA_ELEMENTS; element++) {
        for (size_t order = 1; order <= 3; order++) {
            const struct psa_bearing_line *line = &d.of[element][order - 1];
            assert_near(line->expected_hz, (double)order * want[element], 1e-15);
            assert_true(fabs(line->line_hz - line->expected_hz) <= 0.02 * line->expected_hz + step_hz / 2.0);
            bool it = element == PSA_ELEMENT_OUTER && order == 2;
            assert_near(line->amplitude, it ? 50.0 : 1.0, 1e-15);
            assert_near(line->ratio, it ? 50.0 : 1.0, 1e-15);
        }
    }
}

static void what_is_not_known_is_nan(void **state)
{
    (void)state;
    double spectrum[401] = { 0 };
    struct psa_bearing_hz hz = { .bpfo = 100.0, .bpfi = NAN, .bsf = 350.0 };
    struct psa_bearing_options options = psa_bearing_defaults();
    options.harmonics = 1000; /* no more than there is room for */
    struct psa_diagnosis d;
    psa_bearing_diagnose(spectrum, 401, 1.0, &hz, &options, &d);
    assert_verdict(d, "none", 0);
    assert_true(isnan(d.line_hz) && isnan(d.amplitude) && isnan(d.ratio));
    assert_true(d.of[PSA_ELEMENT_OUTER][0].amplitude == 0.0 && isnan(d.of[PSA_ELEMENT_OUTER][0].ratio));
    assert_true(isnan(d.of[PSA_ELEMENT_INNER][0].expected_hz) && isnan(d.of[PSA_ELEMENT_CAGE][0].amplitude));
    assert_true(isnan(d.of[PSA_ELEMENT_BALL][1].expected_hz)); /* 700 Hz: beyond the spectrum */
    spectrum[101] = 2.0;                                       /* nothing around it */
    psa_bearing_diagnose(spectrum, 401, 1.0, &hz, &options, &d);
    assert_verdict(d, "outer race", 1);
    assert_true(isinf(d.ratio));
    spectrum[300] = NAN;
    psa_bearing_diagnose(spectrum, 401, 1.0, &hz, &options, &d);
    assert_verdict(d, "none", 0);
    assert_true(isnan(d.line_hz) && isnan(d.of[PSA_ELEMENT_OUTER][0].expected_hz));
    const double few[] = { 9.0, 1.0, 5.0, 1.0 }; /* all of them flanks */
    options.low_hz = 1.0;
    psa_bearing_diagnose(few, 4, 50.0, &hz, &options, &d);
    assert_true(d.line_hz == 100.0 && isnan(d.ratio));
    assert_verdict(d, "none", 0);
    const double some[] = { 99.0, 1.0, 3.0, 5.0, 12.0 }; /* line 0 is no neighbour: the background is 2 */
    options.lobe = 1;
    psa_bearing_diagnose(some, 5, 50.0, &hz, &options, &d);
    assert_true(d.line_hz == 200.0 && d.ratio == 6.0);
    psa_bearing_diagnose(few, 0, 50.0, &hz, &options, &d);
    assert_verdict(d, "none", 0);
    psa_bearing_diagnose(few, 1, 50.0, &hz, &options, &d);
    assert_verdict(d, "none", 0);
}

/* ---- simulated machines ----------------------------------------------------------------------------------------- */

enum { N = 12000 };
static const double rate_hz = 12000.0; /* one second */

static double uniform(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return ((double)(*seed >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t *seed) /* Box and Muller */
{
    double r = sqrt(-2.0 * log(uniform(seed)));
    return r * cos(2.0 * pi * uniform(seed));
}

/* What a band-pass lets through: noise, which the shaft modulates by `modulation`, and a ring of 3 kHz each time a
 * fault is struck. The noise is white: the band's width changes nothing of the envelope's statistics below 500 Hz. */
static struct psa_diagnosis machine(uint64_t seed, double fault_hz, double strength, double modulation)
{
    static double x[N], amplitude[N / 2 + 1];
    for (int i = 0; i < N; i++) {
        double t = i / rate_hz, since = fault_hz > 0.0 ? fmod(t, 1.0 / fault_hz) : 1.0;
        x[i] = normal(&seed) * (1.0 + modulation * cos(2.0 * pi * mfpt_shaft_hz * t));
        x[i] += strength * exp(-800.0 * since) * sin(2.0 * pi * 3000.0 * since);
    }
    struct psa_envelope *envelope = psa_envelope_new(N, PSA_TAPER_HANN);
    psa_envelope_run(envelope, x, x);
    psa_envelope_spectrum(envelope, x, amplitude);
    psa_envelope_free(envelope);
    struct psa_bearing_hz hz;
    psa_bearing_frequencies(&mfpt, mfpt_shaft_hz, &hz);
    struct psa_bearing_options options = psa_bearing_defaults();
    options.shaft_hz = mfpt_shaft_hz;
    struct psa_diagnosis diagnosis;
    psa_bearing_diagnose(amplitude, N / 2 + 1, 1.0, &hz, &options, &diagnosis);
    return diagnosis;
}

static void faults_are_found(void **state)
{
    (void)state;
    struct psa_bearing_hz hz;
    psa_bearing_frequencies(&mfpt, mfpt_shaft_hz, &hz);
    for (uint64_t seed = 0; seed < 10; seed++) {
        assert_verdict(machine(seed, hz.bpfo * 0.99, 4.0, 0.0), "outer race", 1); /* slipping */
        assert_verdict(machine(seed, hz.bpfi * 1.01, 4.0, 0.0), "inner race", 1);
        assert_verdict(machine(seed, hz.bsf, 4.0, 0.0), "ball", 1);
        assert_verdict(machine(seed, 0.9 * hz.bpfo, 4.0, 0.0), "none", 0); /* something else strikes */
    }
}

/* The highest of 491 lines of noise is about sqrt(log2 491) = 3 times their median, and never 6 times. */
static void a_healthy_bearing_has_none(void **state)
{
    (void)state;
    double sum = 0.0, highest = 0.0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct psa_diagnosis d = machine(seed, 0.0, 0.0, 0.0);
        assert_verdict(d, "none", 0);
        sum += d.ratio;
        highest = fmax(highest, d.ratio);
        assert_verdict(machine(seed, 0.0, 0.0, 0.2), "none", 0);
    }
    assert_near(sum / 300.0, 3.1, 0.1);
    assert_true(highest < PSA_BEARING_MIN_RATIO);
    struct psa_diagnosis shaft = machine(1, 0.0, 0.0, 0.5);
    assert_true(shaft.line_hz == mfpt_shaft_hz && shaft.ratio > PSA_BEARING_MIN_RATIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_as_published),
        cmocka_unit_test(frequencies_belong_together),
        cmocka_unit_test(what_is_no_bearing_is_refused),
        cmocka_unit_test(the_nearest_element_is_named),
        cmocka_unit_test(a_harmonic_needs_its_primary),
        cmocka_unit_test(coarse_lines_name_nothing),
        cmocka_unit_test(resolution_is_the_smallest_step),
        cmocka_unit_test(a_low_line_is_no_fault),
        cmocka_unit_test(a_multiple_of_the_shaft_is_the_shafts),
        cmocka_unit_test(the_band_has_ends),
        cmocka_unit_test(every_expected_line_is_told),
        cmocka_unit_test(what_is_not_known_is_nan),
        cmocka_unit_test(faults_are_found),
        cmocka_unit_test(a_healthy_bearing_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
