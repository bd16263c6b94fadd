/*
 * sensord_record.h - what sensord writes: readings, blocks of them, status records and heartbeats, as lines of JSON
 * (psa-record(5)). A form has everything of a sensor's line that never changes, made once, so that a reading costs only its
 * numbers.
 *
 *     {"sensor_type":"pressure","sensor_model":"BMP180","sensor_id":"press-07","fields":{"pressure_Pa":69964,
 *     "temperature_C":15},"timestamp_ns":1710000000000000000,"seq":17}
 *     {"sensor_type":"status","sensor_model":"BMP180","sensor_id":"press-07","fields":{"up":0},
 *     "timestamp_ns":1710000000000000000,"of":"pressure","fault":"absent","reason":"i2c-1: no answer"}
 *     {"psa":{"heartbeat":1710000000000000000}}                                      (each one line in reality)
 */
#ifndef PSA_IO_SENSORD_RECORD_H
#define PSA_IO_SENSORD_RECORD_H

#include "core/buf.h"
#include "sensor/driver.h"

/* What stands between the numbers of a sensor's lines. */
struct psa_record_form {
    struct psa_buf text;
    struct {
        size_t at, n; /* within text: what stands before field i's value */
    } lead[PSA_SENSOR_FIELDS_MAX];
    size_t n_field;
};

/* Readings to be written as one line: n of them, field by field. */
struct psa_record_values {
    const double *value; /* value[field * stride + i] */
    size_t n, stride;
    bool is_array;
    double rate_hz; /* 0: no such member */
    int64_t timestamp_ns;
    uint64_t seq;
    bool unsynced;
};

struct psa_record_status {
    const char *model, *id, *of; /* of: the sensor's type */
    bool up, unsynced;
    enum psa_fault_kind fault; /* when it is down */
    const char *reason;
    int64_t timestamp_ns;
};

/* (Re)make the form of a sensor as it is now. -1: out of memory. */
int psa_record_form_make(struct psa_record_form *form, const struct psa_sensor *sensor);
void psa_record_form_free(struct psa_record_form *form);

/* More than a line of a form with so many readings ever takes; where the form is not made yet, of a sensor's likely fields. */
size_t psa_record_bytes_max(const struct psa_sensor *sensor, size_t n);
/* What a line of one reading takes on average. */
size_t psa_record_bytes_usual(const struct psa_sensor *sensor);

/* Append a line, LF included. */
void psa_record_put(struct psa_buf *out, const struct psa_record_form *form, const struct psa_record_values *values);
void psa_record_put_status(struct psa_buf *out, const struct psa_record_status *status);
/* The wall clock was set: sensor_id "clock", sensor_model "sensord", fields up and step_s. */
void psa_record_put_step(struct psa_buf *out, double step_s, int64_t timestamp_ns, bool unsynced);
void psa_record_put_heartbeat(struct psa_buf *out, int64_t ns);

#endif
