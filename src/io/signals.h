/*
 * signals.h - SIGTERM, SIGINT and SIGHUP ask to stop, SIGUSR1 asks for statistics. A handler only sets a flag and writes a byte
 * into a pipe that the poll loops watch beside their input, so that no signal is missed between a test and a wait.
 */
#ifndef PSA_IO_SIGNALS_H
#define PSA_IO_SIGNALS_H

#include <stdbool.h>

#include "psa.h"

/* Install the handlers once at start. SIGPIPE keeps its default: it ends a filter quietly. */
int psa_signals_install(struct psa_error *error);
/* The descriptor to poll for reading; it stays readable until psa_signals_drain. */
int psa_signals_fd(void);
void psa_signals_drain(void);
bool psa_stop_asked(void);
/* How many times: who asks again wants it at once. */
int psa_stops_asked(void);
/* True once for each time SIGUSR1 came. */
bool psa_stats_asked(void);
/* End as SIGPIPE ends a program, also where it is ignored (systemd's IgnoreSIGPIPE=yes). */
void psa_exit_broken_pipe(void) __attribute__((noreturn));

#endif
