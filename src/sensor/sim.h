/*
 * sim.h - sensors that do not exist: a scene (machines, sensors, faults at known times) and a generator that plays it.
 *
 * Pure: no file, no clock; all randomness comes from the scene's seed, so the same scene gives the same readings. Every
 * sensor and every fault has a generator of its own: a fault changes only the readings it touches, and a sensor added
 * at the end of a scene leaves the others as they were.
 *
 * What is modelled (rate f_s, shaft frequency f_r that wanders a little, shaft angle theta):
 *
 *     accel = gravity + harmonics 1x, 2x, 3x of theta + gaussian noise
 *     imbalance: a rotating force, so more of 1x, on x and y in quadrature. ISO 13373-3:2015, table A.1
 *     bearing: an impact each time a rolling element passes the defect (BPFO = bpfo orders of f_r, spacing jittered by
 *     1 % slip), each A exp(-t/decay) sin(2 pi resonance t). McFadden & Smith (1984), doi 10.1016/0301-679X(84)90076-8.
 *     A sensor far slower than the resonance samples these bursts now and then: impulses, which kurtosis shows.
 *     A vibration sensor samples them in full. Its shaft's angle drives the impacts: bpfo, bpfi or 2 bsf of them a turn
 *     (Randall & Antoni 2011, equations 1 to 4, doi 10.1016/j.ymssp.2010.07.017), each weighted by the load at the place
 *     where it happens: 1 for the outer race, at rest in the load; for the inner race, which turns with the shaft, and
 *     for a ball, which goes round with the cage, Stribeck's (1 - (1 - cos phi) / (2 epsilon))^(3/2) (McFadden & Smith,
 *     equation 2). A ball strikes the races in turn, the inner one more softly through the longer path.
 *     drift: a ramp from 0 to amplitude; spike: single outliers of either sign; noise: more variance; stuck: the last
 *     value again and again; dropout: no reading, or nulls.
 *
 * Values are clipped to the part's range and rounded to its resolution. A vibration sensor's readings come as blocks:
 * what stands above holds for each sample by itself.
 */
#ifndef PSA_SENSOR_SIM_H
#define PSA_SENSOR_SIM_H

#include "psa.h"

#define PSA_SIM_SENSORS_MAX 256
#define PSA_SIM_FAULTS_MAX 256
#define PSA_SIM_FIELDS_MAX 6
#define PSA_SIM_NAME_MAX 64 /* bytes of an id, a type, a model, NUL included */
#define PSA_SIM_ENDLESS INT64_MAX
#define PSA_SIM_BLOCK_MAX 65536

/* ---- parts ------------------------------------------------------------------------------------------------------- */

enum psa_sim_kind { PSA_SIM_IMU, PSA_SIM_TEMPERATURE, PSA_SIM_PRESSURE, PSA_SIM_VIBRATION };
#define PSA_SIM_KINDS 4

struct psa_sim_field {
    const char *name;
    double resolution; /* one step of the part, in the field's unit */
    double scale;      /* 10^digits printed behind the point */
    double low, high;  /* what the part can measure */
};

struct psa_sim_part {
    const char *word; /* in a specification */
    const char *sensor_type, *sensor_model;
    size_t n_field;
    struct psa_sim_field field[PSA_SIM_FIELDS_MAX];
};
extern const struct psa_sim_part psa_sim_parts[PSA_SIM_KINDS];

/* ---- a scene ----------------------------------------------------------------------------------------------------- */

struct psa_sim_sensor {
    enum psa_sim_kind kind;
    char id[PSA_SIM_NAME_MAX], type[PSA_SIM_NAME_MAX], model[PSA_SIM_NAME_MAX];
    int64_t period_num, period_den; /* nanoseconds between samples, as a fraction: 3 Hz stays exact */
    int64_t block;                  /* samples in a reading; 0: a reading is one */
    double noise;                   /* standard deviation of the (first) measured quantity: g, degrees C, Pa */
    /* vibration: what passes or strikes a turn, with the outer race at rest */
    struct psa_sim_bearing {
        double bpfo, bpfi, bsf, ftf;
    } orders;
    /* imu; speed, vibration, resonance and decay of vibration too */
    double speed_hz, vibration_g, gyro_dps, gyro_noise_dps, bpfo_orders, resonance_hz, decay_s;
    /* slow sensors: mean + swing sin(2 pi t / cycle) + noise */
    double mean, swing, cycle_s, humidity_pct, temperature_c;
};

enum psa_sim_fault_kind {
    PSA_SIM_SPIKE,
    PSA_SIM_DRIFT,
    PSA_SIM_STUCK,
    PSA_SIM_DROPOUT,
    PSA_SIM_IMBALANCE,
    PSA_SIM_BEARING,
    PSA_SIM_NOISE
};
#define PSA_SIM_FAULT_KINDS 7

/* Where a bearing's defect is. */
enum psa_sim_element { PSA_SIM_OUTER, PSA_SIM_INNER, PSA_SIM_BALL };
#define PSA_SIM_ELEMENTS 3

struct psa_sim_fault {
    enum psa_sim_fault_kind kind;
    size_t sensor;                /* index */
    int field;                    /* index of the field it touches; -1: all */
    int64_t at_ns, for_ns;        /* from the scene's start; for_ns PSA_SIM_ENDLESS: to the end */
    int64_t every_ns;             /* spike: mean distance */
    double amplitude;             /* in the field's unit; imbalance and bearing in g */
    enum psa_sim_element element; /* bearing, of a vibration sensor */
    bool null;                    /* dropout: readings of nulls instead of none */
};

struct psa_sim_scene {
    uint64_t seed;
    int64_t start_ns, duration_ns; /* duration PSA_SIM_ENDLESS: until stopped */
    struct psa_sim_sensor sensor[PSA_SIM_SENSORS_MAX];
    size_t n_sensor;
    struct psa_sim_fault fault[PSA_SIM_FAULTS_MAX];
    size_t n_fault;
};

/* The text of a built-in scene ("press-shop", "imu", "bearing" ...), or NULL; and the names of all for a message. */
#define PSA_SIM_SCENES "press-shop, imu, bearing, bearing-outer, bearing-inner and bearing-ball"
const char *psa_sim_scene_text(const char *name);

/* Read a specification, psa-sim(1). Messages begin with `name` and the line number. -1 with *error set. */
int psa_sim_scene_parse(struct psa_sim_scene *scene, struct psa_str text, const char *name, struct psa_error *error);

/* "imbalance" */
const char *psa_sim_fault_name(enum psa_sim_fault_kind kind);

/* First and exclusive last nanosecond of a fault, cut at the end of the scene. false: it never happens. */
bool psa_sim_fault_span(const struct psa_sim_scene *scene, const struct psa_sim_fault *fault, int64_t *from_ns,
                        int64_t *to_ns);

/* ---- playing it -------------------------------------------------------------------------------------------------- */

struct psa_sim_reading {
    size_t sensor; /* index in the scene */
    int64_t timestamp_ns;
    double value[PSA_SIM_FIELDS_MAX]; /* [n_field of the part]; NaN: null. Of a block: its last sample */
    const double *block;              /* [n_block] samples of the one field, valid until the next reading; or NULL */
    size_t n_block;
    const char *fault; /* the first that touches this reading, or NULL */
    bool missing;      /* it was due, but never arrived (dropout): nothing to print */
};

struct psa_sim;

/* The scene stays the caller's and must outlive the player. NULL when memory is out. */
struct psa_sim *psa_sim_new(const struct psa_sim_scene *scene);
void psa_sim_free(struct psa_sim *sim);

/* The next reading in time order (equal times: order of the scene). false: the scene is over. */
bool psa_sim_next(struct psa_sim *sim, struct psa_sim_reading *reading);

#endif
