/* folder.h - what there is in a spool's folder, by the names of the files. */
#ifndef PSA_SPOOL_FOLDER_H
#define PSA_SPOOL_FOLDER_H

#include "spool/disk.h"
#include "spool/format.h"

/* A file being rewritten by repair. */
#define PSA_SPOOL_REPAIR_TMP "repair.tmp"

/* Zeroed is empty. */
struct psa_spool_folder {
    uint64_t *segment; /* the numbers in their names, ascending */
    size_t n, cap;
    uint64_t bytes; /* of segments */
    bool has_dead;
    uint64_t set_aside; /* .damaged files */
    uint64_t strays;    /* files that are none of the spool's */
};

int psa_spool_list(const struct psa_disk *disk, struct psa_spool_folder *folder, struct psa_error *error);
void psa_spool_folder_free(struct psa_spool_folder *folder);

#endif
