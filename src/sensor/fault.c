/* fault.c - see fault.h. */
#include "sensor/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"

const char *psa_fault_name(enum psa_fault_kind kind)
{
    static const char *const names[] = { "none",     "absent", "busy",  "denied", "timeout",
                                         "checksum", "stuck",  "wrong", "io" };

    return names[kind];
}

static void clean(char *text)
{
    const char *end = text + strlen(text);

    while (text < end) {
        const size_t n = (unsigned char)*text < 0x80 ? 1 : psa_utf8_length(text, (size_t)(end - text));
        if (n == 0) *text = '?';
        text += n > 0 ? n : 1;
    }
}

int psa_fault_set(struct psa_fault *fault, enum psa_fault_kind kind, const char *format, ...)
{
    va_list arguments;

    fault->kind = kind;
    va_start(arguments, format);
    vsnprintf(fault->text, sizeof fault->text, format, arguments);
    va_end(arguments);
    clean(fault->text);
    return -1;
}

int psa_fault_errno(struct psa_fault *fault, int number, const char *what)
{
    static const struct {
        int number;
        enum psa_fault_kind kind;
        const char *text;
    } known[] = {
        { ENOENT, PSA_FAULT_ABSENT, "there is none (ENOENT)" },
        { ENODEV, PSA_FAULT_ABSENT, "it is gone (ENODEV); is it plugged in?" },
        { ENXIO, PSA_FAULT_ABSENT, "no answer (ENXIO); check wiring, power and address" },
        { EREMOTEIO, PSA_FAULT_ABSENT, "no answer (EREMOTEIO); check wiring, power and address" },
        { EBUSY, PSA_FAULT_BUSY, "in use (EBUSY)" },
        { EACCES, PSA_FAULT_DENIED, "no permission (EACCES)" },
        { EPERM, PSA_FAULT_DENIED, "no permission (EPERM)" },
        { ETIMEDOUT, PSA_FAULT_TIMEOUT, "timed out (ETIMEDOUT); does something hold SDA or SCL low?" },
        { EAGAIN, PSA_FAULT_TIMEOUT, "lost the bus to another master (EAGAIN)" },
        { EIO, PSA_FAULT_IO, "transfer failed (EIO); check wiring and pull-ups" },
        { EOPNOTSUPP, PSA_FAULT_IO, "the adapter cannot do that transfer (EOPNOTSUPP)" },
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].number == number) return psa_fault_set(fault, known[i].kind, "%s: %s", what, known[i].text);
    }
    return psa_fault_set(fault, PSA_FAULT_IO, "%s: %s (errno %d)", what, strerror(number), number);
}
