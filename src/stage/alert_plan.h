/*
 * alert_plan.h - maintenance windows: times at which nobody is to be told of a stream. A file of them, one a line:
 *
 *     # the line is down for its refit
 *     2024-03-09T06:00:00Z 2024-03-09T18:00:00Z                 # all streams
 *     2024-03-11T06:00:00+01:00/2024-03-11T07:00:00+01:00 accel_gyro/press-0?,dht11/oven
 *     daily   05:55-06:10       accel_gyro/acc*                 # the shift changes
 *     Sun     22:00-02:00                                       # until Monday
 *     Mon-Fri 12:00-12:30       sound/hall
 *
 * Days and their times are UTC; a window that ends before it begins ends on the next day. Each is half open, [from, to). The
 * last word names the streams it is for, patterns for `*` and `?` (core/glob.h) as reasons name streams; without it, all.
 * What the file says is all there is: no clock, no time zones.
 */
#ifndef PSA_STAGE_ALERT_PLAN_H
#define PSA_STAGE_ALERT_PLAN_H

#include "psa.h"

struct psa_alert_plan;

/* Read the text of the file of that name. NULL with *error set, permanent, naming the line; or when memory is out. */
struct psa_alert_plan *psa_alert_plan_read(const char *name, struct psa_str text, struct psa_error *error);
void psa_alert_plan_free(struct psa_alert_plan *plan);

/* Is one of the key's windows open at ns? *until: until when this surely stays so; INT64_MAX: for good. The key is as
 * psa_key_show has it. */
bool psa_alert_plan_covers(const struct psa_alert_plan *plan, struct psa_str key, int64_t ns, int64_t *until);

/* When the last of the key's windows that are over at ns ended; INT64_MIN: there was none. */
int64_t psa_alert_plan_ended(const struct psa_alert_plan *plan, struct psa_str key, int64_t ns);

#endif
