/*
 * ledger.h - what a sink was given and has not finished, and what its answers mean. Pure.
 *
 * A sink numbers the lines it is given from 1 at its own start. The ledger keeps, for each line that is not finished,
 * which record it was; control lines that the feeder put in between stand for the record before them.
 */
#ifndef PSA_SPOOL_LEDGER_H
#define PSA_SPOOL_LEDGER_H

#include "core/buf.h"
#include "psa.h"

/* Bytes of a sink's reason that are kept. */
#define PSA_LEDGER_REASON_MAX 1000

struct psa_ledger_line {
    uint64_t seq; /* finishing this line finishes every record up to seq */
    uint64_t end; /* bytes given to the sink up to and with this line */
    char *reason; /* it can never be delivered: why; owned */
    bool control;
};

struct psa_ledger {
    struct psa_ledger_line *ring;
    size_t window, head, n;
    uint64_t lines; /* given in all */
    uint64_t bytes;
};

/* false: memory is out. */
bool psa_ledger_open(struct psa_ledger *ledger, size_t window);
void psa_ledger_close(struct psa_ledger *ledger);
/* A new sink: it has been given nothing. */
void psa_ledger_reset(struct psa_ledger *ledger);
bool psa_ledger_has_room(const struct psa_ledger *ledger);
/* A line of so many bytes (its LF included) was given to the sink. Only with room. */
void psa_ledger_add(struct psa_ledger *ledger, uint64_t seq, size_t bytes, bool control);
/* The oldest line that is not finished, or NULL. */
struct psa_ledger_line *psa_ledger_front(struct psa_ledger *ledger);
/* Its number, counted from 1; only when there is one. */
uint64_t psa_ledger_front_line(const struct psa_ledger *ledger);
/* It is finished. */
void psa_ledger_pop(struct psa_ledger *ledger);
/* Note that line can never be delivered. false: it is none that is waiting, or memory is out. */
bool psa_ledger_condemn(struct psa_ledger *ledger, uint64_t line, struct psa_str reason);

enum psa_answer_kind {
    PSA_ANSWER_COUNT,      /* C: lines 1..number are finished */
    PSA_ANSWER_DEAD,       /* !N reason: line number can never be delivered */
    PSA_ANSWER_CHECKPOINT, /* @ID: everything before the checkpoint `number` is durable */
    PSA_ANSWER_NONSENSE
};
struct psa_answer {
    enum psa_answer_kind kind;
    uint64_t number;
    struct psa_str reason;
};
/* Read a line that the sink has printed, given without its LF (a CR is tolerated). */
struct psa_answer psa_answer_parse(struct psa_str line);

#endif
