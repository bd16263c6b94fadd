/* schema.c - see schema.h. */
#include "core/schema.h"

#include <string.h>

#include "core/glob.h"
#include "core/record.h"

static bool usable(const struct psa_field *field)
{
    return !field->shadowed && field->kind != PSA_OTHER;
}

bool psa_record_has(const struct psa_record *record, unsigned kinds)
{
    for (size_t i = 0; i < record->n_field; i++)
        if (!record->field[i].shadowed && (kinds >> record->field[i].kind & 1)) return true;
    return false;
}

bool psa_schema_learn(struct psa_schema *schema, const struct psa_record *record, unsigned kinds, const char *globs)
{
    psa_arena_reset(&schema->arena);
    schema->name = psa_arena_take(&schema->arena, (record->n_field + 1) * sizeof *schema->name);
    if (!schema->name) return false;
    schema->n = 0;
    for (size_t i = 0; i < record->n_field; i++) {
        const struct psa_field *field = &record->field[i];

        if (field->shadowed || !(kinds >> field->kind & 1) || !psa_glob_match(globs, field->name)) continue;
        schema->name[schema->n] = psa_arena_copy(&schema->arena, field->name);
        if (!schema->name[schema->n++].p) return false;
    }
    return true;
}

static bool knows(const struct psa_schema *schema, struct psa_str name)
{
    for (size_t i = 0; i < schema->n; i++)
        if (psa_str_is(schema->name[i], name)) return true;
    return false;
}

size_t psa_schema_map(const struct psa_schema *schema, const struct psa_record *record, struct psa_field **field,
                      const struct psa_field **extra)
{
    size_t found = 0, hint = 0;

    for (size_t i = 0; i < schema->n; i++) {
        if (hint < record->n_field && !record->field[hint].shadowed &&
            psa_str_is(record->field[hint].name, schema->name[i]))
            field[i] = &record->field[hint];
        else field[i] = psa_record_field(record, schema->name[i], hint);
        if (!field[i]) continue;
        hint = (size_t)(field[i] - record->field) + 1;
        found++;
    }
    if (!extra) return found;
    *extra = NULL;
    if (found == record->n_field) return found;
    for (size_t i = 0; i < record->n_field && !*extra; i++)
        if (usable(&record->field[i]) && !knows(schema, record->field[i].name)) *extra = &record->field[i];
    return found;
}

void psa_schema_free(struct psa_schema *schema)
{
    psa_arena_free(&schema->arena);
    *schema = (struct psa_schema){ 0 };
}

void psa_schema_save(const struct psa_schema *schema, struct psa_buf *out)
{
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < schema->n; i++) {
        psa_buf_comma(out);
        psa_buf_quote(out, schema->name[i]);
    }
    psa_buf_puts(out, "]");
}

bool psa_schema_load(struct psa_schema *schema, struct psa_json *in)
{
    struct psa_buf names = { 0 };
    struct psa_str name;
    bool ok = psa_json_enter_array(in);

    schema->n = 0;
    while (ok && psa_json_next_item(in)) {
        name = psa_json_text(in);
        if (name.p) name = psa_arena_copy(&schema->arena, name);
        ok = name.p != NULL;
        psa_buf_put(&names, (const char *)&name, sizeof name);
        schema->n++;
    }
    ok = ok && !in->fault.what && !names.failed;
    schema->name = ok ? psa_arena_take(&schema->arena, names.n + 1) : NULL;
    if (schema->name && names.n) memcpy(schema->name, names.p, names.n);
    if (!schema->name) schema->n = 0;
    psa_buf_free(&names);
    return schema->name != NULL;
}
