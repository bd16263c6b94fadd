/* spool_tools.h - looking into a spool, and mending it: stat, dump, check, repair, retry-dead of psa-spool(1). */
#ifndef PSA_IO_SPOOL_TOOLS_H
#define PSA_IO_SPOOL_TOOLS_H

#include "io/writer.h"
#include "spool/survey.h"

/* One JSON object about the spool. */
int psa_spool_stat(const struct psa_disk *disk, const char *folder, struct psa_writer *out, struct psa_error *error);
/* The records that wait, one a line; `all`: also those finished and still there; `dead`: the dead letters instead. */
int psa_spool_dump(const struct psa_disk *disk, bool all, bool dead, struct psa_writer *out, struct psa_error *error);
/* A line for each fault. *faults of them. */
int psa_spool_check(const struct psa_disk *disk, struct psa_writer *out, uint64_t *faults, struct psa_error *error);
/* What repair did, as sentences. */
int psa_spool_mend(const struct psa_disk *disk, const struct psa_spool_say *say, struct psa_writer *out,
                   struct psa_error *error);
/* Dead letters back into the queue. */
int psa_spool_revive(const struct psa_disk *disk, const struct psa_spool_say *say, struct psa_writer *out,
                     struct psa_error *error);

#endif
