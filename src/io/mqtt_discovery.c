/* mqtt_discovery.c - see mqtt_discovery.h. */
#include "io/mqtt_discovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/record.h"

struct field {
    struct psa_str name, topic;
    bool flat; /* its record had no member `fields` */
};

struct sensor {
    uint64_t hash;
    struct psa_str type, id, model;
    struct field *field;
    size_t n_field, cap_field;
    size_t announced; /* fields, from the first */
};

struct psa_discovery {
    const char *prefix, *availability;
    struct psa_arena arena; /* every text that is remembered */
    struct sensor *sensor;  /* [max] */
    size_t n, max;
    uint32_t *table; /* [n_table], a power of 2: index + 1 of a sensor, by hash, then the next free place */
    size_t n_table;
    size_t next; /* no sensor before this one has anything to announce */
};

/* What the end of a field's name says of its unit, and Home Assistant's device class. Names as of the built-in sensors.
 */
static const struct unit {
    const char *suffix, *unit, *device_class;
} units[] = { { "_C", "\302\260C", "temperature" },
              { "_Pa", "Pa", "pressure" },
              { "_hPa", "hPa", "pressure" },
              { "_V", "V", "voltage" },
              { "_A", "A", "current" },
              { "_W", "W", "power" },
              { "_Hz", "Hz", "frequency" },
              { "_g", "g", NULL },
              { "_pct", "%", NULL } };

/* Features that have the unit of what they were made from. */
static const char *const same_unit[] = { "_mean", "_min", "_max", "_rms", "_std", "_ptp", "_moving_avg" };

struct psa_discovery *psa_discovery_new(const char *prefix, const char *availability, size_t max_sensors)
{
    struct psa_discovery *discovery = calloc(1, sizeof *discovery);

    if (!discovery) return NULL;
    discovery->prefix = prefix;
    discovery->availability = availability;
    discovery->max = max_sensors;
    for (discovery->n_table = 16; discovery->n_table < 2 * max_sensors;) discovery->n_table *= 2;
    discovery->sensor = calloc(max_sensors, sizeof *discovery->sensor);
    discovery->table = calloc(discovery->n_table, sizeof *discovery->table);
    if (discovery->sensor && discovery->table) return discovery;
    psa_discovery_free(discovery);
    return NULL;
}

void psa_discovery_free(struct psa_discovery *discovery)
{
    if (!discovery) return;
    for (size_t i = 0; i < discovery->n; i++) free(discovery->sensor[i].field);
    free(discovery->sensor);
    free(discovery->table);
    psa_arena_free(&discovery->arena);
    free(discovery);
}

/* ---- remembering ----------------------------------------------------------------------------------------------- */

/* The place of a sensor in the table: where it is, or where it would be. */
static uint32_t *place_of(const struct psa_discovery *discovery, uint64_t hash, const struct psa_record *record)
{
    for (size_t at = (size_t)hash & (discovery->n_table - 1);; at = (at + 1) & (discovery->n_table - 1)) {
        uint32_t *place = &discovery->table[at];
        const struct sensor *sensor = *place ? &discovery->sensor[*place - 1] : NULL;

        if (!sensor || (sensor->hash == hash && psa_str_is(sensor->type, record->sensor_type) &&
                        psa_str_is(sensor->id, record->sensor_id)))
            return place;
    }
}

static struct sensor *remember_sensor(struct psa_discovery *discovery, struct psa_record *record)
{
    uint64_t hash = psa_hash(PSA_HASH_START, record->sensor_type.p, record->sensor_type.n);
    uint32_t *place;
    struct sensor *sensor;

    hash = psa_hash(psa_hash(hash, "", 1), record->sensor_id.p, record->sensor_id.n);
    place = place_of(discovery, hash, record);
    if (*place) return &discovery->sensor[*place - 1];
    if (discovery->n == discovery->max) return NULL;
    sensor = &discovery->sensor[discovery->n++];
    sensor->hash = hash;
    sensor->type = psa_arena_copy(&discovery->arena, record->sensor_type);
    sensor->id = psa_arena_copy(&discovery->arena, record->sensor_id);
    sensor->model = psa_arena_copy(&discovery->arena, psa_record_path(record, "sensor_model"));
    *place = (uint32_t)discovery->n;
    return sensor;
}

static bool knows_field(const struct sensor *sensor, struct psa_str name, size_t hint)
{
    if (hint < sensor->n_field && psa_str_is(sensor->field[hint].name, name)) return true;
    for (size_t i = 0; i < sensor->n_field; i++)
        if (psa_str_is(sensor->field[i].name, name)) return true;
    return false;
}

static bool remember_field(struct psa_discovery *discovery, struct sensor *sensor, struct psa_str name,
                           struct psa_str topic, bool flat)
{
    struct field *field;

    if (sensor->n_field == sensor->cap_field) {
        size_t cap = sensor->cap_field ? 2 * sensor->cap_field : 8;

        field = realloc(sensor->field, cap * sizeof *field);
        if (!field) return false;
        sensor->field = field;
        sensor->cap_field = cap;
    }
    field = &sensor->field[sensor->n_field];
    field->name = psa_arena_copy(&discovery->arena, name);
    field->topic = sensor->n_field && psa_str_is(field[-1].topic, topic) ? field[-1].topic
                                                                         : psa_arena_copy(&discovery->arena, topic);
    field->flat = flat;
    if (!field->name.p || !field->topic.p) return false;
    sensor->n_field++;
    if ((size_t)(sensor - discovery->sensor) < discovery->next) discovery->next = (size_t)(sensor - discovery->sensor);
    return true;
}

enum psa_discovery_seen psa_discovery_see(struct psa_discovery *discovery, struct psa_record *record,
                                          struct psa_str topic)
{
    struct sensor *sensor;
    size_t hint = 0;

    if (!record->sensor_id.n || psa_record_is_status(record) || psa_record_member(record, PSA_M_ALERT)) return PSA_SEEN;
    sensor = remember_sensor(discovery, record);
    if (!sensor) return PSA_SEEN_TOO_MANY;
    if (!sensor->type.p || !sensor->id.p || !sensor->model.p) return PSA_SEEN_NO_MEMORY;
    for (size_t i = 0; i < record->n_field; i++) {
        const struct psa_field *field = &record->field[i];

        if (field->shadowed || (field->kind != PSA_NUMBER && field->kind != PSA_NULL)) continue;
        if (knows_field(sensor, field->name, hint++) || sensor->n_field == PSA_DISCOVERY_FIELDS) continue;
        if (!remember_field(discovery, sensor, field->name, topic, record->fields_at == PSA_NO_INDEX))
            return PSA_SEEN_NO_MEMORY;
    }
    return PSA_SEEN;
}

void psa_discovery_restart(struct psa_discovery *discovery)
{
    for (size_t i = 0; i < discovery->n; i++) discovery->sensor[i].announced = 0;
    discovery->next = 0;
}

/* ---- announcing ------------------------------------------------------------------------------------------------ */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Append a text as part of an object id, which holds only letters, digits, _ and -. */
static bool put_plain(struct psa_buf *out, struct psa_str text)
{
    bool plain = true;

    for (size_t i = 0; i < text.n; i++) {
        bool good = is_letter(text.p[i]) || is_digit(text.p[i]) || text.p[i] == '-';

        psa_buf_put(out, good ? &text.p[i] : "_", 1);
        plain = plain && good;
    }
    return plain;
}

/* type_id, or type_id_field with a field: where something had to be replaced, a hash keeps two of them apart. */
static void put_object_id(struct psa_buf *out, const struct sensor *sensor, const struct field *field)
{
    uint64_t hash = sensor->hash;
    char text[20];
    bool plain = put_plain(out, sensor->type);

    psa_buf_puts(out, "_");
    plain = put_plain(out, sensor->id) && plain;
    if (field) {
        psa_buf_puts(out, "_");
        plain = put_plain(out, field->name) && plain;
        hash = psa_hash(psa_hash(hash, "", 1), field->name.p, field->name.n);
    }
    if (plain) return;
    snprintf(text, sizeof text, "_%08llx", (unsigned long long)(hash & 0xffffffff));
    psa_buf_puts(out, text);
}

static bool ends_with(struct psa_str text, const char *end)
{
    size_t n = strlen(end);

    return text.n > n && memcmp(text.p + text.n - n, end, n) == 0;
}

static bool begins_with(struct psa_str text, const char *begin)
{
    return text.n >= strlen(begin) && memcmp(text.p, begin, strlen(begin)) == 0;
}

/* An axis of an accelerometer or a gyroscope: accel_x, and nothing behind it. */
static bool is_axis(struct psa_str name, const char *begin)
{
    return begins_with(name, begin) && name.n == strlen(begin) + 1;
}

static void put_unit(struct psa_buf *out, struct psa_str name)
{
    for (size_t i = 0; i < sizeof same_unit / sizeof *same_unit; i++)
        if (ends_with(name, same_unit[i])) {
            name.n -= strlen(same_unit[i]);
            break;
        }
    if (is_axis(name, "accel_")) psa_buf_member_text(out, "unit_of_measurement", psa_str_of("g"));
    if (is_axis(name, "gyro_")) psa_buf_member_text(out, "unit_of_measurement", psa_str_of("\302\260/s"));
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        const struct unit *unit = &units[i];

        if (!ends_with(name, unit->suffix)) continue;
        psa_buf_member_text(out, "unit_of_measurement", psa_str_of(unit->unit));
        if (unit->device_class) psa_buf_member_text(out, "device_class", psa_str_of(unit->device_class));
        else if (begins_with(name, "humidity")) psa_buf_member_text(out, "device_class", psa_str_of("humidity"));
        return;
    }
}

/* Where in the record the value is, in Jinja: value_json.fields.accel_x, or value_json.fields['a b']. */
static void put_value_template(struct psa_buf *out, const struct field *field)
{
    struct psa_buf text = { 0 };
    bool identifier = field->name.n && is_letter(field->name.p[0]);

    for (size_t i = 0; i < field->name.n; i++)
        identifier = identifier && (is_letter(field->name.p[i]) || is_digit(field->name.p[i]));
    psa_buf_puts(&text, field->flat ? "{{ value_json" : "{{ value_json.fields");
    psa_buf_puts(&text, identifier ? "." : "['");
    for (size_t i = 0; i < field->name.n; i++) {
        if (field->name.p[i] == '\'' || field->name.p[i] == '\\') psa_buf_puts(&text, "\\");
        psa_buf_put(&text, &field->name.p[i], 1);
    }
    psa_buf_puts(&text, identifier ? " }}" : "'] }}");
    psa_buf_member_text(out, "value_template", psa_buf_str(&text));
    out->failed = out->failed || text.failed;
    psa_buf_free(&text);
}

static void put_device(struct psa_buf *out, const struct sensor *sensor)
{
    struct psa_buf text = { 0 };

    psa_buf_name(out, "device");
    psa_buf_puts(out, "{\"identifiers\":[");
    psa_buf_puts(&text, "psa_");
    put_object_id(&text, sensor, NULL);
    psa_buf_quote(out, psa_buf_str(&text));
    psa_buf_puts(out, "]");
    text.n = 0;
    psa_buf_put(&text, sensor->id.p, sensor->id.n);
    psa_buf_puts(&text, sensor->type.n ? " " : "");
    psa_buf_put(&text, sensor->type.p, sensor->type.n);
    psa_buf_member_text(out, "name", psa_buf_str(&text));
    if (sensor->model.n) psa_buf_member_text(out, "model", sensor->model);
    psa_buf_puts(out, "}");
    out->failed = out->failed || text.failed;
    psa_buf_free(&text);
}

static void put_config(const struct psa_discovery *discovery, const struct sensor *sensor, const struct field *field,
                       struct psa_buf *out)
{
    struct psa_buf id = { 0 };

    psa_buf_puts(&id, "psa_");
    put_object_id(&id, sensor, field);
    psa_buf_puts(out, "{");
    psa_buf_member_text(out, "name", field->name);
    psa_buf_member_text(out, "unique_id", psa_buf_str(&id));
    psa_buf_member_text(out, "state_topic", field->topic);
    put_value_template(out, field);
    put_unit(out, field->name);
    psa_buf_member_text(out, "state_class", psa_str_of("measurement"));
    if (discovery->availability) psa_buf_member_text(out, "availability_topic", psa_str_of(discovery->availability));
    put_device(out, sensor);
    psa_buf_puts(out, "}");
    out->failed = out->failed || id.failed;
    psa_buf_free(&id);
}

bool psa_discovery_due(struct psa_discovery *discovery)
{
    while (discovery->next < discovery->n &&
           discovery->sensor[discovery->next].announced == discovery->sensor[discovery->next].n_field)
        discovery->next++;
    return discovery->next < discovery->n;
}

bool psa_discovery_next(struct psa_discovery *discovery, struct psa_buf *topic, struct psa_buf *payload)
{
    struct sensor *sensor;

    if (!psa_discovery_due(discovery)) return false;
    sensor = &discovery->sensor[discovery->next];
    psa_buf_puts(topic, discovery->prefix);
    psa_buf_puts(topic, "/sensor/");
    put_object_id(topic, sensor, &sensor->field[sensor->announced]);
    psa_buf_puts(topic, "/config");
    put_config(discovery, sensor, &sensor->field[sensor->announced], payload);
    sensor->announced++;
    return true;
}
