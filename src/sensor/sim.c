/*
 * sim.c - plays a scene: which sensor is next, what it would measure, what its faults make of that. sim.h has the
 * model.
 *
 * Gaussian numbers by Marsaglia's polar method (Marsaglia & Bray 1964, doi 10.1137/1006063) from xoshiro256++ (Blackman
 * & Vigna 2021, doi 10.1145/3460772), seeded by splitmix64 (Steele, Lea & Flood 2014, doi 10.1145/2660193.2660195).
 */
#include "sensor/sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TAU 6.283185307179586
#define SECONDS_PER_NS 1e-9

/* Harmonics of a healthy shaft relative to 1x: a little misalignment and looseness. */
#define HARMONIC_2X 0.4
#define HARMONIC_3X 0.2
/* The shaft's speed wanders by 0.3 % (standard deviation) with a time constant of 5 s, as a loaded motor does. */
#define WANDER_SD 0.003
#define WANDER_S 5.0
/* Slip of the rolling elements: relative jitter of the spacing of impacts, and of their strength. */
#define SLIP_SD 0.01
#define STRENGTH_SD 0.2
/* How much the machine rocks per g of imbalance. */
#define ROCKING_DPS_PER_G 10.0
/* Stribeck's epsilon, the load zone's share of the diameter: 1 is a slightly preloaded bearing, loaded all round. */
#define LOAD_ZONE 1.0
/* A ball's strike on the inner race reaches the sensor so much weaker than one on the outer race. */
#define INNER_PATH 0.6

const struct psa_sim_part psa_sim_parts[PSA_SIM_KINDS] = {
    /* InvenSense MPU-6050, register map 4.2: 8192 LSB/g at +-4 g, 65.5 LSB/(deg/s) at +-500 deg/s. */
    [PSA_SIM_IMU] = { "imu",
                      "accel_gyro",
                      "MPU6050",
                      6,
                      { { "accel_x", 1.0 / 8192, 1e6, -4, 4 },
                        { "accel_y", 1.0 / 8192, 1e6, -4, 4 },
                        { "accel_z", 1.0 / 8192, 1e6, -4, 4 },
                        { "gyro_x", 1.0 / 65.5, 1e4, -500, 500 },
                        { "gyro_y", 1.0 / 65.5, 1e4, -500, 500 },
                        { "gyro_z", 1.0 / 65.5, 1e4, -500, 500 } } },
    /* Aosong DHT11: 0.1 degrees C on the parts sold today, 1 %RH. */
    [PSA_SIM_TEMPERATURE] = { "temperature",
                              "dht11",
                              "DHT11",
                              2,
                              { { "temperature_C", 0.1, 1e1, -20, 60 }, { "humidity_pct", 1, 1, 5, 95 } } },
    /* Bosch BMP180: 1 Pa, 0.1 degrees C. */
    [PSA_SIM_PRESSURE] = { "pressure",
                           "pressure",
                           "BMP180",
                           2,
                           { { "pressure_Pa", 1, 1, 30000, 110000 }, { "temperature_C", 0.1, 1e1, -40, 85 } } },
    /* Analog Devices ADXL1002, +-50 g, behind a converter of 16 bits. */
    [PSA_SIM_VIBRATION] = { "vibration", "vibration", "ADXL1002", 1, { { "accel", 50.0 / 32768, 1e6, -50, 50 } } },
};

struct generator {
    uint64_t s[4];
    double spare;
    bool has_spare;
};

struct sensor_state {
    struct generator random;
    int64_t due_ns, remainder; /* from the start; due = (number of readings) * period_num / period_den */
    double angle, wander;      /* of the shaft: rad, relative */
    double turns;              /* vibration: of the shaft since the start */
    double *block;             /* [sensor->block] */
    double wander_keep, wander_kick;
    double last[PSA_SIM_FIELDS_MAX];
    bool has_last;
    size_t first_fault; /* index into order[]; faults of this sensor lie together there */
    size_t n_fault;
};

struct fault_state {
    struct generator random;
    bool started;
    int64_t due_ns;            /* spike: the next one */
    double impact_s, next_s;   /* bearing: the last and the next impact, from the fault's begin */
    double strength;           /* of the last impact */
    double next_turn, since_s; /* bearing in blocks: the shaft's turns at the next impact, the time since the last */
    bool inner_side;           /* a ball's next strike is on the inner race */
    double held[PSA_SIM_FIELDS_MAX]; /* stuck */
};

struct psa_sim {
    const struct psa_sim_scene *scene;
    struct sensor_state *sensor; /* [n_sensor] */
    struct fault_state *fault;   /* [n_fault] */
    size_t *order;               /* [n_fault] fault indices, grouped by sensor */
    size_t *heap;                /* [n_heap] sensor indices, the earliest (time, index) at 0 */
    size_t n_heap;
};

/* ---- random numbers ---------------------------------------------------------------------------------------------- */

static void generator_seed(struct generator *random, uint64_t seed, uint64_t stream)
{
    uint64_t x = seed ^ (stream * UINT64_C(0xd1342543de82ef95)); /* far apart streams for near-by numbers */

    memset(random, 0, sizeof *random);
    for (int i = 0; i < 4; i++) { /* splitmix64 */
        x += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = x;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        random->s[i] = z ^ (z >> 31);
    }
}

static inline uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline uint64_t next_u64(struct generator *random) /* xoshiro256++ */
{
    uint64_t *s = random->s;
    const uint64_t result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* Uniform in [0, 1). */
static inline double uniform(struct generator *random)
{
    return (double)(next_u64(random) >> 11) * 0x1p-53;
}

/* Standard normal. */
static double normal(struct generator *random)
{
    double u, v, s;

    if (random->has_spare) {
        random->has_spare = false;
        return random->spare;
    }
    do {
        u = 2 * uniform(random) - 1;
        v = 2 * uniform(random) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    s = sqrt(-2 * log(s) / s);
    random->spare = v * s;
    random->has_spare = true;
    return u * s;
}

/* ---- which sensor is next: a binary heap ------------------------------------------------------------------------- */

static bool earlier(const struct psa_sim *sim, size_t a, size_t b)
{
    const int64_t at = sim->sensor[a].due_ns, bt = sim->sensor[b].due_ns;

    return at != bt ? at < bt : a < b;
}

static void heap_sink(struct psa_sim *sim, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < sim->n_heap; child++) {
            if (earlier(sim, sim->heap[child], sim->heap[least])) least = child;
        }
        if (least == at) return;
        const size_t swap = sim->heap[at];
        sim->heap[at] = sim->heap[least];
        sim->heap[least] = swap;
        at = least;
    }
}

/* The sensor at the heap's top has been read: when is it due again? */
static void heap_advance(struct psa_sim *sim)
{
    const size_t index = sim->heap[0];
    const struct psa_sim_sensor *sensor = &sim->scene->sensor[index];
    struct sensor_state *state = &sim->sensor[index];
    const int64_t num = sensor->period_num * (sensor->block > 0 ? sensor->block : 1);
    int64_t step = num / sensor->period_den;

    state->remainder += num % sensor->period_den;
    if (state->remainder >= sensor->period_den) {
        state->remainder -= sensor->period_den;
        step++;
    }
    if (__builtin_add_overflow(state->due_ns, step, &state->due_ns)) sim->heap[0] = sim->heap[--sim->n_heap];
    heap_sink(sim, 0);
}

/* ---- what a healthy sensor measures ------------------------------------------------------------------------------ */

/* A sample later the shaft has turned on, its speed an Ornstein-Uhlenbeck process, sampled exactly. */
static void turn_shaft(const struct psa_sim_sensor *sensor, struct sensor_state *state)
{
    const double period_s = (double)sensor->period_num / (double)sensor->period_den * SECONDS_PER_NS;

    state->wander = state->wander * state->wander_keep + state->wander_kick * normal(&state->random);
    state->turns += sensor->speed_hz * (1 + state->wander) * period_s;
    state->angle += TAU * sensor->speed_hz * (1 + state->wander) * period_s;
    if (state->angle >= TAU) state->angle -= TAU * floor(state->angle / TAU);
}

/* g: amplitude of the rotating force beyond the healthy one. */
static void measure_imu(const struct psa_sim_sensor *sensor, struct sensor_state *state, double imbalance_g,
                        double value[PSA_SIM_FIELDS_MAX])
{
    struct generator *random = &state->random;
    const double c = cos(state->angle), s = sin(state->angle);
    const double c2 = 2 * c * c - 1, s2 = 2 * s * c, c3 = c2 * c - s2 * s; /* double and triple angle */
    const double g = sensor->vibration_g, rocking = sensor->gyro_dps + ROCKING_DPS_PER_G * imbalance_g;

    value[0] = (g + imbalance_g) * c + g * (HARMONIC_2X * c2 + HARMONIC_3X * c3) + sensor->noise * normal(random);
    value[1] = (g + imbalance_g) * s + g * HARMONIC_2X * s2 + sensor->noise * normal(random);
    value[2] = 1 + 0.5 * (g * c + g * HARMONIC_2X * c2) + 0.2 * imbalance_g * s + sensor->noise * normal(random);
    value[3] = rocking * c + sensor->gyro_noise_dps * normal(random);
    value[4] = rocking * s + sensor->gyro_noise_dps * normal(random);
    value[5] = 0.2 * rocking * c2 + sensor->gyro_noise_dps * normal(random);

    turn_shaft(sensor, state);
}

/* One sample of an accelerometer at the bearing, radially. */
static void measure_vibration(const struct psa_sim_sensor *sensor, struct sensor_state *state, double imbalance_g,
                              double value[PSA_SIM_FIELDS_MAX])
{
    const double c = cos(state->angle), c2 = 2 * c * c - 1, c3 = (2 * c2 - 1) * c;

    value[0] = (sensor->vibration_g + imbalance_g) * c + sensor->vibration_g * (HARMONIC_2X * c2 + HARMONIC_3X * c3) +
               sensor->noise * normal(&state->random);
    turn_shaft(sensor, state);
}

static void measure_slow(const struct psa_sim_sensor *sensor, struct sensor_state *state, int64_t at_ns,
                         double value[PSA_SIM_FIELDS_MAX])
{
    struct generator *random = &state->random;
    const double t = (double)at_ns * SECONDS_PER_NS;
    const double swing = sin(TAU * t / sensor->cycle_s + state->angle);

    value[0] = sensor->mean + sensor->swing * swing + sensor->noise * normal(random);
    if (sensor->kind == PSA_SIM_TEMPERATURE) value[1] = sensor->humidity_pct - 2 * swing + 0.3 * normal(random);
    else value[1] = sensor->temperature_c + 0.5 * swing + 0.05 * normal(random);
}

static double quantise(const struct psa_sim_field *field, double x)
{
    if (isnan(x)) return x;
    x = fmin(fmax(x, field->low), field->high);
    x = rint(x / field->resolution) * field->resolution;
    return rint(x * field->scale) / field->scale + 0.0; /* + 0.0: no negative zero */
}

/* ---- what faults make of it -------------------------------------------------------------------------------------- */

static bool active(const struct psa_sim_fault *fault, int64_t at_ns)
{
    return at_ns >= fault->at_ns && (fault->for_ns == PSA_SIM_ENDLESS || at_ns - fault->at_ns < fault->for_ns);
}

/* The sampled value of the train of bursts at t seconds from the fault's begin. Only the last impact counts: the decay
 * is short against the spacing. */
static double burst(const struct psa_sim_sensor *sensor, const struct psa_sim_fault *fault, struct fault_state *state,
                    double t)
{
    const double spacing_s = 1 / (sensor->bpfo_orders * sensor->speed_hz);

    while (state->next_s <= t) {
        state->impact_s = state->next_s;
        state->strength = 1 + STRENGTH_SD * normal(&state->random);
        state->next_s += spacing_s * fmax(1 + SLIP_SD * normal(&state->random), 0.5);
    }
    const double since_s = t - state->impact_s;
    return fault->amplitude * state->strength * exp(-since_s / sensor->decay_s) *
           sin(TAU * sensor->resonance_hz * since_s);
}

/* The load at an angle from its direction, in turns, relative to the highest. */
static double load_at(double turns)
{
    const double load = 1 - (1 - cos(TAU * turns)) / (2 * LOAD_ZONE);

    return load > 0 ? load * sqrt(load) : 0;
}

/* How strongly the defect is struck now. */
static double strike(const struct psa_sim_fault *fault, const struct psa_sim_sensor *sensor, struct fault_state *state)
{
    const double strength = 1 + STRENGTH_SD * normal(&state->random);

    if (fault->element == PSA_SIM_OUTER) return strength;
    if (fault->element == PSA_SIM_INNER) return strength * load_at(state->next_turn);
    state->inner_side = !state->inner_side;
    return strength * load_at(sensor->orders.ftf * state->next_turn) * (state->inner_side ? INNER_PATH : 1);
}

/* The same as burst() for a sensor fast enough to see the bursts whole: impacts follow the shaft. */
static double burst_in_block(const struct psa_sim_sensor *sensor, const struct psa_sim_fault *fault,
                             struct fault_state *state, double turns)
{
    const double period_s = (double)sensor->period_num / (double)sensor->period_den * SECONDS_PER_NS;
    const double orders = fault->element == PSA_SIM_OUTER   ? sensor->orders.bpfo
                          : fault->element == PSA_SIM_INNER ? sensor->orders.bpfi
                                                            : 2 * sensor->orders.bsf;

    state->since_s += period_s;
    while (state->next_turn <= turns) {
        state->since_s = (turns - state->next_turn) / sensor->speed_hz;
        state->strength = strike(fault, sensor, state);
        state->next_turn += fmax(1 + SLIP_SD * normal(&state->random), 0.5) / orders;
    }
    return fault->amplitude * state->strength * exp(-state->since_s / sensor->decay_s) *
           sin(TAU * sensor->resonance_hz * state->since_s);
}

/* Is this reading one of the outliers? The first of the fault's time is. */
static bool spike_due(const struct psa_sim_fault *fault, struct fault_state *state, int64_t at_ns)
{
    if (at_ns < state->due_ns) return false;
    state->due_ns = at_ns + (int64_t)((double)fault->every_ns * (0.5 + uniform(&state->random)));
    return true;
}

static void start(struct fault_state *state, const struct sensor_state *sensor, const double value[PSA_SIM_FIELDS_MAX])
{
    state->started = true;
    state->next_turn = sensor->turns;
    memcpy(state->held, sensor->has_last ? sensor->last : value, sizeof state->held);
}

/* Change value[] as the fault does at at_ns. false: it leaves this reading alone. *missing: there is no reading. */
static bool apply(const struct psa_sim_sensor *sensor, const struct psa_sim_fault *fault, struct fault_state *state,
                  double turns, int64_t at_ns, double value[PSA_SIM_FIELDS_MAX], bool *missing)
{
    const size_t n = psa_sim_parts[sensor->kind].n_field;
    const size_t first = fault->field < 0 ? 0 : (size_t)fault->field, last = fault->field < 0 ? n - 1 : first;
    const double into_s = (double)(at_ns - fault->at_ns) * SECONDS_PER_NS;
    double shock;

    switch (fault->kind) {
    case PSA_SIM_IMBALANCE: /* done by measure_imu and measure_vibration: it belongs to the shaft's angle */
        return true;
    case PSA_SIM_BEARING:
        if (sensor->kind == PSA_SIM_VIBRATION) {
            value[0] += burst_in_block(sensor, fault, state, turns);
            return true;
        }
        shock = burst(sensor, fault, state, into_s);
        value[0] += 0.5 * shock;
        value[1] += 0.7 * shock;
        value[2] += shock;
        return true;
    case PSA_SIM_DRIFT:
        value[first] += fault->amplitude * into_s / ((double)fault->for_ns * SECONDS_PER_NS);
        return true;
    case PSA_SIM_NOISE: value[first] += fault->amplitude * normal(&state->random); return true;
    case PSA_SIM_SPIKE:
        if (!spike_due(fault, state, at_ns)) return false;
        value[first] += uniform(&state->random) < 0.5 ? -fault->amplitude : fault->amplitude;
        return true;
    case PSA_SIM_STUCK:
        for (size_t i = first; i <= last; i++) value[i] = state->held[i];
        return true;
    case PSA_SIM_DROPOUT:
        *missing |= !fault->null;
        for (size_t i = first; i <= last; i++) value[i] = (double)NAN;
        return true;
    }
    return false;
}

/* The sum of the imbalances that act on this sensor at at_ns. */
static double imbalance_g(const struct psa_sim *sim, const struct sensor_state *state, int64_t at_ns)
{
    double sum = 0;

    for (size_t i = 0; i < state->n_fault; i++) {
        const struct psa_sim_fault *fault = &sim->scene->fault[sim->order[state->first_fault + i]];
        if (fault->kind == PSA_SIM_IMBALANCE && active(fault, at_ns)) sum += fault->amplitude;
    }
    return sum;
}

/* One sample of sensor `index` at at_ns from the start, into reading->value. false: it never arrived. */
static bool sample(struct psa_sim *sim, size_t index, int64_t at_ns, struct psa_sim_reading *reading)
{
    const struct psa_sim_sensor *sensor = &sim->scene->sensor[index];
    const struct psa_sim_part *part = &psa_sim_parts[sensor->kind];
    struct sensor_state *state = &sim->sensor[index];
    double value[PSA_SIM_FIELDS_MAX] = { 0 };
    const double turns = state->turns;
    bool missing = false;

    if (sensor->kind == PSA_SIM_IMU) measure_imu(sensor, state, imbalance_g(sim, state, at_ns), value);
    else if (sensor->kind == PSA_SIM_VIBRATION) measure_vibration(sensor, state, imbalance_g(sim, state, at_ns), value);
    else measure_slow(sensor, state, at_ns, value);
    for (size_t i = 0; i < state->n_fault; i++) {
        const size_t at = sim->order[state->first_fault + i];
        const struct psa_sim_fault *fault = &sim->scene->fault[at];
        if (!active(fault, at_ns)) continue;
        if (!sim->fault[at].started) start(&sim->fault[at], state, value);
        if (apply(sensor, fault, &sim->fault[at], turns, at_ns, value, &missing) && reading->fault == NULL)
            reading->fault = psa_sim_fault_name(fault->kind);
    }
    for (size_t i = 0; i < part->n_field; i++) reading->value[i] = quantise(&part->field[i], value[i]);
    memcpy(state->last, reading->value, sizeof state->last);
    state->has_last = true;
    return !missing;
}

/* How many samples of the block that is due lie before the scene's end. */
static size_t samples_left(const struct psa_sim *sim, const struct psa_sim_sensor *sensor,
                           const struct sensor_state *state)
{
    const int64_t left_ns = sim->scene->duration_ns - state->due_ns;
    const int64_t last = state->remainder + (sensor->block - 1) * sensor->period_num; /* of the block, in 1/den ns */

    if (left_ns > last / sensor->period_den) return (size_t)sensor->block;
    /* So the product is no larger than last, which fits. */
    return (size_t)((left_ns * sensor->period_den - state->remainder + sensor->period_num - 1) / sensor->period_num);
}

/* One reading of sensor `index` at its due time. */
static void read_sensor(struct psa_sim *sim, size_t index, struct psa_sim_reading *reading)
{
    const struct psa_sim_sensor *sensor = &sim->scene->sensor[index];
    struct sensor_state *state = &sim->sensor[index];

    reading->fault = NULL;
    reading->block = NULL;
    reading->n_block = 0;
    if (sensor->block == 0) {
        reading->missing = !sample(sim, index, state->due_ns, reading);
        return;
    }
    reading->missing = true;
    reading->block = state->block;
    reading->n_block = samples_left(sim, sensor, state);
    for (size_t i = 0; i < reading->n_block; i++) {
        const int64_t after_ns = (state->remainder + (int64_t)i * sensor->period_num) / sensor->period_den;
        reading->missing &= !sample(sim, index, state->due_ns + after_ns, reading);
        state->block[i] = reading->value[0];
    }
}

/* ---- the player -------------------------------------------------------------------------------------------------- */

static bool sensor_init(struct psa_sim *sim, size_t index)
{
    const struct psa_sim_sensor *sensor = &sim->scene->sensor[index];
    struct sensor_state *state = &sim->sensor[index];
    const double period_s = (double)sensor->period_num / (double)sensor->period_den * SECONDS_PER_NS;

    generator_seed(&state->random, sim->scene->seed, index + 1);
    state->angle = TAU * uniform(&state->random);
    state->wander_keep = exp(-period_s / WANDER_S);
    state->wander_kick = WANDER_SD * sqrt(1 - state->wander_keep * state->wander_keep);
    state->wander = WANDER_SD * normal(&state->random);
    state->first_fault = index == 0 ? 0 : state[-1].first_fault + state[-1].n_fault;
    for (size_t i = 0; i < sim->scene->n_fault; i++) {
        if (sim->scene->fault[i].sensor == index) sim->order[state->first_fault + state->n_fault++] = i;
    }
    if (sensor->block == 0) return true;
    state->block = calloc((size_t)sensor->block, sizeof *state->block);
    return state->block != NULL;
}

struct psa_sim *psa_sim_new(const struct psa_sim_scene *scene)
{
    struct psa_sim *sim = calloc(1, sizeof *sim);

    if (sim == NULL) return NULL;
    sim->scene = scene;
    sim->sensor = calloc(scene->n_sensor + 1, sizeof *sim->sensor);
    sim->fault = calloc(scene->n_fault + 1, sizeof *sim->fault);
    sim->order = calloc(scene->n_fault + 1, sizeof *sim->order);
    sim->heap = calloc(scene->n_sensor + 1, sizeof *sim->heap);
    if (sim->sensor == NULL || sim->fault == NULL || sim->order == NULL || sim->heap == NULL) {
        psa_sim_free(sim);
        return NULL;
    }
    for (size_t i = 0; i < scene->n_sensor; i++) {
        if (!sensor_init(sim, i)) {
            psa_sim_free(sim);
            return NULL;
        }
        sim->heap[sim->n_heap++] = i; /* all are due at 0, so the order of indices is a heap */
    }
    for (size_t i = 0; i < scene->n_fault; i++)
        generator_seed(&sim->fault[i].random, scene->seed, UINT64_C(0x10000) + i);
    return sim;
}

void psa_sim_free(struct psa_sim *sim)
{
    if (sim == NULL) return;
    for (size_t i = 0; sim->sensor != NULL && i < sim->scene->n_sensor; i++) free(sim->sensor[i].block);
    free(sim->sensor);
    free(sim->fault);
    free(sim->order);
    free(sim->heap);
    free(sim);
}

bool psa_sim_next(struct psa_sim *sim, struct psa_sim_reading *reading)
{
    if (sim->n_heap == 0) return false;
    const size_t index = sim->heap[0];
    const int64_t due_ns = sim->sensor[index].due_ns;
    if (due_ns >= sim->scene->duration_ns ||
        __builtin_add_overflow(sim->scene->start_ns, due_ns, &reading->timestamp_ns))
        return false;
    reading->sensor = index;
    read_sensor(sim, index, reading);
    heap_advance(sim);
    return true;
}

bool psa_sim_fault_span(const struct psa_sim_scene *scene, const struct psa_sim_fault *fault, int64_t *from_ns,
                        int64_t *to_ns)
{
    int64_t end_ns;

    if (fault->at_ns >= scene->duration_ns || __builtin_add_overflow(scene->start_ns, fault->at_ns, from_ns))
        return false;
    if (__builtin_add_overflow(fault->at_ns, fault->for_ns, &end_ns) || end_ns > scene->duration_ns)
        end_ns = scene->duration_ns;
    if (__builtin_add_overflow(scene->start_ns, end_ns, to_ns)) *to_ns = INT64_MAX;
    return true;
}
