/*
 * sensord_note.h - what is to be said on stderr. Any thread notes, the main thread writes: a stderr that nobody reads (a pager, a
 * journal that is stalled) must not stop a sensor. Nothing is allocated, and what does not fit is counted.
 *
 * Not safe for threads by itself: the notes of a sensor are guarded by the hub's lock (sensord_state.h).
 */
#ifndef PSA_IO_SENSORD_NOTE_H
#define PSA_IO_SENSORD_NOTE_H

#include <stdarg.h>

#include "psa.h"

/* ---- messages that come again and again: the first at once, then at most one a minute with the sum --------------- */

#define PSA_NOTE_EVERY_NS INT64_C(60000000000)

/* Zeroed: nothing happened yet. */
struct psa_note {
    uint64_t n;       /* since it was last said */
    int64_t worst;    /* the largest amount of those */
    int64_t first_ns; /* when the first of those happened */
    int64_t next_ns;  /* not to be said before */
    uint64_t said;    /* how many times */
};

void psa_note_add(struct psa_note *note, uint64_t n, int64_t amount, int64_t now_ns);
/* Is there something to say now? `at_once` does not wait for the minute. */
bool psa_note_is_due(const struct psa_note *note, int64_t now_ns, bool at_once);
/* If so, *told is what to say, and *note begins anew. */
bool psa_note_due(struct psa_note *note, int64_t now_ns, bool at_once, struct psa_note *told);

/* A time for people, three digits: "34 ms", "2.97 s", "5000 s". Returns text. */
#define PSA_NOTE_TIME_BYTES 32
const char *psa_note_time(char text[PSA_NOTE_TIME_BYTES], int64_t ns);

/* ---- messages that wait to be written ---------------------------------------------------------------------------- */

/* A sensor's ten of a kind, which is all that is shown of it, and what sums them up. */
#define PSA_MESSAGES_MAX 12

struct psa_message {
    const char *source; /* NULL: nothing in particular; texts that stay */
    const char *cause;  /* ten of it are shown, then a total, by whoever writes it; NULL: it is shown in any case */
    char text[360];
};

/* Zeroed: none. */
struct psa_messages {
    struct psa_message of[PSA_MESSAGES_MAX];
    size_t first, n;
    uint64_t lost; /* came while all places were taken */
};

void psa_messages_put(struct psa_messages *messages, const char *source, const char *cause, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void psa_messages_vput(struct psa_messages *messages, const char *source, const char *cause, const char *format,
                       va_list arguments);
/* The oldest into *message; behind the last one, how many were lost. false: there is none. */
bool psa_messages_take(struct psa_messages *messages, struct psa_message *message);
bool psa_messages_wait(const struct psa_messages *messages);

#endif
