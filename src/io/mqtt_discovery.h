/*
 * mqtt_discovery.h - Home Assistant's MQTT discovery: a retained message per field of each sensor says where its values
 * are published, in which unit, and which device it belongs to (home-assistant.io, "MQTT Discovery" and "MQTT Sensor").
 *
 *     homeassistant/sensor/accel_gyro_press-07_accel_x/config
 *     {"name":"accel_x","unique_id":"psa_accel_gyro_press-07_accel_x","state_topic":"factory/press-07/accel_gyro",
 *      "value_template":"{{ value_json.fields.accel_x }}","unit_of_measurement":"g","state_class":"measurement",
 *      "device":{"identifiers":["psa_accel_gyro_press-07"],"name":"press-07 accel_gyro","model":"MPU6050"}}
 *
 * A sensor is sensor_type and sensor_id together. Only fields that are single numbers are announced, with the topic of
 * the record that first had them; alerts, status records and records without sensor_id announce nothing.
 */
#ifndef PSA_IO_MQTT_DISCOVERY_H
#define PSA_IO_MQTT_DISCOVERY_H

#include "core/buf.h"
#include "psa.h"

/* Fields of one sensor that are announced. */
#define PSA_DISCOVERY_FIELDS 256

struct psa_discovery;

enum psa_discovery_seen {
    PSA_SEEN,
    PSA_SEEN_TOO_MANY, /* a sensor above max_sensors: it is not announced */
    PSA_SEEN_NO_MEMORY
};

/* prefix and availability (the status topic, NULL: none) must stay. NULL: memory is out. */
struct psa_discovery *psa_discovery_new(const char *prefix, const char *availability, size_t max_sensors);
void psa_discovery_free(struct psa_discovery *discovery);

/* A record that goes to that topic: remember what of it is new. */
enum psa_discovery_seen psa_discovery_see(struct psa_discovery *discovery, struct psa_record *record,
                                          struct psa_str topic);
/* Everything is to be announced again: another connection, perhaps another broker. */
void psa_discovery_restart(struct psa_discovery *discovery);
/* Is any message due? */
bool psa_discovery_due(struct psa_discovery *discovery);
/* The next message that is due, appended to both; false: none is. */
bool psa_discovery_next(struct psa_discovery *discovery, struct psa_buf *topic, struct psa_buf *payload);

#endif
