/*
 * iio.c - any sensor that the kernel drives, through its industrial I/O subsystem: channels polled one by one, or
 * captured at the beats of a trigger with the kernel's own times. Names and units become those of the chips that
 * psa drives itself.
 *
 * Units: Documentation/ABI/testing/sysfs-bus-iio of Linux 6.1, "Units after application of scale and offset".
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/glob.h"
#include "sensor/bus_iio.h"
#include "sensor/drivers.h"

/* Standard gravity in m/s^2 (3rd CGPM, 1901), and degrees in a radian. */
#define GRAVITY 9.80665
#define DEGREES (180 / 3.14159265358979323846)

/* A read of a capture waits no longer than this, so that stops and watchdogs are served. */
#define WAIT_NS INT64_C(1000000000)
/* A capture whose rate is known and that gives nothing for so many beats, and at least QUIET_NS, has stopped. */
static const double quiet_beats = 10;
#define QUIET_NS INT64_C(2000000000)
/* Two samples this many beats apart have lost some between them: between 1, and 2 where one is missing, on the late
 * side, since the kernel's stamps come late now and then but hardly by three quarters of a beat. */
static const double gap_beats = 1.75;
/* The rate is measured over stretches of at least so long. The first few make a mean; then each new one has so much
 * of it. */
#define MEASURE_NS INT64_C(1000000000)
enum { MEASURE_BEATS = 16 };
static const double measure_share = 0.2;

enum { NAME_MAX_BYTES = 64 };

struct iio_config {
    const char *channels, *trigger, *uri;
    int64_t samples; /* of the buffer; 0: not given */
    /* What start() finds out, valid until the next one. */
    char model[NAME_MAX_BYTES], field[PSA_SENSOR_FIELDS_MAX][NAME_MAX_BYTES];
};

/* How a channel's number becomes a field's value. */
struct conversion {
    double offset, scale, multiply, divide;
};

struct iio_state {
    size_t channel[PSA_SENSOR_FIELDS_MAX]; /* index in the device's, for each field */
    struct conversion conversion[PSA_SENSOR_FIELDS_MAX];
    bool warned[PSA_SENSOR_FIELDS_MAX];
    double value[PSA_SENSOR_FIELDS_MAX];

    /* a capture */
    struct psa_iio_stream stream;
    double beat_ns;        /* measured; 0: unknown */
    int64_t last_ns;       /* the newest sample's time; 0: none yet */
    int64_t heard_ns;      /* when there was a sample last */
    int64_t stretch_ns;    /* where the stretch that is being measured began */
    int64_t stretch_beats; /* beats since then */
    int64_t stretches;     /* that are measured */
    bool broken;           /* a wait has failed, or should have brought something */
};

#define AT(member) offsetof(struct iio_config, member)
static const struct psa_option options[] = {
    { .name = "channels",
      .type = PSA_OPT_TEXT,
      .offset = AT(channels),
      .metavar = "LIST",
      .help = "only channels like these, as accel_*,temp: the kernel's names or the fields'" },
    { .name = "trigger",
      .type = PSA_OPT_TEXT,
      .offset = AT(trigger),
      .metavar = "NAME",
      .help = "capture in the kernel, a sample at each beat of that trigger" },
    { .name = "buffer",
      .type = PSA_OPT_COUNT,
      .offset = AT(samples),
      .metavar = "N",
      .min = 1,
      .max = PSA_SENSOR_BLOCK_MAX,
      .help = "samples that the kernel's buffer holds; without trigger=, capture with the one that is set" },
    { .name = "uri",
      .type = PSA_OPT_TEXT,
      .offset = AT(uri),
      .metavar = "URI",
      .help = "where the device is, as libiio writes it: ip:192.0.2.7 for a machine that runs iiod" },
    { .type = PSA_OPT_END },
};

static int configure(struct psa_sensor *sensor, struct psa_error *error);
static int start(struct psa_sensor *sensor, struct psa_fault *fault);
static int read_device(struct psa_sensor *sensor, struct psa_fault *fault);
static void stop(struct psa_sensor *sensor);

const struct psa_sensor_driver psa_driver_iio = {
    .name = "iio",
    .summary = "any sensor the kernel drives (industrial I/O), polled or captured with a trigger",
    .usage = "iio:NAME, NAME being bmp280, iio:device0 or a label",
    .sensor_type = "iio",
    .sensor_model = "iio",
    .bus = PSA_BUS_IIO,
    .options = options,
    .config_size = sizeof(struct iio_config),
    .state_size = sizeof(struct iio_state),
    .every_ns = 1000000000,
    .failures = 3,
    .configure = configure,
    .start = start,
    .read = read_device,
    .stop = stop,
    .notes =
        "Fields are in psa's units: accel_x (g), gyro_x (deg/s), temperature_C, pressure_Pa, humidity_pct, voltage0_V.",
};

/* ---- names and units ------------------------------------------------------------------------------------------ */

/* A channel type of the kernel's: the stem of its fields' names, what ends them, and (number * multiply) / divide. */
struct quantity {
    const char *type, *stem, *unit;
    double multiply, divide;
};

/* Types without a line keep their names, and their numbers as the kernel scales them: proximity, intensity, count,
 * steps, activity, index, ph, uvindex have no unit; of others this kernel's document says nothing. */
static const struct quantity quantities[] = {
    { "accel", "accel", "", 1, GRAVITY },                /* m/s^2 to g */
    { "gravity", "gravity", "", 1, GRAVITY },            /* m/s^2 to g */
    { "anglvel", "gyro", "", DEGREES, 1 },               /* rad/s to deg/s */
    { "temp", "temperature", "_C", 1, 1000 },            /* milli degrees Celsius */
    { "pressure", "pressure", "_Pa", 1000, 1 },          /* kilopascal */
    { "humidityrelative", "humidity", "_pct", 1, 1000 }, /* milli per cent */
    { "magn", "magn", "_uT", 100, 1 },                   /* gauss */
    { "voltage", "voltage", "_V", 1, 1000 },             /* millivolt */
    { "current", "current", "_A", 1, 1000 },             /* milliampere */
    { "power", "power", "_W", 1, 1000 },                 /* milliwatt */
    { "energy", "energy", "_J", 1, 1 },
    { "resistance", "resistance", "_Ohm", 1, 1 },
    { "capacitance", "capacitance", "_nF", 1, 1 },
    { "electricalconductivity", "conductivity", "_S_m", 1, 1 },
    { "illuminance", "illuminance", "_lx", 1, 1 },
    { "distance", "distance", "_m", 1, 1 },
    { "velocity", "velocity", "_m_s", 1, 1 },
    { "positionrelative", "positionrelative", "_pct", 1, 1000 }, /* milli per cent */
    { "concentration", "concentration", "_pct", 1, 1 },
    { "massconcentration", "massconcentration", "_ug_m3", 1, 1 },
    { "angl", "angl", "_rad", 1, 1 },
    { "phase", "phase", "_rad", 1, 1 },
    { "incli", "incli", "_deg", 1, 1 },
    { "rot", "rot", "_deg", 1, 1 },
};

/* The channel's type ends where its number or its axis begins: accel_x, voltage12, temp. */
static size_t type_bytes(const char *id)
{
    return strspn(id, "abcdefghijklmnopqrstuvwxyz");
}

static bool is_type(const char *id, const char *type)
{
    return type_bytes(id) == strlen(type) && strncmp(id, type, strlen(type)) == 0;
}

static struct quantity quantity_of(const char *id)
{
    for (size_t i = 0; i < sizeof quantities / sizeof *quantities; i++) {
        if (is_type(id, quantities[i].type)) return quantities[i];
    }
    return (struct quantity){ id, NULL, "", 1, 1 };
}

/* The field's name: stem, then the number and axis as the kernel has them, then the unit. What is no letter or digit
 * would have to be quoted in conditions and queries, and becomes an underscore: voltage0-voltage1 is
 * voltage0_voltage1_V. */
static void name_field(const char *id, char name[NAME_MAX_BYTES])
{
    const struct quantity quantity = quantity_of(id);
    const size_t n = type_bytes(id);

    if (quantity.stem != NULL) snprintf(name, NAME_MAX_BYTES, "%s%.40s%s", quantity.stem, id + n, quantity.unit);
    else snprintf(name, NAME_MAX_BYTES, "%.60s", id);
    for (; *name != '\0'; name++) {
        if (strchr("-()^+.", *name) != NULL) *name = '_';
    }
}

/* Does the device have a channel of that type among the chosen ones? */
static bool has_type(const struct psa_sensor *sensor, const char *type)
{
    const struct iio_state *state = sensor->state;

    for (size_t i = 0; i < sensor->n_field; i++) {
        if (is_type(sensor->iio->channel[state->channel[i]].id, type)) return true;
    }
    return false;
}

/* The sensor type that pipelines know such fields by. */
static const char *type_of(const struct psa_sensor *sensor)
{
    if (has_type(sensor, "accel") && has_type(sensor, "anglvel")) return "accel_gyro";
    if (has_type(sensor, "pressure")) return "pressure";
    if (has_type(sensor, "temp") && has_type(sensor, "humidityrelative")) return "dht11";
    return "iio";
}

/* Models are in capitals, as data sheets have them; the kernel's names are not. */
static void name_model(const char *name, char model[NAME_MAX_BYTES])
{
    snprintf(model, NAME_MAX_BYTES, "%s", name);
    for (; *model != '\0'; model++) {
        if (*model >= 'a' && *model <= 'z') *model = (char)(*model - 'a' + 'A');
    }
}

/* ---- setting up ----------------------------------------------------------------------------------------------- */

static bool is_captured(const struct iio_config *config)
{
    return config->trigger != NULL || config->samples > 0;
}

static int configure(struct psa_sensor *sensor, struct psa_error *error)
{
    struct iio_config *config = sensor->config;

    sensor->uri = config->uri;
    if (sensor->common.model == NULL && strncmp(sensor->bus, "iio:", 4) != 0) {
        name_model(sensor->bus, config->model);
        sensor->model = config->model;
    }
    if (config->trigger != NULL && *config->trigger == '\0')
        return psa_sensor_refuse(sensor, error, "trigger needs a name");
    if (config->channels != NULL && *config->channels == '\0')
        return psa_sensor_refuse(sensor, error, "channels needs names");
    if (!is_captured(config)) return 0;
    /* The trigger says when; without rate= or every= it keeps the rate that it has. */
    sensor->own_seq = true;
    if (sensor->common.rate_hz <= 0 && sensor->common.every_ns <= 0) sensor->rate_hz = 0;
    sensor->period_ns = 0;
    sensor->period_exact_ns = 0;
    return 0;
}

/* Is this channel one that can be had? */
static bool is_usable(const struct psa_sensor *sensor, size_t i)
{
    const struct psa_iio_channel *channel = &sensor->iio->channel[i];

    return is_captured(sensor->config) ? channel->scan : channel->readable;
}

/* The names of the channels there are, for messages. */
static void list_channels(const struct psa_sensor *sensor, char *list, size_t size)
{
    size_t n = 0;

    *list = '\0';
    for (size_t i = 0; i < sensor->iio->n_channel; i++) {
        const char *id = sensor->iio->channel[i].id;
        if (!is_usable(sensor, i) || n + strlen(id) + 3 > size) continue;
        n += (size_t)snprintf(list + n, size - n, "%s%s", n > 0 ? ", " : "", id);
    }
}

static bool is_like(const char *patterns, const char *id)
{
    char name[NAME_MAX_BYTES];

    name_field(id, name);
    return psa_glob_match(patterns, psa_str_of(id)) || psa_glob_match(patterns, psa_str_of(name));
}

/* Each pattern must mean a channel: a misspelt one would otherwise only be missed in the readings. */
static int check_patterns(const struct psa_sensor *sensor, const char *patterns, struct psa_fault *fault)
{
    char pattern[64], list[120];
    struct psa_str one;

    while ((one = psa_list_next(&patterns, NULL)).p != NULL) {
        bool found = false;
        snprintf(pattern, sizeof pattern, "%.*s", (int)one.n, one.p);
        for (size_t i = 0; i < sensor->iio->n_channel; i++)
            found |= is_usable(sensor, i) && is_like(pattern, sensor->iio->channel[i].id);
        if (found) continue;
        list_channels(sensor, list, sizeof list);
        return psa_fault_set(fault, PSA_FAULT_WRONG, "channels: '%s' is none of %s's: %s", pattern, sensor->iio->name,
                             list);
    }
    return 0;
}

/* Make one channel a field. */
static void add_field(struct psa_sensor *sensor, size_t i)
{
    const struct psa_iio_channel *channel = &sensor->iio->channel[i];
    const struct quantity quantity = quantity_of(channel->id);
    struct iio_config *config = sensor->config;
    struct iio_state *state = sensor->state;
    const size_t n = sensor->n_field++;
    /* The buffer has raw numbers even where the attribute is processed. */
    const bool raw = is_captured(config) || !channel->processed;

    name_field(channel->id, config->field[n]);
    sensor->field[n] = config->field[n];
    state->channel[n] = i;
    state->conversion[n] =
        (struct conversion){ raw ? channel->offset : 0, raw ? channel->scale : 1, quantity.multiply, quantity.divide };
}

static int choose_channels(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct iio_config *config = sensor->config;
    size_t too_many = 0;
    char text[120];

    sensor->n_field = 0;
    if (config->channels != NULL && check_patterns(sensor, config->channels, fault) != 0) return -1;
    for (size_t i = 0; i < sensor->iio->n_channel; i++) {
        if (!is_usable(sensor, i)) continue;
        if (config->channels != NULL && !is_like(config->channels, sensor->iio->channel[i].id)) continue;
        if (sensor->n_field < PSA_SENSOR_FIELDS_MAX) add_field(sensor, i);
        else too_many++;
    }
    if (sensor->n_field == 0)
        return psa_fault_set(fault, PSA_FAULT_WRONG, "%s has no channel that can be %s", sensor->iio->name,
                             is_captured(config) ? "captured; leave trigger= and buffer= out" : "read one by one");
    if (too_many > 0) {
        snprintf(text, sizeof text,
                 "%zu channels more than the %d that a record holds are left out; choose with channels=", too_many,
                 PSA_SENSOR_FIELDS_MAX);
        sensor->world->warn(sensor, text);
    }
    return 0;
}

/* Begin to capture. */
static int start_capture(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct iio_config *config = sensor->config;
    struct iio_state *state = sensor->state;
    const double wanted_hz = sensor->common.rate_hz > 0    ? sensor->common.rate_hz
                             : sensor->common.every_ns > 0 ? 1e9 / (double)sensor->common.every_ns
                                                           : 0;
    const struct psa_iio_capture how = { .trigger = config->trigger,
                                         .rate_hz = wanted_hz,
                                         .samples = (size_t)config->samples,
                                         .channel = state->channel,
                                         .n_channel = sensor->n_field };
    char text[160];

    sensor->upto_ns = state->heard_ns = sensor->world->now_ns(sensor);
    if (sensor->iio->calls->capture(sensor->iio, &how, &state->stream, fault) != 0) return -1;
    sensor->rate_hz = sensor->measured_hz = state->stream.rate_hz;
    state->beat_ns = state->stream.rate_hz > 0 ? 1e9 / state->stream.rate_hz : 0;
    if (wanted_hz > 0 && fabs(state->stream.rate_hz - wanted_hz) > 0.01 * wanted_hz) {
        snprintf(text, sizeof text, "asked for %.10g samples a second, %s gives %.10g", wanted_hz,
                 state->stream.trigger != NULL ? state->stream.trigger : sensor->iio->name, state->stream.rate_hz);
        sensor->world->warn(sensor, text);
    }
    if (!state->stream.timed)
        sensor->world->warn(sensor, "the device notes no times; readings carry the time of their arrival");
    return 0;
}

static int start(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct iio_config *config = sensor->config;

    if (choose_channels(sensor, fault) != 0) return -1;
    if (sensor->common.type == NULL) sensor->type = type_of(sensor);
    if (sensor->common.model == NULL) {
        name_model(sensor->iio->name, config->model);
        sensor->model = config->model;
    }
    return is_captured(config) ? start_capture(sensor, fault) : 0;
}

static void stop(struct psa_sensor *sensor)
{
    if (is_captured(sensor->config)) sensor->iio->calls->release(sensor->iio);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* (raw + offset) * scale is the ABI's; then psa's unit. */
static double convert(const struct conversion *conversion, double number)
{
    return (number + conversion->offset) * conversion->scale * conversion->multiply / conversion->divide;
}

/* One channel gives errors while others work: said once. */
static void warn_of_channel(struct psa_sensor *sensor, size_t i, const struct psa_fault *why)
{
    struct iio_state *state = sensor->state;
    char text[sizeof why->text + 80];

    if (state->warned[i]) return;
    state->warned[i] = true;
    snprintf(text, sizeof text, "%s is null: %s", sensor->field[i], why->text);
    sensor->world->warn(sensor, text);
}

static int poll_channels(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct iio_state *state = sensor->state;
    const int64_t taken_ns = sensor->world->now_ns(sensor);
    size_t good = 0, news = PSA_SENSOR_FIELDS_MAX;
    struct psa_fault why, first = { 0 }, said;

    for (size_t i = 0; i < sensor->n_field; i++) {
        double number;
        state->value[i] = NAN;
        if (sensor->iio->calls->read(sensor->iio, state->channel[i], &number, &why) == 0) {
            state->value[i] = convert(&state->conversion[i], number);
            good++;
            continue;
        }
        if (why.kind == PSA_FAULT_ABSENT || first.kind == PSA_FAULT_NONE) first = why;
        if (why.kind == PSA_FAULT_ABSENT) break;
        if (state->warned[i]) continue;
        news = i;
        said = why;
    }
    if (good == 0 || first.kind == PSA_FAULT_ABSENT) {
        *fault = first;
        return -1;
    }
    /* One a reading: the next has the next. */
    if (news < PSA_SENSOR_FIELDS_MAX) warn_of_channel(sensor, news, &said);
    sensor->world->emit(sensor, taken_ns, state->value);
    return 0;
}

/* Beats since the sample before: 1, or more where some are missing. */
static int64_t beats_since(const struct iio_state *state, int64_t at_ns)
{
    const double beats = state->beat_ns > 0 ? (double)(at_ns - state->last_ns) / state->beat_ns : 1;

    return beats < gap_beats ? 1 : (int64_t)(beats + 0.5);
}

/* The rate as it is: beats of a stretch by its length. Only where the device says a rate at all, for a trigger that
 * comes when it likes has none. */
static void measure(struct psa_sensor *sensor, int64_t at_ns, int64_t beats)
{
    struct iio_state *state = sensor->state;
    const int64_t stretch_ns = at_ns - state->stretch_ns;

    if (state->beat_ns <= 0) return;
    state->stretch_beats += beats;
    if (stretch_ns < MEASURE_NS || state->stretch_beats < MEASURE_BEATS) return;
    state->beat_ns += fmax(measure_share, 1.0 / (double)++state->stretches) *
                      ((double)stretch_ns / (double)state->stretch_beats - state->beat_ns);
    sensor->measured_hz = 1e9 / state->beat_ns;
    state->stretch_ns = at_ns;
    state->stretch_beats = 0;
}

/* One sample's reading, and what is missing before it. */
static void emit_sample(struct psa_sensor *sensor, int64_t at_ns)
{
    struct iio_state *state = sensor->state;

    if (state->last_ns == 0) {
        state->stretch_ns = at_ns;
    } else if (at_ns > state->last_ns) {
        const int64_t beats = beats_since(state, at_ns);
        if (beats > 1)
            sensor->world->lost(sensor, beats - 1, "the kernel's times leave gaps: it, or this program, came too late");
        measure(sensor, at_ns, beats);
    }
    state->last_ns = at_ns;
    for (size_t i = 0; i < sensor->n_field; i++) state->value[i] = convert(&state->conversion[i], state->value[i]);
    sensor->world->emit(sensor, at_ns, state->value);
}

/* The capture is broken. What was due since its last sample will not come any more. */
static void give_up(struct psa_sensor *sensor)
{
    struct iio_state *state = sensor->state;
    const int64_t silent_ns = sensor->world->now_ns(sensor) - state->last_ns;
    int64_t due;

    state->broken = true;
    if (state->last_ns == 0 || state->beat_ns <= 0) return;
    due = (int64_t)((double)silent_ns / state->beat_ns);
    if (due <= 0) return;
    sensor->world->lost(sensor, due, "none came before the capture broke");
    state->last_ns += (int64_t)((double)due * state->beat_ns);
}

/* No sample came: has the capture stopped, or has nobody pulled the trigger? */
static int check_quiet(struct psa_sensor *sensor, int64_t asked_ns, struct psa_fault *fault)
{
    struct iio_state *state = sensor->state;
    const int64_t now_ns = sensor->world->now_ns(sensor);
    const double quiet_ns = fmax((double)QUIET_NS, quiet_beats * state->beat_ns);

    if (state->beat_ns > 0 && (double)(now_ns - state->heard_ns) > quiet_ns) {
        give_up(sensor);
        return psa_fault_set(fault, PSA_FAULT_TIMEOUT, "no sample for %.0f s, where %s should give %.6g a second",
                             (double)(now_ns - state->heard_ns) / 1e9,
                             state->stream.trigger != NULL ? state->stream.trigger : "the device",
                             1e9 / state->beat_ns);
    }
    if (asked_ns > sensor->upto_ns) sensor->upto_ns = asked_ns;
    return 0;
}

static int take_samples(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct iio_state *state = sensor->state;
    const int64_t asked_ns = sensor->world->now_ns(sensor);
    int64_t arrived_ns;
    size_t n;

    /* A capture that broke does not mend; who tries it again shall not wait for that. */
    if (sensor->iio->calls->wait(sensor->iio, asked_ns + (state->broken ? 0 : WAIT_NS), &n, fault) != 0) {
        give_up(sensor);
        return -1;
    }
    if (n == 0) return check_quiet(sensor, asked_ns, fault);
    state->broken = false;
    arrived_ns = state->heard_ns = sensor->world->now_ns(sensor);
    for (size_t i = 0; i < n; i++) {
        /* Without a time of its own the last of them is as old as its arrival, the others a beat apart before it. */
        int64_t at_ns = arrived_ns - (int64_t)((double)(n - 1 - i) * state->beat_ns);
        sensor->iio->calls->sample(sensor->iio, i, &at_ns, state->value);
        /* A stream's time never runs backwards, whatever a driver or a burst of arrivals makes of it. */
        if (at_ns < state->last_ns) at_ns = state->last_ns;
        emit_sample(sensor, at_ns);
    }
    if (state->last_ns > sensor->upto_ns) sensor->upto_ns = state->last_ns;
    return 0;
}

static int read_device(struct psa_sensor *sensor, struct psa_fault *fault)
{
    return is_captured(sensor->config) ? take_samples(sensor, fault) : poll_channels(sensor, fault);
}
