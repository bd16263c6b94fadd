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

/* Marked as shadowed until shade() has seen all fields. */
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

/* Of fields with one name the last counts, as it does for who reads the line. What a stage makes differs from each
 * other in name, so one of two is always a field taken over. */
static void shade(struct psa_made *made)
{
    for (size_t i = 0; i < made->n; i++) {
        struct psa_field *taken = &made->field[i];

        if (!taken->shadowed) continue;
        taken->shadowed = false;
        for (size_t j = 0; j < made->n; j++) {
            if (j == i || !psa_str_is(made->field[j].name, taken->name)) continue;
            made->field[j < i ? j : i].shadowed = true;
        }
    }
}

int psa_made_put(struct psa_made *made, struct psa_record *record)
{
    size_t n = made->n;

    shade(made);
    made->n = 0;
    return psa_record_replace_fields(record, made->field, n);
}
