/*
 * template.c - see template.h. The text is cut once into pieces: literal text and places. What a topic may hold is
 * MQTT's to say (OASIS MQTT 5.0, 1.5.4 and 4.7); what a JSON string may hold is RFC 8259's (section 7).
 */
#include "core/template.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/json.h"
#include "core/record.h"

#define TOPIC_MAX 65535 /* bytes; a topic's length is a 16-bit number (MQTT 5.0, 1.5.4) */

enum piece_kind { PIECE_TEXT, PIECE_VALUE, PIECE_RECORD };

struct piece {
    enum piece_kind kind;
    bool quoted;         /* JSON: the place stands between the quotes of a string */
    struct psa_str text; /* literal text, or the path, ended by NUL in the template's copy */
};

struct psa_template {
    enum psa_template_kind kind;
    char *copy;
    size_t n;
    struct piece piece[];
};

/* ---- code points ----------------------------------------------------------------------------------------------- */

#define NO_POINT UINT32_MAX

/* The code point at p and its length in bytes. A surrogate's 3-byte form, which psa_json_unescape makes, is decoded
 * too; other bytes that are not UTF-8 are NO_POINT, one at a time. */
static size_t point_at(const char *p, const char *end, uint32_t *point)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char c = (unsigned char)*p;
    size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    uint32_t value = n == 1 ? c : c & (0xffU >> (n + 1));

    *point = NO_POINT;
    if ((c >= 0x80 && c < 0xc0) || c > 0xf7 || (size_t)(end - p) < n) return 1;
    for (size_t i = 1; i < n; i++) {
        unsigned char next = (unsigned char)p[i];

        if ((next & 0xc0) != 0x80) return 1;
        value = value << 6 | (next & 0x3f);
    }
    if (value < least[n] || value > 0x10ffff) return 1;
    *point = value;
    return n;
}

#define OWN "publish_topic "

/* Why a topic must not or should not hold that code point, which brokers may then refuse; NULL: it may. The sentence is
 * about publish_topic; behind OWN it fits any subject. */
static const char *topic_fault(uint32_t point)
{
    if (point == '+' || point == '#') return OWN "has a + or #, which are wildcards";
    if (point < 0x20 || (point >= 0x7f && point <= 0x9f)) return OWN "has a control character";
    if (point > 0x10ffff) return OWN "is not UTF-8";
    if (point >= 0xd800 && point <= 0xdfff) return OWN "has half a surrogate pair";
    if ((point & 0xfffe) == 0xfffe || (point >= 0xfdd0 && point <= 0xfdef)) return OWN "has a Unicode noncharacter";
    return NULL;
}

static const char *topic_text_fault(struct psa_str text)
{
    const char *p = text.p, *end = text.p + text.n, *fault = NULL;
    uint32_t point;

    while (p < end && !fault) {
        p += point_at(p, end, &point);
        fault = topic_fault(point);
    }
    return fault;
}

/* ---- parsing --------------------------------------------------------------------------------------------------- */

static bool is_name_begin(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name_byte(char c)
{
    return is_name_begin(c) || (c >= '0' && c <= '9') || c == '-';
}

/* Bytes of the place that starts at the brace p, 0 when it is none. */
static size_t place_length(const char *p)
{
    const char *q = p + 1;

    if (q[0] == '.' && q[1] == '}') return 3;
    while (is_name_begin(*q)) {
        while (is_name_byte(*q)) q++;
        if (*q == '}') return (size_t)(q + 1 - p);
        if (*q != '.') return 0;
        q++;
    }
    return 0;
}

static void add_text(struct psa_template *template, const char *begin, const char *end)
{
    if (end > begin)
        template->piece[template->n++] = (struct piece){ .kind = PIECE_TEXT, .text = { begin, (size_t)(end - begin) } };
}

/* Cut the copy into pieces. The brace behind a path becomes the NUL that ends it. */
static void cut(struct psa_template *template)
{
    char *p = template->copy, *begin = p;
    bool quoted = false;

    while (*p) {
        size_t n = *p == '{' ? place_length(p) : 0;

        if (n) {
            add_text(template, begin, p);
            template->piece[template->n++] = (struct piece){ .kind = p[1] == '.' ? PIECE_RECORD : PIECE_VALUE,
                                                             .quoted = quoted,
                                                             .text = { p + 1, n - 2 } };
            p[n - 1] = '\0';
            p += n;
            begin = p;
            continue;
        }
        if (*p == '"') quoted = !quoted;
        if (quoted && *p == '\\' && p[1]) p++;
        p++;
    }
    add_text(template, begin, p);
}

static int check_topic(const struct psa_template *template, const char *what, struct psa_error *error)
{
    if (!template->n) return psa_fail(error, PSA_EXIT_PERMANENT, "%s is empty", what);
    for (size_t i = 0; i < template->n; i++) {
        const struct piece *piece = &template->piece[i];
        const char *fault;

        if (piece->kind == PIECE_RECORD)
            return psa_fail(error, PSA_EXIT_PERMANENT, "%s: {.}, the whole record, is no level of a topic", what);
        if (piece->kind == PIECE_VALUE) continue;
        if (memchr(piece->text.p, '{', piece->text.n) || memchr(piece->text.p, '}', piece->text.n))
            return psa_fail(error, PSA_EXIT_PERMANENT, "%s: a brace that is not part of a place such as {sensor_id}",
                            what);
        if (i == 0 && *piece->text.p == '$')
            return psa_fail(error, PSA_EXIT_PERMANENT, "%s begins with $, which is the broker's own", what);
        fault = topic_text_fault(piece->text);
        if (fault) return psa_fail(error, PSA_EXIT_PERMANENT, "%s %s", what, fault + strlen(OWN));
    }
    return 0;
}

/* Every place is filled with as many bytes as it has, so that a fault lies where it lies in the template: with x
 * between quotes, else with an array, which can be no member's name and no rest of a number. */
static void fill_sample(const struct psa_template *template, char *sample)
{
    for (size_t i = 0; i < template->n; i++) {
        const struct piece *piece = &template->piece[i];
        char *place = sample + (piece->text.p - template->copy) - 1;

        if (piece->kind == PIECE_TEXT) continue;
        memset(place, piece->quoted ? 'x' : '1', piece->text.n + 2);
        if (piece->quoted) continue;
        place[0] = '[';
        place[piece->text.n + 1] = ']';
    }
}

static int check_json(const struct psa_template *template, const char *text, const char *what, struct psa_error *error)
{
    size_t n = strlen(text), line = 1;
    char *sample = strdup(text);
    const char *p, *end;
    struct psa_json_fault fault = { NULL, NULL };

    if (!sample) return psa_fail_memory(error, "reading a template");
    fill_sample(template, sample);
    end = sample + n;
    p = psa_json_space(sample, end);
    p = psa_json_value(p, end, PSA_JSON_DEPTH, &fault);
    if (p) {
        p = psa_json_space(p, end);
        if (p < end) fault = (struct psa_json_fault){ "more text behind the value", p };
    }
    for (p = sample; fault.what && p < fault.at; p++) line += *p == '\n';
    if (fault.what)
        psa_fail(error, PSA_EXIT_PERMANENT, "%s is not JSON with its places filled: line %zu, byte %zu: %s", what, line,
                 (size_t)(fault.at - sample) + 1, fault.what);
    free(sample);
    return fault.what ? -1 : 0;
}

int psa_template_parse(struct psa_template **template, enum psa_template_kind kind, const char *text, const char *what,
                       struct psa_error *error)
{
    struct psa_template *made;
    size_t n = 1; /* a place has text before it, and the last one text behind it */
    int rc;

    for (const char *p = text; *p; p++) n += *p == '{' ? 2 : 0;
    made = calloc(1, sizeof *made + n * sizeof *made->piece);
    if (made) made->copy = strdup(text);
    if (!made || !made->copy) {
        free(made);
        return psa_fail_memory(error, "reading a template");
    }
    made->kind = kind;
    cut(made);
    rc = kind == PSA_TEMPLATE_TOPIC ? check_topic(made, what, error) : check_json(made, text, what, error);
    if (rc == 0) *template = made;
    else psa_template_free(made);
    return rc;
}

void psa_template_free(struct psa_template *template)
{
    if (!template) return;
    free(template->copy);
    free(template);
}

bool psa_template_has(const struct psa_template *template, const char *path)
{
    for (size_t i = 0; i < template->n; i++)
        if (template->piece[i].kind != PIECE_TEXT && psa_str_eq(template->piece[i].text, path)) return true;
    return false;
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

static void put_field(const struct psa_field *field, struct psa_buf *out)
{
    if (field->text.p) psa_buf_put(out, field->text.p, field->text.n);
    else if (field->kind == PSA_ARRAY) psa_buf_numbers(out, field->array, field->n_array);
    else psa_buf_number(out, field->kind == PSA_NUMBER ? field->number : NAN);
}

/* The whole object of fields, as it is now. */
static void put_fields(const struct psa_record *record, struct psa_buf *out)
{
    psa_buf_put(out, "{", 1);
    for (size_t i = 0; i < record->n_field; i++) {
        const struct psa_field *field = &record->field[i];
        struct psa_str name = field->lead; /* `{"a":` or `,"a":`, with white space: what is behind its first quote */

        while (name.n && *name.p != '"') name.p++, name.n--;
        if (i) psa_buf_put(out, ",", 1);
        psa_buf_put(out, name.p, name.n);
        put_field(field, out);
    }
    psa_buf_put(out, "}", 1);
}

/* Append the JSON text of the value at the path; nothing when there is none. What was computed here, which no line
 * holds, is printed. */
static void put_value(const struct psa_record *record, const char *path, struct psa_buf *out)
{
    const char *dot = strchr(path, '.');
    struct psa_str name = { path, dot ? (size_t)(dot - path) : strlen(path) }, text;
    const struct psa_field *field;
    size_t i = record->n_member;

    while (i > 0 && !psa_str_is(record->member[i - 1].name, name)) i--;
    if (i-- == 0) return;
    if (i != record->fields_at) {
        text = dot ? psa_json_find(record->member[i].text, dot + 1) : record->member[i].text;
        psa_buf_put(out, text.p, text.n);
        return;
    }
    if (!dot) {
        put_fields(record, out);
        return;
    }
    field = psa_record_field(record, psa_str_of(dot + 1), PSA_NO_INDEX);
    if (field) put_field(field, out);
}

/* ---- filling --------------------------------------------------------------------------------------------------- */

static bool is_string(struct psa_str text)
{
    return text.n >= 2 && *text.p == '"';
}

/* A level of a topic, from the value that lies behind `from` and makes room for it. */
static void finish_level(struct psa_record *record, size_t from, struct psa_buf *out)
{
    struct psa_str value = { out->p + from, out->n - from };
    size_t to = from;
    const char *p, *end;
    uint32_t point;

    if (psa_str_eq(value, "null")) value.n = 0;
    if (is_string(value)) value = psa_json_unescape((struct psa_str){ value.p + 1, value.n - 2 }, &record->arena);
    if (!value.p) {
        out->failed = true;
        return;
    }
    if (!value.n) {
        out->n = from;
        psa_buf_puts(out, "unknown");
        return;
    }
    /* Never longer than it was: where it lies in the buffer, it is read before it is written over. */
    for (p = value.p, end = p + value.n; p < end;) {
        size_t n = point_at(p, end, &point);

        if (topic_fault(point) || point == '/' || point == '$') out->p[to++] = '_';
        else memmove(out->p + to, p, n), to += n;
        p += n;
    }
    out->n = to;
}

/* The same between the quotes of a JSON string: a string's content is escaped as it came; any other text is escaped. */
static void finish_quoted(size_t from, struct psa_buf *out)
{
    struct psa_str value = { out->p + from, out->n - from };

    if (is_string(value)) {
        memmove(out->p + from, value.p + 1, value.n - 2);
        out->n -= 2;
        return;
    }
    if (!psa_buf_room(out, value.n * 6 + 2)) return;
    value.p = out->p + from;
    psa_buf_quote(out, value);
    out->n -= value.n + 2;
    memmove(out->p + from, out->p + from + value.n + 1, out->n - from);
}

static void fill_place(const struct psa_template *template, const struct piece *piece, struct psa_record *record,
                       struct psa_buf *out)
{
    size_t from = out->n;

    if (!psa_buf_room(out, 1)) return;
    if (piece->kind == PIECE_RECORD) {
        psa_encode(record, out);
        if (!out->failed) out->n--; /* its LF */
    } else {
        put_value(record, piece->text.p, out);
    }
    if (out->failed) return;
    if (template->kind == PSA_TEMPLATE_TOPIC) finish_level(record, from, out);
    else if (piece->quoted) finish_quoted(from, out);
    else if (out->n == from) psa_buf_puts(out, "null");
}

void psa_template_fill(const struct psa_template *template, struct psa_record *record, struct psa_buf *out)
{
    for (size_t i = 0; i < template->n; i++) {
        const struct piece *piece = &template->piece[i];

        if (piece->kind == PIECE_TEXT) psa_buf_put(out, piece->text.p, piece->text.n);
        else fill_place(template, piece, record, out);
    }
}

/* ---- topics ---------------------------------------------------------------------------------------------------- */

static bool has(const struct psa_record *record, enum psa_member_id id)
{
    const struct psa_member *member = psa_record_member(record, id);

    return member && !psa_str_eq(member->text, "null");
}

/* The record's own topic; why it cannot be one, or NULL. */
static const char *own_topic(struct psa_str text, struct psa_record *record, struct psa_buf *out)
{
    struct psa_str topic;
    const char *fault;

    if (!is_string(text)) return OWN "is not a string";
    topic = psa_json_unescape((struct psa_str){ text.p + 1, text.n - 2 }, &record->arena);
    if (!topic.p) {
        out->failed = true;
        return NULL;
    }
    if (!topic.n) return OWN "is empty";
    if (*topic.p == '$') return OWN "begins with $, which is the broker's own";
    fault = topic_text_fault(topic);
    if (!fault) psa_buf_put(out, topic.p, topic.n);
    return fault;
}

bool psa_topic_of(const struct psa_template *template, bool suffix, struct psa_record *record, struct psa_buf *out,
                  const char **why)
{
    const struct psa_member *own = psa_record_member(record, PSA_M_PUBLISH_TOPIC);
    size_t from = out->n;

    *why = NULL;
    if (own) {
        *why = own_topic(own->text, record, out);
    } else {
        psa_template_fill(template, record, out);
        if (suffix && has(record, PSA_M_ALERT)) psa_buf_puts(out, "/alert");
        else if (suffix && has(record, PSA_M_ANOMALY)) psa_buf_puts(out, "/inference");
    }
    if (!*why && out->n - from > TOPIC_MAX) *why = "the topic is longer than 65535 bytes, MQTT's limit";
    if (*why) out->n = from;
    return !*why;
}
