/* made.h - the fields of a record to come, while a stage puts them together: some taken over, some its own. */
#ifndef PSA_STAGE_MADE_H
#define PSA_STAGE_MADE_H

#include "core/chain.h"

struct psa_made {
    struct psa_field *field; /* [cap] */
    size_t n, cap;
};

void psa_made_free(struct psa_made *made);

/* One more field, its content anyone's; valid until the next call. NULL when memory is out. */
struct psa_field *psa_made_next(struct psa_made *made);

/* A field of the record that goes on as it is; its place, or NULL when memory is out. */
struct psa_field *psa_made_take_over(struct psa_made *made, const struct psa_field *field);

/* `<field>_<suffix>` as a field's key (`,"accel_x_rms":`) and name, in the arena. false when memory is out. */
bool psa_made_name(struct psa_arena *arena, struct psa_str field, struct psa_str suffix, struct psa_str *key,
                   struct psa_str *name);

/*
 * The fields take the place of all that the record has; made->n is 0 then. Of fields with one name only one goes out: one
 * that the stage made before one taken over, and of those that it made the last; node notes "name_taken" for each that is
 * left out. twins: two that the stage made may have one name. -1 when memory is out.
 */
int psa_made_put(struct psa_made *made, struct psa_node *node, bool twins, struct psa_record *record);

#endif
