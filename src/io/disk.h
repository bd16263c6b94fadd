/*
 * disk.h - a folder as the spool wants it (spool/disk.h): the system calls, and nothing else.
 *
 * Built with -DPSA_FAULT_POINTS the environment can order a fault at a named point:
 *
 *     PSA_FAULT=POINT:N:ACTION     at the Nth call (from 1; *: at every one) made at POINT; ACTION is kill-before,
 *                                  kill-after (SIGKILL to itself), half (a write writes half of its bytes, then kills),
 *                                  short (a write writes half and says so), skip (a sync is left out and said to be
 *                                  done), or an errno's name (EIO, ENOSPC, ...): fails without being done.
 *                                  Up to four orders, a comma between them
 *     PSA_FAULT_LIST=FILE          append the name of every point passed, one a line
 *
 * Only tests are built so.
 */
#ifndef PSA_IO_DISK_H
#define PSA_IO_DISK_H

#include "spool/disk.h"

/* Open the folder; `create` makes it (and syncs its parent) when it does not exist. Close with psa_disk_close. */
int psa_disk_open(struct psa_disk *disk, const char *folder, bool create, struct psa_error *error);
void psa_disk_close(struct psa_disk *disk);
/* The descriptor of the folder, to watch it. */
int psa_disk_folder_fd(const struct psa_disk *disk);
/* Was the folder removed? What is open of it still works, and nothing new can be made in it. */
bool psa_disk_is_gone(const struct psa_disk *disk);

#endif
