/* report.h - messages on stderr: the first ten of a cause, then a total. */
#ifndef PSA_IO_REPORT_H
#define PSA_IO_REPORT_H

#include "psa.h"

#define PSA_REPORT_SHOWN 10
#define PSA_REPORT_CAUSES 64

/* Zeroed is ready. */
struct psa_report {
    struct {
        const char *name;
        char cause[48];
        uint64_t n;
    } of[PSA_REPORT_CAUSES];
    size_t n;
};

/* Print `name: source:line: text` (without source: when NULL; without line when 0) unless ten of this cause were shown.
 * Control characters and bytes that are no UTF-8 become '?'. Under systemd's journal each line starts with its priority, <3> or <4>. */
void psa_report_say(struct psa_report *report, const char *name, const char *source, uint64_t line, const char *cause,
                    const char *text);
/* What the cause was about works again: its next ten messages are shown too, so that a service that runs for months still
 * speaks of its next trouble. */
void psa_report_mended(struct psa_report *report, const char *name, const char *cause);
/* The totals of what was not shown. */
void psa_report_totals(struct psa_report *report);
/* The error that ends a run. */
void psa_report_error(const char *name, const struct psa_error *error);

#endif
