/* words.c - see words.h. */
#include "core/words.h"

#include <string.h>

static bool goes_on(const char *p)
{
    return p[0] == '\\' && p[1] == '\n';
}

const char *psa_word_begin(const char *p, const char *blanks)
{
    while (*p && (strchr(blanks, *p) || goes_on(p))) p += goes_on(p) ? 2 : 1;
    return p;
}

bool psa_word_cut(const char **p, char **out, const char *ends)
{
    static const char escaped_in_quotes[] = "$`\"\\";
    char quote = 0;

    for (; **p && (quote || !strchr(ends, **p)); (*p)++) {
        char next = (*p)[1];

        if (quote && **p == quote) quote = 0;
        else if (!quote && (**p == '\'' || **p == '"')) quote = **p;
        else if (quote != '\'' && goes_on(*p)) ++*p;
        else if (**p == '\\' && quote != '\'' && next && (!quote || strchr(escaped_in_quotes, next))) *(*out)++ = *++*p;
        else *(*out)++ = **p;
    }
    *(*out)++ = 0;
    return !quote;
}
