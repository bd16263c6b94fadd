/* glob.c - see glob.h. */
#include "core/glob.h"

/* One pattern, up to its end; the usual two-pointer match that goes back only to the last star. */
static bool match_one(const char *pattern, const char *pattern_end, const char *name, const char *name_end)
{
    const char *star = NULL, *retry = NULL;

    while (name < name_end) {
        if (pattern < pattern_end && *pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (pattern < pattern_end && (*pattern == '?' || *pattern == *name)) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (pattern < pattern_end && *pattern == '*') pattern++;
    return pattern == pattern_end;
}

bool psa_glob_match(const char *list, struct psa_str name)
{
    if (!list) return true;
    for (;;) {
        const char *end = list;

        while (*end && *end != ',') end++;
        if (match_one(list, end, name.p, name.p + name.n)) return true;
        if (!*end) return false;
        list = end + 1;
    }
}
