/*
 * sim_main.c - psa-sim: chooses a scene, lets sensor/sim.c play it and prints the readings as records, at once or paced
 * by the wall clock. The clock decides only when a line is written, never what it says (but for --start now).
 */
#include "io/sim_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/number.h"
#include "core/option.h"
#include "io/signals.h"
#include "io/source.h"
#include "io/writer.h"
#include "sensor/sim.h"

/* A specification larger than this is none. */
#define SPEC_MAX_BYTES 1048576

struct config {
    const char *spec, *scene, *seed, *start, *duration, *rate, *speed;
    int64_t count; /* 0: no limit */
    bool no_faults, no_labels, faults, batch, print_spec;
};

/* A program's run. */
struct run {
    struct config config;
    struct psa_sim_scene *scene;
    struct psa_writer out;
    struct psa_buf *lead; /* [n_sensor] what stands before the first value: sensor_type ... "fields":{"accel_x": */
    struct psa_pace pace;
    uint64_t written;
};

#define AT(member) offsetof(struct config, member)
static const struct psa_option options[] = {
    { .name = "scene",
      .type = PSA_OPT_TEXT,
      .offset = AT(scene),
      .metavar = "NAME",
      .help = "a built-in scene: press-shop (the default), imu, bearing, bearing-outer, bearing-inner, bearing-ball" },
    { .name = "spec", .type = PSA_OPT_TEXT, .offset = AT(spec), .metavar = "FILE", .help = "read the scene from FILE" },
    { .name = "seed",
      .type = PSA_OPT_TEXT,
      .offset = AT(seed),
      .metavar = "N",
      .help = "another seed than the scene's" },
    { .name = "start",
      .type = PSA_OPT_TEXT,
      .offset = AT(start),
      .metavar = "TIME",
      .help = "time of the first reading: ISO 8601, nanoseconds since 1970, or now" },
    { .name = "duration",
      .type = PSA_OPT_TEXT,
      .offset = AT(duration),
      .metavar = "TIME",
      .help = "event time to play; 0 plays until stopped" },
    { .name = "count",
      .letter = 'n',
      .type = PSA_OPT_COUNT,
      .offset = AT(count),
      .metavar = "N",
      .min = 1,
      .max = 9e18,
      .help = "stop after N readings, however long the scene is" },
    { .name = "rate",
      .type = PSA_OPT_TEXT,
      .offset = AT(rate),
      .metavar = "HZ",
      .help = "sampling rate of every IMU and vibration sensor" },
    { .name = "speed",
      .type = PSA_OPT_TEXT,
      .offset = AT(speed),
      .metavar = "max|1x|10x",
      .initial = "max",
      .help = "pace the output by the wall clock" },
    { .name = "no-faults", .type = PSA_OPT_FLAG, .offset = AT(no_faults), .help = "play the scene without its faults" },
    { .name = "no-labels", .type = PSA_OPT_FLAG, .offset = AT(no_labels), .help = "leave the member labels out" },
    { .name = "faults",
      .type = PSA_OPT_FLAG,
      .offset = AT(faults),
      .help = "print the scene's faults instead, one a line" },
    { .name = "batch",
      .type = PSA_OPT_FLAG,
      .offset = AT(batch),
      .help = "print one line {\"sensor_batch\":[...]} of 10 s at 10 ms instead" },
    { .name = "print-spec",
      .type = PSA_OPT_FLAG,
      .offset = AT(print_spec),
      .help = "print the scene's specification instead, to begin one's own with" },
    { .type = PSA_OPT_END },
};

/* ---- the scene --------------------------------------------------------------------------------------------------- */

/* The specification's text into *text, and what its messages call it. */
static int find_spec(const struct config *config, struct psa_buf *text, const char **name, struct psa_error *error)
{
    const char *scene = config->batch ? "batch" : config->scene != NULL ? config->scene : "press-shop";
    int status;

    if (config->spec != NULL && config->scene != NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--spec and --scene exclude each other");
    if (config->batch && (config->spec != NULL || config->scene != NULL || config->faults))
        return psa_fail(error, PSA_EXIT_PERMANENT, "--batch has its own scene and no faults");
    *name = scene;
    if (config->spec == NULL) {
        const char *known = psa_sim_scene_text(scene);
        if (known == NULL)
            return psa_fail(error, PSA_EXIT_PERMANENT, "no scene is called '%s'; " PSA_SIM_SCENES " are", scene);
        psa_buf_puts(text, known);
        return text->failed ? psa_fail_memory(error, "reading the scene") : 0;
    }
    *name = strcmp(config->spec, "-") == 0 ? "stdin" : config->spec;
    status = psa_file_read(strcmp(config->spec, "-") == 0 ? "/dev/stdin" : config->spec, SPEC_MAX_BYTES, text, error);
    if (status == 1) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: no such file", config->spec);
    return status;
}

static int override_rate(struct psa_sim_scene *scene, const char *text, struct psa_error *error)
{
    double hz;

    if (psa_parse_rate(text, "--rate", &hz, error) != 0) return -1;
    if (hz < 0.001 || hz > 1e6)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--rate: '%s' is not between 0.001 Hz and 1 MHz", text);
    for (size_t i = 0; i < scene->n_sensor; i++) {
        if (scene->sensor[i].kind != PSA_SIM_IMU && scene->sensor[i].kind != PSA_SIM_VIBRATION) continue;
        scene->sensor[i].period_num = INT64_C(1000000000000); /* over millihertz: nanoseconds */
        scene->sensor[i].period_den = (int64_t)(hz * 1000 + 0.5);
    }
    return 0;
}

/* What the command line says goes before what the scene says. */
static int override(struct psa_sim_scene *scene, const struct config *config, struct psa_error *error)
{
    int64_t n, end_ns;

    if (config->seed != NULL) {
        if (psa_parse_count(config->seed, "--seed", &n, error) != 0) return -1;
        scene->seed = (uint64_t)n;
    }
    if (config->start != NULL && psa_source_parse_time(config->start, "--start", &scene->start_ns, error) != 0)
        return -1;
    if (config->duration != NULL) {
        if (psa_parse_duration(config->duration, "--duration", &n, error) != 0) return -1;
        if (n < 0)
            return psa_fail(error, PSA_EXIT_PERMANENT, "--duration: '%s' is less than nothing", config->duration);
        scene->duration_ns = n == 0 ? PSA_SIM_ENDLESS : n;
    } else if (config->count > 0) {
        scene->duration_ns = PSA_SIM_ENDLESS;
    }
    if (config->rate != NULL && override_rate(scene, config->rate, error) != 0) return -1;
    if (config->no_faults) scene->n_fault = 0;
    if (scene->duration_ns != PSA_SIM_ENDLESS && __builtin_add_overflow(scene->start_ns, scene->duration_ns, &end_ns))
        return psa_fail(error, PSA_EXIT_PERMANENT, "the scene ends after 2262, where nanoseconds no longer fit");
    return 0;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

/* `{"sensor_type":"accel_gyro","sensor_model":"MPU6050","sensor_id":"press-01","fields":{"accel_x":` */
static void make_lead(struct psa_buf *lead, const struct psa_sim_sensor *sensor)
{
    psa_buf_puts(lead, "{");
    psa_buf_member_text(lead, "sensor_type", psa_str_of(sensor->type));
    psa_buf_member_text(lead, "sensor_model", psa_str_of(sensor->model));
    psa_buf_member_text(lead, "sensor_id", psa_str_of(sensor->id));
    psa_buf_name(lead, "fields");
    psa_buf_puts(lead, "{");
    psa_buf_name(lead, psa_sim_parts[sensor->kind].field[0].name);
}

static int make_leads(struct run *run, struct psa_error *error)
{
    run->lead = calloc(run->scene->n_sensor, sizeof *run->lead);
    if (run->lead == NULL) return psa_fail_memory(error, "starting");
    for (size_t i = 0; i < run->scene->n_sensor; i++) {
        make_lead(&run->lead[i], &run->scene->sensor[i]);
        if (run->lead[i].failed) return psa_fail_memory(error, "starting");
    }
    return 0;
}

static void put_values(struct psa_buf *out, const struct psa_sim_part *part, const struct psa_sim_reading *reading)
{
    psa_buf_number(out, reading->value[0]);
    for (size_t i = 1; i < part->n_field; i++) {
        psa_buf_put(out, ",\"", 2);
        psa_buf_puts(out, part->field[i].name);
        psa_buf_put(out, "\":", 2);
        psa_buf_number(out, reading->value[i]);
    }
    psa_buf_puts(out, "},\"timestamp_ns\":");
}

static void put_block(struct psa_buf *out, const struct psa_sim_sensor *sensor, const struct psa_sim_reading *reading)
{
    psa_buf_numbers(out, reading->block, reading->n_block);
    psa_buf_puts(out, "},\"rate_hz\":");
    psa_buf_number(out, 1e9 * (double)sensor->period_den / (double)sensor->period_num);
    psa_buf_puts(out, ",\"timestamp_ns\":");
}

static void print_reading(struct run *run, const struct psa_sim_reading *reading)
{
    const struct psa_buf *lead = &run->lead[reading->sensor];
    const struct psa_sim_sensor *sensor = &run->scene->sensor[reading->sensor];
    struct psa_buf *out = &run->out.buf;

    psa_buf_put(out, lead->p, lead->n);
    if (reading->block != NULL) put_block(out, sensor, reading);
    else put_values(out, &psa_sim_parts[sensor->kind], reading);
    psa_buf_int(out, reading->timestamp_ns);
    if (!run->config.no_labels) {
        psa_buf_puts(out, reading->fault != NULL ? ",\"labels\":{\"anomaly\":1,\"fault\":\""
                                                 : ",\"labels\":{\"anomaly\":0}");
        if (reading->fault != NULL) {
            psa_buf_puts(out, reading->fault);
            psa_buf_puts(out, "\"}");
        }
    }
    psa_buf_puts(out, "}\n");
}

static int play(struct run *run, struct psa_error *error)
{
    struct psa_sim *sim = psa_sim_new(run->scene);
    struct psa_sim_reading reading;
    int status = 0;

    if (sim == NULL) return psa_fail_memory(error, "starting");
    while (status == 0 && psa_sim_next(sim, &reading)) {
        status = psa_pace_wait(&run->pace, reading.timestamp_ns, &run->out, error);
        if (status != 0 || reading.missing) continue;
        print_reading(run, &reading);
        status = psa_writer_added(&run->out, error);
        if (++run->written == (uint64_t)run->config.count) break;
    }
    psa_sim_free(sim);
    return status < 0 ? -1 : 0; /* 1: a signal asked to stop, behind a whole line */
}

static int print_faults(struct run *run, struct psa_error *error)
{
    struct psa_buf *out = &run->out.buf;

    for (size_t i = 0; i < run->scene->n_fault; i++) {
        const struct psa_sim_fault *fault = &run->scene->fault[i];
        int64_t from_ns, to_ns;
        if (!psa_sim_fault_span(run->scene, fault, &from_ns, &to_ns)) continue;
        psa_buf_puts(out, "{");
        psa_buf_member_text(out, "fault", psa_str_of(psa_sim_fault_name(fault->kind)));
        psa_buf_member_text(out, "sensor_type", psa_str_of(run->scene->sensor[fault->sensor].type));
        psa_buf_member_text(out, "sensor_id", psa_str_of(run->scene->sensor[fault->sensor].id));
        psa_buf_member_int(out, "from_ns", from_ns);
        psa_buf_member_int(out, "to_ns", to_ns);
        psa_buf_puts(out, "}\n");
        if (psa_writer_added(&run->out, error) != 0) return -1;
    }
    return 0;
}

/* One line of the batch's three sensors, read together: pressure in Pa, vibration (accel_x) in g, temperature in
 * degrees C; ts_ms counts from the batch's begin. */
static int print_batch(struct run *run, struct psa_error *error)
{
    static const char *const names[] = { "pressure", "vibration", "temperature" }; /* in the scene's order */
    struct psa_sim *sim = psa_sim_new(run->scene);
    struct psa_buf *out = &run->out.buf;
    struct psa_sim_reading reading;
    int status = 0;

    if (sim == NULL) return psa_fail_memory(error, "starting");
    psa_buf_puts(out, "{\"sensor_batch\":[");
    const uint64_t count = run->config.count > 0 ? (uint64_t)run->config.count : UINT64_MAX;
    while (status == 0 && run->written < count && psa_sim_next(sim, &reading)) {
        if (reading.sensor == 0 && psa_stop_asked()) break; /* between two entries */
        if (reading.sensor == 0) {
            psa_buf_puts(out, run->written > 0 ? ",{" : "{");
            psa_buf_member_int(out, "ts_ms", (reading.timestamp_ns - run->scene->start_ns) / 1000000);
        }
        psa_buf_name(out, names[reading.sensor]);
        psa_buf_number(out, reading.value[0]);
        if (reading.sensor == 2) {
            run->written++;
            psa_buf_puts(out, "}");
            status = psa_writer_added(&run->out, error);
        }
    }
    psa_buf_puts(out, "]}\n");
    psa_sim_free(sim);
    return status;
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static int run_program(struct run *run, struct psa_error *error)
{
    struct psa_buf text = { 0 };
    const char *name = NULL;
    int status = psa_signals_install(error);

    if (status == 0) status = psa_pace_parse(run->config.speed, &run->pace.speed, error);
    if (status == 0) status = find_spec(&run->config, &text, &name, error);
    if (status == 0 && run->config.print_spec) {
        psa_buf_put(&run->out.buf, text.p, text.n);
        psa_buf_free(&text);
        return 0;
    }
    if (status == 0) status = psa_sim_scene_parse(run->scene, psa_buf_str(&text), name, error);
    psa_buf_free(&text);
    if (status == 0) status = override(run->scene, &run->config, error);
    if (status == 0 && run->config.faults) return print_faults(run, error);
    if (status == 0 && run->config.batch) return print_batch(run, error);
    if (status == 0) status = make_leads(run, error);
    return status == 0 ? play(run, error) : status;
}

int psa_sim_main(int argc, char **argv)
{
    struct run run = { 0 };
    const struct psa_source_program program = {
        "psa-sim", "[OPTION]...", "Play synthetic sensors with known faults: one record a line on stdout.",
        options,   &run.config,
    };
    struct psa_error error = { 0 };
    int operand = 0, status = psa_source_options(&program, argc, argv, &operand);

    if (status != PSA_SOURCE_GO) return status;
    psa_writer_init(&run.out, STDOUT_FILENO, "stdout");
    run.scene = calloc(1, sizeof *run.scene);
    if (run.scene == NULL) status = psa_fail_memory(&error, "starting");
    else if (operand < argc)
        status = psa_fail(&error, PSA_EXIT_PERMANENT, "'%s' is one argument too many; a scene is read with --spec",
                          argv[operand]);
    else status = run_program(&run, &error);
    status = psa_source_end(program.name, &run.out, status, &error);
    for (size_t i = 0; run.lead != NULL && i < run.scene->n_sensor; i++) psa_buf_free(&run.lead[i]);
    free(run.lead);
    free(run.scene);
    return status;
}
