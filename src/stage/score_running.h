/*
 * score_running.h - psa-score --running: is the machine running, and has it settled? Only then is a row scored and learned.
 *
 *     stopped --holds--> settling --holds for --settle of event time--> running
 *        ^                  |                                              |
 *        +---- does not ----+----------------- does not hold --------------+
 */
#ifndef PSA_STAGE_SCORE_RUNNING_H
#define PSA_STAGE_SCORE_RUNNING_H

#include "core/chain.h"
#include "core/json.h"
#include "stage/condition.h"

/* What is remembered of one key; zeroed: stopped. */
struct psa_running {
    bool on;          /* the condition held for the last record */
    bool settled;     /* and has for --settle */
    int64_t since_ns; /* while it settles: the time of the first record for which it held */
};

enum psa_running_phase { PSA_RUNNING_STOPPED, PSA_RUNNING_SETTLING, PSA_RUNNING_SETTLED };

/* The next record of the key: does the condition hold for it? A record without time cannot wait, and counts as settled. */
enum psa_running_phase psa_running_step(struct psa_running *running, bool holds, const struct psa_record *record,
                                        int64_t settle_ns);

/* Ask the condition of the record; one that jq cannot answer does not hold, is noted and said. */
bool psa_running_ask(struct psa_node *node, struct psa_condition *condition, const struct psa_record *record);

/* "running": null while stopped, true once settled, else since_ns. */
void psa_running_save(const struct psa_running *running, struct psa_buf *out);
bool psa_running_load(struct psa_running *running, struct psa_json *in);

#endif
