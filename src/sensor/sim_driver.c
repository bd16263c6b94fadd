/*
 * sim_driver.c - sensors that are not there, `sim:KIND`: what sim.h plays, read as a chip would be, with the faults of psa-sim(1)
 * and some of a sensor's own: the wire is pulled, the chip repeats itself, the bus hangs. For trying a pipeline without any
 * hardware, and for tests.
 *
 * The options become the text of a scene with one sensor, which sim_spec.c reads, so that names, ranges and messages are
 * psa-sim's. The scene's time begins with the first start and goes on while the sensor is unplugged.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/error.h"
#include "sensor/drivers.h"
#include "sensor/sim.h"

#define NS_PER_SECOND INT64_C(1000000000)
/* How often each of the faults of a sensor's own may be given. */
#define SPANS_MAX 16
/* A scene takes no lower rate=, but the same as every=, sim_spec.c. */
#define SCENE_RATE_MIN_HZ 0.001
/* After being unplugged the scene catches up by at most so many samples in a read: some 30 ms. */
#define CATCH_UP_MAX 100000
/* A repeated value becomes a fault after this time, as with real chips. */
#define STUCK_NS (2 * NS_PER_SECOND)

/* Times from the first start. */
struct span {
    int64_t at_ns, for_ns; /* INT64_MAX: to the end */
};

struct spans {
    struct span span[SPANS_MAX];
    size_t n;
};

struct config {
    const char *seed, *noise, *speed, *vibration, *gyro, *gyro_noise, *bpfo, *bearing, *resonance, *decay, *mean,
        *swing, *cycle, *humidity, *temperature;
    const char *fault[PSA_SIM_FAULTS_MAX]; /* "imbalance,at=5s,for=3s" */
    size_t n_fault;
    struct spans unplug, stuck, hang;

    /* made by configure() */
    enum psa_sim_kind kind;
    struct psa_sim_scene *scene;
    struct psa_sim *sim;
    int64_t begin_ns;  /* of the scene, on the monotonic clock; 0: not yet */
    int64_t played_ns; /* what the scene has reached */
    int64_t lag_ns;    /* vibration: what it has not caught up with, and never will */
    double value[PSA_SIM_FIELDS_MAX];
};

static int take_fault(void *config, const struct psa_option *option, const char *value, struct psa_error *error);
static int take_span(void *config, const struct psa_option *option, const char *value, struct psa_error *error);

#define AT(member) offsetof(struct config, member)
#define TEXT(option, member, unit, words)                                                                \
    {                                                                                                    \
        .name = (option), .type = PSA_OPT_TEXT, .offset = AT(member), .metavar = (unit), .help = (words) \
    }
#define SPAN(option, member, words)                                                                             \
    {                                                                                                           \
        .name = (option), .type = PSA_OPT_CALL, .offset = AT(member), .metavar = "AT[,FOR]", .take = take_span, \
        .help = (words)                                                                                         \
    }
static const struct psa_option options[] = {
    TEXT("seed", seed, "N", "another sequence of random numbers"),
    TEXT("noise", noise, "X", "standard deviation of the first quantity: g, degrees C, Pa"),
    TEXT("speed", speed, "HZ|RPM", "imu, vibration: the shaft's speed"),
    TEXT("vibration", vibration, "G", "imu, vibration: amplitude at the shaft's frequency"),
    TEXT("gyro", gyro, "DPS", "imu: how much the machine rocks"),
    TEXT("gyro-noise", gyro_noise, "DPS", "imu: noise of the rotation"),
    TEXT("bpfo", bpfo, "X", "imu: impacts of a bearing's defect per turn"),
    TEXT("bearing", bearing, "n,d,D,ANGLE", "vibration: the bearing's geometry"),
    TEXT("resonance", resonance, "HZ", "imu, vibration: what a bearing's impacts excite"),
    TEXT("decay", decay, "TIME", "imu, vibration: how fast that dies away"),
    TEXT("mean", mean, "X", "bmp180, dht11: mean of the first field"),
    TEXT("swing", swing, "X", "bmp180, dht11: amplitude of a sine around it"),
    TEXT("cycle", cycle, "TIME", "bmp180, dht11: the sine's period"),
    TEXT("humidity", humidity, "PCT", "dht11: mean of the humidity"),
    TEXT("temperature", temperature, "C", "bmp180: mean of the temperature"),
    { .name = "fault",
      .type = PSA_OPT_CALL,
      .metavar = "KIND,at=TIME[,...]",
      .take = take_fault,
      .help = "a fault of the machine as in psa-sim: imbalance,at=5s,for=3s; may be repeated" },
    SPAN("unplug", unplug, "after AT the sensor is absent, for FOR; may be repeated"),
    SPAN("stuck", stuck, "after AT the sensor repeats its last value, for FOR; may be repeated"),
    SPAN("hang", hang, "a read after AT does not come back before AT and FOR; may be repeated"),
    { .type = PSA_OPT_END },
};

/* ---- options ----------------------------------------------------------------------------------------------------- */

static int take_fault(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct config *sim = config;

    (void)option;
    if (sim->n_fault == PSA_SIM_FAULTS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "fault: more than %d", PSA_SIM_FAULTS_MAX);
    sim->fault[sim->n_fault++] = value;
    return 0;
}

static int take_span(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct spans *spans = (struct spans *)(void *)((char *)config + option->offset);
    struct span span = { 0, INT64_MAX };
    const char *comma = strchr(value, ',');
    const size_t n = comma != NULL ? (size_t)(comma - value) : strlen(value);
    char at[32];

    if (spans->n == SPANS_MAX) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: more than %d", option->name, SPANS_MAX);
    if (n >= sizeof at) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is no time", option->name, value);
    memcpy(at, value, n);
    at[n] = '\0';
    if (psa_parse_duration(at, option->name, &span.at_ns, error) != 0) return -1;
    if (comma != NULL && psa_parse_duration(comma + 1, option->name, &span.for_ns, error) != 0) return -1;
    if (span.at_ns < 0 || span.for_ns <= 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' must begin at 0 or later and last", option->name, value);
    spans->span[spans->n++] = span;
    return 0;
}

/* ` name=value` of each option that was given. A blank would part words, and begin what was not asked for. */
static void put_parameters(struct psa_buf *text, const struct config *config)
{
    for (const struct psa_option *option = options; option->type == PSA_OPT_TEXT; option++) {
        const char *value;
        memcpy(&value, (const char *)config + option->offset, sizeof value);
        if (value == NULL || option->offset == AT(seed)) continue;
        psa_buf_puts(text, " ");
        psa_buf_puts(text, option->name);
        psa_buf_puts(text, "=");
        psa_buf_puts(text, value);
    }
}

/* `fault imbalance s at=5s for=3s` */
static void put_fault(struct psa_buf *text, const char *fault)
{
    const size_t kind = strcspn(fault, ",");

    psa_buf_puts(text, "fault ");
    psa_buf_put(text, fault, kind);
    psa_buf_puts(text, " s");
    for (const char *p = fault + kind; *p != '\0'; p++) psa_buf_put(text, *p == ',' ? " " : p, 1);
    psa_buf_puts(text, "\n");
}

static void put_scene(struct psa_buf *text, const struct psa_sensor *sensor)
{
    const struct config *config = sensor->config;

    psa_buf_puts(text, "duration 0\n");
    if (config->seed != NULL) {
        psa_buf_puts(text, "seed ");
        psa_buf_puts(text, config->seed);
        psa_buf_puts(text, "\n");
    }
    psa_buf_puts(text, psa_sim_parts[config->kind].word);
    if (sensor->common.every_ns > 0 || sensor->rate_hz < SCENE_RATE_MIN_HZ) { /* in the words of the argument */
        psa_buf_puts(text, " s every=");
        psa_buf_int(text, llround(1e9 / sensor->rate_hz));
        psa_buf_puts(text, "ns");
    } else {
        psa_buf_puts(text, " s rate=");
        psa_buf_number(text, sensor->rate_hz);
    }
    put_parameters(text, config);
    psa_buf_puts(text, config->kind == PSA_SIM_VIBRATION ? " block=1\n" : "\n");
    for (size_t i = 0; i < config->n_fault; i++) put_fault(text, config->fault[i]);
}

/* Is there anything in an option that would end a word of the scene? */
static bool has_blank(const struct config *config)
{
    for (const struct psa_option *option = options; option->type == PSA_OPT_TEXT; option++) {
        const char *value;
        memcpy(&value, (const char *)config + option->offset, sizeof value);
        if (value != NULL && strpbrk(value, " \t\r\n") != NULL) return true;
    }
    for (size_t i = 0; i < config->n_fault; i++) {
        if (strpbrk(config->fault[i], " \t\r\n") != NULL) return true;
    }
    return false;
}

static int make_sim(struct psa_sensor *sensor, struct psa_error *error)
{
    struct config *config = sensor->config;
    struct psa_buf text = { 0 };
    struct psa_error why = { 0 };
    int status;

    put_scene(&text, sensor);
    config->scene = malloc(sizeof *config->scene);
    if (text.failed || config->scene == NULL) {
        psa_buf_free(&text);
        return psa_fail_memory(error, "reading the sensors");
    }
    status = psa_sim_scene_parse(config->scene, psa_buf_str(&text), "", &why);
    psa_buf_free(&text);
    if (status != 0) { /* ":2: what is wrong": the line means nothing to whoever wrote the argument */
        const char *sentence = strstr(why.text, ": ");
        return psa_sensor_refuse(sensor, error, "%s", sentence != NULL ? sentence + 2 : why.text);
    }
    config->sim = psa_sim_new(config->scene);
    return config->sim != NULL ? 0 : psa_fail_memory(error, "reading the sensors");
}

static int configure(struct psa_sensor *sensor, struct psa_error *error)
{
    static const struct {
        const char *name;
        enum psa_sim_kind kind;
        double rate_hz;
    } kinds[] = {
        { "imu", PSA_SIM_IMU, 100 },
        { "mpu6050", PSA_SIM_IMU, 100 },
        { "bmp180", PSA_SIM_PRESSURE, 1 },
        { "pressure", PSA_SIM_PRESSURE, 1 },
        { "dht11", PSA_SIM_TEMPERATURE, 1 },
        { "temperature", PSA_SIM_TEMPERATURE, 1 },
        { "vibration", PSA_SIM_VIBRATION, 25600 },
    };
    struct config *config = sensor->config;
    const struct psa_sim_part *part;
    size_t i = 0;

    while (i < sizeof kinds / sizeof *kinds && strcmp(kinds[i].name, sensor->bus) != 0) i++;
    if (i == sizeof kinds / sizeof *kinds)
        return psa_sensor_refuse(sensor, error, "'%s' is none of imu, bmp180, dht11 and vibration", sensor->bus);
    if (has_blank(config)) return psa_sensor_refuse(sensor, error, "no option of this driver has a blank in it");
    config->kind = kinds[i].kind;
    part = &psa_sim_parts[config->kind];
    if (sensor->common.type == NULL) sensor->type = part->sensor_type;
    if (sensor->common.model == NULL) sensor->model = part->sensor_model;
    sensor->n_field = part->n_field;
    for (size_t k = 0; k < part->n_field; k++) sensor->field[k] = part->field[k].name;
    if (sensor->common.rate_hz == 0 && sensor->common.every_ns == 0) sensor->rate_hz = kinds[i].rate_hz;
    sensor->period_exact_ns = 1e9 / sensor->rate_hz;
    if (config->kind == PSA_SIM_VIBRATION) { /* as a FIFO: read a block's time, its samples are then there */
        if (sensor->common.block == 0) sensor->common.block = 4096;
        sensor->own_seq = true;
        sensor->period_exact_ns *= (double)sensor->common.block;
    }
    sensor->period_ns = llround(sensor->period_exact_ns);
    return make_sim(sensor, error);
}

static void release(struct psa_sensor *sensor)
{
    struct config *config = sensor->config;

    psa_sim_free(config->sim);
    free(config->scene);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static const struct span *span_at(const struct spans *spans, int64_t at_ns)
{
    for (size_t i = 0; i < spans->n; i++) {
        const struct span *span = &spans->span[i];
        if (at_ns >= span->at_ns && at_ns - span->at_ns < span->for_ns) return span;
    }
    return NULL;
}

/* A call to the bus at a time of the scene: it may hang, or find nobody. -1 with *fault set. */
static int touch(struct psa_sensor *sensor, int64_t at_ns, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    const struct span *hang = span_at(&config->hang, at_ns);

    if (hang != NULL) {
        const int64_t end_ns = hang->for_ns == INT64_MAX ? INT64_MAX : config->begin_ns + hang->at_ns + hang->for_ns;
        (void)sensor->world->sleep_until(sensor, end_ns);
        return psa_fault_set(fault, PSA_FAULT_TIMEOUT, "%s: timed out; its bus is made to hang", sensor->text);
    }
    if (span_at(&config->unplug, at_ns) != NULL)
        return psa_fault_set(fault, PSA_FAULT_ABSENT, "%s: no answer; it is unplugged", sensor->text);
    return 0;
}

/* The scene's next sample, into value[]. false: it never arrived. */
static bool play(struct config *config)
{
    struct psa_sim_reading reading;

    if (!psa_sim_next(config->sim, &reading)) return false; /* after 292 years */
    config->played_ns = reading.timestamp_ns - config->scene->start_ns;
    if (reading.block != NULL) config->value[0] = reading.block[0];
    else memcpy(config->value, reading.value, sizeof config->value);
    return !reading.missing;
}

/* From one sample of the scene to the next. */
static int64_t step_ns(const struct psa_sensor *sensor)
{
    return (int64_t)(1e9 / sensor->rate_hz);
}

/* The scene goes on at its own pace while nobody looks. */
static bool play_until(struct psa_sensor *sensor, int64_t at_ns)
{
    struct config *config = sensor->config;
    bool arrived = play(config);

    for (int i = 0; i < CATCH_UP_MAX && config->played_ns + config->lag_ns < at_ns - step_ns(sensor); i++)
        arrived = play(config);
    return arrived;
}

static int start(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct config *config = sensor->config;
    const int64_t now_ns = sensor->world->now_ns(sensor);
    int64_t at_ns;

    if (config->begin_ns == 0) {
        config->begin_ns = now_ns;
        config->played_ns = -1;
    }
    at_ns = now_ns - config->begin_ns;
    if (touch(sensor, at_ns, fault) != 0) return -1;
    if (config->kind != PSA_SIM_VIBRATION || at_ns == 0) return 0;
    (void)play_until(sensor, at_ns); /* a FIFO holds nothing of the time before it was started */
    if (config->played_ns + config->lag_ns < at_ns - step_ns(sensor)) config->lag_ns = at_ns - config->played_ns;
    return 0;
}

/* All samples up to at_ns, as a FIFO gives them. */
static void drain(struct psa_sensor *sensor, int64_t at_ns)
{
    struct config *config = sensor->config;

    while (config->played_ns + config->lag_ns <= at_ns - step_ns(sensor)) {
        const bool arrived = play(config);
        if (!arrived) sensor->world->lost(sensor, 1, "a dropout of the scene");
        else sensor->world->emit(sensor, config->begin_ns + config->lag_ns + config->played_ns, config->value);
    }
    sensor->upto_ns = config->begin_ns + config->lag_ns + config->played_ns;
}

static int read_sim(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct config *config = sensor->config;
    const int64_t now_ns = sensor->world->now_ns(sensor), at_ns = now_ns - config->begin_ns;
    const struct span *stuck = span_at(&config->stuck, at_ns);

    if (touch(sensor, at_ns, fault) != 0) return -1;
    if (config->kind == PSA_SIM_VIBRATION) {
        drain(sensor, at_ns);
        return 0;
    }
    double held[PSA_SIM_FIELDS_MAX];
    memcpy(held, config->value, sizeof held);
    const bool arrived = play_until(sensor, at_ns);
    if (stuck != NULL) {
        memcpy(config->value, held, sizeof held);
        if (at_ns - stuck->at_ns >= STUCK_NS)
            return psa_fault_set(fault, PSA_FAULT_STUCK,
                                 "%s: the same raw values for %d s; is the chip's supply in order?", sensor->text,
                                 (int)(STUCK_NS / NS_PER_SECOND));
    }
    if (arrived) sensor->world->emit(sensor, now_ns, config->value);
    else sensor->world->lost(sensor, 1, "a dropout of the scene");
    return 0;
}

const struct psa_sensor_driver psa_driver_sim = {
    .name = "sim",
    .summary = "no sensor at all: synthetic readings, psa-sim(1)",
    .usage = "sim:imu|bmp180|dht11|vibration",
    .sensor_type = "sim",
    .sensor_model = "sim",
    .bus = PSA_BUS_NONE,
    .options = options,
    .config_size = sizeof(struct config),
    .every_ns = NS_PER_SECOND,
    .failures = 3,
    .patience_ns = 2 * NS_PER_SECOND,
    .configure = configure,
    .release = release,
    .start = start,
    .read = read_sim,
};
