/* sensord_worker.c - see sensord_worker.h. */
#include "io/sensord_worker.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "core/error.h"
#include "core/time.h"
#include "io/clock.h"
#include "sensor/bus_iio.h"

/* The wait after the first fault, doubled with each further one. */
#define RETRY_FIRST_NS (250 * PSA_NS_PER_MS)
/* A driver's messages and libiio's parser fit well; pages that nobody touches cost nothing. */
#define STACK_BYTES 262144

static void *work(void *arg);

/* ---- what the program asks --------------------------------------------------------------------------------------- */

int psa_worker_start(struct psa_worker *worker, struct psa_error *error)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int status;

    worker->sensor->world = &psa_worker_world;
    worker->sensor->runner = worker;
    worker->sensor->stop_fd = worker->hub->stop_fd;
    worker->backoff.random = (uint64_t)psa_clock_wall_ns() + worker->index;
    status = pthread_attr_init(&attributes);
    if (status == 0) status = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all); /* signals are the main thread's affair */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (status == 0) status = pthread_create(&worker->thread, &attributes, work, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (status == 0) return 0;
    return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot start a thread: %s", worker->sensor->text, strerror(status));
}

void psa_worker_free(struct psa_worker *worker)
{
    psa_record_form_free(&worker->form);
    psa_buf_free(&worker->line);
    free(worker->block);
    psa_state_free(&worker->state);
    psa_sensor_free(worker->sensor);
}

/* ---- writing readings -------------------------------------------------------------------------------------------- */

static void write_readings(struct psa_worker *worker, const struct psa_record_values *values, int64_t taken_ns)
{
    const struct psa_str none = { 0 };

    worker->line.n = 0;
    psa_record_put(&worker->line, &worker->form, values);
    psa_state_give(&worker->state, worker->line.failed ? none : psa_buf_str(&worker->line), values->n, taken_ns);
}

/* Write what was gathered of a block. */
static void flush_block(struct psa_worker *worker)
{
    const struct psa_sensor *sensor = worker->sensor;
    const struct psa_record_values values = {
        .value = worker->block,
        .n = worker->n_block,
        .stride = (size_t)sensor->common.block,
        .is_array = true,
        .rate_hz = sensor->measured_hz > 0 ? sensor->measured_hz : sensor->rate_hz,
        .timestamp_ns = worker->block_ns + psa_clock_offset_ns(&worker->hub->offset_ns),
        .seq = worker->block_seq,
        .unsynced = worker->hub->unsynced,
    };

    if (worker->n_block == 0) return;
    worker->n_block = 0;
    write_readings(worker, &values, worker->block_ns);
}

static void gather(struct psa_worker *worker, int64_t taken_ns, const double *value)
{
    const size_t stride = (size_t)worker->sensor->common.block;

    if (worker->n_block == 0) {
        worker->block_ns = taken_ns;
        worker->block_seq = worker->seq;
    }
    for (size_t i = 0; i < worker->block_fields; i++) worker->block[i * stride + worker->n_block] = value[i];
    worker->seq++;
    if (++worker->n_block == stride) flush_block(worker);
}

static void emit(struct psa_sensor *sensor, int64_t taken_ns, const double *value)
{
    struct psa_worker *worker = sensor->runner;

    if (!worker->state.is_up) psa_state_up(&worker->state, taken_ns);
    worker->given++;
    if (worker->block != NULL) {
        gather(worker, taken_ns, value);
        return;
    }
    const struct psa_record_values values = {
        .value = value,
        .n = 1,
        .stride = 1,
        .rate_hz = sensor->measured_hz,
        .timestamp_ns = taken_ns + psa_clock_offset_ns(&worker->hub->offset_ns),
        .seq = worker->seq++,
        .unsynced = worker->hub->unsynced,
    };
    write_readings(worker, &values, taken_ns);
}

/* ---- the rest of a driver's world -------------------------------------------------------------------------------- */

static int64_t now(struct psa_sensor *sensor)
{
    (void)sensor;
    return psa_clock_ns();
}

/* ppoll with what is left until then, anew after each wake: no wake is early, and no lateness adds up. */
static bool sleep_until(struct psa_sensor *sensor, int64_t then_ns)
{
    const struct psa_worker *worker = sensor->runner;
    struct pollfd stop = { worker->hub->stop_fd, POLLIN, 0 };

    while (!worker->hub->stopping) {
        const int64_t left_ns = then_ns - psa_clock_ns();
        if (left_ns <= 0) return true;
        const struct timespec left = psa_timespec(left_ns);
        if (ppoll(&stop, 1, &left, NULL) > 0) return false;
    }
    return false;
}

static void lost(struct psa_sensor *sensor, int64_t n, const char *why)
{
    struct psa_worker *worker = sensor->runner;

    if (n <= 0) return;
    flush_block(worker);
    worker->seq += (uint64_t)n;
    worker->given += (uint64_t)n;
    psa_state_lost(&worker->state, (uint64_t)n, why);
}

static void warn(struct psa_sensor *sensor, const char *text)
{
    struct psa_worker *worker = sensor->runner;

    psa_state_warn(&worker->state, text);
}

static void hold(struct psa_sensor *sensor, bool held)
{
    const struct psa_worker *worker = sensor->runner;

    if (worker->hold == NULL) return;
    if (held) pthread_mutex_lock(worker->hold);
    else pthread_mutex_unlock(worker->hold);
}

const struct psa_world psa_worker_world = {
    .now_ns = now, .sleep_until = sleep_until, .emit = emit, .lost = lost, .warn = warn, .hold = hold
};

/* ---- open and close ---------------------------------------------------------------------------------------------- */

static int open_bus(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct psa_gpio_setup setup = { .stop_fd = sensor->stop_fd };

    switch (sensor->driver->bus) {
    case PSA_BUS_NONE: return 0;
    case PSA_BUS_I2C: return psa_i2c_open(sensor->bus, sensor->address, &sensor->i2c, fault);
    case PSA_BUS_GPIO:
        if (sensor->driver->gpio_setup != NULL) sensor->driver->gpio_setup(sensor, &setup);
        setup.stop_fd = sensor->stop_fd;
        return psa_gpio_open(sensor->bus, (uint32_t)strtoul(sensor->line, NULL, 10), &setup, &sensor->gpio, fault);
    case PSA_BUS_IIO: return psa_iio_open(sensor->bus, sensor->uri, sensor->stop_fd, &sensor->iio, fault);
    }
    return psa_fault_set(fault, PSA_FAULT_WRONG, "%s: no such kind of bus", sensor->text);
}

static void close_bus(struct psa_sensor *sensor)
{
    if (sensor->i2c != NULL) sensor->i2c->calls->close(sensor->i2c);
    if (sensor->gpio != NULL) sensor->gpio->calls->close(sensor->gpio);
    if (sensor->iio != NULL) psa_iio_close(sensor->iio);
    sensor->i2c = NULL;
    sensor->gpio = NULL;
    sensor->iio = NULL;
}

/* Names and number of the fields may be known only now. */
static int prepare_lines(struct psa_worker *worker, struct psa_fault *fault)
{
    const struct psa_sensor *sensor = worker->sensor;
    const size_t block = (size_t)sensor->common.block;
    bool ok;

    if (psa_state_describe(&worker->state, sensor, fault) != 0) return -1;
    ok = psa_record_form_make(&worker->form, sensor) == 0;
    worker->line.n = 0;
    ok = ok && psa_buf_room(&worker->line, psa_record_bytes_max(sensor, block > 0 ? block : 1)) != NULL;
    if (ok && block > 0 && worker->block_fields != sensor->n_field) {
        free(worker->block);
        worker->block_fields = sensor->n_field;
        worker->block = malloc(sensor->n_field * block * sizeof *worker->block);
        ok = worker->block != NULL;
    }
    return ok ? 0 : psa_fault_set(fault, PSA_FAULT_IO, "%s: out of memory", sensor->text);
}

static int64_t deadline_ns(const struct psa_worker *worker, uint64_t number)
{
    return worker->origin_ns + llround((double)number * worker->sensor->period_exact_ns);
}

/* Its readings are not those of its deadlines, or it has none. */
static bool has_own_pace(const struct psa_sensor *sensor)
{
    return sensor->own_seq || sensor->period_ns == 0;
}

/* Of a sensor with a pace of its own, what is due is told by how long it was away, so the first a period after now. */
static void end_sensor(struct psa_worker *worker)
{
    struct psa_sensor *sensor = worker->sensor;
    const double own_ns = sensor->rate_hz > 0 ? PSA_NS_PER_SECOND / sensor->rate_hz : 0;

    flush_block(worker);
    if (sensor->driver->stop != NULL) sensor->driver->stop(sensor);
    close_bus(sensor);
    const int64_t now_ns = psa_clock_ns();
    if (psa_state_stopped(&worker->state,
                          has_own_pace(sensor) ? now_ns + llround(own_ns) : deadline_ns(worker, worker->due)))
        worker->stopped_ns = now_ns; /* not again when a start fails meanwhile */
}

static int begin_sensor(struct psa_worker *worker, struct psa_fault *fault)
{
    struct psa_sensor *sensor = worker->sensor;

    psa_state_busy(&worker->state, psa_clock_ns());
    if (open_bus(sensor, fault) != 0) {
        close_bus(sensor);
        psa_state_busy(&worker->state, 0);
        return -1;
    }
    memset(sensor->state, 0, sensor->driver->state_size);
    sensor->measured_hz = 0;
    sensor->upto_ns = 0;
    if (sensor->driver->start(sensor, fault) == 0 && prepare_lines(worker, fault) == 0) return 0;
    end_sensor(worker);
    return -1;
}

/* ---- deadlines --------------------------------------------------------------------------------------------------- */

/* The sensor has started: what was due since it stopped counts, and is missing. */
static void resume(struct psa_worker *worker)
{
    const struct psa_sensor *sensor = worker->sensor;
    const int64_t now_ns = psa_clock_ns();
    uint64_t absent = 0;

    if (!worker->begun) {
        worker->origin_ns = now_ns;
    } else if (sensor->period_ns > 0) {
        const double due = ceil((double)(now_ns - worker->origin_ns) / sensor->period_exact_ns);
        if (due > (double)worker->due) absent = (uint64_t)due - worker->due;
        worker->due += absent;
    }
    if (worker->begun && has_own_pace(sensor))
        absent = (uint64_t)llround((double)(now_ns - worker->stopped_ns) / PSA_NS_PER_SECOND * sensor->rate_hz);
    worker->begun = true;
    worker->seq += absent;
    worker->failed_in_a_row = 0;
    psa_state_started(&worker->state, absent, sensor->upto_ns != 0 ? sensor->upto_ns : now_ns);
}

/* The deadline that was waited for is past by late_ns. Those that are past with it are missed. */
static void note_lateness(struct psa_worker *worker, int64_t late_ns, int64_t now_ns)
{
    const struct psa_sensor *sensor = worker->sensor;
    uint64_t missed = 0;

    if (late_ns >= sensor->period_ns) missed = (uint64_t)((double)late_ns / sensor->period_exact_ns);
    worker->due += missed;
    if (sensor->own_seq) missed = 0; /* a FIFO has kept what was due */
    if (missed > 0) flush_block(worker);
    worker->seq += missed;
    /* A read that hangs: the last deadline that it lets pass will still be met, late, if it comes back at all. */
    psa_state_deadline(&worker->state, late_ns, missed, now_ns,
                       sensor->own_seq ? 0 : deadline_ns(worker, worker->due + 2));
}

/* Wait for the next deadline, if the driver has any. false: a stop is asked for. */
static bool wait_for_deadline(struct psa_worker *worker)
{
    const struct psa_sensor *sensor = worker->sensor;

    if (sensor->period_ns == 0) {
        psa_state_busy(&worker->state, psa_clock_ns());
        return !worker->hub->stopping;
    }
    const int64_t then_ns = deadline_ns(worker, worker->due);
    if (!sleep_until(worker->sensor, then_ns)) return false;
    const int64_t now_ns = psa_clock_ns();
    note_lateness(worker, now_ns - then_ns, now_ns);
    worker->due++;
    return true;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* A read() has ended. What it promises of the readings to come, and what it was counts. */
static void account(struct psa_worker *worker, bool failed)
{
    const struct psa_sensor *sensor = worker->sensor;
    const bool empty = worker->given == 0 && !sensor->own_seq && sensor->period_ns > 0;
    int64_t promise_ns = sensor->upto_ns != 0    ? sensor->upto_ns
                         : sensor->period_ns > 0 ? deadline_ns(worker, worker->due)
                                                 : psa_clock_ns();

    if (failed || empty) flush_block(worker);
    if (empty) worker->seq++;
    if (worker->n_block > 0 && worker->block_ns < promise_ns) promise_ns = worker->block_ns;
    psa_state_read(&worker->state, failed, empty, promise_ns);
}

/* Read until a stop is asked for (0), or the sensor is down (-1 with *fault). */
static int read_on(struct psa_worker *worker, struct psa_fault *fault)
{
    struct psa_sensor *sensor = worker->sensor;

    if (sensor->period_ns == 0) psa_state_up(&worker->state, psa_clock_ns()); /* what it waits for may come in a year */
    while (wait_for_deadline(worker)) {
        worker->given = 0;
        const int status = sensor->driver->read(sensor, fault);
        if (worker->hub->stopping) break; /* it may have failed for that */
        account(worker, status != 0);
        if (status == 0) {
            worker->failed_in_a_row = 0;
            psa_backoff_reset(&worker->backoff);
            if (!worker->state.is_up) psa_state_up(&worker->state, psa_clock_ns());
        } else if (++worker->failed_in_a_row >= sensor->common.failures || psa_state_is_down(&worker->state)) {
            return -1;
        }
    }
    return 0;
}

static void *work(void *arg)
{
    struct psa_worker *worker = arg;
    struct psa_fault fault;

    prctl(PR_SET_TIMERSLACK, 1);
    while (!worker->hub->stopping) {
        int status = begin_sensor(worker, &fault);
        if (status == 0) {
            resume(worker);
            status = read_on(worker, &fault);
            end_sensor(worker);
        }
        if (status == 0) break;
        psa_state_down(&worker->state, &fault);
        psa_backoff_fail(&worker->backoff, psa_clock_ns(), RETRY_FIRST_NS, worker->options->retry_max_ns);
        sleep_until(worker->sensor, worker->backoff.until_ns);
    }
    psa_state_done(&worker->state);
    return NULL;
}
