/* same_record.h - are two records the same in everything that decoding fills in? For the tests of the two decoder paths. */
#ifndef PSA_TESTS_SAME_RECORD_H
#define PSA_TESTS_SAME_RECORD_H

#include <string.h>

#include "core/buf.h"
#include "psa.h"

static bool same_members(const struct psa_record *a, const struct psa_record *b)
{
    if (a->n_member != b->n_member) return false;
    for (size_t i = 0; i < a->n_member; i++) {
        const struct psa_member *x = &a->member[i], *y = &b->member[i];

        if (!psa_str_is(x->lead, y->lead) || !psa_str_is(x->name, y->name) || !psa_str_is(x->text, y->text))
            return false;
        if (x->id != y->id || x->shadowed != y->shadowed) return false;
    }
    return true;
}

static bool same_fields(const struct psa_record *a, const struct psa_record *b)
{
    if (a->n_field != b->n_field) return false;
    for (size_t i = 0; i < a->n_field; i++) {
        const struct psa_field *x = &a->field[i], *y = &b->field[i];

        if (!psa_str_is(x->lead, y->lead) || !psa_str_is(x->name, y->name) || !psa_str_is(x->text, y->text))
            return false;
        if (x->kind != y->kind || x->shadowed != y->shadowed) return false;
        if (x->kind == PSA_NUMBER && memcmp(&x->number, &y->number, sizeof x->number) != 0) return false;
        if (x->kind != PSA_ARRAY) continue;
        if (x->n_array != y->n_array) return false;
        if (x->n_array && memcmp(x->array, y->array, x->n_array * sizeof *x->array) != 0) return false;
    }
    return true;
}

static bool same_record(const struct psa_record *a, const struct psa_record *b)
{
    if (a->fields_at != b->fields_at || a->has_time != b->has_time || a->timestamp_ns != b->timestamp_ns) return false;
    if (memcmp(&a->rate_hz, &b->rate_hz, sizeof a->rate_hz) != 0 || !psa_str_is(a->tail, b->tail)) return false;
    if (!psa_str_is(a->sensor_type, b->sensor_type) || !psa_str_is(a->sensor_id, b->sensor_id)) return false;
    if (a->fields_at != PSA_NO_INDEX && !psa_str_is(a->fields_tail, b->fields_tail)) return false;
    return same_members(a, b) && same_fields(a, b);
}

#endif
