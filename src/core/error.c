/* error.c - see error.h. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

int psa_fail(struct psa_error *error, int status, const char *format, ...)
{
    va_list arguments;

    error->status = status;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return -1;
}

int psa_fail_memory(struct psa_error *error, const char *what)
{
    return psa_fail(error, PSA_EXIT_RUNTIME, "out of memory while %s", what);
}
