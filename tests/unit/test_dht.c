/*
 * test_dht.c - sensor/dht_decode and sensor/dht: answers from recorded and made edges, a million random ones through a model of
 * the kernel, conversions, and both drivers over a line that answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/error.h"
#include "dht_line.h"
#include "dht_traces.h"
#include "golden.h"
#include "sensor/dht.h"
#include "sensor/drivers.h"

/* ---- traces ---------------------------------------------------------------------------------------------------------------- */

static size_t edges_of(const struct trace *trace, struct psa_edge *edge)
{
    const char *p = trace->edges;
    int64_t at_ns = INT64_C(123456789000);
    size_t n = 0;

    for (char *end; *p != '\0'; p = *end == '\0' ? end : end + 1) {
        const bool rising = *p == '+';
        assert_true(*p == '+' || *p == '-');
        at_ns += strtol(p + 1, &end, 10) * 1000;
        edge[n] = (struct psa_edge){ at_ns, (uint32_t)n + 1, rising };
        n++;
    }
    return n;
}

static void traces_say_what_they_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(traces); i++) {
        struct psa_edge edge[200];
        uint8_t byte[5] = { 0 };
        const enum psa_dht_result result = psa_dht_decode(edge, edges_of(&traces[i], edge), byte);
        if (result != traces[i].result) print_error("trace %zu, %s: result %d\n", i, traces[i].name, (int)result);
        assert_int_equal(result, traces[i].result);
        if (result == PSA_DHT_OK) assert_memory_equal(byte, traces[i].byte, 5);
    }
}

/* Any prefix and suffix of an answer, and what no line says: a right value or none, and no harm. */
static void cut_traces_say_nothing_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(traces); i++) {
        struct psa_edge edge[200];
        const size_t n = edges_of(&traces[i], edge);
        for (size_t k = 0; k <= n; k++) {
            uint8_t byte[5];
            if (psa_dht_decode(edge + k, n - k, byte) == PSA_DHT_OK) assert_memory_equal(byte, traces[i].byte, 5);
            if (k < n - 2) assert_int_not_equal(psa_dht_decode(edge, k, byte), PSA_DHT_OK);
        }
    }
}

static void strange_times_do_no_harm(void **state)
{
    (void)state;
    static const int64_t times[] = { 0, 1, INT64_C(-5000), INT64_C(1) << 40, -(INT64_C(1) << 40), 1000, 26000, 50000 };
    struct line_dice dice = { 99 };
    struct psa_edge edge[400];
    uint8_t byte[5];

    for (int round = 0; round < 2000; round++) {
        const size_t n = (size_t)(dice_bits(&dice) % COUNT(edge));
        for (size_t i = 0; i < n; i++)
            edge[i] = (struct psa_edge){ times[dice_bits(&dice) % COUNT(times)], (uint32_t)i, dice_bits(&dice) & 1 };
        assert_int_not_equal(psa_dht_decode(edge, n, byte), PSA_DHT_OK);
    }
}

/* ---- the kernel's model ------------------------------------------------------------------------------------------------------ */

/* As a sensor would say it: DHT11 and DHT22 in turn. */
static void roll_bytes(struct line_dice *dice, int round, uint8_t byte[5])
{
    const uint64_t x = dice_bits(dice);

    if (round % 2 == 0) {
        byte[0] = (uint8_t)(20 + (x >> 8) % 75), byte[1] = 0;
        byte[2] = (uint8_t)((x >> 16) % 50), byte[3] = (uint8_t)((x >> 24) % 10);
    } else {
        const unsigned humidity = (unsigned)((x >> 8) % 1000), size = (unsigned)((x >> 20) % 600);
        byte[0] = (uint8_t)(humidity >> 8), byte[1] = (uint8_t)humidity;
        byte[2] = (uint8_t)(size >> 8 | ((x >> 40) % 10 == 0 ? 0x80 : 0)), byte[3] = (uint8_t)size;
    }
    byte[4] = (uint8_t)(byte[0] + byte[1] + byte[2] + byte[3]);
}

struct outcome {
    int right, wrong;
};

static struct outcome try_line(const struct line_trouble *trouble, int rounds)
{
    struct line_dice dice = { 20261121 };
    struct outcome outcome = { 0, 0 };

    for (int round = 0; round < rounds; round++) {
        double at_us[PSA_DHT_EDGES];
        struct psa_edge edge[LINE_EDGES_MAX];
        uint8_t said[5], got[5];
        roll_bytes(&dice, round, said);
        const int n = line_answer(&dice, trouble, said, at_us);
        const size_t heard = line_heard(&dice, trouble, at_us, n, edge);
        if (psa_dht_decode(edge, heard, got) != PSA_DHT_OK) continue;
        if (memcmp(said, got, 5) == 0) outcome.right++;
        else outcome.wrong++;
    }
    return outcome;
}

/*
 * What is promised: the part of readings that come, and the part of answers that become a wrong value. DHT_ROUNDS=N makes more
 * of them and prints the figures; those in the table are what 1,000,000 rounds gave, with room.
 */
static void random_lines(void **state)
{
    (void)state;
    /* Every line: jitter 2 us, durations 0.94 to 1.06 of the typical, interrupts up to 4 us late, the thread 10 us more. */
#define LINE .jitter_us = 2, .scale_low = 0.94, .scale_high = 1.06, .latency_us = 4
    static const struct {
        const char *name;
        struct line_trouble trouble;
        double right_least, wrong_most;
    } line[] = {
        { "as it should be", { LINE, .wake_us = 10 }, 1, 0 },
        { "first 300 us lost", { LINE, .wake_us = 10, .first_us = 300 }, 1, 0 },
        { "thread 40 us late", { LINE, .wake_us = 40 }, 0.8, 1e-5 },
        { "1 % late by 30 us", { LINE, .wake_us = 10, .late_part = 0.01, .late_us = 30 }, 0.95, 1e-5 },
        { "interrupts off for 100 us", { LINE, .wake_us = 10, .stalls = 1, .stall_us = 100 }, 0.95, 1e-5 },
        { "interrupts off for 2 ms", { LINE, .wake_us = 10, .stalls = 1, .stall_us = 2000 }, 0.05, 5e-5 },
        { "3 times off for 60 us", { LINE, .wake_us = 10, .stalls = 3, .stall_us = 60 }, 0.9, 2e-5 },
        { "3 times off for 200 us", { LINE, .wake_us = 10, .stalls = 3, .stall_us = 200 }, 0.3, 8e-4 },
        { "5 % of edges lost", { LINE, .wake_us = 10, .drop_part = 0.05, .keep_end = 2 }, 0.99, 1e-5 },
        { "20 % of edges lost", { LINE, .wake_us = 10, .drop_part = 0.2, .keep_end = 2 }, 0.7, 2e-5 },
        { "2 % edges too many", { LINE, .wake_us = 10, .extra_part = 0.02 }, 0.7, 2e-5 },
        { "5 % of directions wrong", { LINE, .wake_us = 10, .wrong_part = 0.05, .keep_end = 2 }, 0.15, 5e-5 },
    };
    const char *asked = getenv("DHT_ROUNDS");
    const int rounds = asked != NULL ? atoi(asked) : 5000;

    for (size_t i = 0; i < COUNT(line); i++) {
        const struct outcome outcome = try_line(&line[i].trouble, rounds);
        const double right = (double)outcome.right / rounds, wrong = (double)outcome.wrong / rounds;
        if (asked != NULL)
            print_message("%-26s right %.4f, wrong %.1e (%d)\n", line[i].name, right, wrong, outcome.wrong);
        /* Few rounds: what chance allows, mean + 4 sigma of a Poisson number. */
        const double mean = line[i].wrong_most * rounds;
        if (right < line[i].right_least || outcome.wrong > mean + 4 * sqrt(mean))
            print_error("%s: right %g, wrong %d of %d\n", line[i].name, right, outcome.wrong, rounds);
        assert_true(right >= line[i].right_least);
        assert_true(outcome.wrong <= mean + 4 * sqrt(mean));
    }
}

/* Edges that are no answer at all never become one. */
static void noise_says_nothing(void **state)
{
    (void)state;
    struct line_dice dice = { 7 };

    for (int round = 0; round < 3000; round++) {
        struct psa_edge edge[120];
        uint8_t byte[5];
        double at_us = 0;
        const size_t n = 60 + (size_t)(dice_bits(&dice) % 60);
        for (size_t i = 0; i < n; i++) {
            at_us += dice_in(&dice, 10, 150);
            edge[i] = (struct psa_edge){ (int64_t)(at_us * 1000), (uint32_t)i, i % 2 == 1 };
        }
        assert_int_not_equal(psa_dht_decode(edge, n, byte), PSA_DHT_OK);
    }
}

/* ---- conversion ---------------------------------------------------------------------------------------------------------------- */

static void dht11_as_the_data_sheet(void **state)
{
    (void)state;
    static const struct {
        uint8_t byte[4];
        bool ok;
        double temperature_C, humidity_pct;
    } row[] = {
        { { 0x35, 0, 0x18, 0x04 }, true, 24.4, 53 },  /* DHT11 data sheet, edition 1.3: 53 %, 24.4 degrees */
        { { 0x35, 0, 0x0a, 0x81 }, true, -10.1, 53 }, /* the same: the highest bit of the decimals is the sign */
        { { 45, 0, 23, 0 }, true, 23, 45 },           { { 20, 0, 0, 0 }, true, 0, 20 },
        { { 20, 0, 0, 0x80 }, true, 0, 20 },          { { 0, 0, 0, 0 }, false, 0, 0 }, /* a line held low */
        { { 101, 0, 23, 0 }, false, 0, 0 },                                            /* more than all */
        { { 45, 10, 23, 0 }, false, 0, 0 },                                            /* a tenth has one digit */
        { { 45, 0, 23, 10 }, false, 0, 0 },           { { 45, 0, 61, 0 }, false, 0, 0 },
        { { 45, 0, 20, 0x81 }, false, 0, 0 },        /* -20.1 */
        { { 0x02, 0x8c, 0x01, 0x5f }, false, 0, 0 }, /* a DHT22's answer */
    };
    for (size_t i = 0; i < COUNT(row); i++) {
        double temperature_C, humidity_pct;
        assert_int_equal(psa_dht11_convert(row[i].byte, &temperature_C, &humidity_pct), row[i].ok);
        if (!row[i].ok) continue;
        assert_true(temperature_C == row[i].temperature_C && humidity_pct == row[i].humidity_pct);
    }
}

static void dht22_as_the_data_sheet(void **state)
{
    (void)state;
    static const struct {
        uint8_t byte[4];
        bool ok;
        double temperature_C, humidity_pct;
    } row[] = {
        { { 0x02, 0x8c, 0x01, 0x5f }, true, 35.1, 65.2 },  /* AM2302 manual, section 7.2 */
        { { 0x02, 0x8c, 0x80, 0x65 }, true, -10.1, 65.2 }, /* the same */
        { { 0x03, 0xe8, 0x00, 0x00 }, true, 0, 100 },
        { { 0x03, 0xe9, 0x00, 0x00 }, false, 0, 0 }, /* 100.1 % */
        { { 0x01, 0xf1, 0x80, 0x00 }, true, 0, 49.7 },
        { { 0x01, 0xf3, 0xff, 0xff }, true, -0.1, 49.9 }, /* parts with two's complement */
        { { 0x01, 0xfb, 0xff, 0xfd }, true, -0.3, 50.7 },
        { { 0x02, 0x8c, 0xfe, 0x70 }, true, -40, 65.2 },
        { { 0x02, 0x8c, 0xfe, 0x6f }, false, 0, 0 },
        { { 0x02, 0x8c, 0x81, 0x90 }, true, -40, 65.2 },
        { { 0x02, 0x8c, 0x81, 0x91 }, false, 0, 0 },
        { { 0, 0, 0, 0 }, false, 0, 0 },   /* a line held low */
        { { 45, 0, 23, 0 }, false, 0, 0 }, /* a DHT11's answer */
    };
    for (size_t i = 0; i < COUNT(row); i++) {
        double temperature_C, humidity_pct;
        assert_int_equal(psa_dht22_convert(row[i].byte, &temperature_C, &humidity_pct), row[i].ok);
        if (!row[i].ok) continue;
        assert_true(temperature_C == row[i].temperature_C && humidity_pct == row[i].humidity_pct);
        assert_false(signbit(temperature_C) && temperature_C == 0);
    }
}

/* ---- the drivers over a line ---------------------------------------------------------------------------------------------------- */

#define MS INT64_C(1000000)
#define S INT64_C(1000000000)

/* A sensor on a wire, and a world whose clock moves when somebody sleeps. */
static struct wire {
    struct psa_gpio gpio;
    int64_t now_ns, low_ns, asked_ns;
    bool driven_low, listening, stuck_low, stop_while_low;
    int asks;
    int silent, damaged;      /* so many answers to come are none, have a wrong checksum */
    uint8_t byte[5], last[5]; /* it answers what was measured after the answer before */
    size_t noise;             /* so many edges, a square wave's, in place of an answer */
    struct psa_edge edge[256];
    size_t n;
    int64_t low_for_ns, since_ns; /* of the last ask */
    int64_t emitted_ns;
    double value[2];
    int emits, losts;
} wire;

static int fake_drive(struct psa_gpio *gpio, bool high, struct psa_fault *fault)
{
    (void)gpio, (void)fault;
    wire.driven_low = !high;
    wire.low_ns = wire.now_ns;
    wire.listening = false;
    return 0;
}

static int fake_listen(struct psa_gpio *gpio, struct psa_fault *fault)
{
    (void)gpio, (void)fault;
    if (wire.listening) return 0;
    wire.listening = true;
    wire.n = 0;
    if (!wire.driven_low) return 0;
    wire.driven_low = false;
    wire.asks++;
    wire.low_for_ns = wire.now_ns - wire.low_ns;
    wire.since_ns = wire.low_ns - wire.asked_ns;
    wire.asked_ns = wire.low_ns;
    if (wire.silent > 0) {
        wire.silent--;
        return 0;
    }
    if (wire.noise > 0) {
        for (; wire.n < wire.noise; wire.n++)
            wire.edge[wire.n] = (struct psa_edge){ wire.now_ns + 13000 * (int64_t)wire.n, 0, wire.n % 2 == 0 };
        return 0;
    }
    struct line_dice dice = { (uint64_t)wire.asks };
    const struct line_trouble trouble = { .jitter_us = 2, .latency_us = 4, .wake_us = 10 };
    double at_us[PSA_DHT_EDGES];
    uint8_t said[5];
    memcpy(said, wire.last, 5);
    memcpy(wire.last, wire.byte, 5);
    said[4] = (uint8_t)(said[0] + said[1] + said[2] + said[3] + (wire.damaged > 0));
    wire.damaged -= wire.damaged > 0;
    const int n = line_answer(&dice, &trouble, said, at_us);
    wire.n = line_heard(&dice, &trouble, at_us, n, wire.edge);
    for (size_t i = 0; i < wire.n; i++) wire.edge[i].at_ns += wire.now_ns;
    return 0;
}

static int fake_value(struct psa_gpio *gpio, bool *high, struct psa_fault *fault)
{
    (void)gpio, (void)fault;
    *high = !wire.stuck_low;
    return 0;
}

static int fake_edges(struct psa_gpio *gpio, struct psa_edge *edge, size_t max, int64_t then_ns, size_t *n,
                      struct psa_fault *fault)
{
    (void)gpio, (void)fault;
    assert_true(then_ns <= wire.now_ns);
    assert_true(max >= wire.n);
    for (*n = 0; *n < wire.n && wire.edge[*n].at_ns <= wire.now_ns; (*n)++) edge[*n] = wire.edge[*n];
    wire.n = 0;
    return 0;
}

static void fake_close(struct psa_gpio *gpio)
{
    (void)gpio;
}

static int64_t fake_now(struct psa_sensor *sensor)
{
    (void)sensor;
    return wire.now_ns;
}

static bool fake_sleep(struct psa_sensor *sensor, int64_t then_ns)
{
    (void)sensor;
    if (wire.stop_while_low && wire.driven_low) return false;
    if (then_ns > wire.now_ns) wire.now_ns = then_ns;
    return true;
}

static void fake_emit(struct psa_sensor *sensor, int64_t taken_ns, const double *value)
{
    (void)sensor;
    wire.emitted_ns = taken_ns;
    memcpy(wire.value, value, sizeof wire.value);
    wire.emits++;
}

static void fake_lost(struct psa_sensor *sensor, int64_t n, const char *why)
{
    (void)sensor, (void)n, (void)why;
    wire.losts++;
}

static void fake_warn(struct psa_sensor *sensor, const char *text)
{
    (void)sensor, (void)text;
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
    struct psa_sensor *sensor = psa_sensor_new(text, &error);

    if (sensor == NULL) print_error("%s\n", error.text);
    assert_non_null(sensor);
    memset(&wire, 0, sizeof wire);
    wire.gpio.calls = &fake_calls;
    wire.now_ns = 1000 * S;
    sensor->gpio = &wire.gpio;
    sensor->world = &fake_world;
    return sensor;
}

static void say(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    const uint8_t byte[5] = { a, b, c, d, 0 };

    memcpy(wire.byte, byte, 5);
}

/* What read() at deadlines gives. */
static int read_at(struct psa_sensor *sensor, int64_t then_ns, struct psa_fault *fault)
{
    if (then_ns > wire.now_ns) wire.now_ns = then_ns;
    return sensor->driver->read(sensor, fault);
}

static void a_dht11_is_read(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("dht11:gpiochip0/4?every=2s&id=cellar");
    struct psa_gpio_setup setup = { 0 };
    struct psa_fault fault;

    assert_string_equal(sensor->type, "dht11");
    assert_string_equal(sensor->model, "DHT11");
    assert_string_equal(sensor->id, "cellar");
    assert_string_equal(sensor->field[0], "temperature_C");
    assert_string_equal(sensor->field[1], "humidity_pct");
    assert_int_equal(sensor->n_field, 2);
    assert_int_equal(sensor->common.failures, 3);
    sensor->driver->gpio_setup(sensor, &setup);
    assert_int_equal(setup.pull, PSA_GPIO_PULL_UP);
    assert_true(setup.buffer >= PSA_DHT_EDGES);

    say(45, 0, 23, 4);
    assert_int_equal(sensor->driver->start(sensor, &fault), 0);
    assert_int_equal(wire.asks, 1); /* an answer, all zeros, of before: thrown away */
    assert_int_equal(wire.emits, 0);
    const int64_t begin_ns = wire.now_ns;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(read_at(sensor, begin_ns + i * 2 * S, &fault), 0);
        assert_int_equal(wire.emits, i + 1);
        assert_true(wire.value[0] == 23.4 && wire.value[1] == 45);
        assert_true(wire.emitted_ns > begin_ns + i * 2 * S && wire.emitted_ns < begin_ns + i * 2 * S + 30 * MS);
        assert_true(wire.low_for_ns >= 18 * MS && wire.low_for_ns <= 30 * MS);
        assert_true(wire.since_ns >= S);
        assert_true(wire.listening);
    }
    assert_int_equal(wire.asks, 6);
    sensor->driver->stop(sensor);
    psa_sensor_free(sensor);
}

static void a_dht22_is_read(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("dht22:gpiochip0/4");
    struct psa_fault fault;

    assert_string_equal(sensor->type, "dht11");
    assert_string_equal(sensor->model, "DHT22");
    say(0x02, 0x8c, 0x80, 0x65);
    assert_int_equal(sensor->driver->start(sensor, &fault), 0);
    assert_int_equal(sensor->driver->read(sensor, &fault), 0);
    assert_true(wire.value[0] == -10.1 && wire.value[1] == 65.2);
    assert_true(wire.low_for_ns >= MS && wire.low_for_ns <= 10 * MS);
    assert_true(wire.since_ns >= 2 * S);
    sensor->driver->stop(sensor);
    psa_sensor_free(sensor);
}

/* The value of a minute ago is not given as of now. */
static void a_rare_reading_is_fresh(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("dht11:gpiochip0/4?every=60s");
    struct psa_fault fault;

    say(45, 0, 23, 0);
    assert_int_equal(sensor->driver->start(sensor, &fault), 0);
    const int64_t begin_ns = wire.now_ns;
    assert_int_equal(read_at(sensor, begin_ns, &fault), 0);
    say(60, 0, 30, 0);
    assert_int_equal(read_at(sensor, begin_ns + 60 * S, &fault), 0);
    assert_true(wire.value[0] == 30 && wire.value[1] == 60);
    assert_true(wire.since_ns >= S && wire.since_ns < 2 * S);
    assert_int_equal(wire.emits, 2);
    psa_sensor_free(sensor);
}

static void faults_are_told_apart(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("dht11:gpiochip0/4");
    struct psa_fault fault;

    say(45, 0, 23, 0);
    wire.silent = 1; /* asked too early: once is no fault */
    assert_int_equal(sensor->driver->start(sensor, &fault), 0);
    assert_int_equal(sensor->driver->read(sensor, &fault), 0);

    wire.damaged = 1;
    assert_int_equal(read_at(sensor, wire.now_ns + 2 * S, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_CHECKSUM);
    assert_int_equal(read_at(sensor, wire.now_ns + 2 * S, &fault), 0);

    wire.silent = 1;
    assert_int_equal(read_at(sensor, wire.now_ns + 2 * S, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_ABSENT);
    assert_non_null(strstr(fault.text, "no answer"));

    wire.silent = 1;
    wire.stuck_low = true;
    assert_int_equal(read_at(sensor, wire.now_ns + 2 * S, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_ABSENT);
    assert_non_null(strstr(fault.text, "stays low"));
    wire.stuck_low = false;

    wire.noise = 256; /* 13 us apart */
    assert_int_equal(read_at(sensor, wire.now_ns + 2 * S, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_IO);
    assert_non_null(strstr(fault.text, "256 or more edges where an answer has 84: noise, or something else"));
    wire.noise = 60;
    assert_int_equal(read_at(sensor, wire.now_ns + 2 * S, &fault), -1);
    assert_non_null(strstr(fault.text, "too busy"));
    wire.noise = 0;

    say(0x02, 0x8c, 0x01, 0x5f);
    assert_int_equal(read_at(sensor, wire.now_ns + 2 * S, &fault), 0);
    assert_int_equal(read_at(sensor, wire.now_ns + 2 * S, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_WRONG);
    assert_non_null(strstr(fault.text, "dht22"));
    assert_int_equal(wire.emits, 3);
    sensor->driver->stop(sensor);
    psa_sensor_free(sensor);

    sensor = wired("dht11:gpiochip0/4");
    wire.silent = 2;
    assert_int_equal(sensor->driver->start(sensor, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_ABSENT);
    sensor->driver->stop(sensor);
    psa_sensor_free(sensor);
}

/* A stop while the line is held low: it is let go of, at once. */
static void a_stop_lets_go_of_the_line(void **state)
{
    (void)state;
    struct psa_sensor *sensor = wired("dht11:gpiochip0/4");
    struct psa_fault fault;

    say(45, 0, 23, 0);
    assert_int_equal(sensor->driver->start(sensor, &fault), 0);
    wire.stop_while_low = true;
    const int64_t begin_ns = wire.now_ns;
    assert_int_equal(sensor->driver->read(sensor, &fault), 0);
    assert_int_equal(wire.emits, 0);
    assert_false(wire.driven_low);
    assert_true(wire.now_ns - begin_ns < 20 * MS);
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
    refuse("dht11:gpiochip0/4?every=500ms", "every 1 s");
    refuse("dht22:gpiochip0/4?every=1s", "every 2 s");
    refuse("dht22:gpiochip0/4?rate=1Hz", "every 2 s");
    refuse("dht11:gpiochip0/4?pull=sideways", "as-is");
    refuse("dht11:gpiochip0/4?start=1ms", "18 ms");
    refuse("dht11:gpiochip0", "no line");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_say_what_they_should),
        cmocka_unit_test(cut_traces_say_nothing_wrong),
        cmocka_unit_test(strange_times_do_no_harm),
        cmocka_unit_test(random_lines),
        cmocka_unit_test(noise_says_nothing),
        cmocka_unit_test(dht11_as_the_data_sheet),
        cmocka_unit_test(dht22_as_the_data_sheet),
        cmocka_unit_test(a_dht11_is_read),
        cmocka_unit_test(a_dht22_is_read),
        cmocka_unit_test(a_rare_reading_is_fresh),
        cmocka_unit_test(faults_are_told_apart),
        cmocka_unit_test(a_stop_lets_go_of_the_line),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
