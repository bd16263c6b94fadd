/*
 * test_sensord_state.c - what is written of a sensor whose type is known only when it starts (iio:): what was said of it under
 * another is taken back, and a name that another sensor has is refused; what counts of a call that hung; times in messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/time.h"
#include "io/sensord_state.h"

struct pair {
    struct psa_hub hub;
    struct psa_sensor *sensor[2];
    struct psa_state state[2];
};

static void make(struct pair *pair, const char *first, const char *second)
{
    const char *const text[2] = { first, second };
    struct psa_error error;

    memset(pair, 0, sizeof *pair);
    assert_int_equal(psa_hub_init(&pair->hub, &error), 0);
    assert_int_equal(psa_queue_init(&pair->hub.queue, 65536, INT64_MAX), 0);
    for (uint16_t i = 0; i < 2; i++) {
        pair->sensor[i] = psa_sensor_new(text[i], &error);
        if (pair->sensor[i] == NULL) fail_msg("%s", error.text);
        assert_int_equal(psa_state_init(&pair->state[i], &pair->hub, pair->sensor[i], i, false, &error), 0);
    }
}

static void release(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        psa_state_free(&pair->state[i]);
        psa_sensor_free(pair->sensor[i]);
    }
    psa_hub_free(&pair->hub);
}

static void go_down(struct psa_state *state)
{
    struct psa_fault fault;

    psa_fault_set(&fault, PSA_FAULT_ABSENT, "not there");
    psa_state_down(state, &fault);
}

/* The next record that was written is of this type, and says that it is up or down. */
static void expect(struct pair *pair, const char *of, bool up, int64_t *at_ns)
{
    struct psa_queue_entry entry;
    const char *front = psa_queue_front(&pair->hub.queue, &entry), *time;
    char line[1024], wanted[64];

    assert_non_null(front);
    assert_true(entry.n < sizeof line);
    memcpy(line, front, entry.n);
    line[entry.n] = '\0';
    psa_queue_pop(&pair->hub.queue);
    snprintf(wanted, sizeof wanted, "\"of\":\"%s\"", of);
    if (strstr(line, wanted) == NULL) fail_msg("not %s: %s", wanted, line);
    if (strstr(line, up ? "\"up\":1" : "\"up\":0") == NULL) fail_msg("not up %d: %s", up, line);
    assert_true((strstr(line, "\"fault\"") == NULL) == up);
    time = strstr(line, "\"timestamp_ns\":");
    assert_non_null(time);
    const int64_t was_ns = *at_ns;
    *at_ns = strtoll(time + strlen("\"timestamp_ns\":"), NULL, 10);
    assert_true(*at_ns > was_ns);
}

static void a_type_that_turns_out_to_be_another(void **unused)
{
    struct psa_fault fault;
    struct pair pair;
    int64_t at_ns = 0;
    (void)unused;

    make(&pair, "iio:bmp180?id=a", "bmp180:i2c-1?id=b");
    go_down(&pair.state[0]);
    expect(&pair, "iio", false, &at_ns);
    pair.sensor[0]->type = "pressure";
    pair.sensor[0]->model = "BMP180";
    assert_int_equal(psa_state_describe(&pair.state[0], pair.sensor[0], &fault), 0);
    expect(&pair, "iio", true, &at_ns);
    psa_state_up(&pair.state[0], at_ns);
    expect(&pair, "pressure", true, &at_ns);
    assert_int_equal(psa_state_describe(&pair.state[0], pair.sensor[0], &fault), 0);
    go_down(&pair.state[0]);
    expect(&pair, "pressure", false, &at_ns);
    assert_int_equal(psa_state_describe(&pair.state[0], pair.sensor[0], &fault), 0);
    assert_int_equal(pair.hub.queue.n, 0);
    release(&pair);
}

/* It started, and failed before it gave a reading: it is down, by its true name. */
static void down_under_both_names(void **unused)
{
    struct psa_fault fault;
    struct pair pair;
    int64_t at_ns = 0;
    (void)unused;

    make(&pair, "iio:bmp180?id=a", "bmp180:i2c-1?id=b");
    go_down(&pair.state[0]);
    pair.sensor[0]->type = "pressure";
    assert_int_equal(psa_state_describe(&pair.state[0], pair.sensor[0], &fault), 0);
    go_down(&pair.state[0]);
    expect(&pair, "iio", false, &at_ns);
    expect(&pair, "iio", true, &at_ns);
    expect(&pair, "pressure", false, &at_ns);
    go_down(&pair.state[0]); /* which is said once */
    assert_int_equal(pair.hub.queue.n, 0);
    assert_int_equal(pair.state[0].downs, 1);
    release(&pair);
}

/* Nothing was said yet: nothing is taken back. */
static void a_type_known_before_anything_was_said(void **unused)
{
    struct psa_fault fault;
    struct pair pair;
    int64_t at_ns = 0;
    (void)unused;

    make(&pair, "iio:bmp180?id=a", "bmp180:i2c-1?id=b");
    pair.sensor[0]->type = "pressure";
    assert_int_equal(psa_state_describe(&pair.state[0], pair.sensor[0], &fault), 0);
    assert_int_equal(pair.hub.queue.n, 0);
    psa_state_up(&pair.state[0], 1);
    expect(&pair, "pressure", true, &at_ns);
    release(&pair);
}

static void a_name_that_another_has(void **unused)
{
    struct psa_fault fault;
    struct pair pair;
    (void)unused;

    make(&pair, "iio:bmp180?id=a", "bmp180:i2c-1?id=a");
    pair.sensor[0]->type = "pressure";
    assert_int_equal(psa_state_describe(&pair.state[0], pair.sensor[0], &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_WRONG);
    assert_non_null(strstr(fault.text, "pressure 'a', and so is bmp180:i2c-1: "));
    assert_string_equal(pair.state[0].type, "iio"); /* by which it is down */
    pair.sensor[0]->type = "humidity";
    assert_int_equal(psa_state_describe(&pair.state[0], pair.sensor[0], &fault), 0);
    release(&pair);
}

/* A call hangs for eight periods and comes back well: what was due meanwhile is absent at each look, and not missed too. */
static void a_hang_that_ends_well(void **unused)
{
    struct psa_fault fault;
    struct pair pair;
    int64_t wake_ns = INT64_MAX;
    (void)unused;

    make(&pair, "bmp180:i2c-1?id=a&every=1s", "bmp180:i2c-2?id=b");
    struct psa_state *const state = &pair.state[0];
    assert_int_equal(psa_state_describe(state, pair.sensor[0], &fault), 0);
    const int64_t s = PSA_NS_PER_SECOND, begin_ns = 100 * s;
    psa_state_started(state, 0, begin_ns);
    psa_state_up(state, begin_ns);
    psa_state_deadline(state, 0, 0, begin_ns, begin_ns + 2 * s);
    assert_int_equal(psa_state_due(state, begin_ns + 4 * s), 0); /* it does not hang yet */
    psa_state_watch(state, begin_ns + 6 * s, &wake_ns);
    assert_false(state->up);
    assert_int_equal(psa_state_due(state, begin_ns + 6 * s + 1), 5);
    psa_state_up(state, begin_ns);
    psa_state_read(state, false, false, begin_ns);
    assert_int_equal(psa_state_due(state, begin_ns + 8 * s + s / 2), 7);
    psa_state_deadline(state, 7 * s + s / 2, 7, begin_ns + 8 * s + s / 2, begin_ns + 10 * s);
    assert_int_equal(state->absent, 7);
    assert_int_equal(state->n_missed, 0);
    assert_int_equal(psa_state_due(state, begin_ns + 9 * s), 0);
    release(&pair);
}

static void expect_time(const char *wanted, int64_t ns)
{
    char text[PSA_NOTE_TIME_BYTES];

    assert_string_equal(psa_note_time(text, ns), wanted);
}

static void times_for_people(void **unused)
{
    (void)unused;
    expect_time("2.97 s", INT64_C(2970000000));
    expect_time("34 ms", 34 * PSA_NS_PER_MS);
    expect_time("1.5 ms", 3 * PSA_NS_PER_MS / 2);
    expect_time("250 us", 250000);
    expect_time("1000 ms", PSA_NS_PER_SECOND - 1);
    expect_time("86400 s", 86400 * PSA_NS_PER_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_that_turns_out_to_be_another),
        cmocka_unit_test(down_under_both_names),
        cmocka_unit_test(a_type_known_before_anything_was_said),
        cmocka_unit_test(a_name_that_another_has),
        cmocka_unit_test(a_hang_that_ends_well),
        cmocka_unit_test(times_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
