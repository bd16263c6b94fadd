/*
 * sensord_probe.h - sensord --probe: what is there to read. Looks at every I2C bus, GPIO chip and IIO device that it
 * may, and says what answers, what to write for it, and what it was not allowed to look at.
 */
#ifndef PSA_IO_SENSORD_PROBE_H
#define PSA_IO_SENSORD_PROBE_H

#include "core/buf.h"

/*
 * Append a text for people to *out. Chips are asked as i2cdetect(8) does it: the address alone, or where writing that
 * could do harm, a byte is read; then the drivers look at what answers, by reading only. A bus that hangs is left after
 * 3 s. 0, or -1 with *error set.
 */
int psa_sensord_probe(struct psa_buf *out, struct psa_error *error);

#endif
