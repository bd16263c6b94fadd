/*
 * record.h - records: decode a line, change a record, encode it again.
 *
 * Decoding cuts the line into spans; encoding writes the spans back, so whatever was not changed leaves byte for byte as
 * it came, white space included. What psa puts in is written without white space: a new member directly behind the last
 * value, a changed value in its old place.
 */
#ifndef PSA_CORE_RECORD_H
#define PSA_CORE_RECORD_H

#include "core/arena.h"
#include "core/buf.h"
#include "psa.h"

/* Reasons for which a line is no record: the names that --stats counts under. */
enum psa_refusal {
    PSA_REFUSED_NOT,
    PSA_REFUSED_SYNTAX,     /* not RFC 8259, or not UTF-8 */
    PSA_REFUSED_NOT_OBJECT, /* JSON, but no object */
    PSA_REFUSED_FIELDS,     /* `fields` is no object */
    PSA_REFUSED_TIME,       /* timestamp_ns, ts_ms or timestamp is no time that fits int64 nanoseconds */
    PSA_REFUSED_LIMIT,  /* more than --max-fields members or fields, deeper than --max-depth, longer than --max-line */
    PSA_REFUSED_CONTROL /* a line whose only member is psa, but no control word psa knows */
};
const char *psa_refusal_name(enum psa_refusal refusal);

struct psa_decode_limits {
    int64_t fields; /* of one record, members counted too; --max-fields */
    int64_t depth;  /* --max-depth */
    bool flat;      /* --flat: a record without fields takes its number members for fields */
};
#define PSA_DECODE_LIMITS ((struct psa_decode_limits){ 4096, 64, false })

/* Which of the members that psa knows has this name. */
enum psa_member_id psa_member_identify(struct psa_str name);

struct psa_decoder;
struct psa_decoder *psa_decoder_new(struct psa_decode_limits limits);
void psa_decoder_free(struct psa_decoder *decoder);

/* What a line was. */
enum psa_line_kind { PSA_LINE_RECORD, PSA_LINE_CONTROL, PSA_LINE_BLANK, PSA_LINE_REFUSED };

struct psa_decoded {
    struct psa_record *record; /* owned by the decoder, valid until the next decode; points into the line */
    struct psa_control control;
    enum psa_refusal refusal;
    char why[256]; /* refused: a sentence for the message: "byte 17: a control character in a string" */
};

/*
 * Decode one line (without its line end). It first tries the shape of earlier lines, then the general path; both give
 * the same result. psa_decode_general takes only the general path; it exists for the test of that promise.
 */
enum psa_line_kind psa_decode(struct psa_decoder *decoder, struct psa_str line, struct psa_decoded *out);
enum psa_line_kind psa_decode_general(struct psa_decoder *decoder, struct psa_str line, struct psa_decoded *out);

/* Append the record as a line with its LF. */
void psa_encode(const struct psa_record *record, struct psa_buf *out);

/* ---- looking -------------------------------------------------------------------------------------------------- */

/* The field of that name that counts, or NULL. `hint` is the index where it probably is. */
struct psa_field *psa_record_field(const struct psa_record *record, struct psa_str name, size_t hint);
/* The member of that id (or name) that counts, or NULL. */
struct psa_member *psa_record_member(const struct psa_record *record, enum psa_member_id id);
/* The content (of a string) or text (of anything else) at a dotted path of the record; a field's is its value as it is
 * now. .p == NULL when absent, and for an array that was computed. */
struct psa_str psa_record_path(struct psa_record *record, const char *path);
/* A field that psa-score writes, which is never scored nor learned. */
bool psa_field_is_verdict(struct psa_str name);
/* sensor_type is "status": such records pass every stage unchanged and open no key. */
bool psa_record_is_status(const struct psa_record *record);

/* ---- changing. All return 0, or -1 when memory is out. ---------------------------------------------------------- */

/* Give a field a computed number; NaN and infinity become null. Cannot fail. */
void psa_field_set(struct psa_field *field, double value);
/* Give a field a computed array; the values stay the caller's and must live until the record is encoded or copied. */
void psa_field_set_array(struct psa_field *field, const double *value, size_t n);

/* Set a member's value to a JSON text (copied into the record), in its old place or, new, behind the last member. The
 * name needs no escaping. */
int psa_record_set(struct psa_record *record, const char *name, struct psa_str json);
/* Set event time: timestamp_ns in its place, or in place of the ts_ms or timestamp it was read from. */
int psa_record_set_time(struct psa_record *record, int64_t ns);
int psa_record_set_rate(struct psa_record *record, double hz);

/* Take the members of that id out. */
void psa_record_unset(struct psa_record *record, enum psa_member_id id);

/* Remove all fields; a record without a fields member gets one. */
int psa_record_clear_fields(struct psa_record *record);
/* Append a field behind the last; .kind is PSA_NULL until psa_field_set. `key` is `"name":` as psa_field_key makes it,
 * and must outlive the record's use; it is not checked against the fields that are there. The pointer is valid until the
 * next field is added. NULL when memory is out. */
struct psa_field *psa_record_add_field(struct psa_record *record, struct psa_str key, struct psa_str name);
/* Put these fields (not the record's own array) in place of all the record has. Their leads may be of any place. */
int psa_record_replace_fields(struct psa_record *record, const struct psa_field *field, size_t n);
/* The field of that name, or a new one; the name is copied. NULL when memory is out. */
struct psa_field *psa_record_put_field(struct psa_record *record, struct psa_str name);
/* `,"name":` in the arena: the key for psa_record_add_field, escaped. */
struct psa_str psa_field_key(struct psa_arena *arena, struct psa_str name);

/* ---- storing --------------------------------------------------------------------------------------------------- */

/* Make dst an own copy of src, sharing nothing (dst zeroed or used before). Fields only when asked. */
int psa_record_copy(struct psa_record *dst, const struct psa_record *src, bool with_fields);
void psa_record_free(struct psa_record *record);

#endif
