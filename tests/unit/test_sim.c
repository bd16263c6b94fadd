/* test_sim.c - sensor/sim: what a scene's text means and refuses, that seeds fix every reading, and that each fault
 * does to the readings what sim.h says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "sensor/sim.h"

#define SECOND INT64_C(1000000000)

static struct psa_sim_scene *scene_of(const char *text)
{
    struct psa_sim_scene *scene = malloc(sizeof *scene);
    struct psa_error error = { 0 };

    assert_non_null(scene);
    if (psa_sim_scene_parse(scene, psa_str_of(text), "test", &error) != 0) fail_msg("%s", error.text);
    return scene;
}

/* Every reading of a scene, at most cap of them. The caller frees. */
static struct psa_sim_reading *play(const struct psa_sim_scene *scene, size_t cap, size_t *n)
{
    struct psa_sim *sim = psa_sim_new(scene);
    struct psa_sim_reading *reading = calloc(cap + 1, sizeof *reading);

    assert_non_null(sim);
    assert_non_null(reading);
    *n = 0;
    while (*n < cap && psa_sim_next(sim, &reading[*n])) *n += !reading[*n].missing;
    psa_sim_free(sim);
    return reading;
}

static struct psa_sim_reading *play_text(const char *text, size_t *n)
{
    struct psa_sim_scene *scene = scene_of(text);
    struct psa_sim_reading *reading = play(scene, 100000, n);

    free(scene);
    return reading;
}

/* Mean, variance and Fisher kurtosis of one field over readings [from, to). */
struct shape {
    double mean, variance, kurtosis;
};

static struct shape shape_of(const struct psa_sim_reading *reading, size_t from, size_t to, size_t field)
{
    const double n = (double)(to - from);
    double mean = 0, m2 = 0, m4 = 0;

    for (size_t i = from; i < to; i++) mean += reading[i].value[field] / n;
    for (size_t i = from; i < to; i++) {
        const double d = reading[i].value[field] - mean;
        m2 += d * d / n;
        m4 += d * d * d * d / n;
    }
    return (struct shape){ mean, m2, m4 / (m2 * m2) - 3 };
}

static bool same(const struct psa_sim_reading *a, const struct psa_sim_reading *b)
{
    return a->sensor == b->sensor && a->timestamp_ns == b->timestamp_ns &&
           memcmp(a->value, b->value, sizeof a->value) == 0;
}

static void a_text_becomes_a_scene(void **state)
{
    struct psa_sim_scene *scene = scene_of("# all of it\n"
                                           "seed 7\r\n"
                                           "start 2024-03-09T16:00:00Z\n"
                                           "\n"
                                           "duration 2m # two minutes\n"
                                           "imu press-01 rate=200Hz speed=1500rpm noise=0.02 decay=5ms\n"
                                           "\ttemperature press-01 every=250ms type=dht22 model=DHT22 mean=30\n"
                                           "fault spike temperature/press-01 at=40s for=20s amplitude=-3 every=5s\n"
                                           "fault bearing press-01 at=1m");

    (void)state;
    assert_int_equal(scene->seed, 7);
    assert_int_equal(scene->start_ns, INT64_C(1710000000000000000));
    assert_int_equal(scene->duration_ns, 120 * SECOND);
    assert_int_equal(scene->n_sensor, 2);
    assert_int_equal(scene->sensor[0].period_num / scene->sensor[0].period_den, 5000000);
    assert_true(scene->sensor[0].speed_hz == 25);
    assert_true(scene->sensor[0].noise == 0.02);
    assert_true(scene->sensor[0].decay_s == 0.005);
    assert_string_equal(scene->sensor[1].model, "DHT22");
    assert_string_equal(scene->sensor[1].type, "dht22");
    assert_int_equal(scene->sensor[1].period_num, 250000000);
    assert_int_equal(scene->n_fault, 2);
    assert_int_equal(scene->fault[0].sensor, 1);
    assert_int_equal(scene->fault[0].at_ns, 40 * SECOND);
    assert_int_equal(scene->fault[0].every_ns, 5 * SECOND);
    assert_true(scene->fault[0].amplitude == -3);
    assert_int_equal(scene->fault[1].kind, PSA_SIM_BEARING);
    assert_int_equal(scene->fault[1].sensor, 0);
    assert_int_equal(scene->fault[1].for_ns, PSA_SIM_ENDLESS);
    free(scene);
}

static void a_wrong_text_names_its_line(void **state)
{
    static const struct {
        const char *text, *begins, *says;
    } bad[] = {
        { "", "test: ", "no sensor" },
        { "seed 1\nseed\n", "test:2: ", "seed needs one value" },
        { "imu\n", "test:1: ", "imu needs an id" },
        { "sonar x\n", "test:1: ", "'sonar'" },
        { "imu a\nimu a\n", "test:2: ", "a second imu 'a'" },
        { "imu a colour=red\n", "test:1: ", "imu has no 'colour'" },
        { "imu a mean=3\n", "test:1: ", "imu has no 'mean'" },
        { "imu a speed\n", "test:1: ", "name=value" },
        { "imu a rate=0Hz\n", "test:1: ", "rate" },
        { "imu a noise=-1\n", "test:1: ", "noise '-1' is out of range" },
        { "imu a\"b\n", "test:1: ", "is no name" },
        { "temperature a every=0s\n", "test:1: ", "every '0s' is out of range" },
        { "start yesterday\n", "test:1: ", "'yesterday' is no time" },
        { "imu a\nfault imbalance b at=1s\n", "test:2: ", "no imu or vibration 'b'" },
        { "imu a\nfault gremlin a at=1s\n", "test:2: ", "no fault is called 'gremlin'" },
        { "imu a\nfault stuck a\n", "test:2: ", "stuck needs at=" },
        { "imu a\nfault drift a at=1s amplitude=1\n", "test:2: ", "drift needs for=" },
        { "imu a\nfault noise a at=1s\n", "test:2: ", "noise needs an amplitude" },
        { "imu a\nfault noise a at=1s amplitude=1 field=gyro_w\n", "test:2: ", "imu has no field 'gyro_w'" },
        { "imu a\nfault bearing a at=1s field=accel_x\n", "test:2: ", "whole shaft" },
        { "imu a\ntemperature a\nfault stuck a at=1s\n", "test:3: ", "'a' names 2 sensors" },
        { "imu a\nfault stuck a at=1s every=2s\n", "test:2: ", "stuck has no 'every'" },
        { "imu a\nfault dropout a at=1s null=2\n", "test:2: ", "null is 0 or 1" },
        { "vibration a block=0\n", "test:1: ", "block '0' is out of range" },
        { "vibration a bpfo=3\n", "test:1: ", "vibration has no 'bpfo'" },
        { "imu a block=3\n", "test:1: ", "imu has no 'block'" },
        { "vibration a bearing=8,1,2\n", "test:1: ", "bearing is n,d,D,angle" },
        { "vibration a bearing=8,1,2,0,0\n", "test:1: ", "bearing is n,d,D,angle" },
        { "vibration a bearing=8,2,2,0\n", "test:1: ", "as large as their circle" },
        { "vibration a bearing=8,1,2,90\n", "test:1: ", "out of range" },
        { "vibration a bearing=8,1,x,0\n", "test:1: ", "bearing" },
        { "vibration a\nfault bearing a at=1s element=cage\n", "test:2: ", "outer, inner or ball" },
        { "imu a\nfault bearing a at=1s element=inner\n", "test:2: ", "element is for vibration" },
        { "vibration a\nfault drift a at=1s for=1s amplitude=1 element=inner\n", "test:2: ", "drift has no 'element'" },
        { "temperature a\nfault imbalance a at=1s\n", "test:2: ", "no imu or vibration 'a'" },
    };
    struct psa_sim_scene *scene = malloc(sizeof *scene);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct psa_error error = { 0 };
        assert_int_equal(psa_sim_scene_parse(scene, psa_str_of(bad[i].text), "test", &error), -1);
        assert_int_equal(error.status, PSA_EXIT_PERMANENT);
        if (strncmp(error.text, bad[i].begins, strlen(bad[i].begins)) != 0 || strstr(error.text, bad[i].says) == NULL)
            fail_msg("%s: %s", bad[i].text, error.text);
    }
    free(scene);
}

static void a_line_or_scene_beyond_its_limit_is_refused(void **state)
{
    struct psa_sim_scene *scene = malloc(sizeof *scene);
    struct psa_error error = { 0 };
    struct psa_buf text = { 0 };

    (void)state;
    for (int i = 0; i <= PSA_SIM_SENSORS_MAX; i++) {
        psa_buf_puts(&text, "imu m");
        psa_buf_int(&text, i);
        psa_buf_puts(&text, "\n");
    }
    assert_int_equal(psa_sim_scene_parse(scene, psa_buf_str(&text), "test", &error), -1);
    assert_string_equal(error.text, "test:257: more than 256 sensors");
    text.n = 0;
    for (int i = 0; i < 600; i++) psa_buf_puts(&text, "#");
    assert_int_equal(psa_sim_scene_parse(scene, psa_buf_str(&text), "test", &error), -1);
    assert_non_null(strstr(error.text, "test:1: a line of more than 511 bytes"));
    assert_int_equal(psa_sim_scene_parse(scene, (struct psa_str){ "imu a\0b\n", 8 }, "test", &error), -1);
    psa_buf_free(&text);
    free(scene);
}

static void the_built_in_scenes_can_be_read(void **state)
{
    static const char *const names[] = { "press-shop",    "imu",          "bearing", "bearing-outer",
                                         "bearing-inner", "bearing-ball", "batch" };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) free(scene_of(psa_sim_scene_text(names[i])));
    assert_null(psa_sim_scene_text("moon"));
}

static void the_press_shop_is_what_the_manual_says(void **state)
{
    struct psa_sim_scene *scene = scene_of(psa_sim_scene_text("press-shop"));
    size_t n;
    struct psa_sim_reading *reading = play(scene, 100000, &n);

    (void)state;
    assert_int_equal(n, 4 * 120 * 100 + 8 * 120);
    assert_int_equal(scene->n_fault, 5);
    for (size_t i = 0; i < n; i++) {
        if (reading[i].timestamp_ns < scene->start_ns + 30 * SECOND) assert_null(reading[i].fault);
    }
    free(reading);
    free(scene);
}

static void a_seed_fixes_every_reading(void **state)
{
    struct psa_sim_scene *scene = scene_of(psa_sim_scene_text("press-shop"));
    size_t n, m;
    struct psa_sim_reading *a = play(scene, 100000, &n), *b = play(scene, 100000, &m);

    (void)state;
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) assert_true(same(&a[i], &b[i]));
    free(b);
    scene->seed++;
    b = play(scene, 100000, &m);
    size_t equal = 0;
    for (size_t i = 0; i < n; i++) equal += same(&a[i], &b[i]);
    assert_true(equal < n / 100);
    free(a);
    free(b);
    free(scene);
}

static void a_fault_changes_only_what_it_touches(void **state)
{
    struct psa_sim_scene *scene = scene_of(psa_sim_scene_text("press-shop"));
    size_t n, m, touched = 0;
    struct psa_sim_reading *faulty = play(scene, 100000, &n);

    (void)state;
    scene->n_fault = 0;
    struct psa_sim_reading *healthy = play(scene, 100000, &m);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        assert_null(healthy[i].fault);
        if (faulty[i].fault == NULL) assert_true(same(&faulty[i], &healthy[i]));
        else touched++;
    }
    assert_int_equal(touched, 1500 + 40 + 1500 + 1000 + 20);
    free(faulty);
    free(healthy);
    free(scene);
}

static void time_runs_forward_and_ties_keep_the_scenes_order(void **state)
{
    size_t n;
    struct psa_sim_reading *reading =
        play_text("duration 10s\nimu b rate=7Hz\npressure a rate=3Hz\ntemperature c every=1s\nimu d rate=7Hz\n", &n);

    (void)state;
    assert_int_equal(n, 70 + 30 + 10 + 70);
    for (size_t i = 1; i < n; i++) {
        assert_true(reading[i].timestamp_ns >= reading[i - 1].timestamp_ns);
        if (reading[i].timestamp_ns == reading[i - 1].timestamp_ns)
            assert_true(reading[i].sensor > reading[i - 1].sensor);
    }
    free(reading);
}

static void a_rate_that_is_no_whole_number_of_nanoseconds_does_not_drift(void **state)
{
    size_t n;
    struct psa_sim_reading *reading = play_text("start 1970-01-01\nduration 1000s\nimu a rate=3Hz\n", &n);

    (void)state;
    assert_int_equal(n, 3000);
    for (int64_t i = 0; i < 3000; i++) assert_int_equal(reading[i].timestamp_ns, i * SECOND / 3);
    free(reading);
}

static void values_are_what_the_part_can_say(void **state)
{
    size_t n;
    struct psa_sim_reading *reading =
        play_text("imu a rate=100Hz noise=3\ntemperature a every=1s mean=59\npressure a every=1s\n", &n);
    const struct psa_sim_field *accel = &psa_sim_parts[PSA_SIM_IMU].field[0];

    (void)state;
    for (size_t i = 0; i < n; i++) {
        const double x = reading[i].value[0];
        if (reading[i].sensor == 0) {
            assert_true(x >= accel->low && x <= accel->high);
            assert_true(fabs(x * 8192 - rint(x * 8192)) < 8192 * 0.5e-6 + 1e-9); /* a whole count, six digits shown */
            assert_false(x == 0 && signbit(x));
        } else if (reading[i].sensor == 1) {
            assert_true(x == rint(x * 10) / 10 && x <= 60);
            assert_true(reading[i].value[1] == rint(reading[i].value[1]));
        } else {
            assert_true(x == rint(x));
        }
    }
    free(reading);
}

static void noise_is_gaussian(void **state)
{
    size_t n;
    struct psa_sim_reading *reading = play_text("duration 1000s\nimu a rate=100Hz vibration=0 noise=0.1\n", &n);
    const struct shape z = shape_of(reading, 0, n, 2);

    (void)state;
    assert_int_equal(n, 100000);
    /* Four standard errors: sd/sqrt(n), sd^2 sqrt(2/n), sqrt(24/n). */
    assert_true(fabs(z.mean - 1) < 4 * 0.1 / sqrt(1e5));
    assert_true(fabs(z.variance - 0.01) < 4 * 0.01 * sqrt(2 / 1e5));
    assert_true(fabs(z.kurtosis) < 4 * sqrt(24 / 1e5));
    free(reading);
}

static void imbalance_raises_the_shafts_line(void **state)
{
    size_t n;
    struct psa_sim_reading *reading =
        play_text("duration 20s\nimu a rate=100Hz speed=600rpm\nfault imbalance a at=10s amplitude=0.3\n", &n);
    const double before = shape_of(reading, 0, 1000, 0).variance, after = shape_of(reading, 1000, 2000, 0).variance;
    const double lines = 0.05 * 0.05 * (0.4 * 0.4 + 0.2 * 0.2) / 2 + 0.01 * 0.01;

    (void)state;
    assert_true(fabs(before - (0.05 * 0.05 / 2 + lines)) < 0.05 * before); /* amplitude^2 / 2 for each line */
    assert_true(fabs(after - (0.35 * 0.35 / 2 + lines)) < 0.05 * after);
    assert_null(reading[999].fault);
    assert_string_equal(reading[1000].fault, "imbalance");
    free(reading);
}

static void bearing_impacts_show_in_kurtosis(void **state)
{
    size_t n;
    struct psa_sim_reading *reading =
        play_text("duration 20s\nimu a rate=100Hz speed=600rpm\nfault bearing a at=10s for=5s amplitude=1.5\n", &n);

    (void)state;
    assert_true(shape_of(reading, 0, 1000, 2).kurtosis < 0.5);
    assert_true(shape_of(reading, 1000, 1500, 2).kurtosis > 3);
    assert_true(shape_of(reading, 1500, 2000, 2).kurtosis < 0.5);
    free(reading);
}

static void bearing_impacts_come_at_bpfo(void **state)
{
    size_t n, impacts = 0, quiet = 0;
    struct psa_sim_reading *reading = play_text("duration 10s\n"
                                                "imu a rate=20kHz speed=600rpm vibration=0 noise=0.001 bpfo=4\n"
                                                "fault bearing a at=0s amplitude=2\n",
                                                &n);

    (void)state;
    for (size_t i = 0; i < n; i++) { /* a burst begins where 5 ms were quiet */
        const bool loud = fabs(reading[i].value[2] - 1) > 0.3;
        impacts += loud && quiet > 100;
        quiet = loud ? 0 : quiet + 1;
    }
    assert_in_range(impacts, 195, 201); /* 4 orders of 10 Hz, 5 s of it: play_text stops after 100,000 readings */
    free(reading);
}

/* All samples of the one vibration sensor of a scene, in g; the caller frees. *fault: samples within blocks of a fault. */
static double *blocks(const char *text, size_t cap, size_t *n, size_t *n_block, size_t *labelled)
{
    struct psa_sim_scene *scene = scene_of(text);
    struct psa_sim *sim = psa_sim_new(scene);
    struct psa_sim_reading reading;
    double *x = calloc(cap, sizeof *x);

    assert_non_null(sim);
    assert_non_null(x);
    *n = *n_block = *labelled = 0;
    while (psa_sim_next(sim, &reading)) {
        const struct psa_sim_sensor *sensor = &scene->sensor[reading.sensor];
        if (reading.missing || sensor->kind != PSA_SIM_VIBRATION) continue;
        assert_non_null(reading.block);
        assert_in_range(reading.n_block, 1, sensor->block);
        assert_true(*n + reading.n_block <= cap);
        /* Exact: the sample's number over the rate, rounded down. */
        assert_int_equal(reading.timestamp_ns - scene->start_ns,
                         (int64_t)((__int128)*n * sensor->period_num / sensor->period_den));
        memcpy(x + *n, reading.block, reading.n_block * sizeof *x);
        *n += reading.n_block;
        ++*n_block;
        *labelled += reading.fault != NULL ? reading.n_block : 0;
    }
    psa_sim_free(sim);
    free(scene);
    return x;
}

static void vibration_comes_in_exact_blocks(void **state)
{
    size_t n, n_block, labelled;
    double *x = blocks("duration 7s\nvibration a rate=44.1kHz block=1000\nimu a\n", 400000, &n, &n_block, &labelled);

    (void)state;
    assert_int_equal(n, 7 * 44100);
    assert_int_equal(n_block, 309); /* 308 whole ones and the scene's end */
    assert_int_equal(labelled, 0);
    for (size_t i = 0; i < n; i++) { /* steps of 50 g / 2^15, six digits behind the point */
        const double step = 50.0 / 32768;
        assert_true(fabs(x[i] - rint(x[i] / step) * step) < 1e-6);
    }
    free(x);
}

static void faults_act_on_single_samples_of_a_block(void **state)
{
    size_t n, n_block, labelled;
    double *x = blocks("duration 1s\nvibration a rate=10kHz block=1000 noise=0 vibration=0\n"
                       "fault drift a at=250ms for=100ms amplitude=10\n",
                       20000, &n, &n_block, &labelled);

    (void)state;
    assert_int_equal(n, 10000);
    assert_int_equal(labelled, 2000); /* blocks 2 and 3 */
    for (size_t i = 0; i < n; i++) {
        const double want = i < 2500 || i >= 3500 ? 0 : 10 * (double)(i - 2500) / 1000;
        assert_true(fabs(x[i] - want) < 0.001);
    }
    free(x);
    x = blocks("duration 1s\nvibration a rate=10kHz block=1000\nfault dropout a at=150ms for=250ms null=1\n", 20000, &n,
               &n_block, &labelled);
    for (size_t i = 0; i < n; i++) assert_true(isnan(x[i]) == (i >= 1500 && i < 4000));
    free(x);
}

/* Impacts: where the signal, silent but for them, rises above a fifth of a unit after a quiet time. */
static size_t impacts_of(const double *x, size_t n, size_t quiet, double *strongest, double *weakest)
{
    size_t count = 0, last = 0;

    *strongest = 0;
    *weakest = 1e9;
    for (size_t i = 0; i < n; i++) {
        if (fabs(x[i]) < 0.05) continue;
        if (count == 0 || i - last > quiet) {
            double peak = 0;
            for (size_t k = i; k < i + quiet && k < n; k++) peak = fmax(peak, fabs(x[k]));
            *strongest = fmax(*strongest, peak);
            *weakest = fmin(*weakest, peak);
            count++;
        }
        last = i;
    }
    return count;
}

static void a_bearings_defect_is_struck_as_its_geometry_says(void **state)
{
    /* 8 elements, d/D = 0.25, no angle: bpfo 3, bpfi 5, bsf 1.875 orders, ftf 0.375. 10 s at 20 Hz: 200 turns. */
    static const char scene[] = "duration 10s\nvibration a rate=20kHz speed=20Hz noise=0 vibration=0 decay=0.5ms "
                                "bearing=8,1,4,0\nfault bearing a at=0s amplitude=20 element=";
    static const struct {
        const char *element;
        size_t low,
            high;    /* impacts that are seen; 1 % slip and 0.3 % of the speed's wandering, at 5 standard deviations */
        double even; /* weakest over strongest: at least, or at most where negative */
    } want[] = {
        { "outer", 585, 615, 0.1 },   /* 600, all of one strength but for 20 % */
        { "inner", 950, 1025, -0.1 }, /* 1000, weak ones out of the load */
        { "ball", 640, 730, -0.1 },   /* 750, the weakest not seen */
    };
    char text[300];

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        size_t n, n_block, labelled;
        double strongest, weakest;
        snprintf(text, sizeof text, "%s%s\n", scene, want[i].element);
        double *x = blocks(text, 300000, &n, &n_block, &labelled);
        const size_t impacts = impacts_of(x, n, 100, &strongest, &weakest);
        assert_in_range(impacts, want[i].low, want[i].high);
        if (want[i].even > 0) assert_true(weakest > want[i].even * strongest);
        else assert_true(weakest < -want[i].even * strongest);
        free(x);
    }
}

static void slow_faults_do_what_they_say(void **state)
{
    size_t n;
    struct psa_sim_reading *drift = play_text("duration 30s\npressure a noise=0\n"
                                              "fault drift a at=10s for=10s amplitude=1000\n",
                                              &n);

    (void)state;
    assert_int_equal(n, 30);
    for (int i = 0; i < 30; i++) {
        const double extra = i >= 10 && i < 20 ? 100.0 * (i - 10) : 0;
        assert_true(drift[i].value[0] == 101325 + extra);
    }
    free(drift);

    struct psa_sim_reading *stuck =
        play_text("duration 30s\ntemperature a noise=2\nfault stuck a at=10s for=10s\n", &n);
    for (int i = 10; i < 20; i++) assert_memory_equal(stuck[i].value, stuck[9].value, sizeof stuck[i].value);
    assert_memory_not_equal(stuck[20].value, stuck[9].value, sizeof stuck[9].value);
    free(stuck);

    struct psa_sim_reading *noise = play_text("duration 2000s\npressure a noise=10\n"
                                              "fault noise a at=1000s amplitude=100 field=temperature_C\n"
                                              "fault noise a at=1000s amplitude=100 field=pressure_Pa\n",
                                              &n);
    assert_true(shape_of(noise, 1000, 2000, 0).variance > 80 * shape_of(noise, 0, 1000, 0).variance);
    assert_string_equal(noise[1000].fault, "noise");
    free(noise);
}

static void spikes_are_single_and_labelled_alone(void **state)
{
    size_t n, spikes = 0;
    struct psa_sim_reading *reading = play_text("duration 100s\ntemperature a mean=20 noise=0\n"
                                                "fault spike a at=10s for=60s amplitude=5 every=4s\n",
                                                &n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        const bool far = fabs(reading[i].value[0] - 20) > 4;
        assert_int_equal(far, reading[i].fault != NULL);
        assert_false(far && reading[i - 1].fault != NULL);
        spikes += far;
    }
    assert_non_null(reading[10].fault);
    assert_in_range(spikes, 10, 25);
    free(reading);
}

static void dropout_leaves_out_or_writes_nulls(void **state)
{
    size_t n;
    struct psa_sim_reading *gap = play_text("duration 10s\npressure a\nfault dropout a at=3s for=4s\n", &n);

    (void)state;
    assert_int_equal(n, 6);
    assert_int_equal(gap[3].timestamp_ns - gap[2].timestamp_ns, 5 * SECOND);
    free(gap);

    struct psa_sim_reading *null =
        play_text("duration 10s\npressure a\nfault dropout a at=3s for=4s null=1 field=pressure_Pa\n", &n);
    assert_int_equal(n, 10);
    for (int i = 0; i < 10; i++) {
        assert_true((isnan(null[i].value[0]) != 0) == (i >= 3 && i < 7));
        assert_true(isnan(null[i].value[1]) == 0);
    }
    free(null);
}

static void a_faults_span_is_cut_at_the_end(void **state)
{
    struct psa_sim_scene *scene = scene_of("start 1970-01-01\nduration 10s\nimu a\n"
                                           "fault stuck a at=3s for=4s\n"
                                           "fault stuck a at=8s for=4s\n"
                                           "fault stuck a at=9s\n"
                                           "fault stuck a at=10s\n");
    int64_t from, to;

    (void)state;
    assert_true(psa_sim_fault_span(scene, &scene->fault[0], &from, &to));
    assert_int_equal(from, 3 * SECOND);
    assert_int_equal(to, 7 * SECOND);
    assert_true(psa_sim_fault_span(scene, &scene->fault[1], &from, &to));
    assert_int_equal(to, 10 * SECOND);
    assert_true(psa_sim_fault_span(scene, &scene->fault[2], &from, &to));
    assert_int_equal(to, 10 * SECOND);
    assert_false(psa_sim_fault_span(scene, &scene->fault[3], &from, &to));
    free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_becomes_a_scene),
        cmocka_unit_test(a_wrong_text_names_its_line),
        cmocka_unit_test(a_line_or_scene_beyond_its_limit_is_refused),
        cmocka_unit_test(the_built_in_scenes_can_be_read),
        cmocka_unit_test(the_press_shop_is_what_the_manual_says),
        cmocka_unit_test(a_seed_fixes_every_reading),
        cmocka_unit_test(a_fault_changes_only_what_it_touches),
        cmocka_unit_test(time_runs_forward_and_ties_keep_the_scenes_order),
        cmocka_unit_test(a_rate_that_is_no_whole_number_of_nanoseconds_does_not_drift),
        cmocka_unit_test(values_are_what_the_part_can_say),
        cmocka_unit_test(noise_is_gaussian),
        cmocka_unit_test(imbalance_raises_the_shafts_line),
        cmocka_unit_test(bearing_impacts_show_in_kurtosis),
        cmocka_unit_test(bearing_impacts_come_at_bpfo),
        cmocka_unit_test(vibration_comes_in_exact_blocks),
        cmocka_unit_test(faults_act_on_single_samples_of_a_block),
        cmocka_unit_test(a_bearings_defect_is_struck_as_its_geometry_says),
        cmocka_unit_test(slow_faults_do_what_they_say),
        cmocka_unit_test(spikes_are_single_and_labelled_alone),
        cmocka_unit_test(dropout_leaves_out_or_writes_nulls),
        cmocka_unit_test(a_faults_span_is_cut_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
