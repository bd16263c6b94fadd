/*
 * outbox.h - the lines that an acknowledged sink has read and not finished, in order, and what --ack prints about them.
 *
 * A line is finished when it was delivered, when it can never be delivered, or when there is nothing to deliver (blank lines,
 * control lines). On stdout, with --ack:
 *
 *     C          lines 1..C are finished; printed when the outbox is flushed, once for as many as there are
 *     !N reason  line N can never be delivered; before any count >= N
 *     @ID        everything before the checkpoint ID is finished
 *
 * Letters are kept in a ring of at most `window` lines; their buffers are used again, so that steady state allocates
 * nothing. A line finished out of turn waits in the ring for those before it.
 */
#ifndef PSA_IO_OUTBOX_H
#define PSA_IO_OUTBOX_H

#include "core/buf.h"
#include "io/writer.h"
#include "psa.h"

enum psa_letter_state {
    PSA_LETTER_WAITING, /* to be sent, again or for the first time */
    PSA_LETTER_SENT,    /* handed to the transport, no answer yet */
    PSA_LETTER_FINISHED
};

struct psa_letter {
    uint64_t line; /* of the input, counted from 1 over everything read */
    enum psa_letter_state state;
    uint32_t tries;      /* times it was handed to the transport; the transport counts */
    uint64_t tag;        /* the transport's own: MQTT's packet identifier */
    struct psa_buf text; /* the line as it came, without LF */
    struct psa_buf to;   /* what the transport has made of it: MQTT's topic, a webhook's body */
    char checkpoint[24]; /* a checkpoint's ID, else "" */
};

struct psa_outbox {
    struct psa_letter *ring;
    size_t window, head, n;           /* n lines from ring[head] on */
    size_t waiting, sent;             /* of them */
    uint64_t waiting_from, sent_from; /* no line before these is in that state */
    size_t bytes, max_bytes;          /* of text and to */
    uint64_t last_line;               /* added last */
    uint64_t counted;                 /* printed last */
    bool ack;
    struct psa_writer out;
};

int psa_outbox_open(struct psa_outbox *outbox, size_t window, size_t max_bytes, bool ack, struct psa_error *error);
void psa_outbox_close(struct psa_outbox *outbox);

/* May another line be read? */
bool psa_outbox_has_room(const struct psa_outbox *outbox);
/* The next line, with empty buffers, WAITING. Only with room. */
struct psa_letter *psa_outbox_add(struct psa_outbox *outbox);
/* Count in what was put into its buffers. -1: memory is out. */
int psa_outbox_filled(struct psa_outbox *outbox, struct psa_letter *letter, struct psa_error *error);

/* The i-th unfinished or finished line of the ring, 0 being the oldest; i < outbox->n. */
struct psa_letter *psa_outbox_at(struct psa_outbox *outbox, size_t i);
/* The oldest WAITING letter, or NULL. */
struct psa_letter *psa_outbox_waiting(struct psa_outbox *outbox);
/* The oldest SENT letter, or NULL. */
struct psa_letter *psa_outbox_oldest_sent(struct psa_outbox *outbox);
/* The oldest SENT letter with that tag, or NULL. */
struct psa_letter *psa_outbox_sent(struct psa_outbox *outbox, uint64_t tag);

void psa_outbox_mark_sent(struct psa_outbox *outbox, struct psa_letter *letter);
/* Back to WAITING: the connection it was sent on is gone, or it was refused for now. */
void psa_outbox_mark_waiting(struct psa_outbox *outbox, struct psa_letter *letter);
void psa_outbox_finish(struct psa_outbox *outbox, struct psa_letter *letter);
/* Finish it as undeliverable: prints `!N reason` with --ack. Control characters of the reason become '?'. */
int psa_outbox_bury(struct psa_outbox *outbox, struct psa_letter *letter, const char *reason, struct psa_error *error);

/* Print what is due. */
int psa_outbox_flush(struct psa_outbox *outbox, struct psa_error *error);

#endif
