/* made.c - see made.h. */
#include "stage/made.h"

#include <stdlib.h>
#include <string.h>

#include "core/record.h"

enum { FIRST_FIELDS = 64 };

void psa_made_free(struct psa_made *made)
{
    free(made->field);
    *made = (struct psa_made){ 0 };
}

struct psa_field *psa_made_next(struct psa_made *made)
{
    if (made->n == made->cap) {
        size_t cap = made->cap ? made->cap * 2 : FIRST_FIELDS;
        struct psa_field *grown = realloc(made->field, cap * sizeof *grown);

        if (!grown) return NULL;
        made->field = grown;
        made->cap = cap;
    }
    return &made->field[made->n++];
}

/* Marked as shadowed until all fields are there. */
struct psa_field *psa_made_take_over(struct psa_made *made, const struct psa_field *field)
{
    struct psa_field *place = psa_made_next(made);

    if (!place) return NULL;
    *place = *field;
    place->shadowed = true;
    return place;
}

bool psa_made_name(struct psa_arena *arena, struct psa_str field, struct psa_str suffix, struct psa_str *key,
                   struct psa_str *name)
{
    char *text = psa_arena_take(arena, field.n + suffix.n + 1);

    if (!text) return false;
    memcpy(text, field.p, field.n);
    text[field.n] = '_';
    memcpy(text + field.n + 1, suffix.p, suffix.n);
    *name = (struct psa_str){ text, field.n + suffix.n + 1 };
    *key = psa_field_key(arena, *name);
    return key->p != NULL;
}

static bool made_here(const struct psa_made *made, size_t i, struct psa_str name)
{
    return !made->field[i].shadowed && psa_str_is(made->field[i].name, name);
}

/* Does a field of the same name go before field i? The first `kept` ones stay, those behind i are yet to be looked at. */
static bool is_taken(const struct psa_made *made, size_t kept, size_t i)
{
    const struct psa_field *field = &made->field[i];

    for (size_t j = 0; field->shadowed && j < kept; j++)
        if (made_here(made, j, field->name)) return true;
    for (size_t j = i + 1; j < made->n; j++)
        if (made_here(made, j, field->name)) return true;
    return false;
}

/* Fields taken over differ from each other in name, as they did in their record. */
static void leave_out_taken(struct psa_made *made, struct psa_node *node, bool twins)
{
    size_t kept = 0;

    for (size_t i = 0; i < made->n; i++) {
        if ((made->field[i].shadowed || twins) && is_taken(made, kept, i)) {
            psa_note(node, "name_taken");
            continue;
        }
        if (kept != i) made->field[kept] = made->field[i];
        kept++;
    }
    made->n = kept;
    for (size_t i = 0; i < kept; i++) made->field[i].shadowed = false;
}

int psa_made_put(struct psa_made *made, struct psa_node *node, bool twins, struct psa_record *record)
{
    size_t n;

    leave_out_taken(made, node, twins);
    n = made->n;
    made->n = 0;
    return psa_record_replace_fields(record, made->field, n);
}
