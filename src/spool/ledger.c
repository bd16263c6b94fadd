/* ledger.c - see ledger.h. */
#include "spool/ledger.h"

#include <stdlib.h>
#include <string.h>

bool psa_ledger_open(struct psa_ledger *ledger, size_t window)
{
    *ledger = (struct psa_ledger){ .window = window };
    ledger->ring = calloc(window, sizeof *ledger->ring);
    return ledger->ring != NULL;
}

void psa_ledger_close(struct psa_ledger *ledger)
{
    if (ledger->ring) psa_ledger_reset(ledger);
    free(ledger->ring);
    ledger->ring = NULL;
}

void psa_ledger_reset(struct psa_ledger *ledger)
{
    while (ledger->n) psa_ledger_pop(ledger);
    ledger->lines = ledger->bytes = 0;
}

bool psa_ledger_has_room(const struct psa_ledger *ledger)
{
    return ledger->n < ledger->window;
}

static struct psa_ledger_line *at(const struct psa_ledger *ledger, size_t i)
{
    return &ledger->ring[(ledger->head + i) % ledger->window];
}

void psa_ledger_add(struct psa_ledger *ledger, uint64_t seq, size_t bytes, bool control)
{
    ledger->lines++;
    ledger->bytes += bytes;
    *at(ledger, ledger->n++) = (struct psa_ledger_line){ seq, ledger->bytes, NULL, control };
}

struct psa_ledger_line *psa_ledger_front(struct psa_ledger *ledger)
{
    return ledger->n ? at(ledger, 0) : NULL;
}

uint64_t psa_ledger_front_line(const struct psa_ledger *ledger)
{
    return ledger->lines - ledger->n + 1;
}

void psa_ledger_pop(struct psa_ledger *ledger)
{
    struct psa_ledger_line *line = at(ledger, 0);

    free(line->reason);
    line->reason = NULL;
    ledger->head = (ledger->head + 1) % ledger->window;
    ledger->n--;
}

bool psa_ledger_condemn(struct psa_ledger *ledger, uint64_t number, struct psa_str reason)
{
    struct psa_ledger_line *line;

    if (!ledger->n || number < psa_ledger_front_line(ledger) || number > ledger->lines) return false;
    line = at(ledger, (size_t)(number - psa_ledger_front_line(ledger)));
    if (line->reason) return true; /* said twice */
    line->reason = strndup(reason.p, reason.n < PSA_LEDGER_REASON_MAX ? reason.n : PSA_LEDGER_REASON_MAX);
    return line->reason != NULL;
}

/* Digits only, and a number that fits; *behind is what follows them. */
static bool parse_number(struct psa_str text, uint64_t *number, struct psa_str *behind)
{
    size_t i = 0;

    *number = 0;
    for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++) {
        if (__builtin_mul_overflow(*number, 10, number)) return false;
        if (__builtin_add_overflow(*number, (uint64_t)(text.p[i] - '0'), number)) return false;
    }
    *behind = (struct psa_str){ text.p + i, text.n - i };
    return i > 0;
}

struct psa_answer psa_answer_parse(struct psa_str line)
{
    struct psa_answer answer = { PSA_ANSWER_NONSENSE, 0, { NULL, 0 } };
    struct psa_str rest;

    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    if (!line.n) return answer;
    if (*line.p == '!' || *line.p == '@') rest = (struct psa_str){ line.p + 1, line.n - 1 };
    else rest = line;
    if (!parse_number(rest, &answer.number, &rest)) return answer;
    if (*line.p == '!' && (rest.n == 0 || *rest.p == ' ')) {
        answer.reason = rest.n ? (struct psa_str){ rest.p + 1, rest.n - 1 } : psa_str_of("no reason was given");
        answer.kind = PSA_ANSWER_DEAD;
    } else if (*line.p == '@' && rest.n == 0) {
        answer.kind = PSA_ANSWER_CHECKPOINT;
    } else if (rest.n == 0) {
        answer.kind = PSA_ANSWER_COUNT;
    }
    return answer;
}
