/*
 * sim_spec.c - the text of a scene: the built-in ones and the reader, psa-sim(1) FILE FORMAT. One statement a line,
 * words parted by blanks, `#` begins a comment:
 *
 *     seed 7
 *     start 2024-03-09T16:00:00Z
 *     duration 120s
 *     imu|temperature|pressure|vibration ID [name=value ...]
 *     fault KIND TARGET at=DURATION [for=DURATION] [name=value ...]
 */
#include "sensor/sim.h"

#include <math.h>
#include <string.h>

#include "core/buf.h"
#include "core/error.h"
#include "core/option.h"
#include "core/time.h"

#define LINE_MAX_BYTES 512 /* NUL included */
#define WORDS_MAX 32
#define RADIANS_PER_DEGREE 0.017453292519943295
#define DEFAULT_START_NS INT64_C(1710000000000000000) /* 2024-03-09T16:00:00Z */
/* A bearing's impacts as a sensor at the bearing feels them, against an IMU on the machine. */
#define BLOCK_BEARING_G 5.0
#define DEFAULT_DURATION_NS (60 * PSA_NS_PER_SECOND)

/* The kinds of sensors a parameter fits. */
#define IMU (1u << PSA_SIM_IMU)
#define TEMPERATURE (1u << PSA_SIM_TEMPERATURE)
#define PRESSURE (1u << PSA_SIM_PRESSURE)
#define VIBRATION (1u << PSA_SIM_VIBRATION)
#define SHAFT (IMU | VIBRATION)
#define SLOW (TEMPERATURE | PRESSURE)
#define ANY (SHAFT | SLOW)

enum unit { REAL, HZ, RPM, SECONDS, RATE, EVERY, TEXT, COUNT, BEARING };

struct parameter {
    const char *name;
    enum unit unit;
    unsigned kinds;
    size_t offset;   /* in struct psa_sim_sensor */
    double min, max; /* allowed; of times in nanoseconds */
};

#define AT(member) offsetof(struct psa_sim_sensor, member)
static const struct parameter parameters[] = {
    { "rate", RATE, ANY, AT(period_num), 0.001, 1e6 },
    { "every", EVERY, ANY, AT(period_num), 1e3, 86400e9 },
    { "type", TEXT, ANY, AT(type), 0, 0 },
    { "model", TEXT, ANY, AT(model), 0, 0 },
    { "noise", REAL, ANY, AT(noise), 0, 1e9 },
    { "speed", RPM, SHAFT, AT(speed_hz), 0.01, 10000 },
    { "vibration", REAL, SHAFT, AT(vibration_g), 0, 1000 },
    { "gyro", REAL, IMU, AT(gyro_dps), 0, 1e4 },
    { "gyro-noise", REAL, IMU, AT(gyro_noise_dps), 0, 1e4 },
    { "bpfo", REAL, IMU, AT(bpfo_orders), 0.1, 100 },
    { "resonance", HZ, SHAFT, AT(resonance_hz), 1, 1e6 },
    { "decay", SECONDS, SHAFT, AT(decay_s), 1e3, 10e9 },
    { "mean", REAL, SLOW, AT(mean), -1e9, 1e9 },
    { "swing", REAL, SLOW, AT(swing), 0, 1e9 },
    { "cycle", SECONDS, SLOW, AT(cycle_s), 1e6, 1e17 },
    { "block", COUNT, VIBRATION, AT(block), 1, PSA_SIM_BLOCK_MAX },
    { "bearing", BEARING, VIBRATION, AT(orders), 0, 0 },
    { "humidity", REAL, TEMPERATURE, AT(humidity_pct), 0, 100 },
    { "temperature", REAL, PRESSURE, AT(temperature_c), -273.15, 1e4 },
};

static const char *const fault_names[PSA_SIM_FAULT_KINDS] = {
    [PSA_SIM_SPIKE] = "spike",     [PSA_SIM_DRIFT] = "drift",         [PSA_SIM_STUCK] = "stuck",
    [PSA_SIM_DROPOUT] = "dropout", [PSA_SIM_IMBALANCE] = "imbalance", [PSA_SIM_BEARING] = "bearing",
    [PSA_SIM_NOISE] = "noise",
};

/* ---- the built-in scenes ----------------------------------------------------------------------------------------- */

/* Presses turn slowly, so that 100 Hz sees the shaft's harmonics; the bearing is MFPT's (BPFO 3.245 orders). */
static const char press_shop[] =
    "# A small press shop: an IMU, a DHT11 and a pressure sensor in the vacuum line on each of four presses.\n"
    "# All is well for the first 30 s; then five things go wrong, one after the other.\n"
    "seed 1\n"
    "start 2024-03-09T16:00:00Z\n"
    "duration 120s\n"
    "\n"
    "imu press-01 rate=100Hz speed=590rpm\n"
    "imu press-02 rate=100Hz speed=605rpm\n"
    "imu press-03 rate=100Hz speed=580rpm\n"
    "imu press-04 rate=100Hz speed=615rpm\n"
    "temperature press-01 every=1s mean=41 swing=0.4 cycle=20s noise=0.1\n"
    "temperature press-02 every=1s mean=42 swing=0.4 cycle=20s noise=0.1\n"
    "temperature press-03 every=1s mean=40 swing=0.4 cycle=20s noise=0.1\n"
    "temperature press-04 every=1s mean=43 swing=0.4 cycle=20s noise=0.1\n"
    "pressure press-01 every=1s mean=60000 swing=200 cycle=15s noise=40\n"
    "pressure press-02 every=1s mean=60500 swing=200 cycle=15s noise=40\n"
    "pressure press-03 every=1s mean=59500 swing=200 cycle=15s noise=40\n"
    "pressure press-04 every=1s mean=60200 swing=200 cycle=15s noise=40\n"
    "\n"
    "fault imbalance press-02 at=30s for=15s amplitude=0.3\n"
    "fault drift temperature/press-01 at=40s for=40s amplitude=9\n"
    "fault bearing press-03 at=55s for=15s amplitude=1.5\n"
    "fault stuck imu/press-04 at=80s for=10s\n"
    "fault noise pressure/press-02 at=95s for=20s amplitude=800\n";

static const char one_imu[] = "# One MPU-6050 on a motor; an imbalance in the second minute.\n"
                              "seed 1\n"
                              "start 2024-03-09T16:00:00Z\n"
                              "duration 120s\n"
                              "imu imu-01 rate=100Hz speed=590rpm\n"
                              "fault imbalance imu-01 at=60s for=20s amplitude=0.3\n";

/* One accelerometer at a bearing of MFPT's geometry and speed: 8 rollers of 0.235 inches on a circle of 1.245. */
#define BEARING_SCENE                                                       \
    "# An accelerometer at a motor's bearing, in blocks of 4096 samples.\n" \
    "seed 1\n"                                                              \
    "start 2024-03-09T16:00:00Z\n"                                          \
    "duration 10s\n"                                                        \
    "vibration motor-01 rate=25.6kHz speed=1500rpm bearing=8,0.235,1.245,0\n"
static const char bearing[] = BEARING_SCENE;
static const char bearing_outer[] = BEARING_SCENE "fault bearing motor-01 at=0s element=outer\n";
static const char bearing_inner[] = BEARING_SCENE "fault bearing motor-01 at=0s element=inner\n";
static const char bearing_ball[] = BEARING_SCENE "fault bearing motor-01 at=0s element=ball\n";

/* What --batch is made of: three healthy sensors read together. */
static const char batch[] = "seed 1\n"
                            "start 2024-03-09T16:00:00Z\n"
                            "duration 10s\n"
                            "pressure press-01 rate=100Hz mean=60000 swing=200 cycle=5s noise=40\n"
                            "imu press-01 rate=100Hz speed=590rpm\n"
                            "temperature press-01 rate=100Hz mean=41 swing=0.4 cycle=5s noise=0.1\n";

const char *psa_sim_scene_text(const char *name)
{
    static const struct {
        const char *name, *text;
    } scenes[] = {
        { "press-shop", press_shop },
        { "imu", one_imu },
        { "bearing", bearing },
        { "bearing-outer", bearing_outer },
        { "bearing-inner", bearing_inner },
        { "bearing-ball", bearing_ball },
        { "batch", batch },
    };

    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
        if (strcmp(name, scenes[i].name) == 0) return scenes[i].text;
    }
    return NULL;
}

const char *psa_sim_fault_name(enum psa_sim_fault_kind kind)
{
    return fault_names[kind];
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int out_of_range(const char *name, const char *value, struct psa_error *error)
{
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s '%s' is out of range", name, value);
}

/* `25Hz` or `1500rpm`. */
static int parse_speed(char *text, double *hz, struct psa_error *error)
{
    const size_t n = strlen(text);

    if (n <= 3 || strcmp(text + n - 3, "rpm") != 0) return psa_parse_rate(text, "speed", hz, error);
    text[n - 3] = '\0';
    if (psa_parse_real(text, "speed", hz, error) != 0) return -1;
    *hz /= 60;
    return 0;
}

static bool name_ok(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-/";
    const size_t n = strlen(text);

    return n > 0 && n < PSA_SIM_NAME_MAX && strspn(text, allowed) == n;
}

static int take_name(char out[PSA_SIM_NAME_MAX], const char *text, struct psa_error *error)
{
    if (!name_ok(text))
        return psa_fail(error, PSA_EXIT_PERMANENT, "'%s' is no name: 1 to %d letters, digits and any of _ . : - / are",
                        text, PSA_SIM_NAME_MAX - 1);
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int take_ns(const struct parameter *parameter, const char *text, int64_t *ns, struct psa_error *error)
{
    if (psa_parse_duration(text, parameter->name, ns, error) != 0) return -1;
    return (double)*ns < parameter->min || (double)*ns > parameter->max ? out_of_range(parameter->name, text, error)
                                                                        : 0;
}

/* `8,0.235,1.245,0`: rolling elements, their diameter, the pitch circle's in the same unit, the contact angle in degrees. */
static int take_bearing(struct psa_sim_bearing *orders, const char *text, struct psa_error *error)
{
    const struct {
        double min, max;
    } limit[] = { { 1, 1000 }, { 1e-9, 1e9 }, { 1e-9, 1e9 }, { 0, 89 } };
    double value[4];
    const char *p = text;

    for (size_t i = 0; i < 4; i++) {
        char part[64];
        const size_t n = strcspn(p, ",");
        if (n >= sizeof part || (p[n] == ',') != (i < 3))
            return psa_fail(error, PSA_EXIT_PERMANENT, "bearing is n,d,D,angle, not '%s'", text);
        memcpy(part, p, n);
        part[n] = '\0';
        if (psa_parse_real(part, "bearing", &value[i], error) != 0) return -1;
        if (!(value[i] >= limit[i].min && value[i] <= limit[i].max)) return out_of_range("bearing", text, error);
        p += n + 1;
    }
    const double ratio = value[1] / value[2], r = ratio * cos(value[3] * RADIANS_PER_DEGREE);
    if (ratio >= 1)
        return psa_fail(error, PSA_EXIT_PERMANENT, "bearing '%s': its elements are as large as their circle", text);
    *orders = (struct psa_sim_bearing){
        .bpfo = value[0] / 2 * (1 - r),
        .bpfi = value[0] / 2 * (1 + r),
        .bsf = (1 - r * r) / (2 * ratio),
        .ftf = (1 - r) / 2,
    };
    return 0;
}

static int take_parameter(struct psa_sim_sensor *sensor, const struct parameter *parameter, char *text,
                          struct psa_error *error)
{
    double *real = (double *)(void *)((char *)sensor + parameter->offset), value = 0;
    int64_t ns;
    int rc;

    switch (parameter->unit) {
    case TEXT: return take_name((char *)sensor + parameter->offset, text, error);
    case BEARING: return take_bearing(&sensor->orders, text, error);
    case COUNT:
        if (psa_parse_count(text, parameter->name, &sensor->block, error) != 0) return -1;
        return (double)sensor->block < parameter->min || (double)sensor->block > parameter->max
                   ? out_of_range(parameter->name, text, error)
                   : 0;
    case EVERY: sensor->period_den = 1; return take_ns(parameter, text, &sensor->period_num, error);
    case SECONDS:
        if (take_ns(parameter, text, &ns, error) != 0) return -1;
        *real = (double)ns / 1e9;
        return 0;
    case REAL: rc = psa_parse_real(text, parameter->name, &value, error); break;
    case RPM: rc = parse_speed(text, &value, error); break;
    default: rc = psa_parse_rate(text, parameter->name, &value, error); break;
    }
    if (rc != 0) return -1;
    if (value < parameter->min || value > parameter->max) return out_of_range(parameter->name, text, error);
    if (parameter->unit == RATE) { /* in millihertz, so that the period is an exact fraction */
        sensor->period_num = INT64_C(1000000000000);
        sensor->period_den = (int64_t)llround(value * 1000);
    } else {
        *real = value;
    }
    return 0;
}

/* Cut `name=value` at the sign; the value, or NULL with *error set. */
static char *cut(char *word, struct psa_error *error)
{
    char *sign = strchr(word, '=');

    if (sign == NULL) {
        psa_fail(error, PSA_EXIT_PERMANENT, "'%s' is not of the form name=value", word);
        return NULL;
    }
    *sign = '\0';
    return sign + 1;
}

/* ---- sensors ----------------------------------------------------------------------------------------------------- */

/* Copy the name of a part: both have room for it. */
static void set_name(char out[PSA_SIM_NAME_MAX], const char *name)
{
    const size_t n = strnlen(name, PSA_SIM_NAME_MAX - 1);

    memcpy(out, name, n);
    out[n] = '\0';
}

static void sensor_defaults(struct psa_sim_sensor *sensor, enum psa_sim_kind kind)
{
    static const double noise[PSA_SIM_KINDS] = {
        [PSA_SIM_IMU] = 0.01, [PSA_SIM_TEMPERATURE] = 0.1, [PSA_SIM_PRESSURE] = 20, [PSA_SIM_VIBRATION] = 0.3
    };

    memset(sensor, 0, sizeof *sensor);
    sensor->kind = kind;
    set_name(sensor->type, psa_sim_parts[kind].sensor_type);
    set_name(sensor->model, psa_sim_parts[kind].sensor_model);
    sensor->period_num = kind == PSA_SIM_IMU ? 10 * PSA_NS_PER_MS : PSA_NS_PER_SECOND;
    sensor->period_den = 1;
    if (kind == PSA_SIM_VIBRATION) { /* 25.6 kHz, in millihertz */
        sensor->period_num = INT64_C(1000000000000);
        sensor->period_den = 25600000;
        sensor->block = 4096;
    }
    sensor->noise = noise[kind];
    sensor->speed_hz = 25;
    sensor->vibration_g = kind == PSA_SIM_VIBRATION ? 0.2 : 0.05;
    sensor->gyro_dps = 0.5;
    sensor->gyro_noise_dps = 0.05;
    sensor->bpfo_orders = 3.245;
    sensor->resonance_hz = 3000;
    sensor->decay_s = kind == PSA_SIM_VIBRATION ? 0.0005 : 0.002;
    sensor->orders = (struct psa_sim_bearing){ 3.245, 4.755, 2.555, 0.4056 }; /* MFPT's: 8,0.235,1.245,0 */
    sensor->mean = kind == PSA_SIM_PRESSURE ? 101325 : 22;
    sensor->cycle_s = 60;
    sensor->humidity_pct = 45;
    sensor->temperature_c = 25;
}

static int read_sensor(struct psa_sim_scene *scene, enum psa_sim_kind kind, char **word, size_t n_word,
                       struct psa_error *error)
{
    const size_t n_parameter = sizeof parameters / sizeof *parameters;
    struct psa_sim_sensor sensor;

    if (n_word < 2) return psa_fail(error, PSA_EXIT_PERMANENT, "%s needs an id", word[0]);
    if (scene->n_sensor == PSA_SIM_SENSORS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "more than %d sensors", PSA_SIM_SENSORS_MAX);
    sensor_defaults(&sensor, kind);
    if (take_name(sensor.id, word[1], error) != 0) return -1;
    for (size_t i = 0; i < scene->n_sensor; i++) {
        if (scene->sensor[i].kind == kind && strcmp(scene->sensor[i].id, sensor.id) == 0)
            return psa_fail(error, PSA_EXIT_PERMANENT, "a second %s '%s'", word[0], word[1]);
    }
    for (size_t i = 2; i < n_word; i++) {
        char *value = cut(word[i], error);
        size_t at = 0;
        if (value == NULL) return -1;
        while (at < n_parameter &&
               (strcmp(parameters[at].name, word[i]) != 0 || (parameters[at].kinds & (1u << kind)) == 0))
            at++;
        if (at == n_parameter) return psa_fail(error, PSA_EXIT_PERMANENT, "%s has no '%s'", word[0], word[i]);
        if (take_parameter(&sensor, &parameters[at], value, error) != 0) return -1;
    }
    scene->sensor[scene->n_sensor++] = sensor;
    return 0;
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

/* Does TARGET (`press-01`, `temperature/press-01`, `dht11/press-01`) name this sensor? */
static bool names_sensor(const char *target, const struct psa_sim_sensor *sensor)
{
    const char *const prefix[] = { "", psa_sim_parts[sensor->kind].word, sensor->type };

    if (strcmp(target, sensor->id) == 0) return true;
    for (size_t i = 1; i < 3; i++) {
        const size_t n = strlen(prefix[i]);
        if (strncmp(target, prefix[i], n) == 0 && target[n] == '/' && strcmp(target + n + 1, sensor->id) == 0)
            return true;
    }
    return false;
}

static bool on_shaft(enum psa_sim_fault_kind kind)
{
    return kind == PSA_SIM_IMBALANCE || kind == PSA_SIM_BEARING;
}

/* Faults of a shaft look only among sensors that feel one, so that a machine's name is enough. */
static int find_target(const struct psa_sim_scene *scene, struct psa_sim_fault *fault, const char *target,
                       struct psa_error *error)
{
    size_t found = 0;

    for (size_t i = 0; i < scene->n_sensor; i++) {
        const unsigned kind = 1u << scene->sensor[i].kind;
        if ((on_shaft(fault->kind) && (kind & SHAFT) == 0) || !names_sensor(target, &scene->sensor[i])) continue;
        fault->sensor = i;
        found++;
    }
    if (found == 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "no %s '%s' above this line",
                        on_shaft(fault->kind) ? "imu or vibration" : "sensor", target);
    if (found > 1)
        return psa_fail(error, PSA_EXIT_PERMANENT, "'%s' names %zu sensors; say which: temperature/%s", target, found,
                        target);
    return 0;
}

static int take_field(const struct psa_sim_scene *scene, struct psa_sim_fault *fault, const char *name,
                      struct psa_error *error)
{
    const struct psa_sim_sensor *sensor = &scene->sensor[fault->sensor];
    const struct psa_sim_part *part = &psa_sim_parts[sensor->kind];

    if (on_shaft(fault->kind))
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s acts on the whole shaft: no field", fault_names[fault->kind]);
    for (size_t i = 0; i < part->n_field; i++) {
        if (strcmp(part->field[i].name, name) == 0) {
            fault->field = (int)i;
            return 0;
        }
    }
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s has no field '%s'", part->word, name);
}

static int take_element(const struct psa_sim_scene *scene, struct psa_sim_fault *fault, const char *name,
                        struct psa_error *error)
{
    static const char *const elements[PSA_SIM_ELEMENTS] = {
        [PSA_SIM_OUTER] = "outer", [PSA_SIM_INNER] = "inner", [PSA_SIM_BALL] = "ball"
    };

    if (scene->sensor[fault->sensor].kind != PSA_SIM_VIBRATION)
        return psa_fail(error, PSA_EXIT_PERMANENT, "element is for vibration sensors; an imu sees only bpfo impacts");
    for (int i = 0; i < PSA_SIM_ELEMENTS; i++) {
        if (strcmp(elements[i], name) == 0) {
            fault->element = (enum psa_sim_element)i;
            return 0;
        }
    }
    return psa_fail(error, PSA_EXIT_PERMANENT, "element is outer, inner or ball, not '%s'", name);
}

static int take_fault_word(const struct psa_sim_scene *scene, struct psa_sim_fault *fault, const char *name,
                           const char *value, struct psa_error *error)
{
    if (strcmp(name, "at") == 0) return psa_parse_duration(value, name, &fault->at_ns, error);
    if (strcmp(name, "for") == 0) {
        if (psa_parse_duration(value, name, &fault->for_ns, error) != 0) return -1;
        return fault->for_ns <= 0 ? out_of_range(name, value, error) : 0;
    }
    if (strcmp(name, "amplitude") == 0) return psa_parse_real(value, name, &fault->amplitude, error);
    if (strcmp(name, "field") == 0) return take_field(scene, fault, value, error);
    if (strcmp(name, "every") == 0 && fault->kind == PSA_SIM_SPIKE) {
        if (psa_parse_duration(value, name, &fault->every_ns, error) != 0) return -1;
        return fault->every_ns <= 0 ? out_of_range(name, value, error) : 0;
    }
    if (strcmp(name, "null") == 0 && fault->kind == PSA_SIM_DROPOUT) {
        fault->null = strcmp(value, "1") == 0;
        return fault->null || strcmp(value, "0") == 0
                   ? 0
                   : psa_fail(error, PSA_EXIT_PERMANENT, "null is 0 or 1, not '%s'", value);
    }
    if (strcmp(name, "element") == 0 && fault->kind == PSA_SIM_BEARING) return take_element(scene, fault, value, error);
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s has no '%s'", fault_names[fault->kind], name);
}

static int check_fault(const struct psa_sim_fault *fault, struct psa_error *error)
{
    const char *name = fault_names[fault->kind];

    if (fault->at_ns < 0) return psa_fail(error, PSA_EXIT_PERMANENT, "%s needs at=, 0 or more after the start", name);
    if (isnan(fault->amplitude)) return psa_fail(error, PSA_EXIT_PERMANENT, "%s needs an amplitude", name);
    if (fault->kind == PSA_SIM_DRIFT && fault->for_ns == PSA_SIM_ENDLESS)
        return psa_fail(error, PSA_EXIT_PERMANENT, "drift needs for=, the time to reach its amplitude");
    return 0;
}

static int read_fault(struct psa_sim_scene *scene, char **word, size_t n_word, struct psa_error *error)
{
    struct psa_sim_fault fault = { .at_ns = -1, .for_ns = PSA_SIM_ENDLESS, .every_ns = 2 * PSA_NS_PER_SECOND };
    int kind = 0;

    if (n_word < 3) return psa_fail(error, PSA_EXIT_PERMANENT, "fault needs a kind and a sensor");
    if (scene->n_fault == PSA_SIM_FAULTS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "more than %d faults", PSA_SIM_FAULTS_MAX);
    while (kind < PSA_SIM_FAULT_KINDS && strcmp(fault_names[kind], word[1]) != 0) kind++;
    if (kind == PSA_SIM_FAULT_KINDS) return psa_fail(error, PSA_EXIT_PERMANENT, "no fault is called '%s'", word[1]);
    fault.kind = (enum psa_sim_fault_kind)kind;
    fault.field = fault.kind == PSA_SIM_STUCK || fault.kind == PSA_SIM_DROPOUT ? -1 : 0;
    fault.amplitude = fault.kind == PSA_SIM_IMBALANCE ? 0.3 : fault.kind == PSA_SIM_BEARING ? 1.5 : (double)NAN;
    if (fault.field < 0) fault.amplitude = 0; /* stuck and dropout have none */
    if (find_target(scene, &fault, word[2], error) != 0) return -1;
    if (fault.kind == PSA_SIM_BEARING && scene->sensor[fault.sensor].kind == PSA_SIM_VIBRATION)
        fault.amplitude = BLOCK_BEARING_G;
    for (size_t i = 3; i < n_word; i++) {
        const char *value = cut(word[i], error);
        if (value == NULL || take_fault_word(scene, &fault, word[i], value, error) != 0) return -1;
    }
    if (check_fault(&fault, error) != 0) return -1;
    scene->fault[scene->n_fault++] = fault;
    return 0;
}

/* ---- statements -------------------------------------------------------------------------------------------------- */

static int read_setting(struct psa_sim_scene *scene, const char *name, const char *value, struct psa_error *error)
{
    const char *end = value + strlen(value);
    int64_t n;

    if (strcmp(name, "seed") == 0) {
        if (psa_parse_count(value, name, &n, error) != 0) return -1;
        scene->seed = (uint64_t)n;
        return 0;
    }
    if (strcmp(name, "duration") == 0) {
        if (psa_parse_duration(value, name, &n, error) != 0) return -1;
        if (n < 0) return out_of_range(name, value, error);
        scene->duration_ns = n == 0 ? PSA_SIM_ENDLESS : n;
        return 0;
    }
    if (psa_time_parse_iso(value, end, &scene->start_ns) || psa_time_parse_epoch(value, end, 1, &scene->start_ns))
        return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "'%s' is no time: 2024-03-09T16:00:00Z or nanoseconds since 1970 are",
                    value);
}

static int read_statement(struct psa_sim_scene *scene, char **word, size_t n_word, struct psa_error *error)
{
    for (int kind = 0; kind < PSA_SIM_KINDS; kind++) {
        if (strcmp(word[0], psa_sim_parts[kind].word) == 0)
            return read_sensor(scene, (enum psa_sim_kind)kind, word, n_word, error);
    }
    if (strcmp(word[0], "fault") == 0) return read_fault(scene, word, n_word, error);
    if (strcmp(word[0], "seed") != 0 && strcmp(word[0], "start") != 0 && strcmp(word[0], "duration") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "'%s' is none of seed, start, duration, imu, temperature, pressure, vibration, fault", word[0]);
    if (n_word != 2) return psa_fail(error, PSA_EXIT_PERMANENT, "%s needs one value", word[0]);
    return read_setting(scene, word[0], word[1], error);
}

/* Cut a line (NUL-ended, changed) into words; a word that begins with `#` ends it. */
static size_t split(char *line, char *word[WORDS_MAX])
{
    size_t n = 0;
    char *rest = NULL;

    for (char *p = strtok_r(line, " \t\r", &rest); p != NULL && *p != '#' && n < WORDS_MAX;
         p = strtok_r(NULL, " \t\r", &rest))
        word[n++] = p;
    return n;
}

static int read_line(struct psa_sim_scene *scene, const char *p, size_t n, struct psa_error *error)
{
    char line[LINE_MAX_BYTES], *word[WORDS_MAX];

    if (n >= sizeof line)
        return psa_fail(error, PSA_EXIT_PERMANENT, "a line of more than %d bytes", LINE_MAX_BYTES - 1);
    if (memchr(p, '\0', n) != NULL) return psa_fail(error, PSA_EXIT_PERMANENT, "a NUL byte: this is no text");
    memcpy(line, p, n);
    line[n] = '\0';
    const size_t n_word = split(line, word);
    return n_word == 0 ? 0 : read_statement(scene, word, n_word, error);
}

int psa_sim_scene_parse(struct psa_sim_scene *scene, struct psa_str text, const char *name, struct psa_error *error)
{
    const char *p = text.p, *end = text.p + text.n;
    unsigned long line = 1;

    memset(scene, 0, sizeof *scene);
    scene->seed = 1;
    scene->start_ns = DEFAULT_START_NS;
    scene->duration_ns = DEFAULT_DURATION_NS;
    for (; p < end; line++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const size_t n = (size_t)((newline != NULL ? newline : end) - p);
        struct psa_error why;
        if (read_line(scene, p, n, &why) != 0)
            return psa_fail(error, why.status, "%s:%lu: %.800s", name, line, why.text);
        p += n + (newline != NULL);
    }
    if (scene->n_sensor == 0) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: no sensor in it", name);
    return 0;
}
