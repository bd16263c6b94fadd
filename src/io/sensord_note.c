/* sensord_note.c - see sensord_note.h. */
#include "io/sensord_note.h"

#include <stdio.h>

#include "core/time.h"

void psa_note_add(struct psa_note *note, uint64_t n, int64_t amount, int64_t now_ns)
{
    if (note->n == 0) note->first_ns = now_ns;
    if (note->n == 0 || amount > note->worst) note->worst = amount;
    note->n += n;
}

bool psa_note_is_due(const struct psa_note *note, int64_t now_ns, bool at_once)
{
    return note->n > 0 && (now_ns >= note->next_ns || at_once);
}

bool psa_note_due(struct psa_note *note, int64_t now_ns, bool at_once, struct psa_note *told)
{
    if (!psa_note_is_due(note, now_ns, at_once)) return false;
    *told = *note;
    *note = (struct psa_note){ .said = told->said + 1, .next_ns = now_ns + PSA_NOTE_EVERY_NS };
    return true;
}

const char *psa_note_time(char text[PSA_NOTE_TIME_BYTES], int64_t ns)
{
    const char *const unit = ns >= PSA_NS_PER_SECOND ? "s" : ns >= PSA_NS_PER_MS ? "ms" : "us";
    const double n = (double)ns / (*unit == 's' ? PSA_NS_PER_SECOND : *unit == 'm' ? PSA_NS_PER_MS : 1000);

    /* From 999.5 on, %.3g would write an exponent. */
    snprintf(text, PSA_NOTE_TIME_BYTES, n < 999.5 ? "%.3g %s" : "%.0f %s", n, unit);
    return text;
}

void psa_messages_vput(struct psa_messages *messages, const char *source, const char *cause, const char *format,
                       va_list arguments)
{
    struct psa_message *message = &messages->of[(messages->first + messages->n) % PSA_MESSAGES_MAX];

    if (messages->n == PSA_MESSAGES_MAX) {
        messages->lost++;
        return;
    }
    message->source = source;
    message->cause = cause;
    vsnprintf(message->text, sizeof message->text, format, arguments);
    messages->n++;
}

void psa_messages_put(struct psa_messages *messages, const char *source, const char *cause, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    psa_messages_vput(messages, source, cause, format, arguments);
    va_end(arguments);
}

bool psa_messages_take(struct psa_messages *messages, struct psa_message *message)
{
    if (messages->n > 0) {
        *message = messages->of[messages->first];
        messages->first = --messages->n > 0 ? (messages->first + 1) % PSA_MESSAGES_MAX : 0;
        return true;
    }
    if (messages->lost == 0) return false;
    *message = (struct psa_message){ .source = messages->of[0].source };
    snprintf(message->text, sizeof message->text, "%llu more message%s could not be written, for stderr was not read",
             (unsigned long long)messages->lost, messages->lost == 1 ? "" : "s");
    messages->lost = 0;
    return true;
}

bool psa_messages_wait(const struct psa_messages *messages)
{
    return messages->n > 0 || messages->lost > 0;
}
