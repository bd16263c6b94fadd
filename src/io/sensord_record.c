/* sensord_record.c - see sensord_record.h. */
#include "io/sensord_record.h"

#include <string.h>

#include "core/number.h"

/* Bytes of a line beside its fields: names of members, braces, three numbers. */
#define LINE_FRAME_BYTES 256
/* A usual number of a sensor: 4 digits before the point or after it, sign, point. */
#define NUMBER_USUAL_BYTES 9
/* What a field takes where its name is not known yet, and how many there are likely to be. */
#define NAME_LIKELY_BYTES 24
#define FIELDS_LIKELY 16

/* ---- the form ---------------------------------------------------------------------------------------------------- */

int psa_record_form_make(struct psa_record_form *form, const struct psa_sensor *sensor)
{
    struct psa_buf *text = &form->text;

    text->n = 0;
    form->n_field = sensor->n_field;
    psa_buf_puts(text, "{");
    psa_buf_member_text(text, "sensor_type", psa_str_of(sensor->type));
    psa_buf_member_text(text, "sensor_model", psa_str_of(sensor->model));
    psa_buf_member_text(text, "sensor_id", psa_str_of(sensor->id));
    psa_buf_name(text, "fields");
    psa_buf_puts(text, "{");
    for (size_t i = 0; i < sensor->n_field; i++) {
        const size_t at = i == 0 ? 0 : text->n;
        if (i > 0) psa_buf_puts(text, ",");
        psa_buf_quote(text, psa_str_of(sensor->field[i]));
        psa_buf_puts(text, ":");
        form->lead[i].at = at;
        form->lead[i].n = text->n - at;
    }
    return text->failed ? -1 : 0;
}

void psa_record_form_free(struct psa_record_form *form)
{
    psa_buf_free(&form->text);
}

/* Everything of a line but its numbers. Each byte of a name may have to be escaped. */
static size_t text_bytes(const struct psa_sensor *sensor, size_t escaped)
{
    size_t n = LINE_FRAME_BYTES + escaped * (strlen(sensor->type) + strlen(sensor->model) + strlen(sensor->id));

    for (size_t i = 0; i < sensor->n_field; i++) n += escaped * strlen(sensor->field[i]) + 6;
    return sensor->n_field > 0 ? n : n + FIELDS_LIKELY * escaped * NAME_LIKELY_BYTES;
}

static size_t fields_of(const struct psa_sensor *sensor)
{
    return sensor->n_field > 0 ? sensor->n_field : FIELDS_LIKELY;
}

size_t psa_record_bytes_max(const struct psa_sensor *sensor, size_t n)
{
    return text_bytes(sensor, 6) + fields_of(sensor) * n * (PSA_NUMBER_MAX + 1);
}

size_t psa_record_bytes_usual(const struct psa_sensor *sensor)
{
    return text_bytes(sensor, 1) + fields_of(sensor) * NUMBER_USUAL_BYTES;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void put_clock(struct psa_buf *out, bool unsynced)
{
    if (unsynced) psa_buf_puts(out, ",\"clock\":\"unsynced\"");
}

void psa_record_put(struct psa_buf *out, const struct psa_record_form *form, const struct psa_record_values *values)
{
    for (size_t i = 0; i < form->n_field; i++) {
        const double *value = values->value + i * values->stride;
        psa_buf_put(out, form->text.p + form->lead[i].at, form->lead[i].n);
        if (values->is_array) psa_buf_numbers(out, value, values->n);
        else psa_buf_number(out, *value);
    }
    if (form->n_field == 0) psa_buf_put(out, form->text.p, form->text.n);
    if (values->rate_hz > 0) {
        psa_buf_puts(out, "},\"rate_hz\":");
        psa_buf_number(out, values->rate_hz);
        psa_buf_puts(out, ",\"timestamp_ns\":");
    } else {
        psa_buf_puts(out, "},\"timestamp_ns\":");
    }
    psa_buf_int(out, values->timestamp_ns);
    psa_buf_puts(out, ",\"seq\":");
    psa_buf_int(out, (int64_t)values->seq);
    put_clock(out, values->unsynced);
    psa_buf_puts(out, "}\n");
}

/* `{"sensor_type":"status",...,"fields":{"up":1` */
static void begin_status(struct psa_buf *out, const char *model, const char *id, bool up)
{
    psa_buf_puts(out, "{\"sensor_type\":\"status\",\"sensor_model\":");
    psa_buf_quote(out, psa_str_of(model));
    psa_buf_puts(out, ",\"sensor_id\":");
    psa_buf_quote(out, psa_str_of(id));
    psa_buf_puts(out, up ? ",\"fields\":{\"up\":1" : ",\"fields\":{\"up\":0");
}

void psa_record_put_status(struct psa_buf *out, const struct psa_record_status *status)
{
    begin_status(out, status->model, status->id, status->up);
    psa_buf_puts(out, "},\"timestamp_ns\":");
    psa_buf_int(out, status->timestamp_ns);
    psa_buf_puts(out, ",\"of\":");
    psa_buf_quote(out, psa_str_of(status->of));
    if (!status->up) {
        psa_buf_puts(out, ",\"fault\":");
        psa_buf_quote(out, psa_str_of(psa_fault_name(status->fault)));
        psa_buf_puts(out, ",\"reason\":");
        psa_buf_quote(out, psa_str_of(status->reason));
    }
    put_clock(out, status->unsynced);
    psa_buf_puts(out, "}\n");
}

void psa_record_put_step(struct psa_buf *out, double step_s, int64_t timestamp_ns, bool unsynced)
{
    begin_status(out, "sensord", "clock", true);
    psa_buf_puts(out, ",\"step_s\":");
    psa_buf_number(out, step_s);
    psa_buf_puts(out, "},\"timestamp_ns\":");
    psa_buf_int(out, timestamp_ns);
    psa_buf_puts(out, ",\"of\":\"clock\"");
    put_clock(out, unsynced);
    psa_buf_puts(out, "}\n");
}

void psa_record_put_heartbeat(struct psa_buf *out, int64_t ns)
{
    psa_buf_puts(out, "{\"psa\":{\"heartbeat\":");
    psa_buf_int(out, ns);
    psa_buf_puts(out, "}}\n");
}
