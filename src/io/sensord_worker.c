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
/* A sensor that was up for so long may speak of its next faults again, were it silenced before. */
#define STEADY_NS (60 * PSA_NS_PER_SECOND)
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
    psa_sensor_free(worker->sensor);
}

void psa_worker_say_notes(struct psa_worker *worker, bool at_once)
{
    struct psa_worker_view *view = &worker->view;
    struct psa_note missed, lost;
    char why[sizeof view->lost_why];
    const int64_t now_ns = psa_clock_ns();

    pthread_mutex_lock(&worker->hub->lock);
    const bool say_missed = psa_note_due(&view->missed, now_ns, at_once, &missed);
    const bool say_lost = psa_note_due(&view->lost, now_ns, at_once, &lost);
    memcpy(why, view->lost_why, sizeof why);
    pthread_mutex_unlock(&worker->hub->lock);
    if (say_missed)
        psa_hub_say(
            worker->hub, worker->sensor->id, "missed",
            "%llu deadline%s missed%s, the worst by %.3g ms: the machine is too busy, or the sensor too slow for "
            "its rate",
            (unsigned long long)missed.n, missed.n == 1 ? "" : "s", missed.said > 0 ? " since it was last said" : "",
            (double)missed.worst / PSA_NS_PER_MS);
    if (say_lost)
        psa_hub_say(worker->hub, worker->sensor->id, "lost", "%llu reading%s lost%s: %s", (unsigned long long)lost.n,
                    lost.n == 1 ? "" : "s", lost.said > 0 ? " since it was last said" : "", why);
}

/* ---- up and down ------------------------------------------------------------------------------------------------- */

static void push_status(struct psa_worker *worker, int64_t at_ns)
{
    struct psa_hub *hub = worker->hub;
    struct psa_worker_view *view = &worker->view;
    struct psa_queue_entry entry = { .owner = worker->index, .kind = PSA_QUEUE_STATUS };
    const struct psa_record_status status = {
        .up = view->up,
        .unsynced = hub->unsynced,
        .fault = view->fault,
        .reason = view->reason,
        .timestamp_ns = at_ns + psa_clock_offset_ns(&hub->offset_ns),
    };

    view->status_lost = false;
    hub->scratch.n = 0;
    psa_record_put_status(&hub->scratch, worker->sensor, &status);
    if (!hub->scratch.failed) psa_hub_push(hub, &entry, psa_buf_str(&hub->scratch));
}

void psa_worker_push_status(struct psa_worker *worker)
{
    push_status(worker, psa_clock_ns());
}

/* Something that the main thread tells systemd; the lock is held. */
static void changed(struct psa_worker *worker)
{
    worker->view.tried = true;
    worker->hub->changed = true;
    psa_hub_wake(worker->hub);
}

/* The sensor works; its first reading, if that tells, is of now_ns. */
static void come_up(struct psa_worker *worker, int64_t now_ns)
{
    struct psa_worker_view *view = &worker->view;

    pthread_mutex_lock(&worker->hub->lock);
    const bool was_down = view->down;
    const int64_t down_ns = now_ns - view->since_ns;
    view->up = true;
    view->down = view->hung = false;
    view->since_ns = now_ns;
    view->fault = PSA_FAULT_NONE;
    if (view->busy_since_ns != 0) view->busy_since_ns = psa_clock_ns(); /* a call that hung goes on now */
    push_status(worker, now_ns);
    changed(worker);
    worker->is_up = true;
    pthread_mutex_unlock(&worker->hub->lock);
    if (was_down)
        psa_hub_say(worker->hub, worker->sensor->id, worker->sensor->id, "up again after %.3g s",
                    (double)down_ns / PSA_NS_PER_SECOND);
}

/* The sensor is down, which is said once until it is up again, or down for another cause. For the worker, and for the main
 * thread when it hangs. */
static void go_down(struct psa_worker *worker, const struct psa_fault *fault, bool hung)
{
    struct psa_worker_view *view = &worker->view;
    struct psa_hub *hub = worker->hub;
    const char *id = worker->sensor->id;
    const int64_t now_ns = psa_clock_ns();

    pthread_mutex_lock(&hub->lock);
    const bool falls = !view->down;
    const bool news = (falls || fault->kind != view->fault) && !hub->stopping;
    const bool steady = view->up && now_ns - view->since_ns >= STEADY_NS;
    view->hung = hung;
    if (news) {
        if (falls) view->since_ns = now_ns;
        view->downs += falls;
        view->up = false;
        worker->is_up = false;
        view->down = true;
        view->fault = fault->kind;
        memcpy(view->reason, fault->text, sizeof view->reason);
        push_status(worker, now_ns);
        changed(worker);
        if (worker->options->strict && hub->strict_down == NULL) hub->strict_down = id;
    }
    pthread_mutex_unlock(&hub->lock);
    if (!news) return;
    if (steady) psa_hub_mended(hub, id);
    psa_hub_say(hub, id, id, falls ? "down: %s" : "still down: %s", fault->text);
    if (worker->options->strict) psa_hub_stop(hub);
}

void psa_worker_watch(struct psa_worker *worker, int64_t now_ns, int64_t *wake_ns)
{
    const struct psa_sensor *sensor = worker->sensor;
    const int64_t patience_ns = sensor->driver->patience_ns > 0 ? sensor->driver->patience_ns : PSA_SENSOR_PATIENCE_NS;
    struct psa_fault fault;

    pthread_mutex_lock(&worker->hub->lock);
    const int64_t since_ns = worker->view.hung ? 0 : worker->view.busy_since_ns;
    pthread_mutex_unlock(&worker->hub->lock);
    if (since_ns == 0) return;
    if (now_ns - since_ns < patience_ns) {
        psa_wake_by(wake_ns, since_ns + patience_ns, now_ns);
        return;
    }
    psa_fault_set(&fault, PSA_FAULT_TIMEOUT, "%s has not answered for %.3g s; the bus or the chip hangs", sensor->text,
                  (double)(now_ns - since_ns) / PSA_NS_PER_SECOND);
    go_down(worker, &fault, true);
}

/* ---- writing readings -------------------------------------------------------------------------------------------- */

/* Readings that came too late: a heartbeat has promised that none so old will follow. */
static void lose_late(struct psa_worker *worker, size_t n)
{
    struct psa_worker_view *view = &worker->view;

    view->n_lost += n;
    psa_note_add(&view->lost, n, 0, psa_clock_ns());
    snprintf(view->lost_why, sizeof view->lost_why, "they came after the heartbeat that said none would");
}

static void write_readings(struct psa_worker *worker, const struct psa_record_values *values, int64_t taken_ns)
{
    struct psa_hub *hub = worker->hub;
    struct psa_queue_entry entry = { .owner = worker->index, .kind = PSA_QUEUE_READING, .weight = (uint32_t)values->n };
    bool late;

    worker->line.n = 0;
    psa_record_put(&worker->line, &worker->form, values);
    pthread_mutex_lock(&hub->lock);
    late = taken_ns < hub->promised_ns || worker->line.failed;
    if (late) {
        lose_late(worker, values->n);
    } else if (hub->left > 0) {
        worker->view.readings += values->n;
        psa_hub_push(hub, &entry, psa_buf_str(&worker->line));
        if (hub->left != INT64_MAX && --hub->left == 0) psa_hub_stop(hub);
    }
    pthread_mutex_unlock(&hub->lock);
    if (late) psa_worker_say_notes(worker, false);
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

    if (!worker->is_up) come_up(worker, taken_ns);
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
        const struct timespec left = { left_ns / PSA_NS_PER_SECOND, left_ns % PSA_NS_PER_SECOND };
        if (ppoll(&stop, 1, &left, NULL) > 0) return false;
    }
    return false;
}

static void lost(struct psa_sensor *sensor, int64_t n, const char *why)
{
    struct psa_worker *worker = sensor->runner;
    struct psa_worker_view *view = &worker->view;

    if (n <= 0) return;
    flush_block(worker);
    worker->seq += (uint64_t)n;
    worker->given += (uint64_t)n;
    pthread_mutex_lock(&worker->hub->lock);
    view->n_lost += (uint64_t)n;
    psa_note_add(&view->lost, (uint64_t)n, n, psa_clock_ns());
    snprintf(view->lost_why, sizeof view->lost_why, "%s", why);
    pthread_mutex_unlock(&worker->hub->lock);
    psa_worker_say_notes(worker, false);
}

static void warn(struct psa_sensor *sensor, const char *text)
{
    const struct psa_worker *worker = sensor->runner;

    psa_hub_say(worker->hub, sensor->id, "warning", "%s", text);
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

/* From here on a call of the driver may take its time, but not for ever. */
static void set_busy(struct psa_worker *worker, int64_t since_ns)
{
    pthread_mutex_lock(&worker->hub->lock);
    worker->view.busy_since_ns = since_ns;
    pthread_mutex_unlock(&worker->hub->lock);
}

/* Names and number of the fields may be known only now. */
static int prepare_lines(struct psa_worker *worker, struct psa_fault *fault)
{
    const struct psa_sensor *sensor = worker->sensor;
    const size_t block = (size_t)sensor->common.block;
    bool ok = psa_record_form_make(&worker->form, sensor) == 0;

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

static void end_sensor(struct psa_worker *worker)
{
    struct psa_sensor *sensor = worker->sensor;

    flush_block(worker);
    if (sensor->driver->stop != NULL) sensor->driver->stop(sensor);
    close_bus(sensor);
    pthread_mutex_lock(&worker->hub->lock);
    if (worker->view.running) worker->stopped_ns = psa_clock_ns(); /* not again when a start fails meanwhile */
    worker->view.running = false;
    worker->view.busy_since_ns = 0;
    pthread_mutex_unlock(&worker->hub->lock);
}

static int begin_sensor(struct psa_worker *worker, struct psa_fault *fault)
{
    struct psa_sensor *sensor = worker->sensor;

    set_busy(worker, psa_clock_ns());
    if (open_bus(sensor, fault) != 0) {
        close_bus(sensor);
        set_busy(worker, 0);
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

static int64_t deadline_ns(const struct psa_worker *worker, uint64_t number)
{
    return worker->origin_ns + llround((double)number * worker->sensor->period_exact_ns);
}

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
    if (worker->begun && (sensor->own_seq || sensor->period_ns == 0))
        absent = (uint64_t)llround((double)(now_ns - worker->stopped_ns) / PSA_NS_PER_SECOND * sensor->rate_hz);
    worker->begun = true;
    worker->seq += absent;
    worker->failed_in_a_row = 0;
    pthread_mutex_lock(&worker->hub->lock);
    worker->view.absent += absent;
    worker->view.running = true;
    worker->view.hung = false;
    worker->view.busy_since_ns = 0;
    worker->view.promise_ns = sensor->upto_ns != 0 ? sensor->upto_ns : now_ns;
    pthread_mutex_unlock(&worker->hub->lock);
}

/* The deadline that was waited for is past by late_ns. Those that are past with it are missed. */
static void note_lateness(struct psa_worker *worker, int64_t late_ns, int64_t now_ns)
{
    const struct psa_sensor *sensor = worker->sensor;
    struct psa_worker_view *view = &worker->view;
    uint64_t missed = 0;

    if (late_ns >= sensor->period_ns) missed = (uint64_t)((double)late_ns / sensor->period_exact_ns);
    worker->due += missed;
    if (sensor->own_seq) missed = 0; /* a FIFO has kept what was due */
    if (missed > 0) flush_block(worker);
    worker->seq += missed;
    pthread_mutex_lock(&worker->hub->lock);
    psa_lateness_add(&view->lateness, late_ns);
    view->n_missed += missed;
    view->busy_since_ns = now_ns;
    if (missed > 0) psa_note_add(&view->missed, missed, late_ns, now_ns);
    pthread_mutex_unlock(&worker->hub->lock);
    if (missed > 0) psa_worker_say_notes(worker, false);
}

/* Wait for the next deadline, if the driver has any. false: a stop is asked for. */
static bool wait_for_deadline(struct psa_worker *worker)
{
    const struct psa_sensor *sensor = worker->sensor;

    if (sensor->period_ns == 0) {
        set_busy(worker, psa_clock_ns());
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
    struct psa_worker_view *view = &worker->view;
    const bool empty = worker->given == 0 && !sensor->own_seq && sensor->period_ns > 0;
    int64_t promise_ns = sensor->upto_ns != 0    ? sensor->upto_ns
                         : sensor->period_ns > 0 ? deadline_ns(worker, worker->due)
                                                 : psa_clock_ns();

    if (failed || empty) flush_block(worker);
    if (empty) worker->seq++;
    if (worker->n_block > 0 && worker->block_ns < promise_ns) promise_ns = worker->block_ns;
    pthread_mutex_lock(&worker->hub->lock);
    view->busy_since_ns = 0;
    view->promise_ns = promise_ns;
    view->failed += failed;
    view->n_lost += !failed && empty;
    pthread_mutex_unlock(&worker->hub->lock);
}

static bool is_down(struct psa_worker *worker)
{
    pthread_mutex_lock(&worker->hub->lock);
    const bool down = worker->view.down;
    pthread_mutex_unlock(&worker->hub->lock);
    return down;
}

/* Read until a stop is asked for (0), or the sensor is down (-1 with *fault). */
static int read_on(struct psa_worker *worker, struct psa_fault *fault)
{
    struct psa_sensor *sensor = worker->sensor;

    if (sensor->period_ns == 0) come_up(worker, psa_clock_ns()); /* what it waits for may come in a year */
    while (wait_for_deadline(worker)) {
        worker->given = 0;
        const int status = sensor->driver->read(sensor, fault);
        if (worker->hub->stopping) break; /* it may have failed for that */
        account(worker, status != 0);
        if (status == 0) {
            worker->failed_in_a_row = 0;
            psa_backoff_reset(&worker->backoff);
            if (!worker->is_up) come_up(worker, psa_clock_ns());
        } else if (++worker->failed_in_a_row >= sensor->common.failures || is_down(worker)) {
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
        go_down(worker, &fault, false);
        psa_backoff_fail(&worker->backoff, psa_clock_ns(), RETRY_FIRST_NS, worker->options->retry_max_ns);
        sleep_until(worker->sensor, worker->backoff.until_ns);
    }
    pthread_mutex_lock(&worker->hub->lock);
    worker->view.done = true;
    pthread_mutex_unlock(&worker->hub->lock);
    psa_hub_wake(worker->hub);
    return NULL;
}
