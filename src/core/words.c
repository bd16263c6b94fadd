/* words.c - see words.h. */
#include "core/words.h"

#include <string.h>

bool psa_word_cut(const char **p, char **out, const char *ends)
{
    char quote = 0;

    for (; **p && (quote || !strchr(ends, **p)); (*p)++) {
        if (quote && **p == quote) quote = 0;
        else if (!quote && (**p == '\'' || **p == '"')) quote = **p;
        else if (**p == '\\' && quote != '\'' && (*p)[1]) *(*out)++ = *++*p;
        else *(*out)++ = **p;
    }
    *(*out)++ = 0;
    return !quote;
}
