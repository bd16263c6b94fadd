/*
 * decode.c - a line of text to a record; see record.h.
 *
 * Streams repeat one shape for hours: the same members in the same order with other numbers. The general path checks a
 * line against the grammar and cuts it into spans; what it found is kept as a shape: a copy of the line and, step by
 * step, the text that leads up to each value. The next line is compared with the shape, lead by lead, and only its
 * values are read. A line that does not fit tries the other shapes kept (streams interleave a few kinds), then takes
 * the general path and becomes a shape itself. Which shape followed which is remembered, so interleaved kinds are
 * guessed at the first try.
 *
 * Both paths fill the record alike: the same spans, kinds and numbers.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/json.h"
#include "core/number.h"
#include "core/record.h"
#include "core/time.h"

enum {
    SHAPES_MAX = 8,         /* kinds of line remembered */
    SHAPE_LINE_MAX = 65536, /* longer lines (blocks of samples) are shapes too, but not beyond this */
    EXCERPT_MAX = 40        /* bytes of a bad value shown in a message */
};

enum step_kind { STEP_MEMBER, STEP_FIELD, STEP_FIELDS_OPEN, STEP_FIELDS_CLOSE };

/* One value of the line and what leads up to it; offsets are into the shape's copy of the line. */
struct step {
    enum step_kind kind;
    enum psa_member_id id;
    bool shadowed;
    bool number; /* the value was a number */
    uint32_t lead_at, lead_n, value_at, value_n;
    uint32_t run_n;   /* bytes from the lead on that are likely the same again: up to the next number */
    uint32_t name_at; /* of the name within the lead, when it has no escapes */
    struct psa_str name;
};

struct shape {
    char *line;
    size_t n_line;
    struct step *step;
    size_t n_step, cap_step;
    size_t fields_at;
    struct psa_str tail;    /* within line */
    struct psa_arena arena; /* names with escapes */
    size_t next;            /* the shape that followed this one last time */
    bool used;
};

struct psa_decoder {
    struct psa_decode_limits limits;
    struct psa_record record;
    struct shape shape[SHAPES_MAX];
    size_t last, oldest;
    double *sample; /* array values of the record at hand */
    size_t n_sample, cap_sample;
    struct psa_buf flat; /* the line as --flat reads it */
    bool no_memory;
};

const char *psa_refusal_name(enum psa_refusal refusal)
{
    static const char *const name[] = { "none", "syntax", "not_object", "fields", "time", "limit", "control" };

    return name[refusal];
}

struct psa_decoder *psa_decoder_new(struct psa_decode_limits limits)
{
    struct psa_decoder *decoder = calloc(1, sizeof *decoder);

    if (decoder) decoder->limits = limits;
    return decoder;
}

static void shape_free(struct shape *shape)
{
    free(shape->line);
    free(shape->step);
    psa_arena_free(&shape->arena);
}

void psa_decoder_free(struct psa_decoder *decoder)
{
    if (!decoder) return;
    for (size_t i = 0; i < SHAPES_MAX; i++) shape_free(&decoder->shape[i]);
    psa_record_free(&decoder->record);
    psa_buf_free(&decoder->flat);
    free(decoder->sample);
    free(decoder);
}

static bool is_number(struct psa_str text)
{
    return text.n && (*text.p == '-' || (*text.p >= '0' && *text.p <= '9'));
}

/* ---- values, for both paths ---------------------------------------------------------------------------------------- */

/* Room for as many more samples as psa_number_row takes at once. */
static bool make_room(struct psa_decoder *decoder)
{
    size_t cap = decoder->cap_sample ? decoder->cap_sample * 2 : 256;
    double *grown;

    if (decoder->cap_sample - decoder->n_sample >= PSA_NUMBER_ROW) return true;
    grown = realloc(decoder->sample, cap * sizeof *grown);
    if (!grown) {
        decoder->no_memory = true;
        return false;
    }
    decoder->sample = grown;
    decoder->cap_sample = cap;
    return true;
}

/* An array of numbers and nulls at p, its values appended to decoder->sample. NULL when it is anything else. */
static const char *number_array(struct psa_decoder *decoder, const char *p, const char *end)
{
    size_t row;
    bool finite;
    double value;

    p = psa_json_space(p + 1, end);
    if (p < end && *p == ']') return p + 1;
    for (;;) {
        if (!make_room(decoder)) return NULL;
        p = psa_number_row(p, end, decoder->sample + decoder->n_sample, decoder->cap_sample - decoder->n_sample, &row);
        decoder->n_sample += row;
        if (row && p < end && (unsigned char)*p <= ' ') p = psa_json_space(p, end);
        if (!make_room(decoder)) return NULL;
        if (end - p >= 4 && memcmp(p, "null", 4) == 0) {
            value = NAN;
            p += 4;
        } else {
            p = psa_number_scan(p, end, &value, &finite);
            if (!p) return NULL;
            if (!finite) value = NAN;
        }
        decoder->sample[decoder->n_sample++] = value;
        if (p < end && *p == ',') {
            p++;
            if (p < end && (unsigned char)*p <= ' ') p = psa_json_space(p, end);
            continue;
        }
        p = psa_json_space(p, end);
        if (p < end && *p == ']') return p + 1;
        if (p == end || *p != ',') return NULL;
        p = psa_json_space(p + 1, end);
    }
}

/* A field's array while the samples may still move: .array holds the index of its first sample until settle_arrays. */
static void note_array(struct psa_decoder *decoder, struct psa_field *field, size_t first)
{
    field->kind = PSA_ARRAY;
    field->array = NULL;
    field->number = (double)first;
    field->n_array = decoder->n_sample - first;
}

static void settle_arrays(struct psa_decoder *decoder)
{
    static const double no_samples[1] = { 0 };
    struct psa_record *record = &decoder->record;

    for (size_t i = 0; i < record->n_field; i++) {
        struct psa_field *field = &record->field[i];

        if (field->kind != PSA_ARRAY) continue;
        field->array = field->n_array ? decoder->sample + (size_t)field->number : no_samples;
    }
}

/* A field's value at p: a number, null, an array of numbers, or anything else. The byte behind it or NULL. */
static const char *field_value(struct psa_decoder *decoder, const char *p, const char *end, struct psa_field *field,
                               struct psa_json_fault *fault)
{
    const char *behind = NULL;
    size_t first = decoder->n_sample;
    bool finite;

    field->kind = PSA_OTHER;
    field->number = NAN;
    if (p < end && (*p == '-' || (*p >= '0' && *p <= '9'))) {
        behind = psa_number_scan(p, end, &field->number, &finite);
        if (behind) field->kind = finite ? PSA_NUMBER : PSA_NULL;
    } else if (p < end && *p == '[') {
        behind = number_array(decoder, p, end);
        if (behind) note_array(decoder, field, first);
        else decoder->n_sample = first;
    } else if (end - p >= 4 && memcmp(p, "null", 4) == 0) {
        behind = p + 4;
        field->kind = PSA_NULL;
    }
    if (!behind) behind = psa_json_value(p, end, (int)decoder->limits.depth - 2, fault);
    if (behind) field->text = (struct psa_str){ p, (size_t)(behind - p) };
    return behind;
}

enum psa_member_id psa_member_identify(struct psa_str name)
{
    static const struct {
        const char *name;
        enum psa_member_id id;
    } known[] = {
        { "sensor_type", PSA_M_SENSOR_TYPE },
        { "sensor_model", PSA_M_SENSOR_MODEL },
        { "sensor_id", PSA_M_SENSOR_ID },
        { "timestamp_ns", PSA_M_TIMESTAMP_NS },
        { "ts_ms", PSA_M_TS_MS },
        { "timestamp", PSA_M_TIMESTAMP },
        { "fields", PSA_M_FIELDS },
        { "rate_hz", PSA_M_RATE_HZ },
        { "window", PSA_M_WINDOW },
        { "anomaly", PSA_M_ANOMALY },
        { "alert", PSA_M_ALERT },
        { "labels", PSA_M_LABELS },
        { "clock", PSA_M_CLOCK },
        { "publish_topic", PSA_M_PUBLISH_TOPIC },
        { "seq", PSA_M_SEQ },
        { "psa", PSA_M_PSA },
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (psa_str_eq(name, known[i].name)) return known[i].id;
    return PSA_M_OTHER;
}

/* The content of a string value, the text of any other. */
static struct psa_str text_of(struct psa_decoder *decoder, struct psa_str value)
{
    if (value.n < 2 || *value.p != '"') return value;
    return psa_json_unescape((struct psa_str){ value.p + 1, value.n - 2 }, &decoder->record.arena);
}

/* Refuse the line: what is wrong, and the text that is wrong as far as it fits. */
static enum psa_line_kind refuse(struct psa_decoded *out, enum psa_refusal refusal, const char *what,
                                 struct psa_str value)
{
    int n = value.n > EXCERPT_MAX ? EXCERPT_MAX : (int)value.n;

    out->refusal = refusal;
    snprintf(out->why, sizeof out->why, "%s%s%.*s", what, n ? ": " : "", n, value.p);
    return PSA_LINE_REFUSED;
}

/* Event time from the one member that says it. false: it is no time. A null says nothing. */
static bool read_time(struct psa_record *record, const struct psa_member *member)
{
    const char *p = member->text.p, *end = p + member->text.n;
    bool string = *p == '"';

    if (psa_str_eq(member->text, "null")) return true;
    record->has_time = true;
    if (member->id == PSA_M_TIMESTAMP_NS) /* jq prints a round one as 1.71e+18: as good, when it is whole */
        return psa_int_parse(p, end, &record->timestamp_ns) ||
               (memchr(p, 'e', member->text.n) && psa_time_parse_epoch(p, end, 1, &record->timestamp_ns));
    if (member->id == PSA_M_TS_MS) return psa_time_parse_epoch(p, end, 1000000, &record->timestamp_ns);
    if (string) return psa_time_parse_iso(p + 1, end - 1, &record->timestamp_ns);
    return psa_time_parse_epoch(p, end, 1000000000, &record->timestamp_ns);
}

/* What the stages ask for most, from the members. */
static enum psa_line_kind read_members(struct psa_decoder *decoder, struct psa_decoded *out)
{
    static const char *const no_time[] = { [PSA_M_TIMESTAMP_NS] = "timestamp_ns is no integer of nanoseconds",
                                           [PSA_M_TS_MS] = "ts_ms is no time in milliseconds",
                                           [PSA_M_TIMESTAMP] = "timestamp is neither ISO 8601 nor epoch seconds" };
    struct psa_record *record = &decoder->record;
    const struct psa_member *time = NULL;

    record->sensor_type = record->sensor_id = (struct psa_str){ "", 0 };
    record->has_time = false;
    record->timestamp_ns = 0;
    record->rate_hz = 0;
    for (size_t i = 0; i < record->n_member; i++) {
        const struct psa_member *member = &record->member[i];
        double rate;

        switch (member->id) {
        case PSA_M_SENSOR_TYPE: record->sensor_type = text_of(decoder, member->text); break;
        case PSA_M_SENSOR_ID: record->sensor_id = text_of(decoder, member->text); break;
        case PSA_M_RATE_HZ:
            if (!psa_number_parse(member->text.p, member->text.p + member->text.n, &rate)) rate = 0;
            record->rate_hz = rate > 0 ? rate : 0;
            break;
        case PSA_M_TIMESTAMP_NS:
        case PSA_M_TS_MS:
        case PSA_M_TIMESTAMP:
            if (!time || member->id <= time->id) time = member;
            break;
        default: break;
        }
    }
    if (time && !read_time(record, time)) return refuse(out, PSA_REFUSED_TIME, no_time[time->id], time->text);
    out->record = record;
    return PSA_LINE_RECORD;
}

static void start_record(struct psa_decoder *decoder)
{
    psa_arena_reset(&decoder->record.arena);
    decoder->record.n_member = decoder->record.n_field = 0;
    decoder->record.fields_at = PSA_NO_INDEX;
    decoder->record.fields_tail = (struct psa_str){ "{}", 2 };
    decoder->n_sample = 0;
}

static bool reserve(void **array, size_t n, size_t *cap, size_t size)
{
    void *grown;

    if (n <= *cap) return true;
    grown = realloc(*array, (n + n / 2 + 16) * size);
    if (!grown) return false;
    *array = grown;
    *cap = n + n / 2 + 16;
    return true;
}

static struct psa_member *next_member(struct psa_record *record)
{
    void *array = record->member;
    bool ok = reserve(&array, record->n_member + 1, &record->cap_member, sizeof *record->member);

    record->member = array;
    return ok ? &record->member[record->n_member] : NULL;
}

static struct psa_field *next_field(struct psa_record *record)
{
    void *array = record->field;
    bool ok = reserve(&array, record->n_field + 1, &record->cap_field, sizeof *record->field);

    record->field = array;
    return ok ? &record->field[record->n_field] : NULL;
}

/* ---- the predicted path --------------------------------------------------------------------------------------------- */

/* A member's value at p: the byte behind it, or NULL. Most are what they were last time. */
static inline const char *predicted_member(const struct psa_decoder *decoder, const struct shape *shape,
                                           const struct step *step, const char *p, const char *end)
{
    const char *digits;

    if (step->number && p < end && *p != '0') { /* the plain integers of timestamp_ns and seq */
        digits = psa_digits_skip(p, end);
        if (digits > p && digits < end && *digits != '.' && *digits != 'e' && *digits != 'E') return digits;
    } else if ((size_t)(end - p) > step->value_n && psa_bytes_are(p, shape->line + step->value_at, step->value_n)) {
        return p + step->value_n;
    }
    return psa_json_value(p, end, (int)decoder->limits.depth - 1, NULL);
}

static inline const char *predicted_field(struct psa_decoder *decoder, const struct step *step, const char *p,
                                          const char *end, struct psa_field *field)
{
    const char *behind;
    bool finite;

    if (!step->number || p == end || *p == 'n') return field_value(decoder, p, end, field, NULL);
    behind = psa_number_scan(p, end, &field->number, &finite);
    if (!behind) return NULL;
    field->kind = finite ? PSA_NUMBER : PSA_NULL;
    field->text = (struct psa_str){ p, (size_t)(behind - p) };
    return behind;
}

static inline struct psa_str name_of(const struct step *step, const char *lead)
{
    return step->name.p ? step->name : (struct psa_str){ lead + step->name_at, step->name.n };
}

/* Room in the record for everything that a line of this shape has. */
static bool reserve_for(struct psa_record *record, const struct shape *shape)
{
    void *members = record->member, *fields = record->field;
    bool ok = reserve(&members, shape->n_step, &record->cap_member, sizeof *record->member);

    record->member = members;
    ok = ok && reserve(&fields, shape->n_step, &record->cap_field, sizeof *record->field);
    record->field = fields;
    return ok;
}

/* The value of one step at p, into the record: the byte behind it, or NULL where the shape does not fit. Up to `trusted`
 * the line has been found the same as the shape's. */
static inline const char *predicted_step(struct psa_decoder *decoder, const struct shape *shape,
                                         const struct step *step, struct psa_str lead, const char *trusted,
                                         const char *end)
{
    struct psa_record *record = &decoder->record;
    const char *p = lead.p + lead.n, *value = p;
    struct psa_member *member;
    struct psa_field *field;

    if (step->kind == STEP_FIELD) {
        field = &record->field[record->n_field++];
        field->lead = lead;
        field->name = name_of(step, lead.p);
        field->shadowed = step->shadowed;
        return predicted_field(decoder, step, p, end, field);
    }
    if (step->kind == STEP_FIELDS_CLOSE) {
        member = &record->member[shape->fields_at];
        record->fields_tail = lead;
        member->text = (struct psa_str){ member->lead.p + member->lead.n, 0 };
        member->text.n = (size_t)(p - member->text.p);
        return p;
    }
    member = &record->member[record->n_member++];
    member->lead = lead;
    member->name = name_of(step, lead.p);
    member->id = step->id;
    member->shadowed = step->shadowed;
    if (step->kind == STEP_FIELDS_OPEN) return p;
    p = p + step->value_n <= trusted ? p + step->value_n : predicted_member(decoder, shape, step, p, end);
    if (p) member->text = (struct psa_str){ value, (size_t)(p - value) };
    return p;
}

/* Fill the record from the line if it has this shape. */
static bool predict(struct psa_decoder *decoder, const struct shape *shape, struct psa_str line)
{
    struct psa_record *record = &decoder->record;
    const char *p = line.p, *end = line.p + line.n, *trusted = line.p;

    start_record(decoder);
    if (!reserve_for(record, shape)) return false;
    for (size_t i = 0; i < shape->n_step; i++) { /* an empty shape has no steps to point to */
        const struct step *step = &shape->step[i];
        const char *old = shape->line + step->lead_at;

        if (p >= trusted && (size_t)(end - p) >= step->run_n && psa_bytes_are(p, old, step->run_n))
            trusted = p + step->run_n;
        if (p + step->lead_n > trusted && ((size_t)(end - p) < step->lead_n || !psa_bytes_are(p, old, step->lead_n)))
            return false;
        p = predicted_step(decoder, shape, step, (struct psa_str){ p, step->lead_n }, trusted, end);
        if (!p) return false;
    }
    if ((size_t)(end - p) != shape->tail.n || !psa_bytes_are(p, shape->tail.p, shape->tail.n)) return false;
    record->fields_at = shape->fields_at;
    record->tail = (struct psa_str){ p, shape->tail.n };
    if (decoder->n_sample) settle_arrays(decoder);
    return true;
}

/* ---- learning a shape ------------------------------------------------------------------------------------------------ */

static struct step *add_step(struct shape *shape)
{
    void *array = shape->step;
    bool ok = reserve(&array, shape->n_step + 1, &shape->cap_step, sizeof *shape->step);

    shape->step = array;
    return ok ? &shape->step[shape->n_step++] : NULL;
}

/* A step from the spans that the general path cut out of `line`. */
static bool learn_step(struct shape *shape, struct psa_str line, struct psa_str lead, struct psa_str name,
                       struct psa_str value, struct step like)
{
    struct step *step = add_step(shape);

    if (!step) return false;
    *step = like;
    step->lead_at = (uint32_t)(lead.p - line.p);
    step->lead_n = (uint32_t)lead.n;
    step->value_at = value.p ? (uint32_t)(value.p - line.p) : 0;
    step->value_n = (uint32_t)value.n;
    step->name = (struct psa_str){ NULL, name.n };
    if (name.p >= lead.p && name.p < lead.p + lead.n) step->name_at = (uint32_t)(name.p - lead.p);
    else if (name.p) step->name = psa_arena_copy(&shape->arena, name);
    return !name.p || step->name.p || name.p >= lead.p;
}

static bool learn_fields(struct shape *shape, struct psa_str line, const struct psa_record *record)
{
    for (size_t i = 0; i < record->n_field; i++) {
        const struct psa_field *field = &record->field[i];
        struct step like = { .kind = STEP_FIELD, .shadowed = field->shadowed, .number = is_number(field->text) };

        if (!learn_step(shape, line, field->lead, field->name, field->text, like)) return false;
    }
    return learn_step(shape, line, record->fields_tail, (struct psa_str){ NULL, 0 }, (struct psa_str){ NULL, 0 },
                      (struct step){ .kind = STEP_FIELDS_CLOSE });
}

static bool learn_steps(struct shape *shape, struct psa_str line, const struct psa_record *record)
{
    for (size_t i = 0; i < record->n_member; i++) {
        const struct psa_member *member = &record->member[i];
        struct step like = { .kind = i == record->fields_at ? STEP_FIELDS_OPEN : STEP_MEMBER,
                             .id = member->id,
                             .shadowed = member->shadowed,
                             .number = is_number(member->text) };

        /* fields twice: what the first holds counts against the limit, and only the general path counts it. */
        if (member->id == PSA_M_FIELDS && i != record->fields_at) return false;
        if (!learn_step(shape, line, member->lead, member->name, member->text, like)) return false;
        if (i == record->fields_at && !learn_fields(shape, line, record)) return false;
    }
    return true;
}

/* How far from each step on the line is likely to be the same again: through every value up to the next number. */
static void find_runs(struct shape *shape)
{
    uint32_t behind = 0; /* the end of the run that the next step starts, 0: it starts anew with its own lead */

    for (size_t i = shape->n_step; i-- > 0;) {
        struct step *step = &shape->step[i];
        uint32_t lead_end = step->lead_at + step->lead_n;
        bool varies = step->kind == STEP_FIELD || (step->kind == STEP_MEMBER && step->number);

        if (varies) behind = lead_end;
        else if (!behind) behind = step->kind == STEP_MEMBER ? step->value_at + step->value_n : lead_end;
        step->run_n = behind - step->lead_at;
    }
}

/* Keep the shape of the line just decoded, in place of the one that was learnt longest ago. */
static void learn(struct psa_decoder *decoder, struct psa_str line)
{
    struct shape *shape = &decoder->shape[decoder->oldest];
    const struct psa_record *record = &decoder->record;
    char *copy;

    if (line.n > SHAPE_LINE_MAX) return;
    shape->used = false;
    copy = realloc(shape->line, line.n);
    if (!copy) return;
    shape->line = copy;
    memcpy(copy, line.p, line.n);
    shape->n_line = line.n;
    shape->n_step = 0;
    psa_arena_reset(&shape->arena);
    if (!learn_steps(shape, line, record)) return;
    find_runs(shape);
    shape->fields_at = record->fields_at;
    shape->tail = (struct psa_str){ copy + (record->tail.p - line.p), record->tail.n };
    shape->used = true;
    shape->next = decoder->oldest;
    decoder->shape[decoder->last].next = decoder->oldest;
    decoder->last = decoder->oldest;
    decoder->oldest = (decoder->oldest + 1) % SHAPES_MAX;
}

/* Try the shape that is likely next, then the others. */
static bool predict_any(struct psa_decoder *decoder, struct psa_str line)
{
    size_t guess = decoder->shape[decoder->last].next;

    if (decoder->shape[guess].used && predict(decoder, &decoder->shape[guess], line)) {
        decoder->last = guess;
        return true;
    }
    for (size_t i = 0; i < SHAPES_MAX; i++) {
        if (i == guess || !decoder->shape[i].used || !predict(decoder, &decoder->shape[i], line)) continue;
        decoder->shape[decoder->last].next = i;
        decoder->last = i;
        return true;
    }
    return false;
}

/* ---- the general path -------------------------------------------------------------------------------------------------- */

/* The line at hand on its way through the general path. */
struct cut {
    struct psa_decoder *decoder;
    const char *begin, *p, *end;
    struct psa_json_fault fault;
    enum psa_refusal refusal;
};

static bool cut_fail(struct cut *cut, enum psa_refusal refusal, const char *at, const char *what)
{
    cut->refusal = refusal;
    if (what) cut->fault = (struct psa_json_fault){ what, at };
    return false;
}

/* A member's name from its opening quote at cut->p; leaves cut->p at its value. */
static bool cut_name(struct cut *cut, struct psa_str *name)
{
    const char *quote = cut->p, *behind;
    bool escaped;

    if (quote == cut->end || *quote != '"') return cut_fail(cut, PSA_REFUSED_SYNTAX, quote, "no member name in quotes");
    behind = psa_json_string(quote, cut->end, &escaped, &cut->fault);
    if (!behind) return cut_fail(cut, PSA_REFUSED_SYNTAX, NULL, NULL);
    *name = (struct psa_str){ quote + 1, (size_t)(behind - quote) - 2 };
    if (escaped) *name = psa_json_unescape(*name, &cut->decoder->record.arena);
    if (!name->p) return cut_fail(cut, PSA_REFUSED_LIMIT, quote, "out of memory");
    behind = psa_json_space(behind, cut->end);
    if (behind == cut->end || *behind != ':')
        return cut_fail(cut, PSA_REFUSED_SYNTAX, behind, "no colon behind a member name");
    cut->p = psa_json_space(behind + 1, cut->end);
    return true;
}

/* Behind a value: a comma (true, cut->p at the next name) or the closing brace (*last, cut->p behind it). */
static bool cut_comma(struct cut *cut, bool *last)
{
    const char *p = psa_json_space(cut->p, cut->end);

    if (p < cut->end && *p == '}') {
        *last = true;
        cut->p = p + 1;
        return true;
    }
    if (p == cut->end || *p != ',') return cut_fail(cut, PSA_REFUSED_SYNTAX, p, "no comma or } behind a member");
    *last = false;
    cut->p = psa_json_space(p + 1, cut->end);
    return true;
}

static bool too_many(const struct psa_decoder *decoder)
{
    return (int64_t)(decoder->record.n_member + decoder->record.n_field) >= decoder->limits.fields;
}

/* The object of fields at cut->p. */
static bool cut_fields(struct cut *cut)
{
    struct psa_decoder *decoder = cut->decoder;
    struct psa_record *record = &decoder->record;
    const char *from = cut->p, *behind;
    bool last = false;

    record->n_field = 0;
    decoder->n_sample = 0;
    cut->p = psa_json_space(cut->p + 1, cut->end);
    if (cut->p < cut->end && *cut->p == '}') {
        cut->p++;
        last = true;
    }
    while (!last) {
        struct psa_field *field = next_field(record);

        if (!field || decoder->no_memory) return cut_fail(cut, PSA_REFUSED_LIMIT, cut->p, "out of memory");
        if (too_many(decoder)) return cut_fail(cut, PSA_REFUSED_LIMIT, cut->p, "more fields than --max-fields");
        *field = (struct psa_field){ 0 };
        if (!cut_name(cut, &field->name)) return false;
        field->lead = (struct psa_str){ from, (size_t)(cut->p - from) };
        behind = field_value(decoder, cut->p, cut->end, field, &cut->fault);
        if (!behind) return cut_fail(cut, PSA_REFUSED_SYNTAX, NULL, NULL);
        record->n_field++;
        cut->p = from = behind;
        if (!cut_comma(cut, &last)) return false;
    }
    record->fields_tail = (struct psa_str){ from, (size_t)(cut->p - from) };
    return true;
}

static bool cut_member(struct cut *cut, const char *from)
{
    struct psa_decoder *decoder = cut->decoder;
    struct psa_record *record = &decoder->record;
    struct psa_member *member = next_member(record);
    const char *value;

    if (!member || decoder->no_memory) return cut_fail(cut, PSA_REFUSED_LIMIT, cut->p, "out of memory");
    if (too_many(decoder)) return cut_fail(cut, PSA_REFUSED_LIMIT, cut->p, "more members than --max-fields");
    *member = (struct psa_member){ 0 };
    if (!cut_name(cut, &member->name)) return false;
    member->id = psa_member_identify(member->name);
    member->lead = (struct psa_str){ from, (size_t)(cut->p - from) };
    value = cut->p;
    if (member->id == PSA_M_FIELDS && value < cut->end && *value == '{') {
        if (decoder->limits.depth < 2)
            return cut_fail(cut, PSA_REFUSED_SYNTAX, value, "nesting deeper than --max-depth");
        if (!cut_fields(cut)) return false;
        record->fields_at = record->n_member;
    } else {
        if (member->id == PSA_M_FIELDS) record->fields_at = PSA_NO_INDEX;
        cut->p = psa_json_value(value, cut->end, (int)decoder->limits.depth - 1, &cut->fault);
        if (!cut->p) return cut_fail(cut, PSA_REFUSED_SYNTAX, NULL, NULL);
    }
    member->text = (struct psa_str){ value, (size_t)(cut->p - value) };
    record->n_member++;
    return true;
}

static bool cut_record(struct cut *cut)
{
    struct psa_record *record = &cut->decoder->record;
    const char *from = cut->begin;
    bool last = false;

    cut->p = psa_json_space(cut->p + 1, cut->end);
    if (cut->p < cut->end && *cut->p == '}') {
        cut->p++;
        last = true;
    }
    while (!last) {
        if (!cut_member(cut, from)) return false;
        from = cut->p;
        if (!cut_comma(cut, &last)) return false;
    }
    if (psa_json_space(cut->p, cut->end) != cut->end)
        return cut_fail(cut, PSA_REFUSED_SYNTAX, psa_json_space(cut->p, cut->end),
                        "something stands behind the object");
    record->tail = (struct psa_str){ from, (size_t)(cut->end - from) };
    return true;
}

/* Of elements with one name the last counts. Names are compared in order of their hashes, so that a record of thousands
 * of fields stays fast. */
struct named {
    uint64_t hash;
    size_t at;
};

static int by_hash(const void *a, const void *b)
{
    const struct named *x = a, *y = b;

    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static bool mark_shadowed_fields(struct psa_record *record)
{
    struct named *named = psa_arena_take(&record->arena, (record->n_field + 1) * sizeof *named);

    if (!named) return false;
    for (size_t i = 0; i < record->n_field; i++)
        named[i] = (struct named){ psa_hash(PSA_HASH_START, record->field[i].name.p, record->field[i].name.n), i };
    qsort(named, record->n_field, sizeof *named, by_hash);
    for (size_t i = 0; i + 1 < record->n_field; i++)
        for (size_t j = i + 1; j < record->n_field && named[j].hash == named[i].hash; j++)
            if (psa_str_is(record->field[named[i].at].name, record->field[named[j].at].name)) {
                record->field[named[i].at].shadowed = true;
                break;
            }
    return true;
}

static void mark_shadowed_members(struct psa_record *record)
{
    for (size_t i = 0; i < record->n_member; i++)
        for (size_t j = i + 1; j < record->n_member && record->member[i].id != PSA_M_OTHER; j++)
            if (record->member[i].id == record->member[j].id) record->member[i].shadowed = true;
}

/* `{"psa":{"heartbeat":1}}` and its like. */
static enum psa_line_kind read_control(struct psa_decoder *decoder, struct psa_str line, struct psa_decoded *out)
{
    struct psa_control *control = &out->control;
    struct psa_str name = { NULL, 0 }, id;
    struct psa_json in;
    bool known = true;

    *control = (struct psa_control){ .text = line };
    psa_json_open(&in, decoder->record.member[0].text, &decoder->record.arena);
    psa_json_enter_object(&in);
    if (!psa_json_next_member(&in, &name)) known = false;
    if (known && psa_str_eq(name, "heartbeat")) {
        control->kind = PSA_HEARTBEAT;
        control->heartbeat_ns = psa_json_int(&in);
    } else if (known && (psa_str_eq(name, "checkpoint") || psa_str_eq(name, "restore"))) {
        control->kind = psa_str_eq(name, "restore") ? PSA_RESTORE : PSA_CHECKPOINT;
        id = psa_json_text(&in);
        known = id.n > 0 && id.n < sizeof control->id;
        for (size_t i = 0; known && i < id.n; i++) known = id.p[i] >= '0' && id.p[i] <= '9';
        if (known) memcpy(control->id, id.p, id.n);
    } else {
        known = false;
    }
    if (known && !psa_json_next_member(&in, &name) && psa_json_close(&in)) return PSA_LINE_CONTROL;
    return refuse(out, PSA_REFUSED_CONTROL, "no control word that psa knows", line);
}

static enum psa_line_kind refuse_cut(const struct cut *cut, struct psa_decoded *out)
{
    out->refusal = cut->refusal;
    if (strcmp(cut->fault.what, "nesting deeper than --max-depth") == 0) out->refusal = PSA_REFUSED_LIMIT;
    snprintf(out->why, sizeof out->why, "byte %zu: %s", (size_t)(cut->fault.at - cut->begin) + 1, cut->fault.what);
    return PSA_LINE_REFUSED;
}

static enum psa_line_kind decode_flat(struct psa_decoder *decoder, struct psa_decoded *out);

static enum psa_line_kind decode_general(struct psa_decoder *decoder, struct psa_str line, struct psa_decoded *out)
{
    struct cut cut = { decoder, line.p, psa_json_space(line.p, line.p + line.n), line.p + line.n, { 0 }, 0 };
    struct psa_record *record = &decoder->record;
    const struct psa_member *fields;
    const char *behind;

    start_record(decoder);
    decoder->no_memory = false;
    if (cut.p == cut.end) return PSA_LINE_BLANK;
    if (*cut.p != '{') {
        behind = psa_json_value(cut.p, cut.end, (int)decoder->limits.depth, &cut.fault);
        if (behind && psa_json_space(behind, cut.end) == cut.end)
            return refuse(out, PSA_REFUSED_NOT_OBJECT, "no JSON object", line);
        if (behind) cut.fault = (struct psa_json_fault){ "something stands behind the value", behind };
        cut.refusal = PSA_REFUSED_SYNTAX;
        return refuse_cut(&cut, out);
    }
    if (!cut_record(&cut)) return refuse_cut(&cut, out);
    if (record->n_member == 1 && record->member[0].id == PSA_M_PSA) return read_control(decoder, line, out);
    fields = psa_record_member(record, PSA_M_FIELDS);
    if (fields && record->fields_at == PSA_NO_INDEX)
        return refuse(out, PSA_REFUSED_FIELDS, "fields is no object", fields->text);
    if (record->fields_at == PSA_NO_INDEX) record->n_field = 0;
    settle_arrays(decoder);
    if (!mark_shadowed_fields(record))
        return refuse(out, PSA_REFUSED_LIMIT, "out of memory", (struct psa_str){ "", 0 });
    mark_shadowed_members(record);
    return PSA_LINE_RECORD;
}

enum psa_line_kind psa_decode_general(struct psa_decoder *decoder, struct psa_str line, struct psa_decoded *out)
{
    enum psa_line_kind kind = decode_general(decoder, line, out);

    if (kind != PSA_LINE_RECORD) return kind;
    if (decoder->limits.flat && decoder->record.fields_at == PSA_NO_INDEX) return decode_flat(decoder, out);
    return read_members(decoder, out);
}

enum psa_line_kind psa_decode(struct psa_decoder *decoder, struct psa_str line, struct psa_decoded *out)
{
    enum psa_line_kind kind;

    if (line.n && predict_any(decoder, line)) return read_members(decoder, out);
    kind = decode_general(decoder, line, out);
    if (kind != PSA_LINE_RECORD) return kind;
    if (decoder->limits.flat && decoder->record.fields_at == PSA_NO_INDEX) return decode_flat(decoder, out);
    learn(decoder, line);
    return read_members(decoder, out);
}

/* ---- --flat ------------------------------------------------------------------------------------------------------------- */

static bool is_flat_field(const struct psa_member *member)
{
    return member->id == PSA_M_OTHER && is_number(member->text);
}

/* The name as it came, quotes included, out of `, "name" :`. */
static struct psa_str quoted_name(struct psa_str lead)
{
    const char *open = memchr(lead.p, '"', lead.n), *close = memrchr(lead.p, '"', lead.n);

    return (struct psa_str){ open, (size_t)(close - open) + 1 };
}

static void put_member(struct psa_buf *out, const struct psa_member *member)
{
    struct psa_str name = quoted_name(member->lead);

    psa_buf_comma(out);
    psa_buf_put(out, name.p, name.n);
    psa_buf_puts(out, ":");
    psa_buf_put(out, member->text.p, member->text.n);
}

/* Write the record at hand anew with its number members gathered in `fields`, where the first of them stood, and decode
 * that. A record without number members stays as it is. */
static enum psa_line_kind decode_flat(struct psa_decoder *decoder, struct psa_decoded *out)
{
    const struct psa_record *record = &decoder->record;
    struct psa_buf *flat = &decoder->flat;
    enum psa_line_kind kind;
    bool gathered = false;

    flat->n = 0;
    psa_buf_puts(flat, "{");
    for (size_t i = 0; i < record->n_member; i++) {
        const struct psa_member *member = &record->member[i];

        if (is_flat_field(member) && gathered) continue;
        if (!is_flat_field(member)) {
            put_member(flat, member);
            continue;
        }
        gathered = true;
        psa_buf_comma(flat);
        psa_buf_puts(flat, "\"fields\":{");
        for (size_t j = i; j < record->n_member; j++)
            if (is_flat_field(&record->member[j])) put_member(flat, &record->member[j]);
        psa_buf_puts(flat, "}");
    }
    psa_buf_puts(flat, "}");
    if (flat->failed) return refuse(out, PSA_REFUSED_LIMIT, "out of memory", (struct psa_str){ "", 0 });
    if (!gathered) return read_members(decoder, out);
    if (predict_any(decoder, psa_buf_str(flat))) return read_members(decoder, out);
    kind = decode_general(decoder, psa_buf_str(flat), out);
    if (kind != PSA_LINE_RECORD) return kind; /* the limits: `fields` is one member more */
    learn(decoder, psa_buf_str(flat));
    return read_members(decoder, out);
}
