/* score_history.h - psa-score --history: a recording goes through the stage before its input does, and nothing of it comes out. */
#ifndef PSA_STAGE_SCORE_HISTORY_H
#define PSA_STAGE_SCORE_HISTORY_H

#include "core/chain.h"

/* Push every record of the file; what they teach stays, the counts of --stats do not. Cut short by a signal it marks the node
 * as unready. -1 with *error set. */
int psa_score_history(struct psa_node *node, const char *path, struct psa_error *error);

#endif
