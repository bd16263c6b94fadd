/* glob.h - patterns for names: `*` any run of bytes, `?` any one byte; a comma separates alternatives. */
#ifndef PSA_CORE_GLOB_H
#define PSA_CORE_GLOB_H

#include "psa.h"

/* Does the whole name match one of the patterns in `list` ("accel_*,gyro_x")? A NULL list matches everything. */
bool psa_glob_match(const char *list, struct psa_str name);

#endif
