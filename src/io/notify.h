/*
 * notify.h - telling systemd how a service is, sd_notify(3): a datagram to $NOTIFY_SOCKET. Without it nothing happens.
 */
#ifndef PSA_IO_NOTIFY_H
#define PSA_IO_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "STATUS=..." */
void psa_notify(const char *text);
/* How often WATCHDOG=1 is to be sent: half of $WATCHDOG_USEC, in ns; 0: not at all. */
int64_t psa_notify_watchdog_ns(void);

#endif
