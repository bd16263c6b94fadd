/* recording.h - a file of records read to its end before the input: --history. */
#ifndef PSA_IO_RECORDING_H
#define PSA_IO_RECORDING_H

#include "core/chain.h"
#include "core/record.h"

/* Give take() each line of the file that is no control line and not blank, as struct psa_world's recording_read says. One
 * line is in memory at a time, at most max_line bytes of it. */
int psa_recording_read(const char *path, struct psa_decode_limits limits, size_t max_line, psa_take_recorded *take,
                       void *taker, struct psa_error *error);

#endif
