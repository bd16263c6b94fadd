/*
 * test_digital.c - sensor/digital over a line whose edges are planned, behind a model of the kernel's queue, and a clock that
 * moves when somebody waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/error.h"
#include "golden.h"
#include "sensor/drivers.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define S INT64_C(1000000000)
#define BEGIN_NS (5000 * S)
#define PLAN_MAX 20000
#define READINGS_MAX 20000

/* An edge of the plan: the kernel's time, and when it is in the queue. */
struct planned {
    int64_t at_ns, ready_ns;
    bool rising;
};

struct reading {
    int64_t at_ns;
    double value[3];
};

static struct line {
    struct psa_gpio gpio;
    int64_t now_ns, stall_from_ns, stall_to_ns; /* while it stalls the reader does not run */
    struct planned plan[PLAN_MAX];
    size_t n_plan, taken, queued;
    uint32_t seqno; /* of the last edge handed out */
    size_t buffer;
    bool high; /* at the beginning */
    bool lies; /* the chip tells of no edge */
    bool gone, stop;
    int values, waits;

    struct reading reading[READINGS_MAX];
    size_t n_reading;
    int64_t lost;
    int warnings;
    int64_t promised_ns;
} line;

static void plan(int64_t at_ns, bool rising)
{
    assert_true(line.n_plan < PLAN_MAX);
    line.plan[line.n_plan++] = (struct planned){ BEGIN_NS + at_ns, BEGIN_NS + at_ns + 50 * US, rising };
}

/* High from..to, from the driver's start on. */
static void pulse(int64_t from_ns, int64_t to_ns)
{
    plan(from_ns, true);
    plan(to_ns, false);
}

static void go_to(int64_t then_ns)
{
    if (then_ns > line.now_ns) line.now_ns = then_ns;
    if (line.now_ns >= line.stall_from_ns && line.now_ns < line.stall_to_ns) line.now_ns = line.stall_to_ns;
}

static int fake_drive(struct psa_gpio *gpio, bool high, struct psa_fault *fault)
{
    (void)gpio, (void)high, (void)fault;
    fail();
    return 0;
}

static int fake_listen(struct psa_gpio *gpio, struct psa_fault *fault)
{
    (void)gpio, (void)fault;
    return 0;
}

static int fake_value(struct psa_gpio *gpio, bool *high, struct psa_fault *fault)
{
    (void)gpio;
    line.values++;
    if (line.gone) return psa_fault_set(fault, PSA_FAULT_ABSENT, "gone");
    *high = line.high;
    for (size_t i = 0; i < line.n_plan && line.plan[i].at_ns <= line.now_ns; i++) *high = line.plan[i].rising;
    return 0;
}

/* The queue keeps the newest `buffer` edges. */
static size_t ready(void)
{
    while (line.queued < line.n_plan && line.plan[line.queued].ready_ns <= line.now_ns) {
        line.queued++;
        if (line.queued - line.taken > line.buffer) {
            line.taken++;
            line.seqno++;
        }
    }
    return line.queued - line.taken;
}

static int fake_edges(struct psa_gpio *gpio, struct psa_edge *edge, size_t max, int64_t then_ns, size_t *n,
                      struct psa_fault *fault)
{
    (void)gpio;
    *n = 0;
    line.waits++;
    if (line.gone) return psa_fault_set(fault, PSA_FAULT_ABSENT, "gone");
    if (line.stop || line.lies) {
        if (!line.stop) go_to(then_ns);
        return 0;
    }
    if (ready() == 0 && line.queued < line.n_plan && line.plan[line.queued].ready_ns <= then_ns)
        go_to(line.plan[line.queued].ready_ns);
    else if (ready() == 0) go_to(then_ns);
    for (size_t waiting = ready(); *n < max && waiting > 0; (*n)++, waiting--) {
        const struct planned *planned = &line.plan[line.taken++];
        edge[*n] = (struct psa_edge){ planned->at_ns, ++line.seqno, planned->rising };
    }
    return 0;
}

static void fake_close(struct psa_gpio *gpio)
{
    (void)gpio;
}

static int64_t fake_now(struct psa_sensor *sensor)
{
    (void)sensor;
    return line.now_ns;
}

static bool fake_sleep(struct psa_sensor *sensor, int64_t then_ns)
{
    (void)sensor;
    go_to(then_ns);
    return !line.stop;
}

static void fake_emit(struct psa_sensor *sensor, int64_t taken_ns, const double *value)
{
    assert_true(line.n_reading < READINGS_MAX);
    assert_true(taken_ns >= line.promised_ns);
    if (line.n_reading > 0) assert_true(taken_ns >= line.reading[line.n_reading - 1].at_ns);
    line.reading[line.n_reading].at_ns = taken_ns;
    memcpy(line.reading[line.n_reading++].value, value, sensor->n_field * sizeof *value);
}

static void fake_lost(struct psa_sensor *sensor, int64_t n, const char *why)
{
    (void)sensor;
    assert_non_null(strstr(why, "buffer"));
    line.lost += n;
}

static void fake_warn(struct psa_sensor *sensor, const char *text)
{
    (void)sensor, (void)text;
    line.warnings++;
}

static void fake_hold(struct psa_sensor *sensor, bool held)
{
    (void)sensor, (void)held;
}

static const struct psa_gpio_calls fake_calls = { fake_drive, fake_listen, fake_value, fake_edges, fake_close };
static const struct psa_world fake_world = { fake_now, fake_sleep, fake_emit, fake_lost, fake_warn, fake_hold };

static struct psa_sensor *wired(const char *text)
{
    struct psa_error error;
    struct psa_gpio_setup setup = { 0 };
    struct psa_sensor *sensor = psa_sensor_new(text, &error);

    if (sensor == NULL) print_error("%s\n", error.text);
    assert_non_null(sensor);
    memset(&line, 0, sizeof line);
    sensor->driver->gpio_setup(sensor, &setup);
    line.buffer = setup.buffer;
    line.gpio.calls = &fake_calls;
    line.now_ns = BEGIN_NS;
    sensor->gpio = &line.gpio;
    sensor->world = &fake_world;
    return sensor;
}

/* Start, and read until the time, as the worker does; what is promised is kept. */
static void run_until(struct psa_sensor *sensor, int64_t then_ns)
{
    struct psa_fault fault;

    if (line.n_reading == 0 && sensor->upto_ns == 0) assert_int_equal(sensor->driver->start(sensor, &fault), 0);
    while (line.now_ns < BEGIN_NS + then_ns) {
        const int64_t before_ns = line.now_ns;
        assert_int_equal(sensor->driver->read(sensor, &fault), 0);
        assert_true(line.now_ns - before_ns <= 1100 * MS + (line.stall_to_ns - line.stall_from_ns)); /* patience */
        assert_true(sensor->upto_ns >= line.promised_ns);
        assert_true(sensor->upto_ns <= line.now_ns);
        line.promised_ns = sensor->upto_ns;
    }
}

#define assert_reading(i, t_ns, a, b, c)                                                                   \
    do {                                                                                                   \
        assert_true((size_t)(i) < line.n_reading);                                                         \
        const struct reading *r_ = &line.reading[i];                                                       \
        if (r_->at_ns - BEGIN_NS != (t_ns) || !(fabs(r_->value[0] - (a)) < 1e-9) ||                        \
            !(fabs(r_->value[1] - (b)) < 1e-9) || !(fabs(r_->value[2] - (c)) < 1e-6))                      \
            print_error("reading %d: at %.6f: %g %g %g\n", (int)(i), (double)(r_->at_ns - BEGIN_NS) / 1e9, \
                        r_->value[0], r_->value[1], r_->value[2]);                                         \
        assert_int_equal(r_->at_ns - BEGIN_NS, t_ns);                                                      \
        assert_true(fabs(r_->value[0] - (a)) < 1e-9);                                                      \
        assert_true(fabs(r_->value[1] - (b)) < 1e-9);                                                      \
        assert_true(fabs(r_->value[2] - (c)) < 1e-6);                                                      \
    } while (0)

/* ---- edges=count ------------------------------------------------------------------------------------------------------------- */

static void edges_are_counted_by_their_time(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?type=vibration&model=SW-420&every=1s&id=press-07");

    assert_string_equal(sensor->type, "vibration");
    assert_string_equal(sensor->model, "SW-420");
    assert_string_equal(sensor->id, "press-07");
    assert_int_equal(sensor->n_field, 3);
    assert_true(sensor->own_seq && sensor->period_ns == 0 && sensor->rate_hz == 1);
    pulse(100 * MS, 300 * MS);
    pulse(900 * MS, 1100 * MS);       /* over a deadline */
    plan(1999 * MS + 999 * US, true); /* 1 us before the deadline, told after it */
    plan(2 * S, false);               /* the deadline itself belongs to what follows */
    pulse(4 * S + 200 * MS, 5 * S + 700 * MS);
    run_until(sensor, 6 * S + 2 * MS);
    assert_int_equal(line.n_reading, 6);
    assert_reading(0, 1 * S, 3, 2, 30);
    assert_reading(1, 2 * S, 2, 1, 10.0001);
    assert_reading(2, 3 * S, 1, 0, 0);
    assert_reading(3, 4 * S, 0, 0, 0);
    assert_reading(4, 5 * S, 1, 1, 80);
    assert_reading(5, 6 * S, 1, 0, 70);
    assert_int_equal(line.warnings, 0);
    psa_sensor_free(sensor);
}

static void a_quiet_line_is_no_fault(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?every=60s&active=low");
    struct psa_gpio_setup setup = { 0 };

    sensor->driver->gpio_setup(sensor, &setup);
    assert_true(setup.active_low);
    line.high = true;
    run_until(sensor, 7200 * S + S);
    assert_int_equal(line.n_reading, 120);
    for (int i = 0; i < 120; i++) assert_reading(i, (i + 1) * 60 * S, 0, 0, 100);
    assert_int_equal(line.lost + line.warnings, 0);
    psa_sensor_free(sensor);
}

static void deadlines_do_not_drift(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?rate=3Hz");

    run_until(sensor, 1000 * S + 2 * MS);
    assert_int_equal(line.n_reading, 3000);
    assert_int_equal(line.reading[2999].at_ns - BEGIN_NS, 1000 * S);
    psa_sensor_free(sensor);
}

/* A storm does not wake the reader for each edge, and all are counted. */
static void a_storm_is_counted(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?every=1s");

    for (int i = 0; i < 5000; i++) pulse(100 * MS + i * 100 * US, 100 * MS + i * 100 * US + 25 * US);
    run_until(sensor, 2 * S);
    assert_reading(0, S, 10000, 5000, 12.5);
    assert_true(line.waits < 250);
    assert_int_equal(line.warnings, 0);
    psa_sensor_free(sensor);
}

/* The reader was away while more edges came than the queue holds: the count is right, the share is not known. */
static void lost_edges_are_counted(void **state)
{
    (void)state;
    /* Of an odd and of an even number, the last is high or low, and so are the lost ones an even and an odd number. */
    for (int odd = 0; odd < 2; odd++) {
        struct psa_sensor *sensor = wired("digital:gpiochip0/17?every=1s&buffer=64");
        for (int i = 0; i < 500; i++) pulse(200 * MS + i * MS, 200 * MS + i * MS + 250 * US);
        if (odd) plan(701 * MS, true);
        line.stall_from_ns = BEGIN_NS + 250 * MS;
        line.stall_to_ns = BEGIN_NS + 900 * MS;
        run_until(sensor, 3 * S);
        assert_int_equal(line.reading[0].at_ns - BEGIN_NS, S);
        assert_true(line.reading[0].value[0] == 1000 + odd);
        assert_true(line.reading[0].value[1] == 500 + odd);
        assert_true(isnan(line.reading[0].value[2]));
        assert_reading(1, 2 * S, 0, 0, odd ? 100 : 0);
        assert_int_equal(line.warnings, 1);
        psa_sensor_free(sensor);
    }
}

/* A storm that lasts is said once a minute, with the sum, and what is left of it at the end. */
static void a_long_storm_is_said_now_and_then(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?every=1s&buffer=64");

    line.buffer = 16;
    for (int i = 0; i < 85; i++) {
        for (int k = 0; k < 50; k++) pulse(i * S + (200 + 2 * k) * MS, i * S + (201 + 2 * k) * MS);
    }
    for (size_t i = 0; i < line.n_plan; i++) /* a second's edges come all at once, too many for the buffer */
        line.plan[i].ready_ns = BEGIN_NS + (int64_t)(i / 100) * S + 400 * MS;
    run_until(sensor, 85 * S);
    assert_int_equal(line.warnings, 2);
    sensor->driver->stop(sensor);
    assert_int_equal(line.warnings, 3);
    psa_sensor_free(sensor);
}

/* The same over a deadline: which interval they belong to is not known, so there is no count for either. */
static void lost_edges_over_a_deadline_are_no_count(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?every=1s&buffer=64");

    for (int i = 0; i < 1000; i++) pulse(1500 * MS + i * MS, 1500 * MS + i * MS + 250 * US);
    pulse(2700 * MS, 2800 * MS);
    line.stall_from_ns = BEGIN_NS + 1600 * MS;
    line.stall_to_ns = BEGIN_NS + 2600 * MS;
    run_until(sensor, 5 * S);
    assert_reading(0, S, 0, 0, 0);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(line.reading[i].at_ns - BEGIN_NS, (i + 1) * S);
        for (int k = 0; k < 3; k++) assert_true(isnan(line.reading[i].value[k]));
    }
    assert_reading(3, 4 * S, 0, 0, 0);
    psa_sensor_free(sensor);
}

/* A reader that was away without losing edges gives all intervals as they were. */
static void a_late_reader_counts_right(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?every=100ms");

    for (int i = 0; i < 100; i++) pulse(i * 20 * MS + 5 * MS, i * 20 * MS + 15 * MS);
    line.stall_from_ns = BEGIN_NS + 350 * MS;
    line.stall_to_ns = BEGIN_NS + 1770 * MS;
    run_until(sensor, 2005 * MS);
    assert_true(line.n_reading >= 20);
    for (int i = 0; i < 20; i++) assert_reading(i, (i + 1) * 100 * MS, 10, 5, 50);
    psa_sensor_free(sensor);
}

/* Edges so close that the kernel told of one, by what the level was by then; gpiolib-cdev.c, edge_irq_thread(). */
static void short_pulses_are_counted(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?every=1s");

    plan(100 * MS, false);           /* low before: up and down again, one interrupt */
    plan(200 * MS, false);           /* the same, */
    plan(200 * MS + 20 * US, false); /* but two interrupts, and the first was read late */
    pulse(300 * MS, 400 * MS);
    plan(500 * MS, true);
    plan(600 * MS, true); /* high before: down and up */
    plan(700 * MS, false);
    run_until(sensor, 2 * S);
    assert_reading(0, S, 2 + 2 + 2 + 4, 1 + 1 + 1 + 2, 10 + 20);
    psa_sensor_free(sensor);
}

static void the_beginning_is_not_counted(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?every=1s");

    /* In the queue when the driver begins, and on its way then. */
    line.plan[line.n_plan++] = (struct planned){ BEGIN_NS - 2 * MS, BEGIN_NS - MS, false };
    line.plan[line.n_plan++] = (struct planned){ BEGIN_NS - MS, BEGIN_NS - MS, true };
    line.plan[line.n_plan++] = (struct planned){ BEGIN_NS - 10 * US, BEGIN_NS + 30 * US, true };
    plan(500 * MS, false);
    run_until(sensor, 2 * S);
    assert_reading(0, S, 1, 0, 50);
    psa_sensor_free(sensor);
}

static void an_edge_that_nobody_told_is_noticed(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?every=10s");

    line.lies = true;
    plan(2500 * MS, true);
    run_until(sensor, 21 * S);
    assert_int_equal(line.n_reading, 2);
    assert_true(line.reading[0].value[0] == 1 && line.reading[0].value[1] == 1);
    assert_true(line.reading[0].value[2] > 50 && line.reading[0].value[2] < 76);
    assert_reading(1, 20 * S, 0, 0, 100);
    assert_int_equal(line.warnings, 1);
    psa_sensor_free(sensor);
}

/* ---- edges=each ---------------------------------------------------------------------------------------------------------------- */

static void each_edge_is_a_reading(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?edges=each&type=sound&model=KY-038&pull=up&debounce=5ms");
    struct psa_gpio_setup setup = { 0 };

    sensor->driver->gpio_setup(sensor, &setup);
    assert_int_equal(setup.pull, PSA_GPIO_PULL_UP);
    assert_int_equal(setup.debounce_ns, 5 * MS);
    assert_int_equal(sensor->n_field, 1);
    assert_true(sensor->rate_hz == 0);
    line.high = true;
    plan(3 * S + 1, false);
    plan(3600 * S + 7, true); /* nothing for an hour */
    plan(3600 * S + 9, false);
    run_until(sensor, 3602 * S);
    assert_int_equal(line.n_reading, 4);
    const int64_t at_ns[] = { 0, 3 * S + 1, 3600 * S + 7, 3600 * S + 9 };
    for (int i = 0; i < 4; i++) {
        assert_int_equal(line.reading[i].at_ns - BEGIN_NS, at_ns[i]);
        assert_true(line.reading[i].value[0] == (i % 2 == 0));
    }
    assert_int_equal(line.lost + line.warnings, 0);
    assert_true(sensor->upto_ns > BEGIN_NS + 3600 * S); /* what is silent is promised on */
    psa_sensor_free(sensor);
}

static void lost_edges_are_lost_readings(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?edges=each&buffer=16");

    for (int i = 0; i < 500; i++) pulse(200 * MS + i * MS, 200 * MS + i * MS + 250 * US);
    line.stall_from_ns = BEGIN_NS + 250 * MS;
    line.stall_to_ns = BEGIN_NS + 900 * MS;
    run_until(sensor, 2 * S);
    assert_true(line.lost > 800);
    assert_int_equal(line.n_reading + (size_t)line.lost, 1 + 1000);
    psa_sensor_free(sensor);
}

/* More than one read takes, and old: nothing is promised that would make them late. */
static void a_backlog_is_given(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?edges=each");

    for (int i = 0; i < 200; i++) pulse(200 * MS + i * MS, 200 * MS + i * MS + 250 * US);
    line.stall_from_ns = BEGIN_NS + 210 * MS;
    line.stall_to_ns = BEGIN_NS + 900 * MS;
    run_until(sensor, 2 * S);
    assert_int_equal(line.n_reading, 401);
    assert_int_equal(line.lost, 0);
    psa_sensor_free(sensor);
}

/* ---- trouble --------------------------------------------------------------------------------------------------------------------- */

static void a_chip_that_is_gone_is_a_fault(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17");
    struct psa_fault fault;

    run_until(sensor, 2 * S);
    line.gone = true;
    assert_int_equal(sensor->driver->read(sensor, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_ABSENT);
    psa_sensor_free(sensor);
}

static void a_stop_is_heeded(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("digital:gpiochip0/17?every=1d");
    struct psa_fault fault;

    run_until(sensor, 2 * S);
    line.stop = true;
    const int64_t before_ns = line.now_ns;
    assert_int_equal(sensor->driver->read(sensor, &fault), 0);
    assert_int_equal(line.now_ns, before_ns);
    psa_sensor_free(sensor);
}

static void refuse(const char *text, const char *words)
{
    struct psa_error error;

    assert_null(psa_sensor_new(text, &error));
    assert_int_equal(error.status, PSA_EXIT_PERMANENT);
    if (strstr(error.text, words) == NULL) print_error("%s: %s\n", text, error.text);
    assert_non_null(strstr(error.text, words));
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    refuse("digital:gpiochip0/17?edges=each&every=1s", "every");
    refuse("digital:gpiochip0/17?edges=each&rate=1Hz", "rate");
    refuse("digital:gpiochip0/17?edges=each&block=10", "block");
    refuse("digital:gpiochip0/17?edges=some", "count and each");
    refuse("digital:gpiochip0/17?active=up", "high and low");
    refuse("digital:gpiochip0/17?pull=5V", "as-is");
    refuse("digital:gpiochip0/17?rate=100Hz", "20 ms");
    refuse("digital:gpiochip0/17?buffer=4096", "1024");
    refuse("digital:gpiochip0", "no line");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_are_counted_by_their_time),
        cmocka_unit_test(a_quiet_line_is_no_fault),
        cmocka_unit_test(deadlines_do_not_drift),
        cmocka_unit_test(a_storm_is_counted),
        cmocka_unit_test(lost_edges_are_counted),
        cmocka_unit_test(a_long_storm_is_said_now_and_then),
        cmocka_unit_test(lost_edges_over_a_deadline_are_no_count),
        cmocka_unit_test(a_late_reader_counts_right),
        cmocka_unit_test(short_pulses_are_counted),
        cmocka_unit_test(the_beginning_is_not_counted),
        cmocka_unit_test(an_edge_that_nobody_told_is_noticed),
        cmocka_unit_test(each_edge_is_a_reading),
        cmocka_unit_test(lost_edges_are_lost_readings),
        cmocka_unit_test(a_backlog_is_given),
        cmocka_unit_test(a_chip_that_is_gone_is_a_fault),
        cmocka_unit_test(a_stop_is_heeded),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
