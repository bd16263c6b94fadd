/* outbox.c - see outbox.h. */
#include "io/outbox.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"

/* A buffer that has grown beyond this gives its memory back: one large record must not stay in every place of the ring. */
enum { KEPT_BYTES = 65536 };

int psa_outbox_open(struct psa_outbox *outbox, size_t window, size_t max_bytes, bool ack, struct psa_error *error)
{
    *outbox = (struct psa_outbox){ .window = window, .max_bytes = max_bytes, .ack = ack };
    psa_writer_init(&outbox->out, STDOUT_FILENO, "stdout");
    outbox->ring = calloc(window, sizeof *outbox->ring);
    return outbox->ring ? 0 : psa_fail_memory(error, "making the outbox");
}

void psa_outbox_close(struct psa_outbox *outbox)
{
    for (size_t i = 0; outbox->ring && i < outbox->window; i++) {
        psa_buf_free(&outbox->ring[i].text);
        psa_buf_free(&outbox->ring[i].to);
    }
    free(outbox->ring);
    psa_buf_free(&outbox->out.buf);
    outbox->ring = NULL;
    outbox->n = 0;
}

/* ---- the ring ------------------------------------------------------------------------------------------------------ */

bool psa_outbox_has_room(const struct psa_outbox *outbox)
{
    return outbox->n < outbox->window && (outbox->bytes < outbox->max_bytes || outbox->n == 0);
}

struct psa_letter *psa_outbox_at(struct psa_outbox *outbox, size_t i)
{
    size_t at = outbox->head + i;

    return &outbox->ring[at < outbox->window ? at : at - outbox->window];
}

struct psa_letter *psa_outbox_add(struct psa_outbox *outbox)
{
    struct psa_letter *letter = psa_outbox_at(outbox, outbox->n++);

    letter->line = ++outbox->last_line;
    letter->state = PSA_LETTER_WAITING;
    letter->tries = 0;
    letter->tag = 0;
    letter->text.n = letter->to.n = 0;
    letter->checkpoint[0] = '\0';
    outbox->waiting++;
    return letter;
}

int psa_outbox_filled(struct psa_outbox *outbox, struct psa_letter *letter, struct psa_error *error)
{
    if (letter->text.failed || letter->to.failed) return psa_fail_memory(error, "keeping a line");
    outbox->bytes += letter->text.n + letter->to.n;
    return 0;
}

/* The oldest letter in that state. Everything before *from is known not to be in it, so that looking again and again from the
 * front costs nothing. */
static struct psa_letter *oldest(struct psa_outbox *outbox, enum psa_letter_state state, uint64_t *from)
{
    uint64_t first = outbox->last_line + 1 - outbox->n;

    if (*from < first) *from = first;
    for (; *from <= outbox->last_line; ++*from) {
        struct psa_letter *letter = psa_outbox_at(outbox, (size_t)(*from - first));

        if (letter->state == state) return letter;
    }
    return NULL;
}

struct psa_letter *psa_outbox_waiting(struct psa_outbox *outbox)
{
    return outbox->waiting ? oldest(outbox, PSA_LETTER_WAITING, &outbox->waiting_from) : NULL;
}

struct psa_letter *psa_outbox_oldest_sent(struct psa_outbox *outbox)
{
    return outbox->sent ? oldest(outbox, PSA_LETTER_SENT, &outbox->sent_from) : NULL;
}

/* Answers mostly come in the order of sending, so the oldest is mostly the one. */
struct psa_letter *psa_outbox_sent(struct psa_outbox *outbox, uint64_t tag)
{
    struct psa_letter *letter = psa_outbox_oldest_sent(outbox);
    uint64_t first = outbox->last_line + 1 - outbox->n;

    for (uint64_t line = outbox->sent_from; letter && line <= outbox->last_line; line++) {
        letter = psa_outbox_at(outbox, (size_t)(line - first));
        if (letter->state == PSA_LETTER_SENT && letter->tag == tag) return letter;
    }
    return NULL;
}

/* ---- what becomes of a letter -------------------------------------------------------------------------------------- */

static void leave_state(struct psa_outbox *outbox, const struct psa_letter *letter)
{
    if (letter->state == PSA_LETTER_WAITING) outbox->waiting--;
    if (letter->state == PSA_LETTER_SENT) outbox->sent--;
}

void psa_outbox_mark_sent(struct psa_outbox *outbox, struct psa_letter *letter)
{
    leave_state(outbox, letter);
    letter->state = PSA_LETTER_SENT;
    if (letter->line < outbox->sent_from) outbox->sent_from = letter->line;
    outbox->sent++;
}

void psa_outbox_mark_waiting(struct psa_outbox *outbox, struct psa_letter *letter)
{
    leave_state(outbox, letter);
    letter->state = PSA_LETTER_WAITING;
    if (letter->line < outbox->waiting_from) outbox->waiting_from = letter->line;
    outbox->waiting++;
}

static void let_go(struct psa_outbox *outbox, struct psa_buf *buf)
{
    outbox->bytes -= buf->n;
    buf->n = 0;
    if (buf->cap > KEPT_BYTES) psa_buf_free(buf);
}

void psa_outbox_finish(struct psa_outbox *outbox, struct psa_letter *letter)
{
    leave_state(outbox, letter);
    letter->state = PSA_LETTER_FINISHED;
    let_go(outbox, &letter->text);
    let_go(outbox, &letter->to);
}

int psa_outbox_bury(struct psa_outbox *outbox, struct psa_letter *letter, const char *reason, struct psa_error *error)
{
    size_t at;

    psa_outbox_finish(outbox, letter);
    if (!outbox->ack) return 0;
    psa_buf_puts(&outbox->out.buf, "!");
    psa_buf_int(&outbox->out.buf, (int64_t)letter->line);
    psa_buf_puts(&outbox->out.buf, " ");
    at = outbox->out.buf.n;
    psa_buf_puts(&outbox->out.buf, reason);
    for (; at < outbox->out.buf.n; at++) {
        unsigned char *byte = (unsigned char *)outbox->out.buf.p + at;

        if (*byte < 0x20 || *byte == 0x7f) *byte = '?';
    }
    psa_buf_puts(&outbox->out.buf, "\n");
    return psa_writer_added(&outbox->out, error);
}

/* ---- what is printed ----------------------------------------------------------------------------------------------- */

static void print_count(struct psa_outbox *outbox, uint64_t line)
{
    if (line <= outbox->counted) return;
    outbox->counted = line;
    psa_buf_int(&outbox->out.buf, (int64_t)line);
    psa_buf_puts(&outbox->out.buf, "\n");
}

int psa_outbox_flush(struct psa_outbox *outbox, struct psa_error *error)
{
    uint64_t through = outbox->counted;

    while (outbox->n && psa_outbox_at(outbox, 0)->state == PSA_LETTER_FINISHED) {
        struct psa_letter *letter = psa_outbox_at(outbox, 0);

        through = letter->line;
        if (outbox->ack && letter->checkpoint[0]) {
            print_count(outbox, through);
            psa_buf_puts(&outbox->out.buf, "@");
            psa_buf_puts(&outbox->out.buf, letter->checkpoint);
            psa_buf_puts(&outbox->out.buf, "\n");
        }
        outbox->head = outbox->head + 1 == outbox->window ? 0 : outbox->head + 1;
        outbox->n--;
    }
    if (outbox->ack) print_count(outbox, through);
    return psa_writer_flush(&outbox->out, error);
}
