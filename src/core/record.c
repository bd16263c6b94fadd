/*
 * record.c - looking at, changing, encoding and storing records; see record.h. Decoding is in decode.c.
 *
 * Encoding joins spans that lie side by side in memory, so an untouched record is one copy of its line.
 */
#include "core/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/number.h"

/* ---- looking ------------------------------------------------------------------------------------------------------ */

struct psa_field *psa_record_field(const struct psa_record *record, struct psa_str name, size_t hint)
{
    if (hint < record->n_field && !record->field[hint].shadowed && psa_str_is(record->field[hint].name, name))
        return &record->field[hint];
    for (size_t i = record->n_field; i-- > 0;)
        if (psa_str_is(record->field[i].name, name)) return &record->field[i];
    return NULL;
}

struct psa_member *psa_record_member(const struct psa_record *record, enum psa_member_id id)
{
    for (size_t i = record->n_member; i-- > 0;)
        if (record->member[i].id == id) return &record->member[i];
    return NULL;
}

static struct psa_member *member_named(const struct psa_record *record, struct psa_str name)
{
    for (size_t i = record->n_member; i-- > 0;)
        if (psa_str_is(record->member[i].name, name)) return &record->member[i];
    return NULL;
}

/* A field's value as it would be printed now; a string's content. */
static struct psa_str field_text(struct psa_record *record, const char *name)
{
    const struct psa_field *field = psa_record_field(record, psa_str_of(name), PSA_NO_INDEX);
    char number[PSA_NUMBER_MAX];

    if (!field || (field->kind == PSA_ARRAY && !field->text.p)) return (struct psa_str){ NULL, 0 };
    if (!field->text.p) {
        size_t n = psa_number_format(field->kind == PSA_NUMBER ? field->number : NAN, number);

        return psa_arena_copy(&record->arena, (struct psa_str){ number, n });
    }
    if (field->text.n >= 2 && *field->text.p == '"')
        return psa_json_unescape((struct psa_str){ field->text.p + 1, field->text.n - 2 }, &record->arena);
    return field->text;
}

struct psa_str psa_record_path(struct psa_record *record, const char *path)
{
    const char *dot = strchr(path, '.');
    struct psa_str name = { path, dot ? (size_t)(dot - path) : strlen(path) };
    const struct psa_member *member = member_named(record, name);
    struct psa_str text = { NULL, 0 };

    if (member && dot && member == record->member + record->fields_at) return field_text(record, dot + 1);
    if (member) text = dot ? psa_json_find(member->text, dot + 1) : member->text;
    if (text.p && text.n >= 2 && *text.p == '"')
        return psa_json_unescape((struct psa_str){ text.p + 1, text.n - 2 }, &record->arena);
    return text;
}

bool psa_field_is_verdict(struct psa_str name)
{
    return psa_str_eq(name, "anomaly_score") || psa_str_eq(name, "anomaly_label");
}

bool psa_record_is_status(const struct psa_record *record)
{
    return psa_str_eq(record->sensor_type, "status");
}

/* ---- changing ------------------------------------------------------------------------------------------------------ */

void psa_field_set(struct psa_field *field, double value)
{
    field->text.p = NULL;
    field->kind = isfinite(value) ? PSA_NUMBER : PSA_NULL;
    field->number = value;
}

void psa_field_set_array(struct psa_field *field, const double *value, size_t n)
{
    field->text.p = NULL;
    field->kind = PSA_ARRAY;
    field->array = value;
    field->n_array = n;
}

/* Room for one more element in a growing array of the record. */
static bool grow(void **array, size_t n, size_t *cap, size_t size)
{
    size_t want = *cap ? *cap * 2 : 16;
    void *grown;

    if (n < *cap) return true;
    grown = realloc(*array, want * size);
    if (!grown) return false;
    *array = grown;
    *cap = want;
    return true;
}

static struct psa_str constant(const char *text)
{
    return psa_str_of(text);
}

/* `,"name":` for a member name that needs no escape. */
static struct psa_str member_lead(struct psa_arena *arena, const char *name)
{
    size_t n = strlen(name);
    char *lead = psa_arena_take(arena, n + 4);

    if (!lead) return (struct psa_str){ NULL, 0 };
    memcpy(lead, ",\"", 2);
    memcpy(lead + 2, name, n);
    memcpy(lead + n + 2, "\":", 2);
    return (struct psa_str){ lead, n + 4 };
}

/* An object's or the record's closing text when its first element comes: what stood behind its opening brace. */
static void open_tail(struct psa_str *tail)
{
    const char *brace = memchr(tail->p, '{', tail->n);

    if (!brace) return;
    tail->n -= (size_t)(brace + 1 - tail->p);
    tail->p = brace + 1;
}

static struct psa_member *append_member(struct psa_record *record, const char *name)
{
    struct psa_member *member;
    void *array = record->member;
    struct psa_str lead = member_lead(&record->arena, name);

    if (!lead.p || !grow(&array, record->n_member, &record->cap_member, sizeof *member)) return NULL;
    record->member = array;
    if (record->n_member == 0) {
        if (!record->tail.p) record->tail = constant("{}");
        open_tail(&record->tail);
    }
    member = &record->member[record->n_member++];
    *member = (struct psa_member){ .lead = lead, .id = psa_member_identify(psa_str_of(name)) };
    member->name = (struct psa_str){ lead.p + 2, lead.n - 4 };
    return member;
}

int psa_record_set(struct psa_record *record, const char *name, struct psa_str json)
{
    struct psa_member *member = member_named(record, psa_str_of(name));
    struct psa_str copy = psa_arena_copy(&record->arena, json);

    if (!copy.p) return -1;
    if (!member) member = append_member(record, name);
    if (!member) return -1;
    member->text = copy;
    return 0;
}

int psa_record_set_time(struct psa_record *record, int64_t ns)
{
    struct psa_member *member = psa_record_member(record, PSA_M_TIMESTAMP_NS);
    char text[PSA_NUMBER_MAX];
    struct psa_str json = { text, psa_int_format(ns, text) };

    record->has_time = true;
    record->timestamp_ns = ns;
    if (!member) member = psa_record_member(record, PSA_M_TS_MS);
    if (!member) member = psa_record_member(record, PSA_M_TIMESTAMP);
    if (member && member->id != PSA_M_TIMESTAMP_NS) {
        struct psa_str lead = member_lead(&record->arena, "timestamp_ns");

        if (!lead.p) return -1;
        member->lead = lead;
        member->name = (struct psa_str){ lead.p + 2, lead.n - 4 };
        member->id = PSA_M_TIMESTAMP_NS;
    }
    return psa_record_set(record, "timestamp_ns", json);
}

int psa_record_set_rate(struct psa_record *record, double hz)
{
    char text[PSA_NUMBER_MAX];

    record->rate_hz = hz;
    return psa_record_set(record, "rate_hz", (struct psa_str){ text, psa_number_format(hz, text) });
}

void psa_record_unset(struct psa_record *record, enum psa_member_id id)
{
    size_t kept = 0, fields_at = record->fields_at;

    for (size_t i = 0; i < record->n_member; i++) {
        if (record->member[i].id == id) continue;
        if (i == fields_at) record->fields_at = kept;
        record->member[kept++] = record->member[i];
    }
    record->n_member = kept;
    if (id == PSA_M_RATE_HZ) record->rate_hz = 0;
}

int psa_record_clear_fields(struct psa_record *record)
{
    if (record->fields_at == PSA_NO_INDEX) {
        if (!append_member(record, "fields")) return -1;
        record->fields_at = record->n_member - 1;
    }
    record->n_field = 0;
    record->fields_tail = constant("{}");
    return 0;
}

struct psa_field *psa_record_add_field(struct psa_record *record, struct psa_str key, struct psa_str name)
{
    void *array = record->field;
    struct psa_field *field;

    if (record->fields_at == PSA_NO_INDEX && psa_record_clear_fields(record) != 0) return NULL;
    if (!grow(&array, record->n_field, &record->cap_field, sizeof *field)) return NULL;
    record->field = array;
    if (record->n_field == 0) open_tail(&record->fields_tail);
    field = &record->field[record->n_field++];
    *field = (struct psa_field){ .lead = key, .name = name, .kind = PSA_NULL };
    return field;
}

/* A lead that opens its object, `{ "a":`, as one that follows another field, `,"a":`. */
static struct psa_str following_lead(struct psa_arena *arena, struct psa_str lead)
{
    const char *end = lead.p + lead.n, *quote;
    struct psa_str copy;

    if (*psa_json_space(lead.p, end) != '{') return lead;
    quote = memchr(lead.p, '"', lead.n);
    copy = psa_arena_copy(arena, (struct psa_str){ quote - 1, (size_t)(end - quote) + 1 });
    if (copy.p) *(char *)copy.p = ',';
    return copy;
}

int psa_record_replace_fields(struct psa_record *record, const struct psa_field *field, size_t n)
{
    if (psa_record_clear_fields(record) != 0) return -1;
    for (size_t i = 0; i < n; i++) {
        struct psa_str lead = following_lead(&record->arena, field[i].lead);
        struct psa_field *place = lead.p ? psa_record_add_field(record, lead, field[i].name) : NULL;

        if (!place) return -1;
        *place = field[i];
        place->lead = lead;
    }
    return 0;
}

struct psa_field *psa_record_put_field(struct psa_record *record, struct psa_str name)
{
    struct psa_field *field = psa_record_field(record, name, PSA_NO_INDEX);
    struct psa_str key, copy;

    if (field) return field;
    key = psa_field_key(&record->arena, name);
    copy = psa_arena_copy(&record->arena, name);
    return key.p && copy.p ? psa_record_add_field(record, key, copy) : NULL;
}

struct psa_str psa_field_key(struct psa_arena *arena, struct psa_str name)
{
    size_t most = name.n * 6 + 4; /* every byte as \u00xx, two quotes, comma and colon */
    struct psa_buf key = { .p = psa_arena_take(arena, most), .cap = most };

    if (!key.p) return (struct psa_str){ NULL, 0 };
    psa_buf_put(&key, ",", 1);
    psa_buf_quote(&key, name);
    psa_buf_put(&key, ":", 1);
    return psa_buf_str(&key);
}

/* ---- encoding ------------------------------------------------------------------------------------------------------ */

/* Where encoding writes, and a span waiting to be copied: spans side by side in memory become one. */
struct run {
    char *out;
    const char *begin, *end;
};

static inline void flush_run(struct run *run)
{
    size_t n = (size_t)(run->end - run->begin);

    if (n) memcpy(run->out, run->begin, n);
    run->out += n;
    run->begin = run->end = NULL;
}

static inline void put(struct run *run, struct psa_str text)
{
    if (run->end != text.p) {
        flush_run(run);
        run->begin = text.p;
        run->end = text.p;
    }
    run->end += text.n;
}

/* The lead of an element. One that has become its container's first stood behind a comma, where the brace is now. */
static inline void put_lead(struct run *run, struct psa_str lead, bool first)
{
    if (first && *psa_json_space(lead.p, lead.p + lead.n) == ',') {
        const char *comma = psa_json_space(lead.p, lead.p + lead.n);

        put(run, (struct psa_str){ "{", 1 });
        lead.n -= (size_t)(comma + 1 - lead.p);
        lead.p = comma + 1;
    }
    put(run, lead);
}

static void put_array(struct run *run, const double *value, size_t n)
{
    *run->out++ = '[';
    for (size_t i = 0; i < n; i++) {
        if (i) *run->out++ = ',';
        run->out += psa_number_format(value[i], run->out);
    }
    *run->out++ = ']';
}

static void put_fields(struct run *run, const struct psa_record *record)
{
    for (size_t i = 0; i < record->n_field; i++) {
        const struct psa_field *field = &record->field[i];

        put_lead(run, field->lead, i == 0);
        if (field->text.p) {
            put(run, field->text);
            continue;
        }
        flush_run(run);
        if (field->kind == PSA_ARRAY) put_array(run, field->array, field->n_array);
        else run->out += psa_number_format(field->kind == PSA_NUMBER ? field->number : NAN, run->out);
    }
    put(run, record->fields_tail);
}

/* Bytes that the record's text cannot exceed. */
static size_t encoded_bound(const struct psa_record *record)
{
    size_t n = record->tail.n + record->fields_tail.n + 2;

    for (size_t i = 0; i < record->n_member; i++)
        n += record->member[i].lead.n + 1 + (i == record->fields_at ? 0 : record->member[i].text.n);
    for (size_t i = 0; i < record->n_field; i++) {
        const struct psa_field *field = &record->field[i];

        n += field->lead.n + 1 + PSA_NUMBER_MAX;
        if (field->text.p) n += field->text.n;
        else if (field->kind == PSA_ARRAY) n += field->n_array * (PSA_NUMBER_MAX + 1);
    }
    return n;
}

void psa_encode(const struct psa_record *record, struct psa_buf *out)
{
    struct run run = { psa_buf_room(out, encoded_bound(record)), NULL, NULL };

    if (!run.out) return;
    for (size_t i = 0; i < record->n_member; i++) {
        put_lead(&run, record->member[i].lead, i == 0);
        if (i == record->fields_at) put_fields(&run, record);
        else put(&run, record->member[i].text);
    }
    put(&run, record->tail);
    flush_run(&run);
    *run.out++ = '\n';
    out->n = (size_t)(run.out - out->p);
}

/* ---- storing ------------------------------------------------------------------------------------------------------- */

static bool copy_span(struct psa_arena *arena, struct psa_str *span)
{
    if (!span->p) return true;
    *span = psa_arena_copy(arena, *span);
    return span->p != NULL;
}

static bool copy_field(struct psa_arena *arena, struct psa_field *field)
{
    if (!copy_span(arena, &field->lead) || !copy_span(arena, &field->name) || !copy_span(arena, &field->text))
        return false;
    if (field->kind == PSA_ARRAY) {
        double *array = psa_arena_take(arena, (field->n_array + 1) * sizeof *array);

        if (!array) return false;
        if (field->n_array) memcpy(array, field->array, field->n_array * sizeof *array);
        field->array = array;
    }
    return true;
}

static bool reserve(void **array, size_t n, size_t *cap, size_t size)
{
    void *grown;

    if (n <= *cap) return true;
    grown = realloc(*array, n * size);
    if (!grown) return false;
    *array = grown;
    *cap = n;
    return true;
}

static bool reserve_like(struct psa_record *dst, const struct psa_record *src)
{
    void *member = dst->member, *field = dst->field;
    bool ok = reserve(&member, src->n_member, &dst->cap_member, sizeof *src->member);

    dst->member = member;
    ok = ok && reserve(&field, src->n_field, &dst->cap_field, sizeof *src->field);
    dst->field = field;
    return ok;
}

int psa_record_copy(struct psa_record *dst, const struct psa_record *src, bool with_fields)
{
    struct psa_arena *arena = &dst->arena;

    psa_arena_reset(arena);
    if (!reserve_like(dst, src)) return -1;
    for (size_t i = 0; i < src->n_member; i++) {
        struct psa_member *member = &dst->member[i];

        *member = src->member[i];
        if (i == src->fields_at) member->text = (struct psa_str){ NULL, 0 };
        if (!copy_span(arena, &member->lead) || !copy_span(arena, &member->name) || !copy_span(arena, &member->text))
            return -1;
    }
    dst->n_member = src->n_member;
    dst->fields_at = src->fields_at;
    dst->n_field = with_fields ? src->n_field : 0;
    for (size_t i = 0; i < dst->n_field; i++) {
        dst->field[i] = src->field[i];
        if (!copy_field(arena, &dst->field[i])) return -1;
    }
    dst->fields_tail = with_fields ? src->fields_tail : constant("{}");
    dst->tail = src->tail;
    dst->sensor_type = src->sensor_type;
    dst->sensor_id = src->sensor_id;
    dst->has_time = src->has_time;
    dst->timestamp_ns = src->timestamp_ns;
    dst->rate_hz = src->rate_hz;
    if (!copy_span(arena, &dst->fields_tail) || !copy_span(arena, &dst->tail) || !copy_span(arena, &dst->sensor_type) ||
        !copy_span(arena, &dst->sensor_id))
        return -1;
    return 0;
}

void psa_record_free(struct psa_record *record)
{
    free(record->member);
    free(record->field);
    psa_arena_free(&record->arena);
    *record = (struct psa_record){ 0 };
}
