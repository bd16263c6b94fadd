/* slot.h - what every stage with memory does first with a record: find its key's slot, and see that time goes forward. */
#ifndef PSA_STAGE_SLOT_H
#define PSA_STAGE_SLOT_H

#include "core/chain.h"
#include "core/keyed.h"
#include "core/schema.h"

/* a + b and now - then in nanoseconds, at the far end of time where int64 ends. */
static inline int64_t psa_ns_add(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? (b > 0 ? INT64_MAX : INT64_MIN) : sum;
}

static inline int64_t psa_ns_since(int64_t now, int64_t then)
{
    int64_t difference;

    return __builtin_sub_overflow(now, then, &difference) ? (now > then ? INT64_MAX : INT64_MIN) : difference;
}

/* n samples at rate_hz as nanoseconds, rounded; at the far end of time where int64 ends. */
static inline int64_t psa_ns_of_samples(double n, double rate_hz)
{
    double ns = n * 1e9 / rate_hz + 0.5;

    return ns < 9.2e18 ? (int64_t)ns : INT64_MAX;
}

/*
 * The slot for the record's key, in *slot. Returns 0; *slot == NULL means that the record is dealt with already: it is
 * late and was dropped, or has no key (--key), or, the first of its key, no field of `kinds` (core/schema.h; 0: needs
 * none), and was rejected. *fresh: the slot was made now. The slot's clock stands still until the stage accepts the record
 * and calls psa_slot_advance. -1 with *error set when memory is out or a write failed.
 */
int psa_slot_find(struct psa_node *node, struct psa_record *record, unsigned kinds, struct psa_slot **slot, bool *fresh,
                  struct psa_error *error);

/* The slot of a key, made when there is none; one that had to be forgotten for it is said and counted. NULL when memory is
 * out. */
struct psa_slot *psa_slot_of(struct psa_node *node, struct psa_str key);

/* Report a field that the key's first record lacked, once a key, and its fate: "passes untouched" or "is left out". */
void psa_slot_extra(struct psa_node *node, struct psa_schema *schema, const struct psa_slot *slot,
                    const struct psa_field *extra, const char *fate);

/* A schema's field that is no number now: reject the record and return 1; 0 when all are usable as `allowed` says (a
 * set of bits 1 << PSA_NUMBER ...); -1 with *error set. field[n] may hold NULL. */
int psa_slot_check_kinds(struct psa_node *node, struct psa_record *record, struct psa_field *const *field, size_t n,
                         unsigned allowed, struct psa_error *error);

#endif
