/*
 * schema.h - the fields of a key: the names its first record had. Later records are mapped onto them; order may differ.
 */
#ifndef PSA_CORE_SCHEMA_H
#define PSA_CORE_SCHEMA_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/json.h"
#include "psa.h"

struct psa_schema {
    struct psa_arena arena;
    struct psa_str *name; /* [n] */
    size_t n;
    bool said_extra; /* an unknown field has been reported */
};

/* Sets of enum psa_kind, as bits. */
#define PSA_READINGS (1u << PSA_NUMBER | 1u << PSA_NULL)
#define PSA_SAMPLES (PSA_READINGS | 1u << PSA_ARRAY)

/* Take the names of the record's fields of these kinds that match `globs` (core/glob.h; NULL: all), in place of what an
 * earlier call found. false when memory is out. */
bool psa_schema_learn(struct psa_schema *schema, const struct psa_record *record, unsigned kinds, const char *globs);
/* Has the record a field of these kinds? */
bool psa_record_has(const struct psa_record *record, unsigned kinds);
/*
 * Map: field[i] is the record's field of name[i], or NULL where it has none; returns the number found. *extra (may be
 * NULL) becomes the first usable field of the record that the schema does not know, else NULL.
 */
size_t psa_schema_map(const struct psa_schema *schema, const struct psa_record *record, struct psa_field **field,
                      const struct psa_field **extra);
void psa_schema_free(struct psa_schema *schema);

/* As a JSON array of names. */
void psa_schema_save(const struct psa_schema *schema, struct psa_buf *out);
bool psa_schema_load(struct psa_schema *schema, struct psa_json *in);

#endif
