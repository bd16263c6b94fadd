/*
 * syncer.h - a thread that syncs, so that reading and writing go on meanwhile: fsync takes milliseconds on a flash card,
 * and what comes in the while makes the next group. It touches nothing but the disk and the one job it is given.
 */
#ifndef PSA_IO_SYNCER_H
#define PSA_IO_SYNCER_H

#include "spool/writer.h"

struct psa_syncer;

int psa_syncer_start(struct psa_syncer **made, const struct psa_disk *disk, struct psa_error *error);
/* Ends the thread after the job it has. */
void psa_syncer_stop(struct psa_syncer *syncer);
/* Readable when a job is done. */
int psa_syncer_fd(const struct psa_syncer *syncer);
/* Hand it a job; only when none is out. */
void psa_syncer_submit(struct psa_syncer *syncer, const struct psa_spool_sync *job);
/* Is the job done? Then it is here, and none is out. */
bool psa_syncer_collect(struct psa_syncer *syncer, struct psa_spool_sync *job);

#endif
